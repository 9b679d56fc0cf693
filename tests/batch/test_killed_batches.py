"""A batch, or one of its workers, is stopped or killed, and the next run goes on from what is left."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time

import numpy as np
import pytest
from batches import OPTIONS, batch, finish, listing, rows, run, start, statuses
from synth import planes

from deoldify_video.images.pictures import read_picture


def same_contents(out, other):
    """Every output of one run is, sample for sample, in the other."""
    assert listing(out).keys() == listing(other).keys()
    for name in listing(out):
        if name.endswith(".png"):
            assert np.array_equal(read_picture(out / name), read_picture(other / name)), name
        else:
            for plane in (0, 1, 2):
                pairs = zip(planes(out / name, plane), planes(other / name, plane), strict=True)
                assert all(np.array_equal(a, b) for a, b in pairs), name


def wait_until(ready, process=None, seconds=60):
    deadline = time.monotonic() + seconds
    while not ready():
        assert process is None or process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture(scope="module")
def counted_run(_small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    assert batch(_small, folder / "out", WRITES=folder / "writes").code == 0
    return folder / "out", int((folder / "writes").read_text())


@pytest.fixture
def undisturbed(counted_run):
    """The same archive, done without disturbance."""
    return counted_run[0]


# Shares of the driver's writes: in the search, before the first film, in and behind the films, among the photos. And how many files
# must be finished by then.
@pytest.mark.parametrize(("share", "finished"), [(0.1, 0), (0.5, 0), (0.6, 0), (0.75, 1), (0.97, 4)])
def test_a_batch_that_is_killed_loses_nothing(archive, tmp_path, counted_run, share, finished):
    (undisturbed, writes), out, pids = counted_run, tmp_path / "out", tmp_path / "pids"
    kill_at = round(share * writes)
    pids.mkdir()
    killed = batch(archive, out, KILL_AT=kill_at, WORKER_PIDS=pids)
    assert killed.code == -signal.SIGKILL
    wait_until(lambda: not any(is_alive(int(path.name)) for path in pids.iterdir()), seconds=3)
    assert [item.state for item in rows(out).values()].count("done") >= finished
    before = listing(out)
    assert len(before) >= finished
    assert batch(archive, out).code == 0
    after = listing(out)
    assert {name: after[name] for name in before} == before  # what was finished is not done again
    same_contents(out, undisturbed)
    assert [item.state for item in rows(out).values()] == ["done"] * 5
    assert not list(out.rglob(".*.part*"))
    assert not list(out.rglob("*.work"))


def test_a_worker_that_is_killed_is_replaced_and_its_film_tried_again(archive, tmp_path, undisturbed):
    out = tmp_path / "out"
    outcome = batch(archive, out, POISON="a.mkv", POISON_ONCE=tmp_path / "poisoned")
    assert outcome.code == 0, outcome.err
    assert "killed by SIGKILL" in outcome.err
    found = rows(out)
    assert (found["a.mkv"].state, found["a.mkv"].attempts) == ("done", 2)
    assert found["b.mp4"].attempts == 1
    same_contents(out, undisturbed)


def test_a_worker_killed_from_outside_goes_on_with_its_segments(archive, tmp_path, undisturbed):
    out, pids = tmp_path / "out", tmp_path / "pids"
    pids.mkdir()
    process = start("batch", archive, "-o", out, *OPTIONS, WORKER_PIDS=pids, SLOW_S=0.04)
    wait_until((out / ".a.mkv.work" / "part-00001.mkv").exists, process)
    os.kill(int(next(pids.iterdir()).name), signal.SIGKILL)
    outcome = finish(process)
    assert outcome.code == 0, outcome.err
    item = rows(out)["a.mkv"]
    assert item.attempts == 2
    assert item.segments > 1
    same_contents(out, undisturbed)


@pytest.mark.parametrize("poison", ["b.mp4", "1.png"])
def test_what_kills_every_worker_is_set_aside_and_the_rest_is_done(archive, tmp_path, poison):
    out = tmp_path / "out"
    outcome = batch(archive, out, "--retry", 1, "--report", tmp_path / "report.html", POISON=poison)
    assert outcome.code == 1
    found = rows(out)
    assert (found[poison].state, found[poison].attempts, found[poison].exit_code) == ("failed", 2, 1)
    assert "the worker was killed by SIGKILL" in str(found[poison].error)
    assert {item.state for name, item in found.items() if name != poison} == {"done"}
    assert all(item.attempts == 1 for name, item in found.items() if name != poison)
    page = (tmp_path / "report.html").read_text()
    assert f"deoldify-video colorize {archive / found[poison].target} -o {out / found[poison].target}" in page
    mended = batch(archive, out)
    assert mended.code == 0
    assert rows(out)[poison].state == "done"


def test_stop_on_error_leaves_the_rest(archive, tmp_path):
    out = tmp_path / "out"
    outcome = batch(archive, out, "--retry", 0, "--stop-on-error", POISON="a.mkv")
    assert outcome.code == 1
    assert sorted(item.state for item in rows(out).values()) == ["failed", *["pending"] * 4]
    assert batch(archive, out).code == 0


def test_one_interrupt_keeps_the_segments_and_the_next_run_goes_on(archive, tmp_path, undisturbed):
    out = tmp_path / "out"
    process = start("batch", archive, "-o", out, *OPTIONS, SLOW_S=0.05)
    wait_until((out / ".a.mkv.work" / "part-00000.mkv").exists, process)
    process.send_signal(signal.SIGINT)
    outcome = finish(process)
    assert outcome.code == 130
    assert "Stopping after this segment" in outcome.err
    stopped = rows(out)["a.mkv"]
    assert stopped.state == "pending"
    assert stopped.segments >= 1
    assert "to go on with" in run("batch-status", out).out
    assert batch(archive, out, "--log-file", tmp_path / "log.txt").code == 0
    log = (tmp_path / "log.txt").read_text()
    assert re.search(rf"going on after \d+ frames in {stopped.segments} segments", log), log
    same_contents(out, undisturbed)


def test_two_interrupts_stop_at_once(archive, tmp_path):
    out, pids = tmp_path / "out", tmp_path / "pids"
    pids.mkdir()
    process = start("batch", archive, "-o", out, *OPTIONS, SLOW_S=0.5, WORKER_PIDS=pids)
    wait_until((out / ".a.mkv.work" / "part-00000.mkv").exists, process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    outcome = finish(process)
    assert outcome.code == 130
    assert time.monotonic() - began < 3
    assert not any(is_alive(int(path.name)) for path in pids.iterdir())
    assert rows(out)["a.mkv"].state == "pending"


def test_a_changed_option_asks_before_it_throws_segments_away(archive, tmp_path):
    out = tmp_path / "out"
    process = start("batch", archive, "-o", out, *OPTIONS, SLOW_S=0.05)
    wait_until((out / ".a.mkv.work" / "part-00000.mkv").exists, process)
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 130
    changed = batch(archive, out, "--saturation", 2)
    assert changed.code == 2
    assert "made otherwise: 1 unfinished" in changed.err
    assert "saturation (was 1.0, now 2.0)" in changed.err
    assert (out / ".a.mkv.work" / "part-00000.mkv").exists()
    assert batch(archive, out, "--saturation", 2, "--redo").code == 0


def test_a_second_batch_on_the_same_folder_is_refused(archive, tmp_path):
    out = tmp_path / "out"
    process = start("batch", archive, "-o", out, *OPTIONS, SLOW_S=0.1)
    wait_until((out / ".a.mkv.work").exists, process)
    second = batch(archive, out)
    assert second.code == 4
    assert "is worked on by another batch" in second.err
    told = statuses(out)
    assert told["running"] is True
    assert told["counts"]["running"] >= 1
    assert finish(process).code == 0


def test_a_plan_touches_nothing_that_a_killed_run_has_left(archive, tmp_path):
    out = tmp_path / "out"
    process = start("batch", archive, "-o", out, *OPTIONS, SLOW_S=0.1)
    wait_until((out / ".a.mkv.work" / "part-00000.mkv").exists, process)
    process.kill()
    process.communicate()
    stray = out / ".a.123.part.mkv"
    stray.touch()
    assert batch(archive, out, "--plan").code == 0
    assert stray.exists()
    assert (out / ".a.mkv.work" / "part-00000.mkv").exists()
    assert rows(out)["a.mkv"].state == "running"
    assert batch(archive, out).code == 0
    assert not stray.exists()


def test_a_plan_can_be_made_while_a_batch_runs(archive, tmp_path):
    out = tmp_path / "out"
    process = start("batch", archive, "-o", out, *OPTIONS, SLOW_S=0.1)
    wait_until((out / ".a.mkv.work").exists, process)
    shutil.copy(archive / "b.mp4", archive / "c.mp4")
    assert batch(archive, out, "--plan").code == 0
    assert finish(process).code == 0
    assert "c.mp4" not in rows(out)
