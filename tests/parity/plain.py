"""The published networks once more, written down plainly from their papers and published names: nothing folded, fused or reordered.

Each function takes the published tensors by name and gives what the original gives. They are slow, and only for comparison.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deoldify_video.models.folding import FoldedBatchNorm, FoldedConv, FoldedPointwise

Tensors = dict[str, Tensor]


def make_published(network: nn.Module) -> Tensors:
    """Tensors as the authors of `network` would publish them, every norm apart: made up, seeded by their names."""
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    for name, layer in network.named_modules():
        if isinstance(layer, FoldedConv | FoldedPointwise | FoldedBatchNorm) and (published := layer.published_shapes(name)):
            for key in layer.state_dict():
                del shapes[f"{name}.{key}"]
            shapes |= published
    kept = {key: value for key, value in network.named_buffers() if key in shapes}
    made = {key: kept[key] if key in kept else _made_up(key, shape) for key, shape in shapes.items()}
    for key in [key for key in made if key.endswith(".weight_orig")]:  # u is such that the spectral norm is `norm`
        name, weight = key.removesuffix("_orig"), made[key]
        norm = 0.5 + 1.5 * float(_random(key, ()).uniform())
        image = weight.flatten(1) @ made[f"{name}_v"]
        made[key], made[f"{name}_u"] = norm * weight, image / image.square().sum()
    return made


def _random(key: str, shape: tuple[int, ...]) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(f"{key}{shape}".encode()))


def _made_up(key: str, shape: tuple[int, ...]) -> Tensor:
    rng = _random(key, shape)
    kind = key.rpartition(".")[2]
    values: Any
    if kind in ("running_var", "weight_g", "gamma") or (kind == "weight" and len(shape) == 1):
        values = rng.uniform(0.5, 1.5, shape)  # scales
    elif kind in ("bias", "running_mean"):
        values = rng.normal(0, 0.1, shape)
    elif kind == "weight_v" and len(shape) == 1:
        values = rng.normal(0, shape[0] ** -0.5, shape)
    else:
        values = rng.normal(0, math.sqrt(2 / max(1, math.prod(shape[1:]))), shape)
    return torch.from_numpy(np.asarray(values, np.float32))


class Layers:
    """The layers of a network by their published names."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors

    def __contains__(self, name: str) -> bool:
        return any(key.startswith(f"{name}.") for key in self.tensors)

    def numbered(self, name: str) -> Iterator[str]:
        """`name.0`, `name.1`, ... as far as they go."""
        for number in count():
            if f"{name}.{number}" not in self:
                return
            yield f"{name}.{number}"

    def weight(self, name: str) -> Tensor:
        """A weight with its own norm, spectral or weight norm, where it has one."""
        t = self.tensors
        if f"{name}.weight_orig" in t:
            weight = t[f"{name}.weight_orig"]
            return weight / (t[f"{name}.weight_u"] @ weight.flatten(1) @ t[f"{name}.weight_v"])
        if f"{name}.weight_g" in t:
            direction = t[f"{name}.weight_v"]
            return t[f"{name}.weight_g"] * direction / direction.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
        return t[f"{name}.weight"]

    def conv(self, x: Tensor, name: str, **options: Any) -> Tensor:
        return F.conv2d(x, self.weight(name), self.tensors.get(f"{name}.bias"), **options)

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    def batch_norm(self, x: Tensor, name: str) -> Tensor:
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.tensors[f"{name}.{part}"] for part in names))

    def layer_norm(self, x: Tensor, name: str, eps: float = 1e-5) -> Tensor:
        weight = self.tensors[f"{name}.weight"]
        return F.layer_norm(x, weight.shape, weight, self.tensors[f"{name}.bias"], eps)

    def channel_norm(self, x: Tensor, name: str) -> Tensor:
        return self.layer_norm(x.permute(0, 2, 3, 1), name, 1e-6).permute(0, 3, 1, 2)


