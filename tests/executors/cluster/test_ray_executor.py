"""A real Ray cluster of two nodes on this machine: the films are those of a single run, whatever dies on the way."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from synth import SHORT, light, make_film, planes, sound_packets, stamps

from deoldify_video import __version__
from deoldify_video.errors import DependencyError, InputError, OutputError, UsageError
from deoldify_video.executors.base import Advanced, Failed, Finished, Started, Stopped, Task
from deoldify_video.executors.cluster import nodes
from deoldify_video.film.colorize import colorize_film
from deoldify_video.options import ColorOptions, EncodeOptions, FilmOptions, SmoothOptions
from deoldify_video.photo import colorize_photo

ray = pytest.importorskip("ray", reason="Ray is not installed")

pytestmark = [
    pytest.mark.timeout(600),
    # Ray's own: sockets and files that it leaves to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FRAMES, SHOTS = 120, 5
OPTIONS = FilmOptions(
    color=ColorOptions(render_factor=7, device="cpu"),
    encode=EncodeOptions(codec="ffv1"),
    smooth=SmoothOptions(0.9),
    segments=SHORT,
)


@pytest.fixture(scope="module")
def executor(cluster):
    from deoldify_video.executors.cluster import RayExecutor

    return RayExecutor(cluster.address, None, None, OPTIONS)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return make_film(tmp_path_factory.mktemp("film") / "old.mkv", frames=FRAMES, shots=SHOTS, options={"g": "30"})


@pytest.fixture
def whole(film, tmp_path, real_colorizer):
    output = tmp_path / "whole.mkv"
    colorize_film(film, output, OPTIONS, colorizer=real_colorizer)
    return output


class Runner:
    """Gives tasks and notes events as the runner of a batch does; a task whose worker died is tried once more."""

    def __init__(self, executor, *tasks: Task) -> None:
        self.executor, self.pending = executor, deque(tasks)
        self.given: dict[int, Task] = {}
        self.ends: dict[int, Finished | Failed | Stopped] = {}
        self.crashes: list[Failed] = []
        self.stop = False

    def tasks(self):
        while self.pending or self.given:
            if self.pending:
                task = self.pending.popleft()
                self.given[task.key] = task
                yield task
            else:
                yield None

    def events(self):
        with closing(self.executor.run(self.tasks(), lambda: self.stop)) as events:
            for event in events:
                if isinstance(event, Finished | Failed | Stopped):
                    assert event.key not in self.ends
                    task = self.given.pop(event.key)
                    if isinstance(event, Failed) and event.crashed and not self.crashes:
                        self.crashes.append(event)
                        self.pending.append(task)
                    else:
                        self.ends[event.key] = event
                yield event


def film_task(key: int, source: Path, target: Path, **changes) -> Task:
    return replace(Task(key, "film", source, target, OPTIONS), **changes)


def assert_same_film(one: Path, other: Path) -> None:
    for plane in (0, 1, 2):
        np.testing.assert_array_equal(planes(one, plane), planes(other, plane))
    assert stamps(one) == stamps(other)
    assert sound_packets(one) == sound_packets(other)


def test_an_archive_is_spread_over_two_nodes(executor, film, whole, tmp_path, real_colorizer):
    """A divided film, one that is not, a broken one, photos and a broken one; relative paths."""
    names = {slot.name for slot in executor.slots()}
    assert len(names) == 2
    broken, short_film = tmp_path / "broken.mkv", make_film(tmp_path / "short.ts", frames=12)
    broken.write_bytes(b"no film")
    photos = [tmp_path / f"photo{number}.png" for number in range(3)]
    for number, photo in enumerate(photos[:2]):
        cv2.imwrite(str(photo), light(number))
    photos[2].write_bytes(b"no photo")
    new = tmp_path / "new"
    new.mkdir()
    here = os.path.relpath(tmp_path)
    tasks = [
        film_task(1, film, Path(here) / "new/long.mkv"),
        film_task(2, Path(here) / "short.ts", new / "short.mkv"),
        film_task(3, broken, new / "broken.mkv"),
        *(film_task(10 + n, photo, new / photo.name, kind="photo") for n, photo in enumerate(photos)),
    ]
    runner = Runner(executor, *tasks)
    events, ends = list(runner.events()), runner.ends
    assert sorted(ends) == [1, 2, 3, 10, 11, 12]
    assert {key for key, event in ends.items() if isinstance(event, Failed)} == {3, 12}
    assert all(ends[key].error.exit_code == 3 and not ends[key].crashed for key in (3, 12))
    assert_same_film(new / "long.mkv", whole)
    report = ends[1].report
    assert (report.frames, report.shots, report.resumed_frames) == (FRAMES, SHOTS, 0)
    assert report.output == str(tasks[0].target)
    assert report.verification["problems"] == []
    assert len(ends[1].quality.shots) > 0
    advanced = [event for event in events if isinstance(event, Advanced) and event.key == 1]
    assert [event.frames for event in advanced] == sorted(event.frames for event in advanced)
    assert advanced[-1].frames == advanced[-1].total == FRAMES
    assert {event.worker for event in advanced} == names  # both have worked on the one film
    assert {event.key for event in events if isinstance(event, Started)} >= {1, 2, 10, 11}
    single = tmp_path / "single.mkv"
    colorize_film(short_film, single, OPTIONS, colorizer=real_colorizer)
    assert_same_film(new / "short.mkv", single)
    colorize_photo(photos[0], tmp_path / "single.png", OPTIONS, colorizer=real_colorizer)
    np.testing.assert_array_equal(cv2.imread(str(new / photos[0].name)), cv2.imread(str(tmp_path / "single.png")))
    assert sorted(path.name for path in new.iterdir()) == ["long.mkv", photos[0].name, photos[1].name, "short.mkv"]


def test_a_node_is_removed_in_the_middle(cluster, executor, film, whole, tmp_path):
    """Its range is made elsewhere, what was finished is kept, and a node that comes is put to work."""
    output, (_, gone) = tmp_path / "new.mkv", executor.slots()
    nodes = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    runner, removed = Runner(executor, film_task(1, film, output)), False
    for event in runner.events():
        if isinstance(event, Advanced) and event.worker == gone.name and not removed:
            removed = True
            cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
            cluster.add_node(num_cpus=1)
    assert removed
    assert {node["NodeID"] for node in ray.nodes() if node["Alive"]} != nodes
    assert runner.crashes == []
    assert runner.ends[1].report.frames == FRAMES
    assert_same_film(output, whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.mkv", "whole.mkv"]


def pids_of_workers(cluster) -> list[int]:
    """Processes that colour, children of this cluster's nodes."""
    raylets = {str(info.process.pid) for node in cluster.list_all_nodes() for info in node.all_processes["raylet"]}
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                if parent in raylets and b"ray::Worker" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells which processes there are")
def test_stopped_and_killed_and_gone_on(cluster, executor, film, whole, tmp_path):
    """Ctrl-C lets segments be finished. Killed workers fail the film; tried again, it goes on with what is finished."""
    outputs = {1: tmp_path / "new.mkv", 2: tmp_path / "other.mkv"}
    runner, begun = Runner(executor, *(film_task(key, film, output) for key, output in outputs.items())), 0
    for event in runner.events():
        if isinstance(event, Advanced) and not begun:  # whichever of them is prepared first
            begun, runner.stop = event.key, True
    assert [type(event) for event in runner.ends.values()] == [Stopped, Stopped], runner.ends
    output = outputs[begun]
    assert not output.exists()
    runner, killed = Runner(executor, film_task(1, film, output)), []
    for event in runner.events():
        if isinstance(event, Advanced) and not killed:
            assert event.frames > 12  # what the first run has finished is there
            killed = pids_of_workers(cluster)
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
    assert len(killed) == 2
    assert [event.key for event in runner.crashes] == [1]
    assert "worker died" in str(runner.crashes[0].error)
    assert 0 < runner.ends[1].report.resumed_frames < FRAMES
    assert_same_film(output, whole)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux has paths that only one process sees")
