"""Published networks with made-up weights, from the fixtures in the folder `shared` beside the checkout."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
RECIPE_GAIN = {"deoldify": 2, "ddcolor": 1, "zhang": 2}  # variance times fan-in of the recipe weights


def fixture_folder(family: str) -> Path:
    """The fixtures of a family; skips the test where they are absent."""
    folder = SHARED / family
    if not folder.is_dir():
        pytest.skip(f"the parity fixtures of {family} are not beside this checkout")
    return folder


def published_tensors(family: str, network: str) -> dict[str, Tensor]:
    """A state dict as published: small tensors from the fixture file, large ones by the seeded recipe."""
    folder = fixture_folder(family)
    small = np.load(folder / f"{network}_small_tensors.npz")
    tensors = {}
    for line in (folder / f"{network}_keys.txt").read_text().splitlines():
        key, shape_text, _, origin = line.split()
        if origin == "file":
            tensors[key] = torch.from_numpy(small[key])
            continue
        shape = tuple(int(side) for side in shape_text.split("x"))
        normal = np.random.RandomState(zlib.crc32(f"film-{key}".encode())).standard_normal(size=shape)
        spread = np.sqrt(RECIPE_GAIN[family] / np.prod(shape[1:]))
        tensors[key] = torch.from_numpy((normal * spread).astype(np.float32))
    return tensors


def differences(answer: Tensor, expected: np.ndarray) -> tuple[float, float]:
    """Largest and mean absolute difference."""
    difference = (answer - torch.from_numpy(expected)).abs()
    return float(difference.max()), float(difference.mean())
