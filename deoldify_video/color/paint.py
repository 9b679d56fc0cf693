"""From a frame's ab to the chroma planes that the encoder wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video.color.upsample import guided_upsample
from deoldify_video.color.yuv import SampleRange, ab_to_chroma, chroma_to_samples


@dataclass(frozen=True)
class Painter:
    """Paints frames of one film.

    `source` and `target` are the ranges of the decoded luma and of the chroma to write, `depth` that of the chroma; `chroma_size`
    is (width, height) of a chroma plane as coded, `turns` how many quarter turns counter-clockwise make the coded picture upright.
    `window` (rows, columns of a chroma plane; None: all) is the part that the network sees: around it, black borders stay neutral.
    """

    matrix: str
    source: SampleRange
    target: SampleRange
    depth: int
    chroma_size: tuple[int, int]
    turns: int = 0
    window: tuple[slice, slice] | None = None

    def chroma(self, luma: NDArray[Any], gray: NDArray[np.uint8], ab: NDArray[np.float32]) -> NDArray[Any]:
        """Code values (2, h, w) of Cb and Cr for a frame: `luma` (H, W) as decoded, `gray` and `ab` upright at render size."""
        planes = ab_to_chroma(gray, ab, self.matrix)
        guide = gray.astype(np.float32) * np.float32(1 / 255)
        if self.turns:
            planes, guide = np.rot90(planes, -self.turns, axes=(1, 2)), np.rot90(guide, -self.turns)
        large = cv2.resize(luma, self.chroma_size, interpolation=cv2.INTER_AREA).astype(np.float32)
        large -= np.float32(self.source.black)
        large *= np.float32(1 / (self.source.white - self.source.black))
        if self.window is None:
            return chroma_to_samples(guided_upsample(planes, guide, large), self.target, self.depth)
        whole = np.zeros((2, *large.shape), np.float32)
        whole[:, *self.window] = guided_upsample(planes, guide, large[self.window])
        return chroma_to_samples(whole, self.target, self.depth)
