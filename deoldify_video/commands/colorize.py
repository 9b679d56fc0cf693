"""`colorize`: films and photos, one or many."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from deoldify_video.commands.completion import complete_codec, complete_model, complete_preset, complete_style
from deoldify_video.commands.config import apply_preset
from deoldify_video.commands.running import logged_to, progress_bar, stop_on_interrupt
from deoldify_video.errors import DeoldifyVideoError, InputError, OutputError, UsageError
from deoldify_video.options import (
    CODECS,
    MAX_RENDER_FACTOR,
    MIN_RENDER_FACTOR,
    ColorOptions,
    DecodeOptions,
    EncodeOptions,
    FilmOptions,
    JobOptions,
    SmoothOptions,
)
from deoldify_video.report import OnProgress, Report

log = logging.getLogger("deoldify_video")
_COLORING, _CODING, _SAFETY = "Colours", "Output", "Safety"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(colorize)


def colorize(
    inputs: Annotated[list[Path], typer.Argument(help="Films and photos.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The result; for several inputs, a folder.")],
    preset: Annotated[  # its callback gives the other options their defaults, so it is read first
        str | None,
        typer.Option(
            help="fast, balanced, best, archive, or one of your own.",
            callback=apply_preset,
            is_eager=True,
            autocompletion=complete_preset,
        ),
    ] = None,
    render_factor: Annotated[
        str | None,
        typer.Option(
            "-r",
            "--render-factor",
            help="The network sees (16 x N)^2 pixels; 7 to 64, or `auto` to try some.",
            rich_help_panel=_COLORING,
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="A network's name, or a weights file.", rich_help_panel=_COLORING, autocompletion=complete_model)
    ] = "compact",
    style: Annotated[
        str, typer.Option(help="natural, vibrant or muted.", rich_help_panel=_COLORING, autocompletion=complete_style)
    ] = "natural",
    saturation: Annotated[float, typer.Option(help="Multiplies the colours; 0 to 4.", rich_help_panel=_COLORING)] = 1.0,
    smoothing: Annotated[
        float, typer.Option(help="How still colours hold over time: 0 (off) to 1.", rich_help_panel=_COLORING)
    ] = SmoothOptions.smoothing,
    lookahead: Annotated[
        int, typer.Option(help="Frames ahead that smoothing looks at; 0 looks back only.", rich_help_panel=_COLORING)
    ] = SmoothOptions.lookahead,
    flow: Annotated[
        str, typer.Option(help="Optical flow: dis, dis-fine, or raft (a GPU and torchvision).", rich_help_panel=_COLORING)
    ] = SmoothOptions.flow,
    keyframes: Annotated[
        str | None,
        typer.Option(
            help="Only every Nth frame, or `auto`, goes through the network; the rest follows the motion.",
            rich_help_panel=_COLORING,
        ),
    ] = None,
    hints: Annotated[
        Path | None,
        typer.Option(help="A JSON file of colours at points of a photo, for `--model siggraph17`.", rich_help_panel=_COLORING),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.", rich_help_panel=_COLORING)] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.", rich_help_panel=_COLORING)] = "auto",
    batch_size: Annotated[
        int | None, typer.Option(help="Frames that the network takes at once; by free memory.", rich_help_panel=_COLORING)
    ] = None,
    start: Annotated[str, typer.Option(help="Begin here: seconds or [HH:]MM:SS.", rich_help_panel=_CODING)] = "0",
    end: Annotated[str | None, typer.Option(help="End here.", rich_help_panel=_CODING)] = None,
    codec: Annotated[
        str, typer.Option(help=f"{', '.join(CODECS)}.", rich_help_panel=_CODING, autocompletion=complete_codec)
    ] = "h264",
    crf: Annotated[int | None, typer.Option(help="Quality of the encoder; lower is better.", rich_help_panel=_CODING)] = None,
    encoder_preset: Annotated[str | None, typer.Option(help="The encoder's own preset.", rich_help_panel=_CODING)] = None,
    bit_depth: Annotated[
        int | None,
        typer.Option(help="At least 8, 10, 12 or 16 bits, where the codec has them.", rich_help_panel=_CODING),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing output.", rich_help_panel=_CODING)
    ] = False,
    deinterlace: Annotated[
        bool, typer.Option("--deinterlace", help="Make whole pictures of an interlaced film's fields.", rich_help_panel=_CODING)
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget what an unfinished run has made.", rich_help_panel=_SAFETY)
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take a film that is in colour already.", rich_help_panel=_SAFETY)
    ] = False,
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Take a film that is cut short.", rich_help_panel=_SAFETY)
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare the finished film with its source.", rich_help_panel=_SAFETY)
    ] = True,
    log_file: Annotated[
        Path | None, typer.Option(help="Write down here what is done, line by line.", rich_help_panel=_SAFETY)
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Colorize films and photos: same pictures, same timing, same sound, in colour.

    With several inputs OUTPUT is a folder and names are kept; one that fails does not stop the others (exit code 1).
    """
    from deoldify_video.media.timing import parse_time

    distance = None
    if keyframes is not None:
        from deoldify_video.temporal.keyframes import parse_keyframes

        distance = parse_keyframes(keyframes)
    options = FilmOptions(
        DecodeOptions(parse_time(start), parse_time(end) if end is not None else None, deinterlace),
        ColorOptions(
            model, parse_render_factor(render_factor), device, precision, batch_size, style, saturation, distance, hints
        ),
        SmoothOptions(smoothing, lookahead, flow),
        EncodeOptions(codec, crf, encoder_preset, overwrite, bit_depth),
        JobOptions(restart, force, allow_truncated, verify),
    )
    _run(inputs, output, options, auto_factor=render_factor == "auto", log_file=log_file, json_output=json_output, quiet=quiet)


