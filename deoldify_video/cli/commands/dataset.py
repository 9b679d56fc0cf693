"""`dataset build`: colour pictures and films become a data set to train on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from deoldify_video.cli.console import print_json
from deoldify_video.cli.shared_options import JsonOutput


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    dataset = typer.Typer(help="Collect and clean colour pictures for a training.", no_args_is_help=True)
    dataset.command("build")(build_command)
    app.add_typer(dataset, name="dataset")


def build_command(
    *,
    sources: Annotated[list[Path], typer.Argument(help="Colour pictures, films and tar shards, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new data set.")],
    frames_per_film: Annotated[int, typer.Option(min=1, help="At most this many frames of a film, one a shot.")] = 200,
    side: Annotated[int, typer.Option(min=64, help="Short side of the stored pictures, in pixels.")] = 256,
    min_side: Annotated[int, typer.Option(min=16, help="Leave out pictures with a shorter side than this.")] = 128,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the WebP files.")] = 80,
    seed: Annotated[int, typer.Option(min=0, help="Of the random order.")] = 0,
    json_output: JsonOutput = False,
) -> None:
    """Collect colour pictures, leave out what would teach the wrong thing, and write tar shards with an index."""
    from deoldify_video.training.build import BuildOptions, build

    console = Console(stderr=True)
    options = BuildOptions(tuple(sources), output, frames_per_film, side, min_side, quality, seed)
    with console.status("collecting") as status:
        report = build(options, lambda number: status.update(f"{number} pictures looked at"))
    for name in report.unreadable:
        console.print(f"cannot read {name}; it is left out", highlight=False)
    if json_output:
        counts = {"kept": report.kept, "left_out": dict(report.left_out)}
        print_json({**counts, "unreadable": report.unreadable}, indent=2)
        return
    table = Table("", "pictures")
    table.add_row("kept", str(report.kept))
    for reason, count in report.left_out.most_common():
        table.add_row(f"left out: {reason}", str(count))
    console.print(table)
