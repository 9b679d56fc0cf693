"""Colorizes samples and sets them side by side: grey on the left, the program's colours on the right.

    python samples/before_after.py docs/images/before-after.png [PHOTO...]

Without PHOTO the astronaut of this folder is taken. Several photos make as many rows.
"""

from __future__ import annotations

import sys
import tempfile
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
            colored = Path(folder) / "coloured.png"
            colorize_photo(photo, colored, options, colorizer=colorizer)
            rows.append(side_by_side(_read(photo), _read(colored)))
    width = max(row.shape[1] for row in rows)
    padded = [
        cv2.copyMakeBorder(row, 0, GAP_PX, 0, width - row.shape[1], cv2.BORDER_CONSTANT, value=(255,) * 3) for row in rows
    ]
    output.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(output), np.vstack(padded)[:-GAP_PX], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def side_by_side(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two pictures (H, W, 3) in a row with a gap."""
    size = (round(before.shape[1] * ROW_HEIGHT_PX / before.shape[0]), ROW_HEIGHT_PX)
    gap = np.full((ROW_HEIGHT_PX, GAP_PX, 3), 255, np.uint8)
    before, after = (np.asarray(cv2.resize(p, size, interpolation=cv2.INTER_AREA), np.uint8) for p in (before, after))
    return np.hstack([before, gap, after])


def _read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    here = Path(__file__).parent
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]] or [here / "astronaut.jpg"])
