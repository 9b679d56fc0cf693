"""Progress of a batch: bars on a terminal, otherwise a line for every file and now and then one for the whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from deoldify_video.batch.manifest import DONE, FAILED, PENDING, Item
from deoldify_video.batch.planner import Plan
from deoldify_video.cli.batch_output import error_line
from deoldify_video.formatting import format_duration, printable

PHOTO_FRAMES = 25  # of a film take about as long as a photo; for the time that is left only
_LINE_EVERY_S = 60.0
_NAME_SIGNS = 40  # of a file's name on its worker's line


class BatchProgress:
    """Says what ends, and shows how far the whole is. Implements `batch.runner.BatchObserver`."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._items, self._frames = _pending(plan)
        self._done_items, self._done_frames, self._failed = 0, 0, 0
        self._running: dict[int, int] = {}  # key to frames done
        self._began = self._spoke = time.monotonic()

    def started(self, item: Item, worker: str) -> None:
        """Nothing to say: workers have bars, or nothing."""

    def advanced(self, item: Item, worker: str, frames: int, total: int) -> None:
        """Count, and say how far the whole is when it has been quiet for a while."""
        self._running[item.key] = frames
        if time.monotonic() - self._spoke > _LINE_EVERY_S:
            self._say_where()

    def ended(self, item: Item, worker: str, *, again: bool) -> None:
        """Say what came of it."""
        self._running.pop(item.key, None)
        if again:
            self._print(f"[yellow]Again:[/] {error_line(item)}")
            return
        if item.state == PENDING:  # stopped
            return
        self._done_items += 1
        self._done_frames += _weight(item)
        self._failed += item.state == FAILED
        self._print(_line(item))

    def close(self) -> None:
        """Nothing to take away."""

    def left_s(self) -> float | None:
        """Seconds that are left at the speed so far; None where that cannot be known yet, and where nothing is left."""
        done = self._done_frames + sum(self._running.values())
        if not done or self._done_items == self._items:
            return None
        return max(0.0, (self._frames - done) * (time.monotonic() - self._began) / done)

    def where(self) -> str:
        """How far the whole is, in words."""
        left = self.left_s()
        failed = f", {self._failed} failed" if self._failed else ""
        return f"{self._done_items} of {self._items} done{failed}" + (
            f", about {format_duration(left)} left" if left is not None else ""
        )

    def _say_where(self) -> None:
        self._spoke = time.monotonic()
        self._print(self.where())

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False)


class LiveBatchProgress(BatchProgress):
    """The same on a terminal: a bar for the whole, a line for each worker."""

    def __init__(self, console: Console, plan: Plan) -> None:
        super().__init__(console, plan)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[more]}"),
            console=console,
        )  # fmt: skip
        self._whole = self._bars.add_task("archive", total=self._items, more="")
        self._lines: dict[str, tuple[TaskID, int]] = {}  # worker to its bar, and the item on it
        self._bars.start()

    def started(self, item: Item, worker: str) -> None:
        """Give the worker's new item a line."""
        self._clear(worker)
        what = f"{worker}: {printable(item.source.name)[:_NAME_SIGNS]}"
        self._lines[worker] = self._bars.add_task(what, total=item.frames or None, more=""), item.key

    def advanced(self, item: Item, worker: str, frames: int, total: int) -> None:
        """Move both bars."""
        self._running[item.key] = frames
        if worker in self._lines:
            bar = self._lines[worker][0]
            speed = self._bars.tasks[self._bars.task_ids.index(bar)].speed
            self._bars.update(
                bar, completed=frames, total=total or None, more=f"frames  {speed:.1f} fps" if speed else "frames"
            )
        self._show_whole()

    def ended(self, item: Item, worker: str, *, again: bool) -> None:
        """Say what came of it, and take its line away."""
        super().ended(item, worker, again=again)
        if worker in self._lines and self._lines[worker][1] == item.key:
            self._clear(worker)
        self._show_whole()

    def close(self) -> None:
        """Take the bars away."""
        self._bars.stop()

    def _clear(self, worker: str) -> None:
        if worker in self._lines:
            self._bars.remove_task(self._lines.pop(worker)[0])

    def _show_whole(self) -> None:
        left = self.left_s()
        failed = f"{self._failed} failed  " if self._failed else ""
        more = failed + (f"{format_duration(left)} left" if left is not None else "")
        self._bars.update(self._whole, completed=self._done_items, more=more)


@contextmanager
def watching(console: Console, plan: Plan) -> Iterator[BatchProgress]:
    """The view that suits `console`."""
    progress = LiveBatchProgress(console, plan) if console.is_terminal and not console.quiet else BatchProgress(console, plan)
    try:
        yield progress
    finally:
        progress.close()


def _pending(plan: Plan) -> tuple[int, int]:
    """How many items are pending, and how much work that is, in frames."""
    weight = f"CASE kind WHEN 'photo' THEN {PHOTO_FRAMES} ELSE max(frames, 1) END"
    rows = plan.manifest.query(f"SELECT count(*), sum({weight}) FROM items WHERE run = ? AND state = ?", plan.run, PENDING)
    number, frames = next(iter(rows))
    return number, frames or 0


def _weight(item: Item) -> int:
    return PHOTO_FRAMES if item.kind == "photo" else max(1, item.frames)


def _line(item: Item) -> str:
    if item.state != DONE:
        return f"[bold red]Failed:[/] {error_line(item)}"
    what = f"{item.frames_done} frames, {item.fps:.1f} fps, " if item.kind == "film" else ""
    marks = [f"[yellow]{escape(printable(warning))}[/]" for warning in item.warnings]
    return "; ".join([f"[green]{escape(printable(item.output))}[/]: {what}{item.seconds:.1f} s", *marks])
