"""Around the work of a command: errors and JSON are printed, a log is kept, progress shown, and Ctrl-C heard."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from deoldify_video import __version__
from deoldify_video.errors import DeoldifyVideoError, OutputError
from deoldify_video.formatting import printable
from deoldify_video.options import FilmOptions
from deoldify_video.report import OnProgress
from deoldify_video.report import Progress as FilmProgress

log = logging.getLogger("deoldify_video")
LOG_EVERY_FRAMES = 250  # without a terminal: a line now and then instead of a bar


def print_error(error: DeoldifyVideoError, *, as_json: bool = False) -> None:
    """One line about an error on stderr; with `as_json` also an object on stdout."""
    line = f"[bold red]Error:[/] {escape(printable(str(error)))}"
    Console(stderr=True, soft_wrap=True).print(line, highlight=False)
    if as_json:
        print_json(error.as_dict())


def print_json(content: Any, *, indent: int | None = None) -> None:
    """Print `content` on stdout as JSON, in one line or indented."""
    typer.echo(json.dumps(content, indent=indent))


@contextmanager
def quiet_when_closed() -> Iterator[None]:
    """End with exit code 1 and without a word when nobody reads what the block prints any more, as `head` does."""
    try:
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
    except BrokenPipeError:
        # What is still buffered would be tried again when the interpreter ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        sys.exit(1)


@contextmanager
def logged_to(path: Path | None, options: FilmOptions) -> Iterator[None]:
    """Write what the package logs to `path`, with times; also the error that ends the block. Raises `OutputError`."""
    if path is None:
        yield
        return
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot be written as the log: {error.strerror}", path=path) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        log.info("deoldify-video %s, %s", __version__, options)
        yield
    except BaseException as error:
        log.error("ended by %s: %s", type(error).__name__, error)
        raise
    finally:
        log.setLevel(before)
        log.removeHandler(handler)
        handler.close()


@contextmanager
def stop_on_interrupt(console: Console) -> Iterator[Any]:
    """Gives a function that says whether to stop: after the first Ctrl-C, which lets the segment finish. The second one stops now."""
    asked = False

    def handle(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        console.print("[yellow]Stopping after this segment; press Ctrl-C again to stop now.[/]")

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def progress_bar(console: Console) -> Iterator[Any]:
    """Gives a function that makes, for a source, what is to be called after every frame: a bar on a terminal, else log lines."""
    if not console.is_terminal or console.quiet:
        yield lambda source: _log_lines(console, source)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed}/{task.total} frames  {task.fields[fps]:.1f} fps  shot {task.fields[shot]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:

        def follow(source: Path) -> OnProgress:
            task = bar.add_task(source.name, total=None, fps=0.0, shot=1)

            def on_progress(progress: FilmProgress) -> None:
                speed = bar.tasks[bar.task_ids.index(task)].speed or 0.0
                bar.update(task, completed=progress.frames, total=progress.total or None, fps=speed, shot=progress.shot)

            return on_progress

        yield follow


def _log_lines(console: Console, source: Path) -> OnProgress:
    def on_progress(progress: FilmProgress) -> None:
        if progress.frames % LOG_EVERY_FRAMES == 0:
            console.print(
                f"{escape(source.name)}: {progress.frames}/{progress.total or '?'} frames, shot {progress.shot}",
                highlight=False,
            )

    return on_progress
