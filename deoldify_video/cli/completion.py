"""Completions that the shell offers when Tab is pressed after an option."""

from __future__ import annotations

from collections.abc import Iterable

from deoldify_video.cli.config_file import preset_names, read_config
from deoldify_video.color.style import STYLES
from deoldify_video.errors import DeoldifyVideoError
from deoldify_video.options import CODECS


def complete_model(incomplete: str) -> list[str]:
    """Names of networks."""
    from deoldify_video.models.registry import MODELS

    return _beginning(MODELS, incomplete)


def complete_style(incomplete: str) -> list[str]:
    """Styles."""
    return _beginning(STYLES, incomplete)


def complete_codec(incomplete: str) -> list[str]:
    """Codecs."""
    return _beginning(CODECS, incomplete)


def complete_preset(incomplete: str) -> list[str]:
    """Presets, own ones too; none where the config file is broken."""
    try:
        return _beginning(preset_names(read_config()), incomplete)
    except DeoldifyVideoError:
        return []


def _beginning(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
