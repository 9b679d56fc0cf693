"""Chroma for a film's own matrix and range."""

from __future__ import annotations

import av
import numpy as np
import pytest
from skimage import color

from deoldify_video.color.yuv import (
    LUMA_WEIGHTS,
    SampleRange,
    ab_to_chroma,
    chroma_to_samples,
    limit_chroma,
    luma_to_gray,
    yuv_to_rgb,
)

FFMPEG_MATRIX = {"bt601": 5, "bt709": 1, "bt2020": 9}
matrices = pytest.mark.parametrize("matrix", LUMA_WEIGHTS)


def chroma_of(rgb, matrix):
    """Luma and chroma by definition: Y' = kr R + kg G + kb B, Cb = (B - Y') / 2(1 - kb), Cr likewise."""
    kr, kb = LUMA_WEIGHTS[matrix]
    y = kr * rgb[..., 0] + (1 - kr - kb) * rgb[..., 1] + kb * rgb[..., 2]
    return y, np.stack([(rgb[..., 2] - y) / (2 - 2 * kb), (rgb[..., 0] - y) / (2 - 2 * kr)])


@pytest.mark.parametrize(
    ("depth", "full", "expected"),
    [
        (8, False, (16, 235, 128, 224)),
        (8, True, (0, 255, 128, 255)),
        (10, False, (64, 940, 512, 896)),
        (10, True, (0, 1023, 512, 1023)),
        (16, False, (4096, 60160, 32768, 57344)),
    ],
)
def test_ranges_are_those_of_the_standards(depth, full, expected):
    samples = SampleRange.of(depth, full=full)
    assert (samples.black, samples.white, samples.neutral, samples.chroma_span) == expected


@pytest.mark.parametrize("depth", [8, 10, 12, 16])
@pytest.mark.parametrize("full", [False, True])
def test_black_and_white_luma_become_black_and_white_gray(depth, full):
    samples = SampleRange.of(depth, full=full)
    dtype = np.uint8 if depth == 8 else np.uint16
    top = (1 << depth) - 1
    middle = (samples.black + samples.white) // 2
    gray = luma_to_gray(np.array([[0, samples.black, middle, samples.white, top]], dtype), samples)
    assert gray.dtype == np.uint8
    assert gray[0, [0, 1, 3, 4]].tolist() == [0, 0, 255, 255]
    assert abs(int(gray[0, 2]) - 127.5) <= 1


@matrices
def test_neutral_ab_is_neutral_chroma(matrix):
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    chroma = ab_to_chroma(gray, np.zeros((2, 16, 16), np.float32), matrix)
    assert np.abs(chroma).max() < 0.5 / 255
    for depth in (8, 10):
        samples = SampleRange.of(depth, full=False)
        assert (chroma_to_samples(np.zeros((2, 2, 2), np.float32), samples, depth) == samples.neutral).all()


@matrices
def test_chroma_of_ab_is_that_of_the_lab_color(matrix):
    rng = np.random.default_rng(1)
    gray = rng.integers(60, 200, (20, 20), np.uint8)
    ab = rng.uniform(-12, 12, (2, 20, 20)).astype(np.float32)  # inside the gamut at these lightnesses
    lightness = color.rgb2lab(np.repeat(gray[..., None], 3, 2))[..., 0]
    rgb = color.lab2rgb(np.dstack([lightness, ab[0], ab[1]]))
    np.testing.assert_allclose(ab_to_chroma(gray, ab, matrix), chroma_of(rgb, matrix)[1], atol=1e-3)


@matrices
def test_strong_colors_stay_in_the_cube_and_keep_their_hue(matrix):
    rng = np.random.default_rng(2)
    y = rng.uniform(0, 1, (30, 30)).astype(np.float32)
    chroma = rng.uniform(-0.5, 0.5, (2, 30, 30)).astype(np.float32)
    limited = limit_chroma(y, chroma, matrix)
    kr, kb = LUMA_WEIGHTS[matrix]
    red, blue = y + 2 * (1 - kr) * limited[1], y + 2 * (1 - kb) * limited[0]
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    for channel in (red, green, blue):
        assert channel.min() > -1e-3
        assert channel.max() < 1 + 1e-3
    cross = limited[0] * chroma[1] - limited[1] * chroma[0]
    assert np.abs(cross).max() < 1e-6
    assert (np.abs(limited) <= np.abs(chroma) + 1e-6).all()
    weak = chroma * 0.02
    middle = np.full_like(y, 0.5)
    np.testing.assert_allclose(limit_chroma(middle, weak, matrix), weak, atol=1e-6)


@matrices
def test_yuv_to_rgb_undoes_the_definition(matrix):
    rgb = np.random.default_rng(3).uniform(0, 1, (25, 25, 3)).astype(np.float32)
    y, chroma = chroma_of(rgb, matrix)
    np.testing.assert_allclose(yuv_to_rgb(y, chroma.astype(np.float32), matrix), rgb, atol=1e-5)


@matrices
@pytest.mark.parametrize("full", [False, True])
def test_samples_mean_to_ffmpeg_what_they_mean_here(matrix, full):
    rng = np.random.default_rng(4)
    patches = rng.uniform(0.1, 0.9, (6, 6, 3))
    rgb = np.kron(patches, np.ones((4, 4, 1)))  # (24, 24, 3)
    y, chroma = chroma_of(rgb, matrix)
    samples = SampleRange.of(8, full=full)
    frame = av.VideoFrame(24, 24, "yuv444p")
    luma = np.rint(samples.black + y * (samples.white - samples.black))
    for plane, values in zip(frame.planes, (luma, *chroma_to_samples(chroma.astype(np.float32), samples, 8)), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        rows[:24, :24] = values
    frame.colorspace, frame.color_range = FFMPEG_MATRIX[matrix], 2 if full else 1
    converted = frame.reformat(format="rgb24", dst_color_range="JPEG").to_ndarray()
    np.testing.assert_allclose(converted / 255, rgb, atol=3 / 255)
