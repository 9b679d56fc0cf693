"""`evaluate`: how good the colours of a network are, measured on colour pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from deoldify_video.cli.console import print_json
from deoldify_video.cli.shared_options import JsonOutput
from deoldify_video.errors import UsageError

if TYPE_CHECKING:
    from deoldify_video.evaluation.image import Summary, Truth
    from deoldify_video.metrics.color import RGB8
    from deoldify_video.models.colorizer import Colorizer
    from deoldify_video.options import ColorOptions

CURVE_GAINS = (0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2)
CF_RATIOS = (0.76, 0.9)  # where the curve is read
DEFAULT_RENDER_FACTOR = 21


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("evaluate")(evaluate_command)


def evaluate_command(
    *,
    model: Annotated[str, typer.Argument(help="A network by name, a weights file, or a run folder of `train`.")],
    data: Annotated[list[Path], typer.Argument(help="Tar shards, or folders of shards or colour pictures.")],
    render_factor: Annotated[
        int, typer.Option(help="Resolution of the network's picture, as in `colorize`.")
    ] = DEFAULT_RENDER_FACTOR,
    style: Annotated[str, typer.Option(help="natural, vibrant or muted.")] = "natural",
    temperature: Annotated[float | None, typer.Option(min=0.01, help="Annealing temperature, instead of the style's.")] = None,
    gain: Annotated[float | None, typer.Option(min=0.0, help="Chroma gain, instead of the style's.")] = None,
    curve: Annotated[
        bool, typer.Option("--curve", help="PSNR and colourfulness over the gain, and PSNR at the CF ratios 0.76 and 0.9.")
    ] = False,
    factors: Annotated[
        str | None,
        typer.Option(help="Render factors, such as 10,21,35: print how far their colours are apart, and nothing else."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many pictures, evenly spaced.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write a PNG: grey, ours, truth.")] = None,
    sheet_pictures: Annotated[int, typer.Option(min=1, help="Pictures on the sheet, evenly spaced.")] = 24,
    each: Annotated[bool, typer.Option("--each", help="Also a line for each picture.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores.")] = None,
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    json_output: JsonOutput = False,
) -> None:
    """Colourize colour pictures from their grey, and compare with the truth and with staying grey."""
    import torch

    from deoldify_video.evaluation.image import agreement, evaluate, gain_at
    from deoldify_video.evaluation.sheet import write_sheet
    from deoldify_video.options import ColorOptions
    from deoldify_video.training.checkpoint import weights_of_run
    from deoldify_video.training.dataset import read_data

    if threads:
        torch.set_num_threads(threads)
    console = Console(stderr=True)
    network = str(weights_of_run(Path(model))) if Path(model).is_dir() else model
    options = ColorOptions(network, render_factor=render_factor, style=style, device=device, precision=precision)
    colorizer = _open(options, temperature, gain)
    photos = read_data(data)
    if factors is not None:
        _print_agreement(console, agreement(colorizer, photos, _numbers(factors), limit), json_output=json_output)
        return
    total = min(limit or len(photos), len(photos))
    # Evenly spaced among the pictures that are scored.
    drawn = {number * total // min(sheet_pictures, total) for number in range(min(sheet_pictures, total))} if sheet else set()
    rows: list[tuple[RGB8, RGB8, RGB8]] = []

    with console.status("") as status:
        done = 0

        def seen(truth: Truth, ours: RGB8) -> None:
            nonlocal done
            if done in drawn:
                rows.append((truth.gray, ours, truth.picture))
            done += 1
            status.update(f"{done} of {total} pictures")

        gains = CURVE_GAINS if curve else ()
        means = evaluate(colorizer, photos, render_factor=render_factor, gains=gains, limit=limit, seen=seen)
    if sheet:
        write_sheet(sheet, rows)
    if json_output:
        report = {"model": Path(model).name, "render_factor": render_factor, "style": style}
        report["mean"] = means[0].as_dict()
        if curve:
            report["curve"] = [mean.as_dict() for mean in means[1:]]
            report["gain_db_at_cf_ratio"] = {str(ratio): gain_at(means, ratio) for ratio in CF_RATIOS}
        report["pictures"] = [vars(score) for score in means[0].scores]
        print_json(report, indent=2)
    else:
        _print(console, means, each=each)


def _numbers(text: str) -> list[int]:
    try:
        return sorted({int(number) for number in text.split(",")})
    except ValueError:
        raise UsageError(f"--factors takes numbers separated by commas, such as 10,21,35; not {text!r}") from None


def _print_agreement(console: Console, distances: dict[tuple[int, int], float], *, json_output: bool) -> None:
    if json_output:
        pairs = [{"factors": pair, "ab_distance": round(distance, 4)} for pair, distance in distances.items()]
        print_json({"agreement": pairs}, indent=2)
        return
    table = Table("render factors", "mean ab distance")
    for (first, second), distance in distances.items():
        table.add_row(f"{first} and {second}", f"{distance:.2f}")
    console.print(table)


def _open(options: ColorOptions, temperature: float | None, gain: float | None) -> Colorizer:
    """The colorizer, with the decoding's settings replaced where given."""
    from deoldify_video.models.colorizer import Colorizer

    colorizer = Colorizer(options)
    if temperature is not None:
        colorizer.temperature = temperature
    if gain is not None:
        colorizer.gain = gain
    return colorizer


def _print(console: Console, summaries: list[Summary], *, each: bool) -> None:
    from deoldify_video.evaluation.image import gain_at

    if each:
        table = Table("picture", "PSNR dB", "grey dB", "CIEDE2000", "grey", "CF", "true CF")
        for score in summaries[0].scores:
            numbers = (score.psnr_db, score.grey_psnr_db, score.ciede2000, score.grey_ciede2000, score.cf, score.true_cf)
            table.add_row(score.key, *(f"{number:.2f}" for number in numbers))
        console.print(table)
    first = summaries[0]
    table = Table(
        "temperature", "gain", "PSNR dB", "over grey", "CIEDE2000", "CF", "CF ratio", title=f"{first.pictures} pictures"
    )
    table.add_row("grey", "", f"{first.grey_psnr_db:.2f}", "", f"{first.grey_ciede2000:.2f}", "0.0", "0.00")
    for mean in summaries:
        table.add_row(
            f"{mean.temperature:g}",
            f"{mean.gain:g}",
            f"{mean.psnr_db:.2f}",
            f"{mean.gain_db:+.2f}",
            f"{mean.ciede2000:.2f}",
            f"{mean.cf:.1f}",
            f"{mean.cf_ratio:.2f}",
        )
    table.add_row("truth", "", "", "", "0.00", f"{first.true_cf:.1f}", "1.00")
    console.print(table)
    for ratio in CF_RATIOS if len(summaries) > 1 else ():
        at = gain_at(summaries, ratio)
        console.print(f"at CF ratio {ratio}: " + ("not reached" if at is None else f"{at:+.2f} dB"), highlight=False)
