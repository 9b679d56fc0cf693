"""Prints the figures of docs/archives.md: what `batch` costs beside plain colorizing, a run that has nothing to do, and many rows.

    python benchmarks/batch.py [--films 4] [--frames 150] [--photos 8] [--repeat 2]
    python benchmarks/batch.py --rows 100000               the driver alone, with files that are done in no time

The first compares `colorize` with several inputs, a loop in one process with one network, with `batch` over the same archive and one
worker, by the processor time of all their processes. What both take for one photo is left out: start-up, and loading the network.
They take turns, and of each the quickest run counts.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from deoldify_video.batch.manifest import Manifest
from deoldify_video.batch.planner import Plan, Settings
from deoldify_video.batch.runner import BatchRunner, Policy
from deoldify_video.executors.base import Finished, Started
from deoldify_video.options import FilmOptions
from deoldify_video.preview.spot_check import QualityCheck
from deoldify_video.report import Report


def make_archive(root: Path, films: int, frames: int, photos: int) -> None:
    """SD films, and photos of 1.5 million pixels, no two of them alike."""
    import cv2  # here, so that they are not in the memory of the driver that is measured
    from film import make_clip
    from skimage import data

    root.mkdir()
    for number in range(films):
        make_clip(root / f"film{number}.mp4", (640, 480), frames + number)
    for number in range(photos):
        picture = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)
        cv2.imwrite(str(root / f"photo{number}.jpg"), cv2.resize(picture[number:], (1400, 1050)))


def processor_s(command: str, *arguments: object) -> float:
    """Seconds of processor that a command takes, with all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "deoldify_video", command, *map(str, arguments), "--quiet"]
    subprocess.run(words, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


class _InstantExecutor:
    """An executor that has done everything at once."""

    _report = Report("", "", "photo", 1, 1, 0.1, 10.0, "compact", "cpu", "fp32", 21, (64, 48))

    def check(self, sources: object, out: object) -> None:
        """Nothing."""

    def run(self, tasks: object, should_stop: object) -> Iterator[Started | Finished]:
        """Every task is finished as soon as it is taken."""
        for task in tasks:  # type: ignore[attr-defined]
            yield Started(task.key, "nobody")
            yield Finished(task.key, "nobody", self._report, QualityCheck())


class _NoObserver:
    def started(self, *args: object) -> None: ...
    def advanced(self, *args: object) -> None: ...
    def ended(self, *args: object, again: bool) -> None: ...


def many_rows(rows: int, out: Path) -> None:
    """The driver over so many photos that do not exist."""
    with Manifest(out / "manifest.sqlite") as manifest:
        number = manifest.begin_run([])
        manifest.change(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            " INSERT INTO items (source, archive, run, kind, size, hash, target, folded, turn)"
            " SELECT '/none/' || i || '.png', '/none', ?, 'photo', 1, i, i || '.png', i || '.png', i FROM n",
            *(rows, number),
        )
        plan = Plan(manifest, out, number, Settings(FilmOptions(), weights="none"))
        began, before = time.process_time(), peak_mb()
        plan.resolve_states()
        BatchRunner(plan, _InstantExecutor(), Policy(), _NoObserver()).run(lambda: False)
        each_ms = (time.process_time() - began) / rows * 1000
        print(f"{rows} rows: {each_ms:.2f} ms of processor a row; memory {before:.0f} MB before, {peak_mb():.0f} MB at most")


def peak_mb() -> float:
    """The largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(options: argparse.Namespace, folder: Path) -> None:
    """Plain colorizing beside `batch`."""
    archive, start = folder / "archive", folder / "start"
    make_archive(archive, options.films, options.frames, options.photos)
    make_archive(start, 0, 0, 1)
    seconds: dict[str, list[float]] = {"colorize": [], "batch": []}
    for number in range(options.repeat):
        for command, found in seconds.items():
            out = folder / f"{command} {number}"
            begin = processor_s(command, start, "-o", f"{out} start")
            found.append(processor_s(command, archive, "-o", out) - begin)
    plain, batch = min(seconds["colorize"]), min(seconds["batch"])
    began = time.monotonic()
    processor_s("batch", archive, "-o", folder / "batch 0")
    nothing = time.monotonic() - began
    print(
        f"{options.films} films of {options.frames} frames and {options.photos} photos, seconds of processor without start-up:"
    )
    print(f"colorize {plain:.1f}, batch {batch:.1f} ({batch / plain - 1:+.1%}); a run with nothing to do takes {nothing:.2f} s")


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=4)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--photos", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--rows", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.rows:
            many_rows(options.rows, Path(folder))
        else:
            compare(options, Path(folder))


if __name__ == "__main__":
    main()