def test_storage_that_a_node_does_not_see(executor, film, tmp_path):
    executor.check([film.parent, film], tmp_path)
    assert list(tmp_path.iterdir()) == []
    with film.open("rb") as file:
        os.dup2(file.fileno(), 900)
    try:
        with pytest.raises(InputError, match=r"node .* does not see .*900.* same path"):
            executor.check([Path("/proc/self/fd/900")], tmp_path)
    finally:
        os.close(900)
    with pytest.raises(InputError, match="cannot be read"):
        executor.check([tmp_path / "nothing"], tmp_path)


def test_another_version_on_a_node(cluster, tmp_path):
    with pytest.raises(DependencyError, match=r"node .* the driver 0.0.1; install the same version"):
        nodes.check_storage(ray, [], tmp_path, version="0.0.1")


def test_what_a_node_finds_wrong(tmp_path):
    token = tmp_path / ".deoldify-video-1"
    problem = nodes.problems_here(__version__, [], str(token))
    assert isinstance(problem, OutputError)
    assert "does not see what the driver writes" in str(problem)
    token.write_text("another token")
    assert "sees another" in str(nodes.problems_here(__version__, [], str(token)))
    token.write_text(token.name)
    assert nodes.problems_here(__version__, [(str(tmp_path), [token.name])], str(token)) is None
    assert isinstance(nodes.problems_here(__version__, [(str(token), ["1"])], str(token)), InputError)


def test_a_client_is_refused():
    with pytest.raises(UsageError, match="start the batch on a node"):
        nodes.connected("ray://there:10001")


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyError, match=r"pip install 'deoldify-video\[cluster\]'"):
        nodes.connected(None)


@pytest.mark.parametrize(
    ("resources", "options", "expected"),
    [
        ([{"CPU": 8, "GPU": 2}, {"CPU": 4}], {}, [(1.0, 4.0), (1.0, 4.0)]),
        ([{"CPU": 8, "GPU": 2}, {"CPU": 4}], {"gpus_per_task": 0.5, "most": 3}, [(0.5, 2.0)] * 3),
        ([{"CPU": 8, "GPU": 2}, {"CPU": 4}], {"use_gpus": False}, [(0.0, 8.0), (0.0, 4.0)]),
        ([{"CPU": 1, "GPU": 2}], {}, [(1.0, 0.5), (1.0, 0.5)]),
        ([{"CPU": 0}, {"CPU": 4}], {}, [(0.0, 4.0)]),
        ([{"CPU": 0}], {}, []),
    ],
)
def test_room_for_workers(resources, options, expected):
    class Nodes:
        @staticmethod
        def nodes():
            known = [
                {"NodeID": str(n), "Alive": True, "NodeManagerHostname": "here", "Resources": r}
                for n, r in enumerate(resources)
            ]
            return [*known, {"NodeID": "9", "Alive": False, "NodeManagerHostname": "gone", "Resources": {"CPU": 9}}]

    found = nodes.slots(Nodes, **{"gpus_per_task": None, "use_gpus": True, "most": None, **options})
    assert [(slot.gpus, slot.cpus) for slot in found] == expected
    assert len({slot.name for slot in found}) == len(found)
