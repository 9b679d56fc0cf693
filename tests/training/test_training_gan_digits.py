"""The critic-training code, proved on something small and known: a plain GAN on handwritten digits."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import torch

SCRIPT = Path(__file__).resolve().parents[2] / "samples" / "gan_digits.py"


def load_script():
    spec = importlib.util.spec_from_file_location("gan_digits", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["gan_digits"] = module
    spec.loader.exec_module(module)
    return module


def test_samples_approach_the_digits_in_mean_deviation_and_covariance() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # at 8x8 pixels more threads only wait for each other
    gan = load_script()
    distances = []
    for steps in (0, 320):
        generator, digits = gan.train_digits(steps)
        with torch.no_grad():
            distances.append(gan.distance(generator(torch.randn(len(digits), gan.NOISE)), digits))
    torch.set_num_threads(threads)
    before, after = distances
    assert after.mean < 0.15 * before.mean
    assert after.deviation < 0.25 * before.deviation
    assert after.covariance < 0.7 < before.covariance
    assert gan.distance(digits, digits).covariance == 0.0
    assert len(gan.picture(digits[0]).splitlines()) == 8