def _shuffled(x: Tensor, factor: int) -> Tensor:
    """fastai's pixel shuffle with its blur."""
    return F.avg_pool2d(F.pad(F.pixel_shuffle(x, factor), (1, 0, 1, 0), mode="replicate"), 2, stride=1)


def deoldify(tensors: Tensors, x: Tensor) -> Tensor:
    """The normalised picture (B, 3, S, S) -> the normalised colour picture, by fastai's U-Nets."""
    layers, picture = Layers(tensors), x

    def residual(x: Tensor, name: str, stride: int) -> Tensor:
        shortcut = x
        if f"{name}.downsample" in layers:
            shortcut = layers.batch_norm(layers.conv(x, f"{name}.downsample.0", stride=stride), f"{name}.downsample.1")
        bottleneck = f"{name}.conv3" in layers
        first = {} if bottleneck else {"stride": stride, "padding": 1}
        second = {"stride": stride if bottleneck else 1, "padding": 1}
        y = F.relu(layers.batch_norm(layers.conv(x, f"{name}.conv1", **first), f"{name}.bn1"))
        y = layers.batch_norm(layers.conv(y, f"{name}.conv2", **second), f"{name}.bn2")
        if bottleneck:
            y = layers.batch_norm(layers.conv(F.relu(y), f"{name}.conv3"), f"{name}.bn3")
        return F.relu(shortcut + y)

    def block(x: Tensor, name: str) -> Tensor:
        x = layers.batch_norm(F.relu(layers.conv(x, f"{name}.0", padding=1)), f"{name}.2")
        return attention(x, f"{name}.3") if f"{name}.3" in layers else x

    def attention(x: Tensor, name: str) -> Tensor:
        flat = x.flatten(2)  # (B, C, N)
        f, g, h = (F.conv1d(flat, layers.weight(f"{name}.{part}")) for part in ("query", "key", "value"))
        beta = torch.softmax(torch.bmm(f.transpose(1, 2), g), dim=1)
        return (tensors[f"{name}.gamma"] * torch.bmm(h, beta) + flat).view_as(x)

    x = F.relu(layers.batch_norm(layers.conv(x, "layers.0.0", stride=2, padding=3), "layers.0.1"))
    skips = [x]
    x = F.max_pool2d(x, 3, 2, 1)
    for stage in range(4, 8):
        for number, name in enumerate(layers.numbered(f"layers.0.{stage}")):
            x = residual(x, name, 2 if stage > 4 and number == 0 else 1)
        skips.append(x)
    x = block(block(F.relu(layers.batch_norm(x, "layers.1")), "layers.3.0"), "layers.3.1")
    for number, skip in zip(range(4, 8), skips[3::-1], strict=True):
        name = f"layers.{number}"
        x = layers.batch_norm(layers.conv(x, f"{name}.shuf.conv.0"), f"{name}.shuf.conv.1")
        x = _shuffled(F.relu(x), 2)
        if x.shape[2:] != skip.shape[2:]:
            x = F.interpolate(x, skip.shape[2:], mode="nearest")
        x = F.relu(torch.cat([x, layers.batch_norm(skip, f"{name}.bn")], dim=1))
        for part in ("conv", "conv1", "conv2"):
            x = block(x, f"{name}.{part}") if f"{name}.{part}" in layers else x
    x = torch.cat([_shuffled(F.relu(layers.conv(x, "layers.8.conv.0")), 2), picture], dim=1)
    y = F.relu(layers.conv(x, "layers.10.layers.0.0", padding=1))
    x = x + F.relu(layers.conv(y, "layers.10.layers.1.0", padding=1))
    return torch.sigmoid(layers.conv(x, "layers.11.0")) * 6 - 3


def _zhang_block(layers: Layers, x: Tensor, name: str, *, stride: int = 1, dilation: int = 1) -> Tensor:
    """Convolutions with ReLU, the last with `stride`, and a batch normalisation behind them."""
    numbers = [n for n in range(0, 10, 2) if f"{name}.{n}" in layers and f"{name}.{n}.running_mean" not in layers.tensors]
    for n in numbers:
        step = stride if n == numbers[-1] else 1
        x = F.relu(layers.conv(x, f"{name}.{n}", stride=step, dilation=dilation, padding=dilation))
    return layers.batch_norm(x, f"{name}.{numbers[-1] + 2}")


