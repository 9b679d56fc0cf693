"""Stamps of every kind: kept where they are sound, repaired and counted where they are not, no drift in an hour."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, cycle, islice, pairwise

import av
import numpy as np
import pytest
from damage import with_packets
from hypothesis import given
from hypothesis import strategies as st
from synth import blank_frame, light, make_film, planes, sound_packets, stamps, write_plane

from deoldify_video.errors import UsageError
from deoldify_video.film.colorize import colorize_film
from deoldify_video.media.timing import PtsClock, decode_stamps, rising
from deoldify_video.options import DecodeOptions, EncodeOptions, FilmOptions, SmoothOptions

OPTIONS = FilmOptions(encode=EncodeOptions(codec="ffv1"), smooth=SmoothOptions(0.0))
MILLISECOND = Fraction(1, 1000)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_vfr_pts(tmp_path, stub_colorizer, suffix):
    steps = list(islice(cycle([40, 17, 120, 33, 1]), 23))
    pts = [0, *accumulate(steps)]
    source = make_film(tmp_path / f"old{suffix}", frames=24, pts=pts, time_base=MILLISECOND)
    output = tmp_path / f"new{suffix}"
    report = colorize_film(source, output, OPTIONS if suffix == ".mkv" else FilmOptions(), colorizer=stub_colorizer)
    assert stamps(output) == stamps(source) == [stamp * MILLISECOND for stamp in pts]
    assert report.verification["worst_stamp_s"] < 1e-6
    with pytest.raises(UsageError, match=r"variable frame rate; write to \.mkv"):
        colorize_film(source, tmp_path / "new.avi", FilmOptions(), colorizer=stub_colorizer)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_start_offset(tmp_path, stub_colorizer, suffix):
    pts = [5000 + 40 * number for number in range(12)]
    source = make_film(tmp_path / f"old{suffix}", pts=pts, time_base=MILLISECOND, options={"bf": "2"})
    output = tmp_path / f"new{suffix}"
    report = colorize_film(source, output, FilmOptions(), colorizer=stub_colorizer)
    between = [new - old for new, old in zip(stamps(output), stamps(source), strict=True)]
    assert max(between) - min(between) <= MILLISECOND / 10
    assert suffix == ".ts" or between[0] == 0  # a transport stream has a clock of its own
    sounds = [new - old for (new, _), (old, _) in zip(sound_packets(output), sound_packets(source), strict=True)]
    assert max(abs(shift - between[0]) for shift in sounds) <= MILLISECOND
    assert report.verification["ok"]


@pytest.mark.parametrize("fault", ["backward", "repeated", "leap"])
def test_bad_pts(tmp_path, stub_colorizer, fault):
    whole = make_film(tmp_path / "whole.mkv", frames=20, codec="ffv1")
    number = -1

    def change(packet: av.Packet) -> None:
        nonlocal number
        number += 1
        if number == 9:
            packet.pts = {"backward": 120, "repeated": packet.pts - 40, "leap": 90_000}[fault]
        packet.dts = number - 100  # not stored, but the writer wants it to rise

    source = with_packets(tmp_path / "old.mkv", whole, change)
    output = tmp_path / "new.mkv"
    report = colorize_film(source, output, OPTIONS, colorizer=stub_colorizer)
    assert any("1 missing or backward timestamps were repaired" in warning for warning in report.warnings)
    found = stamps(output)
    assert len(found) == 20
    assert all(a < b for a, b in pairwise(found))
    wrong = [i for i, (new, old) in enumerate(zip(found, stamps(whole), strict=True)) if new != old]
    assert wrong in ([], [9])
    np.testing.assert_array_equal(planes(output), planes(whole))


@given(st.lists(st.none() | st.integers(0, 400), min_size=1, max_size=40))
def test_stamps_rise_whatever_comes(given_stamps):
    clock = PtsClock(Fraction(25), MILLISECOND)
    result = [stamp for stamp, _ in rising(given_stamps, lambda stamp: stamp, clock)]
    assert len(result) == len(given_stamps)
    assert all(a < b for a, b in pairwise(result))
    sound = None not in given_stamps and all(a < b for a, b in pairwise(given_stamps))
    assert (result == given_stamps and clock.repaired == 0) if sound else clock.repaired > 0


@given(st.lists(st.integers(1, 90), min_size=1, max_size=60), st.integers(0, 4), st.booleans())
def test_nothing_is_decoded_after_it_is_shown(steps, delay, strict):
    pts = list(accumulate(steps))
    order = [i ^ 1 if (i ^ 1) < len(pts) and delay else i for i in range(len(pts))]  # coded in swapped pairs
    dts = list(decode_stamps(pts, delay, 40, strict=strict))
    assert all(d <= pts[i] for d, i in zip(dts, order, strict=True)) or delay == 0
    assert all((a < b) if strict else (a <= b) for a, b in pairwise(dts))
    assert strict or min(dts) >= pts[0]


@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_tail_flush(tmp_path, stub_colorizer, frames):
    """Decoder, shot detector, smoother and encoder all hold frames back; none is lost."""
    source = make_film(tmp_path / "old.mp4", frames=frames, options={"bf": "3"})
    report = colorize_film(source, tmp_path / "new.mp4", FilmOptions(), colorizer=stub_colorizer)
    assert report.frames == len(planes(tmp_path / "new.mp4")) == frames
    assert stamps(tmp_path / "new.mp4") == stamps(source)


def test_ntsc_hour(tmp_path, stub_colorizer):
    """23.976 frames a second for an hour, one frame in 480: the last one is exactly where it belongs, so is the sound."""
    tick, every = Fraction(1001, 24000), 480
    pts = [number * every for number in range(3600 * 24000 // 1001 // every)]
    path = tmp_path / "old.mp4"
    with av.open(str(path), "w") as target:
        video = target.add_stream("mpeg4", rate=1 / tick)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        video.time_base = video.codec_context.time_base = tick
        sound = target.add_stream("aac", rate=8000, layout="mono")
        for number, stamp in enumerate(pts):
            frame = blank_frame((32, 32), "yuv420p")
            write_plane(frame, 0, light(number, (32, 32)))
            frame.pts, frame.time_base = stamp, tick
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        silence = np.zeros((1, 8000 * 60), np.float32)
        for minute in range(60):
            block = av.AudioFrame.from_ndarray(silence, format="flt", layout="mono")
            block.sample_rate, block.pts, block.time_base = 8000, minute * 8000 * 60, Fraction(1, 8000)
            target.mux(sound.encode(block))
        target.mux(sound.encode(None))
    output = tmp_path / "new.mp4"
    report = colorize_film(path, output, FilmOptions(smooth=SmoothOptions(0.0)), colorizer=stub_colorizer)
    assert stamps(output) == [stamp * tick for stamp in pts]
    assert stamps(output)[-1] > 3550
    assert sound_packets(output)[-1] == sound_packets(path)[-1]
    assert report.verification["worst_stamp_s"] < 1e-6


def test_a_part_of_a_film_with_an_offset_begins_at_zero(tmp_path, stub_colorizer):
    pts = [5000 + 40 * number for number in range(30)]
    source = make_film(tmp_path / "old.mkv", frames=30, pts=pts, time_base=MILLISECOND)
    output = tmp_path / "new.mkv"
    options = FilmOptions(decode=DecodeOptions(0.4, 0.8), encode=EncodeOptions(codec="ffv1"))
    report = colorize_film(source, output, options, colorizer=stub_colorizer)
    assert (report.frames, stamps(output)[0]) == (10, 0)
    np.testing.assert_array_equal(planes(output), planes(source)[10:20])
    assert report.verification["duration_s"] == pytest.approx(0.4, abs=0.041)  # Matroska need not say how long a frame shows


def test_a_film_without_an_index_is_read_from_its_beginning(tmp_path, stub_colorizer):
    """A transport stream cannot be sought exactly: --start decodes up to there."""
    source = make_film(tmp_path / "old.ts", frames=40, options={"g": "40"})
    output = tmp_path / "new.mkv"
    options = FilmOptions(decode=DecodeOptions(1.0), encode=EncodeOptions(codec="ffv1"))
    colorize_film(source, output, options, colorizer=stub_colorizer)
    np.testing.assert_array_equal(planes(output), planes(source)[25:])
