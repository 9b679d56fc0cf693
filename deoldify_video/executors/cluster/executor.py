"""The executor that spreads tasks over a Ray cluster: the driver's side, one loop around everything that is done elsewhere."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from deoldify_video.errors import DeoldifyVideoError
from deoldify_video.executors.base import Event, Failed, Finished, Stopped, Task
from deoldify_video.executors.cluster import remote
from deoldify_video.executors.cluster.film_tasks import ClusterFilm
from deoldify_video.executors.cluster.nodes import check_storage, connected, reason_of, slots
from deoldify_video.executors.cluster.pool import Pool, RemoteWorker
from deoldify_video.executors.cluster.tasks import PhotoTask, RemoteTask
from deoldify_video.film.job import NetworkFacts
from deoldify_video.options import FilmOptions

log = logging.getLogger(__name__)

PHOTOS_AT_ONCE = 16  # given to a worker together
_AHEAD = 2  # tasks that wait beyond what idle workers can take
_TRIES = 3  # of a task beside the workers, when nodes die; those need no network and can always be done again
_MAX_BROKEN_CONNECTIONS = 3  # connections that may break over a task
_WAIT_S = 0.5  # how often it is asked whether to stop


class RayExecutor:
    """Spreads tasks over the Ray cluster at `address` (None: the one this machine belongs to, or one that is started for it).

    `gpus_per_task` is the share of a GPU that a worker gets (None: a whole one), `max_workers` the largest number of workers (None: as
    many as there is room for). Raises `DependencyError` when Ray is not installed or does not answer.
    """

    def __init__(self, address: str | None, gpus_per_task: float | None, max_workers: int | None, options: FilmOptions) -> None:
        self._ray = connected(address)
        self._options = options.color
        use_gpus = self._options.device in ("auto", "cuda")
        self._slots = partial(slots, self._ray, gpus_per_task=gpus_per_task, use_gpus=use_gpus, most=max_workers)

    @property
    def workers(self) -> Sequence[str]:
        """The names of all workers that there is room for."""
        return [slot.name for slot in self._slots()]

    def check(self, sources: list[Path], out: Path) -> None:
        """Whether all nodes have this version, see `sources` and can write to `out`; raises the error that says which does not."""
        check_storage(self._ray, sources, out)

    def run(self, tasks: Iterator[Task | None], should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Do all `tasks`; see `executors.base.Executor`."""
        run = _Run(self._ray, Pool(self._ray, self._options, self._slots))
        try:
            yield from run.events(tasks, should_stop)
        finally:
            run.end()


