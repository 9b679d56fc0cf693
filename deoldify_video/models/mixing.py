"""Several networks as one: `ddcolor-large+deoldify-stable:0.6` runs each and takes the weighted mean of their ab."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deoldify_video.errors import UsageError
from deoldify_video.models.base import PIXELS_PER_RENDER_FACTOR, ColorNetwork, ModelSpec


@dataclass(frozen=True)
class Member:
    """One network of a mix: its entry, its weights file, its share of the colours."""

    spec: ModelSpec
    weights: Path
    share: float


class MixedNetwork(nn.Module):
    """Networks that each see their own size of the picture; implements `ColorNetwork`.

    The input is the grey picture itself; the raw answer is a tuple of the members' raw answers.
    """

    def __init__(self, members: tuple[Member, ...], networks: list[ColorNetwork]) -> None:
        super().__init__()
        self.members = members
        self.networks = nn.ModuleList(cast("list[nn.Module]", networks))

    def prepare(self, gray: Tensor) -> Tensor:
        """sRGB-encoded grey (B, 1, h, w) in [0, 1], unchanged."""
        return gray

    def forward(self, gray: Tensor) -> tuple[object, ...]:
        """Grey (B, 1, h, w) -> the raw answer of each member."""
        answers = []
        for member, network in zip(self.members, self.networks, strict=True):
            x = cast(ColorNetwork, network).prepare(_resize(gray.float(), _picture_size(member.spec, gray)))
            answers.append(network(x.to(gray.dtype, memory_format=torch.channels_last)))
        return tuple(answers)

    def to_ab(self, raw: tuple[object, ...], temperature: float = 1.0) -> Tensor:
        """Raw answers -> their weighted mean ab (B, 2, h', w') float32 in Lab units, at the size of the largest."""
        planes = [
            cast(ColorNetwork, network).to_ab(part, temperature) for network, part in zip(self.networks, raw, strict=True)
        ]
        height, width = (max(ab.shape[side] for ab in planes) for side in (2, 3))
        shares = [member.share for member in self.members]
        parts = [_resize(ab, (width, height)) * share for ab, share in zip(planes, shares, strict=True)]
        return torch.stack(parts).sum(dim=0)  # (B, 2, h', w')


def _picture_size(spec: ModelSpec, gray: Tensor) -> tuple[int, int]:
    height, width = gray.shape[-2:]
    render_factor = round((height * width) ** 0.5 / PIXELS_PER_RENDER_FACTOR)
    return spec.render_size(width, height, render_factor)


def _resize(planes: Tensor, size: tuple[int, int]) -> Tensor:
    width, height = size
    if planes.shape[-2:] == (height, width):
        return planes
    return F.interpolate(planes, (height, width), mode="bilinear", align_corners=False, antialias=True)


def parse_mix(text: str) -> list[tuple[str, float]]:
    """`a+b:0.6` -> names (or weights files) and shares that add to 1.

    Networks without a share divide what is left equally; without any, all count the same. Where every share is given they are
    scaled to add to 1. Raises `UsageError` for an empty name, a share that is no positive number, or shares that leave nothing.
    """
    names, shares = [], []
    for part in text.split("+"):
        name, colon, share = part.strip().rpartition(":")
        if not colon or not _is_number(share):
            name, share = part.strip(), ""
        if not name:
            raise UsageError(f"{text!r} has an empty place", remedy="write network names with + between, such as a+b:0.6")
        names.append(name)
        shares.append(float(share) if share else None)
    given = [share for share in shares if share is not None]
    if any(share <= 0 for share in given):
        raise UsageError(f"{text!r} has a share that is not above 0", remedy="leave that network out instead")
    if len(given) == len(shares):
        return [(name, share / sum(given)) for name, share in zip(names, given, strict=True)]
    left = 1.0 - sum(given)
    if left <= 0:
        raise UsageError(f"the shares in {text!r} leave nothing for the other networks", remedy="give shares below 1 in all")
    rest = left / (len(shares) - len(given))
    return [(name, rest if share is None else share) for name, share in zip(names, shares, strict=True)]


def _is_number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False
