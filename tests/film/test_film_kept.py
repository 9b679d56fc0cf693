"""A film keeps its light, its timing and its sound when it is colorized."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, cycle, islice

import av
import cv2
import numpy as np
import pytest
from synth import colorfulness, make_film, planes, sound_packets, stamps

from deoldify_video.errors import InputError
from deoldify_video.film.colorize import colorize_film
from deoldify_video.options import CODECS, ColorOptions, DecodeOptions, EncodeOptions, FilmOptions

FFV1 = FilmOptions(encode=EncodeOptions(codec="ffv1"))


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "full"),
    [
        ("libx264", "yuv420p", False),
        ("libx264", "yuv420p10le", False),
        ("ffv1", "yuv422p12le", False),
        ("ffv1", "gray", True),
        ("ffv1", "gray16le", True),
        ("mpeg4", "yuv420p", False),
    ],
)
def test_ffv1_keeps_every_luma_sample(tmp_path, stub_colorizer, codec, pix_fmt, full):
    source = make_film(tmp_path / "old.mkv", codec=codec, pix_fmt=pix_fmt, full=full)
    output = tmp_path / "new.mkv"
    report = colorize_film(source, output, FFV1, colorizer=stub_colorizer)
    before, after = planes(source), planes(output)
    assert report.frames == len(before) == len(after) == 12
    for old, new in zip(before, after, strict=True):
        assert old.dtype == new.dtype
        np.testing.assert_array_equal(old, new)
    assert colorfulness(output) > 3


def test_odd_sizes_keep_every_luma_sample(tmp_path, stub_colorizer):
    source = make_film(tmp_path / "old.mkv", size=(63, 47), codec="ffv1", audio=None)
    output = tmp_path / "new.mkv"
    colorize_film(source, output, FFV1, colorizer=stub_colorizer)
    np.testing.assert_array_equal(planes(source), planes(output))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_timing_and_sound_are_the_sources_own(tmp_path, stub_colorizer, suffix):
    source = make_film(tmp_path / f"old{suffix}", frames=20, audio_streams=2)
    output = tmp_path / f"new{suffix}"
    colorize_film(source, output, colorizer=stub_colorizer)
    assert stamps(output) == stamps(source)
    for stream in (0, 1):
        assert sound_packets(output, stream) == sound_packets(source, stream)
    with av.open(str(output)) as container:
        assert [stream.language for stream in container.streams.audio] == ["eng", "fra"]
    assert colorfulness(output) > 3


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rate_keeps_every_stamp(tmp_path, stub_colorizer, suffix):
    steps = islice(cycle([40, 40, 17, 120, 33, 1]), 29)
    pts = [80, *accumulate(steps, initial=120)]
    source = make_film(tmp_path / f"old{suffix}", frames=len(pts), pts=pts, time_base=Fraction(1, 1000))
    output = tmp_path / f"new{suffix}"
    colorize_film(source, output, colorizer=stub_colorizer)
    assert len(stamps(source)) == len(pts)
    assert stamps(output) == stamps(source)


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_keeps_frames_and_stamps(tmp_path, stub_colorizer, codec):
    source = make_film(tmp_path / "old.mkv", frames=10, size=(96, 64))
    output = tmp_path / "new.mkv"
    colorize_film(source, output, FilmOptions(encode=EncodeOptions(codec=codec)), colorizer=stub_colorizer)
    assert stamps(output) == stamps(source)
    error = np.abs(np.stack(planes(output)).astype(float) / (1 if codec != "prores" else 4) - np.stack(planes(source)))
    assert error.mean() < 4
    assert colorfulness(output) > 3
    assert sound_packets(output) == sound_packets(source)


def test_shape_and_tags_are_carried_over(tmp_path, stub_colorizer):
    source = make_film(tmp_path / "old.mp4", sar=Fraction(16, 15), rotation=90, matrix=6, primaries=6, transfer=6)
    output = tmp_path / "new.mp4"
    colorize_film(source, output, colorizer=stub_colorizer)
    with av.open(str(source)) as old, av.open(str(output)) as new:
        before, after = next(old.decode(video=0)), next(new.decode(video=0))
        assert new.streams.video[0].sample_aspect_ratio == old.streams.video[0].sample_aspect_ratio == Fraction(16, 15)
        assert after.rotation == before.rotation != 0
        assert after.color_range == before.color_range == 1
        assert after.colorspace == before.colorspace == 6
        for video in (old.streams.video[0].codec_context, new.streams.video[0].codec_context):
            assert (video.color_primaries, video.color_trc) == (6, 6)


def test_wide_pictures_without_tags_are_written_as_bt709(tmp_path, stub_colorizer):
    source = make_film(tmp_path / "old.mp4", frames=3, size=(1280, 720), audio=None, options={"preset": "ultrafast"})
    output = tmp_path / "new.mp4"
    colorize_film(source, output, colorizer=stub_colorizer)
    with av.open(str(output)) as container:
        assert next(container.decode(video=0)).colorspace == 1


def test_a_film_that_has_colors_loses_them_to_the_networks(tmp_path, stub_colorizer):
    source = make_film(tmp_path / "tinted.mkv", codec="ffv1", chroma=40)
    gray = make_film(tmp_path / "grey.mkv", codec="ffv1")
    for film in (source, gray):
        colorize_film(film, tmp_path / f"new-{film.name}", FFV1, colorizer=stub_colorizer)
    np.testing.assert_array_equal(planes(tmp_path / "new-tinted.mkv", 1), planes(tmp_path / "new-grey.mkv", 1))


def test_start_and_end_cut_pictures_and_sound(tmp_path, stub_colorizer):
    source = make_film(tmp_path / "old.mkv", frames=50, options={"g": "10"})
    output = tmp_path / "new.mkv"
    options = replace(FFV1, decode=DecodeOptions(0.48, 1.2))
    report = colorize_film(source, output, options, colorizer=stub_colorizer)
    assert report.frames == 18
    np.testing.assert_array_equal(planes(output), planes(source)[12:30])
    assert stamps(output)[0] == 0
    assert stamps(output) == [stamp - stamps(source)[12] for stamp in stamps(source)[12:30]]
    wanted = [digest for seconds, digest in sound_packets(source) if Fraction("0.48") <= seconds < Fraction("1.2")]
    assert [digest for _, digest in sound_packets(output)] == wanted


def test_cuts_are_counted_and_progress_reaches_the_end(tmp_path, stub_colorizer):
    source = make_film(tmp_path / "old.mkv", frames=36, shots=3, size=(128, 96), audio=None)
    seen = []
    report = colorize_film(source, tmp_path / "new.mkv", on_progress=seen.append, colorizer=stub_colorizer)
    assert report.shots == 3
    assert [progress.frames for progress in seen] == list(range(1, 37))
    assert seen[-1].total == 36
    assert seen[-1].shot == 3


def test_key_frames_spare_the_network_and_keep_every_frame(tmp_path, stub_colorizer):
    source, output = make_film(tmp_path / "old.mkv", frames=17), tmp_path / "new.mkv"
    options = replace(FFV1, color=ColorOptions(keyframes=4))
    colorize_film(source, output, options, colorizer=stub_colorizer)
    np.testing.assert_array_equal(planes(output), planes(source))
    assert stamps(output) == stamps(source)
    assert sum(stub_colorizer.network.batches) < 17
    assert colorfulness(output) > 3


def test_a_photo_is_no_film(tmp_path, stub_colorizer):
    cv2.imwrite(str(tmp_path / "old.png"), np.zeros((8, 8), np.uint8))
    with pytest.raises(InputError, match="is a photo"):
        colorize_film(tmp_path / "old.png", tmp_path / "new.mkv", colorizer=stub_colorizer)


def test_the_shipped_network_colorizes_a_film(tmp_path, real_colorizer):
    source = make_film(tmp_path / "old.mp4", frames=5)
    report = colorize_film(source, tmp_path / "new.mp4", colorizer=real_colorizer)
    assert (report.model, report.kind, report.frames) == ("compact", "film", 5)
    assert stamps(tmp_path / "new.mp4") == stamps(source)
    assert colorfulness(tmp_path / "new.mp4") > 0.5
