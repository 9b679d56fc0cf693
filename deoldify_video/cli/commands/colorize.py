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
from deoldify_video.errors import DeoldifyVideoError, InputError, OutputError, UsageError
from deoldify_video.options import FilmOptions
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
    _run(inputs, output, chosen, log_file=log_file, json_output=json_output, quiet=quiet)


def _run(
    inputs: list[Path],
    output: Path,
    chosen: Chosen,
    *,
    log_file: Path | None,
    json_output: bool,
    quiet: bool,
) -> None:
    """Colorize every input in turn and print what came of it; exits with 1 when some of several failed."""
    from deoldify_video.colorize import colorize_item

    console, options = Console(stderr=True, quiet=quiet, soft_wrap=True), chosen.options
    jobs = plan_jobs(inputs, output, options.encode.codec)
    reports: list[Report] = []
    failures: list[tuple[Path, DeoldifyVideoError]] = []
    with logged_to(log_file, options), stop_on_interrupt(console) as should_stop, progress_bar(console) as follow:
        colorizer = None
        for source, target in jobs:
            try:
                colorizer = colorizer or _make_colorizer(options, jobs)
                report = colorize_item(
                    source,
                    target,
                    options,
                    colorizer=colorizer,
                    on_progress=follow(source),
                    should_stop=should_stop,
                )
                reports.append(report)
            except (InputError, OutputError, UsageError) as error:
                if len(jobs) == 1:
                    raise
                log.error("%s: %s", source, error)
                failures.append((source, error))
                _print_error(console, error)
    for report in reports:
        _summarize(console, report)
    if json_output:
        items: list[dict[str, Any]] = [report.as_dict() for report in reports]
        items += [{"source": str(source), "error": str(error), "exit_code": error.exit_code} for source, error in failures]
        typer.echo(json.dumps(items[0] if len(jobs) == 1 else {"items": items}))
    if failures:
        raise typer.Exit(1)


def plan_jobs(inputs: list[Path], output: Path, codec: str) -> list[tuple[Path, Path]]:
    """Pairs of source and target. One file goes to `output` itself; folders and several files go into the folder `output`.

    Raises `InputError` for a folder without films and photos, `UsageError` when two sources would share a target.
    """
    if len(inputs) == 1 and not inputs[0].is_dir():
        return [(inputs[0], output)]
    from deoldify_video.media.files import output_errors

    sources = [source for path in inputs for source in (_media_in(path) if path.is_dir() else [path])]
    if output.exists() and not output.is_dir():
        raise OutputError("is a file", path=output, remedy="with several inputs name a folder")
    jobs: dict[Path, Path] = {}
    for source in sources:
        target = output / _target_name(source, codec)
        if target in jobs:
            raise UsageError(f"{jobs[target]} and {source} would both become {target}", remedy="colorize them apart")
        jobs[target] = source
    with output_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    return [(source, target) for target, source in jobs.items()]


def _target_name(source: Path, codec: str) -> str:
    """The source's own name where its format can be written and hold the codec, else with an ending added that can."""
    from deoldify_video.batch.naming import output_name
    from deoldify_video.media.probe import probe

    try:
        kind = probe(source).kind
    except InputError:  # which is reported when its turn comes
        kind = "film"
    return output_name(source.name, kind, codec=codec)


def _media_in(folder: Path) -> list[Path]:
    from deoldify_video.media.probe import probe

    found = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            try:
                probe(path)
            except InputError:
                continue
            found.append(path)
    if not found:
        raise InputError("holds no film and no picture", path=folder)
    return found


def _make_colorizer(options: FilmOptions, jobs: list[tuple[Path, Path]]) -> Any:
    """One network for all jobs; for a single one None, so that a wrong input is found before a network is loaded."""
    if len(jobs) == 1:
        return None
    from deoldify_video.models.colorizer import Colorizer

    return Colorizer(options.color)


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
