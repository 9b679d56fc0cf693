"""DDColor (Kang et al., ICCV 2023; code and weights Apache-2.0): a ConvNeXt encoder, a pixel decoder, and a colour decoder.

The colour decoder's 100 learned queries look at the picture and answer with one map each, which are mixed into ab.

Layer names are the published ones; spectral and batch norms are folded when a file is loaded, attention is fused. The original
shows it the picture stretched to 512x512, which is render factor 32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deoldify_video.errors import DependencyError
from deoldify_video.models.deoldify import blur
from deoldify_video.models.folding import FoldedBatchNorm, FoldedConv
from deoldify_video.models.weights import FOLDED_KEY, load_strictly, read_published

QUERIES = 100
CHANNELS = 256  # of the queries and of the maps that they are compared with
HEADS = 8
FEED_FORWARD = 2048
ROUNDS = 9
LEVELS = 3  # of the pixel decoder, which the colour decoder visits in turn
_POSITION_TEMPERATURE = 10000.0
_NORM_EPS = 1e-6  # ConvNeXt's; the colour decoder has torch's default

DEEPEST_NORM = "encoder.arch.norm3.weight"  # tells tiny from large


@dataclass(frozen=True)
class DDColorConfig:
    """The differences of tiny and large: blocks and channels of the encoder's stages. `decoder` is the same for both."""

    blocks: tuple[int, int, int, int]
    channels: tuple[int, int, int, int]
    decoder: tuple[int, int, int] = (512, 512, 256)


CONFIGS = {
    "tiny": DDColorConfig((3, 3, 9, 3), (96, 192, 384, 768)),
    "large": DDColorConfig((3, 3, 27, 3), (192, 384, 768, 1536)),
}


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of features (B, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, h, w) -> the same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, layer normalisation, and a two-layer perceptron on each pixel (Liu et al. 2022)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=_NORM_EPS)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, h, w) -> the same shape."""
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))  # (B, h, w, C)
        y = self.pwconv2(F.gelu(self.pwconv1(y))) * self.gamma
        return x + y.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """The encoder; `norm` is the published classifier's and is loaded but not used."""

    def __init__(self, config: DDColorConfig) -> None:
        super().__init__()
        channels = config.channels
        stem = nn.Sequential(nn.Conv2d(3, channels[0], 4, 4), ChannelNorm(channels[0]))
        downs = [nn.Sequential(ChannelNorm(a), nn.Conv2d(a, b, 2, 2)) for a, b in pairwise(channels)]
        self.downsample_layers = nn.ModuleList([stem, *downs])
        stages = zip(channels, config.blocks, strict=True)
        self.stages = nn.ModuleList([nn.Sequential(*(ConvNeXtBlock(c) for _ in range(count))) for c, count in stages])
        for i, c in enumerate(channels):
            self.add_module(f"norm{i}", ChannelNorm(c))
        self.norm = nn.LayerNorm(channels[3], eps=_NORM_EPS)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The normalised picture (B, 3, H, W) -> normed features at strides 4, 8, 16 and 32."""
        features = []
        for i, (down, stage) in enumerate(zip(self.downsample_layers, self.stages, strict=True)):
            x = stage(down(x))
            features.append(self.get_submodule(f"norm{i}")(x))
        return features


class Shuffle(nn.Module):
    """Raises the resolution `factor` times: 1x1 convolution, ReLU, pixel shuffle, blur."""

    def __init__(self, conv: FoldedConv, factor: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(conv)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, h, w) -> (B, C' / factor^2, factor h, factor w) of the convolution's C' channels."""
        return blur(F.pixel_shuffle(F.relu_(self.conv(x)), self.factor))

    def mixtures(self, x: Tensor, weights: Tensor) -> Tensor:
        """The same, and then mixtures of its channels: `weights` (B, K, C) -> (B, K, factor h, factor w).

        Mixing commutes with shuffling and blurring, so it comes first, and C channels at full size are never made. It is done
        on all places of a shuffled block at once, by a matrix that has the weights on the diagonals of its blocks.
        """
        places = self.factor**2
        diagonal = torch.eye(places, dtype=x.dtype, device=x.device)
        blocks = weights[:, :, None, :, None] * diagonal[:, None, :]  # (B, K, places, C, places)
        matrix = blocks.flatten(3).flatten(1, 2)  # (B, K places, C places)
        features = F.relu_(self.conv(x))  # (B, C places, h, w)
        mixed = features.flatten(2).mT @ matrix.mT  # (B, h w, K places)
        return blur(F.pixel_shuffle(mixed.mT.unflatten(2, features.shape[-2:]), self.factor))


