"""A network as everything around it sees it: one small protocol, and a record of all else that differs between families."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from deoldify_video.color.style import Style
from deoldify_video.options import AUTO

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

PIXELS_PER_RENDER_FACTOR = 16  # the network sees about (16 x render_factor)^2 pixels


class ColorNetwork(Protocol):
    """A network as the colorizer uses it (implemented by `nn.Module`s)."""

    def prepare(self, gray: Tensor) -> Tensor:
        """sRGB-encoded grey (B, 1, h, w) float32 in [0, 1] -> the network's input."""

    def __call__(self, x: Tensor) -> Tensor:
        """The forward pass: the raw answer of the network."""

    def to_ab(self, raw: Any, temperature: float) -> Tensor:
        """Raw answer, as the forward pass gave it -> ab (B, 2, h', w') float32 in Lab units; may be smaller than the input."""


@dataclass(frozen=True)
class Published:
    """Where people get a network's weights: the file's name and page, its size and hash ("" where not known).

    `hub` is the repository on the Hugging Face hub that holds it, `owner/name`.
    """

    filename: str
    page: str
    megabytes: int
    sha256: str = ""
    hub: str = ""


@dataclass(frozen=True)
class ModelSpec:
    """A network by name. `load(path)` returns it in fp32 on the CPU, in eval mode; `path` is a weights file.

    `stride`: sides of its picture are multiples of this; `square`: its picture is stretched to a square.
    `weights`: file shipped in the package, or None where the user imports the weights, and then `published` says from where.
    `half_on_cpu`: made for bf16, so that this is the default on processors that have it.
    `further_weights`: files that `load` reads beside `path`, of a mix.
    `mark` tells files of this network from all others: the name of one tensor and its shape (None: any shape).
    """

    name: str
    title: str
    license: str
    load: Callable[[Path], ColorNetwork]
    film_render_factor: int
    photo_render_factor: int
    stride: int = 32
    square: bool = False
    weights: str | None = None
    further_weights: tuple[Path, ...] = ()
    styles: dict[str, Style] = field(default_factory=dict)
    published: Published | None = None
    mark: tuple[str, tuple[int, ...] | None] = ("", None)
    half_on_cpu: bool = False

    def render_factor(self, kind: str, asked: int | Literal["auto"] | None = None) -> int:
        """The render factor that is asked for, or this network's own for a `film` or `photo`. `auto` is chosen before that."""
        assert asked != AUTO
        return asked or (self.film_render_factor if kind == "film" else self.photo_render_factor)

    def render_size(self, width: int, height: int, render_factor: int) -> tuple[int, int]:
        """(width, height) of the network's picture for a film of that shape."""
        side = PIXELS_PER_RENDER_FACTOR * render_factor
        if self.square:
            side = max(self.stride, round(side / self.stride) * self.stride)
            return side, side
        aspect = (width / height) ** 0.5
        return tuple(max(self.stride, round(s / self.stride) * self.stride) for s in (side * aspect, side / aspect))
