"""Time arithmetic for any stamps."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from deoldify_video.media.timing import PtsClock, decode_stamps, parse_time, rising

rates = st.fractions(min_value=1, max_value=240, max_denominator=1001)
time_bases = st.sampled_from([Fraction(1, n) for n in (1, 25, 600, 1000, 12800, 15360, 90000, 1_000_000)])
rising_stamps = st.lists(st.integers(1, 10_000), min_size=1, max_size=60).map(
    lambda steps: [sum(steps[:n]) - 500 for n in range(1, len(steps) + 1)]
)


@given(rate=rates, time_base=time_bases, stamps=st.lists(st.none() | st.integers(-1000, 100_000), max_size=60))
def test_stamps_rise_whatever_the_file_says(rate, time_base, stamps):
    clock = PtsClock(rate, time_base)
    given_out = [pts for pts, _ in rising(stamps, lambda stamp: stamp, clock)]
    assert len(given_out) == len(stamps)
    assert all(later > earlier for earlier, later in pairwise(given_out))
    kept = sum(out == stamp for out, stamp in zip(given_out, stamps, strict=True))
    assert kept + clock.repaired >= len(stamps)


@given(rate=rates, time_base=time_bases, stamps=rising_stamps)
def test_stamps_that_rise_are_kept(rate, time_base, stamps):
    clock = PtsClock(rate, time_base)
    items = [f"frame at {stamp}" for stamp in stamps]
    assert list(rising(items, lambda item: int(item.split()[-1]), clock)) == list(zip(stamps, items, strict=True))
    assert clock.repaired == 0


@given(stamps=rising_stamps, delay=st.integers(0, 8), step=st.integers(1, 5000))
def test_packets_are_decoded_in_order_and_never_after_they_show(stamps, delay, step):
    decoded = list(decode_stamps(stamps, delay, step))
    assert len(decoded) == len(stamps)
    assert all(later > earlier for earlier, later in pairwise(decoded))
    # An encoder that holds back `delay` frames gives packet n a frame that is at most `delay` before n.
    for number, decode in enumerate(decoded):
        assert decode <= stamps[max(0, number - delay)]


@given(hours=st.integers(0, 99), minutes=st.integers(0, 59), seconds=st.integers(0, 59), thousandths=st.integers(0, 999))
def test_times_mean_what_they_say(hours, minutes, seconds, thousandths):
    expected = hours * 3600 + minutes * 60 + seconds + thousandths / 1000
    assert abs(parse_time(f"{hours}:{minutes:02}:{seconds:02}.{thousandths:03}") - expected) < 1e-6
    assert abs(parse_time(f"{expected:.3f}") - expected) < 1e-6
