"""One run at a time on the device: a queue whose places can be asked for, and runs that stop when they are told to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

from deoldify_video.errors import StoppedError, UsageError
from deoldify_video.models.colorizer import LoadedNetwork
from deoldify_video.web.limits import MAX_WAITING, MAX_WAITING_PER_ADDRESS


class Run:
    """A piece of work for the visitor at `address`. `doing` says in words what it is at, `share` how far that is, 0 to 1."""

    def __init__(self, address: str = "") -> None:
        self.address = address
        self.doing, self.share = "", 0.0
        self._stop = threading.Event()
        self._future: Future[Any] = Future()

    def tell(self, doing: str, share: float) -> None:
        """Called by the work as often as it can; raises `StoppedError` where it is to stop."""
        if self._stop.is_set():
            raise StoppedError("Stopped.")
        self.doing, self.share = doing, min(1.0, share)

    def stop(self) -> None:
        """Take it out of the queue, or have it end at the next `tell`."""
        self._stop.set()
        self._future.cancel()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    @property
    def ended(self) -> bool:
        """Whether it is over, in whatever way."""
        return self._future.done()

    def result(self) -> Any:
        """The result of the work; waits for it. Raises what the work raised, and `StoppedError` where it never began."""
        try:
            return self._future.result()
        except CancelledError:
            raise StoppedError("Stopped.") from None


class DeviceQueue:
    """Gives the device to one run after the other, in the order in which they came; `networks` are for these runs alone."""

    def __init__(self, name: str) -> None:
        self.networks = LoadedNetwork()
        self._pool = ThreadPoolExecutor(1, name)
        self._runs: list[Run] = []  # running or waiting
        self._lock = threading.Lock()

    def submit(self, work: Callable[[Run], Any], address: str = "") -> Run:
        """Put `work` at the end of the queue; it is called with its run. Raises `UsageError` when too many wait, or too many from
        the visitor's `address`.
        """
        run = Run(address)
        with self._lock:
            self._runs = [other for other in self._runs if not other.ended]
            if len(self._runs) > MAX_WAITING:
                raise UsageError(f"{MAX_WAITING} others are waiting already; come back in a while.")
            if sum(other.address == address for other in self._runs) >= MAX_WAITING_PER_ADDRESS:
                raise UsageError(f"{MAX_WAITING_PER_ADDRESS} files of yours are in the queue already; wait until one is done.")
            run._future = self._pool.submit(work, run)
            self._runs.append(run)
        return run

    def ahead_of(self, run: Run) -> int:
        """How many runs come before `run`; 0: it is its turn, or over."""
        with self._lock:
            waiting = [other for other in self._runs if not other.ended]
        return waiting.index(run) if run in waiting else 0

    def close(self) -> None:
        """Stop all runs and wait for the running one."""
        with self._lock:
            for run in self._runs:
                run.stop()
        self._pool.shutdown(wait=True)