def _zhang_up(layers: Layers, x: Tensor, name: str) -> Tensor:
    t = layers.tensors
    return F.conv_transpose2d(x, t[f"{name}.weight"], t[f"{name}.bias"], stride=2, padding=1)


def eccv16(tensors: Tensors, lightness: Tensor) -> Tensor:
    """L (B, 1, H, W) -> ab (B, 2, H, W): Zhang et al. 2016."""
    layers, x = Layers(tensors), (lightness - 50) / 100
    for number in range(1, 8):
        stride, dilation = 2 if number < 4 else 1, 2 if number in (5, 6) else 1
        x = _zhang_block(layers, x, f"model{number}", stride=stride, dilation=dilation)
    x = F.relu(_zhang_up(layers, x, "model8.0"))
    for number in (2, 4):
        x = F.relu(layers.conv(x, f"model8.{number}", padding=1))
    odds = torch.softmax(layers.conv(x, "model8.6"), dim=1)
    return 110 * F.interpolate(layers.conv(odds, "model_out"), scale_factor=4, mode="bilinear", align_corners=False)


def siggraph17(tensors: Tensors, lightness: Tensor, hint_ab: Tensor, hint_mask: Tensor) -> Tensor:
    """L (B, 1, H, W) with hints (B, 2, H, W) where their mask (B, 1, H, W) is 1 -> ab (B, 2, H, W): Zhang et al. 2017."""
    layers = Layers(tensors)
    one = _zhang_block(layers, torch.cat([(lightness - 50) / 100, hint_ab / 110, hint_mask], dim=1), "model1")
    two = _zhang_block(layers, one[:, :, ::2, ::2], "model2")
    three = _zhang_block(layers, two[:, :, ::2, ::2], "model3")
    x = three[:, :, ::2, ::2]
    for number in range(4, 8):
        x = _zhang_block(layers, x, f"model{number}", dilation=2 if number in (5, 6) else 1)
    x = F.relu(_zhang_up(layers, x, "model8up.0") + layers.conv(three, "model3short8.0", padding=1))
    x = F.relu(layers.conv(F.relu(layers.conv(x, "model8.1", padding=1)), "model8.3", padding=1))
    x = layers.batch_norm(x, "model8.5")
    x = F.relu(_zhang_up(layers, x, "model9up.0") + layers.conv(two, "model2short9.0", padding=1))
    x = layers.batch_norm(F.relu(layers.conv(x, "model9.1", padding=1)), "model9.3")
    x = F.relu(_zhang_up(layers, x, "model10up.0") + layers.conv(one, "model1short10.0", padding=1))
    x = F.leaky_relu(layers.conv(x, "model10.1", padding=1), 0.2)
    return 110 * torch.tanh(layers.conv(x, "model_out.0"))


