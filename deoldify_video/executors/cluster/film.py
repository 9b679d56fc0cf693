"""A film on a cluster: prepared, divided where that pays, made by whatever workers are free, and at last put together.

The driver alone writes its journal: an entry comes in as soon as its segment is on the disk, so that nothing that is finished is made
twice, whoever dies.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from deoldify_video.errors import DeoldifyVideoError, StoppedError
from deoldify_video.executors.base import Advanced, Event, Finished, Started, Stopped, Task, failed
from deoldify_video.executors.cluster import remote
from deoldify_video.executors.cluster.calls import Calls, RayWorker
from deoldify_video.executors.cluster.remote import Prepared
from deoldify_video.executors.scheduler import Scheduler
from deoldify_video.film.cut_search import CutSearch
from deoldify_video.film.job import NetworkFacts
from deoldify_video.film.journal import Journal
from deoldify_video.film.partition import planned_range
from deoldify_video.film.segments import SegmentRange, rest_of_film
from deoldify_video.media.decode import DecodeStats
from deoldify_video.options import AUTO


class ClusterFilm:
    """A film: `run` is all of it, from its preparation to its end. `network` gives the facts when the first worker has loaded it."""

    def __init__(
        self, scheduler: Scheduler[RayWorker], calls: Calls, task: Task, network: Callable[[], NetworkFacts | None]
    ) -> None:
        self._scheduler, self._calls, self._task, self._network = scheduler, calls, task, network
        self._worker_name = ""
        self._began = time.monotonic()
        self._notes: list[str] = []
        self._prepared: Prepared | None = None
        self._journal: Journal | None = None
        self._made_frames = 0
        self._stats: DecodeStats | None = None
        self._open: set[asyncio.Task[None]] = set()  # what goes on of it
        self._may_be_left: set[asyncio.Task[None]] = set()  # those of them that make nothing yet
        self._error: Exception | None = None  # why nothing more of it is begun

    async def run(self) -> None:
        """Colorize the film and tell of it: find its ranges, have them made, put it together."""
        try:
            self._begin(self._find_ranges)
            while self._open:
                await asyncio.wait(self._open)
            if self._error is not None:
                raise self._error
            event: Event = await self._finalize()
        except StoppedError:
            event = Stopped(self._task.key, self._worker_name)
        except Exception as error:
            event = failed(self._task, self._worker_name, error)
        finally:
            if self._journal is not None:
                self._journal.close(remove=not self._journal.finished)  # what is finished is kept for another run
        self._scheduler.emit(event)

    async def _find_ranges(self) -> None:
        """Prepare the film, open its journal, and begin every range that has still to be made as soon as it is known."""
        with self._scheduler.preparation(on_stop=lambda: self._give_up(StoppedError("stopped in its preparation"))):
            await self._scheduler.loaded.wait()
            if self._task.options.color.render_factor == AUTO:
                options, reason = await self._scheduler.on_worker(self._choose_render_factor)
                self._task = replace(self._task, options=options)
                self._notes.append(reason)
            prepared: Prepared = await self._calls.beside(remote.prepare, self._task, self._network())
            self._prepared, job = prepared, prepared.job
            self._journal = Journal(job.output, prepared.fingerprint, gaps=True, checked=True)
            capacity = self._scheduler.capacity
            if not prepared.divisible or capacity < 2:
                self._begin(self._make, rest_of_film(self._journal.segments))
                return
            count = min(capacity, job.expected_frames // job.options.segments.search_frames)
            searches: list[CutSearch] = []
            if count > 1:
                searches = await asyncio.gather(
                    *(self._calls.beside(remote.search_cuts, job, number, count) for number in range(count))
                )
            finished = dict(self._journal.finished)
            async for item in self._calls.stream_beside(remote.partition_film, job, finished, searches):
                if isinstance(item, DecodeStats):
                    self._stats = item
                else:
                    self._begin(self._make, item)

    async def _choose_render_factor(self, worker: RayWorker) -> Any:
        self._on_worker(worker)
        return await worker.choose_render_factor(self._task)

    async def _make(self, segment_range: SegmentRange) -> None:
        """Have the segments of a range made, and enter each. When a node dies in the middle, another makes what is missing."""

        async def make(worker: RayWorker) -> None:
            self._may_be_left.difference_update({asyncio.current_task()})
            rest = self._rest(segment_range)
            if self._error is not None or rest is None:
                return
            self._on_worker(worker)
            assert self._prepared is not None
            async for item in worker.make_segments(self._prepared.job, rest):
                if not isinstance(item, DecodeStats):
                    self._on_segment(worker, *item)
                elif not segment_range.plan:
                    self._stats = item

        await self._scheduler.on_worker(make)

    def _rest(self, segment_range: SegmentRange) -> SegmentRange | None:
        """The rest of a range that has still to be made, None where that is nothing."""
        assert self._journal is not None
        finished = self._journal.finished
        if not segment_range.plan:
            return rest_of_film(self._journal.segments)
        missing = [segment for segment in segment_range.plan if segment.number not in finished]
        if not missing:
            return None
        seekable = segment_range.seek_point.pts is not None
        return planned_range(missing, finished.get(missing[0].number - 1), seekable=seekable)

    def _on_worker(self, worker: RayWorker) -> None:
        """A worker has taken something of it; with the first the clock starts."""
        if not self._worker_name:
            self._began = time.monotonic()
            self._scheduler.emit(Started(self._task.key, worker.name))
        self._worker_name = worker.name

    def _on_segment(self, worker: RayWorker, number: int, segment: Any) -> None:
        """A segment is on the disk."""
        assert self._journal is not None
        assert self._prepared is not None
        self._worker_name = worker.name
        self._made_frames += len(segment.pts)
        try:
            self._journal.add(number, segment)
        except DeoldifyVideoError as error:  # the driver cannot write; the worker comes to its end all the same
            self._give_up(error)
            return
        self._scheduler.emit(Advanced(self._task.key, worker.name, self._journal.frames, self._prepared.job.expected_frames))

    async def _finalize(self) -> Finished:
        """Put it together; from here on it is not left, whoever wants to stop."""
        assert self._journal is not None
        assert self._prepared is not None
        segments, seconds = self._journal.segments, time.monotonic() - self._began
        resumed = max(0, sum(len(segment.pts) for segment in segments) - self._made_frames)
        report, quality = await self._calls.beside(
            remote.finalize, self._prepared.job, segments, self._stats, resumed, seconds, self._notes
        )
        self._journal.close(remove=True)
        self._journal = None
        return Finished(self._task.key, self._worker_name, report, quality)

    def _begin(self, work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
        """Have something of the film go on by itself; an error of it is the film's."""

        async def guarded() -> None:
            try:
                await work(*arguments)
            except Exception as error:
                self._give_up(error)

        task = self._scheduler.spawn(guarded())
        for members in (self._open, self._may_be_left):
            members.add(task)
            task.add_done_callback(members.discard)

    def _give_up(self, error: Exception) -> None:
        """Begin nothing more of the film; what others are making of it comes to its end and is kept."""
        self._error = self._error or error
        for task in self._may_be_left:
            task.cancel()
