"""Edge-aware upsampling: colours found on a small picture take the edges of the full-size luma.

The fast guided filter (He and Sun 2015, "Fast Guided Filter", after He, Sun and Tang 2010): in every small window the plane is a
linear function of the guide; those functions are found at render size, smoothed, enlarged, and applied to the large guide.
Box filters only, so the cost does not depend on the radius.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

RADIUS_PX = 4  # of the window, at render size
EPSILON = 2e-3  # guide variance (guide in 0..1) below which the guide is ignored: grain is no edge

Plane = NDArray[np.float32]


def guided_upsample(
    planes: Plane, guide: Plane, large_guide: Plane, *, radius: int = RADIUS_PX, epsilon: float = EPSILON
) -> Plane:
    """Enlarge `planes` (2, h, w) along the edges of `large_guide` (H, W).

    `guide` (h, w) is the small version of `large_guide`; both float32 in [0, 1]. Returns float32 (2, H, W) in the unit of `planes`.
    """
    height, width = large_guide.shape
    large = cv2.resize(_lines(planes, guide, radius, epsilon), (width, height), interpolation=cv2.INTER_LINEAR)
    planes_at = [large[..., i] * large_guide + large[..., i + 2] for i in (0, 1)]
    return np.stack(planes_at).astype(np.float32, copy=False)  # (2, H, W)


def guided_upsample_in_bands(planes: Plane, guide: Plane, large_guide: Plane, *, band_px: int = 1 << 17) -> Plane:
    """The same as `guided_upsample`, slower and in little memory: beside the result it holds a few rows only."""
    height, width = large_guide.shape
    lines = _lines(planes, guide, RADIUS_PX, EPSILON)
    wide = cv2.resize(lines, (width, len(lines)), interpolation=cv2.INTER_LINEAR)  # (h, W, 4)
    result = np.empty((2, height, width), np.float32)
    band_rows = max(1, band_px // width)
    for top in range(0, height, band_rows):
        rows = slice(top, min(height, top + band_rows))
        at = (np.arange(rows.start, rows.stop, dtype=np.float32) + np.float32(0.5)) * np.float32(len(wide) / height) - 0.5
        above = np.floor(at).astype(np.intp)
        weight = (at - above)[:, None, None].astype(np.float32)
        last = len(wide) - 1
        band = wide[np.clip(above, 0, last)] * (1 - weight) + wide[np.clip(above + 1, 0, last)] * weight
        for i in (0, 1):
            result[i, rows] = band[..., i] * large_guide[rows] + band[..., i + 2]
    return result


def _lines(planes: Plane, guide: Plane, radius: int, epsilon: float) -> Plane:
    """The linear functions at render size: float32 (h, w, 4), two slopes and two offsets."""
    window = (2 * radius + 1, 2 * radius + 1)
    stack = np.dstack([guide, planes[0], planes[1], guide * guide, guide * planes[0], guide * planes[1]])  # (h, w, 6)
    means = _box(stack, window)
    mean, mean_planes = means[..., 0:1], means[..., 1:3]
    variance = means[..., 3:4] - mean * mean
    slope = (means[..., 4:6] - mean * mean_planes) / (variance + np.float32(epsilon))
    lines: Plane = _box(np.concatenate([slope, mean_planes - slope * mean], axis=-1), window)  # (h, w, 4)
    return lines


def _box(stack: Plane, window: tuple[int, int]) -> Any:
    return cv2.boxFilter(stack, cv2.CV_32F, window, borderType=cv2.BORDER_REFLECT)
