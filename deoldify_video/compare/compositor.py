"""Puts two pictures into one, plane by plane, with their labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deoldify_video.errors import UsageError
from deoldify_video.images.labels import shortened, text_mask

MODES = ("side", "wipe", "split")
_WIPE_PERIOD_S = 8.0  # there and back
_WIPE_MARGIN = 0.1  # of the width: the line turns round so far from the edges
_LABEL_SHARE = 22  # a label is this part of the picture's height
_SMALLEST_LABEL_PX = 12
_DIM = 0.45  # of the light that stays under a label
_LIMITED = (16, 235)  # luma of black and white
_NEUTRAL = 128

Plane = NDArray[np.uint8]
Planes = tuple[Plane, ...]  # luma (H, W), and Cb and Cr (H/2, W/2)


def even_size(width: int, height: int) -> tuple[int, int]:
    """The next smaller even numbers, as chroma at half size needs them; at least 2."""
    return max(2, width // 2 * 2), max(2, height // 2 * 2)


@dataclass(frozen=True)
class Layout:
    """How two pictures of `width` x `height` share one: `side` by side, `split` in the middle, `wipe` by a line that wanders.

    Raises `UsageError` for an unknown mode.
    """

    mode: str
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"mode {self.mode!r} is not known", remedy=f"choose one of {', '.join(MODES)}")

    @property
    def total_width(self) -> int:
        """Of the whole picture."""
        return 2 * self.width if self.mode == "side" else self.width

    def line(self, seconds: float) -> int:
        """The column, an even number, where the second picture begins. A wandering line starts in the middle."""
        if self.mode == "side":
            return self.width
        share = 0.5
        if self.mode == "wipe":
            share += (0.5 - _WIPE_MARGIN) * math.sin(2 * math.pi * seconds / _WIPE_PERIOD_S)
        return round(self.width * share / 2) * 2


class Composer:
    """Joins pictures of one layout; `labels` stand at the foot of each side."""

    def __init__(self, layout: Layout, labels: tuple[str, str]) -> None:
        self.layout = layout
        height = max(_SMALLEST_LABEL_PX, layout.height // _LABEL_SHARE)
        room = layout.width if layout.mode == "side" else layout.width // 2
        self._masks = [_label(text, height, room - height) for text in labels]

    def join(self, first: Sequence[Plane], second: Sequence[Plane], seconds: float) -> Planes:
        """Planes of Y', Cb, Cr (limited range, chroma at half size) to those of the whole picture."""
        line = self.layout.line(seconds)
        black, white = _LIMITED
        joined = [self._joined(a, b, line // step) for a, b, step in zip(first, second, (1, 2, 2), strict=True)]
        self._draw([joined[0]], [(black, white)], line, 1)
        self._draw(joined[1:], [(_NEUTRAL, _NEUTRAL)] * 2, line, 2)
        return tuple(joined)

    def join_rgb(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same for pictures RGB (H, W, 3)."""
        line = self.layout.line(0.0)
        joined = self._joined(first, second, line)
        self._draw([joined[..., channel] for channel in range(3)], [(0, 255)] * 3, line, 1)
        return joined

    def _joined(self, first: Plane, second: Plane, line: int) -> Plane:
        if self.layout.mode == "side":
            return np.concatenate([first, second], axis=1)
        return np.concatenate([first[:, :line], second[:, line:]], axis=1)

    def _draw(self, planes: Sequence[Plane], levels: Sequence[tuple[int, int]], line: int, step: int) -> None:
        """Labels and, where the pictures share a place, the line between them. `step`: how much smaller the planes are."""
        if self.layout.mode != "side":
            for plane, (_, white) in zip(planes, levels, strict=True):
                plane[:, max(0, line // step - 1) : line // step + 1] = white
        for side, mask in enumerate(self._masks):
            ink = mask[::step, ::step]
            margin = mask.shape[0] // 2 // step
            top = self.layout.height // step - ink.shape[0] - margin
            left = margin if side == 0 else self.layout.total_width // step - ink.shape[1] - margin
            if self.layout.mode == "side" and side == 1:
                left = line // step + margin
            if top < 0 or left < 0:  # a picture too small for words
                continue
            on_its_side = left + ink.shape[1] <= line // step if side == 0 else left >= line // step
            if not on_its_side:  # the line wanders over it
                continue
            for plane, (black, white) in zip(planes, levels, strict=True):
                place = plane[top : top + ink.shape[0], left : left + ink.shape[1]]
                dimmed = black + (place.astype(np.float32) - black) * _DIM
                shown = ink[:, : place.shape[1]]
                place[...] = np.rint(dimmed + shown * (white - dimmed)).astype(np.uint8)


def _label(text: str, height: int, room: int) -> NDArray[np.float32]:
    """Ink 0..1 (height, w) with a margin around the text."""
    height = height // 2 * 2
    inner = text_mask(shortened(text, height, max(1, room)), height)
    pad = height // 3
    return np.pad(inner, ((0, 0), (pad, pad + (inner.shape[1] % 2))))
