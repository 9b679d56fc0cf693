"""Cuts, flat pictures, little memory, long films: what a film's length and content must not do to its colours or to the machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from damage import with_packets
from fork_server import Case
from numpy.typing import NDArray
from synth import SHORT, blank_frame, light, make_film, planes, stamps, write_plane

from deoldify_video.errors import DeviceMemoryError, StoppedError
from deoldify_video.film.colorize import colorize_film
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import ColorOptions, DecodeOptions, EncodeOptions, FilmOptions, SegmentOptions, SmoothOptions

FFV1 = FilmOptions(encode=EncodeOptions(codec="ffv1"), smooth=SmoothOptions(0.9), segments=SHORT)


def gray_film(path: Path, pictures: list[NDArray[Any]]) -> Path:
    """A film of luma planes (H, W), without loss."""
    height, width = pictures[0].shape
    with av.open(str(path), "w") as target:
        video: Any = target.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for number, picture in enumerate(pictures):
            frame = blank_frame((width, height), "yuv420p")
            write_plane(frame, 0, picture)
            frame.pts = number
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
    return path


class DayAndNight(torch.nn.Module):
    """A network that paints dark pictures red and bright ones blue."""

    def prepare(self, gray: torch.Tensor) -> torch.Tensor:
        return gray

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dark = x.mean(dim=(1, 2, 3), keepdim=True) < 0.4  # (B, 1, 1, 1)
        red, blue = (torch.tensor(ab, dtype=x.dtype).view(1, 2, 1, 1) for ab in ((40, 20), (10, -45)))
        return torch.where(dark, red, blue)

    def to_ab(self, raw: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        return raw.float()


def test_cut_reset(tmp_path, stub_colorizer):
    """Strong smoothing, and not a trace of the old shot's red in the first frame of the new one."""
    pictures = [light(number, (128, 96), shot=number // 12) // (2 if number < 12 else 1) for number in range(24)]
    source = gray_film(tmp_path / "old.mkv", pictures)
    stub_colorizer.network = DayAndNight()
    output = tmp_path / "new.mkv"
    report = colorize_film(source, output, FFV1, colorizer=stub_colorizer)
    assert report.shots == 2
    red = [float(plane.mean()) for plane in planes(output, 2)]
    assert min(red[:12]) > 140
    assert max(red[12:]) - min(red[12:]) < 1.5
    assert red[12] < 130


def test_flat_frames(tmp_path, stub_colorizer):
    """Black, white and grey frames, between pictures and alone, come through without warnings, cuts or NaN."""
    flat = {0: 16, 1: 235, 2: 128}
    pictures = [np.full((48, 64), flat[n // 5 % 5]) if n // 5 % 5 in flat else light(n) for n in range(40)]
    source = gray_film(tmp_path / "old.mkv", pictures)
    output = tmp_path / "new.mkv"
    report = colorize_film(source, output, FFV1, colorizer=stub_colorizer)
    assert report.frames == 40
    np.testing.assert_array_equal(planes(output), planes(source))
    for plane in (1, 2):
        chroma = np.stack(planes(output, plane)).astype(int)
        assert np.abs(chroma[:10] - 128).max() <= 2  # black and white have no room for colour
        assert np.abs(chroma - 128).max() < 90


def test_oom_halving(tmp_path, stub_spec):
    """The device holds three frames at most: a batch is halved until it fits, and every frame gets its colours."""
    source = make_film(tmp_path / "old.mkv", frames=16, codec="ffv1", audio=None)
    plain, options = tmp_path / "plain.mkv", replace(FFV1, segments=SegmentOptions())
    colorizer = Colorizer(ColorOptions(device="cpu", batch_size=16))
    colorize_film(source, plain, options, colorizer=colorizer)
    forward, sizes = colorizer.network.forward, []

    def small_device(batch):
        sizes.append(len(batch))
        if len(batch) > limit:
            raise torch.OutOfMemoryError("out of memory")
        return forward(batch)

    colorizer.network.forward = small_device
    limit, output = 3, tmp_path / "new.mkv"
    colorize_film(source, output, options, colorizer=colorizer)
    assert sizes == [16, 8, 4, *[2] * 8]
    for plane in (0, 1, 2):
        np.testing.assert_array_equal(planes(output, plane), planes(plain, plane))
    limit = 0
    with pytest.raises(DeviceMemoryError, match="--render-factor"):
        colorize_film(source, tmp_path / "none.mkv", options, colorizer=colorizer)
    assert not (tmp_path / "none.mkv").exists()


def test_bounded_memory(tmp_path, fork_server):
    """Six times the frames, the same peak: measured in processes of their own, after the same start."""
    peaks, options = {}, {"encode": {"codec": "ffv1"}, "segments": {"shortest": 20, "longest": 30}}
    for frames in (40, 240):
        source = make_film(
            tmp_path / f"{frames}.mkv", frames=frames, size=(96, 64), codec="mpeg4", options={"bf": "0"}, audio=None
        )
        outcome = fork_server.run(Case(str(source), str(tmp_path / f"new{frames}.mkv"), options, timeout_s=90))
        assert outcome.kind == "ok", outcome
        peaks[frames] = outcome.peak_kib
    assert peaks[240] < 1.1 * peaks[40]


def resumed_film(source, whole, options, colorizer):
    """Colorize `source` in one go into `whole`, and once more, stopped after every segment and taken up again."""
    output = whole.with_name("new.mkv")
    colorize_film(source, whole, options, colorizer=colorizer)
    stops = 0
    while not output.exists():
        try:
            colorize_film(source, output, options, colorizer=colorizer, should_stop=lambda: True)
        except StoppedError:
            stops += 1
    assert stops >= 3
    return output


@pytest.mark.parametrize("option", [{}, {"keyframes": 4}])
def test_a_resumed_run_gives_the_same_colors(tmp_path, stub_colorizer, option):
    """Smoothing on, shots longer than a segment: the same film, bit for bit."""
    source = make_film(tmp_path / "old.mkv", frames=40, shots=2, size=(96, 64))
    options = replace(FFV1, color=ColorOptions(device="cpu", **option))
    whole = tmp_path / "whole.mkv"
    output = resumed_film(source, whole, options, stub_colorizer)
    for plane in (0, 1, 2):
        np.testing.assert_array_equal(planes(output, plane), planes(whole, plane))


@pytest.mark.parametrize("kind", ["transport stream", "AVI", "stamps that go back", "fields", "a part"])
def test_films_that_are_hard_to_seek_are_taken_up_at_the_right_frame(tmp_path, stub_colorizer, kind):
    suffix = {"transport stream": ".ts", "AVI": ".avi"}.get(kind, ".mkv")
    codec = "mpeg4" if kind == "AVI" else "libx264"
    source = make_film(tmp_path / f"old{suffix}", frames=50, shots=2, codec=codec, options={"g": "60"}, audio=None)
    options = replace(FFV1, decode=DecodeOptions(deinterlace=kind == "fields"))
    if kind == "a part":
        options = replace(FFV1, decode=DecodeOptions(start_s=0.2, end_s=1.8))
    if kind == "stamps that go back":
        number = -1

        def change(packet):
            nonlocal number
            number += 1
            packet.pts = 40 if number == 7 else packet.pts
            packet.dts = number - 100

        source = with_packets(tmp_path / "bad.mkv", source, change)
    options = replace(options, smooth=SmoothOptions(0.0))
    whole = tmp_path / "whole.mkv"
    output = resumed_film(source, whole, options, stub_colorizer)
    for plane in (0, 1, 2):
        np.testing.assert_array_equal(planes(output, plane), planes(whole, plane))
    assert stamps(output) == stamps(whole)
