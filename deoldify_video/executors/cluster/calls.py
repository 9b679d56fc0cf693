"""Calls from the driver to workers and to functions beside them: Ray's references are awaited, its errors become ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from deoldify_video.executors.base import Event, Task, WorkerLostError
from deoldify_video.executors.cluster import remote
from deoldify_video.executors.cluster.nodes import Slot, living_nodes, pinned, reason_of
from deoldify_video.film.job import FilmJob, NetworkFacts
from deoldify_video.film.journal import Segment
from deoldify_video.film.segments import SegmentRange
from deoldify_video.media.decode import DecodeStats
from deoldify_video.options import ColorOptions, FilmOptions

log = logging.getLogger(__name__)

_TRIES = 3  # of a function beside the workers, when nodes die; those need no network and can always be done again


class Calls:
    """Calls over `ray`. Functions beside the workers are as many at once as there may be workers, by `capacity`.

    `on_loss` is called when a worker or a node is gone.
    """

    def __init__(self, ray: Any, capacity: Callable[[], int], on_loss: Callable[[], None]) -> None:
        self.ray = ray
        self._capacity, self._on_loss = capacity, on_loss
        self._beside, self._room = 0, asyncio.Condition()
        ray.method(concurrency_group="control")(remote.Worker.stop)  # which is heard while the worker does something else
        self.actor = ray.remote(concurrency_groups={"control": 1})(remote.Worker)
        self._functions = {
            function: ray.remote(num_cpus=0, max_retries=_TRIES, scheduling_strategy="SPREAD")(function)
            for function in (remote.prepare, remote.search_cuts, remote.partition_film, remote.finalize)
        }

    async def beside(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of `remote` on some node, and return what it does; it is ended where this is cancelled."""
        async with self._place():
            reference = self._functions[function].remote(*arguments)
            with self._canceled_with(reference):
                return await self.answer(reference)

    async def stream_beside(self, function: Callable[..., Any], *arguments: Any) -> AsyncIterator[Any]:
        """Call a generator of `remote` on some node, and yield what it does; it is ended where this is cancelled."""
        async with self._place():
            stream = self._functions[function].options(num_returns="streaming").remote(*arguments)
            with self._canceled_with(stream):
                async for item in self.items(stream):
                    yield item

    async def answer(self, reference: Any, node: str | None = None) -> Any:
        """The value of a reference; `node` is where the worker is that gives it. Raises `WorkerLostError`, and what is raised there."""
        with self._translated(node):
            return await reference

    async def items(self, stream: Any, node: str | None = None) -> AsyncIterator[Any]:
        """The values of a stream of references, as they come; otherwise as `answer`."""
        with self._translated(node):
            async for reference in stream:
                yield await reference

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        async with self._room:
            await self._room.wait_for(lambda: self._beside < max(2, self._capacity()))
            self._beside += 1
        try:
            yield
        finally:
            self._beside -= 1
            async with self._room:
                self._room.notify()

    @contextmanager
    def _canceled_with(self, reference: Any) -> Iterator[None]:
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self.ray.cancel(reference)
            raise

    @contextmanager
    def _translated(self, node: str | None) -> Iterator[None]:
        exceptions = self.ray.exceptions
        try:
            yield
        except exceptions.RayTaskError as error:  # the program's own, on a worker that lives
            raise error.cause from error
        except exceptions.RayError as error:
            self._on_loss()
            log.warning("gone: %s", reason_of(error))
            unreachable = isinstance(error, exceptions.ActorUnavailableError)
            died = node is not None and all(known["NodeID"] != node for known in living_nodes(self.ray))
            how = "died over it, perhaps for want of memory"
            raise WorkerLostError(how, node_died=died, unreachable=unreachable) from error


class RayWorker:
    """A worker on a node."""

    alive = True  # that it is not is learnt when it is asked for something

    def __init__(self, slot: Slot, options: ColorOptions, calls: Calls) -> None:
        self.slot, self.name, self._calls = slot, slot.name, calls
        self._handle = calls.actor.options(
            num_cpus=slot.cpus, num_gpus=slot.gpus, max_restarts=0, scheduling_strategy=pinned(slot.node)
        ).remote(slot.name, options)

    async def load_model(self) -> NetworkFacts:
        """Have it load the network, and say what it is."""
        facts: NetworkFacts = await self._calls.answer(self._handle.load_model.remote(), self.slot.node)
        return facts

    def run(self, tasks: Sequence[Task]) -> AsyncIterator[Event]:
        """Do tasks; see `executors.transport.WorkerHandle`."""
        return self._calls.items(self._handle.run.options(num_returns="streaming").remote(tasks), self.slot.node)

    def make_segments(self, job: FilmJob, segment_range: SegmentRange) -> AsyncIterator[tuple[int, Segment] | DecodeStats]:
        """Make the segments of a range; gives each when it is on the disk, then the reader's statistics."""
        stream = self._handle.make_segments.options(num_returns="streaming").remote(job, segment_range)
        return self._calls.items(stream, self.slot.node)

    async def choose_render_factor(self, task: Task) -> tuple[FilmOptions, str]:
        """Choose the render factor of a film: its options then, and the reason."""
        answer: tuple[FilmOptions, str] = await self._calls.answer(
            self._handle.choose_render_factor.remote(task), self.slot.node
        )
        return answer

    def stop(self) -> None:
        """Have it leave what it does after the segment."""
        self._handle.stop.remote()

    def kill(self) -> None:
        """End it at once."""
        self._calls.ray.kill(self._handle, no_restart=True)

    def join(self) -> None:
        """Nothing: its node sees to it."""
