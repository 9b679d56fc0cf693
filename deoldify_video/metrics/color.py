"""Numbers for one picture: how far the colours are from the true ones, and how colourful they are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

RGB8 = NDArray[np.uint8]


def psnr_db(rgb: RGB8, truth: RGB8) -> float:
    """Peak signal-to-noise ratio of two RGB pictures, uint8 (H, W, 3), in dB; infinite for equal ones."""
    error = np.square(rgb.astype(np.float64) - truth).mean()
    return math.inf if error == 0 else 10.0 * math.log10(255.0**2 / float(error))


def colorfulness(rgb: NDArray[np.uint8] | NDArray[np.float32]) -> float:
    """Colourfulness CF of a picture (H, W, 3) on 0..255, after Hasler and Suesstrunk 2003, with signed opponent colours.

    sqrt(s_rg^2 + s_yb^2) + 0.3 sqrt(m_rg^2 + m_yb^2) of rg = R - G and yb = (R + G) / 2 - B. A neutral picture has 0.
    """
    r, g, b = (rgb[..., channel].astype(np.float64) for channel in range(3))
    rg, yb = r - g, (r + g) / 2.0 - b
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


def ciede2000(lab: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Mean CIEDE2000 colour difference of two Lab pictures (H, W, 3), scikit-image's implementation (Sharma et al. 2005)."""
    from skimage.color import deltaE_ciede2000

    return float(deltaE_ciede2000(lab, truth).mean())
