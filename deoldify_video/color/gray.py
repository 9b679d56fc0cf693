"""The grey picture of the same lightness, for colour pictures in numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Linear light of each sRGB code value (IEC 61966-2-1), and the weights of CIE Y (they add to 1), as in `lab.py`.
_CODES = np.arange(256) / 255.0
_LINEAR = np.where(_CODES > 0.04045, ((_CODES + 0.055) / 1.055) ** 2.4, _CODES / 12.92).astype(np.float32)
_Y_WEIGHTS = np.array([0.212671, 0.715160, 0.072169], np.float32)


def gray_of(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """sRGB uint8 (..., 3) -> the neutral of the same CIE L, sRGB-encoded, float32 (...) in [0, 1]."""
    y = _LINEAR[rgb] @ _Y_WEIGHTS
    encoded = np.where(y > 0.0031308, 1.055 * np.maximum(y, 1e-8) ** (1 / 2.4) - 0.055, 12.92 * y)
    gray: NDArray[np.float32] = encoded.clip(0, 1).astype(np.float32)
    return gray
