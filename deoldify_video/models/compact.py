"""The default network, `compact`: a U-Net on an ImageNet encoder that sees L and answers with a distribution over ab colours.

For each 4x4 block of pixels it gives the probabilities of a fixed palette of ab colours (Zhang et al. 2016, "Colorful Image
Colorization"); their annealed mean is the colour. A distribution instead of a single answer is what keeps `--style` real:
a low temperature picks the likeliest colour, a high one the cautious average.

- Encoder: EfficientNet-Lite, which has learnt ImageNet before (`efficientnet_lite.py`).
- Context: at stride 32 every place attends to every other (Vaswani et al. 2017), so that one thing gets one colour.
- Decoder: 3x3 convolutions up to stride 4, with the encoder's features of each stride (Ronneberger et al. 2015).
- Two looks: beside the picture at its own size the network sees a coarse copy, and a mean of both log-probabilities counts.
  The coarse look knows what is shown, the fine one where it ends.
- Prior: colours that are known already (a user's points, a reference, an earlier shot) with a confidence, at stride 4. Its branch
  has no bias and is multiplied by the confidence: without a prior the answer is exactly the same as if it were not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deoldify_video.color.lab import rgb_to_lab
from deoldify_video.errors import DependencyError
from deoldify_video.models.efficientnet_lite import EfficientNetLite, NormedConv
from deoldify_video.models.weights import CONFIG_KEY, read_weights

OUTPUT_STRIDE = 4  # the palette distribution is given per 4x4 pixels
STRIDE = 32  # sides of the picture are multiples of it
COARSE_PX = 128  # square root of the area of the coarse look
COARSE_SHARE = 0.6  # of the coarse look in the answer
_FINE_ENOUGH = 1.25  # pictures less than this much larger than the coarse look are looked at once
_PRIOR_SCALE = 50.0  # ab units that count as 1 on the prior's planes
_PRIOR_WIDTH = 32


@dataclass(frozen=True)
class CompactConfig:
    """Variant of the encoder, widths of the decoder at strides 16, 8 and 4, width and blocks of the context, and the distance
    of neighbouring palette colours in ab.
    """

    encoder: str = "lite0"
    decoder: tuple[int, int, int] = (128, 96, 64)
    context: int = 256
    context_blocks: int = 2
    palette_step: float = 16.0


def gamut_palette(step: float) -> Tensor:
    """The grid points of the ab plane, `step` apart, that bracket at least one sRGB colour: (K, 2) float32, sorted by a, then b."""
    ramp = torch.linspace(0.0, 1.0, 33)
    rgb = torch.stack(torch.meshgrid(ramp, ramp, ramp, indexing="ij")).reshape(1, 3, -1, 1)
    ab = rgb_to_lab(rgb)[0, 1:, :, 0].T / step  # (33^3, 2)
    low = torch.floor(ab)
    corners = [low + torch.tensor(corner) for corner in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))]
    return torch.unique(torch.cat(corners), dim=0) * step  # (K, 2)


class Attention(nn.Module):
    """A pre-norm transformer block over the places of a feature map."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, width) -> (B, N, width)."""
        batch, places, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, places, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, width / heads)
        shares = torch.softmax(q @ k.transpose(2, 3) * q.shape[-1] ** -0.5, dim=-1)  # (B, heads, N, N)
        x = x + self.out((shares @ v).transpose(1, 2).reshape(batch, places, width))
        return x + self.mlp(self.norm2(x))


class PriorBranch(nn.Module):
    """The addition to a feature map for the colours that are known: exactly nothing where the confidence is 0."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(3, _PRIOR_WIDTH, 3, padding=1, bias=False)
        self.add = nn.Conv2d(_PRIOR_WIDTH, outputs, 1, bias=False)
        nn.init.zeros_(self.add.weight)

    def forward(self, prior: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, outputs, h, w)."""
        return self.add(F.relu(self.spread(prior)))


