"""The options of colouring, declared once: for every command that colours films and photos."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.models import OptionInfo

from deoldify_video.cli.completion import complete_codec, complete_model, complete_preset, complete_style
from deoldify_video.cli.config_file import PRESET, apply_preset
from deoldify_video.errors import UsageError
from deoldify_video.options import (
    AUTO,
    CODECS,
    MAX_RENDER_FACTOR,
    MIN_RENDER_FACTOR,
    ColorOptions,
    DecodeOptions,
    EncodeOptions,
    FilmOptions,
    JobOptions,
    SmoothOptions,
)

_COLORING, _CODING, _SAFETY = "Colours", "Output", "Safety"
_CHOSEN = "chosen"

JSON = "json"


def _ask_for_json(context: typer.Context, wanted: bool) -> bool:
    """Have errors told in JSON as well; on the command line, in the config file or in the environment it may have been asked for."""
    context.ensure_object(dict)[JSON] = wanted
    return wanted


JsonOutput = Annotated[
    bool, typer.Option(f"--{JSON}", help="Print JSON on stdout, also of an error.", callback=_ask_for_json, is_eager=True)
]
LogFile = Annotated[Path | None, typer.Option(help="Write down here what is done, line by line.", rich_help_panel=_SAFETY)]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]


@dataclass(frozen=True)
class Chosen:
    """The given options as one value.

    `flags` are those that differ from the program's defaults, as they would be given.
    """

    options: FilmOptions
    flags: tuple[str, ...] = ()


def with_film_options(*, without: tuple[str, ...] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options below, all but `without`, in the place of its parameter `chosen`, which gets what they come to."""
    table = inspect.signature(choose, eval_str=True).parameters
    shared = [parameter for name, parameter in table.items() if name not in without]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)

        @functools.wraps(command)
        def run(**values: Any) -> None:
            given = {parameter.name: values.pop(parameter.name) for parameter in shared}
            flags = tuple(word for parameter in shared for word in _flags(parameter, given[parameter.name]))
            command(**values, **{_CHOSEN: replace(choose(**given), flags=flags)})

        parameters: list[inspect.Parameter] = []
        for parameter in own.parameters.values():
            parameters += shared if parameter.name == _CHOSEN else [parameter]
        run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _flags(parameter: inspect.Parameter, value: Any) -> list[str]:
    """How `value` would be given on the command line; nothing for the default, and for the preset, which is in the other values."""
    if value == parameter.default or parameter.name == PRESET:
        return []
    (option,) = (one for one in parameter.annotation.__metadata__ if isinstance(one, OptionInfo))
    names = (option.default, *(option.param_decls or ()))  # inside Annotated the first name takes the place of the default
    declared = [name for name in names if isinstance(name, str) and name.startswith("--")]
    name = declared[0] if declared else "--" + parameter.name.replace("_", "-")
    if isinstance(value, bool):
        return [name.split("/")[0 if value else -1]]
    return [name, str(value)]


