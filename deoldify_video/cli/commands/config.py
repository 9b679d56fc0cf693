"""`config`: where options come from; and what they come to."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deoldify_video.cli.completion import complete_preset
from deoldify_video.cli.config_file import (
    PRESET,
    PRESET_COMMAND,
    config_path,
    config_values,
    env_values,
    flags,
    preset_values,
    read_config,
)
from deoldify_video.cli.console import print_json
from deoldify_video.cli.shared_options import JsonOutput
from deoldify_video.errors import UsageError

_config_app = typer.Typer(help="Your own defaults and presets: where they stand, and what they come to.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_config_app, name="config")


@_config_app.command()
def path() -> None:
    """Print where the config file is, or would be."""
    typer.echo(str(config_path()))


@_config_app.command()
def show(
    context: typer.Context,
    command: Annotated[str, typer.Argument(help="The command whose options are shown.")] = PRESET_COMMAND,
    preset: Annotated[
        str | None, typer.Option(help="As if colorize were called with this preset.", autocompletion=complete_preset)
    ] = None,
    json_output: JsonOutput = False,
) -> None:
    """Show the value of every option of a command, and where it comes from: default, preset, config or environment."""
    commands = getattr(context.find_root().command, "commands", {})
    target = commands.get(command)
    if target is None or hasattr(target, "commands"):
        single = [name for name, one in commands.items() if not hasattr(one, "commands")]
        raise UsageError(
            f"there is no command {command!r} with options of its own", remedy=f"choose one of {', '.join(single)}"
        )
    rows = effective_values(target, command, preset)
    if json_output:
        print_json({option: {"value": value, "from": source} for option, value, source in rows})
        return
    table = Table("option", "value", "from", title=str(config_path()) if config_path().is_file() else "no config file")
    for option, value, source in rows:
        shown = "" if value is None else escape(str(value))
        table.add_row(option, shown, source, style=None if source == "default" else "bold")
    Console().print(table)


def effective_values(command: Any, name: str, preset: str | None = None) -> list[tuple[str, Any, str]]:
    """Every option of a Click command with its value and the layer that it comes from, as if no other flag were given."""
    config = read_config()
    tables = config.commands.get(name, {})
    layers = {
        "environment": env_values(command, os.environ),
        "config": config_values(command, tables, f"{config.path}: [{name}]"),
    }
    known = flags(command)
    if PRESET in known:
        chosen = preset or next((str(values[PRESET]) for values in layers.values() if PRESET in values), "")
        layers["preset"] = preset_values(command, chosen, config) if chosen else {}
        if preset:
            layers = {"flag": {PRESET: preset}, **layers}
    parameters = {parameter.name: parameter for parameter in command.params}
    rows = []
    for option, parameter in known.items():
        source = next((layer for layer, values in layers.items() if parameter in values), "default")
        value = layers[source][parameter] if source != "default" else parameters[parameter].default
        plain = value if isinstance(value, str | int | float | bool) else None  # Click marks a missing default by an object
        rows.append((f"--{option.replace('_', '-')}", plain, source))
    return rows
