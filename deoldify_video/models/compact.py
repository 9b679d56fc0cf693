"""The default network, `compact`: a residual U-Net that sees L and answers with a distribution over ab colours.

For each 4x4 block of pixels it gives the probabilities of a fixed palette of ab colours (Zhang et al. 2016, "Colorful Image
Colorization"); their annealed mean is the colour. A distribution instead of a single answer is what keeps `--style` real:
a low temperature picks the likeliest colour, a high one the cautious average.

The encoder is a ResNet-18 (He et al. 2016) on space-to-depth input; its pooled features feed a classifier during training and
are added back to the decoder, so that the meaning of the whole picture reaches every pixel (Iizuka et al. 2016). Only plain
3x3 convolutions, nothing wide at full resolution: this is what CPUs are fast at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from deoldify_video.color.lab import gray_to_lightness as grey_to_lightness
from deoldify_video.color.lab import rgb_to_lab
from deoldify_video.errors import DependencyError
from deoldify_video.models.weights import CONFIG_KEY, read_weights

PALETTE_STEP = 12.0  # distance of neighbouring palette colours in ab
OUTPUT_STRIDE = 4  # the palette distribution is given per 4x4 pixels


@dataclass(frozen=True)
class CompactConfig:
    """Widths of the network. `classes` is the size of the training-time classifier (0: none)."""

    stem: int = 48
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    decoder: tuple[int, int, int] = (256, 128, 96)
    classes: int = 200


def gamut_palette(step: float = PALETTE_STEP) -> Tensor:
    """The grid points of the ab plane, `step` apart, that bracket at least one sRGB colour: (K, 2) float32, sorted by a, then b."""
    ramp = torch.linspace(0.0, 1.0, 33)
    rgb = torch.stack(torch.meshgrid(ramp, ramp, ramp, indexing="ij")).reshape(1, 3, -1, 1)
    ab = rgb_to_lab(rgb)[0, 1:, :, 0].T / step  # (33^3, 2)
    low = torch.floor(ab)
    corners = [low + torch.tensor(corner) for corner in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))]
    return torch.unique(torch.cat(corners), dim=0) * step  # (K, 2)


class ConvNorm(nn.Sequential):
    """3x3 (or 1x1) convolution, batch normalisation and, unless told otherwise, ReLU."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, relu: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        if relu:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class ResidualBlock(nn.Module):
    """The basic block of ResNet-18: two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs, stride=stride)
        self.conv2 = ConvNorm(outputs, outputs, relu=False)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else ConvNorm(inputs, outputs, kernel=1, stride=stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h / stride, w / stride)."""
        return F.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


class UpBlock(nn.Module):
    """Doubles the resolution of `x` and merges the encoder's features of that resolution."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.reduce = ConvNorm(inputs, outputs, kernel=1)
        self.merge = ConvNorm(outputs + skip, outputs)
        self.refine = ConvNorm(outputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(B, inputs, h, w) and (B, skip, 2h, 2w) -> (B, outputs, 2h, 2w)."""
        x = F.interpolate(self.reduce(x), scale_factor=2.0, mode="nearest")
        return self.refine(self.merge(torch.cat([x, skip], dim=1)))


class Compact(nn.Module):
    """L (B, 1, H, W) normalised to about -1..1, H and W multiples of 32 -> palette logits (B, K, H/4, W/4)."""

    stride = 32

    def __init__(self, config: CompactConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CompactConfig()
        w, d = config.widths, config.decoder
        self.palette: Tensor
        self.register_buffer("palette", gamut_palette())
        self.stem = ConvNorm(4, config.stem)
        self.stages = nn.ModuleList()
        inputs = config.stem
        for width, count in zip(w, config.blocks, strict=True):
            blocks = [ResidualBlock(inputs, width, 2), *(ResidualBlock(width, width) for _ in range(count - 1))]
            self.stages.append(nn.Sequential(*blocks))
            inputs = width
        self.meaning = nn.Sequential(nn.Linear(w[3], w[3]), nn.ReLU(inplace=True))
        self.inject = nn.Linear(w[3], w[3])
        self.classifier = nn.Linear(w[3], config.classes) if config.classes else None
        self.ups = nn.ModuleList([UpBlock(w[3], w[2], d[0]), UpBlock(d[0], w[1], d[1]), UpBlock(d[1], w[0], d[2])])
        self.head = nn.Conv2d(d[2], self.palette.shape[0], 1)

    def prepare(self, grey: Tensor) -> Tensor:
        """sRGB-encoded grey (B, 1, H, W) in [0, 1] -> the network's input, (B, 1, H, W)."""
        return grey_to_lightness(grey) / 50.0 - 1.0

    def forward(self, x: Tensor) -> Tensor:
        """Prepared L (B, 1, H, W) -> palette logits (B, K, H/4, W/4)."""
        return self.forward_with_meaning(x)[0]

    def forward_with_meaning(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Palette logits (B, K, H/4, W/4) and the pooled features (B, 512) that the training's classifier reads."""
        x = self.stem(F.pixel_unshuffle(x, 2))  # (B, 48, H/2, W/2)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)  # strides 4, 8, 16, 32
        meaning = self.meaning(x.mean(dim=(2, 3)))  # (B, 512)
        x = x + self.inject(meaning)[:, :, None, None]
        for up, skip in zip(self.ups, features[2::-1], strict=True):
            x = up(x, skip)
        return self.head(x), meaning

    def fold_norms(self) -> Compact:
        """Fold every batch normalisation into the convolution before it: the same function, faster. For inference only."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                conv, norm = module[0], module[1]
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[0], module[1] = fuse_conv_bn_eval(conv.eval(), norm.eval()), nn.Identity()
        return self

    def to_ab(self, logits: Tensor, temperature: float = 1.0) -> Tensor:
        """Annealed mean (Zhang et al. 2016, eq. 5): logits (B, K, h, w) -> ab (B, 2, h, w) float32 in Lab units.

        `temperature` 1 gives the mean of the distribution, towards 0 its mode.
        """
        rows = logits.permute(0, 2, 3, 1)  # (B, h, w, K): contiguous when the logits are channels_last
        weights = torch.softmax(rows / temperature, dim=-1, dtype=torch.float32)
        return (weights @ self.palette.float()).permute(0, 3, 1, 2)  # (B, 2, h, w)


def load_compact(path: Path) -> Compact:
    """Load a weights file written by `models export` float32, on the CPU, in eval mode. Strict about names and shapes.

    Raises `DependencyError` when the file is missing, damaged or of another network.
    """
    tensors, metadata = read_weights(path)
    known: dict[str, Any] = {
        field: tuple(value) if isinstance(value, list) else value for field, value in metadata.get(CONFIG_KEY, {}).items()
    }
    try:
        network = Compact(CompactConfig(**known))
        network.load_state_dict(tensors)
    except (TypeError, RuntimeError) as error:
        raise DependencyError(f"does not hold a `compact` network: {str(error).splitlines()[0]}", path=path) from error
    return network.float().eval()
