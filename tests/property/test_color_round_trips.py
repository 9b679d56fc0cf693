"""Colour arithmetic for any colour."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deoldify_video.color.lab import lab_to_rgb, rgb_to_lab
from deoldify_video.color.upsample import guided_upsample
from deoldify_video.color.yuv import LUMA_WEIGHTS, SampleRange, ab_to_chroma, chroma_to_samples, limit_chroma, luma_to_gray

matrices = st.sampled_from(sorted(LUMA_WEIGHTS))
depths = st.sampled_from([8, 10, 12, 16])
few = settings(max_examples=40, deadline=None)


def unit_floats(shape):
    return hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32))


@few
@given(rgb=unit_floats((1, 3, 3, 4)))
def test_rgb_survives_lab(rgb):
    back = lab_to_rgb(rgb_to_lab(torch.from_numpy(rgb)))
    np.testing.assert_allclose(back.numpy(), rgb, atol=2e-4)


@few
@given(
    gray=hnp.arrays(np.uint8, (4, 5)),
    ab=hnp.arrays(np.float32, (2, 4, 5), elements=st.floats(-128, 127, width=32)),
    matrix=matrices,
    depth=depths,
    full=st.booleans(),
)
def test_chroma_of_any_color_can_be_written_and_shown(gray, ab, matrix, depth, full):
    chroma = ab_to_chroma(gray, ab, matrix)
    assert chroma.shape == (2, 4, 5)
    assert chroma.dtype == np.float32
    assert np.isfinite(chroma).all()
    assert np.abs(chroma).max() <= 0.5 + 1e-3
    assert np.abs(chroma[:, (gray == 0) | (gray == 255)]).max(initial=0) < 1e-3  # black and white have no colour
    samples = SampleRange.of(depth, full=full)
    codes = chroma_to_samples(chroma, samples, depth)
    assert codes.dtype == (np.uint8 if depth == 8 else np.uint16)
    if not full:
        unit = 1 << (depth - 8)
        assert codes.min() >= 16 * unit - unit
        assert codes.max() <= 240 * unit + unit
    back = (codes.astype(np.float32) - samples.neutral) / samples.chroma_span
    np.testing.assert_allclose(back, chroma, atol=0.51 / samples.chroma_span + (0.5 / 255 if full else 0))


@few
@given(y=unit_floats((3, 4)), chroma=unit_floats((2, 3, 4)), matrix=matrices)
def test_limiting_twice_is_limiting_once(y, chroma, matrix):
    once = limit_chroma(y, chroma - np.float32(0.5), matrix)
    np.testing.assert_allclose(limit_chroma(y, once, matrix), once, atol=5e-5)


@few
@given(depth=depths, full=st.booleans(), data=st.data())
def test_gray_rises_with_luma(depth, full, data):
    dtype = np.uint8 if depth == 8 else np.uint16
    luma = np.sort(data.draw(hnp.arrays(dtype, (1, 12), elements=st.integers(0, (1 << depth) - 1))))
    gray = luma_to_gray(luma, SampleRange.of(depth, full=full)).astype(int)
    assert (np.diff(gray) >= 0).all()


@few
@given(
    planes=hnp.arrays(np.float32, (2, 6, 8), elements=st.floats(-0.5, 0.5, width=32)),
    light=unit_floats((12, 16)),
)
def test_enlarged_chroma_is_finite_and_bounded(planes, light):
    guide = light.reshape(6, 2, 8, 2).mean(axis=(1, 3)).astype(np.float32)
    large = guided_upsample(planes, guide, light)
    assert large.shape == (2, 12, 16)
    assert np.isfinite(large).all()
    assert np.abs(large).max() < 8
