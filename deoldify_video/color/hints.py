"""Colour hints: points of a photo whose colour the user gives, for networks that take them.

A hints file is a JSON list of points, in pixels of the photo, each with a colour as sRGB or as Lab's a and b:

    [{"x": 310, "y": 142, "rgb": "#8a2f24"}, {"x": 80, "y": 400, "ab": [4, -28], "radius": 12}]
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deoldify_video.errors import InputError, UsageError

DEFAULT_RADIUS = 0.012  # of the longer side: 3 pixels of 256, the middle of what siggraph17 was trained with
AB_LIMIT = 110.0
MAX_HINTS = 10_000
_LARGEST_NUMBER = 1e6  # also refuses NaN and infinity, which JSON as Python reads it may hold
_KEYS = {"x", "y", "rgb", "ab", "radius"}


@dataclass(frozen=True)
class Hint:
    """A disc of one colour: centre and radii as shares of width and height (0..1), a and b in Lab units."""

    x: float
    y: float
    radius_x: float
    radius_y: float
    a: float
    b: float


def read_hints(path: Path, width: int, height: int) -> tuple[Hint, ...]:
    """The hints of a file for a photo of `width` x `height` pixels.

    Raises `InputError` when the file cannot be read or is no JSON list, `UsageError` that names the first point that makes no
    sense.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read as hints: {error.strerror}", path=path) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"cannot be read as hints, for it is no JSON: {error}", path=path) from error
    if not isinstance(content, list) or len(content) > MAX_HINTS:
        raise InputError(f"must hold a list of at most {MAX_HINTS} hints", path=path)
    return tuple(_hint(point, f"hint {number} in {path}", width, height) for number, point in enumerate(content, start=1))


def _hint(point: Any, where: str, width: int, height: int) -> Hint:
    if not isinstance(point, dict) or not point.keys() <= _KEYS or ("rgb" in point) == ("ab" in point):
        raise UsageError(f'{where} must have x, y, and either "rgb" or "ab", and may have "radius"')
    x, y = (_number(point.get(key), f"{where}: {key}") for key in ("x", "y"))
    if not (0 <= x < width and 0 <= y < height):
        raise UsageError(f"{where} lies at {x:g}, {y:g}, outside the photo of {width}x{height} pixels")
    radius = _number(point.get("radius", DEFAULT_RADIUS * max(width, height)), f"{where}: radius")
    if radius <= 0:
        raise UsageError(f"{where} has radius {radius:g}", remedy="use more than 0 pixels")
    a, b = _ab_of_rgb(point["rgb"], where) if "rgb" in point else _ab(point["ab"], where)
    return Hint((x + 0.5) / width, (y + 0.5) / height, radius / width, radius / height, a, b)


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST_NUMBER:
        raise UsageError(f"{what} is {value!r}", remedy="write a number")
    return float(value)


def _ab(value: Any, where: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise UsageError(f'{where}: "ab" must be two numbers')
    a, b = (_number(part, f"{where}: ab") for part in value)
    if max(abs(a), abs(b)) > AB_LIMIT:
        raise UsageError(f'{where}: "ab" reaches from -{AB_LIMIT:g} to {AB_LIMIT:g}')
    return a, b


def _ab_of_rgb(value: Any, where: str) -> tuple[float, float]:
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        rgb = [int(value[i : i + 2], 16) for i in (1, 3, 5)]
    elif isinstance(value, list) and len(value) == 3 and all(type(part) is int and 0 <= part <= 255 for part in value):
        rgb = value
    else:
        raise UsageError(f'{where}: "rgb" must be "#rrggbb" or three whole numbers from 0 to 255')
    import torch

    from deoldify_video.color.lab import rgb_to_lab

    _, a, b = rgb_to_lab(torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1) / 255.0).flatten().tolist()
    return a, b


def draw_hints(hints: tuple[Hint, ...], width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Hints as planes: ab float32 (2, height, width) in Lab units, 0 where there is none, and mask (1, height, width), 1 or 0.

    Every hint covers at least the pixel of its centre; later ones lie over earlier ones.
    """
    ab = np.zeros((2, height, width), np.float32)
    mask = np.zeros((1, height, width), np.float32)
    xs, ys = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    for hint in hints:
        disc = ((xs - hint.x) / hint.radius_x) ** 2 + ((ys[:, None] - hint.y) / hint.radius_y) ** 2 <= 1.0  # (height, width)
        disc[min(int(hint.y * height), height - 1), min(int(hint.x * width), width - 1)] = True
        ab[0][disc], ab[1][disc] = hint.a, hint.b
        mask[0][disc] = 1.0
    return ab, mask
