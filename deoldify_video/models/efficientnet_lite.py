"""EfficientNet-Lite as an encoder: the layout of the TensorFlow original, so that its ImageNet weights fit.

Tan and Le 2019, "EfficientNet"; the Lite variants (TensorFlow, Apache-2.0) leave out squeeze-and-excitation and swish, which is
what makes them fast on processors. The classifier's head is left out; the stem takes one grey plane instead of three equal ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

NORM_EPSILON = 1e-3  # TensorFlow's
_STEM = 32
_DEPTH_DIVISOR = 8  # widths are multiples of it
# Of lite0, stage by stage: expansion, width, blocks, stride, kernel.
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_TAPS = (1, 2, 4, 6)  # stages whose outputs are the features at strides 4, 8, 16 and 32


@dataclass(frozen=True)
class LiteScale:
    """How much wider and deeper than lite0 a variant is."""

    width: float
    depth: float


VARIANTS = {"lite0": LiteScale(1.0, 1.0), "lite1": LiteScale(1.0, 1.1), "lite2": LiteScale(1.1, 1.2)}


def _scaled_width(width: int, factor: float) -> int:
    wanted = width * factor
    rounded = max(_DEPTH_DIVISOR, int(wanted + _DEPTH_DIVISOR / 2) // _DEPTH_DIVISOR * _DEPTH_DIVISOR)
    return rounded + _DEPTH_DIVISOR if rounded < 0.9 * wanted else rounded


class SameConv(nn.Conv2d):
    """A convolution without bias, padded as TensorFlow's SAME: at stride 2 (even sizes) one more at the right and bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        inside = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, inside, groups=groups, bias=False)
        self.before = 0 if stride == 1 else (kernel - stride) // 2
        self.after = 0 if stride == 1 else kernel - stride - self.before

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h / stride, w / stride)."""
        if self.after:
            x = F.pad(x, (self.before, self.after, self.before, self.after))
        return super().forward(x)

    def padded_alike(self) -> nn.Conv2d:
        """The same function for even sizes without a padding of its own: zeros in the kernel's first row and column instead."""
        if not self.after:
            return self
        kernel, padding = self.kernel_size[0] + 1, self.before + 1
        conv = nn.Conv2d(self.in_channels, self.out_channels, kernel, self.stride[0], padding, groups=self.groups)
        conv.weight = nn.Parameter(F.pad(self.weight.detach(), (1, 0, 1, 0)))
        conv.bias = self.bias
        return conv.eval()


class NormedConv(nn.Sequential):
    """`SameConv`, batch normalisation and, unless told otherwise, ReLU6."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1, active: bool = True
    ) -> None:
        norm = nn.BatchNorm2d(outputs, eps=NORM_EPSILON, momentum=0.01)
        super().__init__(
            SameConv(inputs, outputs, kernel, stride, groups), norm, nn.ReLU6(inplace=True) if active else nn.Identity()
        )

    def fold(self) -> None:
        """Make one convolution of it, padded alike on all sides: the same function, faster. For inference only."""
        conv, norm = self[0], self[1]
        if isinstance(conv, SameConv) and isinstance(norm, nn.BatchNorm2d):
            self[0], self[1] = fuse_conv_bn_eval(conv.eval(), norm.eval()).padded_alike(), nn.Identity()


class InvertedResidual(nn.Module):
    """MBConv of MobileNetV2 (Sandler et al. 2018): widen, convolve each channel by itself, narrow."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = NormedConv(inputs, inner, 1) if expansion > 1 else nn.Identity()
        self.depthwise = NormedConv(inner, inner, kernel, stride, groups=inner)
        self.project = NormedConv(inner, outputs, 1, active=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h / stride, w / stride)."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """Pictures (B, planes, H, W), H and W multiples of 32 -> features at strides 4, 8, 16 and 32. `widths`: their channels."""

    def __init__(self, variant: str, planes: int = 1) -> None:
        super().__init__()
        scale = VARIANTS[variant]
        self.stem = NormedConv(planes, _STEM, 3, 2)
        self.stages = nn.ModuleList()
        inputs, widths = _STEM, []
        for number, (expansion, width, blocks, stride, kernel) in enumerate(_STAGES):
            outputs = _scaled_width(width, scale.width)
            if 0 < number < len(_STAGES) - 1:  # the first and the last stage are not deepened
                blocks = -int(-blocks * scale.depth // 1)  # noqa: PLW2901
            steps = [(inputs, stride), *[(outputs, 1)] * (blocks - 1)]
            self.stages.append(nn.Sequential(*(InvertedResidual(i, outputs, expansion, kernel, s) for i, s in steps)))
            inputs = outputs
            widths.append(outputs)
        self.widths = tuple(widths[tap] for tap in _TAPS)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The features, from fine to coarse."""
        x = self.stem(x)  # (B, 32, H/2, W/2)
        features = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in _TAPS:
                features.append(x)
        return features

    def load_imagenet(self, published: dict[str, Tensor]) -> None:
        """Take the weights of the published classifier (`efficientnet-lite-pytorch`'s names); its head is left out.

        For a grey picture the three planes would be equal, so the weights of the stem add up. Raises `RuntimeError` where they
        do not fit.
        """
        kept = {key: value for key, value in published.items() if not key.startswith(("_conv_head", "_fc", "_bn1"))}
        own = self.state_dict()
        if own["stem.0.weight"].shape[1] == 1:
            kept["_conv_stem.weight"] = kept["_conv_stem.weight"].sum(dim=1, keepdim=True)
        if [value.shape for value in own.values()] != [value.shape for value in kept.values()]:
            raise RuntimeError("these are not the weights of this variant of EfficientNet-Lite")
        self.load_state_dict(dict(zip(own, kept.values(), strict=True)))
