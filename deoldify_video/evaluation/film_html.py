"""The page that shows how still a film's colours hold: a plot over time, and the worst shots with their pictures.

One HTML file that needs nothing else: pictures and plot lie in it.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from deoldify_video.evaluation.film import FilmScore
from deoldify_video.formatting import html_template
from deoldify_video.metrics.temporal import RGB8

_PLOT_WIDTH, _PLOT_HEIGHT = 1000, 200  # px
_JPEG_QUALITY = 85


def film_html(score: FilmScore) -> str:
    """The report on a film, as HTML. The plot has the error of every step; of a long film the worst in each pixel's width."""
    curves = {"before": score.curve_before or [], "now": score.curve}
    top = max([value for curve in curves.values() for value in curve if not math.isnan(value)], default=0.0) or 1.0
    scale = _PLOT_WIDTH / max(1, score.frames)
    return html_template(__package__, "film.html").render(
        score=score,
        width=_PLOT_WIDTH,
        height=_PLOT_HEIGHT,
        top=top,
        cuts=[f"{shot.first * scale:.1f}" for shot in score.shots[1:]],
        curves={name: _points(curve, scale, top) for name, curve in curves.items() if curve},
        isnan=math.isnan,
        encode=_encode,
    )


def _points(curve: list[float], scale: float, top: float) -> str:
    highest: dict[int, float] = {}
    for index, value in enumerate(curve):
        if not math.isnan(value):
            x = round(index * scale)
            highest[x] = max(highest.get(x, 0.0), value)
    return " ".join(f"{x},{_PLOT_HEIGHT * (1 - 0.95 * value / top):.1f}" for x, value in highest.items())


def _encode(rgb: RGB8) -> bytes:
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes()
