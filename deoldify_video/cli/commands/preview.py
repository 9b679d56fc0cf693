"""`preview`: a labelled sheet of what render factors, styles and networks make of a film or photo."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deoldify_video.cli.console import print_json
from deoldify_video.cli.shared_options import JsonOutput, Quiet
from deoldify_video.errors import UsageError
from deoldify_video.options import MAX_RENDER_FACTOR, MIN_RENDER_FACTOR

RENDER_FACTORS = "10,16,21,28,35"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(preview)


def preview(
    source: Annotated[Path, typer.Argument(help="A film or photo.", metavar="INPUT")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The sheet: a picture, such as sheet.png.")],
    render_factors: Annotated[
        str | None,
        typer.Option(help=f"Columns, joined by commas; {RENDER_FACTORS}, or one where styles or models are compared."),
    ] = None,
    styles: Annotated[str, typer.Option(help="Styles, joined by commas.")] = "natural",
    models: Annotated[str, typer.Option(help="Networks or weights files, joined by commas.")] = "compact",
    shots: Annotated[int, typer.Option(help="Rows: how many shots of the film are shown.")] = 6,
    smoothing: Annotated[float, typer.Option(help="As given to colorize: 0 (off) to 1.")] = 0.9,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing sheet.")] = False,
    json_output: JsonOutput = False,
    quiet: Quiet = False,
) -> None:
    """Draw a sheet: shots of INPUT in every choice, with colourfulness, flicker and the time that the whole would take."""
    began = time.monotonic()
    from deoldify_video.media.files import check_output
    from deoldify_video.media.formats import photo_format
    from deoldify_video.media.probe import probe
    from deoldify_video.options import SmoothOptions

    probe(source)  # before torch is imported, so that a wrong input is known at once
    check_output(source, output, overwrite=overwrite)
    photo_format(output)
    chosen_styles, chosen_models = split(styles), split(models)
    single = len(chosen_styles) == len(chosen_models) == 1
    factors = parse_factors(render_factors or RENDER_FACTORS) if render_factors or single else [None]
    smooth = SmoothOptions(smoothing)
    from deoldify_video.preview.contact_sheet import write_preview
    from deoldify_video.preview.preview import make_candidates
    from deoldify_video.preview.preview import preview as make_preview

    candidates = make_candidates(chosen_models, chosen_styles, factors)
    console = Console(stderr=True, quiet=quiet, soft_wrap=True)
    with console.status("Looking for shots") as status:
        found = make_preview(
            source,
            candidates,
            shots=shots,
            device=device,
            precision=precision,
            smoothing=smooth.smoothing,
            on_column=lambda done: status.update(f"{done} of {len(candidates)} columns"),
        )
    write_preview(found, output)
    if json_output:
        print_json({"output": str(output)} | found.as_dict())
    seconds = time.monotonic() - began
    console.print(f"[green]{escape(str(output))}[/]: {len(found.rows)} x {len(candidates)}, {seconds:.1f} s", highlight=False)
    for warning in found.warnings:
        console.print(f"  [yellow]Warning:[/] {escape(warning)}", highlight=False)


def split(text: str) -> list[str]:
    """Values joined by commas, each once; raises `UsageError` when there is none."""
    values = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not values:
        raise UsageError("an empty list has nothing to show", remedy="name at least one, or several joined by commas")
    return values


def parse_factors(text: str) -> list[int | None]:
    """`16,21,28` to numbers; raises `UsageError`."""
    values = split(text)
    if not all(value.isdecimal() and MIN_RENDER_FACTOR <= int(value) <= MAX_RENDER_FACTOR for value in values):
        raise UsageError(
            f"{text!r} are no render factors", remedy=f"write numbers from {MIN_RENDER_FACTOR} to {MAX_RENDER_FACTOR}"
        )
    return [int(value) for value in values]
