"""The ways to run workers, as the scheduler sees them: processes on this machine, and a Ray cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Sequence
from typing import Any, Protocol, TypeVar

from deoldify_video.errors import DependencyError
from deoldify_video.executors.base import Event, Task


class WorkerHandle(Protocol):
    """A process that has the network, as the driver sees it."""

    name: str  # in events
    slot: Any  # where it runs
    alive: bool  # as far as is known

    def run(self, tasks: Sequence[Task]) -> AsyncIterator[Event]:
        """Do tasks from beginning to end. Raises `WorkerLostError`, and whatever the program has not foreseen."""

    def stop(self) -> None:
        """Have it leave what it does after the segment."""

    def kill(self) -> None:
        """End it at once."""

    def join(self) -> None:
        """Wait until it has ended."""


W = TypeVar("W", bound=WorkerHandle)


class Transport(Protocol[W]):
    """Where workers come from. `eager`: there is to be one in every slot, not only when there is something to do for it."""

    eager: bool
    patience_s: float  # in which the first worker must be ready

    def slots(self) -> Sequence[Hashable]:
        """All places in which a worker may be."""

    def start(self, slot: Any) -> W:
        """Start a worker."""

    async def load(self, worker: W) -> None:
        """Wait until a new worker has its network. Raises `WorkerLostError`, and `DeoldifyVideoError` for one that cannot be used."""

    def no_workers(self, why: str) -> DependencyError:
        """The error for when there is no worker and will be none; `why` tells of the last one that failed, "" where none has."""
