"""One job at a time on the device: a queue whose places can be asked for, and jobs that stop when they are told to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

from deoldify_video.errors import StoppedError, UsageError
from deoldify_video.web.limits import MAX_WAITING


class Job:
    """A piece of work. `doing` says in words what it is at, `share` how far that is, 0 to 1."""

    def __init__(self) -> None:
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


class JobQueue:
    """Runs jobs one after the other, in the order in which they came."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "device")
        self._jobs: list[Job] = []  # running or waiting
        self._lock = threading.Lock()

    def submit(self, work: Callable[[Job], Any]) -> Job:
        """Put `work` at the end of the queue; it is called with its job. Raises `UsageError` when too many wait."""
        job = Job()
        with self._lock:
            self._jobs = [other for other in self._jobs if not other.ended]
            if len(self._jobs) > MAX_WAITING:
                raise UsageError(f"{MAX_WAITING} others are waiting already; come back in a while.")
            job._future = self._pool.submit(work, job)
            self._jobs.append(job)
        return job

    def ahead_of(self, job: Job) -> int:
        """How many jobs come before `job`; 0: it is its turn, or over."""
        with self._lock:
            waiting = [other for other in self._jobs if not other.ended]
        return waiting.index(job) if job in waiting else 0

    def close(self) -> None:
        """Stop all jobs and wait for the running one."""
        with self._lock:
            for job in self._jobs:
                job.stop()
        self._pool.shutdown(wait=True)
