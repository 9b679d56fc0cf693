"""Colorizes samples and sets them side by side: grey, the program's colours, and, where `NAME.hints.json` lies beside the photo,
those with its hints.

    python samples/before_after.py docs/images/before-after.png [PHOTO...]

Without PHOTO the astronaut of this folder is taken. Several photos make as many rows.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video import Colorizer, FilmOptions, colorize_photo

ROW_HEIGHT_PX = 400
GAP_PX = 8


def main(output: Path, photos: list[Path]) -> None:
    """Write the comparison of `photos` to `output`."""
    options = FilmOptions()
    colorizer = Colorizer(options.color)
    rows = []
    for photo in photos:
        with tempfile.TemporaryDirectory() as folder:
            colored, hinted = Path(folder) / "coloured.png", Path(folder) / "hinted.png"
            colorize_photo(photo, colored, options, colorizer=colorizer)
            pictures = [_read(photo), _read(colored)]
            hints = photo.with_suffix(".hints.json")
            if hints.exists():
                told = replace(options, color=replace(options.color, hints=hints))
                colorize_photo(photo, hinted, told, colorizer=colorizer)
                pictures.append(_read(hinted))
            rows.append(side_by_side(pictures))
    width = max(row.shape[1] for row in rows)
    padded = [
        cv2.copyMakeBorder(row, 0, GAP_PX, 0, width - row.shape[1], cv2.BORDER_CONSTANT, value=(255,) * 3) for row in rows
    ]
    output.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(output), np.vstack(padded)[:-GAP_PX], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def side_by_side(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures of one shape (H, W, 3) in a row with gaps."""
    height, width = pictures[0].shape[:2]
    size = (round(width * ROW_HEIGHT_PX / height), ROW_HEIGHT_PX)
    gap = np.full((ROW_HEIGHT_PX, GAP_PX, 3), 255, np.uint8)
    scaled = [np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8) for picture in pictures]
    return np.hstack([part for picture in scaled for part in (gap, picture)][1:])


def _read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    here = Path(__file__).parent
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]] or [here / "astronaut.jpg"])
