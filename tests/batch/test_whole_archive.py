"""An archive of 60 items, from the first run to the report: all accounted for, nothing done twice."""

from __future__ import annotations

import json
import os
from collections import Counter

import pytest
from batches import OPTIONS, batch, listing, rows, run, statuses
from synth import colorfulness, stamps
from tree import EXPECTED, ODD_FILM

from deoldify_video.images.pictures import read_picture


@pytest.fixture(scope="module")
def done(whole_tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("done") / "out"
    report = out.parent / "report.html"
    outcome = batch(whole_tree, out, "--report", report, "--json")
    return outcome, out, report


def test_every_item_is_accounted_for(whole_tree, done):
    outcome, _, _ = done
    files = [path for path in whole_tree.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert len(files) == sum(EXPECTED.values()) == 60
    told = json.loads(outcome.out)
    assert outcome.code == 1  # four cannot be done
    assert {state: number for state, number in told["counts"].items() if number} == EXPECTED
    assert {os.fsencode(item["source"]) for item in told["items"]} == {os.fsencode(path) for path in files}


def test_the_tree_that_comes_out_is_the_one_that_went_in(whole_tree, done):
    _, out, _ = done
    made = set(listing(out))
    wanted = {item.target for item in rows(out).values() if item.state == "done"}
    assert made == wanted
    assert "films/Café, 1930/reel 04.mkv" in made
    assert "odd/r%E9el %FF.mp4" in made
    assert not [path for path in out.rglob(".*") if path.name != ".deoldify-video"]


def test_outputs_are_in_color_and_keep_their_times(whole_tree, done):
    _, out, _ = done
    film = "films/1920s/reel 01.mkv"
    assert colorfulness(out / film) > 5
    assert stamps(out / film) == stamps(whole_tree / film)
    picture = read_picture(out / "photos/album one/photo 01.jpg").astype(int)
    assert abs(picture[..., 0] - picture[..., 2]).mean() > 5


def test_what_is_left_out_and_what_failed_says_why(done):
    _, out, _ = done
    found = rows(out)
    assert "in colour" in found["in colour.mp4"].reason
    assert "in colour" in found["in colour.png"].reason
    assert "is text" in found["notes.txt"].reason or "no film or picture" in found["notes.txt"].reason
    twins = [found["photo 00.jpg"], found["the same photo.jpg"]]
    assert Counter(item.state for item in twins) == {"done": 1, "skipped": 1}
    assert "byte for byte" in next(item for item in twins if item.state == "skipped").reason
    for name in ("broken.mp4", "empty.mkv", "broken.jpg", "cut.png"):
        assert (found[name].state, found[name].exit_code) == ("failed", 3), name
        assert name in str(found[name].error)


def test_the_manifest_tells_all_about_a_film(done):
    _, out, _ = done
    odd = next(item for item in rows(out).values() if os.fsencode(item.source.name) == ODD_FILM)
    assert (odd.kind, odd.width, odd.height, odd.frames_done, odd.segments, odd.attempts) == ("film", 64, 48, 36, 3, 1)
    assert odd.fps > 0
    assert odd.seconds > 0
    assert odd.verification is not None
    assert odd.verification["ok"] is True
    assert "compact at render factor 7 on cpu" in odd.network


def test_a_second_run_does_nothing_quickly_and_without_torch(whole_tree, done):
    _, out, _ = done
    before = listing(out)
    again = batch(whole_tree, out, PYTHONPROFILEIMPORTTIME=1)
    imported = {line.rpartition("|")[2].strip() for line in again.err.splitlines() if line.startswith("import time:")}
    assert again.code == 1  # what cannot be done still cannot
    assert "52 done, 4 failed, 4 left out" in again.err
    assert 0 < again.processor_s < 2
    assert not {"torch", "cv2", "skimage"} & imported
    assert "typer" in imported
    assert listing(out) == before


def test_status_tells_the_same_after_the_end(done):
    _, out, _ = done
    told = statuses(out)
    assert told["running"] is False
    assert told["counts"]["done"] == EXPECTED["done"]
    text = run("batch-status", out).out
    assert "52 done, 4 failed, 4 left out" in text
    assert "empty.mkv is empty" in text


def test_status_of_a_folder_without_a_batch_is_refused(tmp_path):
    outcome = run("batch-status", tmp_path)
    assert outcome.code == 3
    assert "holds no batch" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_plan_shows_everything_and_leaves_no_trace(whole_tree, tmp_path):
    outcome = batch(whole_tree, tmp_path / "out", "--plan", "--render-factor", "8", TRIAL=1)
    assert outcome.code == 0
    assert "52 to do, 4 failed, 4 left out" in outcome.err
    assert "about" in outcome.err
    assert "with one worker, by a trial on" in outcome.err
    assert "reel 01.mkv -> films/1920s/reel 01.mkv" in outcome.out
    assert list(tmp_path.iterdir()) == []


def test_a_plan_of_a_finished_archive_has_nothing_to_do_and_changes_nothing(whole_tree, done):
    _, out, _ = done
    before = (out / ".deoldify-video" / "manifest.sqlite").read_bytes()
    outcome = batch(whole_tree, out, "--plan", "--json")
    assert json.loads(outcome.out)["counts"]["pending"] == 0
    assert (out / ".deoldify-video" / "manifest.sqlite").read_bytes() == before


def test_an_option_that_changed_is_told_and_needs_redo(whole_tree, done):
    _, out, _ = done
    before = listing(out)
    changed = run("batch", whole_tree, "-o", out, *OPTIONS, "--style", "vibrant")
    assert changed.code == 2
    assert "made otherwise: 52 finished; changed is style (was natural, now vibrant)" in changed.err
    assert "--redo" in changed.err
    assert listing(out) == before
