"""The options of colouring as flags, made from what `options` declares: for every command that colours films and photos."""

from __future__ import annotations

import functools
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import typer
from typer.models import OptionInfo

from deoldify_video.cli.completion import complete_codec, complete_model, complete_preset, complete_style
from deoldify_video.cli.config_file import PRESET, apply_preset
from deoldify_video.errors import UsageError
from deoldify_video.options import AUTO, HELP, MAX_RENDER_FACTOR, MIN_RENDER_FACTOR, NAME, FilmOptions

_SAFETY = "Safety"
_PANELS = {
    "color": "Colours",
    "smooth": "Colours",
    "decode": "Output",
    "encode": "Output",
    "job": _SAFETY,
}  # by group of options
_COMPLETIONS = {"model": complete_model, "style": complete_style, "codec": complete_codec}
_SHORT = {"render_factor": "-r"}
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
    declared = [flag for flag in _declared() if flag.parameter.name not in without]
    shared = [_PRESET, *(flag.parameter for flag in declared)]

    def chosen(**given: Any) -> Chosen:
        flags = tuple(word for parameter in shared for word in _flags(parameter, given[parameter.name]))
        return Chosen(_options(declared, given), flags)

    return lambda command: _with_parameters(command, _CHOSEN, shared, chosen)


def with_options_of(group: type, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the fields of the dataclass `group`, annotated as options are, in the place of its parameter `name`, which gets
    them as one value.
    """
    hints = get_type_hints(group, include_extras=True)
    parameters = [
        inspect.Parameter(
            field.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=field.default, annotation=hints[field.name]
        )
        for field in fields(group)
    ]
    return lambda command: _with_parameters(command, name, parameters, group)


def _with_parameters(
    command: Callable[..., None], name: str, parameters: Sequence[inspect.Parameter], make: Callable[..., Any]
) -> Callable[..., None]:
    """`command` with `parameters` in the place of its parameter `name`, which gets what `make` makes of them."""
    own = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def run(**values: Any) -> None:
        given = {parameter.name: values.pop(parameter.name) for parameter in parameters}
        command(**values, **{name: make(**given)})

    all_parameters: list[inspect.Parameter] = []
    for parameter in own.parameters.values():
        all_parameters += parameters if parameter.name == name else [parameter]
    run.__signature__ = own.replace(parameters=all_parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in all_parameters}
    return run


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


_PRESET = inspect.Parameter(  # its callback gives the other options their defaults, so it is read first
    PRESET,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    default=None,
    annotation=Annotated[
        str | None,
        typer.Option(
            help="fast, balanced, best, archive, or one of your own.",
            callback=apply_preset,
            is_eager=True,
            autocompletion=complete_preset,
        ),
    ],
)


@dataclass(frozen=True)
class _Flag:
    """A field of a group of options, and the parameter of a command that sets it."""

    group: str
    field: str
    parameter: inspect.Parameter


def _declared() -> Iterator[_Flag]:
    groups = get_type_hints(FilmOptions)
    for group, panel in _PANELS.items():
        types = get_type_hints(groups[group])
        for option in fields(groups[group]):
            name = option.metadata[NAME] or option.name
            kind, default = types[option.name], option.default
            if name in _PARSERS:
                kind, default = (str, f"{default:g}") if default is not None else (str | None, None)
            flag = "--" + name.replace("_", "-")
            if default is True:
                flag += f"/--no-{flag[2:]}"
            words = [_SHORT[name], flag] if name in _SHORT else [flag]
            completion = _COMPLETIONS.get(name)
            settings = typer.Option(*words, help=option.metadata[HELP], rich_help_panel=panel, autocompletion=completion)
            annotation = Annotated[kind, settings]  # type: ignore[valid-type]
            parameter = inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)
            yield _Flag(group, option.name, parameter)


def _options(flags: list[_Flag], given: Mapping[str, Any]) -> FilmOptions:
    """The values of `flags`, by the names of their parameters, as one value. Raises `UsageError`."""
    groups: dict[str, dict[str, Any]] = defaultdict(dict)
    for flag in flags:
        value, parse = given[flag.parameter.name], _PARSERS.get(flag.parameter.name)
        groups[flag.group][flag.field] = parse(value) if parse and value is not None else value
    types = get_type_hints(FilmOptions)
    return FilmOptions(**{group: types[group](**values) for group, values in groups.items()})


def parse_render_factor(text: str) -> int | Literal["auto"]:
    """The value of `--render-factor`: a number or `auto`. Raises `UsageError`."""
    if text == AUTO:
        return AUTO
    if not text.isdecimal():
        raise UsageError(
            f"render factor {text!r} is no number", remedy=f"use {MIN_RENDER_FACTOR} to {MAX_RENDER_FACTOR}, or auto"
        )
    return int(text)


def _parse_keyframes(text: str) -> int:
    from deoldify_video.temporal.keyframes import parse_keyframes

    return parse_keyframes(text)


def _parse_time(text: str) -> float:
    from deoldify_video.media.timing import parse_time

    return parse_time(text)


# Options that are written otherwise than they are kept.
_PARSERS: dict[str, Callable[[str], Any]] = {
    "render_factor": parse_render_factor,
    "keyframes": _parse_keyframes,
    "start": _parse_time,
    "end": _parse_time,
}
