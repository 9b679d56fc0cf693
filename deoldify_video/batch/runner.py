"""A whole archive: takes what is to be done from the manifest, gives it to an executor, and writes down what comes of it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deoldify_video import __version__
from deoldify_video.batch.manifest import DONE, FAILED, FOLDER, PENDING, RUNNING, Item
from deoldify_video.batch.planner import Plan, mtime_ns, size_of
from deoldify_video.errors import DependencyError, OutputError
from deoldify_video.executors.base import Advanced, Event, Executor, Failed, Finished, Started, Task
from deoldify_video.film.journal import work_folder
from deoldify_video.formatting import printable
from deoldify_video.media.files import lock_file, output_errors, remove_leftovers

log = logging.getLogger(__name__)

TRIED_AGAIN = (1, 4, 6)  # exit codes of errors that may pass: unforeseen ones, the disk's, the device memory's
BEAT_S = 2.0  # a film's progress is written down this often


@dataclass(frozen=True)
class Policy:
    """How often a file is tried again before it is set aside, and whether the first one that is ends the run."""

    retry: int = 2
    stop_on_error: bool = False


class BatchObserver(Protocol):
    """Somebody who watches."""

    def started(self, item: Item, worker: str) -> None:
        """A worker has begun."""

    def advanced(self, item: Item, worker: str, frames: int, total: int) -> None:
        """A film is so far."""

    def ended(self, item: Item, worker: str, *, again: bool) -> None:
        """A file is finished, has failed, or was left in the middle, as its row says; with `again` it is tried once more."""


class BatchRunner:
    """One run over what a plan has settled."""

    def __init__(self, plan: Plan, executor: Executor, policy: Policy, observer: BatchObserver) -> None:
        self._plan, self._manifest, self._executor = plan, plan.manifest, executor
        self._policy, self._observer = policy, observer
        self._in_flight: dict[int, float] = {}  # key to when its progress was written down
        self._halted = False

    def run(self, should_stop: Callable[[], bool]) -> None:
        """Do all that is pending. Raises `DeoldifyVideoError` when nothing at all can be done."""
        try:
            with closing(self._executor.run(self._tasks(), lambda: self._halted or should_stop())) as events:  # type: ignore[type-var]
                for event in events:
                    self._on_event(event)
        finally:
            for key in list(self._in_flight):  # only after an error, or a second Ctrl-C
                self._on_stopped(key)

    def _tasks(self) -> Iterator[Task | None]:
        """The pending tasks, new ones first; None while something is being done that may have to be tried again."""
        turn = "run = ? AND state = ? ORDER BY attempts, turn, key"
        while not self._halted:
            item = self._manifest.item(turn, self._plan.run, PENDING)
            if item is None:
                if not self._in_flight:
                    return
                yield None
            elif self._make_folder(item):
                yield self._start_task(item)

    def _make_folder(self, item: Item) -> bool:
        """Have a folder for the output; whether there is one, and it lies where it should."""
        folder, out = (self._plan.out / item.target).parent, self._plan.out.resolve()
        try:
            with output_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
            if out not in (folder.resolve(), *folder.resolve().parents):
                raise OutputError("leads out of the output folder", path=folder, remedy="remove that link")
        except OutputError as error:
            self._manifest.put(item.key, state=FAILED, error=error, exit_code=error.exit_code)
            self._notify(item.key, "", again=False)
            self._halted |= self._policy.stop_on_error
            return False
        return True

    def _start_task(self, item: Item) -> Task:
        task = self._plan.task(item)
        self._in_flight[item.key] = 0.0
        self._manifest.put(
            item.key,
            state=RUNNING,
            reason="",
            settings=self._plan.settings_id(item.kind),
            version=__version__,
            attempts=item.attempts + 1,
            before_ns=mtime_ns(task.target),
            started=time.time(),
            worker="",
        )
        return task

    def _on_event(self, event: Event) -> None:
        """Write down what an executor says."""
        key, worker = event.key, event.worker
        if isinstance(event, Started):
            self._manifest.put(key, worker=worker, started=time.time())
            self._observer.started(self._item(key), worker)
        elif isinstance(event, Advanced):
            now = time.monotonic()
            if now - self._in_flight.get(key, now) >= BEAT_S:
                self._in_flight[key] = now
                self._manifest.put(key, frames_done=event.frames, frames_total=event.total)
            self._observer.advanced(self._item(key), worker, event.frames, event.total)
        elif isinstance(event, Finished):
            self._finish(event)
        elif isinstance(event, Failed):
            self._fail(event)
        else:
            self._on_stopped(key)
            self._notify(key, worker, again=False)

    def _finish(self, event: Finished) -> None:
        report, item = event.report, self._item(event.key)
        del self._in_flight[event.key]
        self._manifest.put_shots(event.key, event.quality)
        problem = [event.quality.problem] if event.quality.problem else []
        self._manifest.put(
            event.key,
            state=DONE,
            output=item.target,
            output_size=size_of(self._plan.out / item.target),
            frames_done=report.frames,
            frames_total=report.frames,
            segments=report.segments,
            seconds=report.seconds,
            fps=report.fps,
            network=f"{report.model} at render factor {report.render_factor} on {report.device} ({report.precision})",
            warnings=json.dumps(report.warnings),
            notes=json.dumps([*report.notes, *problem]),
            verification=json.dumps(report.verification),
            error=None,
            exit_code=0,
            worker=event.worker,
            finished=time.time(),
        )
        log.info("finished: %s", report)
        self._notify(event.key, event.worker, again=False)

    def _fail(self, event: Failed) -> None:
        item = self._item(event.key)
        del self._in_flight[event.key]
        if isinstance(event.error, DependencyError):  # which every other file would meet as well
            self._manifest.put(event.key, state=PENDING)
            raise event.error
        if event.crashed:
            remove_leftovers(self._plan.out / item.target)
        if self._plan.adopt(item):
            self._notify(event.key, event.worker, again=False)
            return
        again = event.error.exit_code in TRIED_AGAIN and item.attempts <= self._policy.retry
        log.error("%s, attempt %d: %s", printable(item.source), item.attempts, event.error)
        self._manifest.put(
            event.key,
            state=PENDING if again else FAILED,
            error=event.error,
            exit_code=event.error.exit_code,
            segments=finished_segments(self._plan.out / item.target),
            worker=event.worker,
            finished=time.time(),
        )
        self._halted |= self._policy.stop_on_error and not again
        self._notify(event.key, event.worker, again=again)

    def _on_stopped(self, key: int) -> None:
        """An item that the user has stopped: its finished segments are kept for the next run."""
        self._in_flight.pop(key, None)
        item = self._item(key)
        if not self._plan.adopt(item):
            segments = finished_segments(self._plan.out / item.target)
            self._manifest.put(key, state=PENDING, reason="stopped", segments=segments)

    def _item(self, key: int) -> Item:
        item = self._manifest.item("key = ?", key)
        assert item is not None
        return item

    def _notify(self, key: int, worker: str, *, again: bool) -> None:
        self._observer.ended(self._item(key), worker, again=again)


def finished_segments(target: Path) -> int:
    """How many segments of an unfinished film lie in its work folder: the lines of its journal, but the first."""
    with suppress(OSError):
        lines = (work_folder(target) / "journal.jsonl").read_bytes().count(b"\n")
        return max(0, lines - 1)
    return 0


@contextmanager
def batch_lock(out: Path) -> Iterator[None]:
    """Make the output folder, and keep other batches out of it; raises `OutputError` when one is there already."""
    folder = out / FOLDER
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = lock_file(folder / "lock")
    if lock is None:
        raise OutputError("is worked on by another batch", path=out, remedy="wait for it or stop it")
    try:
        yield
    finally:
        lock.release()


def is_running(out: Path) -> bool:
    """Whether a batch is working on the output folder just now."""
    path = out / FOLDER / "lock"
    if not path.is_file():
        return False
    lock = lock_file(path)
    if lock is not None:
        lock.release()
    return lock is None
