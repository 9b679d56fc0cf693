"""Draws a preview: rows are shots, columns are choices, and under each column stands what it costs and gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deoldify_video.formatting import format_duration, format_timecode
from deoldify_video.images.labels import shortened, text_mask
from deoldify_video.images.pictures import write_picture
from deoldify_video.preview.preview import CandidateResult, Preview

RGB8 = NDArray[np.uint8]
_PAPER, _INK, _SOFT_INK = 24, 240, 165  # grey values
_GAP_PX, _MARGIN_PX = 6, 16
_TITLE_PX, _HEAD_PX, _LINE_PX = 30, 24, 21


def draw_preview(preview: Preview) -> RGB8:
    """The sheet as RGB uint8 (H, W, 3). The first column is the source."""
    columns = [preview.originals, *(column.pictures for column in preview.columns)]
    cell_h = max(picture.shape[0] for picture in preview.originals)
    cell_w = max(picture.shape[1] for picture in preview.originals)
    foots = [_source_foot(preview), *(_foot(column) for column in preview.columns)]
    row_head = _LINE_PX if any(preview.rows) else 0
    top = _MARGIN_PX + _TITLE_PX + _GAP_PX + 2 * _HEAD_PX
    foot_top = top + len(preview.rows) * (row_head + cell_h + _GAP_PX)
    height = foot_top + max(map(len, foots)) * _LINE_PX + _MARGIN_PX
    width = 2 * _MARGIN_PX + len(columns) * (cell_w + _GAP_PX) - _GAP_PX
    sheet = np.full((height, width, 3), _PAPER, np.uint8)
    title = f"{Path(preview.source).name}   {_subtitle(preview)}"
    _write(sheet, title, _MARGIN_PX, _MARGIN_PX, _TITLE_PX, width - 2 * _MARGIN_PX)
    heads = [("source", ""), *((_head(column), column.style) for column in preview.columns)]
    for number, (pictures, head, foot) in enumerate(zip(columns, heads, foots, strict=True)):
        left = _MARGIN_PX + number * (cell_w + _GAP_PX)
        head_top = top - 2 * _HEAD_PX
        _write(sheet, head[0], left, head_top, _HEAD_PX, cell_w)
        _write(sheet, head[1], left, head_top + _HEAD_PX, _LINE_PX, cell_w, _SOFT_INK)
        for row, picture in enumerate(pictures):
            row_top = top + row * (row_head + cell_h + _GAP_PX)
            if number == 0:
                _write(sheet, preview.rows[row], left, row_top, _LINE_PX, cell_w, _SOFT_INK)
            sheet[row_top + row_head : row_top + row_head + picture.shape[0], left : left + picture.shape[1]] = picture
        for line, text in enumerate(foot):
            _write(sheet, text, left, foot_top + line * _LINE_PX, _LINE_PX, cell_w, _INK if line == 0 else _SOFT_INK)
    return sheet


def write_preview(preview: Preview, output: Path) -> None:
    """Draw the sheet into `output`, whose ending names the format; it appears when it is whole.

    Raises `UsageError` for an ending that is no picture, else `OutputError`.
    """
    write_picture(output, draw_preview(preview))


def _subtitle(preview: Preview) -> str:
    if preview.kind == "photo":
        return f"photo, on {preview.device}"
    return f"{format_timecode(preview.duration_s)}, {preview.frames} frames, on {preview.device}"


def _head(column: CandidateResult) -> str:
    return f"{column.model}  -r {column.render_factor}"


def _foot(column: CandidateResult) -> list[str]:
    lines = [f"about {format_duration(column.seconds)}", f"colourfulness {column.colourfulness:.1f}"]
    return lines if column.flicker is None else [*lines, f"flicker {column.flicker:.3f}"]


def _source_foot(preview: Preview) -> list[str]:
    lines = [f"time for the whole {preview.kind}", "colourfulness: 0 is grey"]
    return lines if preview.kind == "photo" else [*lines, "flicker: less is calmer"]


def _write(sheet: RGB8, text: str, left: int, top: int, height: int, width: int, ink: int = _INK) -> None:
    mask = text_mask(shortened(text, height, width), height)[..., None]
    place = sheet[top : top + height, left : left + mask.shape[1]]
    place[...] = np.rint(place + mask[:, : place.shape[1]] * (ink - place.astype(np.float32))).astype(np.uint8)
