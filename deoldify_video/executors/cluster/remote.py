"""What runs on the nodes: workers, which have the network, and tasks beside them that need none.

Paths and numbers come in, entries of the journal and events go out, never frames. Everything here is a generator, so that the driver
hears of each thing when it is done. An error that a user can cause or cure is a result; one that is raised is a fault of the program.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deoldify_video.errors import DeoldifyVideoError
from deoldify_video.executors.base import Event, Work
from deoldify_video.executors.worker import do_works
from deoldify_video.film import cut_search as glances
from deoldify_video.film import partition
from deoldify_video.film.cut_search import Glance
from deoldify_video.film.finalize import film_report, finish_film
from deoldify_video.film.job import FilmJob, NetworkFacts
from deoldify_video.film.journal import Journal, Segment, work_folder
from deoldify_video.film.preflight import preflight
from deoldify_video.film.segments import Stretch, make_segments
from deoldify_video.media.decode import DecodeStats
from deoldify_video.media.files import check_output
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import ColorOptions, FilmOptions
from deoldify_video.preview.auto_render_factor import with_auto_factor
from deoldify_video.preview.spot_check import Appraisal, appraise
from deoldify_video.report import Report


@dataclass(frozen=True)
class Prepared:
    """A film that can be done: its journal's fingerprint, and whether it is worth dividing."""

    job: FilmJob
    fingerprint: dict[str, Any]
    divisible: bool


class Worker:
    """Colours, in a process of its own: one work after the other, while `stop` may come in between."""

    def __init__(self, name: str, options: ColorOptions) -> None:
        self._name, self._options = name, options
        self._loaded: Colorizer | None = None
        self._stop = threading.Event()

    def stop(self) -> None:
        """Leave the work after its segment."""
        self._stop.set()

    def greet(self) -> Iterator[NetworkFacts | DeoldifyVideoError]:
        """Load the network, and say what it is."""
        try:
            yield NetworkFacts.of(self._colorizer())
        except DeoldifyVideoError as error:
            yield error

    def make(self, job: FilmJob, stretch: Stretch) -> Iterator[tuple[int, Segment] | DecodeStats | DeoldifyVideoError]:
        """Make the segments of a stretch; gives each when it is on the disk, then the reader's statistics."""
        reader = job.reader(stretch.begin)
        folder = work_folder(job.output)
        try:
            yield from make_segments(job, self._colorizer(), folder, stretch, reader, should_stop=self._stop.is_set)
            yield reader.stats
        except DeoldifyVideoError as error:
            yield error

    def do(self, works: Sequence[Work]) -> Iterator[Event]:
        """Do photos, from beginning to end."""

        letters = _Letters()
        for event in do_works(works, self._colorizer(), self._name, self._stop, letters):  # type: ignore[arg-type]
            for told in (*letters.taken(), event):  # noqa: UP028  (Ray sends into the generator)
                yield told

    def choose(self, work: Work) -> Iterator[tuple[FilmOptions, str] | DeoldifyVideoError]:
        """Choose the render factor of a film: its options then, and the reason."""

        try:
            check_output(work.source, work.target, overwrite=work.options.encode.overwrite)
            options, _, reason = with_auto_factor(work.source, work.options, self._colorizer())
            yield options, reason
        except DeoldifyVideoError as error:
            yield error

    def _colorizer(self) -> Colorizer:
        if self._loaded is None:
            self._loaded = Colorizer(self._options)
        return self._loaded


class _Letters:
    """What a work tells on its way, until it can be sent."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def send(self, event: Event) -> None:
        self._events.append(event)

    def taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events


def prepare(work: Work, network: NetworkFacts) -> Iterator[Prepared | DeoldifyVideoError]:
    """Check a film, and what an earlier run has left of it, before the work begins."""
    try:
        job = FilmJob(preflight(work.source, work.target, work.options), work.target, work.options, network)
        fingerprint = job.fingerprint()
        journal = Journal(job.output, fingerprint, restart=work.options.job.restart, gaps=True)
        try:
            job.check_room(journal.frames)
        finally:
            journal.close(remove=not journal.finished)
        yield Prepared(job, fingerprint, partition.is_divisible(job))
    except DeoldifyVideoError as error:
        yield error


def glance(job: FilmJob, number: int, count: int) -> Iterator[Glance]:
    """Look for cuts in a part of a film; see `film.cut_search`."""
    yield glances.glance(job, number, count)


def divide(
    job: FilmJob, finished: Mapping[int, Segment], seen: Sequence[Glance]
) -> Iterator[Stretch | DecodeStats | DeoldifyVideoError]:
    """Divide a film by what was `seen` of it, or read it; see `film.partition`."""
    try:
        yield from partition.divide(job, finished, seen)
    except DeoldifyVideoError as error:
        yield error


def finish(
    job: FilmJob, segments: Sequence[Segment], stats: DecodeStats, resumed_frames: int, seconds: float, notes: list[str]
) -> Iterator[tuple[Report, Appraisal] | DeoldifyVideoError]:
    """Put a film together, compare it with its source, and look at how it came out. `seconds` have passed since it was begun."""
    began = time.monotonic()
    try:
        ending = finish_film(job, work_folder(job.output), segments, stats)
        report = film_report(job, segments, ending, resumed_frames, seconds + time.monotonic() - began)
        yield replace(report, notes=[*report.notes, *notes]), appraise(job.output)
    except DeoldifyVideoError as error:
        yield error
