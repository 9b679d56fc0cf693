"""Makes a clean grey picture look like old film, for the network's input only: the colours to learn are never touched.

Each fault is a function of a float32 picture (H, W) in [0, 1] and a random generator; `age` draws a few of them.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
Fault = Callable[[Picture, np.random.Generator], Picture]


def contrast(picture: Picture, rng: np.random.Generator) -> Picture:
    """Gamma, contrast and exposure of another stock or another laboratory."""
    grey = picture ** rng.uniform(0.6, 1.7)
    gain = rng.uniform(0.6, 1.2)
    return np.clip((grey - 0.5) * gain + 0.5 + rng.uniform(-0.12, 0.12), 0, 1)


def dim(picture: Picture, rng: np.random.Generator) -> Picture:
    """An underexposed shot: the whole scale pressed towards black."""
    return picture * np.float32(rng.uniform(0.3, 0.8))


def fade(picture: Picture, rng: np.random.Generator) -> Picture:
    """Faded blacks and yellowed whites: the scale no longer reaches its ends."""
    low, high = rng.uniform(0.0, 0.22), rng.uniform(0.75, 1.0)
    return low + picture * np.float32(high - low)


def grain(picture: Picture, rng: np.random.Generator) -> Picture:
    """Film grain: noise with a size of one to two pixels, strongest in the middle greys."""
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    if rng.random() < 0.5:
        noise = cv2.GaussianBlur(noise, (3, 3), 0) * 2.0
    return np.clip(picture + noise * np.float32(rng.uniform(0.01, 0.07)) * (0.4 + 2.4 * picture * (1 - picture)), 0, 1)


def blur(picture: Picture, rng: np.random.Generator) -> Picture:
    """A soft lens or a soft copy; now and then the opposite, sharpening by a careless transfer."""
    soft = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.6))
    return np.clip(2 * picture - soft, 0, 1) if rng.random() < 0.25 else soft.astype(np.float32, copy=False)


def scratches(picture: Picture, rng: np.random.Generator) -> Picture:
    """Vertical scratches and specks of dust, light or dark."""
    out = picture.copy()
    height, width = out.shape
    for _ in range(rng.integers(0, 3)):
        x, tone = int(rng.integers(0, width)), float(rng.choice([0.05, 0.95]))
        cv2.line(out, (x, 0), (x + int(rng.integers(-2, 3)), height - 1), tone, 1)
    for _ in range(rng.integers(0, 8)):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        cv2.circle(out, centre, int(rng.integers(0, max(2, width // 60))), float(rng.choice([0.0, 1.0])), -1)
    return out


def vignette(picture: Picture, rng: np.random.Generator) -> Picture:
    """Light that falls off towards the corners."""
    height, width = picture.shape
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    return (picture * (1 - np.float32(rng.uniform(0.1, 0.4)) * (x * x + y * y) / 2)).astype(np.float32, copy=False)


def compress(picture: Picture, rng: np.random.Generator) -> Picture:
    """Block damage of a small JPEG or MPEG copy."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 70))]
    _, data = cv2.imencode(".jpg", (picture * 255).astype(np.uint8), quality)
    damaged = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert damaged is not None  # what OpenCV has just written it can read
    return damaged.astype(np.float32) / np.float32(255)


# In the order in which they happen to a film: light, lens, stock, laboratory, wear, transfer.
FAULTS: tuple[tuple[Fault, float], ...] = (
    (vignette, 0.15),
    (blur, 0.25),
    (dim, 0.25),
    (contrast, 0.45),
    (grain, 0.35),
    (fade, 0.25),
    (scratches, 0.12),
    (compress, 0.25),
)


def age(picture: Picture, rng: np.random.Generator) -> Picture:
    """Apply a random few of the faults to `picture`, float32 (H, W) in [0, 1]; returns a new picture of the same kind."""
    for fault, probability in FAULTS:
        if rng.random() < probability:
            picture = fault(picture, rng).astype(np.float32, copy=False)
    return picture