def _detr_positions(height: int, width: int, channels: int) -> Tensor:
    """DETR's sine embedding, normalised: (h w, channels)."""
    ones = torch.ones(height, width)
    y, x = (ones.cumsum(dim) / (ones.cumsum(dim).amax() + 1e-6) * 2 * math.pi for dim in (0, 1))
    period = torch.tensor([10000 ** (2 * (i // 2) / (channels // 2)) for i in range(channels // 2)])
    halves = []
    for angle in (y[..., None] / period, x[..., None] / period):
        waves = torch.empty_like(angle)
        waves[..., 0::2], waves[..., 1::2] = angle[..., 0::2].sin(), angle[..., 1::2].cos()
        halves.append(waves)
    return torch.cat(halves, dim=2).flatten(0, 1)


def ddcolor(tensors: Tensors, x: Tensor) -> Tensor:
    """RGB of the grey picture (B, 3, H, W) in [0, 1] -> ab (B, 2, H, W): Kang et al. 2023."""
    layers = Layers(tensors)
    picture = x = (x - tensors["mean"]) / tensors["std"]
    skips = []
    for stage in range(4):
        down = f"encoder.arch.downsample_layers.{stage}"
        if stage == 0:
            x = layers.channel_norm(layers.conv(x, f"{down}.0", stride=4), f"{down}.1")
        else:
            x = layers.conv(layers.channel_norm(x, f"{down}.0"), f"{down}.1", stride=2)
        for name in layers.numbered(f"encoder.arch.stages.{stage}"):
            y = layers.conv(x, f"{name}.dwconv", padding=3, groups=x.shape[1]).permute(0, 2, 3, 1)
            y = layers.linear(layers.layer_norm(y, f"{name}.norm", 1e-6), f"{name}.pwconv1")
            y = tensors[f"{name}.gamma"] * layers.linear(F.gelu(y), f"{name}.pwconv2")
            x = x + y.permute(0, 3, 1, 2)
        skips.append(layers.channel_norm(x, f"encoder.arch.norm{stage}"))
    x, levels = skips.pop(), []
    for name in layers.numbered("decoder.layers"):
        x = layers.batch_norm(layers.conv(x, f"{name}.shuf.conv.0"), f"{name}.shuf.conv.1")
        x = torch.cat([_shuffled(F.relu(x), 2), layers.batch_norm(skips.pop(), f"{name}.bn")], dim=1)
        x = layers.batch_norm(F.relu(layers.conv(F.relu(x), f"{name}.conv.0", padding=1)), f"{name}.conv.2")
        levels.append(x)
    features = _shuffled(F.relu(layers.conv(x, "decoder.last_shuf.conv.0")), 4)
    maps = torch.einsum("bqc,bchw->bqhw", _queries(layers, levels), features)
    return layers.conv(torch.cat([maps, picture], dim=1), "refine_net.0.0")


def _queries(layers: Layers, levels: list[Tensor]) -> Tensor:
    """DDColor's colour queries (B, Q, C) after they have looked at the levels in turn."""
    t, name = layers.tensors, "decoder.color_decoder"
    embed = t[f"{name}.query_embed.weight"][:, None]  # (Q, 1, C), as torch's own attention has it
    x = t[f"{name}.query_feat.weight"][:, None].expand(-1, len(levels[0]), -1)
    channels = x.shape[2]
    memories, positions = [], []
    for number, level in enumerate(levels):
        tokens = layers.conv(level, f"{name}.input_proj.{number}").flatten(2).permute(2, 0, 1)  # (N, B, C)
        memories.append(tokens + t[f"{name}.level_embed.weight"][number])
        positions.append(_detr_positions(*level.shape[2:], channels)[:, None])

    def attention(query: Tensor, key: Tensor, value: Tensor, name: str) -> Tensor:
        answer, _ = F.multi_head_attention_forward(
            *(query, key, value, channels, 8, t[f"{name}.in_proj_weight"], t[f"{name}.in_proj_bias"]),
            *(None, None, False, 0.0, t[f"{name}.out_proj.weight"], t[f"{name}.out_proj.bias"]),
            training=False,
        )
        return answer

    for number, cross in enumerate(layers.numbered(f"{name}.transformer_cross_attention_layers")):
        memory, position = memories[number % len(levels)], positions[number % len(levels)]
        y = attention(x + embed, memory + position, memory, f"{cross}.multihead_attn")
        x = layers.layer_norm(x + y, f"{cross}.norm")
        own = f"{name}.transformer_self_attention_layers.{number}"
        x = layers.layer_norm(x + attention(x + embed, x + embed, x, f"{own}.self_attn"), f"{own}.norm")
        feed = f"{name}.transformer_ffn_layers.{number}"
        y = layers.linear(F.relu(layers.linear(x, f"{feed}.linear1")), f"{feed}.linear2")
        x = layers.layer_norm(x + y, f"{feed}.norm")
    x = layers.layer_norm(x, f"{name}.decoder_norm").transpose(0, 1)
    for number in range(3):
        x = layers.linear(x if number == 0 else F.relu(x), f"{name}.color_embed.layers.{number}")
    return x
