"""The interface between a batch's runner and the executors that do its tasks.

The driver (`batch.runner`) alone knows the manifest: it decides what is done and what is tried again. An executor takes tasks from it,
one whenever it has room, does them wherever it likes, and answers with events.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deoldify_video.errors import DeoldifyVideoError, unforeseen
from deoldify_video.options import FilmOptions
from deoldify_video.preview.spot_check import QualityCheck
from deoldify_video.report import Report

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """One file to do: `key` is its row in the manifest, `kind` is `film` or `photo`. The folder of `target` exists."""

    key: int
    kind: str
    source: Path
    target: Path
    options: FilmOptions


@dataclass(frozen=True)
class Started:
    """A worker took a task."""

    key: int
    worker: str


@dataclass(frozen=True)
class Advanced:
    """So many of `total` frames of a film are done (0: not known how many there are); about once a second is often enough."""

    key: int
    worker: str
    frames: int
    total: int


@dataclass(frozen=True)
class Finished:
    """A task is done, and its target is there. `quality` is what
    `preview.spot_check.check_quality(task.target)` says of it, which the worker calls."""

    key: int
    worker: str
    report: Report
    quality: QualityCheck


@dataclass(frozen=True)
class Failed:
    """A task could not be done: why, and whether the worker itself ended over it (`crashed`)."""

    key: int
    worker: str
    error: DeoldifyVideoError
    crashed: bool


@dataclass(frozen=True)
class Stopped:
    """A task was left in the middle because the user asked for it; its finished segments are kept."""

    key: int
    worker: str


Event = Started | Advanced | Finished | Failed | Stopped


class WorkerLostError(Exception):
    """A worker is gone, in the way that its text tells: "was killed by SIGKILL".

    `node_died`: not over what it did, which can be done elsewhere; `unreachable`: perhaps so, for nothing more can be learnt of it.
    """

    def __init__(self, how: str, *, node_died: bool = False, unreachable: bool = False) -> None:
        super().__init__(how)
        self.node_died, self.unreachable = node_died, unreachable


def failed(task: Task, worker: str, error: Exception) -> Failed:
    """The event of a task that could not be done. What nobody has foreseen is logged."""
    if isinstance(error, WorkerLostError):
        lost = DeoldifyVideoError(f"cannot be colorized: the worker {error}", path=task.source)
        return Failed(task.key, worker, lost, crashed=True)
    if not isinstance(error, DeoldifyVideoError):
        log.error("%s", task.source, exc_info=error)
    return Failed(task.key, worker, unforeseen(error, task.source), crashed=False)


class Executor(Protocol):
    """Does tasks."""

    def check(self, sources: list[Path], out: Path) -> None:
        """Whether every worker can read the archives `sources` and write to `out`; raises an error that says how to mend it."""

    def run(self, tasks: Iterator[Task | None], should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Do all `tasks`; every one that is taken ends with exactly one of `Finished`, `Failed` and `Stopped`.

        Tasks are taken one by one when there is room for them, never more than a few ahead. None means that there is none now, but
        may be after the next event (one that failed may be tried again). When `should_stop` says so no more are taken, and those
        in progress stop after their segment. Closing the iterator ends all workers at once. Raises `DeoldifyVideoError` when no
        worker can be had at all, such as `DependencyError` for a network that is not there.
        """
