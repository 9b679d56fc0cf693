"""Verifying, logging and taking up again, from the command line."""

from __future__ import annotations

import json

import pytest
from synth import make_film, stamps

from deoldify_video.errors import StoppedError
from deoldify_video.film.colorize import colorize_film
from deoldify_video.options import ColorOptions, FilmOptions, SegmentOptions


@pytest.fixture
def film(tmp_path):
    return make_film(tmp_path / "old.mkv", frames=20)


def test_the_verdict_is_in_the_report(cli, film, tmp_path):
    outcome = cli("colorize", film, "-o", tmp_path / "new.mkv", "--json")
    assert outcome.code == 0
    verdict = json.loads(outcome.out)["verification"]
    assert (verdict["ok"], verdict["frames"], verdict["expected_frames"], verdict["problems"]) == (True, 20, 20, [])
    assert [(s["kind"], s["same_bytes"]) for s in verdict["streams"]] == [("audio", True)]
    assert "Verified" in outcome.err


def test_verify_agrees_with_a_good_result(cli, film, tmp_path):
    cli("colorize", film, "-o", tmp_path / "new.mkv")
    outcome = cli("verify", film, tmp_path / "new.mkv", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["ok"]
    assert "20 frames at their times" in outcome.err
    part = cli("colorize", film, "-o", tmp_path / "part.mkv", "--start", "0.2", "--end", "0.6")
    assert part.code == 0
    assert cli("verify", film, tmp_path / "part.mkv", "--start", "0.2", "--end", "0.6").code == 0


def test_verify_exits_with_7_and_says_what_is_wrong(cli, film, tmp_path):
    other = make_film(tmp_path / "other.mkv", frames=18, audio=None)
    outcome = cli("verify", film, other, "--json")
    assert outcome.code == 7
    verdict = json.loads(outcome.out)
    assert not verdict["ok"]
    assert verdict["problems"] == ["it has 18 frames instead of 20.", "it has 0 streams of audio instead of 1."]
    assert "18 frames instead of 20" in outcome.err
    assert cli("verify", film, tmp_path / "missing.mkv").code == 3


def test_the_log_tells_the_whole_story(cli, film, tmp_path):
    log = tmp_path / "run.log"
    assert cli("colorize", film, "-o", tmp_path / "new.mkv", "--log-file", log).code == 0
    text = log.read_text()
    for word in (
        "JobOptions(restart=False",
        "matrix='bt601'",
        "constant_rate=True",
        "segment 0 is finished: 20 frames",
        "Report(",
    ):
        assert word in text
    assert cli("colorize", film, "-o", tmp_path / "new.mkv", "--log-file", log).code == 4
    assert "ended by OutputError" in log.read_text()
    outcome = cli("colorize", film, "-o", tmp_path / "other.mkv", "--log-file", tmp_path / "none" / "run.log")
    assert outcome.code == 4
    assert "run.log cannot be written" in outcome.err


def test_a_changed_option_is_named_and_restart_is_the_way_out(cli, tmp_path):
    shot = SegmentOptions().shortest
    film = make_film(tmp_path / "old.mkv", frames=2 * shot, shots=2, repeat=shot, codec="mpeg4")
    output = tmp_path / "new.mkv"
    with pytest.raises(StoppedError):
        colorize_film(film, output, FilmOptions(color=ColorOptions(device="cpu")), should_stop=lambda: True)
    changed = cli("colorize", film, "-o", output, "--crf", "30")
    assert changed.code == 2
    assert "encode.crf (was None, now 30)" in changed.err
    assert "--restart" in changed.err
    same = cli("colorize", film, "-o", output, "--json")
    assert json.loads(same.out)["resumed_frames"] == shot
    assert f"{shot} of the frames were finished by an earlier run" in same.err
    assert cli("colorize", film, "-o", output, "--crf", "30", "--restart", "--overwrite", "--end", "1").code == 0
    assert stamps(output) == stamps(film)[:25]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.mkv", "old.mkv"]


def test_cut_films_and_films_in_color_need_leave(cli, film, tmp_path):
    cut = tmp_path / "cut.mkv"
    long = make_film(tmp_path / "long.mkv", frames=60)
    cut.write_bytes(long.read_bytes()[: long.stat().st_size // 2])
    refused = cli("colorize", cut, "-o", tmp_path / "new.mkv")
    assert refused.code == 3
    assert "--allow-truncated" in refused.err
    taken = cli("colorize", cut, "-o", tmp_path / "new.mkv", "--allow-truncated")
    assert taken.code == 0
    assert "before its declared end" in taken.err
