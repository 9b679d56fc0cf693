"""Chroma that takes its edges from the luma."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from deoldify_video.color.paint import Painter
from deoldify_video.color.upsample import guided_upsample, guided_upsample_in_bands
from deoldify_video.color.yuv import SampleRange


def smaller(picture, size=(40, 32)):
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def two_halves():
    """A dark and a light half whose edge is not on the small picture's grid, each with a colour of its own."""
    light = np.full((256, 320), 0.2, np.float32)
    light[:, 163:] = 0.8
    planes = np.stack([np.where(light > 0.5, 0.2, -0.1), np.where(light > 0.5, -0.15, 0.25)]).astype(np.float32)
    return light, planes


def test_colors_follow_an_edge_that_the_small_picture_does_not_have(two_halves):
    light, planes = two_halves
    guide, small = smaller(light), np.stack([smaller(plane) for plane in planes])
    guided = guided_upsample(small, guide, light)
    plain = np.stack([cv2.resize(plane, (320, 256), interpolation=cv2.INTER_LINEAR) for plane in small])
    near = np.s_[:, :, 155:172]
    guided_error, plain_error = (np.abs(result - planes)[near].mean() for result in (guided, plain))
    assert guided_error < plain_error / 4
    jump = guided[0, :, 163] - guided[0, :, 162]
    assert jump.min() > 0.25  # of 0.3, from one column to the next


def test_grain_in_the_light_does_not_become_grain_in_the_colors(two_halves):
    light, planes = two_halves
    grainy = light + np.random.default_rng(0).normal(0, 0.03, light.shape).astype(np.float32)
    small = np.stack([smaller(plane) for plane in planes])
    result = guided_upsample(small, smaller(grainy), grainy)
    assert result[0, :, 20:140].std() < 0.01


def test_even_colors_stay_what_they_are():
    light = np.random.default_rng(1).uniform(0, 1, (90, 70)).astype(np.float32)
    planes = np.stack([np.full((32, 40), 0.1), np.full((32, 40), -0.2)]).astype(np.float32)
    result = guided_upsample(planes, smaller(light), light)
    assert result.shape == (2, 90, 70)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[0], 0.1, atol=1e-4)
    np.testing.assert_allclose(result[1], -0.2, atol=1e-4)


@pytest.mark.parametrize("size", [(303, 517), (90, 133), (41, 70), (256, 5)])
def test_in_bands_it_comes_to_the_same(size):
    rng = np.random.default_rng(0)
    planes, guide, large = (rng.random(shape, np.float32) for shape in ((2, 90, 133), (90, 133), size))
    banded = guided_upsample_in_bands(planes, guide, large, band_px=30_000)
    np.testing.assert_allclose(banded, guided_upsample(planes, guide, large), atol=1e-6)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_turned_film_is_painted_as_it_is_coded(turns):
    """The network sees the picture upright; chroma must land where it belongs in the coded one."""
    coded = np.full((48, 64), 60, np.uint8)
    coded[:24, :32] = 180  # upper left, as coded
    upright = np.rot90(cv2.resize(coded, (32, 24), interpolation=cv2.INTER_AREA), turns)
    ab = np.where(upright > 120, 30.0, -5.0).astype(np.float32)
    limited = SampleRange.of(8, full=False)
    painter = Painter("bt601", limited, limited, 8, (32, 24), turns)
    chroma = painter.chroma(coded, np.ascontiguousarray(upright), np.stack([ab, ab]))
    assert chroma.shape == (2, 24, 32)
    assert chroma.dtype == np.uint8
    red = chroma[1].astype(int)
    assert red[:10, :14].min() > red[14:, 18:].max() + 8
