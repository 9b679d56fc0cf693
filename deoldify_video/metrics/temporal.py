"""How still a film's colours hold: warp error, colour distribution consistency, colourfulness.

- Warp error after Lai et al. 2018, "Learning Blind Video Temporal Consistency", section 4.2: the next frame is fetched along
  the optical flow of the light, and the squared difference averaged where neither occlusion nor a motion boundary lies. On RGB
  in [0, 1], as published, and on ab alone, in squared Lab units, which the film's own grain does not touch.
- CDC after Liu et al. 2021, "Temporally Consistent Video Colorization with Deep Feature Propagation and Self-regularization
  Learning", section 4: Jensen-Shannon divergence (natural logarithm) between the 256-bin histograms of frames t apart,
  t = 1, 2, 4, averaged over R, G, B, over frames, and over t.
- Colourfulness (`metrics.color.colorfulness`) always stands beside them: a grey film is perfect by the first two.

Nothing is compared across a cut.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from deoldify_video.color.lab import rgb_to_lab
from deoldify_video.metrics.color import colorfulness
from deoldify_video.temporal.flow import Flow, FlowFunction, Gray, occlusion_mask, warp

CDC_GAPS = (1, 2, 4)  # frames

RGB8: TypeAlias = NDArray[Any]  # uint8 (H, W, 3)
Histograms: TypeAlias = NDArray[Any]  # float64 (3, 256), each row adds to 1


@dataclass(frozen=True)
class Motion:
    """The way from a frame to the next: `flow` float32 (H, W, 2), and `visible` bool (H, W), where both show the same thing."""

    flow: Flow
    visible: NDArray[np.bool_]


def motion_between(light: Gray, next_light: Gray, flow: FlowFunction) -> Motion:
    """The motion from `light` to `next_light`, both uint8 (H, W)."""
    forward = flow(light, next_light)
    return Motion(forward, ~occlusion_mask(forward, flow(next_light, light)))


def warp_error(picture: NDArray[Any], next_picture: NDArray[Any], motion: Motion) -> float:
    """Mean over visible pixels of |V_t - W(V_t+1)|^2, squares added over channels; NaN where no pixel is visible.

    The pictures are float32 (H, W, C), in whatever unit is asked for.
    """
    if not motion.visible.any():
        return math.nan
    difference = warp(next_picture, motion.flow) - picture
    return float(np.square(difference).sum(axis=-1)[motion.visible].mean())


def histograms(rgb: RGB8) -> Histograms:
    """The distribution of R, G and B of `rgb` uint8 (H, W, 3): float64 (3, 256)."""
    counts = [np.bincount(rgb[..., channel].ravel(), minlength=256) for channel in range(3)]
    return np.stack(counts) / (rgb.shape[0] * rgb.shape[1])


def jensen_shannon(p: Histograms, q: Histograms) -> float:
    """Jensen-Shannon divergence of distributions along the last axis, averaged over the others; 0 to ln 2."""
    middle = (p + q) / 2.0
    total = np.zeros(p.shape[:-1])
    for one in (p, q):
        ratio = np.divide(one, middle, out=np.ones_like(middle), where=one > 0)
        total += 0.5 * (one * np.log(ratio)).sum(axis=-1)
    return float(total.mean())


def ab_of(rgb: RGB8) -> NDArray[np.float32]:
    """Lab a and b of `rgb` uint8 (H, W, 3): float32 (H, W, 2)."""
    planes = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float() / 255.0  # (1, 3, H, W)
    lab = rgb_to_lab(planes)
    return np.ascontiguousarray(lab[0, 1:].permute(1, 2, 0).numpy())  # (H, W, 2)


@dataclass(frozen=True)
class Score:
    """The measures of a run of frames. NaN where it is too short: errors need two frames of one shot.

    `warp_rgb` in squared RGB units of 0..1, `warp_ab` in squared Lab units, `cdc` in nats, `cf` about 0 (grey) to 100.
    """

    warp_rgb: float
    warp_ab: float
    cdc: float
    cf: float


@dataclass
class _Sums:
    """The values of a run of frames, and of its pairs for every gap."""

    warp_rgb: list[float] = field(default_factory=list)
    warp_ab: list[float] = field(default_factory=list)
    cf: list[float] = field(default_factory=list)
    divergence: dict[int, list[float]] = field(default_factory=lambda: {gap: [] for gap in CDC_GAPS})

    def score(self) -> Score:
        cdc = [mean(values) for values in self.divergence.values() if values]
        return Score(mean(self.warp_rgb), mean(self.warp_ab), mean(cdc), mean(self.cf))

    def add(self, other: _Sums) -> None:
        self.warp_rgb += other.warp_rgb
        self.warp_ab += other.warp_ab
        self.cf += other.cf
        for gap in CDC_GAPS:
            self.divergence[gap] += other.divergence[gap]


def mean(values: Sequence[float]) -> float:
    """The mean of the values that are numbers; NaN where there is none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


class TemporalMeter:
    """Measures a film frame by frame: `add` its frames in order, `end_shot` at cuts and at the end, then read `film`.

    Holds one frame and four histograms, whatever the length of the film.
    """

    def __init__(self) -> None:
        self._film, self._shot = _Sums(), _Sums()
        self._before: tuple[NDArray[Any], NDArray[Any]] | None = None
        self._histograms: deque[Histograms] = deque(maxlen=max(CDC_GAPS))

    def add(self, rgb: RGB8, motion: Motion | None) -> float:
        """Take the next frame, uint8 (H, W, 3). `motion` leads here from the frame before; None at the start of a shot.

        Returns the ab warp error of the step to this frame, NaN without motion.
        """
        here = rgb.astype(np.float32) / np.float32(255.0), ab_of(rgb)
        step = math.nan
        if motion is not None and self._before is not None:
            before_rgb, before_ab = self._before
            step = warp_error(before_ab, here[1], motion)
            self._shot.warp_ab.append(step)
            self._shot.warp_rgb.append(warp_error(before_rgb, here[0], motion))
        now = histograms(rgb)
        for gap in CDC_GAPS:
            if len(self._histograms) >= gap:
                self._shot.divergence[gap].append(jensen_shannon(self._histograms[-gap], now))
        self._histograms.append(now)
        self._shot.cf.append(colorfulness(rgb))
        self._before = here
        return step

    def end_shot(self) -> Score:
        """Close the shot and return what was measured of it."""
        score = self._shot.score()
        self._film.add(self._shot)
        self._shot, self._before = _Sums(), None
        self._histograms.clear()
        return score

    def film(self) -> Score:
        """The measures of all closed shots together; every frame, and every pair of frames, counts alike."""
        return self._film.score()


def fit_within(width: int, height: int, longest: int) -> tuple[int, int]:
    """(width, height) scaled down so that the longer side is at most `longest`, both even."""
    scale = min(1.0, longest / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def resize_picture(picture: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """`picture` uint8 (H, W) or (H, W, C) brought to (height, width), averaging areas."""
    if picture.shape[:2] == (height, width):
        return picture
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
