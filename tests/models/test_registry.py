"""Every network's entry, and the sizes of the pictures they see."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deoldify_video.color.style import STYLES
from deoldify_video.errors import DependencyError
from deoldify_video.models.registry import MODELS, find_model
from deoldify_video.models.weights import shipped_weights
from deoldify_video.options import MAX_RENDER_FACTOR, MIN_RENDER_FACTOR, ColorOptions

MAX_SHIPPED_BYTES = 80_000_000

specs = pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS)


@specs
def test_every_entry_is_complete(spec):
    assert spec.title
    assert spec.license
    assert set(spec.styles) == set(STYLES)
    for factor in (spec.film_render_factor, spec.photo_render_factor):
        assert MIN_RENDER_FACTOR <= factor <= MAX_RENDER_FACTOR
    assert (spec.weights is None) != (spec.published is None)
    assert spec.mark[0]


def test_the_default_network_ships_with_its_model_card():
    spec = find_model(ColorOptions.model)
    weights = shipped_weights(spec.weights)
    assert 1_000_000 < weights.stat().st_size < MAX_SHIPPED_BYTES
    card = weights.with_suffix(".md").read_text().lower()
    for word in ("train", "db", "licence"):
        assert word in card


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(DependencyError) as caught:
        find_model("nonesuch")
    for name in MODELS:
        assert name in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(MODELS)),
    width=st.integers(16, 8000),
    height=st.integers(16, 8000),
    factor=st.integers(MIN_RENDER_FACTOR, MAX_RENDER_FACTOR),
)
def test_the_picture_that_a_network_sees(name, width, height, factor):
    spec = MODELS[name]
    seen_width, seen_height = spec.render_size(width, height, factor)
    assert seen_width % spec.stride == seen_height % spec.stride == 0
    assert min(seen_width, seen_height) >= spec.stride
    assert spec.render_size(height, width, factor) == (seen_height, seen_width)
    side = 16 * factor
    if spec.square:
        assert seen_width == seen_height
        assert abs(seen_width - side) <= max(spec.stride / 2, spec.stride - side)
    elif max(width / height, height / width) < 2:
        assert abs(seen_width * seen_height / side**2 - 1) < 3.2 * spec.stride / side
        wanted, seen = width / height, seen_width / seen_height
        assert abs(seen / wanted - 1) < 2.6 * spec.stride / side
