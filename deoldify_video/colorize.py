"""One file of any kind: what it is decides which job does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from deoldify_video.media.probe import probe
from deoldify_video.options import FilmOptions
from deoldify_video.report import OnProgress, Report

if TYPE_CHECKING:
    from deoldify_video.models.colorizer import Colorizer


def colorize_item(
    source: Path,
    target: Path,
    options: FilmOptions,
    *,
    colorizer: Colorizer | None = None,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Colorize the film or photo `source` into `target`.

    A wrong input is known before torch is imported. Raises the errors of `deoldify_video.errors`.
    """
    info = probe(source)
    if info.kind == "photo":
        from deoldify_video.photo import colorize_photo

        return colorize_photo(source, target, options, colorizer=colorizer)
    from deoldify_video.film.colorize import colorize_film

    return colorize_film(info, target, options, colorizer=colorizer, on_progress=on_progress, should_stop=should_stop)
