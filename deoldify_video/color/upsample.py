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
    window = (2 * radius + 1, 2 * radius + 1)
    height, width = large_guide.shape
    stack = np.dstack([guide, planes[0], planes[1], guide * guide, guide * planes[0], guide * planes[1]])  # (h, w, 6)
    means = _box(stack, window)
    mean, mean_planes = means[..., 0:1], means[..., 1:3]
    variance = means[..., 3:4] - mean * mean
    slope = (means[..., 4:6] - mean * mean_planes) / (variance + np.float32(epsilon))
    lines = _box(np.concatenate([slope, mean_planes - slope * mean], axis=-1), window)  # (h, w, 4)
    large = cv2.resize(lines, (width, height), interpolation=cv2.INTER_LINEAR)
    planes_at = [large[..., i] * large_guide + large[..., i + 2] for i in (0, 1)]
    return np.stack(planes_at).astype(np.float32, copy=False)  # (2, H, W)


def _box(stack: Plane, window: tuple[int, int]) -> Any:
    return cv2.boxFilter(stack, cv2.CV_32F, window, borderType=cv2.BORDER_REFLECT)
