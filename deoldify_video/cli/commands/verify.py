"""`verify`: is a finished film what it should be?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deoldify_video.cli.console import print_error, print_json
from deoldify_video.cli.shared_options import JsonOutput, Quiet
from deoldify_video.errors import VerificationError
from deoldify_video.options import DecodeOptions


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    source: Annotated[Path, typer.Argument(help="The film that was colorized.", metavar="INPUT")],
    output: Annotated[Path, typer.Argument(help="The result.", metavar="OUTPUT")],
    start: Annotated[str, typer.Option(help="Where the result begins: as given to colorize.")] = "0",
    end: Annotated[str | None, typer.Option(help="Where it ends.")] = None,
    json_output: JsonOutput = False,
    quiet: Quiet = False,
) -> None:
    """Compare OUTPUT with INPUT: every frame at its time, all sound and subtitles bit for bit. Exit code 7 where they differ."""
    from deoldify_video.media.probe import probe
    from deoldify_video.media.timing import parse_time
    from deoldify_video.media.verify import verify_film

    options = DecodeOptions(parse_time(start), None if end is None else parse_time(end))
    verdict = verify_film(probe(source), output, options)
    facts = {"source": str(source), "output": str(output)} | verdict.as_dict()
    if not verdict.ok:
        error = VerificationError(f"is not what {source} should become: {' '.join(verdict.problems)}", path=output)
        print_error(error)
        if json_output:
            print_json(facts | error.as_dict())
        raise typer.Exit(error.exit_code)
    if json_output:
        print_json(facts)
    copied = ", ".join(f"{s.kind} ({s.codec}, {s.packets} packets)" if s.packets else s.kind for s in verdict.streams)
    Console(stderr=True, quiet=quiet, soft_wrap=True).print(
        f"[green]{output}[/]: {verdict.frames} frames at their times; unchanged: {copied or 'no other streams'}.",
        highlight=False,
    )
