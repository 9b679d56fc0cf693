"""Picture sheets: one row for each picture, grey beside ours beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video.errors import OutputError
from deoldify_video.media.files import write_file

RGB8 = NDArray[np.uint8]
_GAP_PX = 4
_PAPER = 32  # grey value of the space between pictures


def draw_sheet(rows: Sequence[Sequence[RGB8]], cell_px: int = 224, rows_across: int = 2) -> RGB8:
    """Lay out rows of pictures, each RGB uint8 (H, W, 3) of any size, in cells of `cell_px`; returns one RGB picture.

    `rows_across` rows stand beside each other. Pictures keep their shape.
    """
    across = max(1, min(rows_across, len(rows)))
    columns = max(len(row) for row in rows)
    pitch = cell_px + _GAP_PX
    height = -(-len(rows) // across) * pitch + _GAP_PX
    sheet = np.full((height, across * columns * pitch + _GAP_PX, 3), _PAPER, np.uint8)
    for number, row in enumerate(rows):
        for column, picture in enumerate(row):
            cell = _fit(picture, cell_px)
            top = number // across * pitch + _GAP_PX + (cell_px - cell.shape[0]) // 2
            left = (number % across * columns + column) * pitch + _GAP_PX + (cell_px - cell.shape[1]) // 2
            sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def _fit(picture: RGB8, cell_px: int) -> RGB8:
    height, width = picture.shape[:2]
    scale = cell_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(picture, size, interpolation=interpolation).astype(np.uint8, copy=False)


def write_sheet(path: Path, rows: Sequence[Sequence[RGB8]], cell_px: int = 224) -> None:
    """Draw a sheet and write it as PNG; raises `OutputError` when it cannot be written."""
    done, data = cv2.imencode(".png", cv2.cvtColor(draw_sheet(rows, cell_px), cv2.COLOR_RGB2BGR))
    if not done:
        raise OutputError("cannot be encoded as PNG", path=path)
    write_file(path, data.tobytes())
