"""`train`: from colour pictures to a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("train")(train_command)


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

    from deoldify_video.training.observer import RichObserver
    from deoldify_video.training.recipe import read_recipe
    from deoldify_video.training.session import TrainOptions
    from deoldify_video.training.train import train

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
    with RichObserver(console) as observer:
        ended = train(options, observer)
    score = "" if ended.best_score is None else f", best score {ended.best_score:+.2f} dB at step {ended.best_step}"
    console.print(f"done: {ended.step} steps in {ended.seconds / 60:.0f} minutes{score}; weights in {run}", highlight=False)
