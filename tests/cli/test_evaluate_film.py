"""`evaluate-film`: what it prints and where, what it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from synth import make_film


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mkv"
    make_film(path, frames=8, shots=2, audio=None)
    return path


def test_json_goes_to_stdout_and_nothing_else(cli, film: Path) -> None:
    run = cli("evaluate-film", film, "--reference", film, "--json")
    assert run.code == 0
    score = json.loads(run.out)
    assert score["frames"] == 8
    assert score["psnr_db"] == 100.0
    assert [shot["first_frame"] for shot in score["shots"]] == [0, 4]


def test_the_table_goes_to_stderr(cli, film: Path) -> None:
    run = cli("evaluate-film", film, "--before", film)
    assert (run.code, run.out) == (0, "")
    assert "whole film" in run.err
    assert "compared with" in run.err


def test_a_report_is_written_whole_and_an_old_one_is_kept_unless_told(cli, film: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("old")
    refused = cli("evaluate-film", film, "--report", page)
    assert refused.code == 4
    assert page.read_text() == "old"
    assert cli("evaluate-film", film, "--report", page, "--overwrite").code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mkv", "page.html"]


def test_films_that_do_not_fit_together_are_an_input_error(cli, film: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.mkv"
    make_film(short, frames=5, audio=None)
    run = cli("evaluate-film", film, "--reference", short)
    assert run.code == 3
    assert "fewer frames" in " ".join(run.err.split())


def test_what_is_no_film_is_an_input_error(cli, tmp_path: Path) -> None:
    text = tmp_path / "notes.mkv"
    text.write_text("no film")
    assert cli("evaluate-film", text).code == 3
    assert cli("evaluate-film", tmp_path / "missing.mkv").code == 3
