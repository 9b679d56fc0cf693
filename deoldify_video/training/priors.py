"""Draws what could be known of a picture's colours before the network looks: points, patches, another frame, a wrong guess.

A prior is (B, 3, h, w) at the network's output size: a and b in Lab units, and a confidence of 0 to 1. The lower the confidence,
the more often the colours are wrong; so the network learns what it is worth.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deoldify_video.training.degrade import uniform

MOST_POINTS = 12
_KINDS = 6  # nothing, points, patches, a neighbouring frame, the same thing seen otherwise, another picture
_KIND_SHARES = (0.15, 0.30, 0.15, 0.20, 0.10, 0.10)
_DOUBTFUL = 0.35  # confidence below which colours may be wrong


def draw_prior(ab: Tensor, generator: torch.Generator) -> Tensor:
    """A prior for each picture of true colours `ab` (B, 2, h, w) -> (B, 3, h, w)."""
    shares = torch.tensor(_KIND_SHARES, device=ab.device).expand(len(ab), _KINDS)
    kind = torch.multinomial(shares, 1, generator=generator)[:, :, None, None]  # (B, 1, 1, 1)
    patches = _patches(ab, generator)
    neighbor = _moved(ab, generator, shift=0.02, turn=0.03, bend_px=1.5) * uniform(ab, 0.75, 1.1, generator)
    otherwise = _moved(ab, generator, shift=0.08, turn=0.15, bend_px=3.0) * uniform(ab, 0.6, 1.2, generator)
    sure, doubtful = uniform(ab, _DOUBTFUL, 1.0, generator), uniform(ab, 0.03, _DOUBTFUL, generator)
    candidates = (
        (ab, torch.zeros_like(patches)),
        (ab, _points(ab, generator)),
        (ab, patches * sure),
        (neighbor, (1 - patches) * sure),
        (otherwise, patches * doubtful),
        (ab.roll(1, dims=0), patches * doubtful),
    )
    colors, confidence = torch.zeros_like(ab), torch.zeros_like(patches)
    for number, (some, known) in enumerate(candidates):
        colors, confidence = torch.where(kind == number, some, colors), torch.where(kind == number, known, confidence)
    return torch.cat([colors * (confidence > 0), confidence], dim=1)


def _points(ab: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 1, h, w): 1 at one to `MOST_POINTS` places of a picture, some of them three wide."""
    count, _, height, width = ab.shape
    wanted = torch.randint(1, MOST_POINTS + 1, (count, 1), generator=generator, device=ab.device)
    places = torch.randint(0, height * width, (count, MOST_POINTS), generator=generator, device=ab.device)
    kept = (torch.arange(MOST_POINTS, device=ab.device) < wanted).float()
    mask = torch.zeros(count, height * width, device=ab.device).scatter_reduce_(1, places, kept, "amax")
    mask = mask.reshape(count, 1, height, width)
    return torch.where(uniform(ab, 0, 1, generator) < 0.5, F.max_pool2d(mask, 3, 1, 1), mask)


def _patches(ab: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 1, h, w): 0 or 1 in irregular patches that cover a twentieth to two thirds of a picture."""
    coarse = torch.randn(len(ab), 1, 6, 6, generator=generator, device=ab.device)
    smooth = F.interpolate(coarse, size=ab.shape[-2:], mode="bicubic", align_corners=False)
    return (smooth > uniform(ab, -0.3, 1.2, generator)).float()


def _moved(ab: Tensor, generator: torch.Generator, *, shift: float, turn: float, bend_px: float) -> Tensor:
    """`ab` after a random affine motion and a smooth bend of about `bend_px`; `shift` in shares of the picture."""
    count, _, height, width = ab.shape
    scale, angle = uniform(ab, 1 - turn, 1 + turn, generator)[:, 0, 0, 0], uniform(ab, -turn, turn, generator)[:, 0, 0, 0]
    move = uniform(ab, -2 * shift, 2 * shift, generator, (count, 2))
    matrix = torch.stack(
        [scale * angle.cos(), -angle.sin(), move[:, 0], angle.sin(), scale * angle.cos(), move[:, 1]], dim=1
    ).reshape(count, 2, 3)
    grid = F.affine_grid(matrix, [count, 2, height, width], align_corners=False)  # (B, h, w, 2)
    bend = torch.randn(count, 2, 4, 4, generator=generator, device=ab.device)
    bend = F.interpolate(bend, size=(height, width), mode="bicubic", align_corners=False).permute(0, 2, 3, 1)
    bend = bend * bend_px * 2 / torch.tensor([width, height], device=ab.device)
    return F.grid_sample(ab, grid + bend, mode="bilinear", padding_mode="border", align_corners=False)
