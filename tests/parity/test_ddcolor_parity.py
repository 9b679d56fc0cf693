"""DDColor, tiny and large, against what its original code gave with the same made-up weights."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from published import differences, fixture_folder, published_tensors

from deoldify_video.models.ddcolor import load_ddcolor

SIDE = 256


def original_input(gray: np.ndarray) -> torch.Tensor:
    """RGB of the picture's L alone, made with OpenCV's Lab as the original does: (1, 3, S, S) float32 in [0, 1]."""
    square = cv2.resize(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), (SIDE, SIDE)).astype(np.float32) / 255.0
    lightness = cv2.cvtColor(square, cv2.COLOR_BGR2Lab)[:, :, :1]
    rgb = cv2.cvtColor(
        np.concatenate([lightness, np.zeros_like(lightness), np.zeros_like(lightness)], axis=2), cv2.COLOR_LAB2RGB
    )
    return torch.from_numpy(rgb).permute(2, 0, 1)[None]


@pytest.mark.parametrize("network", ["tiny", "large"])
def test_ab_is_the_originals(network: str, tmp_path: Path) -> None:
    fixture = np.load(fixture_folder("ddcolor") / f"{network}.npz")
    path = tmp_path / "pytorch_model.bin"
    torch.save({"params": published_tensors("ddcolor", network)}, path)
    ddcolor = load_ddcolor(path)
    with torch.inference_mode():
        largest, mean = differences(ddcolor(original_input(fixture["grey"])), fixture[f"s{SIDE}_net"])
    assert largest < 1e-2
    assert mean < 1e-3


def test_our_gray_input_is_the_originals_within_a_gray_level() -> None:
    fixture = np.load(fixture_folder("ddcolor") / "tiny.npz")
    gray = cv2.resize(fixture["grey"], (SIDE, SIDE))
    ours = torch.from_numpy(gray)[None, None].float().expand(-1, 3, -1, -1) / 255.0
    assert (ours - original_input(fixture["grey"])).abs().max() < 1 / 255
