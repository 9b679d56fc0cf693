"""Runs on the nodes: workers, which have the network, and functions beside them that need none.

Paths and numbers come in, entries of the journal and events go out, never frames. What gives several things is a generator, so that the
driver hears of each when it is done. Errors are raised, here as there.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deoldify_video.executors.base import Event, Task
from deoldify_video.executors.worker import run_tasks
from deoldify_video.film import cut_search, partition
from deoldify_video.film.cut_search import CutSearch
from deoldify_video.film.finalize import finalize_film, finalize_report
from deoldify_video.film.job import FilmJob, NetworkFacts
from deoldify_video.film.journal import Journal, Segment, work_folder
from deoldify_video.film.preflight import preflight
from deoldify_video.film.segments import SegmentRange, make_segments
from deoldify_video.media.decode import DecodeStats
from deoldify_video.media.files import check_output
from deoldify_video.media.probe import probe
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import ColorOptions, FilmOptions
from deoldify_video.preview.auto_render_factor import with_film_factor
from deoldify_video.preview.spot_check import QualityCheck, check_quality
from deoldify_video.report import Report


@dataclass(frozen=True)
class Prepared:
    """A film that can be done: its journal's fingerprint, and whether it is worth dividing."""

    job: FilmJob
    fingerprint: dict[str, Any]
    divisible: bool


class Worker:
    """Colours, in a process of its own: one task after the other, while `stop` may come in between."""

    def __init__(self, name: str, options: ColorOptions) -> None:
        self._name, self._options = name, options
        self._loaded: Colorizer | None = None
        self._stop = threading.Event()

    def stop(self) -> None:
        """Leave the task after its segment."""
        self._stop.set()

    def load_model(self) -> NetworkFacts:
        """Load the network, and say what it is."""
        return NetworkFacts.of(self._colorizer())

    def make_segments(self, job: FilmJob, segment_range: SegmentRange) -> Iterator[tuple[int, Segment] | DecodeStats]:
        """Make the segments of a range; gives each when it is on the disk, then the reader's statistics."""
        reader = job.reader(segment_range.seek_point)
        folder = work_folder(job.output)
        yield from make_segments(job, self._colorizer(), folder, segment_range, reader, should_stop=self._stop.is_set)
        yield reader.stats

    def run(self, tasks: Sequence[Task]) -> Iterator[Event]:
        """Do photos, from beginning to end."""
        on_the_way: deque[Event] = deque()
        for event in run_tasks(tasks, self._colorizer(), self._name, self._stop, on_the_way.append):
            while on_the_way:
                yield on_the_way.popleft()
            yield event

    def choose_render_factor(self, task: Task) -> tuple[FilmOptions, str]:
        """Choose the render factor of a film: its options then, and the reason."""
        check_output(task.source, task.target, overwrite=task.options.encode.overwrite)
        options, notes = with_film_factor(probe(task.source), task.options, self._colorizer())
        return options, notes[0]

    def _colorizer(self) -> Colorizer:
        if self._loaded is None:
            self._loaded = Colorizer(self._options)
        return self._loaded


def prepare(task: Task, network: NetworkFacts) -> Prepared:
    """Check a film, and what an earlier run has left of it, before the work begins."""
    job = FilmJob(preflight(probe(task.source), task.target, task.options), task.target, task.options, network)
    fingerprint = job.fingerprint()
    journal = Journal(job.output, fingerprint, restart=task.options.job.restart, gaps=True)
    try:
        job.check_room(journal.frames)
    finally:
        journal.close(remove=not journal.finished)
    return Prepared(job, fingerprint, partition.is_divisible(job))


def search_cuts(job: FilmJob, number: int, count: int) -> CutSearch:
    """Look for cuts in a part of a film; see `film.cut_search`."""
    return cut_search.search_cuts(job, number, count)


def partition_film(
    job: FilmJob, finished: Mapping[int, Segment], searches: Sequence[CutSearch]
) -> Iterator[SegmentRange | DecodeStats]:
    """Partition a film by the joined `searches`, or by reading it; see `film.partition`."""
    yield from partition.partition_film(job, finished, searches)


def finalize(
    job: FilmJob, segments: Sequence[Segment], stats: DecodeStats, resumed_frames: int, seconds: float, notes: list[str]
) -> tuple[Report, QualityCheck]:
    """Put a film together, compare it with its source, and look at how it came out. `seconds` have passed since it was begun."""
    began = time.monotonic()
    result = finalize_film(job, work_folder(job.output), segments, stats)
    report = finalize_report(job, segments, result, resumed_frames, seconds + time.monotonic() - began)
    return replace(report, notes=[*report.notes, *notes]), check_quality(job.output)
