"""Lab on tensors against scikit-image's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import color

from deoldify_video.color.gray import gray_of
from deoldify_video.color.lab import gray_to_lightness, lab_to_rgb, rgb_to_lab


@pytest.fixture(scope="module")
def colors():
    """A grid over the sRGB cube with all its corners, (H, W, 3) float64, and colours near black, where the curves have knees."""
    ramp = np.concatenate([np.linspace(0, 1, 18), np.linspace(0, 0.05, 6)])
    return np.stack(np.meshgrid(ramp, ramp, ramp), -1).reshape(24, -1, 3)


def tensor(picture, dtype=torch.float64):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(picture, -1, 0)))[None].to(dtype)


def picture(planes):
    return np.moveaxis(planes[0].double().numpy(), 0, -1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-2)])
def test_rgb_to_lab_is_scikit_images(colors, dtype, tolerance):
    np.testing.assert_allclose(picture(rgb_to_lab(tensor(colors, dtype))), color.rgb2lab(colors), atol=tolerance)


def test_lab_to_rgb_is_scikit_images(colors):
    lab = color.rgb2lab(colors)
    np.testing.assert_allclose(picture(lab_to_rgb(tensor(lab))), color.lab2rgb(lab), atol=1e-6)


def test_there_and_back(colors):
    np.testing.assert_allclose(picture(lab_to_rgb(rgb_to_lab(tensor(colors)))), colors, atol=1e-5)


def test_colors_outside_the_gamut_are_clipped_or_shown():
    lab = torch.tensor([50.0, 120.0, -120.0]).reshape(1, 3, 1, 1)
    inside, outside = lab_to_rgb(lab), lab_to_rgb(lab, clip=False)
    assert inside.min() >= 0
    assert inside.max() <= 1
    assert outside.min() < 0 or outside.max() > 1
    torch.testing.assert_close(outside.clamp(0, 1), inside)


def test_lightness_of_gray_is_l_and_ab_of_gray_are_nothing():
    gray = torch.linspace(0, 1, 256).reshape(1, 1, 1, 256)
    lab = rgb_to_lab(gray.double().expand(-1, 3, -1, -1))
    torch.testing.assert_close(gray_to_lightness(gray.double()), lab[:, :1], atol=1e-3, rtol=0)
    assert lab[:, 1:].abs().max() < 0.02
    assert gray_to_lightness(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([0.0, 100.0], abs=1e-4)


def test_the_gray_of_a_color_has_its_lightness():
    codes = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    gray = torch.from_numpy(gray_of(codes))
    np.testing.assert_allclose(gray_to_lightness(gray).numpy(), color.rgb2lab(codes)[..., 0], atol=0.05)
