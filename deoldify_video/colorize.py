"""One file of any kind: what it is decides which job does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deoldify_video.media.files import check_output
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
    auto_factor: bool = False,
    colorizer: Colorizer | None = None,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Colorize the film or photo `source` into `target`; `auto_factor` chooses the render factor first, and notes what it rests on.

    A wrong input is known before torch is imported. Raises the errors of `deoldify_video.errors`.
    """
    kind = probe(source).kind
    notes = []
    if auto_factor:
        check_output(source, target, overwrite=options.encode.overwrite)
        from deoldify_video.preview.auto_render_factor import with_auto_factor

        options, colorizer, reason = with_auto_factor(source, options, colorizer)
        notes.append(reason)
    from deoldify_video.film.colorize import colorize_film
    from deoldify_video.photo import colorize_photo

    if kind == "photo":
        report = colorize_photo(source, target, options, colorizer=colorizer)
    else:
        report = colorize_film(source, target, options, colorizer=colorizer, on_progress=on_progress, should_stop=should_stop)
    return replace(report, notes=[*report.notes, *notes])
