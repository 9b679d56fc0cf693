"""The critic of the adversarial phase, and the code that trains any critic.

The network is a PatchGAN (Isola et al. 2017, "pix2pix"): it judges overlapping patches, so it works on pictures of any size.
Spectral normalisation keeps it smooth (Miyato et al. 2018) and the loss is the hinge (Lim and Ye 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

LAB_SCALE = (50.0, 60.0, 60.0)  # Lab is divided by this (after L loses 50) before the critic looks at it


class PatchCritic(nn.Module):
    """Pictures (B, inputs, H, W) -> one score per patch (B, 1, h, w); high means true. Each width halves the resolution."""

    def __init__(self, inputs: int = 3, widths: tuple[int, ...] = (48, 96, 192)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths:
            layers += [spectral_norm(nn.Conv2d(inputs, width, 4, 2, 1)), nn.LeakyReLU(0.2, inplace=True)]
            inputs = width
        layers += [spectral_norm(nn.Conv2d(inputs, inputs, 3, 1, 1)), nn.LeakyReLU(0.2, inplace=True)]
        layers.append(spectral_norm(nn.Conv2d(inputs, 1, 3, 1, 1)))
        self.layers = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> Tensor:
        """The scores, see the class."""
        return self.layers(pictures)


def scaled_lab(lab: Tensor) -> Tensor:
    """Lab (B, 3, H, W) -> the same at about -1..1, for the critic."""
    scale = torch.tensor(LAB_SCALE, device=lab.device, dtype=lab.dtype)[:, None, None]
    offset = torch.tensor((50.0, 0.0, 0.0), device=lab.device, dtype=lab.dtype)[:, None, None]
    return (lab - offset) / scale


def critic_loss(true_scores: Tensor, painted_scores: Tensor) -> Tensor:
    """Hinge loss of the critic: true scores above 1 and painted ones below -1 cost nothing."""
    return F.relu(1.0 - true_scores.float()).mean() + F.relu(1.0 + painted_scores.float()).mean()


def adversarial_loss(painted_scores: Tensor) -> Tensor:
    """The generator's loss: the critic's mean score of its pictures, negated."""
    return -painted_scores.float().mean()


def make_critic_optimizer(critic: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Adam without momentum, as usual where two networks chase each other."""
    return torch.optim.Adam(critic.parameters(), lr, betas=(0.0, 0.9))


def train_critic(critic: nn.Module, optimizer: torch.optim.Optimizer, true: Tensor, painted: Tensor) -> tuple[Tensor, Tensor]:
    """One step of a critic on a batch of true and of painted pictures, both (B, C, H, W).

    Returns its loss and the share of patches that it judged rightly (0.5 is guessing, 1 means that the painter is found out), both
    scalars on the device.
    """
    optimizer.zero_grad(set_to_none=True)
    true_scores, painted_scores = critic(true), critic(painted.detach())
    loss = critic_loss(true_scores, painted_scores)
    loss.backward()
    optimizer.step()
    right = 0.5 * ((true_scores > 0).float().mean() + (painted_scores < 0).float().mean())
    return loss.detach(), right
