"""Perceptual loss: distance between the features of two pictures in a network that has learnt ImageNet (Johnson et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deoldify_video.color.lab import lab_to_rgb
from deoldify_video.models.efficientnet_lite import EfficientNetLite

_MAPS = 3  # features at strides 4, 8 and 16; deeper ones hardly know colours


class EncoderFeatures(nn.Module):
    """A frozen EfficientNet-Lite that sees colours: Lab pictures (B, 3, H, W) -> feature maps, from fine to coarse."""

    def __init__(self, encoder: EfficientNetLite) -> None:
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)

    def forward(self, lab: Tensor) -> list[Tensor]:
        """The maps (B, C, h, w) of three strides."""
        rgb = lab_to_rgb(lab, clip=False)
        return self.encoder((rgb * 255.0 - 127.0) / 128.0)[:_MAPS]


def perceptual_loss(features: nn.Module, painted: Tensor, true: Tensor) -> Tensor:
    """Mean L1 distance of the features of two Lab pictures, each map first scaled to unit length per position. Scalar."""
    with torch.no_grad():
        wanted = features(true)
    losses = [
        (F.normalize(found.float(), dim=1) - F.normalize(aim.float(), dim=1)).abs().sum(dim=1).mean()
        for found, aim in zip(features(painted), wanted, strict=True)
    ]
    return torch.stack(losses).mean()
