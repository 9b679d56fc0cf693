"""A session: one upload, the folder of all that is made of it, and what runs for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deoldify_video.media.probe import MediaInfo
from deoldify_video.web.memory import MemoryBudget
from deoldify_video.web.queue import DeviceQueue, Run


@dataclass(eq=False)
class Session:
    """A visitor's work on an upload; `PhotoSession` and `FilmSession` say what can be done.

    `key` is its secret address, `folder` where all of it lies, `source` the uploaded file, `shown` the names of files that may be
    served, `used_at` the time.monotonic() of the last work on it; `unwanted` says that its visitor is done with it. `address` is where
    the visitor is; `queue` and `memory` are shared with others.
    """

    key: str
    folder: Path
    source: Path
    info: MediaInfo
    address: str
    queue: DeviceQueue
    memory: MemoryBudget
    run: Run | None = field(default=None, init=False)
    used_at: float = field(default_factory=time.monotonic, init=False)
    unwanted: bool = field(default=False, init=False)
    shown: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        """Subclasses prepare for their kind of upload here. Raises `InputError` where it cannot be read."""

    @property
    def busy(self) -> bool:
        """Whether a run is waiting or on its way for it."""
        return self.run is not None and not self.run.ended

    def submit(self, work: Callable[[Run], Any]) -> Run:
        """Put work on it into its queue. Raises `UsageError` when too many wait."""
        self.run = self.queue.submit(work, self.address)
        return self.run

    def show(self, path: Path) -> str:
        """Let a file of the folder be served; returns its address."""
        self.shown.add(path.name)
        return f"/session/{self.key}/{path.name}"