class _Run:
    """One run: what waits for a worker, and what is being done."""

    def __init__(self, ray: Any, pool: Pool) -> None:
        self._ray, self._pool = ray, pool
        self._queue: deque[RemoteTask] = deque()
        self._running: dict[Any, tuple[RemoteTask | None, RemoteWorker | None]] = {}  # by stream; no task: a worker gets ready
        self._outbox: deque[tuple[RemoteTask, str, tuple[Any, ...]]] = deque()
        self._films: dict[int, ClusterFilm] = {}
        self._photos: list[Task] = []
        self._originals: dict[int, Task] = {}
        self._functions = {
            name: ray.remote(num_cpus=0, max_retries=_TRIES)(getattr(remote, name)).options(
                num_returns="streaming", scheduling_strategy="SPREAD"
            )
            for name in ("prepare", "search_cuts", "partition_film", "finalize")
        }
        self._more, self._stopping = True, False

    @property
    def capacity(self) -> int:
        """How many workers there may be."""
        return len(self._pool.slots())

    def queue(self, remote_task: RemoteTask, *, first: bool = False) -> None:
        """Have the next free worker do it."""
        (self._queue.appendleft if first else self._queue.append)(remote_task)

    def send(self, remote_task: RemoteTask, function: str, *arguments: Any) -> None:
        """Have it done beside the workers, on some node."""
        self._outbox.append((remote_task, function, arguments))

    def cancel(self, remote_task: RemoteTask) -> None:
        """End what was sent, if it is still being done."""
        for stream, (sent, _) in self._running.items():
            if sent is remote_task:
                self._ray.cancel(stream)

    def events(self, tasks: Iterator[Task | None], should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Events as they happen, until all is done."""
        while True:
            if not self._stopping and should_stop():
                self._stop()
            if not self._stopping:
                for worker in self._pool.grow():
                    self._running[worker.handle.load_model.options(num_returns="streaming").remote()] = (None, worker)
            if self._pool.facts is not None and not self._stopping:
                self._take_tasks(tasks, self._pool.facts)
            for event in self._assign():
                yield self._as_given(event)
            if not self._films and not self._queue and not self._photos_are_out() and (self._stopping or not self._more):
                return
            for event in self._receive():
                yield self._as_given(event)

    def _photos_are_out(self) -> bool:
        return any(isinstance(remote_task, PhotoTask) for remote_task, _ in self._running.values())

    def _take_tasks(self, tasks: Iterator[Task | None], network: NetworkFacts) -> None:
        """Take tasks while there is room for them."""
        idle = len(self._pool.idle())
        while self._more and self._ahead() < idle + _AHEAD:
            try:
                task = next(tasks)
            except StopIteration:
                self._more = False
                break
            if task is None:
                break
            self._originals[task.key] = task
            # A worker elsewhere has another working directory.
            task = replace(task, source=task.source.absolute(), target=task.target.absolute())
            if task.kind == "photo":
                self._photos.append(task)
                if len(self._photos) >= PHOTOS_AT_ONCE:
                    self._bundle()
            else:
                self._films[task.key] = film = ClusterFilm(self, task, network)
                film.start()
        self._bundle()

    def _ahead(self) -> int:
        return len(self._queue) + sum(film.waiting_for_ranges for film in self._films.values())

    def _bundle(self) -> None:
        if self._photos:
            self.queue(PhotoTask(self, self._photos))
            self._photos = []

    def _assign(self) -> Iterator[Event]:
        off = [remote_task for remote_task in self._queue if self._stopping or remote_task.is_canceled]
        for remote_task in off:
            self._queue.remove(remote_task)
            yield from remote_task.cancel()
        beside = sum(worker is None for _, worker in self._running.values())
        while self._outbox and beside < max(2, self.capacity):
            remote_task, function, arguments = self._outbox.popleft()
            if remote_task.is_canceled:
                yield from remote_task.cancel()
                continue
            beside += 1
            self._running[self._functions[function].remote(*arguments)] = (remote_task, None)
        for worker in self._pool.idle():
            if not self._queue:
                return
            remote_task = self._queue.popleft()
            worker.busy = True
            self._running[remote_task.submit(worker)] = (remote_task, worker)
            yield from remote_task.on_started(worker)

    def _receive(self) -> Iterator[Event]:
        """Results that have come from anywhere within a moment."""
        streams = list(self._running)
        if not streams:  # no node has room for a worker just now
            time.sleep(_WAIT_S)
            return
        ready, _ = self._ray.wait(streams, num_returns=1, timeout=_WAIT_S, fetch_local=False)
        if len(streams) > 1 and ready:  # all the others that are ready by now
            ready, _ = self._ray.wait(streams, num_returns=len(streams), timeout=0, fetch_local=False)
        for stream in ready:
            remote_task, worker = self._running[stream]
            try:
                item = self._ray.get(next(stream))
            except StopIteration:
                del self._running[stream]
                if remote_task is not None:
                    if worker is not None:
                        worker.busy = False
                    yield from remote_task.end()
            except self._ray.exceptions.RayTaskError as error:
                del self._running[stream]
                yield from self._on_error(remote_task, worker, error)
            except self._ray.exceptions.RayError as error:
                del self._running[stream]
                yield from self._on_worker_lost(remote_task, worker, error)
            else:
                if remote_task is not None:
                    yield from remote_task.on_result(item, worker)
                elif worker is not None:
                    self._on_model_loaded(worker, item)

    def _on_model_loaded(self, worker: RemoteWorker, item: Any) -> None:
        if not isinstance(item, DeoldifyVideoError):
            self._pool.on_model_loaded(worker, item)
        elif self._pool.facts is None:
            raise item
        else:
            self._pool.exclude(worker, item.reason)

    def _on_error(self, remote_task: RemoteTask | None, worker: RemoteWorker | None, error: Any) -> Iterator[Event]:
        """The program failed, on a worker that lives."""
        cause = getattr(error, "cause", None) or error
        text = f"cannot be colorized ({type(cause).__name__}: {cause})"
        log.error("%s", error)
        if remote_task is None:
            assert worker is not None
            self._pool.remove(worker, failed_start=f"{type(cause).__name__}: {cause}")
            return
        if worker is not None:
            worker.busy = False
        yield from remote_task.on_failure(text, worker, node_died=False, crashed=False)

    def _on_worker_lost(self, remote_task: RemoteTask | None, worker: RemoteWorker | None, error: Exception) -> Iterator[Event]:
        """A worker or a node is gone."""
        reason = reason_of(error)
        node_died = worker is not None and not self._pool.node_is_there(worker)
        if isinstance(error, self._ray.exceptions.ActorUnavailableError) and remote_task is not None:
            # A node that has lost its power is still listed for a while; but a task that breaks every connection is to blame.
            remote_task.broken_connections += 1
            node_died |= remote_task.broken_connections < _MAX_BROKEN_CONNECTIONS
        if worker is not None:
            log.warning("%s is gone: %s", worker.name, reason)
            self._pool.remove(worker, failed_start="" if remote_task else reason)
        if remote_task is None:
            return
        text = "cannot be colorized: the worker died over it, perhaps for want of memory"
        yield from remote_task.on_failure(text, worker, node_died=node_died and not self._stopping, crashed=True)

    def _stop(self) -> None:
        """Take no more, begin no more; what is being done stops after its segment."""
        self._stopping = True
        self._pool.stop()
        for film in self._films.values():
            film.stop()

    def _as_given(self, event: Event) -> Event:
        """An event on its way out: a task that has ended is forgotten, and a report names the paths that were given."""
        if isinstance(event, Finished | Failed | Stopped):
            self._films.pop(event.key, None)
            task = self._originals.pop(event.key)
            if isinstance(event, Finished):
                return replace(event, report=replace(event.report, source=str(task.source), output=str(task.target)))
        return event

    def end(self) -> None:
        """Leave nothing running and no journal open."""
        self._pool.end()
        for stream, (_, worker) in self._running.items():
            if worker is None:
                with suppress(Exception):
                    self._ray.cancel(stream, force=True)
        self._running.clear()
        for film in self._films.values():
            film.close()
