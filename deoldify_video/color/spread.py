"""Whether a picture or a film is in colour already: decided here, for films and photos, before the work and after it.

A black-and-white picture has one chroma, a tinted or toned one (sepia, cyanotype) has one for every light; only what is in colour has
several at the same light.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SMALL_PX = 48  # side of the pictures that are looked at: noise averages out
_LIGHT_STEPS = 16  # tint may differ between so many steps of light
_COLOR_LEVELS = 4.0  # eight-bit chroma codes: a spread above it is colour and neither tint nor noise
_COLOR_SHARE = 0.25  # of the pictures of a film
_LIMITED = 224 / 255  # of full-range chroma


def chroma_spread(planes: NDArray[Any]) -> float:
    """How far chroma spreads around its mean at equal light, in eight-bit codes (root mean square).

    `planes` are Y', Cb and Cr of a picture, (3, SMALL_PX, SMALL_PX), in codes of limited range.
    """
    y, cb, cr = (plane.astype(np.float32).ravel() for plane in planes)
    steps = np.clip(y * (_LIGHT_STEPS / 256), 0, _LIGHT_STEPS - 1).astype(np.intp)
    counts = np.maximum(np.bincount(steps, minlength=_LIGHT_STEPS), 1)
    spread = 0.0
    for plane in (cb, cr):
        means = np.bincount(steps, plane, _LIGHT_STEPS) / counts
        spread += float(np.mean((plane - means[steps]) ** 2))
    return float(np.sqrt(spread))


def rgb_spread(rgb: NDArray[Any]) -> float:
    """The `chroma_spread` of a picture, RGB float32 (H, W, 3) in [0, 1]."""
    small = cv2.resize(rgb, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA)
    y, cr, cb = cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb) * np.float32(255))
    return chroma_spread(np.stack([y, cb, cr])) * _LIMITED


def is_in_color(spreads: Sequence[float]) -> bool:
    """Whether a film is in colour, by the spread of pictures from all over it; a photo, by its own."""
    return bool(spreads) and float(np.mean(np.array(spreads) > _COLOR_LEVELS)) >= _COLOR_SHARE
