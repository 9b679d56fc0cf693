"""The page that shows how still a film's colours hold: a plot over time, and the worst shots with their pictures.

One HTML file that needs nothing else: pictures and plot lie in it.
"""

from __future__ import annotations

import base64
import math
from html import escape

import cv2
import numpy as np

from deoldify_video.evaluation.film import FilmScore, ShotScore, Strip
from deoldify_video.metrics.temporal import RGB8, Score

_PLOT_WIDTH, _PLOT_HEIGHT = 1000, 200  # px
_JPEG_QUALITY = 85
_COLUMNS = (
    ("warp_ab", "ab warp error", "{:.3f}"),
    ("warp_rgb", "RGB warp error", "{:.6f}"),
    ("cdc", "CDC", "{:.5f}"),
    ("cf", "colourfulness", "{:.1f}"),
)

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .25rem .9rem .25rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr + tr { border-top: 1px solid #ddd; }
figure { margin: 0 0 .6rem; } figure img { height: 105px; margin-right: 2px; } figcaption { color: #666; font-size: 13px; }
svg { width: 100%; height: auto; background: #f7f7f5; } .now { stroke: #0b62a8; } .before { stroke: #c9793a; }
.cut { stroke: #bbb; stroke-width: 1; } polyline { fill: none; stroke-width: 1.3; } section { margin-top: 2rem; }
"""


def film_html(score: FilmScore) -> str:
    """The report on a film, as HTML."""
    compared = score.before is not None
    legend = "blue: this film" + ("; orange: the film it is compared with" if compared else "")
    truth = ""
    if score.psnr_db is not None and score.delta_cf is not None:
        truth = f"<p>Against the true colours: PSNR {score.psnr_db:.2f} dB, colourfulness {score.delta_cf:+.1f}.</p>"
    shown = [shot for shot in score.worst_first() if shot.strip is not None]
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{escape(score.film)}: how still the colours hold</title><style>{_STYLE}</style>
<h1>{escape(score.film)}</h1>
<p>{score.frames} frames in {len(score.shots)} shots. Lower warp error and CDC mean stiller colours; colourfulness near 0 means
that there are none. The look of the strips decides, not the numbers.</p>
{_table([("whole film", score.score, score.before)])}{truth}
<h2>ab warp error over time</h2>
<p>{legend}; grey lines: cuts.</p>
{_plot(score)}
<h2>Worst shots first</h2>
{"".join(_shot(shot) for shot in shown)}
<h2>All shots</h2>
{_table([(f"shot {shot.number + 1}, from frame {shot.first}", shot.score, shot.before) for shot in score.worst_first()])}
</html>
"""


def _cell(score: Score, before: Score | None, name: str, form: str) -> str:
    value = getattr(score, name)
    text = "-" if math.isnan(value) else form.format(value)
    if before is not None and not math.isnan(getattr(before, name)):
        text += f" <small>(was {form.format(getattr(before, name))})</small>"
    return f"<td>{text}</td>"


def _table(rows: list[tuple[str, Score, Score | None]]) -> str:
    head = "".join(f"<th>{title}</th>" for _, title, _ in _COLUMNS)
    body = "".join(
        f"<tr><td>{label}</td>{''.join(_cell(score, before, name, form) for name, _, form in _COLUMNS)}</tr>"
        for label, score, before in rows
    )
    return f"<table><tr><th></th>{head}</tr>{body}</table>"


def _plot(score: FilmScore) -> str:
    """Inline SVG of the error of every step; of a long film the worst step in each pixel's width."""
    curves = [("before", score.curve_before or []), ("now", score.curve)]
    top = max([value for _, curve in curves for value in curve if not math.isnan(value)], default=0.0) or 1.0
    scale = _PLOT_WIDTH / max(1, score.frames)
    cuts = "".join(
        f'<line class="cut" x1="{shot.first * scale:.1f}" x2="{shot.first * scale:.1f}" y1="0" y2="{_PLOT_HEIGHT}"/>'
        for shot in score.shots[1:]
    )
    lines = "".join(f'<polyline class="{name}" points="{_points(curve, scale, top)}"/>' for name, curve in curves if curve)
    label = f'<text x="4" y="14" font-size="12">{top:.2f}</text>'
    return f'<svg viewBox="0 0 {_PLOT_WIDTH} {_PLOT_HEIGHT}" role="img">{cuts}{lines}{label}</svg>'


def _points(curve: list[float], scale: float, top: float) -> str:
    highest: dict[int, float] = {}
    for index, value in enumerate(curve):
        if not math.isnan(value):
            x = round(index * scale)
            highest[x] = max(highest.get(x, 0.0), value)
    return " ".join(f"{x},{_PLOT_HEIGHT * (1 - 0.95 * value / top):.1f}" for x, value in highest.items())


def _shot(shot: ShotScore) -> str:
    assert shot.strip is not None
    return (
        f"<section><h3>Shot {shot.number + 1}: frames {shot.first} to {shot.first + shot.frames - 1}</h3>"
        f"{_table([('', shot.score, shot.before)])}{_strip(shot.strip)}</section>"
    )


def _strip(strip: Strip) -> str:
    rows = [("all over the shot", strip.spread), ("the two frames between which the colours change most", strip.worst)]
    return "".join(
        f"<figure>{''.join(_image(rgb) for rgb in pictures)}<figcaption>{caption}</figcaption></figure>"
        for caption, pictures in rows
        if pictures
    )


def _image(rgb: RGB8) -> str:
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode("ascii")}">'
