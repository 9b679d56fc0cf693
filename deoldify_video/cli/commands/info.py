"""`info`: this installation, or what a file contains."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deoldify_video import __version__
from deoldify_video.cli.console import print_json
from deoldify_video.cli.shared_options import JsonOutput

PACKAGES = ("torch", "av", "opencv-python", "numpy", "scikit-image", "safetensors", "typer", "rich")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(info)


def info(
    file: Annotated[Path | None, typer.Argument(help="A film or photo; without one, this installation is shown.")] = None,
    json_output: JsonOutput = False,
) -> None:
    """Show this installation (versions, devices, encoders), or what FILE contains."""
    facts = environment() if file is None else media(file)
    if json_output:
        print_json(facts, indent=2)
        return
    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in _flat(facts):
        table.add_row(f"[bold]{key}[/]", escape(str(value)))
    Console().print(table)


def media(file: Path) -> dict[str, Any]:
    """The facts that `probe` finds in a file, for printing."""
    from deoldify_video.media.probe import probe

    return probe(file).as_dict()


def environment() -> dict[str, Any]:
    """Versions, devices and encoders of this installation."""
    import av.codec
    import torch

    from deoldify_video.media.encode import CODECS
    from deoldify_video.models.colorizer import choose_device, choose_precision

    device = choose_device("auto")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "deoldify-video": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "device": str(device),
        "precision": choose_precision("auto", device),
        "gpus": names,
        "cpu_threads": torch.get_num_threads(),
        "codecs": {name: codec.encoder in av.codec.codecs_available for name, codec in CODECS.items()},
    }


def _flat(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in facts.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            for number, item in enumerate(value):
                rows += _flat(item, f"{prefix}{key}.{number}.")
        else:
            rows.append((prefix + key, value))
    return rows
