"""Segments: where they begin, and that a run that goes on divides alike."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deoldify_video.film.pipeline import ResumePoint, mark_segments
from deoldify_video.media.decode import FrameStamp
from deoldify_video.options import SegmentOptions

LENGTHS = SegmentOptions(shortest=40, longest=400)


def film(shots):
    """Frames of shots of the given lengths, each with its shot."""
    numbers = [number for number, length in enumerate(shots) for _ in range(length)]
    return [(FrameStamp(index, index), shot) for index, shot in enumerate(numbers)]


def segments_of(marked):
    return [segment for _, _, segment in marked]


def lengths(shots):
    numbers = segments_of(mark_segments(film(shots), ResumePoint(), LENGTHS))
    assert numbers == sorted(numbers)
    return [numbers.count(number) for number in range(numbers[-1] + 1)]


@pytest.mark.parametrize(
    ("shots", "expected"),
    [
        ([10], [10]),
        ([LENGTHS.shortest, 5], [LENGTHS.shortest, 5]),
        ([LENGTHS.shortest - 1, 5], [LENGTHS.shortest + 4]),
        ([15] * 6, [45, 45]),
        ([LENGTHS.longest + 7], [LENGTHS.longest, 7]),
    ],
)
def test_segments_begin_at_cuts_and_divide_long_shots(shots, expected):
    assert lengths(shots) == expected


@settings(max_examples=25, deadline=None)
@given(shots=st.lists(st.integers(1, 120), min_size=1, max_size=8), data=st.data())
def test_a_run_that_goes_on_divides_alike(shots, data):
    whole = list(mark_segments(film(shots), ResumePoint(), LENGTHS))
    number = data.draw(st.integers(0, whole[-1][2]))
    first = segments_of(whole).index(number)
    warm_up = data.draw(st.integers(0, min(first, 40)))
    # A detector that begins in mid-film counts its shots from zero.
    rest = film(shots)[first - warm_up :]
    rest = [(frame, shot - rest[0][1]) for frame, shot in rest]
    resumed = list(mark_segments(rest, ResumePoint(first, number, whole[first][1]), LENGTHS))
    assert resumed == whole[first:]
