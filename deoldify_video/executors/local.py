"""The engine on this machine: a worker process for each GPU, or one on the processor. One that dies is replaced."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from deoldify_video.errors import DependencyError
from deoldify_video.executors.base import Event, Failed, Finished, Stopped, Work
from deoldify_video.executors.worker import STOP, Logged, Place, Ready, Unable, serve
from deoldify_video.options import FilmOptions

log = logging.getLogger(__name__)

PHOTOS_AT_ONCE = 16  # given to a worker, which puts those of one shape together
_LOOK_AROUND_S = 0.2  # how often it is asked whether to stop
_STILLBORN = 3  # workers that end before they are ready, one after the other: no more are tried
_ENDS = (Finished, Failed, Stopped)


@dataclass(eq=False)
class _Worker:
    """A worker process as the driver sees it; `works` are those it has not ended yet, by key."""

    number: int
    name: str
    process: BaseProcess
    connection: Connection[Any, Any]
    ready: bool = False
    works: dict[int, Work] = field(default_factory=dict)


class LocalEngine:
    """Worker processes on this machine: `jobs` of them, by default one for each GPU, or one on the processor."""

    def __init__(self, options: FilmOptions, jobs: int | None = None) -> None:
        self._options, self._jobs = options.color, jobs
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._gpus: int | None = None  # not known until the first worker has looked
        self._stillborn = 0
        self._held: deque[list[Work]] = deque()  # taken, not given to a worker yet
        self._stopping = False

    @property
    def workers(self) -> Sequence[str]:
        """The names of the workers that there are."""
        return [worker.name for worker in self._workers]

    def check(self, sources: list[Path], out: Path) -> None:
        """Nothing: what this machine can read, its workers can."""

    def run(self, works: Iterator[Work | None], should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Do all `works`; see `executors.base.Engine`."""
        self._stopping = False
        try:
            while True:
                if not self._stopping and should_stop():
                    self._stop()
                while self._held and self._stopping:
                    yield from (Stopped(work.key, "") for work in self._held.popleft())
                more = not self._stopping and self._give(works)
                if not more and not self._held and not any(worker.works for worker in self._workers):
                    return
                yield from self._events()
        finally:
            self._end()

    def _limit(self) -> int:
        """How many workers there may be; before the first one is ready, one."""
        if self._gpus is None:
            return 1
        return self._jobs or max(1, self._gpus)

    def _give(self, works: Iterator[Work | None]) -> bool:
        """Give works to workers that have none, and start workers while there is more to do; whether there is."""
        more = True
        for worker in self._workers:
            if worker.ready and not worker.works:
                more = self._fill(works)
                if not self._held:
                    return more
                self._assign(worker, self._held.popleft())
        if len(self._workers) < self._limit() and not any(not worker.ready for worker in self._workers):
            more = self._fill(works)
            if self._held:
                self._start()
        return more

    def _fill(self, works: Iterator[Work | None]) -> bool:
        """Have a bundle at hand: one film, or some photos. False when there are no more works."""
        if self._held:
            return True
        bundle: list[Work] = []
        for work in works:
            if work is None:
                break
            if work.kind != "photo" or work.auto_factor:
                self._held.extend([bundle, [work]] if bundle else [[work]])
                return True
            bundle.append(work)
            if len(bundle) >= PHOTOS_AT_ONCE:
                break
        else:
            if bundle:
                self._held.append(bundle)
            return False
        if bundle:
            self._held.append(bundle)
        return True

    def _assign(self, worker: _Worker, bundle: list[Work]) -> None:
        worker.works = {work.key: work for work in bundle}
        with suppress(OSError):  # it has just died; its end tells
            worker.connection.send(bundle)

    def _start(self) -> None:
        taken = {worker.number for worker in self._workers}
        number = next(number for number in count() if number not in taken)
        ours, theirs = self._context.Pipe()
        name = f"worker {number + 1}"
        logs = log.isEnabledFor(logging.INFO)
        process = self._context.Process(
            target=serve,
            args=(theirs, name, self._options, self._place(number)),
            kwargs={"logs": logs},
            name=name,
            daemon=True,
        )
        process.start()
        theirs.close()  # so that the pipe ends with the process
        self._workers.append(_Worker(number, name, process, ours))

    def _place(self, number: int) -> Place:
        if self._gpus:
            named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
            gpu = number % self._gpus
            return Place(gpu=named[gpu] if gpu < len(named) else str(gpu))
        share, available = self._jobs or 1, getattr(os, "sched_getaffinity", None)
        if share == 1 or available is None:
            return Place()
        cores = sorted(available(0))
        mine = cores[number * len(cores) // share : (number + 1) * len(cores) // share]
        return Place(cores=tuple(mine) or (cores[number % len(cores)],))

    def _events(self) -> Iterator[Event]:
        """What the workers say within a moment."""
        sources: dict[Any, _Worker] = {}
        for worker in self._workers:
            sources[worker.connection] = sources[worker.process.sentinel] = worker
        heard = {id(sources[ready]): sources[ready] for ready in wait(list(sources), _LOOK_AROUND_S)}
        for worker in heard.values():
            alive = worker.process.is_alive()  # asked first, so that nothing it said before its end is missed
            try:
                while worker.connection.poll():
                    yield from self._hear(worker, worker.connection.recv())
            except (EOFError, OSError):
                worker.process.join(1)
                alive = worker.process.is_alive()
            if not alive:
                yield from self._bury(worker)

    def _hear(self, worker: _Worker, message: Event | Ready | Unable | Logged) -> Iterator[Event]:
        if isinstance(message, Ready):
            worker.ready, self._gpus, self._stillborn = True, message.gpus if self._gpus is None else self._gpus, 0
        elif isinstance(message, Unable):
            raise message.error
        elif isinstance(message, Logged):
            logging.getLogger(message.record.name).handle(message.record)
        else:
            if isinstance(message, _ENDS):
                worker.works.pop(message.key, None)
            yield message

    def _bury(self, worker: _Worker) -> Iterator[Event]:
        """A worker is dead: one work is to blame, or of several photos each gets another try by itself."""
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)
        how = _how_it_ended(worker.process.exitcode)
        log.warning("%s %s", worker.name, how)
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN:
                raise DependencyError(f"workers end before they can begin (the last one {how}); see if `colorize` works here.")
        if len(worker.works) == 1:
            (work,) = worker.works.values()
            yield Failed(work.key, worker.name, f"{work.source}: the worker {how}.", 1, crashed=True)
        else:
            self._held.extend([work] for work in worker.works.values())
        if not self._stopping and self._held:
            self._start()

    def _stop(self) -> None:
        self._stopping = True
        for worker in self._workers:
            with suppress(OSError):
                worker.connection.send(STOP)

    def _end(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
        self._workers.clear()


def _how_it_ended(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else str(-code)
        return f"was killed by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")
    return f"ended by itself with code {code}"
