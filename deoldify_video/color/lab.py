"""sRGB <-> CIE Lab (D65, 2 degree observer) on tensors, after scikit-image's definition.

scikit-image (`skimage.color.rgb2lab`) is the reference in the tests; this is the same arithmetic on torch tensors so that
training, evaluation and the film path share one definition on every device. OpenCV's float Lab differs by up to 0.24 and is
never mixed in.

Formulae: IEC 61966-2-1 (sRGB transfer curve), CIE 15 (Lab).
"""

from __future__ import annotations

import torch
from torch import Tensor

_XYZ_FROM_RGB = torch.tensor(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]],
    dtype=torch.float64,
)
_WHITE = torch.tensor([0.95047, 1.0, 1.08883], dtype=torch.float64)
# Row-scaled by the white point, so that XYZ comes out relative to white.
_WHITE_XYZ_FROM_RGB = _XYZ_FROM_RGB / _WHITE[:, None]
RGB_FROM_WHITE_XYZ = torch.linalg.inv(_WHITE_XYZ_FROM_RGB)

LAB_EPSILON = 0.008856  # the knee of CIE's cube root, as scikit-image rounds it
LAB_SLOPE = 7.787
LAB_OFFSET = 16.0 / 116.0
LAB_KNEE = 0.2068966  # the same knee on the far side of the cube root


def linear_from_encoded(rgb: Tensor) -> Tensor:
    """sRGB code values in [0, 1], any shape -> linear light, same shape (IEC 61966-2-1)."""
    return torch.where(rgb > 0.04045, ((rgb.clamp_min(0.0) + 0.055) / 1.055) ** 2.4, rgb / 12.92)


def encoded_from_linear(rgb: Tensor) -> Tensor:
    """Linear light, any shape -> sRGB code values, same shape (IEC 61966-2-1)."""
    return torch.where(rgb > 0.0031308, 1.055 * rgb.clamp_min(0.0031308) ** (1 / 2.4) - 0.055, rgb * 12.92)


def _f(xyz: Tensor) -> Tensor:
    # exp(log/3) instead of **(1/3): the same value, and vectorised on the CPU.
    root = torch.exp(torch.log(xyz.clamp_min(LAB_EPSILON)) / 3.0)
    return torch.where(xyz > LAB_EPSILON, root, LAB_SLOPE * xyz + LAB_OFFSET)


def _mix(matrix: Tensor, planes: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", matrix.to(planes.device, planes.dtype), planes)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert sRGB pictures to CIE Lab.

    `rgb` is (B, 3, H, W) float in [0, 1]; returns (B, 3, H, W) of the same dtype with L in 0..100 and a, b in about -110..110.
    """
    f = _f(_mix(_WHITE_XYZ_FROM_RGB, linear_from_encoded(rgb)))  # (B, 3, H, W)
    x, y, z = f[:, 0:1], f[:, 1:2], f[:, 2:3]
    return torch.cat([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], dim=1)  # (B, 3, H, W)


def lab_to_rgb(lab: Tensor, *, clip: bool = True) -> Tensor:
    """Convert CIE Lab pictures to sRGB.

    `lab` is (B, 3, H, W) float, L in 0..100; returns (B, 3, H, W) in [0, 1]. With `clip=False` colours outside the gamut keep
    values outside [0, 1] (continued linearly below zero), so that a caller can see how far outside they lie.
    """
    y = (lab[:, 0:1] + 16.0) / 116.0
    x = lab[:, 1:2] / 500.0 + y
    z = (y - lab[:, 2:3] / 200.0).clamp_min(0.0)  # as scikit-image does
    f = torch.cat([x, y, z], dim=1)
    xyz = torch.where(f > LAB_KNEE, f**3, (f - LAB_OFFSET) / LAB_SLOPE)
    rgb = encoded_from_linear(_mix(RGB_FROM_WHITE_XYZ, xyz))
    return rgb.clamp(0.0, 1.0) if clip else rgb


def gray_to_lightness(gray: Tensor) -> Tensor:
    """CIE L of a neutral picture: `gray` float in [0, 1], any shape (sRGB-encoded) -> L in 0..100, same shape.

    The closed form of `rgb_to_lab` for R = G = B, where X, Y and Z relative to white are equal.
    """
    return 116.0 * _f(linear_from_encoded(gray)) - 16.0
