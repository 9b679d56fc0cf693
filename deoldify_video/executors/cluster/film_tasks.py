"""A film on a cluster: prepared, divided where that pays, made by whatever workers are free, and at last put together.

The driver alone writes its journal: an entry comes in as soon as its segment is on the disk, so that nothing that is finished is made
twice, whoever dies.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deoldify_video.errors import DeoldifyVideoError, StoppedError
from deoldify_video.executors.base import Advanced, Event, Failed, Finished, Started, Stopped, Task
from deoldify_video.executors.cluster.remote import Prepared
from deoldify_video.executors.cluster.tasks import RemoteTask, Scheduler, failed
from deoldify_video.film.cut_search import CutSearch
from deoldify_video.film.job import NetworkFacts
from deoldify_video.film.journal import Journal
from deoldify_video.film.partition import planned_range
from deoldify_video.film.segments import SegmentRange, rest_of_film
from deoldify_video.media.decode import DecodeStats
from deoldify_video.options import AUTO

if TYPE_CHECKING:
    from deoldify_video.executors.cluster.pool import RemoteWorker


class ClusterFilm:
    """A film from its preparation to its end. Its tasks share its journal and its fate."""

    def __init__(self, scheduler: Scheduler, task: Task, network: NetworkFacts) -> None:
        self.scheduler, self.task, self._network = scheduler, task, network
        self.worker_name = ""
        self.journal: Journal | None = None
        self.ready: Prepared | None = None
        self.stats: DecodeStats | None = None
        self.waiting_for_ranges = True  # being prepared or divided: more to do will come
        self._began = time.monotonic()
        self._notes: list[str] = []
        self._made_frames = 0
        self._open = 0  # tasks that have not ended
        self._outcome: Failed | Stopped | None = None  # what comes of it when all tasks have ended
        self._finishing = False
        self._searches: list[CutSearch | None] = []
        self._cancelable: list[RemoteTask] = []

    def start(self) -> None:
        """Send the first task."""
        if self.task.options.color.render_factor == AUTO:
            self.queue(_ChooseTask(self))
        else:
            self._send(_PrepareTask(self), "prepare", self.task, self._network)

    def on_render_factor(self, options: Any, reason: str) -> None:
        """The render factor is chosen."""
        self.task = replace(self.task, options=options)
        self._notes.append(reason)
        self._send(_PrepareTask(self), "prepare", self.task, self._network)

    def on_prepared(self, ready: Prepared) -> None:
        """The film can be done: open its journal, and divide it or send it as it is."""
        self.ready = ready
        self.journal = Journal(ready.job.output, ready.fingerprint, gaps=True, checked=True)
        capacity = self.scheduler.capacity
        if ready.divisible and capacity > 1:
            count = min(capacity, ready.job.expected_frames // ready.job.options.segments.search_frames)
            if count < 2:
                self._divide([])
                return
            self._searches = [None] * count
            for number in range(count):
                self._send_cancelable(_SearchTask(self, number), "search_cuts", ready.job, number, count)
            return
        self.waiting_for_ranges = False
        self.add(rest_of_film(self.journal.segments))

    def on_search(self, number: int, what: CutSearch) -> None:
        """Something was seen of the film; when all of it was, it can be divided."""
        self._searches[number] = what
        searches = [one for one in self._searches if one is not None]
        if len(searches) == len(self._searches) and not self.is_aborted:
            self._divide(searches)

    def add(self, segment_range: SegmentRange) -> None:
        """Have a range made, unless the film has failed already."""
        if self._outcome is None:
            self.queue(_SegmentsTask(self, segment_range))

    def on_worker(self, worker_name: str) -> Iterator[Event]:
        """A worker has taken something of it; with the first the clock starts."""
        if not self.worker_name:
            self._began = time.monotonic()
            yield Started(self.task.key, worker_name)
        self.worker_name = worker_name

    def on_segment(self, number: int, segment: Any) -> Iterator[Event]:
        """A segment is on the disk."""
        assert self.journal is not None
        assert self.ready is not None
        self.journal.add(number, segment)
        self._made_frames += len(segment.pts)
        yield Advanced(self.task.key, self.worker_name, self.journal.frames, self.ready.job.expected_frames)

    def fail(self, error: DeoldifyVideoError | str, *, crashed: bool = False) -> None:
        """Nothing more of this film is begun; what others are making of it comes to its end and is kept."""
        if isinstance(error, StoppedError):
            self._abort(Stopped(self.task.key, self.worker_name))
        else:
            self._abort(failed(self.task, self.worker_name, error, crashed=crashed))

    def stop(self) -> None:
        """The user wants to stop. A film that is being put together is not left."""
        if not self._finishing:
            self._abort(Stopped(self.task.key, self.worker_name))

    def _abort(self, outcome: Failed | Stopped) -> None:
        self._outcome = self._outcome or outcome
        for remote_task in self._cancelable:
            self.scheduler.cancel(remote_task)

    @property
    def is_aborted(self) -> bool:
        """Whether it has failed or is to stop."""
        return self._outcome is not None

    def finished(self, report: Any, quality: Any) -> Iterator[Event]:
        """It has its name."""
        assert self.journal is not None
        self.journal.close(remove=True)
        self.journal = None
        yield Finished(self.task.key, self.worker_name, report, quality)

    def on_task_end(self) -> Iterator[Event]:
        """A task has ended: when it was the last, the film is put together, or given up."""
        self._open -= 1
        if self._open:
            return
        if self._outcome is not None:
            self.close()
            yield self._outcome
        elif not self._finishing and self.journal is not None:
            assert self.ready is not None
            self._finishing = True
            seconds = time.monotonic() - self._began
            segments = self.journal.segments
            resumed = sum(len(segment.pts) for segment in segments) - self._made_frames
            self._send(
                _FinalizeTask(self),
                "finalize",
                self.ready.job,
                segments,
                self.stats,
                max(0, resumed),
                seconds,
                self._notes,
            )

    def close(self) -> None:
        """Keep what is finished for another run."""
        if self.journal is not None:
            self.journal.close(remove=not self.journal.finished)
            self.journal = None

    def queue(self, remote_task: RemoteTask, *, first: bool = False) -> None:
        """Have a worker do something for the film."""
        self._open += 1
        self.scheduler.queue(remote_task, first=first)

    def _divide(self, searches: list[CutSearch]) -> None:
        assert self.ready is not None
        assert self.journal is not None
        self._send_cancelable(_PartitionTask(self), "partition_film", self.ready.job, dict(self.journal.finished), searches)

    def _send_cancelable(self, remote_task: RemoteTask, function: str, *arguments: Any) -> None:
        """Send what takes long, and is canceled when the film is given up."""
        self._cancelable.append(remote_task)
        self._send(remote_task, function, *arguments)

    def _send(self, remote_task: RemoteTask, function: str, *arguments: Any) -> None:
        self._open += 1
        self.scheduler.send(remote_task, function, *arguments)


class _FilmTask(RemoteTask):
    """Base of a film's tasks: an error is the film's, and so is the end."""

    def __init__(self, film: ClusterFilm) -> None:
        self.film = film

    @property
    def is_canceled(self) -> bool:
        return self.film.is_aborted

    def on_started(self, worker: RemoteWorker) -> Iterator[Event]:
        yield from self.film.on_worker(worker.name)

    def on_result(self, item: Any, worker: RemoteWorker | None) -> Iterator[Event]:
        if worker is not None:
            self.film.worker_name = worker.name
        if isinstance(item, DeoldifyVideoError):
            self.film.fail(item)
            return
        try:
            yield from self.on_item(item)
        except DeoldifyVideoError as error:  # the driver's own: the journal's disk, say
            self.film.fail(error)

    @abstractmethod
    def on_item(self, item: Any) -> Iterator[Event]:
        """An item has come that is no error."""

    def end(self) -> Iterator[Event]:
        yield from self.film.on_task_end()

    def retry(self) -> None:
        """Its node died: have it done elsewhere."""

    def on_failure(self, error: str, worker: RemoteWorker | None, *, node_died: bool, crashed: bool) -> Iterator[Event]:
        if node_died:
            self.retry()
        else:
            self.film.fail(error, crashed=crashed)
        yield from self.film.on_task_end()

    def cancel(self) -> Iterator[Event]:
        self.film.stop()
        yield from self.film.on_task_end()


class _ChooseTask(_FilmTask):
    """A worker chooses the render factor."""

    def submit(self, worker: RemoteWorker) -> Any:
        return worker.handle.choose_render_factor.options(num_returns="streaming").remote(self.film.task)

    def on_item(self, item: Any) -> Iterator[Event]:
        self.film.on_render_factor(*item)
        return iter(())

    def retry(self) -> None:
        self.film.start()


class _PrepareTask(_FilmTask):
    def on_item(self, item: Any) -> Iterator[Event]:
        self.film.on_prepared(item)
        return iter(())

    def end(self) -> Iterator[Event]:
        if self.film.is_aborted:
            self.film.waiting_for_ranges = False
        yield from super().end()


class _SearchTask(_FilmTask):
    def __init__(self, film: ClusterFilm, number: int) -> None:
        super().__init__(film)
        self._number = number

    def on_item(self, item: Any) -> Iterator[Event]:
        self.film.on_search(self._number, item)
        return iter(())


class _PartitionTask(_FilmTask):
    def on_item(self, item: Any) -> Iterator[Event]:
        if isinstance(item, DecodeStats):
            self.film.stats = item
        else:
            self.film.add(item)
        return iter(())

    def end(self) -> Iterator[Event]:
        self.film.waiting_for_ranges = False
        yield from super().end()


class _SegmentsTask(_FilmTask):
    """A worker makes a range."""

    def __init__(self, film: ClusterFilm, segment_range: SegmentRange) -> None:
        super().__init__(film)
        self._segment_range = segment_range

    def submit(self, worker: RemoteWorker) -> Any:
        assert self.film.ready is not None
        return worker.handle.make_segments.options(num_returns="streaming").remote(self.film.ready.job, self._segment_range)

    def on_item(self, item: Any) -> Iterator[Event]:
        if not isinstance(item, DecodeStats):
            yield from self.film.on_segment(*item)
        elif not self._segment_range.plan:
            self.film.stats = item

    def retry(self) -> None:
        rest = self._rest()
        if rest is not None:
            self._segment_range = rest
            self.film.queue(self, first=True)

    def _rest(self) -> SegmentRange | None:
        """The rest of the range that has still to be made, None where nothing is left."""
        journal = self.film.journal
        assert journal is not None
        if not self._segment_range.plan:
            return rest_of_film(journal.segments)
        missing = [segment for segment in self._segment_range.plan if segment.number not in journal.finished]
        if not missing:
            return None
        before = journal.finished.get(missing[0].number - 1)
        return planned_range(missing, before, seekable=self._segment_range.seek_point.pts is not None)


class _FinalizeTask(_FilmTask):
    def on_item(self, item: Any) -> Iterator[Event]:
        yield from self.film.finished(*item)
