"""From Lab colours to the Cb and Cr of a film's own matrix, under the film's own luma.

The light of the film is its Y' plane; what is added here are Cb and Cr alone. A colour is made from the grey's L and the
network's ab, its Cb and Cr are taken, and both are scaled down together where the film's Y' with this chroma would leave the RGB
cube: the hue stays, nothing clips, and Y' is the source's.

Formulae: ITU-R BT.601-7, BT.709-6, BT.2020-2.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from deoldify_video.color.lab import LAB_KNEE, LAB_OFFSET, LAB_SLOPE, RGB_FROM_WHITE_XYZ, gray_to_lightness

Plane = NDArray[np.float32]

# Weights of red and blue in luma.
LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}


def _inverse_f(f: Plane) -> Plane:
    return np.where(f > LAB_KNEE, f**3, (f - np.float32(LAB_OFFSET)) * np.float32(1 / LAB_SLOPE))


_GRAY: Plane = np.arange(256, dtype=np.float32) / np.float32(255)
_FY_OF_GRAY: Plane = ((gray_to_lightness(torch.from_numpy(_GRAY)) + 16) / 116).numpy()  # CIE's f(Y) for every grey code
_Y_OF_GRAY = _inverse_f(_FY_OF_GRAY)


@dataclass(frozen=True)
class SampleRange:
    """Code values of a plane: luma black and white, chroma neutral and its span from -0.5 to 0.5."""

    black: int
    white: int
    neutral: int
    chroma_span: int

    @classmethod
    def of(cls, depth: int, *, full: bool) -> SampleRange:
        """The range of `depth`-bit samples, full (0..2^depth-1) or limited (16..235 and 16..240 at eight bits)."""
        unit = 1 << (depth - 8)
        if full:
            top = (1 << depth) - 1
            return cls(0, top, 128 * unit, top)
        return cls(16 * unit, 235 * unit, 128 * unit, 224 * unit)


def luma_to_gray(luma: NDArray[np.generic], samples: SampleRange) -> NDArray[np.uint8]:
    """Luma code values (H, W), uint8 or uint16, to full-range grey uint8 (H, W); sub-black and super-white are clipped."""
    scale = 255.0 / (samples.white - samples.black)
    values = (luma.astype(np.float32) - samples.black) * np.float32(scale)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def ab_to_chroma(gray: NDArray[np.uint8], ab: Plane, matrix: str) -> Plane:
    """Chroma for a luma and its colours.

    `gray` uint8 (h, w), full range, is both the Y' of the film and, sRGB-encoded, the source of L; `ab` float32 (2, h, w) in Lab
    units; `matrix` one of `LUMA_WEIGHTS`. Returns float32 (2, h, w): Cb and Cr in -0.5..0.5, limited so that Y' = grey stays in
    gamut. The arithmetic is `lab_to_rgb`'s, in NumPy and OpenCV because it runs for every frame in a thread beside torch's own.
    """
    kr, kb = LUMA_WEIGHTS[matrix]
    fy = _FY_OF_GRAY[gray]
    xyz = np.empty((*gray.shape, 3), np.float32)
    xyz[..., 0] = _inverse_f(fy + ab[0] * np.float32(1 / 500))
    xyz[..., 1] = _Y_OF_GRAY[gray]
    xyz[..., 2] = _inverse_f(np.maximum(fy - ab[1] * np.float32(1 / 200), 0.0))
    linear = np.maximum(cv2.transform(xyz, RGB_FROM_WHITE_XYZ.numpy().astype(np.float32)), 0.0)
    rgb = np.where(linear > 0.0031308, np.float32(1.055) * cv2.pow(linear, 1 / 2.4) - np.float32(0.055), linear * 12.92)
    np.minimum(rgb, 1.0, out=rgb)
    y = cv2.transform(rgb, np.array([[kr, 1 - kr - kb, kb]], np.float32))
    chroma: Plane = np.stack([(rgb[..., 2] - y) / (2 * (1 - kb)), (rgb[..., 0] - y) / (2 * (1 - kr))])  # (2, h, w)
    return limit_chroma(_GRAY[gray], chroma, matrix)


def limit_chroma(y: Plane, chroma: Plane, matrix: str) -> Plane:
    """Scale the chroma (2, h, w) of pixels down, hue kept, until Y' (h, w) in [0, 1] with it lies in the RGB cube."""
    kr, kb = LUMA_WEIGHTS[matrix]
    red, blue = chroma[1] * np.float32(2 * (1 - kr)), chroma[0] * np.float32(2 * (1 - kb))
    green = (red * np.float32(kr) + blue * np.float32(kb)) * np.float32(-1 / (1 - kr - kb))
    fit = np.ones_like(y)
    for difference in (red, green, blue):  # what chroma adds to R, G and B
        room = np.where(difference > 0, 1 - y, y)
        np.minimum(fit, room / np.maximum(np.abs(difference), np.float32(1e-4)), out=fit)
    return (chroma * fit).astype(np.float32, copy=False)


def chroma_to_samples(chroma: NDArray[np.float32], samples: SampleRange, depth: int) -> NDArray[np.generic]:
    """Chroma planes (2, h, w) in -0.5..0.5 to code values, uint8 at eight bits, else uint16."""
    top = (1 << depth) - 1
    codes = np.clip(np.rint(chroma * np.float32(samples.chroma_span) + np.float32(samples.neutral)), 0, top)
    return codes.astype(np.uint8 if depth == 8 else np.uint16)


def yuv_to_rgb(y: NDArray[np.float32], chroma: NDArray[np.float32], matrix: str) -> NDArray[np.float32]:
    """Y' (H, W) in [0, 1] and chroma (2, H, W) in -0.5..0.5 to RGB (H, W, 3), clipped to [0, 1]."""
    kr, kb = LUMA_WEIGHTS[matrix]
    red = y + 2 * (1 - kr) * chroma[1]
    blue = y + 2 * (1 - kb) * chroma[0]
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([red, green, blue], axis=-1), 0.0, 1.0).astype(np.float32)
