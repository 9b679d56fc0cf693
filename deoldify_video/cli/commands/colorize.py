"""`colorize`: films and photos, one or many."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from deoldify_video.cli.console import logged_to, progress_bar, stop_on_interrupt
from deoldify_video.cli.shared_options import Chosen, JsonOutput, LogFile, Quiet, with_film_options
from deoldify_video.errors import DeoldifyVideoError
from deoldify_video.report import Report

log = logging.getLogger("deoldify_video")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(colorize)


@with_film_options()
def colorize(
    inputs: Annotated[list[Path], typer.Argument(help="Films and photos.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The result; for several inputs, a folder.")],
    chosen: Chosen,
    log_file: LogFile = None,
    json_output: JsonOutput = False,
    quiet: Quiet = False,
) -> None:
    """Colorize films and photos: same pictures, same timing, same sound, in colour.

    With several inputs OUTPUT is a folder and names are kept; one that fails does not stop the others (exit code 1).
    """
    from deoldify_video.batch.several import colorize_files, plan_files

    console, options = Console(stderr=True, quiet=quiet, soft_wrap=True), chosen.options
    several = len(inputs) > 1 or inputs[0].is_dir()
    files = plan_files(inputs, output, options.encode.codec) if several else [(inputs[0], output)]
    reports: list[Report] = []
    failures: list[tuple[Path, DeoldifyVideoError]] = []
    with logged_to(log_file, options), stop_on_interrupt(console) as should_stop, progress_bar(console) as follow:
        for source, outcome in colorize_files(files, options, follow=follow, should_stop=should_stop):
            if isinstance(outcome, Report):
                reports.append(outcome)
                continue
            log.error("%s: %s", source, outcome)
            failures.append((source, outcome))
            _print_error(console, outcome)
    for report in reports:
        _summarize(console, report)
    if json_output:
        items: list[dict[str, Any]] = [report.as_dict() for report in reports]
        items += [{"source": str(source)} | error.as_dict() for source, error in failures]
        typer.echo(json.dumps(items[0] if len(files) == 1 else {"items": items}))
    if failures:
        raise typer.Exit(1)


def _print_error(console: Console, error: DeoldifyVideoError) -> None:
    """One of several inputs failed: said even when the console is quiet."""
    loud = Console(stderr=True, soft_wrap=True) if console.quiet else console
    loud.print(f"[bold red]Error:[/] {escape(str(error))}", highlight=False)


def _summarize(console: Console, report: Report) -> None:
    what = f"{report.frames} frames in {report.shots} shots, {report.fps:.1f} fps, " if report.kind == "film" else ""
    how = f"{report.model} at render factor {report.render_factor} on {report.device} ({report.precision})"
    console.print(f"[green]{escape(report.output)}[/]: {what}{report.seconds:.1f} s, {escape(how)}", highlight=False)
    if report.resumed_frames:
        console.print(f"  {report.resumed_frames} of the frames were finished by an earlier run.", highlight=False)
    if report.verification:
        console.print("  Verified: every frame at its time, sound and all other streams unchanged.", highlight=False)
    for note in report.notes:
        console.print(f"  {escape(note)}", highlight=False)
    for warning in report.warnings:
        console.print(f"  [yellow]Warning:[/] {escape(warning)}", highlight=False)