def _run(
    inputs: list[Path],
    output: Path,
    options: FilmOptions,
    *,
    auto_factor: bool,
    log_file: Path | None,
    json_output: bool,
    quiet: bool,
) -> None:
    """Colorize every input in turn and print what came of it; exits with 1 when some of several failed."""
    console = Console(stderr=True, quiet=quiet, soft_wrap=True)
    jobs = plan_jobs(inputs, output)
    reports: list[Report] = []
    failures: list[tuple[Path, DeoldifyVideoError]] = []
    with logged_to(log_file, options), stop_on_interrupt(console) as should_stop, progress_bar(console) as follow:
        colorizer = None
        for source, target in jobs:
            try:
                colorizer = colorizer or _make_colorizer(options, jobs)
                one = _colorize_with_auto_factor if auto_factor else _colorize_one
                reports.append(one(source, target, options, colorizer, follow(source), should_stop))
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


def plan_jobs(inputs: list[Path], output: Path) -> list[tuple[Path, Path]]:
    """Pairs of source and target. One file goes to `output` itself; folders and several files go into the folder `output`.

    Raises `InputError` for a folder without films and photos, `UsageError` when two sources would share a target.
    """
    if len(inputs) == 1 and not inputs[0].is_dir():
        return [(inputs[0], output)]
    from deoldify_video.media.output import output_errors

    sources = [source for path in inputs for source in (_media_in(path) if path.is_dir() else [path])]
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file; with several inputs the output is a folder.")
    jobs: dict[Path, Path] = {}
    for source in sources:
        target = output / _target_name(source)
        if target in jobs:
            raise UsageError(f"{jobs[target]} and {source} would both become {target}; colorize them apart.")
        jobs[target] = source
    with output_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    return [(source, target) for target, source in jobs.items()]


def _target_name(source: Path) -> str:
    """The source's own name where its format can be written, else with an ending added that can."""
    from deoldify_video.media.probe import probe
    from deoldify_video.media.still import PHOTO_FORMATS
    from deoldify_video.media.streams import CONTAINERS

    if source.suffix.lower() in (*CONTAINERS, *PHOTO_FORMATS):
        return source.name
    try:
        photo = probe(source).kind == "photo"
    except InputError:  # which is reported when its turn comes
        photo = False
    return source.name + (".png" if photo else ".mkv")


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
        raise InputError(f"there is no film and no picture in folder {folder}.")
    return found


def _make_colorizer(options: FilmOptions, jobs: list[tuple[Path, Path]]) -> Any:
    """One network for all jobs; for a single one None, so that a wrong input is found before a network is loaded."""
    if len(jobs) == 1:
        return None
    from deoldify_video.models.colorizer import Colorizer

    return Colorizer(options.color)


def _colorize_one(
    source: Path, target: Path, options: FilmOptions, colorizer: Any, on_progress: OnProgress, should_stop: Any
) -> Report:
    from deoldify_video.media.probe import probe

    kind = probe(source).kind  # before torch is imported, so that a wrong input is known at once
    from deoldify_video.jobs.film import colorize_film
    from deoldify_video.jobs.photo import colorize_photo

    if kind == "photo":
        return colorize_photo(source, target, options, colorizer=colorizer)
    return colorize_film(source, target, options, colorizer=colorizer, on_progress=on_progress, should_stop=should_stop)


def _colorize_with_auto_factor(
    source: Path, target: Path, options: FilmOptions, colorizer: Any, on_progress: OnProgress, should_stop: Any
) -> Report:
    """The same with a render factor that is chosen first; what the choice rests on becomes a note of the report."""
    from deoldify_video.jobs.auto import with_auto_factor
    from deoldify_video.media.output import check_output
    from deoldify_video.media.probe import probe

    probe(source)
    check_output(source, target, overwrite=options.encode.overwrite)
    options, colorizer, reason = with_auto_factor(source, options, colorizer)
    report = _colorize_one(source, target, options, colorizer, on_progress, should_stop)
    return replace(report, notes=[*report.notes, reason])


def parse_render_factor(text: str | None) -> int | None:
    """The value of `--render-factor`: a number, or None for none and for `auto`. Raises `UsageError`."""
    if text is None or text == "auto":
        return None
    if not text.isdecimal():
        raise UsageError(f"render factor {text!r} is no number; use {MIN_RENDER_FACTOR} to {MAX_RENDER_FACTOR}, or auto.")
    return int(text)


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
