"""`dataset build` and `train`: from colour pictures and films to a network."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    dataset = typer.Typer(help="Collect and clean colour pictures for a training.", no_args_is_help=True)
    dataset.command("build")(build_command)
    app.add_typer(dataset, name="dataset")
    app.command("train")(train_command)


def build_command(
    *,
    sources: Annotated[list[Path], typer.Argument(help="Colour pictures, films and tar shards, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new data set.")],
    frames_per_film: Annotated[int, typer.Option(min=1, help="At most this many frames of a film, one a shot.")] = 200,
    side: Annotated[int, typer.Option(min=64, help="Short side of the stored pictures, in pixels.")] = 256,
    min_side: Annotated[int, typer.Option(min=16, help="Leave out pictures with a shorter side than this.")] = 128,
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of the WebP files.")] = 80,
    seed: Annotated[int, typer.Option(min=0, help="Of the random order.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="The counts as JSON on standard output.")] = False,
) -> None:
    """Collect colour pictures, leave out what would teach the wrong thing, and write tar shards with an index."""
    from deoldify_video.training.build import BuildOptions, build

    console = Console(stderr=True)
    options = BuildOptions(tuple(sources), output, frames_per_film, side, min_side, quality, seed)
    with console.status("collecting") as status:
        report = build(options, lambda number: status.update(f"{number} pictures looked at"))
    for name in report.unreadable:
        console.print(f"cannot read {name}; it is left out", highlight=False)
    if as_json:
        counts = {"kept": report.kept, "labelled_sheets": report.sheets, "left_out": dict(report.left_out)}
        sys.stdout.write(json.dumps({**counts, "unreadable": report.unreadable}, indent=2) + "\n")
        return
    table = Table("", "pictures")
    table.add_row("kept", str(report.kept))
    if report.sheets:
        table.add_row("labelled sheets", str(report.sheets))
    for reason, count in report.left_out.most_common():
        table.add_row(f"left out: {reason}", str(count))
    console.print(table)


def train_command(
    *,
    data: Annotated[list[Path], typer.Argument(help="Tar shards, or folders of shards or colour pictures.")],
    run: Annotated[Path, typer.Option("--output", "-o", help="Run folder: checkpoints, logs, sheets.")],
    val: Annotated[list[Path] | None, typer.Option(help="Pictures to validate with; else every fiftieth is held out.")] = None,
    recipe: Annotated[
        str, typer.Option(help="`standard`, `small`, or a JSON file (see RUN/run.json for a whole one).")
    ] = "standard",
    phases: Annotated[str | None, typer.Option(help="Only these phases of the recipe, separated by commas.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Budget of all phases together.")] = None,
    steps: Annotated[int | None, typer.Option(help="Budget in steps, instead of minutes.")] = None,
    init: Annotated[Path | None, typer.Option(help="Fine-tune these weights: a safetensors file or a run folder.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in RUN.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same pictures in the same order.")] = 0,
    save_minutes: Annotated[float, typer.Option(min=0, help="Time between checkpoints.")] = 5.0,
    sheet_minutes: Annotated[float, typer.Option(min=0.1, help="Time between picture sheets.")] = 20.0,
) -> None:
    """Train a network on colour pictures, or fine-tune one on your own."""
    import cv2
    import torch

    from deoldify_video.training.recipe import read_recipe
    from deoldify_video.training.session import TrainOptions
    from deoldify_video.training.train import train
    from deoldify_video.training.view import RichView

    if threads:
        torch.set_num_threads(threads)
    cv2.setNumThreads(1)  # pictures are small; OpenCV's own threads would only disturb torch's
    chosen = read_recipe(recipe)
    if phases:
        chosen = chosen.only([name.strip() for name in phases.split(",")])
    options = TrainOptions(
        data=tuple(data),
        run=run,
        val=tuple(val or ()),
        recipe=chosen,
        steps=steps,
        minutes=minutes,
        init=init,
        resume=resume,
        device=device,
        seed=seed,
        save_minutes=save_minutes,
        sheet_minutes=sheet_minutes,
    )
    console = Console(stderr=True)
    with RichView(console) as view:
        ended = train(options, view)
    score = "" if ended.best_score is None else f", best score {ended.best_score:+.2f} dB at step {ended.best_step}"
    console.print(f"done: {ended.step} steps in {ended.seconds / 60:.0f} minutes{score}; weights in {run}", highlight=False)
