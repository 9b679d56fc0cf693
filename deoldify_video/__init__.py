"""Colorize black-and-white films and photos. The names below are the public interface; they are imported when first used."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())  # whoever wants the log adds a handler, as --log-file does

if TYPE_CHECKING:
    from deoldify_video.film.colorize import colorize_film
    from deoldify_video.media.probe import MediaInfo, probe
    from deoldify_video.models.colorizer import Colorizer
    from deoldify_video.options import (
        ColorOptions,
        DecodeOptions,
        EncodeOptions,
        FilmOptions,
        JobOptions,
        SegmentOptions,
        SmoothOptions,
    )
    from deoldify_video.photo import colorize_photo
    from deoldify_video.report import Progress, Report

_HOMES = {
    "colorize_film": "film.colorize",
    "colorize_photo": "photo",
    "MediaInfo": "media.probe",
    "probe": "media.probe",
    "Colorizer": "models.colorizer",
    "ColorOptions": "options",
    "DecodeOptions": "options",
    "EncodeOptions": "options",
    "FilmOptions": "options",
    "JobOptions": "options",
    "SegmentOptions": "options",
    "SmoothOptions": "options",
    "Progress": "report",
    "Report": "report",
}

__all__ = [
    "ColorOptions",
    "Colorizer",
    "DecodeOptions",
    "EncodeOptions",
    "FilmOptions",
    "JobOptions",
    "MediaInfo",
    "Progress",
    "Report",
    "SegmentOptions",
    "SmoothOptions",
    "__version__",
    "colorize_film",
    "colorize_photo",
    "probe",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