def choose(
    preset: Annotated[  # its callback gives the other options their defaults, so it is read first
        str | None,
        typer.Option(
            help="fast, balanced, best, archive, or one of your own.",
            callback=apply_preset,
            is_eager=True,
            autocompletion=complete_preset,
        ),
    ] = None,
    render_factor: Annotated[
        str | None,
        typer.Option(
            "-r",
            "--render-factor",
            help="The network sees (16 x N)^2 pixels; 7 to 64, or `auto` to try some.",
            rich_help_panel=_COLORING,
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="A network's name, or a weights file.", rich_help_panel=_COLORING, autocompletion=complete_model)
    ] = "compact",
    style: Annotated[
        str, typer.Option(help="natural, vibrant or muted.", rich_help_panel=_COLORING, autocompletion=complete_style)
    ] = "natural",
    saturation: Annotated[float, typer.Option(help="Multiplies the colours; 0 to 4.", rich_help_panel=_COLORING)] = 1.0,
    smoothing: Annotated[
        float, typer.Option(help="How still colours hold over time: 0 (off) to 1.", rich_help_panel=_COLORING)
    ] = SmoothOptions.smoothing,
    lookahead: Annotated[
        int, typer.Option(help="Frames ahead that smoothing looks at; 0 looks back only.", rich_help_panel=_COLORING)
    ] = SmoothOptions.lookahead,
    flow: Annotated[
        str, typer.Option(help="Optical flow: dis, dis-fine, or raft (a GPU and torchvision).", rich_help_panel=_COLORING)
    ] = SmoothOptions.flow,
    keyframes: Annotated[
        str | None,
        typer.Option(
            help="Only every Nth frame, or `auto`, goes through the network; the rest follows the motion.",
            rich_help_panel=_COLORING,
        ),
    ] = None,
    hints: Annotated[
        Path | None,
        typer.Option(help="A JSON file of colours at points of a photo, for `--model siggraph17`.", rich_help_panel=_COLORING),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.", rich_help_panel=_COLORING)] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.", rich_help_panel=_COLORING)] = "auto",
    batch_size: Annotated[
        int | None, typer.Option(help="Frames that the network takes at once; by free memory.", rich_help_panel=_COLORING)
    ] = None,
    start: Annotated[str, typer.Option(help="Begin here: seconds or [HH:]MM:SS.", rich_help_panel=_CODING)] = "0",
    end: Annotated[str | None, typer.Option(help="End here.", rich_help_panel=_CODING)] = None,
    codec: Annotated[
        str, typer.Option(help=f"{', '.join(CODECS)}.", rich_help_panel=_CODING, autocompletion=complete_codec)
    ] = "h264",
    crf: Annotated[int | None, typer.Option(help="Quality of the encoder; lower is better.", rich_help_panel=_CODING)] = None,
    encoder_preset: Annotated[str | None, typer.Option(help="The encoder's own preset.", rich_help_panel=_CODING)] = None,
    bit_depth: Annotated[
        int | None,
        typer.Option(help="At least 8, 10, 12 or 16 bits, where the codec has them.", rich_help_panel=_CODING),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing output.", rich_help_panel=_CODING)
    ] = False,
    deinterlace: Annotated[
        bool, typer.Option("--deinterlace", help="Make whole pictures of an interlaced film's fields.", rich_help_panel=_CODING)
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget what an unfinished run has made.", rich_help_panel=_SAFETY)
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take a film that is in colour already.", rich_help_panel=_SAFETY)
    ] = False,
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Take a film that is cut short.", rich_help_panel=_SAFETY)
    ] = False,
    drop_streams: Annotated[
        bool,
        typer.Option("--drop-streams", help="Leave out streams that the output cannot hold.", rich_help_panel=_SAFETY),
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare the finished film with its source.", rich_help_panel=_SAFETY)
    ] = True,
) -> Chosen:
    """The options as one value. Raises `UsageError`."""
    from deoldify_video.media.timing import parse_time

    distance = None
    if keyframes is not None:
        from deoldify_video.temporal.keyframes import parse_keyframes

        distance = parse_keyframes(keyframes)
    options = FilmOptions(
        DecodeOptions(parse_time(start), parse_time(end) if end is not None else None, deinterlace),
        ColorOptions(
            model, parse_render_factor(render_factor), device, precision, batch_size, style, saturation, distance, hints
        ),
        SmoothOptions(smoothing, lookahead, flow),
        EncodeOptions(codec, crf, encoder_preset, overwrite, bit_depth),
        job=JobOptions(restart, force, allow_truncated, verify, drop_streams),
    )
    return Chosen(options)


def parse_render_factor(text: str | None) -> int | Literal["auto"] | None:
    """The value of `--render-factor`: a number, `auto`, or None for none. Raises `UsageError`."""
    if text is None or text == AUTO:
        return AUTO if text else None
    if not text.isdecimal():
        raise UsageError(
            f"render factor {text!r} is no number", remedy=f"use {MIN_RENDER_FACTOR} to {MAX_RENDER_FACTOR}, or auto"
        )
    return int(text)
