"""The command line: commands are gathered here, errors become one line and an exit code."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from deoldify_video import __version__
from deoldify_video.cli.commands import (
    batch,
    colorize,
    compare,
    config,
    dataset,
    evaluate,
    evaluate_film,
    info,
    models,
    preview,
    train,
    verify,
    web,
)
from deoldify_video.cli.config_file import apply_config
from deoldify_video.errors import EXIT_INTERRUPTED, DeoldifyVideoError

app = typer.Typer(
    help="Colorize black-and-white films and photos.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for commands in (colorize, batch, preview, compare, verify, info, models, dataset, train, evaluate, evaluate_film, config, web):
    commands.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"deoldify-video {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Colorize black-and-white films and photos."""
    apply_config(context)


def main() -> None:
    """Run the command line and exit. Every foreseen error is one line on stderr; the codes are those of `errors.py`."""
    try:
        app()
    except DeoldifyVideoError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]Error:[/] {_escaped(str(error))}", highlight=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        Console(stderr=True).print("[yellow]Interrupted.[/]")
        sys.exit(EXIT_INTERRUPTED)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")
