"""Errands: what is sent to a worker, or beside the workers, and answers item by item."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from deoldify_video.errors import DeoldifyVideoError
from deoldify_video.executors.base import Event, Failed, Finished, Stopped, Work

if TYPE_CHECKING:
    from deoldify_video.executors.cluster.pool import RemoteWorker


class Dispatch(Protocol):
    """Where errands are handed in."""

    @property
    def room(self) -> int:
        """How many workers there may be."""

    def queue(self, errand: Errand, *, first: bool = False) -> None:
        """Have the next free worker do it; `first`: before all others."""

    def send(self, errand: Errand, function: str, *arguments: Any) -> None:
        """Call a function of `remote` for it beside the workers, on some node."""

    def call_off(self, errand: Errand) -> None:
        """End what was sent, if it is still being done."""


class Errand(ABC):
    """Something that is done elsewhere. `cut_off` counts how often the connection to who did it broke."""

    cut_off = 0

    @property
    def is_off(self) -> bool:
        """Whether it is not wanted any more."""
        return False

    def begin(self, worker: RemoteWorker) -> Any:
        """Send it to a worker; returns the stream of its items. For errands that are queued."""
        raise NotImplementedError

    def started(self, worker: RemoteWorker) -> Iterator[Event]:
        """What is told when a worker takes it."""
        return iter(())

    @abstractmethod
    def take(self, item: Any, worker: RemoteWorker | None) -> Iterator[Event]:
        """An item has come."""

    def end(self) -> Iterator[Event]:
        """All items have come."""
        return iter(())

    @abstractmethod
    def lose(self, error: str, worker: RemoteWorker | None, *, node_died: bool, crashed: bool) -> Iterator[Event]:
        """It did not come to its end: its node died, or its worker alone (`crashed`), or the program failed."""

    @abstractmethod
    def leave(self) -> Iterator[Event]:
        """It was not begun, and will not be."""


class Photos(Errand):
    """Photos that a worker does together. One that kills its worker is found by doing each alone."""

    def __init__(self, dispatch: Dispatch, works: Sequence[Work]) -> None:
        self._dispatch = dispatch
        self._left = {work.key: work for work in works}

    def begin(self, worker: RemoteWorker) -> Any:
        """Those that are left."""
        return worker.handle.do.options(num_returns="streaming").remote(list(self._left.values()))

    def take(self, item: Any, worker: RemoteWorker | None) -> Iterator[Event]:
        """The worker's own events."""
        if isinstance(item, Finished | Failed | Stopped):
            self._left.pop(item.key)
        yield item

    def lose(self, error: str, worker: RemoteWorker | None, *, node_died: bool, crashed: bool) -> Iterator[Event]:
        """Try those that are left again; one that was alone is to blame."""
        if node_died:
            self._dispatch.queue(self, first=True)
        elif crashed and len(self._left) > 1:
            for work in self._left.values():
                self._dispatch.queue(Photos(self._dispatch, [work]))
        else:
            name = worker.name if worker else ""
            yield from (failed(work, name, error, crashed=crashed) for work in self._left.values())

    def leave(self) -> Iterator[Event]:
        """They will be done another time."""
        yield from (Stopped(work.key, "") for work in self._left.values())


def failed(work: Work, worker: str, error: DeoldifyVideoError | str, *, crashed: bool = False) -> Failed:
    """The event of a work that could not be done."""
    if isinstance(error, DeoldifyVideoError):
        return Failed(work.key, worker, str(error), error.exit_code, crashed)
    return Failed(work.key, worker, f"{work.source}{error}", 1, crashed)
