"""Shows a training: a live progress view on a terminal, a line now and then elsewhere; and the log that TensorBoard reads."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from deoldify_video.errors import OutputError

LINE_EVERY_S = 60.0  # without a terminal


class TrainingObserver(Protocol):
    """The interface by which a training tells its user how it goes."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def step(self, phase: str, number: int, progress: float, losses: Mapping[str, float], rate: float) -> None:
        """Step `number` is done, `progress` (0..1) of the phase with it; `losses` are means since the last call, `rate` is in
        pictures a second.
        """


class Silent:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def step(self, phase: str, number: int, progress: float, losses: Mapping[str, float], rate: float) -> None:
        """Nothing."""


class RichObserver:
    """A progress bar for each phase with smoothed losses; a context manager. Writes to the console alone."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[losses]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._smooth: dict[str, float] = {}
        self._last_line = time.monotonic()

    def __enter__(self) -> RichObserver:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        """A line that stays above the bars."""
        self._console.print(text, highlight=False)

    def step(self, phase: str, number: int, progress: float, losses: Mapping[str, float], rate: float) -> None:
        """Move the phase's bar."""
        if phase not in self._tasks:
            self._smooth.clear()
            self._tasks[phase] = self._progress.add_task(phase, total=1.0, losses="")
        for name, value in losses.items():
            self._smooth[name] = 0.7 * self._smooth.get(name, value) + 0.3 * value
        text = f"step {number}, {rate:.0f} pictures/s  " + "  ".join(
            f"{name} {value:.3f}" for name, value in self._smooth.items()
        )
        self._progress.update(self._tasks[phase], completed=min(1.0, progress), losses=text)
        if not self._console.is_terminal and time.monotonic() - self._last_line > LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._console.print(f"{phase} {100 * progress:.0f} %, {text}", highlight=False)


class MetricsLog:
    """Numbers over the steps: always `log.jsonl`, and TensorBoard events where the `train` extra is installed."""

    def __init__(self, folder: Path) -> None:
        try:
            self._file = (folder / "log.jsonl").open("a", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {folder / 'log.jsonl'}: {error.strerror}.") from error
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return  # TensorBoard is optional; the JSON lines hold the same numbers
        self._writer = SummaryWriter(str(folder))

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if self._writer is not None:
            self._writer.close()

    def add(self, step: int, phase: str, values: Mapping[str, float]) -> None:
        """Append one row; raises `OutputError` when the disk is full."""
        try:
            self._file.write(json.dumps({"step": step, "phase": phase, **values}) + "\n")
            self._file.flush()
            if self._writer is not None:
                for name, value in values.items():
                    self._writer.add_scalar(f"{phase}/{name}", value, step)
        except OSError as error:
            raise OutputError(f"cannot write the log of the training: {error.strerror}.") from error
