"""DeOldify's two generators against what its original code gave with the same made-up weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from published import differences, fixture_folder, published_tensors

from deoldify_video.models.deoldify import Generator, load_generator

RENDER_FACTORS = (7, 10)
PEAK_LIMIT = 1.3  # loading's memory over the size of the weights


@pytest.fixture(scope="module", params=["deep", "wide"])
def generator_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deoldify") / f"{request.param}.pth"
    torch.save({"model": published_tensors("deoldify", request.param), "opt": {"slices": [slice(0, 3)]}}, path)
    return path


@pytest.fixture(scope="module")
def generator(generator_file: Path) -> Generator:
    return load_generator(generator_file)


def original_input(gray: np.ndarray, side: int) -> torch.Tensor:
    """The square picture of the original, (1, 1, S, S) in [0, 1]: Pillow's antialiased bilinear stretch."""
    square = Image.fromarray(gray).convert("LA").resize((side, side), Image.Resampling.BILINEAR).convert("RGB")
    return torch.from_numpy(np.asarray(square)[:, :, 0].copy()).float()[None, None] / 255.0


def original_finish(rgb: torch.Tensor, gray: np.ndarray) -> np.ndarray:
    """The original's luma rule: U and V of the network's picture, stretched, and Y of the source."""
    square = (rgb[0].permute(1, 2, 0).numpy() * 255.0).astype(np.uint8)
    height, width = gray.shape
    picture = np.asarray(Image.fromarray(square).resize((width, height), Image.Resampling.BILINEAR))
    yuv = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV)
    yuv[:, :, 0] = cv2.cvtColor(np.dstack([gray] * 3), cv2.COLOR_RGB2YUV)[:, :, 0]
    return cv2.cvtColor(yuv, cv2.COLOR_YUV2RGB)


@pytest.mark.parametrize("render_factor", RENDER_FACTORS)
def test_raw_output_and_finished_picture_are_the_originals(
    generator: Generator, generator_file: Path, render_factor: int
) -> None:
    fixture = np.load(fixture_folder("deoldify") / f"{generator_file.stem}.npz")
    gray = fixture["grey"]
    with torch.inference_mode():
        raw = generator(generator.prepare(original_input(gray, 16 * render_factor)))
        largest, mean = differences(raw, fixture[f"rf{render_factor}_net"])
        assert largest < 2e-2
        assert mean < 1e-3
        finished = original_finish(generator.to_rgb(raw), gray)
    expected = fixture[f"rf{render_factor}_final_u8"]
    assert np.abs(finished.astype(int) - expected.astype(int)).mean() < 0.5


@pytest.mark.parametrize("generator_file", ["deep"], indirect=True)
def test_loading_peaks_near_the_size_of_the_weights(generator_file: Path) -> None:
    script = (
        "import resource, sys, torch\n"
        "from deoldify_video.models.deoldify import CONFIGS, Generator, load_generator\n"
        "with torch.device('meta'): Generator(CONFIGS['deep'])\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "network = load_generator(sys.argv[1])\n"
        "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "size = sum(p.numel() * p.element_size() for p in network.parameters())\n"
        "unit = 1 if sys.platform == 'darwin' else 1024\n"
        "print(peak * unit / size)\n"
    )
    pytest.importorskip("resource", reason="peak memory is read by a Unix library")
    command = [sys.executable, "-c", script, str(generator_file)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=100)
    assert float(answer.stdout) <= PEAK_LIMIT
