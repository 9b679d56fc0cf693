"""The executor on this machine: a worker process for each GPU, or one on the processor. One that dies is replaced."""

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

from deoldify_video.errors import DeoldifyVideoError, DependencyError
from deoldify_video.executors.base import Event, Failed, Finished, Stopped, Task
from deoldify_video.executors.worker import STOP, LogMessage, Placement, Ready, StartFailed, run_worker
from deoldify_video.options import FilmOptions

log = logging.getLogger(__name__)

PHOTOS_AT_ONCE = 16  # given to a worker, which puts those of one shape together
_POLL_S = 0.2  # how often it is asked whether to stop
_MAX_FAILED_STARTS = 3  # workers that end before they are ready, one after the other: no more are tried
_FINAL_EVENTS = (Finished, Failed, Stopped)


@dataclass(eq=False)
class _Worker:
    """A worker process as the driver sees it; `tasks` are those it has not ended yet, by key."""

    number: int
    name: str
    process: BaseProcess
    connection: Connection[Any, Any]
    ready: bool = False
    tasks: dict[int, Task] = field(default_factory=dict)


class LocalExecutor:
    """Worker processes on this machine: `jobs` of them, by default one for each GPU, or one on the processor."""

    def __init__(self, options: FilmOptions, jobs: int | None = None) -> None:
        self._options, self._jobs = options.color, jobs
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._gpus: int | None = None  # not known until the first worker has looked
        self._failed_starts = 0
        self._held: deque[list[Task]] = deque()  # taken, not given to a worker yet
        self._stopping = False

    @property
    def workers(self) -> Sequence[str]:
        """The names of the workers that there are."""
        return [worker.name for worker in self._workers]

    def check(self, sources: list[Path], out: Path) -> None:
        """Nothing: what this machine can read, its workers can."""

    def run(self, tasks: Iterator[Task | None], should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Do all `tasks`; see `executors.base.Executor`."""
        self._stopping = False
        try:
            while True:
                if not self._stopping and should_stop():
                    self._stop()
                while self._held and self._stopping:
                    yield from (Stopped(task.key, "") for task in self._held.popleft())
                more = not self._stopping and self._assign_tasks(tasks)
                if not more and not self._held and not any(worker.tasks for worker in self._workers):
                    return
                yield from self._events()
        finally:
            self._end()

    def _limit(self) -> int:
        """How many workers there may be; before the first one is ready, one."""
        if self._gpus is None:
            return 1
        return self._jobs or max(1, self._gpus)

    def _assign_tasks(self, tasks: Iterator[Task | None]) -> bool:
        """Give tasks to workers that have none, and start workers while there is more to do; whether there is."""
        more = True
        for worker in self._workers:
            if worker.ready and not worker.tasks:
                more = self._take_bundle(tasks)
                if not self._held:
                    return more
                self._assign(worker, self._held.popleft())
        if len(self._workers) < self._limit() and not any(not worker.ready for worker in self._workers):
            more = self._take_bundle(tasks)
            if self._held:
                self._start()
        return more

    def _take_bundle(self, tasks: Iterator[Task | None]) -> bool:
        """Have a bundle at hand: one film, or some photos. False when there are no more tasks."""
        if self._held:
            return True
        bundle: list[Task] = []
        for task in tasks:
            if task is None:
                break
            if task.kind != "photo":
                self._held.extend([bundle, [task]] if bundle else [[task]])
                return True
            bundle.append(task)
            if len(bundle) >= PHOTOS_AT_ONCE:
                break
        else:
            if bundle:
                self._held.append(bundle)
            return False
        if bundle:
            self._held.append(bundle)
        return True

    def _assign(self, worker: _Worker, bundle: list[Task]) -> None:
        worker.tasks = {task.key: task for task in bundle}
        with suppress(OSError):  # it has just died; its end tells
            worker.connection.send(bundle)

    def _start(self) -> None:
        taken = {worker.number for worker in self._workers}
        number = next(number for number in count() if number not in taken)
        ours, theirs = self._context.Pipe()
        name = f"worker {number + 1}"
        logs = log.isEnabledFor(logging.INFO)
        process = self._context.Process(
            target=run_worker,
            args=(theirs, name, self._options, self._place(number)),
            kwargs={"logs": logs},
            name=name,
            daemon=True,
        )
        process.start()
        theirs.close()  # so that the pipe ends with the process
        self._workers.append(_Worker(number, name, process, ours))

    def _place(self, number: int) -> Placement:
        if self._gpus:
            named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
            gpu = number % self._gpus
            return Placement(gpu=named[gpu] if gpu < len(named) else str(gpu))
        share, available = self._jobs or 1, getattr(os, "sched_getaffinity", None)
        if share == 1 or available is None:
            return Placement()
        cores = sorted(available(0))
        mine = cores[number * len(cores) // share : (number + 1) * len(cores) // share]
        return Placement(cores=tuple(mine) or (cores[number % len(cores)],))

    def _events(self) -> Iterator[Event]:
        """Messages of the workers within a moment."""
        sources: dict[Any, _Worker] = {}
        for worker in self._workers:
            sources[worker.connection] = sources[worker.process.sentinel] = worker
        ready_workers = {id(sources[ready]): sources[ready] for ready in wait(list(sources), _POLL_S)}
        for worker in ready_workers.values():
            alive = worker.process.is_alive()  # asked first, so that nothing it said before its end is missed
            try:
                while worker.connection.poll():
                    yield from self._on_message(worker, worker.connection.recv())
            except (EOFError, OSError):
                worker.process.join(1)
                alive = worker.process.is_alive()
            if not alive:
                yield from self._remove(worker)

    def _on_message(self, worker: _Worker, message: Event | Ready | StartFailed | LogMessage) -> Iterator[Event]:
        if isinstance(message, Ready):
            worker.ready, self._gpus, self._failed_starts = True, message.gpus if self._gpus is None else self._gpus, 0
        elif isinstance(message, StartFailed):
            raise message.error
        elif isinstance(message, LogMessage):
            logging.getLogger(message.record.name).handle(message.record)
        else:
            if isinstance(message, _FINAL_EVENTS):
                worker.tasks.pop(message.key, None)
            yield message

    def _remove(self, worker: _Worker) -> Iterator[Event]:
        """A worker is dead: one task is to blame, or of several photos each gets another try by itself."""
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)
        how = _exit_reason(worker.process.exitcode)
        log.warning("%s %s", worker.name, how)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _MAX_FAILED_STARTS:
                raise DependencyError(
                    f"workers end before they can begin (the last one {how})", remedy="see if `colorize` works here"
                )
        if len(worker.tasks) == 1:
            (task,) = worker.tasks.values()
            error = DeoldifyVideoError(f"cannot be colorized: the worker {how}", path=task.source)
            yield Failed(task.key, worker.name, error, crashed=True)
        else:
            self._held.extend([task] for task in worker.tasks.values())
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


def _exit_reason(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else str(-code)
        return f"was killed by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")
    return f"ended by itself with code {code}"
