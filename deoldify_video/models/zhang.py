"""The classics of Richard Zhang et al. (BSD-2-Clause): eccv16, "Colorful Image Colorization", and siggraph17, "Real-Time
User-Guided Image Colorization", which takes colour hints.

Layer names are the published ones, whose numbers count ReLUs as well. Both were made for 256x256, which is render factor 16;
L enters as (L - 50) / 100 and ab leaves times 110.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deoldify_video.color.lab import gray_to_lightness
from deoldify_video.errors import DependencyError
from deoldify_video.models.folding import FoldedBatchNorm
from deoldify_video.models.weights import FOLDED_KEY, load_strictly, read_published

L_CENTER, L_SCALE, AB_SCALE = 50.0, 100.0, 110.0
_COLORS = 313  # of eccv16's palette
_LEAK = 0.2


def _conv(inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation)


def _block(inputs: int, outputs: int, convs: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolutions with ReLU, the last with `stride`, and batch normalisation: `.0`, `.2`, ..."""
    layers: list[nn.Module] = []
    for i in range(convs):
        last = i == convs - 1
        layers += [
            _conv(inputs if i == 0 else outputs, outputs, stride=stride if last else 1, dilation=dilation),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, FoldedBatchNorm(outputs))


def _up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)


class Eccv16(nn.Module):
    """L (B, 1, H, W) in 0..100, H and W multiples of 8 -> ab (B, 2, H, W) in Lab units."""

    def __init__(self) -> None:
        super().__init__()
        self.model1 = _block(1, 64, 2, stride=2)
        self.model2 = _block(64, 128, 2, stride=2)
        self.model3 = _block(128, 256, 3, stride=2)
        self.model4 = _block(256, 512, 3)
        self.model5 = _block(512, 512, 3, dilation=2)
        self.model6 = _block(512, 512, 3, dilation=2)
        self.model7 = _block(512, 512, 3)
        relu = nn.ReLU(inplace=True)
        self.model8 = nn.Sequential(
            _up(512, 256), relu, _conv(256, 256), relu, _conv(256, 256), relu, nn.Conv2d(256, _COLORS, 1)
        )
        self.model_out = nn.Conv2d(_COLORS, 2, 1, bias=False)

    def prepare(self, gray: Tensor) -> Tensor:
        """sRGB-encoded grey (B, 1, H, W) in [0, 1] -> L in 0..100."""
        return gray_to_lightness(gray)

    def forward(self, x: Tensor) -> Tensor:
        """The forward pass of the original."""
        x = (x - L_CENTER) / L_SCALE
        for block in (self.model1, self.model2, self.model3, self.model4, self.model5, self.model6, self.model7, self.model8):
            x = block(x)
        ab = self.model_out(torch.softmax(x, dim=1))  # (B, 2, H / 4, W / 4)
        return F.interpolate(ab, scale_factor=4.0, mode="bilinear", align_corners=False) * AB_SCALE

    def to_ab(self, raw: Tensor, temperature: float = 1.0) -> Tensor:
        """The raw answer is ab already; float32. `temperature` has no say, the published average is part of the network."""
        del temperature
        return raw.float()


class Siggraph17(nn.Module):
    """L (B, 1, H, W) in 0..100, H and W multiples of 8, and where wanted colour hints -> ab (B, 2, H, W) in Lab units."""

    def __init__(self) -> None:
        super().__init__()
        self.model1 = _block(4, 64, 2)
        self.model2 = _block(64, 128, 2)
        self.model3 = _block(128, 256, 3)
        self.model4 = _block(256, 512, 3)
        self.model5 = _block(512, 512, 3, dilation=2)
        self.model6 = _block(512, 512, 3, dilation=2)
        self.model7 = _block(512, 512, 3)
        relu = nn.ReLU(inplace=True)
        self.model8up = nn.Sequential(_up(512, 256))
        self.model3short8 = nn.Sequential(_conv(256, 256))
        self.model8 = nn.Sequential(relu, _conv(256, 256), relu, _conv(256, 256), relu, FoldedBatchNorm(256))
        self.model9up = nn.Sequential(_up(256, 128))
        self.model2short9 = nn.Sequential(_conv(128, 128))
        self.model9 = nn.Sequential(relu, _conv(128, 128), relu, FoldedBatchNorm(128))
        self.model10up = nn.Sequential(_up(128, 128))
        self.model1short10 = nn.Sequential(_conv(64, 128))
        self.model10 = nn.Sequential(relu, _conv(128, 128), nn.LeakyReLU(_LEAK, inplace=True))
        self.model_out = nn.Sequential(nn.Conv2d(128, 2, 1), nn.Tanh())

    def prepare(self, gray: Tensor) -> Tensor:
        """sRGB-encoded grey (B, 1, H, W) in [0, 1] -> L in 0..100."""
        return gray_to_lightness(gray)

    def forward(self, x: Tensor, hint_ab: Tensor | None = None, hint_mask: Tensor | None = None) -> Tensor:
        """The forward pass of the original.

        `hint_ab` (B, 2, H, W) holds ab in Lab units where `hint_mask` (B, 1, H, W) is 1, and 0 elsewhere.
        """
        lightness = (x - L_CENTER) / L_SCALE
        hint_ab = torch.cat([x * 0.0, x * 0.0], dim=1) if hint_ab is None else hint_ab
        hint_mask = x * 0.0 if hint_mask is None else hint_mask
        full = self.model1(torch.cat([lightness, hint_ab / AB_SCALE, hint_mask], dim=1))
        half = self.model2(full[:, :, ::2, ::2])
        quarter = self.model3(half[:, :, ::2, ::2])
        x = self.model7(self.model6(self.model5(self.model4(quarter[:, :, ::2, ::2]))))
        x = self.model8(self.model8up(x).add_(self.model3short8(quarter)))
        x = self.model9(self.model9up(x).add_(self.model2short9(half)))
        x = self.model10(self.model10up(x).add_(self.model1short10(full)))
        return self.model_out(x) * AB_SCALE

    guided = forward

    def to_ab(self, raw: Tensor, temperature: float = 1.0) -> Tensor:
        """The raw answer is ab already; float32. `temperature` has no say."""
        del temperature
        return raw.float()


# A tensor that only one of the two has, with its input channels.
_MARKS: dict[str, tuple[int, type[Eccv16] | type[Siggraph17]]] = {
    "model_out.weight": (_COLORS, Eccv16),
    "model_out.0.weight": (128, Siggraph17),
}


def load_zhang(path: Path | str) -> Eccv16 | Siggraph17:
    """Load a published file of eccv16 or siggraph17, or an imported one: float32, on the CPU, in eval mode.

    Raises `DependencyError` when the file is missing, damaged, no weights file, or of another network.
    """
    path = Path(path)
    tensors, metadata = read_published(path)
    for name, (inputs, family) in _MARKS.items():
        if name in tensors and tuple(tensors[name].shape) == (2, inputs, 1, 1):
            with torch.device("meta"):
                network = family()
            # siggraph17's classifier served its training only
            return load_strictly(network, tensors, path, folded=FOLDED_KEY in metadata, unused=("model_class.",))
    raise DependencyError("holds neither eccv16 nor siggraph17", path=path)
