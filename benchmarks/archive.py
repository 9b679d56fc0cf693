"""Prints the tables of docs/scaling.md: what the executors cost beside plain `colorize`, and what the parts of an archive's work take.

    python benchmarks/archive.py [--films 3] [--frames 500] [--repeat 2]    the executors against a loop of `colorize_film`
    python benchmarks/archive.py --ways loop,ray                            only some of them
    python benchmarks/archive.py --divided [--frames 6500]                  one long film, made in ranges by two workers
    python benchmarks/archive.py --parts [--frames 1500]                    reading, putting together, the driver

The executors and the loop do the same films in turn, each in a process of its own, all in one run. A first film, which is not
counted, starts every process and loads the network. Beside wall time the processors' time of the driver and all workers is printed:
it says what a way costs, also where other programs take the processors. Ray's own servers run whether there is work or not; what they
take is printed for a second of wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from film import SIZES, make_clip

from deoldify_video.executors.base import Executor, Finished, Task
from deoldify_video.film.journal import Journal, Segment
from deoldify_video.media.probe import probe
from deoldify_video.options import ColorOptions, EncodeOptions, FilmOptions

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
WARM_FRAMES = 60
OPTIONS = FilmOptions(encode=EncodeOptions(overwrite=True))


@dataclass(frozen=True)
class Spent:
    """Wall time, the processors' time of all processes, and of Ray's own among them; seconds."""

    wall: float
    processor: float
    servers: float

    def since(self, began: Spent) -> Spent:
        """The time spent since then."""
        return Spent(self.wall - began.wall, self.processor - began.processor, self.servers - began.servers)


def processor_seconds() -> Spent:
    """Of this process and all below it, those that have ended included."""
    children: dict[int, list[int]] = {}
    seconds: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(folder.name))
            seconds[int(folder.name)] = sum(map(int, fields[11:15])) / CLOCK_TICKS
    total, servers, waiting = 0.0, 0.0, [os.getpid()]
    while waiting:
        pid = waiting.pop()
        total += seconds.get(pid, 0.0)
        servers += seconds.get(pid, 0.0) * is_server(pid)
        waiting += children.get(pid, [])
    return Spent(time.perf_counter(), total, servers)


def is_server(pid: int) -> bool:
    """Whether a process is one of Ray's own, which run whether there is work or not."""
    try:
        command = (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return False
    return b"Agent" in command if command.startswith(b"ray::") else b"/ray/" in command


def in_a_loop(films: Sequence[tuple[Path, Path]], options: FilmOptions) -> Spent:
    """The time that all films but the first take."""
    from deoldify_video import colorize_film
    from deoldify_video.models.colorizer import Colorizer

    colorizer = Colorizer(options.color)
    began = processor_seconds()
    for number, (source, target) in enumerate(films):
        colorize_film(source, target, options, colorizer=colorizer)
        if number == 0:
            began = processor_seconds()
    return processor_seconds().since(began)


def with_executor(executor: Executor, films: Sequence[tuple[Path, Path]], options: FilmOptions) -> Spent:
    """The same; the first film is done before the others are given."""
    began: Spent | None = None
    done = 0

    def tasks() -> Iterator[Task | None]:
        for number, (source, target) in enumerate(films):
            while number > 0 and began is None:
                yield None
            yield Task(number, "film", source, target, options)
        while done < len(films):
            yield None

    with closing(executor.run(tasks(), lambda: False)) as events:  # type: ignore[type-var]
        for event in events:
            if isinstance(event, Finished):
                done += 1
                if began is None:
                    began = processor_seconds()
                elif done == len(films):
                    return processor_seconds().since(began)
    raise SystemExit("a film has failed")


def local_executor(options: FilmOptions) -> Executor:
    from deoldify_video.executors.local import LocalExecutor

    return LocalExecutor(options)


def ray_executor(options: FilmOptions, nodes: int = 1) -> Executor:
    """On this machine; several `nodes` share it as if they were machines."""
    from deoldify_video.executors.cluster import RayExecutor

    os.environ |= {"RAY_worker_niceness": "0"}  # Ray makes way for other programs; the ways are to be compared
    address = None
    if nodes > 1:
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        for _ in range(nodes - 1):
            cluster.add_node(num_cpus=1)
        address = cluster.address
    return RayExecutor(address, None, None, options)


def child(way: str, films: Sequence[tuple[Path, Path]], options: FilmOptions) -> None:
    """Do all films in one way, and print what it took."""
    if way == "loop":
        spent = in_a_loop(films, options)
    else:
        executor = local_executor(options) if way == "local" else ray_executor(options, 2 if way == "divided" else 1)
        spent = with_executor(executor, films, options)
    print(json.dumps(asdict(spent)))


def measure(way: str, films: int, folder: Path, factor: int | None) -> dict[str, float]:
    """Do the films in a process of its own."""
    command = [sys.executable, __file__, "--child", way, str(folder), "--films", str(films)]
    command += ["--render-factor", str(factor)] if factor else []
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(answer.strip().splitlines()[-1])


def compare(ways: Sequence[str], films: int, frames: int, repeat: int, folder: Path, factor: int | None) -> None:
    """Print wall and processor time of each way, against the first of them."""
    make_clip(folder / "film0.mp4", SIZES["SD"], WARM_FRAMES)
    for number in range(1, films + 1):
        make_clip(folder / f"film{number}.mp4", SIZES["SD"], frames)
    rows: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(repeat):
        for way in ways:
            rows[way].append(measure(way, films, folder, factor))
    total = films * frames
    print(f"{films} SD film{'s' if films > 1 else ''} of {frames} frames:\n")
    print("| way | wall | against the loop | processors | a frame | against the loop | Ray's servers, a second of wall time |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    middle = {way: {key: statistics.median(row[key] for row in rows[way]) for key in rows[way][0]} for way in ways}
    first = middle[ways[0]]
    for way, row in middle.items():
        films_s = row["processor"] - row["servers"]
        wall, processors = row["wall"] / first["wall"] - 1, films_s / first["processor"] - 1
        print(
            f"| {way} | {row['wall']:.1f} s | {wall:+.1%} | {films_s:.1f} s | {1000 * films_s / total:.1f} ms | {processors:+.1%} "
            f"| {1000 * row['servers'] / row['wall']:.0f} ms |",
            flush=True,
        )


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of `work` in this process, and its result."""
    before = time.process_time()
    result = work()
    return time.process_time() - before, result


def parts(frames: int, folder: Path) -> None:
    """Print what each part takes: of a film beside the network, and of the driver."""
    from deoldify_video.film.finalize import finalize_film
    from deoldify_video.film.job import FilmJob, NetworkFacts
    from deoldify_video.film.partition import partition_film
    from deoldify_video.film.preflight import preflight
    from deoldify_video.film.segments import SegmentRange, make_segments
    from deoldify_video.media.decode import SeekPoint
    from deoldify_video.models.colorizer import Colorizer
    from deoldify_video.preview.spot_check import check_quality

    colorizer = Colorizer(ColorOptions())
    colorizer._forward = lambda gray: np.full((len(gray), 2, *gray.shape[1:]), 20, np.float32)  # type: ignore[method-assign]
    print("| part | SD | HD |\n|---|---:|---:|")
    columns: list[list[tuple[str, str]]] = []
    for name, size in SIZES.items():
        clip, output = folder / f"{name}.mp4", folder / f"{name}-colour.mp4"
        count = frames if name == "SD" else frames // 4
        make_clip(clip, size, count)
        preflight_s, found = timed(lambda c=clip, o=output: preflight(probe(c), o, OPTIONS))
        job = FilmJob(found, output, OPTIONS, NetworkFacts.of(colorizer))
        fingerprint_s, fingerprint = timed(job.fingerprint)
        read_s, _ = timed(lambda j=job: [None for _ in j.reader(SeekPoint())])
        scan_s, scanned = timed(lambda j=job: list(partition_film(j, {})))
        journal = Journal(output, fingerprint)
        reader = job.reader(SegmentRange().seek_point)
        making_s, made = timed(
            lambda j=job, r=reader, f=journal.folder: list(make_segments(j, colorizer, f, SegmentRange(), r))
        )
        segments = [segment for _, segment in made]
        finish_s, _ = timed(lambda j=job, s=segments, f=journal.folder, t=scanned[-1]: finalize_film(j, f, s, t))
        quality_s, _ = timed(lambda o=output: check_quality(o))
        journal.close(remove=True)
        size_mb = output.stat().st_size / 1e6
        columns.append(
            [
                ("check a film", f"{preflight_s + fingerprint_s:.2f} s"),
                ("read it", f"{1000 * read_s / count:.2f} ms a frame"),
                ("read it and find its cuts", f"{1000 * scan_s / count:.2f} ms a frame"),
                ("make it, the network left out", f"{1000 * making_s / count:.2f} ms a frame"),
                ("put it together and compare", f"{1000 * finish_s / count:.2f} ms a frame"),
                ("check its quality", f"{quality_s:.2f} s"),
                ("source", f"{clip.stat().st_size / 1e3 / count:.1f} kB a frame"),
                ("result", f"{1e3 * size_mb / count:.1f} kB a frame"),
            ]
        )
    for row in zip(*columns, strict=True):
        print(f"| {row[0][0]} | {' | '.join(text for _, text in row)} |")
    runner_costs(folder)


def runner_costs(folder: Path) -> None:
    """Print what the driver does for every segment and every task, and how large its messages are."""
    import pickle

    count = 200
    journal = Journal(folder / "film.mkv", {"version": "1"})
    segment = Segment(
        "part-00000.mkv", "0" * 32, "", list(range(0, 400 * 512, 512)), 2, 512, 1, in_mid_shot=False, seekable=True
    )
    began = time.perf_counter()
    for number in range(count):
        journal.add(number, segment)
    entry_s = (time.perf_counter() - began) / count
    journal.close(remove=True)
    print(
        f"\nan entry in a journal, on this disk: {1000 * entry_s:.2f} ms; its message: {len(pickle.dumps((0, segment))) / 1000:.1f} kB"
    )
    import ray

    from deoldify_video.executors.cluster.nodes import connected

    connected(None)

    @ray.remote(num_cpus=0)
    class Empty:
        def items(self, number: int) -> Iterator[Any]:
            for n in range(number):
                yield n, segment

    empty = Empty.remote()
    times = {}
    for items in (1, 200):
        list(map(ray.get, empty.items.options(num_returns="streaming").remote(items)))
        began = time.perf_counter()
        for _ in range(20):
            list(map(ray.get, empty.items.options(num_returns="streaming").remote(items)))
        times[items] = (time.perf_counter() - began) / 20
    print(
        f"a task through Ray and back: {1000 * times[1]:.1f} ms; every further item: {1000 * (times[200] - times[1]) / 199:.2f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--films", type=int, default=3)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--render-factor", type=int)
    parser.add_argument("--ways", default="loop,local,ray")
    parser.add_argument("--divided", action="store_true")
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        way, folder = given.child[0], Path(given.child[1])
        films = [(folder / f"film{number}.mp4", folder / f"{way}{number}.mp4") for number in range(given.films + 1)]
        child(way, films, replace(OPTIONS, color=ColorOptions(render_factor=given.render_factor)))
        return
    with tempfile.TemporaryDirectory() as folder:
        if given.parts:
            parts(given.frames or 1500, Path(folder))
        elif given.divided:
            compare(("loop", "divided"), 1, given.frames or 6500, given.repeat, Path(folder), given.render_factor)
        else:
            compare(given.ways.split(","), given.films, given.frames or 500, given.repeat, Path(folder), given.render_factor)


if __name__ == "__main__":
    main()
