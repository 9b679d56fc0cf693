"""Makes clean grey pictures look like old film, for the network's input only: the colours to learn are never touched.

Each fault is a function of float32 pictures (B, 1, H, W) in [0, 1] and a generator of their device; `age` draws a few of them for
each picture. `film_grey` is where it begins: what a film stock made of the colours.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from deoldify_video.color.lab import encoded_from_linear, linear_from_encoded

Fault = Callable[[Tensor, torch.Generator], Tensor]

CIE_Y = (0.212671, 0.715160, 0.072169)
# What a stock saw of linear red, green and blue: panchromatic, orthochromatic (no red), blue-sensitive (neither red nor green).
STOCKS = ((0.30, 0.45, 0.25), (0.04, 0.54, 0.42), (0.01, 0.11, 0.88))
# Table K.1 of the JPEG standard (ITU-T T.81): quantisation of luma.
_JPEG_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55), (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62), (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_BLUR_RADIUS = 5
_MOST_SCRATCHES, _MOST_SPECKS = 2, 7


def uniform(like: Tensor, low: float, high: float, generator: torch.Generator, shape: tuple[int, ...] = ()) -> Tensor:
    """A random number for each picture of `like`, (B, 1, 1, 1), or of `shape`."""
    drawn = torch.rand(shape or (len(like), 1, 1, 1), generator=generator, device=like.device)
    return low + (high - low) * drawn


def film_gray(rgb: Tensor, generator: torch.Generator, *, stocks: float) -> Tensor:
    """sRGB (B, 3, H, W) in [0, 1] -> sRGB-encoded grey (B, 1, H, W): of the same CIE L, or for a share `stocks` of the pictures
    as a film stock between panchromatic, orthochromatic and blue-sensitive would show them.
    """
    count = len(rgb)
    shares = torch.rand(count, len(STOCKS), generator=generator, device=rgb.device).square()
    weights = shares / shares.sum(dim=1, keepdim=True) @ torch.tensor(STOCKS, device=rgb.device)
    is_stock = torch.rand(count, 1, generator=generator, device=rgb.device) < stocks
    weights = torch.where(is_stock, weights, torch.tensor(CIE_Y, device=rgb.device))  # (B, 3)
    light = (linear_from_encoded(rgb) * weights[:, :, None, None]).sum(dim=1, keepdim=True)
    return encoded_from_linear(light).clamp(0.0, 1.0)  # (B, 1, H, W)


def vignette(x: Tensor, generator: torch.Generator) -> Tensor:
    """Light that falls off towards the corners."""
    y, z = (torch.linspace(-1, 1, side, device=x.device) for side in x.shape[-2:])
    return x * (1 - uniform(x, 0.1, 0.4, generator) * (y[:, None] ** 2 + z**2) / 2)


def blur(x: Tensor, generator: torch.Generator) -> Tensor:
    """A soft lens or a soft copy; now and then the opposite, sharpening by a careless transfer."""
    soft = _gaussian(x, uniform(x, 0.4, 1.6, generator))
    return torch.where(uniform(x, 0, 1, generator) < 0.25, (2 * x - soft).clamp(0, 1), soft)


def dim(x: Tensor, generator: torch.Generator) -> Tensor:
    """An underexposed shot: the whole scale pressed towards black."""
    return x * uniform(x, 0.3, 0.8, generator)


def contrast(x: Tensor, generator: torch.Generator) -> Tensor:
    """Gamma, contrast and exposure of another stock or another laboratory."""
    curved = x.clamp_min(1e-4) ** uniform(x, 0.6, 1.7, generator)
    gain, offset = uniform(x, 0.6, 1.2, generator), uniform(x, -0.12, 0.12, generator)
    return ((curved - 0.5) * gain + 0.5 + offset).clamp(0, 1)


def grain(x: Tensor, generator: torch.Generator) -> Tensor:
    """Film grain: noise with a size of one to two pixels, strongest in the middle greys."""
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    coarse = F.avg_pool2d(F.pad(noise, (1, 1, 1, 1), mode="reflect"), 3, 1) * 2.4
    noise = torch.where(uniform(x, 0, 1, generator) < 0.5, coarse, noise)
    return (x + noise * uniform(x, 0.01, 0.07, generator) * (0.4 + 2.4 * x * (1 - x))).clamp(0, 1)


def fade(x: Tensor, generator: torch.Generator) -> Tensor:
    """Faded blacks and yellowed whites: the scale no longer reaches its ends."""
    low, high = uniform(x, 0.0, 0.22, generator), uniform(x, 0.75, 1.0, generator)
    return low + x * (high - low)


def scratches(x: Tensor, generator: torch.Generator) -> Tensor:
    """Vertical scratches and specks of dust, light or dark."""
    height, width = x.shape[-2:]
    rows = torch.arange(height, device=x.device, dtype=torch.float32)[:, None]
    columns = torch.arange(width, device=x.device, dtype=torch.float32)
    for number in range(_MOST_SCRATCHES):
        at, lean = uniform(x, 0, width, generator), uniform(x, -2, 2, generator)
        line = (columns - at - lean * rows / height).abs() < 0.6
        there = uniform(x, 0, _MOST_SCRATCHES + 1, generator) > number + 1
        x = torch.where(line & there, torch.where(uniform(x, 0, 1, generator) < 0.5, 0.05, 0.95), x)
    for number in range(_MOST_SPECKS):
        at_x, at_y = uniform(x, 0, width, generator), uniform(x, 0, height, generator)
        radius = uniform(x, 0.5, max(1.5, width / 60), generator)
        speck = (columns - at_x) ** 2 + (rows - at_y) ** 2 < radius**2
        there = uniform(x, 0, _MOST_SPECKS + 1, generator) > number + 1
        x = torch.where(speck & there, torch.where(uniform(x, 0, 1, generator) < 0.5, 0.0, 1.0), x)
    return x


def compress(x: Tensor, generator: torch.Generator) -> Tensor:
    """Block damage of a small JPEG or MPEG copy: cosine transform, quantisation, and back."""
    count, _, height, width = x.shape
    padded = F.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate")
    rows, columns = padded.shape[-2] // 8, padded.shape[-1] // 8
    k = torch.arange(8, device=x.device, dtype=torch.float32)
    transform = torch.cos(math.pi / 8 * (k + 0.5) * k[:, None]) * 0.5
    transform[0] /= math.sqrt(2.0)
    quality = uniform(x, 15, 70, generator)[:, :, :, :, None]
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)  # as the Independent JPEG Group's library scales
    table = (torch.tensor(_JPEG_LUMA, device=x.device, dtype=torch.float32) * scale).clamp_min(1) / 255
    blocks = padded.reshape(count, rows, 8, columns, 8).transpose(2, 3)  # (B, rows, columns, 8, 8)
    found = transform @ (blocks - 0.5) @ transform.T
    blocks = transform.T @ ((found / table).round() * table) @ transform + 0.5
    whole = blocks.transpose(2, 3).reshape(count, 1, *padded.shape[-2:])
    return whole[:, :, :height, :width].clamp(0, 1)


def _gaussian(x: Tensor, sigma: Tensor) -> Tensor:
    """Pictures (B, 1, H, W) softened, each by its own sigma, (B, 1, 1, 1), in pixels."""
    k = torch.arange(-_BLUR_RADIUS, _BLUR_RADIUS + 1, device=x.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (k / sigma) ** 2)  # (B, 1, 1, 2 radius + 1)
    shares = (kernel / kernel.sum(dim=-1, keepdim=True)).unbind(dim=-1)  # each (B, 1, 1)
    height, width = x.shape[-2:]
    wide = F.pad(x, (_BLUR_RADIUS,) * 4, mode="replicate")
    # Shifted sums: a convolution with a kernel for each picture is looked up anew for each number of pictures.
    rows = torch.stack([share[..., None] * wide[:, :, i : i + height] for i, share in enumerate(shares)]).sum(dim=0)
    return torch.stack([share[..., None] * rows[..., i : i + width] for i, share in enumerate(shares)]).sum(dim=0)


# In the order in which they happen to a film: light, lens, stock, laboratory, wear, transfer.
FAULTS: tuple[tuple[Fault, float], ...] = (
    (vignette, 0.15),
    (blur, 0.25),
    (dim, 0.2),
    (contrast, 0.45),
    (grain, 0.35),
    (fade, 0.25),
    (scratches, 0.12),
    (compress, 0.25),
)


def age(x: Tensor, generator: torch.Generator, *, share: float = 1.0) -> Tensor:
    """Apply a random few of the faults to a `share` of the pictures, float32 (B, 1, H, W) in [0, 1]; returns new ones."""
    x = x.clone()
    old = torch.rand(len(x), generator=generator, device=x.device) < share
    for fault, probability in FAULTS:
        drawn = torch.rand(len(x), generator=generator, device=x.device) < probability
        hit = (drawn & old).nonzero()[:, 0]
        if len(hit):
            x[hit] = fault(x[hit], generator)
    return x
