"""`evaluate-film`: measures how still the colours of a film hold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from deoldify_video.cli.console import print_json
from deoldify_video.cli.shared_options import JsonOutput

if TYPE_CHECKING:
    from deoldify_video.evaluation.film import FilmScore
    from deoldify_video.metrics.temporal import Score

_LISTED_SHOTS = 10


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("evaluate-film")(evaluate_film_command)


def evaluate_film_command(
    *,
    film: Annotated[Path, typer.Argument(metavar="OUTPUT", help="The colorized film.")],
    reference: Annotated[Path | None, typer.Option(help="The same film in its true colours, for PSNR.")] = None,
    source: Annotated[Path | None, typer.Option(help="The grey film, if OUTPUT's light is not its own.")] = None,
    before: Annotated[Path | None, typer.Option(help="Another colorization to compare with, as with --smoothing 0.")] = None,
    json_output: JsonOutput = False,
    report: Annotated[Path | None, typer.Option(help="Write a page with the worst shots, their pictures, and a plot.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing report.")] = False,
) -> None:
    """Measure how still the colours of a film hold, shot by shot, with or without its true colours."""
    from deoldify_video.evaluation.film import evaluate_film
    from deoldify_video.media.files import check_output, write_file

    if report:
        check_output(film, report, overwrite=overwrite)
    score = evaluate_film(film, reference=reference, source=source, before=before)
    if report:
        from deoldify_video.evaluation.film_html import film_html

        write_file(report, film_html(score).encode())
    if json_output:
        print_json(score.as_dict(), indent=2)
    else:
        _print(score, Console(stderr=True))


def _print(score: FilmScore, console: Console) -> None:
    table = Table(title=score.film, title_justify="left")
    table.add_column("", no_wrap=True)
    for title in ("frames", "ab warp error", "RGB warp error", "CDC", "colourful"):
        table.add_column(title, justify="right")
    table.add_row("whole film", str(score.frames), *_cells(score.score))
    if score.before:
        table.add_row("compared with", str(score.frames), *_cells(score.before))
    for shot in score.worst_first()[:_LISTED_SHOTS]:
        table.add_row(f"shot {shot.number + 1} from frame {shot.first}", str(shot.frames), *_cells(shot.score))
    console.print(table)
    if len(score.shots) > _LISTED_SHOTS:
        console.print(f"The worst {_LISTED_SHOTS} of {len(score.shots)} shots; --report or --json give all.")
    if score.psnr_db is not None and score.delta_cf is not None:
        console.print(f"Against the true colours: PSNR {score.psnr_db:.2f} dB, colourfulness {score.delta_cf:+.1f}.")


def _cells(score: Score) -> list[str]:
    numbers = ((score.warp_ab, ".3f"), (score.warp_rgb, ".6f"), (score.cdc, ".5f"), (score.cf, ".1f"))
    return ["-" if math.isnan(value) else format(value, form) for value, form in numbers]
