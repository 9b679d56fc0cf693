"""The executor on this machine: a worker process for each GPU, or one on the processor. One that dies is replaced."""

from __future__ import annotations

import asyncio
import logging
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from deoldify_video.errors import DependencyError
from deoldify_video.executors.base import Event, Failed, Finished, Stopped, Task, WorkerLostError
from deoldify_video.executors.scheduler import Scheduler
from deoldify_video.executors.worker import STOP, LogMessage, Placement, Ready, StartFailed, run_worker
from deoldify_video.options import ColorOptions, FilmOptions

log = logging.getLogger(__name__)


class LocalExecutor:
    """Worker processes on this machine: `jobs` of them, by default one for each GPU, or one on the processor.

    `entry` is what a process does, with the parameters of `executors.worker.run_worker`.
    """

    eager = False  # a network takes memory
    patience_s = math.inf  # the first worker may have to fetch its network

    def __init__(self, options: FilmOptions, jobs: int | None = None, *, entry: Callable[..., None] = run_worker) -> None:
        self._options, self._jobs, self._entry = options.color, jobs, entry
        self._gpus: int | None = None  # not known until the first worker has looked

    def check(self, sources: list[Path], out: Path) -> None:
        """Nothing: what this machine can read, its workers can."""

    def run(self, tasks: Iterator[Task | None], should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Do all `tasks`; see `executors.base.Executor`."""
        with closing(Scheduler(self).events(tasks, should_stop)) as events:  # type: ignore[type-var]
            yield from events

    def slots(self) -> Sequence[int]:
        """Numbers of workers; before the first one is ready, one."""
        return range(1 if self._gpus is None else self._jobs or max(1, self._gpus))

    def start(self, slot: int) -> LocalWorker:
        """Start a worker."""
        get_cores = getattr(os, "sched_getaffinity", None)
        cores = sorted(get_cores(0)) if get_cores else ()
        named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        place = Placement.of(slot, gpus=self._gpus or 0, share=self._jobs or 1, named=named, cores=cores)
        return LocalWorker(slot, self._entry, self._options, place)

    async def load(self, worker: LocalWorker) -> None:
        """Wait until a worker is ready, and learn from the first how many GPUs there are."""
        gpus = await worker.ready()
        self._gpus = gpus if self._gpus is None else self._gpus

    def no_workers(self, why: str) -> DependencyError:
        """The error for when workers end before they can begin."""
        return DependencyError(f"workers end before they can begin ({why})", remedy="see if `colorize` works here")


class LocalWorker:
    """A worker process; a thread passes on to the event loop what it says, and that it has ended."""

    def __init__(self, slot: int, entry: Callable[..., None], options: ColorOptions, place: Placement) -> None:
        self.slot, self.name, self.alive = slot, f"worker {slot + 1}", True
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[Event | Ready | StartFailed | None] = asyncio.Queue()
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=entry,
            args=(theirs, self.name, options, place),
            kwargs={"logs": log.isEnabledFor(logging.INFO)},
            name=self.name,
            daemon=True,
        )
        self._process.start()
        theirs.close()  # so that the pipe ends with the process
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    async def ready(self) -> int:
        """Wait until it has its network; returns how many GPUs of its kind there are."""
        message = await self._next()
        if isinstance(message, StartFailed):
            raise message.error
        assert isinstance(message, Ready)
        return message.gpus

    async def run(self, tasks: Sequence[Task]) -> AsyncIterator[Event]:
        """Do tasks; see `executors.transport.WorkerHandle`."""
        with suppress(OSError):  # it has just died; its end tells
            self._connection.send(tasks)
        left = {task.key for task in tasks}
        while left:
            message = await self._next()
            assert not isinstance(message, Ready | StartFailed)
            if isinstance(message, Finished | Failed | Stopped):
                left.discard(message.key)
            yield message

    def stop(self) -> None:
        """Have it leave what it does after the segment."""
        with suppress(OSError):
            self._connection.send(STOP)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def join(self) -> None:
        """Wait until it has ended."""
        self._listener.join()

    async def _next(self) -> Event | Ready | StartFailed:
        message = await self._messages.get()
        if message is None:
            raise WorkerLostError(_exit_reason(self._process.exitcode))
        return message

    def _listen(self) -> None:
        try:
            while True:
                self._tell(self._connection.recv())
        except (EOFError, OSError):
            pass
        except Exception:
            log.exception("what %s says cannot be read", self.name)
            self._process.kill()
        self._process.join()
        self._connection.close()
        self._tell(None)

    def _tell(self, message: Event | Ready | StartFailed | LogMessage | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._on_message, message)

    def _on_message(self, message: Event | Ready | StartFailed | LogMessage | None) -> None:
        if isinstance(message, LogMessage):
            logging.getLogger(message.record.name).handle(message.record)
            return
        self.alive = message is not None
        self._messages.put_nowait(message)


def _exit_reason(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else str(-code)
        return f"was killed by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")
    return f"ended by itself with code {code}"
