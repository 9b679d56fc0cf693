"""DeOldify's two generators (Jason Antic, MIT): U-Nets on a ResNet, without fastai.

`wide` (ColorizeVideo, ColorizeStable) stands on ResNet-101, `deep` (ColorizeArtistic) on ResNet-34. Layer names are the
published ones, `layers.N`; spectral, weight and batch norms are folded when a file is loaded, attention is fused.

The networks see a square of 16 x render_factor pixels with ImageNet's normalisation and answer with an RGB picture in that
normalisation, of which only the colour is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deoldify_video.color.lab import rgb_to_lab
from deoldify_video.errors import DependencyError
from deoldify_video.models.folding import FoldedBatchNorm, FoldedConv, FoldedPointwise
from deoldify_video.models.weights import FOLDED_KEY, load_strictly, read_published

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
OUTPUT_RANGE = 3.0  # the network answers in -3..3, ImageNet-normalised

OUTPUT_BIAS = "layers.11.0.bias"  # every file of this family has these two, published or imported
OUTPUT_WEIGHTS = ("layers.11.0.weight_orig", "layers.11.0.weight")


@dataclass(frozen=True)
class GeneratorConfig:
    """The differences of the two generators; tuples run from the deepest U-Net block to the finest."""

    bottleneck: bool  # ResNet's block of three convolutions instead of two
    blocks: tuple[int, int, int, int]  # of the ResNet's stages
    up: tuple[int, int, int, int]  # channels after each block's shuffle
    out: tuple[int, int, int, int]  # channels after each block's convolutions
    double: bool  # two convolutions a block, `conv1` and `conv2`, instead of one, `conv`
    stem: int = 64  # channels of the ResNet's first layer, from which those of its stages follow

    @property
    def stages(self) -> tuple[int, int, int, int]:
        """Channels of the ResNet's stages."""
        first = self.stem * 4 if self.bottleneck else self.stem
        return first, 2 * first, 4 * first, 8 * first


CONFIGS = {
    "wide": GeneratorConfig(True, (3, 4, 23, 3), (512, 512, 512, 256), (512, 512, 512, 256), double=False),
    "deep": GeneratorConfig(False, (3, 4, 6, 3), (256, 384, 384, 336), (768, 768, 672, 300), double=True),
}
_ALIGNMENT = 8  # channels: tensor cores and vector units want multiples of it, and the last layers have 259 or 303
_SELF_ATTENTION_BLOCK = 1  # counted from the deepest


class ResidualBlock(nn.Module):
    """ResNet's block (He et al. 2016), the basic one or, with `bottleneck`, the one of three convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        if bottleneck:
            width = outputs // 4
            self.conv1 = FoldedConv(inputs, width, batch_norm="bn1")
            self.conv2 = FoldedConv(width, width, 3, stride=stride, batch_norm="bn2")
            self.conv3: nn.Module | None = FoldedConv(width, outputs, batch_norm="bn3")
        else:
            self.conv1 = FoldedConv(inputs, outputs, 3, stride=stride, batch_norm="bn1")
            self.conv2 = FoldedConv(outputs, outputs, 3, batch_norm="bn2")
            self.conv3 = None
        changes = stride != 1 or inputs != outputs
        self.downsample = nn.Sequential(FoldedConv(inputs, outputs, stride=stride, batch_norm="1")) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, in, h, w) -> (B, out, h / stride, w / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.conv2(F.relu_(self.conv1(x)))
        if self.conv3 is not None:
            x = self.conv3(F.relu_(x))
        return F.relu_(x.add_(shortcut))


class Encoder(nn.Sequential):
    """ResNet without its pool and head, children named as torchvision's are numbered: 0 (with 1 folded in), 4 to 7."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.add_module("0", FoldedConv(3, config.stem, 7, stride=2, batch_norm="1"))
        inputs = config.stem
        for stage, (outputs, count) in enumerate(zip(config.stages, config.blocks, strict=True)):
            strides = [2 if stage else 1] + [1] * (count - 1)
            blocks = [
                ResidualBlock(outputs if i else inputs, outputs, stride, bottleneck=config.bottleneck)
                for i, stride in enumerate(strides)
            ]
            self.add_module(str(4 + stage), nn.Sequential(*blocks))
            inputs = outputs

    def features(self, x: Tensor) -> list[Tensor]:
        """Features at strides 2, 4, 8, 16 and 32."""
        stem, *stages = self
        x = F.relu_(stem(x))
        features = [x]
        x = F.max_pool2d(x, 3, 2, 1)
        for stage in stages:
            x = stage(x)
            features.append(x)
        return features


