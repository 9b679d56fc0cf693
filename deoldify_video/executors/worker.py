"""A worker: a process that loads the network once, does tasks one after the other, and tells the driver about each.

It must not outlive its driver: on Linux the kernel ends it together with the driver, elsewhere it ends when the pipe does.
"""

from __future__ import annotations

import ctypes
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from logging.handlers import QueueHandler
from typing import TYPE_CHECKING, Any

from deoldify_video.errors import DeoldifyVideoError, StoppedError
from deoldify_video.executors.base import Advanced, Event, Finished, Started, Stopped, Task, failed
from deoldify_video.options import ColorOptions
from deoldify_video.report import Progress, Report

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from deoldify_video.models.colorizer import Colorizer

ADVANCED_EVERY_S = 1.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Placement:
    """Where a worker computes: on a GPU of its own (`CUDA_VISIBLE_DEVICES`), or on some of the processor's cores; None: anywhere."""

    gpu: str | None = None
    cores: tuple[int, ...] | None = None

    @classmethod
    def of(cls, number: int, *, gpus: int, share: int, named: str = "", cores: Sequence[int] = ()) -> Placement:
        """The place of the worker `number`, counted from 0: the `gpus` in turn, which are called as in `named` (the variable
        `CUDA_VISIBLE_DEVICES`); without any, one of `share` equal parts of the `cores`.
        """
        if gpus:
            names = [name for name in named.split(",") if name]
            gpu = number % gpus
            return cls(gpu=names[gpu] if gpu < len(names) else str(gpu))
        if share == 1 or not cores:
            return cls()
        mine = cores[number * len(cores) // share : (number + 1) * len(cores) // share]
        return cls(cores=tuple(mine) or (cores[number % len(cores)],))

    def apply(self) -> None:
        """Keep this process to its place."""
        if self.gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = self.gpu
        if self.cores is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.cores)


@dataclass(frozen=True)
class Ready:
    """A worker has its network and waits for tasks; the machine has so many `gpus` of the kind that it uses."""

    gpus: int


@dataclass(frozen=True)
class StartFailed:
    """A worker could not even begin; so could no other."""

    error: DeoldifyVideoError


@dataclass(frozen=True)
class LogMessage:
    """Something for the driver's log."""

    record: logging.LogRecord


STOP = "stop"  # what the driver sends to have a worker leave its task after the segment; anything else are tasks


def run_worker(connection: Connection[Any, Any], name: str, options: ColorOptions, place: Placement, *, logs: bool) -> None:
    """The life of a worker: until the driver closes the pipe."""
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the driver decides
    _die_with_parent()
    place.apply()
    inbox: queue.SimpleQueue[Sequence[Task]] = queue.SimpleQueue()
    stop = threading.Event()
    threading.Thread(target=_listen, args=(connection, inbox, stop), daemon=True).start()
    outbox = _Outbox(connection)
    if logs:
        package = logging.getLogger("deoldify_video")
        package.setLevel(logging.INFO)
        package.addHandler(QueueHandler(outbox))  # type: ignore[arg-type]
    try:
        from deoldify_video.models.colorizer import Colorizer

        colorizer = Colorizer(options)
    except DeoldifyVideoError as error:
        outbox.send(StartFailed(error))
        return
    outbox.send(Ready(_gpus(colorizer)))
    while True:
        for event in run_tasks(inbox.get(), colorizer, name, stop, outbox.send):
            outbox.send(event)


def run_tasks(
    tasks: Sequence[Task], colorizer: Colorizer, name: str, stop: threading.Event, send: Callable[[Event], None]
) -> Iterator[Event]:
    """Do one task, or several photos together; every one ends with an event of its own. What happens on the way is sent at once."""
    if len(tasks) == 1:
        send(Started(tasks[0].key, name))
        yield _run_one(tasks[0], colorizer, name, stop, send)
        return
    from deoldify_video.photo import colorize_photos

    jobs = [(task.source, task.target, task.options) for task in tasks]
    left = dict(enumerate(tasks))
    done = colorize_photos(
        jobs, colorizer, on_start=lambda number: send(Started(tasks[number].key, name)), should_stop=stop.is_set
    )
    try:
        for number, outcome in done:
            task = left.pop(number)
            yield _finished(task, name, outcome) if isinstance(outcome, Report) else failed(task, name, outcome)
    except Exception as error:  # which of them it was is not known
        yield from (failed(task, name, error) for task in left.values())
        return
    yield from (Stopped(task.key, name) for task in left.values())


def _run_one(task: Task, colorizer: Colorizer, name: str, stop: threading.Event, send: Callable[[Event], None]) -> Event:
    from deoldify_video import colorize

    last_sent_s = 0.0

    def on_progress(progress: Progress) -> None:
        nonlocal last_sent_s
        now = time.monotonic()
        if now - last_sent_s >= ADVANCED_EVERY_S:
            last_sent_s = now
            send(Advanced(task.key, name, progress.frames, progress.total))

    try:
        if stop.is_set():
            return Stopped(task.key, name)
        report = colorize.colorize_item(
            task.source,
            task.target,
            task.options,
            colorizer=colorizer,
            on_progress=on_progress,
            should_stop=stop.is_set,
        )
    except StoppedError:
        return Stopped(task.key, name)
    except Exception as error:
        return failed(task, name, error)
    return _finished(task, name, report)


def _finished(task: Task, name: str, report: Report) -> Finished:
    from deoldify_video.preview.spot_check import check_quality

    return Finished(task.key, name, report, check_quality(task.target))


class _Outbox:
    """The worker's end of the pipe; also a queue for log records, from whatever thread."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def send(self, message: Event | Ready | StartFailed | LogMessage) -> None:
        """Tell the driver; ends this process when there is none any more."""
        try:
            with self._lock:
                self._connection.send(message)
        except OSError:
            os._exit(1)

    def put_nowait(self, record: logging.LogRecord) -> None:
        """For `QueueHandler`."""
        self.send(LogMessage(record))


def _listen(connection: Connection[Any, Any], inbox: queue.SimpleQueue[Sequence[Task]], stop: threading.Event) -> None:
    """Take what the driver sends. When its end of the pipe closes, it is done with this worker, or dead."""
    try:
        while True:
            message = connection.recv()
            if message == STOP:
                stop.set()
            else:
                inbox.put(message)
    except (EOFError, OSError):
        os._exit(0)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _gpus(colorizer: Colorizer) -> int:
    import torch

    kind = colorizer.device.type
    return torch.cuda.device_count() if kind == "cuda" else int(kind == "mps")
