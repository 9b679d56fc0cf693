"""Black borders: rows and columns at the edges that are dark in every frame, from letterboxing, scanning or a film gate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deoldify_video.media.decode import Window

DARK = 0.07  # of the way from black to white: up to here a border may be, noise included
LIT = 0.25  # a frame in which nothing is this light says nothing about borders
_QUANTILE = 0.98  # of a row or column that has to be dark: single specks of dust are no picture
MIN_BORDER = 0.015  # of the side; less is not worth a cut
MIN_SAMPLES = 3  # lit frames that have to agree
MAX_BORDER = 0.3  # of the side; more is a dark picture


def find_window(lumas: Sequence[NDArray[np.uint8]], *, full_range: bool) -> Window | None:
    """The part of the picture inside black borders, or None where there are none.

    `lumas` are Y' planes (H, W) uint8 of frames from all over the film; those that are dark all over are passed over. A side is
    cut only where it is dark in all of them.
    """
    black, white = (0, 255) if full_range else (16, 235)
    dark, lit = black + DARK * (white - black), black + LIT * (white - black)
    shown = [luma for luma in lumas if np.quantile(luma, _QUANTILE) > lit]
    if len(shown) < MIN_SAMPLES:
        return None
    height, width = shown[0].shape
    rows = np.max([np.quantile(luma, _QUANTILE, axis=1) for luma in shown], axis=0)
    columns = np.max([np.quantile(luma, _QUANTILE, axis=0) for luma in shown], axis=0)
    top, bottom = _edge(rows > dark), _edge((rows > dark)[::-1])
    left, right = _edge(columns > dark), _edge((columns > dark)[::-1])
    if not any((top, bottom, left, right)):
        return None
    # Windows begin and end at whole chroma samples.
    right, bottom = (width - right + 1) // 2 * 2, (height - bottom + 1) // 2 * 2
    return Window(left, top, min(right, width) - left, min(bottom, height) - top)


def _edge(light: NDArray[np.bool_]) -> int:
    """How many lines are dark before the first light one, an even number; 0 when that is no border."""
    dark = int(np.argmax(light)) if light.any() else 0
    return dark // 2 * 2 if MIN_BORDER * light.size <= dark <= MAX_BORDER * light.size else 0
