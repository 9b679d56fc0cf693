"""`compare`: two films or photos in one picture."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deoldify_video.cli.console import print_json
from deoldify_video.cli.shared_options import JsonOutput, Quiet
from deoldify_video.errors import UsageError

_TELL_EVERY_FRAMES = 25


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)


def compare(
    first: Annotated[Path, typer.Argument(help="A film or photo, such as the source.", metavar="A")],
    second: Annotated[Path, typer.Argument(help="The one to compare with, such as the result.", metavar="B")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The comparison: a film, or for photos a picture.")],
    mode: Annotated[
        str, typer.Option(help="side (by side), split (A left, B right of the middle) or wipe (a line that wanders).")
    ] = "side",
    labels: Annotated[str | None, typer.Option(help="Two labels joined by a comma; by default the files' names.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
    json_output: JsonOutput = False,
    quiet: Quiet = False,
) -> None:
    """Put A and B into one picture, in step by their timestamps and labelled; the sound is A's, or B's where A has none."""
    names = parse_labels(labels)
    from deoldify_video.compare.compare import compare as make_comparison

    console = Console(stderr=True, quiet=quiet, soft_wrap=True)
    with console.status("Comparing") as status:

        def on_frame(frames: int) -> None:
            if frames % _TELL_EVERY_FRAMES == 0:
                status.update(f"{frames} frames")

        made = make_comparison(first, second, output, mode=mode, labels=names, overwrite=overwrite, on_frame=on_frame)
    if json_output:
        print_json(asdict(made))
    what = f"{made.frames} frames, " if made.kind == "film" else ""
    console.print(f"[green]{escape(made.output)}[/]: {what}{made.width}x{made.height}", highlight=False)
    for warning in made.warnings:
        console.print(f"  [yellow]Warning:[/] {escape(warning)}", highlight=False)


def parse_labels(text: str | None) -> tuple[str, str] | None:
    """`before,after` to two labels; raises `UsageError`."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2:
        raise UsageError(f"{text!r} is not two labels", remedy="write them as in --labels before,after")
    return parts[0], parts[1]
