"""Tasks: what is sent to a worker, or beside the workers, and answers item by item."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from deoldify_video.errors import DeoldifyVideoError
from deoldify_video.executors.base import Event, Failed, Finished, Stopped, Task

if TYPE_CHECKING:
    from deoldify_video.executors.cluster.pool import RemoteWorker


class Scheduler(Protocol):
    """Where tasks are handed in."""

    @property
    def capacity(self) -> int:
        """How many workers there may be."""

    def queue(self, remote_task: RemoteTask, *, first: bool = False) -> None:
        """Have the next free worker do it; `first`: before all others."""

    def send(self, remote_task: RemoteTask, function: str, *arguments: Any) -> None:
        """Call a function of `remote` for it beside the workers, on some node."""

    def cancel(self, remote_task: RemoteTask) -> None:
        """End what was sent, if it is still being done."""


class RemoteTask(ABC):
    """Something that is done elsewhere. `broken_connections` counts how often the connection to who did it broke."""

    broken_connections = 0

    @property
    def is_canceled(self) -> bool:
        """Whether it is not wanted any more."""
        return False

    def submit(self, worker: RemoteWorker) -> Any:
        """Send it to a worker; returns the stream of its items. For tasks that are queued."""
        raise NotImplementedError

    def on_started(self, worker: RemoteWorker) -> Iterator[Event]:
        """Events to tell when a worker takes it."""
        return iter(())

    @abstractmethod
    def on_result(self, item: Any, worker: RemoteWorker | None) -> Iterator[Event]:
        """An item has come."""

    def end(self) -> Iterator[Event]:
        """All items have come."""
        return iter(())

    @abstractmethod
    def on_failure(self, error: str, worker: RemoteWorker | None, *, node_died: bool, crashed: bool) -> Iterator[Event]:
        """It did not come to its end: its node died, or its worker alone (`crashed`), or the program failed."""

    @abstractmethod
    def cancel(self) -> Iterator[Event]:
        """It was not begun, and will not be."""


class PhotoTask(RemoteTask):
    """Photos that a worker does together. One that kills its worker is found by doing each alone."""

    def __init__(self, scheduler: Scheduler, tasks: Sequence[Task]) -> None:
        self._scheduler = scheduler
        self._left = {task.key: task for task in tasks}

    def submit(self, worker: RemoteWorker) -> Any:
        """Those that are left."""
        return worker.handle.run_photos.options(num_returns="streaming").remote(list(self._left.values()))

    def on_result(self, item: Any, worker: RemoteWorker | None) -> Iterator[Event]:
        """The worker's own events."""
        if isinstance(item, Finished | Failed | Stopped):
            self._left.pop(item.key)
        yield item

    def on_failure(self, error: str, worker: RemoteWorker | None, *, node_died: bool, crashed: bool) -> Iterator[Event]:
        """Try those that are left again; one that was alone is to blame."""
        if node_died:
            self._scheduler.queue(self, first=True)
        elif crashed and len(self._left) > 1:
            for task in self._left.values():
                self._scheduler.queue(PhotoTask(self._scheduler, [task]))
        else:
            name = worker.name if worker else ""
            yield from (failed(task, name, error, crashed=crashed) for task in self._left.values())

    def cancel(self) -> Iterator[Event]:
        """They will be done another time."""
        yield from (Stopped(task.key, "") for task in self._left.values())


def failed(task: Task, worker: str, error: DeoldifyVideoError | str, *, crashed: bool = False) -> Failed:
    """The event of a task that could not be done; a text is what befell its source."""
    known = error if isinstance(error, DeoldifyVideoError) else DeoldifyVideoError(error, path=task.source)
    return Failed(task.key, worker, known, crashed)