class UpBlock(nn.Module):
    """Doubles the resolution of `x` and merges the encoder's features of that resolution and what is known of the colours."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.reduce = NormedConv(inputs, outputs, 1)
        self.prior = PriorBranch(outputs)
        self.merge = NormedConv(outputs + skip, outputs, 3)
        self.refine = NormedConv(outputs, outputs, 3)

    def forward(self, x: Tensor, skip: Tensor, prior: Tensor | None) -> Tensor:
        """(B, inputs, h, w), (B, skip, 2h, 2w) and (B, 3, 2h, 2w) or nothing -> (B, outputs, 2h, 2w)."""
        x = F.interpolate(self.reduce(x), scale_factor=2.0, mode="nearest")
        if prior is not None:
            x = x + self.prior(prior)
        return self.refine(self.merge(torch.cat([x, skip], dim=1)))


def _prior_pyramid(prior: Tensor) -> list[Tensor]:
    """A prior (B, 3, H/4, W/4) of a, b (in Lab units) and confidence -> what the branches see at strides 32, 16, 8 and 4.

    Colours are averaged by their confidence, and a block is as sure as its surest place: single points are not diluted.
    """
    ab, sure = prior[:, :2] / _PRIOR_SCALE, prior[:, 2:]
    levels = [torch.cat([ab * sure, sure], dim=1)]
    for _ in range(3):
        weighted, weight = F.avg_pool2d(ab * sure, 2), F.avg_pool2d(sure, 2)
        ab, sure = weighted / weight.clamp_min(1e-6), F.max_pool2d(sure, 2)
        levels.append(torch.cat([ab * sure, sure], dim=1))
    return levels[::-1]


class Compact(nn.Module):
    """Grey (B, 1, H, W) at about -1..1, H and W multiples of 32 -> palette logits (B, K, H/4, W/4)."""

    stride = STRIDE

    def __init__(self, config: CompactConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CompactConfig()
        d = config.decoder
        self.palette: Tensor
        self.register_buffer("palette", gamut_palette(config.palette_step))
        self.encoder = EfficientNetLite(config.encoder)
        w4, w8, w16, w32 = self.encoder.widths
        self.enter = NormedConv(w32, config.context, 1)
        self.prior = PriorBranch(config.context)
        self.context = nn.ModuleList(Attention(config.context) for _ in range(config.context_blocks))
        self.ups = nn.ModuleList([UpBlock(config.context, w16, d[0]), UpBlock(d[0], w8, d[1]), UpBlock(d[1], w4, d[2])])
        self.head = nn.Conv2d(d[2], self.palette.shape[0], 1)

    def prepare(self, gray: Tensor) -> Tensor:
        """sRGB-encoded grey (B, 1, H, W) in [0, 1] -> the network's input, (B, 1, H, W), as the encoder's training had it."""
        return (gray * 255.0 - 127.0) / 128.0

    def forward(self, x: Tensor, prior: Tensor | None = None) -> Tensor:
        """Prepared grey (B, 1, H, W) -> palette logits (B, K, H/4, W/4) of two looks.

        `prior` (B, 3, H/4, W/4): a, b in Lab units and confidence 0..1 of what is known of the colours.
        """
        fine = self.logits(x, prior)
        height, width = x.shape[-2:]
        shrink = COARSE_PX / (height * width) ** 0.5
        if shrink * _FINE_ENOUGH > 1.0:
            return fine
        size = [max(STRIDE, round(side * shrink / STRIDE) * STRIDE) for side in (height, width)]
        small = F.interpolate(x.float(), size=size, mode="bilinear", antialias=True).to(x.dtype)
        if prior is not None:
            prior = shrunk_prior(prior, (size[0] // OUTPUT_STRIDE, size[1] // OUTPUT_STRIDE))
        coarse = self.logits(small, prior)
        coarse = F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return torch.lerp(fine, coarse, COARSE_SHARE)  # log-probabilities but for a constant, which the softmax does not see

    def guided(self, x: Tensor, hint_ab: Tensor, hint_mask: Tensor) -> Tensor:
        """As `forward`, told ab (B, 2, H, W) in Lab units where `hint_mask` (B, 1, H, W) is 1."""
        size = (x.shape[-2] // OUTPUT_STRIDE, x.shape[-1] // OUTPUT_STRIDE)
        return self(x, shrunk_prior(torch.cat([hint_ab, hint_mask], dim=1), size))

    def logits(self, x: Tensor, prior: Tensor | None = None) -> Tensor:
        """One look: as `forward`, at the size of `x` alone."""
        features = self.encoder(x)  # strides 4, 8, 16, 32
        known = _prior_pyramid(prior) if prior is not None else [None] * 4
        x = self.enter(features[3])  # (B, context, H/32, W/32)
        if known[0] is not None:
            x = x + self.prior(known[0])
        tokens = x.flatten(2).transpose(1, 2)  # (B, N, context)
        for block in self.context:
            tokens = block(tokens)
        x = tokens.transpose(1, 2).reshape(x.shape)
        for up, skip, level in zip(self.ups, features[2::-1], known[1:], strict=True):
            x = up(x, skip, level)
        return self.head(x).contiguous(memory_format=torch.channels_last)

    def fold_norms(self) -> Compact:
        """Fold every batch normalisation into the convolution before it: the same function, faster. For inference only."""
        for module in self.modules():
            if isinstance(module, NormedConv):
                module.fold()
        return self

    def to_ab(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """Annealed mean (Zhang et al. 2016, eq. 5): logits (B, K, h, w) -> ab (B, 2, h, w) float32 in Lab units.

        `temperature` 1 gives the mean of the distribution, towards 0 its mode.
        """
        rows = logits.permute(0, 2, 3, 1)  # (B, h, w, K): contiguous when the logits are channels_last
        weights = torch.softmax(rows / temperature, dim=-1, dtype=torch.float32)
        return (weights @ self.palette.float()).permute(0, 3, 1, 2)  # (B, 2, h, w)


def shrunk_prior(prior: Tensor, size: tuple[int, int]) -> Tensor:
    """A prior (B, 3, h, w) at another `size` (h', w'): colours averaged by their confidence, points kept."""
    sure = F.adaptive_max_pool2d(prior[:, 2:], size)
    weight = F.adaptive_avg_pool2d(prior[:, 2:], size)
    ab = F.adaptive_avg_pool2d(prior[:, :2] * prior[:, 2:], size) / weight.clamp_min(1e-6)
    return torch.cat([ab, sure], dim=1)


def load_compact(path: Path) -> Compact:
    """Load a weights file written by `models export` float32, on the CPU, in eval mode. Strict about names and shapes.

    Raises `DependencyError` when the file is missing, damaged or of another network.
    """
    tensors, metadata = read_weights(path)
    known: dict[str, Any] = {
        field: tuple(value) if isinstance(value, list) else value for field, value in metadata.get(CONFIG_KEY, {}).items()
    }
    if "stem" in known:
        raise DependencyError(f"{path} holds an earlier layout of `compact`, which is no longer read; train it anew.")
    try:
        network = Compact(CompactConfig(**known))
        network.load_state_dict(tensors)
    except (TypeError, KeyError, RuntimeError) as error:
        raise DependencyError(f"does not hold a `compact` network: {str(error).splitlines()[0]}", path=path) from error
    return network.float().eval()
