"""`models list | info | import | remove | export`: which networks there are, and how weights come in and go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deoldify_video.cli.console import print_json
from deoldify_video.cli.shared_options import JsonOutput
from deoldify_video.models.base import ModelSpec
from deoldify_video.models.registry import MODELS, find_model
from deoldify_video.models.store import how_to_get, import_model, installed_weights, model_folder, remove_model

_MEGABYTE = 1_000_000
_NAME = typer.Argument(help="Name of the network, as `models list` shows it.", show_default=False)


def register(app: typer.Typer) -> None:
    """Add the group `models` to the program."""
    group = typer.Typer(no_args_is_help=True, help="The networks: which there are, and how weights come in and go.")
    group.command("list")(list_models)
    group.command("info")(show_model)
    group.command("import")(bring_in)
    group.command("remove")(take_out)
    group.command("export")(export_training)
    app.add_typer(group, name="models")


def describe(spec: ModelSpec) -> dict[str, Any]:
    """A network as plain values, the same for people and for `--json`."""
    weights = installed_weights(spec)
    megabytes = weights.stat().st_size / _MEGABYTE if weights else spec.published.megabytes if spec.published else 0
    return {
        "name": spec.name,
        "title": spec.title,
        "licence": spec.license,
        "megabytes": round(megabytes),
        "installed": weights is not None,
        "weights": str(weights) if weights else None,
        "film_render_factor": spec.film_render_factor,
        "photo_render_factor": spec.photo_render_factor,
        "file": spec.published.filename if spec.published else None,
        "page": spec.published.page if spec.published else None,
        "sha256": spec.published.sha256 or None if spec.published else None,
    }


def list_models(json_output: JsonOutput = False) -> None:
    """List every known network: licence, size, whether it is installed."""
    rows = [describe(spec) for spec in MODELS.values()]
    if json_output:
        print_json(rows, indent=2)
        return
    table = Table("name", "installed", "MB", "licence", "what it is", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row["name"], "yes" if row["installed"] else "no", str(row["megabytes"]), row["licence"], row["title"])
    console = Console(stderr=True)
    console.print(table)
    console.print(f"Imported networks are kept in {model_folder()}.", soft_wrap=True)


def show_model(name: Annotated[str, _NAME], json_output: JsonOutput = False) -> None:
    """Show all about one network, and how to get its weights."""
    spec = find_model(name)
    row = describe(spec)
    if json_output:
        print_json(row, indent=2)
        return
    console = Console(stderr=True)
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in row.items():
        table.add_row(key.replace("_", " "), "unknown" if value is None else str(value))
    console.print(table)
    if not row["installed"]:
        console.print(f"To install it, {how_to_get(spec)}.", soft_wrap=True)


def bring_in(
    source: Annotated[str, typer.Argument(help="A downloaded weights file, or hf:owner/name for the Hugging Face hub.")],
    name: Annotated[
        str | None, typer.Option("--as", help="Which network it is, where the file's hash is not a published one.")
    ] = None,
) -> None:
    """Check a published weights file and copy it into the model folder as safetensors."""
    done = import_model(source, name)
    console = Console(stderr=True)
    known = {
        True: "it is the published file",
        False: "its hash is not the published one; it was recognised by its shapes",
        None: "no hash is published for it; it was recognised by its shapes",
    }[done.is_published]
    console.print(f"Imported {done.spec.name}: {done.spec.title}; {known}.", soft_wrap=True)
    console.print(f"Licence of the weights: {done.spec.license}. Written to {done.path}.", soft_wrap=True)


def take_out(name: Annotated[str, _NAME]) -> None:
    """Delete an imported network from the model folder."""
    path = remove_model(name)
    Console(stderr=True).print(f"Deleted {path}.", soft_wrap=True)


def export_training(
    run: Annotated[Path, typer.Argument(help="Folder of a training run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The weights file to write, .safetensors.")],
) -> None:
    """Write the weights of a training run as a file that `colorize --model` takes."""
    from deoldify_video.training.checkpoint import export

    path = export(run, output)
    Console(stderr=True).print(f"Wrote {path}.", soft_wrap=True)
