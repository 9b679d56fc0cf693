"""Decides which pictures would teach the wrong thing, and which show the same."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from deoldify_video.color.lab import rgb_to_lab
from deoldify_video.training.dataset import Picture

MIN_SIDE_PX = 128
WIDEST = 2.0  # longer shapes are cropped to this aspect ratio
NEAR_BITS = 8  # pictures whose hashes differ in at most this many of 64 bits are near-duplicates

REASONS = ("unreadable", "too small", "graphics", "too dark or bright", "greyscale", "sepia", "near-duplicate")

_THUMBNAIL_PX = 64
# Mean chroma: below the first a picture is grey, below the second it needs a part that is coloured.
_GRAY_CHROMA, _PALE_CHROMA = 4.0, 6.0
_COLORED_CHROMA, _COLORED_SHARE = 12.0, 0.05
_TINT_RESIDUAL, _ONE_HUE_RESIDUAL = 1.6, 2.5  # rms distance of (a, b) from being a function of L
_ONE_HUE = 0.97  # length of the mean hue vector, 1 when all pixels are of one hue
_DARK_L, _BRIGHT_L = 10.0, 92.0
_FLAT_SHARE = 0.45  # share of pixels that equal their right and lower neighbours exactly
_WHITE_BORDER_SHARE, _WHITE = 0.6, 250


def crop_extremes(picture: Picture) -> Picture:
    """Cut a picture longer than 2:1 (either way) to its middle part of that shape."""
    height, width = picture.shape[:2]
    longest = int(WIDEST * min(height, width))
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return picture[top : top + min(height, longest), left : left + min(width, longest)]


def reason_against(picture: Picture, min_side_px: int = MIN_SIDE_PX) -> str | None:
    """Why a picture, RGB uint8 (H, W, 3), should not be learned from (one of `REASONS`), or None when it is good."""
    if min(picture.shape[:2]) < min_side_px:
        return "too small"
    if is_graphic(picture):
        return "graphics"
    thumbnail = cv2.resize(picture, (_THUMBNAIL_PX, _THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    lab = rgb_to_lab(torch.from_numpy(thumbnail).permute(2, 0, 1)[None].float() / 255.0)[0].reshape(3, -1).numpy()
    if not _DARK_L <= lab[0].mean() <= _BRIGHT_L:
        return "too dark or bright"
    chroma = np.hypot(lab[1], lab[2])
    colored = float((chroma > _COLORED_CHROMA).mean())
    if chroma.mean() < _GRAY_CHROMA or (chroma.mean() < _PALE_CHROMA and colored < _COLORED_SHARE):
        return "greyscale"
    return "sepia" if _is_one_tint(lab, chroma) else None


def _is_one_tint(lab: NDArray[np.float32], chroma: NDArray[np.float32]) -> bool:
    """Whether a and b are a function of L, as in sepia and other toned prints: `lab` (3, N), `chroma` (N,)."""
    tone = lab[0] / 100.0
    powers = np.stack([np.ones_like(tone), tone, tone**2, tone**3], axis=1)  # (N, 4)
    fitted, *_ = np.linalg.lstsq(powers, lab[1:].T, rcond=None)
    residual = float(np.sqrt(np.square(lab[1:].T - powers @ fitted).sum(axis=1).mean()))
    hue = np.hypot(lab[1].sum(), lab[2].sum()) / max(float(chroma.sum()), 1e-9)
    return residual < _TINT_RESIDUAL or (residual < _ONE_HUE_RESIDUAL and hue > _ONE_HUE)


def is_graphic(picture: Picture) -> bool:
    """Drawings, logos, cut-outs: large areas of exactly one colour, or a white surround; clipped light is no such area."""
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    if float((border.min(axis=1) >= _WHITE).mean()) > _WHITE_BORDER_SHARE:
        return True
    here, right, below = picture[:-1, :-1], picture[:-1, 1:], picture[1:, :-1]
    flat = (here == right).all(axis=2) & (here == below).all(axis=2)
    clipped = (here.max(axis=2) <= 5) | (here.min(axis=2) >= _WHITE)
    return float((flat & ~clipped).mean()) > _FLAT_SHARE


def perceptual_hash(picture: Picture) -> int:
    """64-bit hash that survives scaling and compression: low frequencies of a 32x32 grey picture against their median."""
    gray = cv2.cvtColor(cv2.resize(picture, (32, 32), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    low = cv2.dct(gray.astype(np.float32))[:8, :8].reshape(-1)
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_duplicates(hashes: list[int], sizes: list[int]) -> set[int]:
    """Indices to leave out so that no two of the rest are within `NEAR_BITS` bits; of those alike the largest stays."""
    counts = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)
    kept = np.empty((len(hashes), 8), np.uint8)
    number, dropped = 0, set()
    for index in sorted(range(len(hashes)), key=lambda i: (-sizes[i], i)):
        code = np.frombuffer(hashes[index].to_bytes(8, "big"), np.uint8)
        distances = counts[kept[:number] ^ code].sum(axis=1)
        if number and distances.min() <= NEAR_BITS:
            dropped.add(index)
            continue
        kept[number] = code
        number += 1
    return dropped
