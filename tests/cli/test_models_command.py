"""`models`: what the commands print and where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from deoldify_video.cli.app import app
from deoldify_video.errors import DependencyError, UsageError
from deoldify_video.models.registry import MODELS
from deoldify_video.models.store import FOLDER_VARIABLE, NETWORK_KEY
from deoldify_video.models.weights import FOLDED_KEY, write_weights
from deoldify_video.models.zhang import Eccv16


@pytest.fixture(autouse=True)
def own_model_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "models"


def run(*arguments: str) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout, result.stderr


def test_list_shows_every_network_with_license_size_and_state() -> None:
    stdout, stderr = run("list")
    assert stdout == ""
    for name, spec in MODELS.items():
        line = next(line for line in stderr.splitlines() if line.startswith(f"{name} "))
        assert spec.license in line
        assert (" no " in line) or name == "compact"


def test_list_and_info_as_json() -> None:
    rows = json.loads(run("list", "--json")[0])
    assert [row["name"] for row in rows] == list(MODELS)
    video = json.loads(run("info", "deoldify-video", "--json")[0])
    assert video == next(row for row in rows if row["name"] == "deoldify-video")
    assert video["sha256"].startswith("e3d98bb6")
    assert video["installed"] is False


def test_info_says_how_to_get_a_network() -> None:
    _, stderr = run("info", "deoldify-video")
    assert "models import --as deoldify-video ColorizeVideo_gen.pth" in stderr


def test_import_shows_the_license_and_remove_takes_it_away(tmp_path: Path, own_model_folder: Path) -> None:
    source = tmp_path / "own.safetensors"
    write_weights(source, Eccv16().state_dict(), {NETWORK_KEY: "eccv16", FOLDED_KEY: "true"}, half=False)
    _, stderr = run("import", str(source))
    assert "Imported eccv16" in stderr
    assert "Licence of the weights: BSD-2-Clause" in stderr
    assert json.loads(run("info", "eccv16", "--json")[0])["weights"] == str(own_model_folder / "eccv16.safetensors")
    run("remove", "eccv16")
    assert not list(own_model_folder.iterdir())


def test_errors_have_the_exit_codes_of_their_kind(tmp_path: Path) -> None:
    page = tmp_path / "ColorizeVideo_gen.pth"
    page.write_text("<html>log in</html>")
    torch.save({"epoch": 1}, tmp_path / "log.pth")
    for arguments, kind in (
        (["import", str(page)], DependencyError),
        (["import", str(tmp_path / "log.pth")], DependencyError),
        (["remove", "siggraph17"], UsageError),
        (["info", "nobody"], DependencyError),
    ):
        result = CliRunner().invoke(app, ["models", *arguments])
        assert isinstance(result.exception, kind), arguments


def test_the_documentation_has_a_true_row_for_every_network() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    for name, spec in MODELS.items():
        cells = [cell.strip() for cell in next(line for line in text.splitlines() if line.startswith(f"| `{name}`")).split("|")]
        _, _, _, weights, license, factors, sees, _ = cells
        assert license == spec.license
        assert factors == f"{spec.film_render_factor}, {spec.photo_render_factor}"
        assert ("square" in sees) == spec.square
        if spec.published is not None:
            assert f"{spec.published.megabytes} MB" in weights
            assert (f"hf:{spec.published.hub}" if spec.published.hub else spec.published.filename) in weights
