"""The command line: commands are gathered here, errors become one line and an exit code."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

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
from deoldify_video.cli.console import print_error, print_json, quiet_when_closed
from deoldify_video.cli.shared_options import JSON
from deoldify_video.errors import DeoldifyVideoError, StoppedError, UsageError


class Program(TyperGroup):
    """All commands; errors that are not ours leave it as they came, but are told in JSON as well where that was asked for."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was given."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise StoppedError("interrupted") from error
        except typer.Exit:
            raise
        except Exception as error:
            if (ctx.obj or {}).get(JSON) and hasattr(error, "format_message"):  # Click's, about options; it shows them itself
                print_json(UsageError(error.format_message().rstrip("."), remedy="see --help").as_dict())
            raise


app = typer.Typer(
    cls=Program,
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
    """Run the command line and exit. Every foreseen error is one line on stderr; the codes are those of `errors.py`.

    With `--json` it is an object on stdout, too.
    """
    with quiet_when_closed():
        asked = {JSON: f"--{JSON}" in sys.argv}  # an error may come before the options are read
        try:
            app(obj=asked)
        except DeoldifyVideoError as error:
            print_error(error, as_json=asked[JSON])
            sys.exit(error.exit_code)