class UpBlock(nn.Module):
    """Doubles the resolution of the lower features and merges the encoder's."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        # The shuffle has as many channels as the block's output, a U-Net convention of fastai's wide variant.
        self.shuf = Shuffle(FoldedConv(inputs, 4 * outputs, norm="spectral", batch_norm="1"), 2)
        self.bn = FoldedBatchNorm(skip)
        self.conv = nn.Sequential(
            FoldedConv(outputs + skip, outputs, 3, norm="spectral"), nn.ReLU(inplace=True), FoldedBatchNorm(outputs)
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Lower features and the encoder's of twice their size -> features of the encoder's size."""
        return self.conv(torch.cat([self.shuf(x), F.relu_(self.bn(skip))], dim=1))


class Attention(nn.Module):
    """`nn.MultiheadAttention` under its published names, batch first, fused."""

    def __init__(self) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.randn(3 * CHANNELS, CHANNELS) * CHANNELS**-0.5)
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * CHANNELS))
        self.out_proj = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Queries (B, Q, C), keys and values (B, N, C) -> (B, Q, C)."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (
            F.linear(x, weight, bias).unflatten(-1, (HEADS, -1)).transpose(1, 2)  # (B, heads, N, C / heads)
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """The queries look at one level of the picture; normalised after."""

    def __init__(self) -> None:
        super().__init__()
        self.multihead_attn = Attention()
        self.norm = nn.LayerNorm(CHANNELS)

    def forward(self, x: Tensor, embed: Tensor, memory: Tensor, position: Tensor) -> Tensor:
        """Queries (B, Q, C), their embedding (Q, C), the level (B, N, C) and its positions (N, C) -> (B, Q, C)."""
        return self.norm(x + self.multihead_attn(x + embed, memory + position, memory))


class SelfAttention(nn.Module):
    """The queries look at each other; normalised after."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = Attention()
        self.norm = nn.LayerNorm(CHANNELS)

    def forward(self, x: Tensor, embed: Tensor) -> Tensor:
        """Queries (B, Q, C) and their embedding (Q, C) -> (B, Q, C)."""
        return self.norm(x + self.self_attn(x + embed, x + embed, x))


class FeedForward(nn.Module):
    """A two-layer perceptron on each query; normalised after."""

    def __init__(self) -> None:
        super().__init__()
        self.linear1 = nn.Linear(CHANNELS, FEED_FORWARD)
        self.linear2 = nn.Linear(FEED_FORWARD, CHANNELS)
        self.norm = nn.LayerNorm(CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """Queries (B, Q, C) -> the same shape."""
        return self.norm(x + self.linear2(F.relu_(self.linear1(x))))


class Perceptron(nn.Module):
    """Three linear layers with ReLU between."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(CHANNELS, CHANNELS) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        """Queries (B, Q, C) -> the same shape."""
        first, second, third = self.layers
        return third(F.relu_(second(F.relu_(first(x)))))


class ColorDecoder(nn.Module):
    """Learned queries that attend to the pixel decoder's levels in turn; their answer is compared with every pixel."""

    def __init__(self, config: DDColorConfig) -> None:
        super().__init__()
        self.query_feat = nn.Embedding(QUERIES, CHANNELS)
        self.query_embed = nn.Embedding(QUERIES, CHANNELS)
        self.level_embed = nn.Embedding(LEVELS, CHANNELS)
        self.input_proj = nn.ModuleList([nn.Conv2d(channels, CHANNELS, 1) for channels in config.decoder])
        self.transformer_cross_attention_layers = nn.ModuleList([CrossAttention() for _ in range(ROUNDS)])
        self.transformer_self_attention_layers = nn.ModuleList([SelfAttention() for _ in range(ROUNDS)])
        self.transformer_ffn_layers = nn.ModuleList([FeedForward() for _ in range(ROUNDS)])
        self.decoder_norm = nn.LayerNorm(CHANNELS)
        self.color_embed = Perceptron()

    def forward(self, levels: list[Tensor]) -> Tensor:
        """The pixel decoder's three levels (B, C_i, h_i, w_i) -> one vector a query, (B, Q, C)."""
        memories, positions = [], []
        for i, (level, project) in enumerate(zip(levels, self.input_proj, strict=True)):
            tokens = project(level).flatten(2).transpose(1, 2)  # (B, N, C)
            memories.append(tokens + self.level_embed.weight[i])
            positions.append(sine_positions(level))
        embed = self.query_embed.weight
        x = self.query_feat.weight.expand(len(levels[0]), -1, -1)  # (B, Q, C)
        rounds = zip(
            self.transformer_cross_attention_layers,
            self.transformer_self_attention_layers,
            self.transformer_ffn_layers,
            strict=True,
        )
        for i, (cross, own, feed) in enumerate(rounds):
            x = cross(x, embed, memories[i % LEVELS], positions[i % LEVELS])
            x = feed(own(x, embed))
        return self.color_embed(self.decoder_norm(x))


