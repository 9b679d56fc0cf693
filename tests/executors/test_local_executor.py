"""The local executor by itself: photos together, several workers, tasks that come later, and workers that cannot begin."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from synth import make_film
from tree import make_photo

sys.path.append(str(Path(__file__).resolve().parent))
import stub_worker

from deoldify_video.errors import DependencyError, InputError
from deoldify_video.executors import worker
from deoldify_video.executors.base import Failed, Finished, Started, Stopped, Task
from deoldify_video.executors.local import LocalExecutor
from deoldify_video.executors.worker import Placement
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import ColorOptions, FilmOptions
from deoldify_video.photo import colorize_photos
from deoldify_video.preview.spot_check import check_quality
from deoldify_video.report import Report

OPTIONS = FilmOptions(color=ColorOptions(device="cpu", batch_size=4))


def local_executor(jobs=None, entry=stub_worker.run_worker):
    return LocalExecutor(OPTIONS, jobs, entry=entry)


def photo_tasks(folder, count):
    for number in range(count):
        source = make_photo(folder / f"{number}.png", number)
        yield Task(number, "photo", source, folder / f"new {number}.png", OPTIONS)


def never():
    return False


def test_photos_of_one_size_go_through_the_network_together(tmp_path, stub_colorizer):
    sizes = [(64, 48)] * 5 + [(48, 64)] * 2 + [(64, 48)] * 2
    jobs = []
    for number, size in enumerate(sizes):
        source = make_photo(tmp_path / f"{number}.png", number, size=size)
        jobs.append((source, tmp_path / f"new {number}.png", OPTIONS))
    (tmp_path / "3.png").write_bytes(b"no picture")
    begun = []
    outcomes = dict(colorize_photos(jobs, stub_colorizer, on_start=begun.append))
    assert begun == list(range(9))
    assert sorted(stub_colorizer.network.batches) == [
        2,
        2,
        4,
    ]  # five of one shape but the broken one and two more, two of another
    assert isinstance(outcomes.pop(3), InputError)
    assert sorted(outcomes) == [0, 1, 2, 4, 5, 6, 7, 8]
    for number, report in outcomes.items():
        assert isinstance(report, Report)
        with Image.open(report.output) as image:
            assert image.size == sizes[number]


def test_photos_stop_between_two(tmp_path, stub_colorizer):
    jobs = [(make_photo(tmp_path / f"{n}.png", n), tmp_path / f"new {n}.png", OPTIONS) for n in range(4)]
    begun = []
    done = dict(colorize_photos(jobs, stub_colorizer, on_start=begun.append, should_stop=lambda: len(begun) == 2))
    assert sorted(done) == begun == [0, 1]


def test_photos_together_and_alone_come_out_alike(tmp_path, stub_colorizer):
    from deoldify_video.images.pictures import read_picture
    from deoldify_video.photo import colorize_photo

    jobs = [(make_photo(tmp_path / f"{n}.png", n), tmp_path / f"new {n}.png", OPTIONS) for n in range(3)]
    assert len(dict(colorize_photos(jobs, stub_colorizer))) == 3
    for source, target, _ in jobs:
        alone = tmp_path / f"alone {target.name}"
        colorize_photo(source, alone, OPTIONS, colorizer=stub_colorizer)
        assert (read_picture(alone) == read_picture(target)).all()


def test_two_workers_share_the_tasks_and_take_them_as_they_need_them(tmp_path):
    names, taken, ended = set(), 0, 0
    film = make_film(tmp_path / "film.mkv", frames=10, audio=None)

    def tasks():
        nonlocal taken
        while len(names) < 2 and taken < 300:  # the first does them alone until the second is ready
            taken += 1
            yield Task(taken, "film", film, tmp_path / f"new {taken}.mkv", OPTIONS)

    executor = local_executor(2)
    for event in executor.run(tasks(), never):
        if isinstance(event, Started):
            names.add(event.worker)
            assert taken <= ended + 3  # two being done, and one at hand
        if isinstance(event, Finished):
            ended += 1
    assert ended == taken
    assert names == {"worker 1", "worker 2"}
    assert multiprocessing.active_children() == []


def test_a_task_may_come_while_the_last_one_is_done(tmp_path):
    """As one that has failed and is to be tried again."""
    first, second = photo_tasks(tmp_path, 2)
    late = replace(second, source=tmp_path / "missing.png")
    ended = []

    def tasks():
        yield first
        while not ended:
            yield None
        yield late

    for event in local_executor().run(tasks(), never):
        if isinstance(event, Finished | Failed):
            ended.append(event)
    assert [type(event) for event in ended] == [Finished, Failed]
    assert ended[1].error.exit_code == 3
    assert not ended[1].crashed


def test_what_was_taken_and_not_begun_is_given_back_when_stopped(tmp_path):
    events = list(local_executor().run(photo_tasks(tmp_path, 5), lambda: True))
    assert events == []  # none was taken
    asked = 0

    def should_stop():
        nonlocal asked
        asked += 1
        return asked > 1

    events = list(local_executor().run(photo_tasks(tmp_path, 5), should_stop))
    assert [(event.key, type(event)) for event in events] == [(number, Stopped) for number in range(5)]


def test_workers_that_never_get_ready_end_the_batch(tmp_path):
    with pytest.raises(DependencyError, match=r"end before they can begin .*code 3"):
        list(local_executor(entry=stub_worker.dead_on_arrival).run(photo_tasks(tmp_path, 1), never))


def test_a_network_that_is_not_there_ends_the_batch(tmp_path):
    options = FilmOptions(color=ColorOptions(model=str(tmp_path / "missing.safetensors"), device="cpu"))
    with pytest.raises(DependencyError, match="missing"):
        list(LocalExecutor(options).run(photo_tasks(tmp_path, 1), never))


def test_workers_get_gpus_in_turn_and_cores_in_shares():
    places = [Placement.of(number, gpus=0, share=3, cores=range(8)) for number in range(3)]
    assert [place.cores for place in places] == [(0, 1), (2, 3, 4), (5, 6, 7)]
    assert [Placement.of(number, gpus=2, share=3).gpu for number in range(3)] == ["0", "1", "0"]
    assert [Placement.of(number, gpus=2, share=3, named="5,7").gpu for number in range(3)] == ["5", "7", "5"]
    assert Placement.of(4, gpus=0, share=5, cores=range(2)).cores == (1,)
    assert Placement.of(2, gpus=0, share=5, cores=range(2)).cores == (0,)
    assert Placement.of(0, gpus=0, share=1, cores=range(8)) == Placement()
    assert Placement.of(1, gpus=0, share=2) == Placement()  # where the system does not say which cores there are


@pytest.mark.parametrize(("cores", "batches", "threads"), [(1, 1, 1), (2, 2, 1), (8, 2, 4)])
def test_the_network_uses_the_cores_that_it_is_given(stub_spec, monkeypatch, cores, batches, threads):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    colorizer = Colorizer(ColorOptions(device="cpu"))
    assert (colorizer._workers, colorizer._worker_threads) == (batches, threads)


def test_an_unforeseen_error_is_told_and_does_not_end_the_worker(tmp_path, stub_colorizer):
    def fails(x):
        raise ZeroDivisionError("nothing to divide by")

    stub_colorizer.network.forward = fails
    for count in (1, 2):
        sent = []
        tasks = list(photo_tasks(tmp_path, count))
        events = list(worker.run_tasks(tasks, stub_colorizer, "worker 1", threading.Event(), sent.append))
        assert [type(event) for event in sent] == [Started] * count
        assert [type(event) for event in events] == [Failed] * count
        assert (events[0].error.exit_code, events[0].crashed) == (1, False)
        assert "ZeroDivisionError: nothing to divide by" in str(events[0].error)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
def test_the_quality_of_a_film_is_checked_at_places_all_over_it(tmp_path, suffix):
    film = make_film(tmp_path / f"film{suffix}", frames=200, shots=4, audio=None, options={"g": "25"}, chroma=140)
    found = check_quality(film)
    assert found.problem == ""
    assert len(found.shots) == 4
    seconds = [shot.seconds for shot in found.shots]
    assert seconds == sorted(set(seconds))
    assert seconds[-1] > 4
    for shot in found.shots:
        assert shot.colorfulness > 1
        assert shot.warp_ab is not None
        assert 0 <= shot.warp_ab < 5
        assert shot.strip.startswith(b"\xff\xd8")


def test_what_cannot_be_checked_says_so(tmp_path):
    (tmp_path / "film.mkv").write_bytes(b"no film")
    found = check_quality(tmp_path / "film.mkv")
    assert found.shots == ()
    assert "could not be measured" in found.problem
