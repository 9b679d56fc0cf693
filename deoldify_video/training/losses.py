"""The generator's losses over a palette distribution, and the palette's statistics.

Soft targets and rebalancing after Zhang et al. 2016, "Colorful Image Colorization", with bilinear weights in place of their
five nearest neighbours.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deoldify_video.color.lab import rgb_to_lab
from deoldify_video.models.compact import OUTPUT_STRIDE
from deoldify_video.training.batches import PictureStore, small_ab

_REACH = 132.0  # the ab plane reaches this far from grey
_AB_SCALE = 20.0  # an error of this many ab units counts as 1 in l1 and l2
_UNIFORM_SHARE = 0.05  # mixed into the frequencies, so that rare colours keep finite weights


class PaletteTargets(nn.Module):
    """Turns true ab colours into soft targets on the palette, (K, 2) as in `Compact.palette`, a grid of `step`."""

    index: Tensor
    palette: Tensor

    def __init__(self, palette: Tensor, step: float) -> None:
        super().__init__()
        self.step, self.radius = step, math.ceil(_REACH / step)
        side = 2 * self.radius
        ramp = torch.arange(side, dtype=torch.float32) - self.radius
        grid = torch.stack(torch.meshgrid(ramp, ramp, indexing="ij"), dim=-1).reshape(-1, 2)
        # Corners of the grid that no palette colour stands on give their share to the nearest one.
        nearest = torch.cdist(grid, palette.float() / step).argmin(dim=1)
        self.register_buffer("index", nearest.reshape(side, side), persistent=False)
        self.register_buffer("palette", palette.float(), persistent=False)

    def forward(self, ab: Tensor) -> tuple[Tensor, Tensor]:
        """True ab (B, 2, h, w) -> palette indices (N, 4) int64 and their weights (N, 4), N = B h w.

        Each row of weights adds to 1.
        """
        grid = ab.permute(0, 2, 3, 1).reshape(-1, 2) / self.step + self.radius  # (N, 2)
        low = grid.floor().clamp(0, 2 * self.radius - 2)
        part = grid - low
        a, b = low[:, 0].long(), low[:, 1].long()
        indices, weights = [], []
        for da in (0, 1):
            for db in (0, 1):
                indices.append(self.index[a + da, b + db])
                weight_a = part[:, 0] if da else 1.0 - part[:, 0]
                weight_b = part[:, 1] if db else 1.0 - part[:, 1]
                weights.append(weight_a * weight_b)
        return torch.stack(indices, dim=1), torch.stack(weights, dim=1)


def palette_frequencies(targets: PaletteTargets, store: PictureStore, seed: int, pictures: int = 2000) -> Tensor:
    """How often each palette colour occurs in the pictures: (K,) float32, adds to 1. The same for the same seed."""
    found = torch.zeros(len(targets.palette), device=store.device)
    generator = torch.Generator(store.device).manual_seed(seed)
    for _ in range(max(1, pictures // 100)):
        indices, weights = targets(small_ab(rgb_to_lab(store.crops(100, 64, 0.6, generator))))
        found.index_add_(0, indices.flatten(), weights.flatten())
    return found / found.sum()


def rebalancing(frequencies: Tensor, exponent: float) -> Tensor:
    """Weight of each palette colour, (K,): smoothed frequency ** -exponent, scaled so that the mean over the data is 1."""
    smooth = (1.0 - _UNIFORM_SHARE) * frequencies + _UNIFORM_SHARE / len(frequencies)
    weights = smooth**-exponent
    return weights / (frequencies * weights).sum()


def palette_losses(
    logits: Tensor, ab: Tensor, targets: PaletteTargets, weights: Tensor, *, mean_loss: bool
) -> dict[str, Tensor]:
    """Losses of palette logits (B, K, h, w) against the true ab (B, 2, h, w), each a scalar.

    `ce`: cross-entropy with the soft targets, rebalanced by `weights` (K,); with `mean_loss` also `l1` and `l2`: distance of
    the distribution's mean from the true colour in units of 20 ab, the second squared.
    """
    rows = logits.float().permute(0, 2, 3, 1).reshape(-1, logits.shape[1])  # (N, K)
    log_p = rows.log_softmax(dim=1)
    indices, shares = targets(ab)
    losses = {"ce": -(log_p.gather(1, indices) * shares * weights[indices]).sum(dim=1).mean()}
    if mean_loss:
        error = (log_p.exp() @ targets.palette - ab.permute(0, 2, 3, 1).reshape(-1, 2)) / _AB_SCALE  # (N, 2)
        losses["l1"] = error.abs().sum(dim=1).mean()
        losses["l2"] = error.square().sum(dim=1).mean()
    return losses


def painted_lab(lightness: Tensor, ab: Tensor) -> Tensor:
    """L (B, 1, H, W) and ab at the network's output size -> a Lab picture (B, 3, H, W), as the critic and the features see it.

    True colours take the same way (`small_ab`, then this), so that nobody can tell true from painted by sharpness alone.
    """
    return torch.cat([lightness, F.interpolate(ab, scale_factor=float(OUTPUT_STRIDE), mode="bilinear")], dim=1)
