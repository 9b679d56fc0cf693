"""Batches whose content depends on (seed, step) alone: crops, what a film would show of them, what is known of their colours.

All pictures lie decoded in one tensor on the device that trains, and a batch is cut out of it there: a GPU waits for nobody, and
a resumed training sees exactly what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deoldify_video.color.lab import rgb_to_lab
from deoldify_video.errors import InputError
from deoldify_video.models.compact import OUTPUT_STRIDE
from deoldify_video.training.dataset import Photos, Picture
from deoldify_video.training.degrade import age, film_gray
from deoldify_video.training.priors import draw_prior
from deoldify_video.training.recipe import Phase

_FINE_PX = 160  # crops up to this size are cut at twice of it and averaged, so that fine texture does not alias
_ASPECT_JITTER = 0.12  # a crop's sides differ from a square's by up to this factor
_STEPS_PER_SEED = 1 << 24  # seeds are multiples of it, so that no two steps of any two seeds share their numbers
_DECODERS = 8


@dataclass(frozen=True)
class Batch:
    """`lab` float32 (B, 3, H, W): the true colours; `grey` (B, 1, H, W) in [0, 1], sRGB-encoded: what the network sees; `prior`
    (B, 3, H/4, W/4) as in `priors.py`, or None.
    """

    lab: Tensor
    gray: Tensor
    prior: Tensor | None = None


class PictureStore:
    """Decoded pictures of all sizes as rows of pixels, uint8 (N, 3), on one device."""

    def __init__(self, pictures: list[Picture], device: torch.device) -> None:
        sizes = torch.tensor([picture.shape[:2] for picture in pictures])
        areas = sizes.prod(dim=1)
        self.pixels = torch.empty((int(areas.sum()), 3), dtype=torch.uint8, device=device)
        self.starts = (areas.cumsum(0) - areas).to(device)
        self.heights, self.widths = (side.to(device) for side in sizes.T)
        for picture, start in zip(pictures, self.starts.tolist(), strict=True):
            rows = torch.from_numpy(np.ascontiguousarray(picture)).reshape(-1, 3)
            self.pixels[start : start + len(rows)] = rows

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def device(self) -> torch.device:
        """Where the pictures lie."""
        return self.pixels.device

    def crops(self, count: int, size: int, least: float, generator: torch.Generator) -> Tensor:
        """`count` random crops, float32 (count, 3, size, size) in [0, 1], mirrored half of the time.

        A crop's side is `least` to 1 times the picture's short side.
        """
        cut = 2 * size if size <= _FINE_PX else size
        which = torch.randint(0, len(self), (count,), generator=generator, device=self.device)
        draw = torch.rand(6, count, 1, generator=generator, device=self.device)
        high, wide = self.heights[which, None].float(), self.widths[which, None].float()  # (B, 1)
        side = torch.minimum(high, wide) * (least + (1 - least) * draw[0])
        tall = (side * (1 + _ASPECT_JITTER * (2 * draw[1] - 1))).minimum(high)
        broad = (side * (1 + _ASPECT_JITTER * (2 * draw[2] - 1))).minimum(wide)
        along = (torch.arange(cut, device=self.device) + 0.5) / cut  # (cut,)
        across = torch.where(draw[5] < 0.5, along, 1 - along)
        y = (draw[3] * (high - tall) + along * tall - 0.5).clamp_min(0).minimum(high - 1)[:, :, None]  # (B, cut, 1)
        x = (draw[4] * (wide - broad) + across * broad - 0.5).clamp_min(0).minimum(wide - 1)[:, None, :]  # (B, 1, cut)
        top, left = y.long(), x.long()
        below, right = (
            (top + 1).minimum(self.heights[which, None, None] - 1),
            (left + 1).minimum(self.widths[which, None, None] - 1),
        )
        row_width = self.widths[which, None, None]
        start = self.starts[which, None, None]

        def at(row: Tensor, column: Tensor) -> Tensor:
            return self.pixels[start + row * row_width + column].float()  # (B, cut, cut, 3)

        share_y, share_x = (y - top)[..., None], (x - left)[..., None]
        upper = torch.lerp(at(top, left), at(top, right), share_x)
        lower = torch.lerp(at(below, left), at(below, right), share_x)
        rgb = torch.lerp(upper, lower, share_y).permute(0, 3, 1, 2) / 255.0
        return F.avg_pool2d(rgb, 2) if cut != size else rgb


def decode_all(photos: Photos, on_unreadable: Callable[[str], None]) -> list[Picture]:
    """Every picture of `photos` that can be read; the keys of the others are told. Raises `InputError` when none is left."""
    with ThreadPoolExecutor(_DECODERS) as pool:
        decoded = list(pool.map(photos.picture, range(len(photos))))
    for key, picture in zip(photos.keys, decoded, strict=True):
        if picture is None:
            on_unreadable(key)
    kept = [picture for picture in decoded if picture is not None and min(picture.shape[:2]) >= 8]
    if not kept:
        raise InputError("none of the pictures can be read; run `dataset build` on the data first.")
    return kept


def make_batch(store: PictureStore, phase: Phase, seed: int, step: int) -> Batch:
    """The batch of step `step` (from 0) of a training with `seed`: the same for the same two."""
    generator = torch.Generator(store.device).manual_seed(seed * _STEPS_PER_SEED + step)
    drawn = torch.rand(2, generator=torch.Generator().manual_seed(seed * _STEPS_PER_SEED + step)).tolist()
    size = phase.sizes[min(int(drawn[0] * len(phase.sizes)), len(phase.sizes) - 1)]
    count = max(2, round(phase.pixels / size**2))
    with torch.no_grad():
        rgb = store.crops(count, size, phase.least_crop, generator)
        lab = rgb_to_lab(rgb)
        gray = age(film_gray(rgb, generator, stocks=phase.stocks), generator, share=phase.age)
        prior = draw_prior(small_ab(lab), generator) if drawn[1] < phase.prior else None
    return Batch(lab, gray, prior)


def small_ab(lab: Tensor) -> Tensor:
    """The true ab at the network's output size: Lab (B, 3, H, W) -> (B, 2, H/4, W/4)."""
    return F.avg_pool2d(lab[:, 1:], OUTPUT_STRIDE)
