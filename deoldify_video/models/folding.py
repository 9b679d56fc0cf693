"""Norms that are constant after training, multiplied into the layer they belong to, once, when a file is loaded.

- spectral norm (Miyato et al. 2018), W = weight_orig / (u^T W v) with the stored u and v
- weight norm (Salimans and Kingma 2016), W = g v / ||v||
- batch normalisation straight after a convolution: W' = W gamma / sqrt(var + eps), and a bias
- batch normalisation elsewhere: one scale and one shift a channel

All are exact. A network declares its folded layers; `fold_norms` turns the published names into theirs. Folding happens in the
memory that the file was read into.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH_NORM_EPS = 1e-5  # of every published network here, torch's default
_BATCH_NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
_COUNTER = ".num_batches_tracked"  # how long a batch normalisation was trained; nothing reads it

Norm = Literal["none", "spectral", "weight"]
Shapes = dict[str, tuple[int, ...]]


class FoldedConv(nn.Conv2d):
    """A convolution whose published form has a norm on its weight, a batch normalisation behind it, or both.

    `norm` names the weight's norm. `batch_norm` is the published name of the batch normalisation relative to the parent module,
    for example `bn1` for the sibling of `conv1`. The layer itself has `weight` (and `bias`) under its published prefix.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = False,
        norm: Norm = "none",
        batch_norm: str | None = None,
    ) -> None:
        super().__init__(
            inputs, outputs, kernel, stride, dilation * (kernel // 2), dilation, bias=bias or batch_norm is not None
        )
        self.norm = norm
        self.published_bias = bias
        self.batch_norm = batch_norm

    def published_shapes(self, name: str) -> Shapes:
        """Shapes by published name of the layer called `name`; empty where the published layer is a plain one."""
        if self.norm == "none" and self.batch_norm is None:
            return {}
        shapes = _weight_shapes(name, tuple(self.weight.shape), self.norm)
        if self.published_bias:
            shapes[f"{name}.bias"] = (self.out_channels,)
        if self.batch_norm is not None:
            shapes |= {f"{self._batch_norm_name(name)}.{part}": (self.out_channels,) for part in _BATCH_NORM_PARTS}
        return shapes

    def fold(self, published: dict[str, Tensor], name: str) -> dict[str, Tensor]:
        """The layer's own tensors from the published ones, which are consumed."""
        weight = _fold_weight_(published, name, self.norm)
        bias = published.get(f"{name}.bias") if self.published_bias else None
        if self.batch_norm is not None:
            scale, shift = _scale_and_shift(published, self._batch_norm_name(name))
            weight.mul_(scale.view(-1, 1, 1, 1))
            bias = shift if bias is None else bias * scale + shift
        return {"weight": weight} if bias is None else {"weight": weight, "bias": bias}

    def _batch_norm_name(self, name: str) -> str:
        parent = name.rpartition(".")[0]
        return f"{parent}.{self.batch_norm}" if parent else str(self.batch_norm)


class FoldedPointwise(nn.Module):
    """A 1x1 `Conv1d` with spectral norm and no bias, applied to tokens; its published weight is (out, in, 1)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1) * inputs**-0.5)

    def published_shapes(self, name: str) -> Shapes:
        """Shapes by published name of the layer called `name`."""
        return _weight_shapes(name, tuple(self.weight.shape), "spectral")

    def fold(self, published: dict[str, Tensor], name: str) -> dict[str, Tensor]:
        """The layer's own tensor from the published ones, which are consumed."""
        return {"weight": _fold_weight_(published, name, "spectral")}

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N, in) -> (B, N, out)."""
        return F.linear(tokens, self.weight[:, :, 0])


class FoldedBatchNorm(nn.Module):
    """A batch normalisation that follows no convolution: x * scale + shift for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def published_shapes(self, name: str) -> Shapes:
        """Shapes by published name of the layer called `name`."""
        return {f"{name}.{part}": tuple(self.scale.shape) for part in _BATCH_NORM_PARTS}

    def fold(self, published: dict[str, Tensor], name: str) -> dict[str, Tensor]:
        """The layer's own tensors from the published ones."""
        scale, shift = _scale_and_shift(published, name)
        return {"scale": scale, "shift": shift}

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, h, w) -> the same shape."""
        return torch.addcmul(self.shift[:, None, None], x, self.scale[:, None, None])


def _weight_shapes(name: str, shape: tuple[int, ...], norm: Norm) -> Shapes:
    outputs = shape[0]
    if norm == "spectral":
        flat = torch.Size(shape[1:]).numel()
        return {f"{name}.weight_orig": shape, f"{name}.weight_u": (outputs,), f"{name}.weight_v": (flat,)}
    if norm == "weight":
        return {f"{name}.weight_g": (outputs, *[1] * (len(shape) - 1)), f"{name}.weight_v": shape}
    return {f"{name}.weight": shape}


def _fold_weight_(published: dict[str, Tensor], name: str, norm: Norm) -> Tensor:
    if norm == "spectral":
        weight = published[f"{name}.weight_orig"]
        sigma = torch.dot(published[f"{name}.weight_u"], torch.mv(weight.flatten(1), published[f"{name}.weight_v"]))
        return weight.div_(sigma)
    if norm == "weight":
        gain, direction = published[f"{name}.weight_g"], published[f"{name}.weight_v"]
        return direction.mul_(gain / direction.flatten(1).norm(dim=1).view_as(gain))
    return published[f"{name}.weight"]


def _scale_and_shift(published: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    weight, bias, mean, variance = (published[f"{name}.{part}"] for part in _BATCH_NORM_PARTS)
    scale = weight / torch.sqrt(variance + BATCH_NORM_EPS)
    return scale, bias - mean * scale


@torch.no_grad()
def fold_norms(network: nn.Module, tensors: dict[str, Tensor]) -> list[str]:
    """Replace the published tensors of every folded layer of `network` by what that layer stores, in `tensors`.

    Returns what does not fit, in words; the caller compares the names and shapes of all other layers.
    """
    misfits: list[str] = []
    for name, layer in network.named_modules():
        if not isinstance(layer, FoldedConv | FoldedPointwise | FoldedBatchNorm):
            continue
        shapes = layer.published_shapes(name)
        if not shapes:
            continue
        wrong = [
            f"{key} is missing" if key not in tensors else f"{key} is {tuple(tensors[key].shape)} instead of {shape}"
            for key, shape in shapes.items()
            if key not in tensors or tuple(tensors[key].shape) != shape
        ]
        misfits += wrong
        published = {key: tensors.pop(key).float() for key in shapes if key in tensors}
        # where it does not fit, stand-ins of the right shape, so that the caller does not report the layer again
        folded = layer.state_dict() if wrong else layer.fold(published, name)
        tensors |= {f"{name}.{part}": value for part, value in folded.items()}
    for key in [key for key in tensors if key.endswith(_COUNTER)]:
        del tensors[key]
    return misfits
