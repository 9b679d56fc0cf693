"""Perceptual loss: distance between the features of two pictures in a network that knows colours.

No pretrained VGG comes with this program, so a small classifier is trained here, on labelled colour tiles, before the
generator. Users who have torchvision and its weights can name one of its VGGs instead (Johnson et al. 2016).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deoldify_video.color.lab import lab_to_rgb
from deoldify_video.errors import DependencyError
from deoldify_video.models.compact import ConvNorm, ResidualBlock
from deoldify_video.training.critic import scaled_lab

_VGG_TAPS = {"vgg11": (5, 10, 15), "vgg13": (9, 14, 19), "vgg16": (9, 16, 23), "vgg19": (9, 18, 27)}
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class FeatureNetwork(Protocol):
    """Anything that turns Lab pictures (B, 3, H, W) into a list of feature maps."""

    def features(self, lab: Tensor) -> list[Tensor]:
        """Feature maps (B, C, h, w), from fine to coarse."""


class ColourClassifier(nn.Module):
    """A small residual network on Lab pictures: `forward` gives class logits, `features` the maps of its three stages."""

    def __init__(self, classes: int, widths: tuple[int, int, int] = (48, 96, 192)) -> None:
        super().__init__()
        self.stem = ConvNorm(3, widths[0], stride=2)
        self.stages = nn.ModuleList(
            [
                ResidualBlock(widths[0], widths[0]),
                ResidualBlock(widths[0], widths[1], 2),
                ResidualBlock(widths[1], widths[2], 2),
            ]
        )
        self.head = nn.Linear(widths[2], classes)

    def features(self, lab: Tensor) -> list[Tensor]:
        """Lab (B, 3, H, W) -> maps at strides 2, 4 and 8."""
        x = self.stem(scaled_lab(lab))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def forward(self, lab: Tensor) -> Tensor:
        """Lab (B, 3, H, W) -> class logits (B, classes)."""
        return self.head(self.features(lab)[-1].mean(dim=(2, 3)))


class VggFeatures(nn.Module):
    """The first stages of a torchvision VGG, as a `FeatureNetwork`. Frozen."""

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in _VGG_TAPS:
            raise DependencyError(f"no VGG is called {name!r}; known are {', '.join(_VGG_TAPS)}.")
        try:
            from torchvision import models
        except ImportError as error:
            raise DependencyError("a VGG for the perceptual loss needs torchvision; install it, or leave `vgg` out.") from error
        try:
            self.layers = getattr(models, name)(weights="DEFAULT").features[: _VGG_TAPS[name][-1]]
        except OSError as error:
            raise DependencyError(f"torchvision cannot fetch the weights of {name}: {error}; leave `vgg` out.") from error
        self.taps = _VGG_TAPS[name]

    def features(self, lab: Tensor) -> list[Tensor]:
        """Lab (B, 3, H, W) -> maps before three of the poolings."""
        rgb = lab_to_rgb(lab, clip=False)
        mean = torch.tensor(_IMAGENET_MEAN, device=rgb.device)[:, None, None]
        std = torch.tensor(_IMAGENET_STD, device=rgb.device)[:, None, None]
        x, maps = (rgb - mean) / std, []
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x)
            if number in self.taps:
                maps.append(x)
        return maps


def perceptual_loss(network: FeatureNetwork, painted: Tensor, true: Tensor) -> Tensor:
    """Mean L1 distance of the features of two Lab pictures, each map first scaled to unit length per position. Scalar."""
    with torch.no_grad():
        wanted = network.features(true)
    losses = [
        (F.normalize(found.float(), dim=1) - F.normalize(aim.float(), dim=1)).abs().sum(dim=1).mean()
        for found, aim in zip(network.features(painted), wanted, strict=True)
    ]
    return torch.stack(losses).mean()
