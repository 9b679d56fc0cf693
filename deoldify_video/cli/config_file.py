"""Where options come from when they are not on the command line.

    the option's default < --preset < config.toml < environment variable < flag

All layers but the last become the command's `default_map`, which Click asks when a flag is not given; so there is one mechanism for
every option of every command, and `--help` shows what would be used. In `config.toml` a table is a command, a key a long flag
without its dashes; in the environment it is `DEOLDIFY_VIDEO_` and the flag's name:

    [colorize]
    render-factor = 28          # or DEOLDIFY_VIDEO_RENDER_FACTOR=28, for every command that has this flag

    [presets.night]             # colorize --preset night
    preset = "best"             # on top of another preset
    style = "vibrant"
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
import typer

from deoldify_video.cli.presets import PRESETS
from deoldify_video.errors import InputError, UsageError

PREFIX = "DEOLDIFY_VIDEO_"
FILE_VARIABLE = "DEOLDIFY_VIDEO_CONFIG"
PRESET = "preset"
PRESET_COMMAND = "colorize"
# Variables that mean something else: this file's place, and the folder of networks.
_RESERVED = ("CONFIG", "MODELS")
_NOT_CONFIGURABLE = ("help", "version", "install_completion", "show_completion")

Values = dict[str, Any]  # by parameter name


@dataclass(frozen=True)
class Config:
    """The contents of `config.toml`: tables of commands, and own presets. Both are empty where there is no file."""

    path: Path
    commands: Mapping[str, Any] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def config_path() -> Path:
    """Where the config file is, or would be: the platform's folder for it, or what `DEOLDIFY_VIDEO_CONFIG` says."""
    chosen = os.environ.get(FILE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return platformdirs.user_config_path("deoldify-video", appauthor=False) / "config.toml"


def read_config() -> Config:
    """Read the config file. Raises `InputError` when it cannot be read, `UsageError` when it makes no sense."""
    path = config_path()
    if not path.is_file():
        if os.environ.get(FILE_VARIABLE):
            raise InputError(f"does not exist, though {FILE_VARIABLE} names it", path=path)
        return Config(path)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"is no valid TOML: {error}", path=path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {error}", path=path) from error
    presets = tables.pop("presets", {})
    for name, table in (*tables.items(), ("presets", presets), *(presets.items() if isinstance(presets, dict) else ())):
        if not isinstance(table, dict):
            raise UsageError(
                f"has {name} outside a table", path=path, remedy=f"it must stand in a table, such as [{PRESET_COMMAND}]"
            )
    return Config(path, tables, presets)


def layered_defaults(root: Any, config: Config, environment: Mapping[str, str]) -> Values:
    """The `default_map` of the Click group `root`: config below environment; presets join when `--preset` is read.

    Raises `UsageError` for what the program does not know.
    """
    return _group_defaults(root, config.commands, environment, str(config.path), "")


def _group_defaults(group: Any, tables: Mapping[str, Any], environment: Mapping[str, str], where: str, prefix: str) -> Values:
    unknown = sorted(set(tables) - set(group.commands))
    if unknown:
        raise UsageError(
            f"{where}: there is no command {prefix}{unknown[0]}", remedy=f"known are {', '.join(group.commands)}, presets"
        )
    values: Values = {}
    for name, command in group.commands.items():
        table = tables.get(name, {})
        if hasattr(command, "commands"):
            values[name] = _group_defaults(command, table, environment, where, f"{prefix}{name}.")
        else:
            values[name] = config_values(command, table, f"{where}: [{prefix}{name}]") | env_values(command, environment)
    return values


def flags(command: Any) -> dict[str, str]:
    """The configurable options of a Click command: name of the long flag, with underscores, to name of the parameter."""
    found = {}
    for parameter in command.params:
        for option in parameter.opts:
            if option.startswith("--") and parameter.name not in _NOT_CONFIGURABLE:
                found[option[2:].replace("-", "_")] = parameter.name
    return found


def config_values(command: Any, table: Mapping[str, Any], where: str) -> Values:
    """A config table by parameter names. Raises `UsageError` for unknown keys and for values that no flag could have."""
    known = flags(command)
    values: Values = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            raise UsageError(f"{where} knows no {key!r}", remedy=f"known are {', '.join(known)}")
        if not isinstance(value, str | int | float | bool):
            raise UsageError(f"{where}: {key} must be one value: a text, a number, true or false")
        values[known[name]] = value
    return _as_given(command, values)


def env_values(command: Any, environment: Mapping[str, str]) -> Values:
    """A command's options that environment variables set, by parameter names. Empty variables set nothing."""
    names = {name: parameter for name, parameter in flags(command).items() if name.upper() not in _RESERVED}
    return _as_given(command, {names[name]: text for name in names if (text := environment.get(PREFIX + name.upper()))})


def _as_given(command: Any, values: Values) -> Values:
    """One value for an option that can be given several times is a list of one."""
    several = {parameter.name for parameter in command.params if getattr(parameter, "multiple", False)}
    return {name: [value] if name in several else value for name, value in values.items()}


def preset_values(command: Any, name: str, config: Config) -> Values:
    """The options of a preset by parameter names; an own preset may stand on another one, and may replace one of the program's.

    Raises `UsageError` for a preset that does not exist, or stands on itself.
    """
    values: Values = {}
    seen: set[str] = set()
    while name:
        own = name in config.presets and name not in seen  # the second time it means the program's
        table = config.presets[name] if own else PRESETS.get(name)
        if table is None:
            problem = "stands on itself" if name in seen else "does not exist"
            raise UsageError(f"the preset {name!r} {problem}", remedy=f"known are {', '.join(preset_names(config))}")
        values = config_values(command, table, f"{config.path}: [presets.{name}]" if own else f"preset {name}") | values
        seen.add(name)
        name = str(table.get(PRESET, ""))
    values.pop(PRESET, None)
    return values


def preset_names(config: Config) -> list[str]:
    """All presets: the program's, then own ones."""
    return list(dict.fromkeys([*PRESETS, *config.presets]))


def apply_config(context: typer.Context) -> None:
    """Give every command its defaults from config file and environment; for the callback of the whole program.

    `config` itself is left out, so that a broken file can be looked for. Raises `InputError` and `UsageError`.
    """
    if context.invoked_subcommand != "config" and not context.resilient_parsing:
        context.default_map = layered_defaults(context.command, read_config(), os.environ)


def apply_preset(context: typer.Context, name: str | None) -> str | None:
    """Put a preset below the other defaults; the callback of `--preset`, which is read before all other options."""
    if name and not context.resilient_parsing:
        context.default_map = {**preset_values(context.command, name, read_config()), **(context.default_map or {})}
    return name
