"""The core of every executor: takes tasks, keeps workers, and has the ones do the others, on one event loop.

A transport says where workers may be, and starts them; a worker is a process, here or on another machine, that answers with events.
What is done while something else goes on is a coroutine; between two events the loop stands still, so that the caller of `events` alone
decides when it goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Generic, TypeVar

from deoldify_video.errors import DeoldifyVideoError, StoppedError
from deoldify_video.executors.base import Event, Failed, Finished, Stopped, Task, WorkerLostError, failed
from deoldify_video.executors.transport import Transport, W

log = logging.getLogger(__name__)

PHOTOS_AT_ONCE = 16  # given to a worker, which puts those of one shape together
_AHEAD = 1  # bundles that wait beyond what idle workers can take
_POLL_S = 0.2  # how often it is asked whether to stop
_MAX_FAILED_STARTS = 3  # workers of one slot that end before they are ready: no more are tried there
_NOT_BEGUN = "stopped before it was begun"
_MAX_BROKEN_CONNECTIONS = 3  # connections that may break over one piece of work


T = TypeVar("T")


class Scheduler(Generic[W]):
    """One run. `do_film` does films in its own way, with this; by default a film is done by one worker."""

    def __init__(
        self, transport: Transport[W], do_film: Callable[[Scheduler[W], Task], Coroutine[Any, Any, None]] | None = None
    ) -> None:
        self._transport, self._do_film = transport, do_film
        self.loaded = asyncio.Event()  # the first worker has its network
        self._began = time.monotonic()
        self._workers: dict[Hashable, W] = {}  # by slot
        self._idle: deque[W] = deque()
        self._starting = 0
        self._waiting: deque[asyncio.Future[W]] = deque()  # who waits for a worker
        self._preparing = 0
        self._failed_starts: Counter[Hashable] = Counter()
        self._why = ""
        self._bundles = 0  # not ended
        self._events: deque[Event] = deque()
        self._changed = asyncio.Event()
        self._on_stop: set[Callable[[], None]] = set()
        self._more, self._none_now, self._stopping = True, False, False
        self._fatal: BaseException | None = None

    def events(self, tasks: Iterator[Task | None], should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Do all `tasks`; see `executors.base.Executor.run`."""
        loop = asyncio.new_event_loop()
        try:
            goes_on = True
            while goes_on:
                if not self._stopping and should_stop():
                    self._stop()
                goes_on = loop.run_until_complete(self._advance(tasks))
                self._none_now &= not self._events
                while self._events:
                    yield self._events.popleft()
                if self._fatal is not None:
                    raise self._fatal
        finally:
            loop.run_until_complete(self._end())
            loop.close()

    @property
    def capacity(self) -> int:
        """How many workers there may be."""
        return len(self._slots())

    def emit(self, event: Event) -> None:
        """Tell the driver."""
        self._events.append(event)
        self._changed.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have a coroutine go on by itself; an error that it raises ends the run."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._on_spawned_end)
        return task

    @contextmanager
    def preparation(self, on_stop: Callable[[], None]) -> Iterator[None]:
        """While something is prepared for the workers, so that no more than needed is; `on_stop` is called when the user stops."""
        self._preparing += 1
        self._on_stop.add(on_stop)
        try:
            yield
        finally:
            self._preparing -= 1
            self._on_stop.discard(on_stop)

    async def on_worker(self, work: Callable[[W], Awaitable[T]]) -> T:
        """Have a free worker do `work`, and return what it gives; it is done again, before all else, where its node dies in the middle.

        Raises `WorkerLostError` when a worker dies over it, `StoppedError` when the user stops before it is begun.
        """
        broken, first = 0, False
        while True:
            try:
                async with self._lease(first=first) as worker:
                    return await work(worker)
            except WorkerLostError as lost:
                broken += lost.unreachable
                # A node that has lost its power is still listed for a while; but what breaks every connection is to blame.
                if not lost.node_died and not (lost.unreachable and broken < _MAX_BROKEN_CONNECTIONS):
                    raise
                first = True

    async def _advance(self, tasks: Iterator[Task | None]) -> bool:
        """Go on until there is something to tell, or it is time to ask whether to stop; False when all is done."""
        self._changed.clear()
        self._grow()
        while self._has_room():
            for bundle in self._take(tasks):
                self._bundles += 1
                self.spawn(self._do(bundle))
            await asyncio.sleep(0)  # so that they find their workers, or wait for them
        if not self._bundles and (self._stopping or not self._more):
            return False
        if not self._events and self._fatal is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._changed.wait()
        return True

    def _has_room(self) -> bool:
        """Whether to take more tasks, if there are any now."""
        wanted = self._more and not self._none_now and not self._stopping and self._fatal is None
        return wanted and len(self._waiting) + self._preparing < len(self._idle) + _AHEAD

    def _take(self, tasks: Iterator[Task | None]) -> list[list[Task]]:
        """The next bundles: a film alone, photos together."""
        photos: list[Task] = []
        for task in tasks:
            if task is None:
                self._none_now = True
                break
            if task.kind != "photo":
                return [photos, [task]] if photos else [[task]]
            photos.append(task)
            if len(photos) >= PHOTOS_AT_ONCE:
                break
        else:
            self._more = False
        return [photos] if photos else []

    async def _do(self, bundle: Sequence[Task]) -> None:
        try:
            if self._do_film is not None and bundle[0].kind == "film":
                await self._do_film(self, bundle[0])
            else:
                await self._do_together(bundle)
        finally:
            self._bundles -= 1

    async def _do_together(self, bundle: Sequence[Task]) -> None:
        """Have one worker do tasks. Of several each is tried alone when it dies over them; one that was alone is to blame."""
        left = {task.key: task for task in bundle}
        name = ""

        async def run(worker: W) -> None:
            nonlocal name
            name = worker.name
            async for event in worker.run(list(left.values())):
                if isinstance(event, Finished | Failed | Stopped):
                    del left[event.key]
                self.emit(event)

        try:
            await self.on_worker(run)
        except StoppedError:
            for key in left:
                self.emit(Stopped(key, ""))
        except Exception as error:
            if isinstance(error, WorkerLostError) and len(left) > 1:
                await asyncio.gather(*(self._do_together([task]) for task in left.values()))
            else:
                for task in left.values():
                    self.emit(failed(task, name, error))

    def _slots(self) -> list[Hashable]:
        return [slot for slot in self._transport.slots() if self._failed_starts[slot] < _MAX_FAILED_STARTS]

    def _grow(self) -> None:
        """Start workers where there are to be some."""
        if self._stopping:
            return
        slots = self._slots()
        waited_s = 0.0 if self.loaded.is_set() else time.monotonic() - self._began
        if (not slots and not self._workers) or waited_s > self._transport.patience_s:
            self._fatal = self._fatal or self._transport.no_workers(self._why)
            return
        for slot in slots:
            if slot not in self._workers and (self._transport.eager or self._starting < len(self._waiting)):
                self._starting += 1
                self._workers[slot] = worker = self._transport.start(slot)
                self.spawn(self._load(worker))

    async def _load(self, worker: W) -> None:
        """Wait until a worker is ready. What hinders the very first ends the run; later ones are left out."""
        try:
            await self._transport.load(worker)
        except DeoldifyVideoError as error:
            if not self.loaded.is_set():
                raise
            self._failed_starts[worker.slot] = _MAX_FAILED_STARTS
            self._remove(worker, f"is left out: {error}")
        except Exception as error:
            self._failed_starts[worker.slot] += not getattr(error, "node_died", False)
            self._why = f"{worker.name} {error}"
            self._remove(worker, f"did not get ready: {error}")
        else:
            self.loaded.set()
            self._failed_starts.pop(worker.slot, None)
            self._release(worker)
        finally:
            self._starting -= 1

    @asynccontextmanager
    async def _lease(self, *, first: bool) -> AsyncIterator[W]:
        """A free worker, when there is one; with `first` before all who wait already."""
        worker = await self._free_worker(first=first)
        try:
            yield worker
        except WorkerLostError as lost:
            self._remove(worker, str(lost))
            raise
        finally:
            self._release(worker)

    async def _free_worker(self, *, first: bool) -> W:
        if self._stopping:
            raise StoppedError(_NOT_BEGUN)
        while self._idle:
            worker = self._idle.popleft()
            if worker.alive:
                return worker
            self._remove(worker, "has ended")
        mine: asyncio.Future[W] = asyncio.get_running_loop().create_future()
        (self._waiting.appendleft if first else self._waiting.append)(mine)
        self._grow()
        try:
            return await mine
        except asyncio.CancelledError:
            if mine in self._waiting:
                self._waiting.remove(mine)
            if mine.done() and not mine.cancelled():
                self._release(mine.result())
            raise

    def _release(self, worker: W) -> None:
        """A worker is free: it goes to who has waited longest."""
        if self._workers.get(worker.slot) is not worker:
            return
        if not worker.alive:
            self._remove(worker, "has ended")
            return
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(worker)
                return
        self._idle.append(worker)
        self._changed.set()

    def _remove(self, worker: W, how: str) -> None:
        """End a worker and forget it; another one may be started in its slot."""
        log.warning("%s %s", worker.name, how)
        del self._workers[worker.slot]
        worker.kill()
        self._changed.set()

    def _on_spawned_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._fatal = self._fatal or task.exception()
        self._changed.set()

    def _stop(self) -> None:
        """Take no more, begin no more; what is being done stops after its segment."""
        self._stopping = True
        for future in self._waiting:
            if not future.done():
                future.set_exception(StoppedError(_NOT_BEGUN))
        self._waiting.clear()
        for worker in self._workers.values():
            worker.stop()
        for tell in list(self._on_stop):
            tell()

    async def _end(self) -> None:
        """Leave nothing running."""
        self._stopping = True
        for worker in self._workers.values():
            worker.kill()
        while running := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
        for worker in self._workers.values():
            worker.join()
        await asyncio.get_running_loop().shutdown_asyncgens()
