"""The engine that spreads works over a Ray cluster: the driver's side, one loop around everything that is done elsewhere."""

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
from deoldify_video.executors.base import Event, Failed, Finished, Stopped, Work
from deoldify_video.executors.cluster import remote
from deoldify_video.executors.cluster.film_tasks import Film
from deoldify_video.executors.cluster.nodes import check_storage, connected, reason_of, slots
from deoldify_video.executors.cluster.pool import Pool, RemoteWorker
from deoldify_video.executors.cluster.tasks import Errand, Photos
from deoldify_video.film.job import NetworkFacts
from deoldify_video.options import FilmOptions

log = logging.getLogger(__name__)

PHOTOS_AT_ONCE = 16  # given to a worker together
_AHEAD = 2  # errands that wait beyond what idle workers can take
_TRIES = 3  # of a task beside the workers, when nodes die; those need no network and can always be done again
_CUT_OFF = 3  # connections that may break over an errand
_WAIT_S = 0.5  # how often it is asked whether to stop


class RayEngine:
    """Spreads works over the Ray cluster at `address` (None: the one this machine belongs to, or one that is started for it).

    `gpus_per_task` is the share of a GPU that a worker gets (None: a whole one), `tasks` the largest number of workers (None: as
    many as there is room for). Raises `DependencyError` when Ray is not installed or does not answer.
    """

    def __init__(self, address: str | None, gpus_per_task: float | None, tasks: int | None, options: FilmOptions) -> None:
        self._ray = connected(address)
        self._options = options.color
        use_gpus = self._options.device in ("auto", "cuda")
        self._slots = partial(slots, self._ray, gpus_per_task=gpus_per_task, use_gpus=use_gpus, most=tasks)

    @property
    def workers(self) -> Sequence[str]:
        """The names of all workers that there is room for."""
        return [slot.name for slot in self._slots()]

    def check(self, sources: list[Path], out: Path) -> None:
        """Whether all nodes have this version, see `sources` and can write to `out`; raises the error that says which does not."""
        check_storage(self._ray, sources, out)

    def run(self, works: Iterator[Work | None], should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Do all `works`; see `executors.base.Engine`."""
        run = _Run(self._ray, Pool(self._ray, self._options, self._slots))
        try:
            yield from run.events(works, should_stop)
        finally:
            run.end()


class _Run:
    """One run: what waits for a worker, and what is being done."""

    def __init__(self, ray: Any, pool: Pool) -> None:
        self._ray, self._pool = ray, pool
        self._queue: deque[Errand] = deque()
        self._running: dict[Any, tuple[Errand | None, RemoteWorker | None]] = {}  # by stream; no errand: a worker gets ready
        self._outbox: deque[tuple[Errand, str, tuple[Any, ...]]] = deque()
        self._films: dict[int, Film] = {}
        self._photos: list[Work] = []
        self._originals: dict[int, Work] = {}
        self._tasks = {
            name: ray.remote(num_cpus=0, max_retries=_TRIES)(getattr(remote, name)).options(
                num_returns="streaming", scheduling_strategy="SPREAD"
            )
            for name in ("prepare", "glance", "divide", "finish")
        }
        self._more, self._stopping = True, False

    @property
    def room(self) -> int:
        """How many workers there may be."""
        return len(self._pool.slots())

    def queue(self, errand: Errand, *, first: bool = False) -> None:
        """Have the next free worker do it."""
        (self._queue.appendleft if first else self._queue.append)(errand)

    def send(self, errand: Errand, function: str, *arguments: Any) -> None:
        """Have it done beside the workers, on some node."""
        self._outbox.append((errand, function, arguments))

    def call_off(self, errand: Errand) -> None:
        """End what was sent, if it is still being done."""
        for stream, (sent, _) in self._running.items():
            if sent is errand:
                self._ray.cancel(stream)

    def events(self, works: Iterator[Work | None], should_stop: Callable[[], bool]) -> Iterator[Event]:
        """What happens, until all is done."""
        while True:
            if not self._stopping and should_stop():
                self._stop()
            if not self._stopping:
                for worker in self._pool.grow():
                    self._running[worker.handle.greet.options(num_returns="streaming").remote()] = (None, worker)
            if self._pool.facts is not None and not self._stopping:
                self._take(works, self._pool.facts)
            for event in self._hand_out():
                yield self._as_given(event)
            if not self._films and not self._queue and not self._photos_are_out() and (self._stopping or not self._more):
                return
            for event in self._listen():
                yield self._as_given(event)

    def _photos_are_out(self) -> bool:
        return any(isinstance(errand, Photos) for errand, _ in self._running.values())

    def _take(self, works: Iterator[Work | None], network: NetworkFacts) -> None:
        """Take works while there is room for them."""
        idle = len(self._pool.idle())
        while self._more and self._ahead() < idle + _AHEAD:
            try:
                work = next(works)
            except StopIteration:
                self._more = False
                break
            if work is None:
                break
            self._originals[work.key] = work
            # A worker elsewhere has another working directory.
            work = replace(work, source=work.source.absolute(), target=work.target.absolute())
            if work.kind == "photo":
                self._photos.append(work)
                if len(self._photos) >= PHOTOS_AT_ONCE or work.auto_factor:
                    self._bundle()
            else:
                self._films[work.key] = film = Film(self, work, network)
                film.start()
        self._bundle()

    def _ahead(self) -> int:
        return len(self._queue) + sum(film.waiting_for_stretches for film in self._films.values())

    def _bundle(self) -> None:
        if self._photos:
            self.queue(Photos(self, self._photos))
            self._photos = []

    def _hand_out(self) -> Iterator[Event]:
        off = [errand for errand in self._queue if self._stopping or errand.is_off]
        for errand in off:
            self._queue.remove(errand)
            yield from errand.leave()
        beside = sum(worker is None for _, worker in self._running.values())
        while self._outbox and beside < max(2, self.room):
            errand, function, arguments = self._outbox.popleft()
            if errand.is_off:
                yield from errand.leave()
                continue
            beside += 1
            self._running[self._tasks[function].remote(*arguments)] = (errand, None)
        for worker in self._pool.idle():
            if not self._queue:
                return
            errand = self._queue.popleft()
            worker.busy = True
            self._running[errand.begin(worker)] = (errand, worker)
            yield from errand.started(worker)

    def _listen(self) -> Iterator[Event]:
        """What has come from anywhere within a moment."""
        streams = list(self._running)
        if not streams:  # no node has room for a worker just now
            time.sleep(_WAIT_S)
            return
        ready, _ = self._ray.wait(streams, num_returns=1, timeout=_WAIT_S, fetch_local=False)
        if len(streams) > 1 and ready:  # all the others that are ready by now
            ready, _ = self._ray.wait(streams, num_returns=len(streams), timeout=0, fetch_local=False)
        for stream in ready:
            errand, worker = self._running[stream]
            try:
                item = self._ray.get(next(stream))
            except StopIteration:
                del self._running[stream]
                if errand is not None:
                    if worker is not None:
                        worker.busy = False
                    yield from errand.end()
            except self._ray.exceptions.RayTaskError as error:
                del self._running[stream]
                yield from self._broken(errand, worker, error)
            except self._ray.exceptions.RayError as error:
                del self._running[stream]
                yield from self._lost(errand, worker, error)
            else:
                if errand is not None:
                    yield from errand.take(item, worker)
                elif worker is not None:
                    self._greeted(worker, item)

    def _greeted(self, worker: RemoteWorker, item: Any) -> None:
        if not isinstance(item, DeoldifyVideoError):
            self._pool.welcome(worker, item)
        elif self._pool.facts is None:
            raise item
        else:
            self._pool.leave_out(worker, str(item).rstrip("."))

    def _broken(self, errand: Errand | None, worker: RemoteWorker | None, error: Any) -> Iterator[Event]:
        """The program failed, on a worker that lives."""
        cause = getattr(error, "cause", None) or error
        text = f" cannot be colorized ({type(cause).__name__}: {cause})."
        log.error("%s", error)
        if errand is None:
            assert worker is not None
            self._pool.bury(worker, stillborn=f"{type(cause).__name__}: {cause}")
            return
        if worker is not None:
            worker.busy = False
        yield from errand.lose(text, worker, node_died=False, crashed=False)

    def _lost(self, errand: Errand | None, worker: RemoteWorker | None, error: Exception) -> Iterator[Event]:
        """A worker or a node is gone."""
        reason = reason_of(error)
        node_died = worker is not None and not self._pool.node_is_there(worker)
        if isinstance(error, self._ray.exceptions.ActorUnavailableError) and errand is not None:
            # A node that has lost its power is still listed for a while; but a work that breaks every connection is to blame.
            errand.cut_off += 1
            node_died |= errand.cut_off < _CUT_OFF
        if worker is not None:
            log.warning("%s is gone: %s", worker.name, reason)
            self._pool.bury(worker, stillborn="" if errand else reason)
        if errand is None:
            return
        text = ": the worker died over it, perhaps for want of memory."
        yield from errand.lose(text, worker, node_died=node_died and not self._stopping, crashed=True)

    def _stop(self) -> None:
        """Take no more, begin no more; what is being done stops after its segment."""
        self._stopping = True
        self._pool.stop()
        for film in self._films.values():
            film.stop()

    def _as_given(self, event: Event) -> Event:
        """An event on its way out: a work that has ended is forgotten, and a report names the paths that were given."""
        if isinstance(event, Finished | Failed | Stopped):
            self._films.pop(event.key, None)
            work = self._originals.pop(event.key)
            if isinstance(event, Finished):
                return replace(event, report=replace(event.report, source=str(work.source), output=str(work.target)))
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
