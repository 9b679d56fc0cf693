"""`colorize` at work: films, photos, many at once, and what it prints."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from synth import colorfulness, light, make_film, planes, stamps

from deoldify_video import __version__
from deoldify_video.models.registry import MODELS


@pytest.fixture
def film(tmp_path):
    return make_film(tmp_path / "old.mkv", frames=6, audio=None)


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(light(0)).save(tmp_path / "old.png")
    return tmp_path / "old.png"


def test_a_film(cli, film, tmp_path):
    output = tmp_path / "new.mkv"
    outcome = cli("colorize", film, "-o", output)
    assert outcome.code == 0
    assert outcome.out == ""
    assert "6 frames in 1 shots" in outcome.err
    assert str(output) in outcome.err
    assert stamps(output) == stamps(film)
    assert colorfulness(output) > 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.mkv", "old.mkv"]


def test_a_photo(cli, photo, tmp_path):
    outcome = cli("colorize", photo, "-o", tmp_path / "new.jpg")
    assert outcome.code == 0
    with Image.open(tmp_path / "new.jpg") as image:
        assert image.size == (64, 48)
        assert np.ptp(np.asarray(image), axis=2).mean() > 5


def test_json_of_a_film_is_one_object_on_stdout(cli, film, tmp_path):
    outcome = cli("colorize", film, "-o", tmp_path / "new.mkv", "--json", "-r", 8, "--device", "cpu", "--precision", "fp32")
    report = json.loads(outcome.out)
    assert outcome.out.count("\n") == 1
    kinds = {key: type(value) for key, value in report.items()}
    expected = {
        "source": str, "output": str, "kind": str, "frames": int, "shots": int, "seconds": float, "fps": float, "model": str,
        "device": str, "precision": str, "render_factor": int, "render_size": list, "resumed_frames": int, "warnings": list,
    }  # fmt: skip
    assert expected.items() <= kinds.items()
    assert report["frames"] == 6
    assert report["shots"] == 1
    assert (report["kind"], report["model"], report["device"], report["precision"]) == ("film", "compact", "cpu", "fp32")
    assert report["render_factor"] == 8
    assert report["output"] == str(tmp_path / "new.mkv")


def test_json_of_several_tells_of_each(cli, film, photo, tmp_path):
    outcome = cli("colorize", film, photo, tmp_path / "missing.mp4", "-o", tmp_path / "out", "--json")
    items = json.loads(outcome.out)["items"]
    assert [item.get("kind") for item in items] == ["film", "photo", None]
    missing = str(tmp_path / "missing.mp4")
    error = {"exit_code": 3, "path": missing, "reason": "does not exist", "remedy": None}
    assert items[2] == {"source": missing, "error": f"{missing} does not exist."} | error


def test_one_that_fails_does_not_stop_the_others(cli, film, photo, tmp_path):
    (tmp_path / "notes.mp4").write_text("words")
    outcome = cli("colorize", tmp_path / "notes.mp4", film, photo, "-o", tmp_path / "out")
    assert outcome.code == 1
    errors = [line for line in outcome.err.splitlines() if line.startswith("Error:")]
    assert len(errors) == 1
    assert "notes.mp4" in errors[0]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["old.mkv", "old.png"]


def test_a_device_that_is_too_small_for_one_does_not_stop_the_others(cli, film, photo, tmp_path, stub_spec, monkeypatch):
    class Large(stub_spec.load(Path()).__class__):
        def forward(self, x):
            raise torch.OutOfMemoryError("much too large")

    monkeypatch.setitem(MODELS, "compact", replace(stub_spec, load=lambda path: Large().eval()))
    outcome = cli("colorize", film, photo, "-o", tmp_path / "out", "--json", "--batch-size", 1)
    assert outcome.code == 1
    items = json.loads(outcome.out)["items"]
    assert [(item["source"], item["exit_code"]) for item in items] == [(str(film), 6), (str(photo), 6)]


def test_several_that_all_work_are_exit_code_0(cli, film, photo, tmp_path):
    assert cli("colorize", film, photo, "-o", tmp_path / "out").code == 0


def test_a_folder_gives_all_its_films_and_photos(cli, film, photo, tmp_path):
    (tmp_path / "notes.txt").write_text("words")
    outcome = cli("colorize", tmp_path, "-o", tmp_path / "out")
    assert outcome.code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["old.mkv", "old.png"]


def test_formats_that_are_not_written_get_another_suffix(cli, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(light(0)).save(tmp_path / "in" / "scan.bmp")
    make_film(tmp_path / "in" / "reel.mpg", codec="mpeg1video", audio=None, frames=3)
    outcome = cli("colorize", tmp_path / "in", "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["reel.mpg.mkv", "scan.bmp.png"]


def test_overwrite_replaces_an_existing_output(cli, film, tmp_path):
    (tmp_path / "new.mkv").write_bytes(b"old news")
    assert cli("colorize", film, "-o", tmp_path / "new.mkv", "--overwrite").code == 0
    assert len(stamps(tmp_path / "new.mkv")) == 6


def test_quiet_prints_nothing_but_errors(cli, film, tmp_path):
    outcome = cli("colorize", film, "-o", tmp_path / "new.mkv", "--quiet")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    outcome = cli("colorize", film, "-o", tmp_path / "new.mkv", "--quiet")
    assert outcome.code == 4
    assert "--overwrite" in outcome.err


def test_quiet_still_says_which_of_several_failed(cli, film, tmp_path):
    outcome = cli("colorize", film, tmp_path / "missing.mp4", "-o", tmp_path / "out", "--quiet")
    assert outcome.code == 1
    assert "missing.mp4" in outcome.err


def test_start_and_end_choose_a_part(cli, tmp_path):
    source, output = make_film(tmp_path / "old.mkv", frames=75), tmp_path / "new.mkv"
    assert cli("colorize", source, "-o", output, "--start", "0:01", "--end", "2", "--codec", "ffv1").code == 0
    np.testing.assert_array_equal(planes(output), planes(source)[25:50])


def test_a_part_beyond_the_end_is_an_input_error(cli, film, tmp_path):
    outcome = cli("colorize", film, "-o", tmp_path / "new.mkv", "--start", "90")
    assert outcome.code == 3
    assert "--start" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["old.mkv"]


def test_styles_and_saturation_change_the_colors(cli, film, tmp_path):
    found = []
    for saturation in (0, 0.5, 1):
        output = tmp_path / f"new{saturation}.mkv"
        cli("colorize", film, "-o", output, "--saturation", saturation, "--codec", "ffv1", "--smoothing", 0)
        found.append(colorfulness(output))
    assert found[0] < 0.5
    assert found[0] < found[1] < found[2]


def test_names_with_brackets_and_spaces_are_printed_as_they_are(cli, film, tmp_path):
    output = tmp_path / "new [red] film.mkv"
    outcome = cli("colorize", film, "-o", output)
    assert outcome.code == 0
    assert str(output) in outcome.err
    outcome = cli("colorize", film, "-o", output)
    assert str(output) in outcome.err
    missing = tmp_path / "lost [bold].mp4"
    outcome = cli("colorize", missing, film, "-o", tmp_path / "out")
    assert str(missing) in outcome.err


def test_without_a_terminal_there_are_log_lines_and_no_bar(cli, tmp_path):
    film = make_film(tmp_path / "long.mkv", frames=260, repeat=5, audio=None, codec="mpeg4")
    outcome = cli("colorize", film, "-o", tmp_path / "new.mkv", "--smoothing", "0", "--codec", "ffv1")
    assert [line for line in outcome.err.splitlines() if "frames, shot" in line] == ["long.mkv: 250/260 frames, shot 1"]
    assert "\x1b" not in outcome.err


def test_on_a_terminal_there_is_a_bar(cli, tmp_path, monkeypatch):
    film = make_film(tmp_path / "old [red].mkv", frames=6, audio=None)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes stderr for a terminal then
    monkeypatch.setenv("COLUMNS", "120")
    outcome = cli("colorize", film, "-o", tmp_path / "new.mkv")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", outcome.err)
    assert outcome.code == 0
    assert "old [red].mkv" in plain
    assert "6/6 frames" in plain
    assert re.search(r"fps +shot 1", plain)


def test_a_warning_of_the_source_is_printed(cli, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8)).save(tmp_path / "old.png")
    outcome = cli("colorize", tmp_path / "old.png", "-o", tmp_path / "new.png")
    assert outcome.code == 0
    assert "Warning: the photo has colours already" in outcome.err


def test_version_and_info(cli, film):
    assert cli("--version").out.strip() == f"deoldify-video {__version__}"
    facts = json.loads(cli("info", film, "--json").out)
    assert facts["kind"] == "film"
    assert (facts["video"]["width"], facts["video"]["frame_rate"]) == (64, "25")
    assert str(film) in cli("info", film).out.replace("\n", "").replace(" ", "")
    facts = json.loads(cli("info", "--json").out)
    assert facts["codecs"]["h264"] is True
    assert "torch" in facts["packages"]
    assert cli("info", film.with_name("missing.mp4")).code == 3
