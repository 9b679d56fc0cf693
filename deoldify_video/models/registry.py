"""Every network that this program knows: one entry each.

A network is an `nn.Module` of one small protocol (`ColorNetwork`); everything else that differs between families (size rules,
default render factors, styles, licence) stands in its `ModelSpec`. A new family is one file and its entries here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from deoldify_video.color.style import Style
from deoldify_video.errors import DependencyError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

MIN_RENDER_FACTOR, MAX_RENDER_FACTOR = 7, 64
PIXELS_PER_RENDER_FACTOR = 16  # the network sees about (16 x render_factor)^2 pixels


class ColorNetwork(Protocol):
    """What the colorizer asks of a network (implemented by `nn.Module`s)."""

    def prepare(self, grey: Tensor) -> Tensor:
        """sRGB-encoded grey (B, 1, h, w) float32 in [0, 1] -> the network's input."""

    def __call__(self, x: Tensor) -> Tensor:
        """The forward pass: the raw answer of the network."""

    def to_ab(self, raw: Tensor, temperature: float) -> Tensor:
        """Raw answer -> ab (B, 2, h', w') float32 in Lab units; h', w' may be smaller than the input."""


@dataclass(frozen=True)
class ModelSpec:
    """A network by name. `load(path)` returns it in fp32 on the CPU, in eval mode; `path` is a weights file.

    `stride`: sides of its picture are multiples of this; `square`: its picture is stretched to a square.
    `weights`: file shipped in the package, or None where the user imports the weights.
    """

    name: str
    title: str
    licence: str
    load: Callable[[Path], ColorNetwork]
    film_render_factor: int
    photo_render_factor: int
    stride: int = 32
    square: bool = False
    weights: str | None = None
    styles: dict[str, Style] = field(default_factory=dict)

    def render_size(self, width: int, height: int, render_factor: int) -> tuple[int, int]:
        """(width, height) of the network's picture for a film of that shape."""
        side = PIXELS_PER_RENDER_FACTOR * render_factor
        if self.square:
            side = max(self.stride, round(side / self.stride) * self.stride)
            return side, side
        aspect = (width / height) ** 0.5
        return tuple(max(self.stride, round(s / self.stride) * self.stride) for s in (side * aspect, side / aspect))


def _load_compact(path: Path) -> ColorNetwork:
    from deoldify_video.models.compact import load_compact

    return load_compact(path)


_STYLES_BY_GAIN = {"natural": Style(), "vibrant": Style(gain=1.3), "muted": Style(gain=0.6)}

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="compact",
            title="our own U-Net in Lab, made for CPUs; shipped with the program",
            licence="MIT",
            load=_load_compact,
            film_render_factor=21,
            photo_render_factor=24,
            weights="compact.safetensors",
            styles={"natural": Style(0.6, 1.0), "vibrant": Style(0.38, 1.0), "muted": Style(1.0, 1.0)},
        ),
    )
}


def find_model(name: str) -> ModelSpec:
    """The entry called `name`; raises `DependencyError` that lists the known names."""
    if name not in MODELS:
        raise DependencyError(f"no network is called {name!r}; known are {', '.join(sorted(MODELS))}, or give a weights file.")
    return MODELS[name]