def sine_positions(like: Tensor) -> Tensor:
    """Position embedding of DETR (Carion et al. 2020), normalised, for features (B, C, h, w): (h w, CHANNELS), y first."""
    height, width = like.shape[-2:]
    count = CHANNELS // 2
    frequency = torch.arange(count, device=like.device, dtype=torch.float32)
    period = _POSITION_TEMPERATURE ** (2 * torch.div(frequency, 2, rounding_mode="floor") / count)

    def embed(size: int) -> Tensor:
        place = torch.arange(1, size + 1, device=like.device, dtype=torch.float32) / (size + _NORM_EPS) * (2 * math.pi)
        angle = place[:, None] / period  # (size, count)
        return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=2).flatten(1)

    y = embed(height)[:, None].expand(-1, width, -1)
    x = embed(width)[None].expand(height, -1, -1)
    return torch.cat([y, x], dim=2).flatten(0, 1).to(like.dtype)


class Decoder(nn.Module):
    """Pixel decoder and colour decoder: features -> one map a query, at full size, of which only mixtures are wanted."""

    def __init__(self, config: DDColorConfig) -> None:
        super().__init__()
        skips = config.channels[2::-1]
        inputs = (config.channels[3], *config.decoder[:2])
        blocks = zip(inputs, skips, config.decoder, strict=True)
        self.layers = nn.ModuleList([UpBlock(a, skip, b) for a, skip, b in blocks])
        self.last_shuf = Shuffle(FoldedConv(config.decoder[2], 16 * CHANNELS, bias=True, norm="spectral"), 4)
        self.color_decoder = ColorDecoder(config)

    def forward(self, features: list[Tensor], head: Tensor) -> Tensor:
        """Features at strides 4 to 32 and the weights of the mixtures (K, Q) -> mixtures of the maps (B, K, H, W)."""
        x = features[3]
        levels = []
        for layer, skip in zip(self.layers, features[2::-1], strict=True):
            x = layer(x, skip)
            levels.append(x)
        return self.last_shuf.mixtures(x, head @ self.color_decoder(levels))


class DDColor(nn.Module):
    """RGB of the grey picture (B, 3, H, W) in [0, 1], H and W multiples of 32 -> ab (B, 2, H, W) in Lab units."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: DDColorConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))
        self.encoder = nn.ModuleDict({"arch": ConvNeXt(config)})
        self.decoder = Decoder(config)
        self.refine_net = nn.Sequential(nn.Sequential(FoldedConv(QUERIES + 3, 2, bias=True, norm="spectral")))

    @property
    def head(self) -> FoldedConv:
        """The last convolution, under its published place."""
        return cast(FoldedConv, self.refine_net.get_submodule("0.0"))

    def prepare(self, gray: Tensor) -> Tensor:
        """sRGB-encoded grey (B, 1, H, W) in [0, 1] -> the same as RGB, (B, 3, H, W)."""
        return gray.expand(-1, 3, -1, -1)

    def forward(self, x: Tensor) -> Tensor:
        """The forward pass of the original, its last layers in another order."""
        x = (x - self.mean) / self.std
        weight = self.head.weight  # (2, Q + 3, 1, 1), of a 1x1 convolution over the maps and the picture
        mixed = self.decoder(self.encoder["arch"](x), weight[:, :QUERIES, 0, 0])  # (B, 2, H, W)
        return mixed + F.conv2d(x, weight[:, QUERIES:], self.head.bias)

    def to_ab(self, raw: Tensor, temperature: float = 1.0) -> Tensor:
        """The raw answer is ab already; float32. `temperature` has no say."""
        del temperature
        return raw.float()


def load_ddcolor(path: Path | str) -> DDColor:
    """Load a published file (`.bin`, `.pth`, `.safetensors`; tiny or large) or an imported one: float32, CPU, eval mode.

    Tensors that inference does not use are dropped, with a line in the log. Raises `DependencyError` when the file is missing,
    damaged, no weights file, or of another network.
    """
    path = Path(path)
    tensors, metadata = read_published(path)
    norm = tensors.get(DEEPEST_NORM)
    config = next((config for config in CONFIGS.values() if norm is not None and norm.shape == (config.channels[3],)), None)
    if config is None:
        raise DependencyError("holds no DDColor network", path=path, remedy="known are tiny and large")
    with torch.device("meta"):
        network = DDColor(config)
    return load_strictly(network, tensors, path, folded=FOLDED_KEY in metadata, extras=True)
