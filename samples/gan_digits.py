"""Trains a plain GAN on handwritten digits with the program's own critic-training code, and compares statistics.

    PYTHONPATH=. python samples/gan_digits.py [steps]

The digits are the 1,797 pictures of 8x8 pixels that come with scikit-learn. What the samples should approach: mean and variance
of the pixels, and the covariance of each pixel with each other one. This is the proof that `training/critic.py` works, on
something small and known.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deoldify_video.training.critic import PatchCritic, adversarial_loss, make_critic_optimizer, train_critic

NOISE = 32
BATCH = 64
AVERAGE_DECAY = 0.98
SIDE = 8


@dataclass(frozen=True)
class Distance:
    """How far samples are from the data: `mean` and `deviation` are rms differences per pixel (pixels are -1..1), `covariance`
    the Frobenius norm of the difference over that of the data's covariance.
    """

    mean: float
    deviation: float
    covariance: float


class DigitGenerator(nn.Sequential):
    """Noise (B, 32) -> pictures (B, 1, 8, 8) in -1..1."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(NOISE, 256),
            nn.BatchNorm1d(256),
            nn.ReLU(),
            nn.Linear(256, 256),
            nn.BatchNorm1d(256),
            nn.ReLU(),
            nn.Linear(256, SIDE * SIDE),
            nn.Tanh(),
            nn.Unflatten(1, (1, SIDE, SIDE)),
        )


def load_digits_tensor() -> Tensor:
    """The digits, (1797, 1, 8, 8) float32 in -1..1."""
    from sklearn.datasets import load_digits

    return torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 8.0 - 1.0


def distance(samples: Tensor, data: Tensor) -> Distance:
    """Compare the statistics of two sets of pictures, each (N, 1, 8, 8)."""
    a, b = samples.flatten(1), data.flatten(1)
    cov_a, cov_b = torch.cov(a.T), torch.cov(b.T)
    return Distance(
        mean=(a.mean(0) - b.mean(0)).square().mean().sqrt().item(),
        deviation=(a.std(0) - b.std(0)).square().mean().sqrt().item(),
        covariance=((cov_a - cov_b).norm() / cov_b.norm()).item(),
    )


def train_digits(steps: int, seed: int = 0) -> tuple[DigitGenerator, Tensor]:
    """Train for `steps`: each a step of the critic, then one of the generator. Returns its weight average and the digits."""
    torch.manual_seed(seed)
    digits = load_digits_tensor()
    generator, critic = DigitGenerator(), PatchCritic(inputs=1, widths=(64,))
    average = copy.deepcopy(generator)
    generator_optimizer = torch.optim.Adam(generator.parameters(), 1e-3, betas=(0.0, 0.9))
    critic_optimizer = make_critic_optimizer(critic, 2e-3)
    for _ in range(steps):
        true = digits[torch.randint(len(digits), (BATCH,))]
        painted = generator(torch.randn(BATCH, NOISE))
        train_critic(critic, critic_optimizer, true, painted)
        critic.requires_grad_(False)
        loss = adversarial_loss(critic(painted))
        critic.requires_grad_(True)
        generator_optimizer.zero_grad()
        loss.backward()
        generator_optimizer.step()
        with torch.no_grad():
            for mean, now in zip(average.parameters(), generator.parameters(), strict=True):
                mean.lerp_(now, 1.0 - AVERAGE_DECAY)
    return average, digits


def picture(sample: Tensor) -> str:
    """A digit in characters."""
    shades = " .:-=+*#%@"
    return "\n".join("".join(shades[int((v.item() + 1) * 4.99)] * 2 for v in row) for row in sample[0])


def main() -> None:
    """Train, and print the statistics before and after."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 900
    for count in (0, steps):
        generator, digits = train_digits(count)
        with torch.no_grad():
            samples = generator(torch.randn(len(digits), NOISE))
        print(f"after {count} steps: {distance(samples, digits)}")
    print(*(picture(sample) for sample in samples[:3]), sep="\n\n")


if __name__ == "__main__":
    main()
