"""A network that is told colours at points of a photo."""

from __future__ import annotations

from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from deoldify_video.color.hints import Hint, draw_hints
from deoldify_video.errors import UsageError
from deoldify_video.models.base import ColorNetwork


class GuidedNetwork(ColorNetwork, Protocol):
    """A network that takes colours which are known beforehand (implemented by `nn.Module`s)."""

    def guided(self, x: Tensor, hint_ab: Tensor, hint_mask: Tensor) -> Tensor:
        """As the forward pass, with ab (B, 2, h, w) in Lab units where `hint_mask` (B, 1, h, w) is 1, and 0 elsewhere."""


class HintedNetwork(nn.Module):
    """A network with a photo's hints; implements `ColorNetwork` like the network itself. `gain` multiplies its answer later."""

    def __init__(self, network: GuidedNetwork, hints: tuple[Hint, ...], gain: float) -> None:
        super().__init__()
        self.network = network
        self.hints, self.gain = hints, gain

    def prepare(self, gray: Tensor) -> Tensor:
        """As the network itself."""
        return self.network.prepare(gray)

    def forward(self, x: Tensor) -> Tensor:
        """The network's raw answer to `x` (B, 1, h, w), guided by the hints."""
        height, width = x.shape[-2:]
        ab, mask = (torch.from_numpy(plane).to(x).expand(len(x), -1, -1, -1) for plane in draw_hints(self.hints, width, height))
        return self.network.guided(x, ab / self.gain, mask)

    def to_ab(self, raw: Any, temperature: float = 1.0) -> Tensor:
        """As the network itself."""
        return self.network.to_ab(raw, temperature)


def with_hints(network: ColorNetwork, hints: tuple[Hint, ...], gain: float) -> HintedNetwork:
    """`network` guided by `hints`, whose answer will be multiplied by `gain`; raises `UsageError` where it takes none."""
    if not hasattr(network, "guided"):
        raise UsageError("colour hints need a network that takes them", remedy="use --model compact or siggraph17")
    return HintedNetwork(cast(GuidedNetwork, network), hints, gain or 1.0)
