"""Options are checked once, when they are made."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict

import pytest

from deoldify_video.errors import DeoldifyVideoError, UsageError
from deoldify_video.media.timing import parse_time
from deoldify_video.options import (
    MAX_LOOKAHEAD,
    MAX_RENDER_FACTOR,
    MIN_RENDER_FACTOR,
    ColorOptions,
    DecodeOptions,
    EncodeOptions,
    FilmOptions,
    SegmentOptions,
    SmoothOptions,
)


@pytest.mark.parametrize(
    ("options", "name", "lowest", "highest"),
    [
        (ColorOptions, "render_factor", MIN_RENDER_FACTOR, MAX_RENDER_FACTOR),
        (ColorOptions, "saturation", 0.0, 4.0),
        (SmoothOptions, "smoothing", 0.0, 1.0),
        (SmoothOptions, "lookahead", 0, MAX_LOOKAHEAD),
        (EncodeOptions, "crf", 0, 63),
    ],
)
def test_the_limits_themselves_are_taken_and_nothing_beyond_them(options, name, lowest, highest):
    step = 0.01 if isinstance(lowest, float) else 1
    for value in (lowest, highest):
        assert getattr(options(**{name: value}), name) == value
    for value in (lowest - step, highest + step):
        with pytest.raises(UsageError, match=f"^{name.replace('_', ' ')} {value} is out of range"):
            options(**{name: value})


@pytest.mark.parametrize(
    "make",
    [
        lambda: ColorOptions(device="tpu"),
        lambda: ColorOptions(precision="int8"),
        lambda: ColorOptions(style="sepia"),
        lambda: ColorOptions(saturation=float("nan")),
        lambda: ColorOptions(batch_size=0),
        lambda: SmoothOptions(float("nan")),
        lambda: SmoothOptions(flow="guess"),
        lambda: EncodeOptions(codec="mpeg1"),
        lambda: EncodeOptions(bit_depth=9),
        lambda: DecodeOptions(-1.0),
        lambda: SegmentOptions(10, 9),
        lambda: SegmentOptions(0),
        lambda: SegmentOptions(overlap_frames=0),
        lambda: DecodeOptions(3.0, 3.0),
    ],
)
def test_values_that_cannot_work_are_refused_in_one_sentence(make):
    with pytest.raises(UsageError) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_options_are_frozen_and_plain():
    options = FilmOptions()
    with pytest.raises(FrozenInstanceError):
        options.color = ColorOptions()  # type: ignore[misc]
    assert asdict(options)["color"]["model"] == "compact"


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("90", 90), ("1.5", 1.5), ("1:30", 90), ("01:02:03.25", 3723.25), ("100:00", 6000)]
)
def test_times(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "soon", "1:", ":30", "1e3", "1,5", " 5"])
def test_what_is_no_time(text):
    with pytest.raises(UsageError, match="1:30"):
        parse_time(text)


def test_every_error_has_an_exit_code_of_its_own():
    def family(kind):
        return [kind, *(member for child in kind.__subclasses__() for member in family(child))]

    kinds = [kind for kind in family(DeoldifyVideoError) if kind.__module__ == "deoldify_video.errors"]
    codes = [kind.exit_code for kind in kinds]
    assert sorted(codes) == [1, 2, 3, 4, 5, 6, 7, 130]