class SelfAttention(nn.Module):
    """SAGAN's self-attention (Zhang et al. 2019); the original normalises over the tokens that `query` gives."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = FoldedPointwise(channels, channels // 8)
        self.key = FoldedPointwise(channels, channels // 8)
        self.value = FoldedPointwise(channels, channels)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, h, w) -> the same, each pixel with what it attends to."""
        tokens = x.flatten(2).transpose(1, 2)  # (B, N, C)
        seen = F.scaled_dot_product_attention(self.key(tokens), self.query(tokens), self.value(tokens), scale=1.0)
        return torch.addcmul(x, seen.transpose(1, 2).reshape_as(x), self.gamma)


class ConvBlock(nn.Sequential):
    """Convolution without bias, ReLU, batch normalisation and, where asked for, self-attention: `.0`, `.2`, `.3`."""

    def __init__(self, inputs: int, outputs: int, *, attention: bool = False) -> None:
        layers: list[nn.Module] = [
            FoldedConv(inputs, outputs, 3, norm="spectral"),
            nn.ReLU(inplace=True),
            FoldedBatchNorm(outputs),
        ]
        super().__init__(*layers, *([SelfAttention(outputs)] if attention else []))


class Shuffle(nn.Module):
    """Doubles the resolution: 1x1 convolution, ReLU, pixel shuffle, and the blur that takes away its checkerboard."""

    def __init__(self, conv: FoldedConv) -> None:
        super().__init__()
        self.conv = nn.Sequential(conv)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, h, w) -> (B, C' / 4, 2h, 2w) of the convolution's C' channels."""
        return blur(F.pixel_shuffle(F.relu_(self.conv(x)), 2))


def blur(x: Tensor) -> Tensor:
    """Mean of each pixel and its upper and left neighbours, edges repeated (Sugawara et al. 2018)."""
    return F.avg_pool2d(F.pad(x, (1, 0, 1, 0), mode="replicate"), 2, stride=1)


class UpBlock(nn.Module):
    """One U-Net block: doubles the resolution of the lower features and merges the encoder's."""

    def __init__(self, inputs: int, skip: int, up: int, outputs: int, *, double: bool, attention: bool) -> None:
        super().__init__()
        self.shuf = Shuffle(FoldedConv(inputs, 4 * up, norm="spectral", batch_norm="1"))
        self.bn = FoldedBatchNorm(skip)
        if double:
            self.conv1 = ConvBlock(up + skip, outputs)
            self.conv2 = ConvBlock(outputs, outputs, attention=attention)
        else:
            self.conv = ConvBlock(up + skip, outputs, attention=attention)
        self.is_double = double

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Lower features and the encoder's of twice their size -> features of the encoder's size."""
        x = self.shuf(x)
        if x.shape[-2:] != skip.shape[-2:]:  # odd render factors
            x = F.interpolate(x, skip.shape[-2:], mode="nearest")
        x = torch.cat([x, F.relu_(self.bn(skip))], dim=1)  # the shuffle's half is not negative already
        return self.conv2(self.conv1(x)) if self.is_double else self.conv(x)


class MergedResidual(nn.Module):
    """Two 3x3 convolutions with ReLU, plus their input: `layers.0.0`, `layers.1.0`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        convs = [nn.Sequential(FoldedConv(channels, channels, 3, bias=True, norm="spectral")) for _ in range(2)]
        self.layers = nn.ModuleList(convs)

    def forward(self, x: Tensor) -> Tensor:
        """Aligned features (B, C', h, w), zero from C on -> the same."""
        first, second = (cast(FoldedConv, layer.get_submodule("0")) for layer in self.layers)
        return F.relu_(aligned_conv(second, F.relu_(aligned_conv(first, x, x.shape[1])), x.shape[1])).add_(x)


def aligned_conv(conv: FoldedConv, x: Tensor, outputs: int) -> Tensor:
    """`conv` on features (B, C', h, w) that are filled up with zero channels -> (B, `outputs`, h, w), filled up as well.

    Filling the weights up costs a copy of them; it is won back many times, because the convolutions at full size are most of the
    network's work.
    """
    missing_in, missing_out = x.shape[1] - conv.in_channels, outputs - conv.out_channels
    weight = F.pad(conv.weight, (0, 0, 0, 0, 0, missing_in, 0, missing_out))
    bias = None if conv.bias is None else F.pad(conv.bias, (0, missing_out))
    return F.conv2d(x, weight, bias, padding=conv.padding)


class Generator(nn.Module):
    """The normalised picture (B, 3, S, S) -> the normalised colour picture (B, 3, S, S); S a multiple of 16."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        deepest = config.stages[3]
        skips = (config.stages[2], config.stages[1], config.stages[0], config.stem)
        middle = nn.Sequential(ConvBlock(deepest, 2 * deepest), ConvBlock(2 * deepest, deepest))
        ups, inputs = [], deepest
        for i, (skip, up, out) in enumerate(zip(skips, config.up, config.out, strict=True)):
            ups.append(UpBlock(inputs, skip, up, out, double=config.double, attention=i == _SELF_ATTENTION_BLOCK))
            inputs = out
        last = Shuffle(FoldedConv(inputs, 4 * inputs, bias=True, norm="weight"))
        merged = inputs + 3
        head = nn.Sequential(FoldedConv(merged, 3, bias=True, norm="spectral"))
        # identities stand at the places of the original's ReLU and merge, so that the numbers are the published ones
        self.layers = nn.ModuleList(
            [
                Encoder(config),
                FoldedBatchNorm(deepest),
                nn.Identity(),
                middle,
                *ups,
                last,
                nn.Identity(),
                MergedResidual(merged),
                head,
            ]
        )

    def prepare(self, gray: Tensor) -> Tensor:
        """sRGB-encoded grey (B, 1, S, S) in [0, 1] -> the normalised picture (B, 3, S, S)."""
        return (gray - _channels(IMAGENET_MEAN, gray)) / _channels(IMAGENET_STD, gray)

    def forward(self, x: Tensor) -> Tensor:
        """The forward pass of the original."""
        _, norm, _, middle, up1, up2, up3, up4, last, _, residual, head = self.layers
        picture = x
        stem, *stages = cast(Encoder, self.layers[0]).features(x)
        x = middle(F.relu_(norm(stages[3])))
        for up, skip in zip((up1, up2, up3, up4), (stages[2], stages[1], stages[0], stem), strict=True):
            x = up(x, skip)
        x = last(x)
        filling = picture.new_zeros(len(x), -(x.shape[1] + 3) % _ALIGNMENT, *x.shape[2:])
        x = residual(torch.cat([x, picture, filling], dim=1))  # (B, C + 3 and filling, S, S)
        x = aligned_conv(cast(FoldedConv, head.get_submodule("0")), x, 3)
        return torch.sigmoid(x) * (2 * OUTPUT_RANGE) - OUTPUT_RANGE

    def to_rgb(self, raw: Tensor) -> Tensor:
        """The raw answer (B, 3, S, S) -> its picture, (B, 3, S, S) float32 in [0, 1]."""
        raw = raw.float()
        return (raw * _channels(IMAGENET_STD, raw) + _channels(IMAGENET_MEAN, raw)).clamp(0.0, 1.0)

    def to_ab(self, raw: Tensor, temperature: float = 1.0) -> Tensor:
        """The raw answer (B, 3, S, S) -> ab (B, 2, S, S) float32 in Lab units; `temperature` has no say."""
        del temperature
        return rgb_to_lab(self.to_rgb(raw))[:, 1:]


def _channels(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, 3, 1, 1)


def load_generator(path: Path | str) -> Generator:
    """Load a published generator (`.pth`, old or new container) or an imported one: float32, on the CPU, in eval mode.

    Raises `DependencyError` when the file is missing, damaged, no weights file, or of another network.
    """
    path = Path(path)
    tensors, metadata = read_published(path)
    weight = next((tensors[key] for key in OUTPUT_WEIGHTS if key in tensors), None)
    widths = {config.out[3] + 3: config for config in CONFIGS.values()}
    if weight is None or OUTPUT_BIAS not in tensors or weight.dim() != 4 or weight.shape[1] not in widths:
        raise DependencyError(
            "holds no DeOldify generator", path=path, remedy="known are ColorizeVideo, ColorizeStable and ColorizeArtistic"
        )
    with torch.device("meta"):
        network = Generator(widths[weight.shape[1]])
    return load_strictly(network, tensors, path, folded=FOLDED_KEY in metadata)
