"""Pictures of every make: odd, tall, turned, deep, interlaced, framed in black, in colour already."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from av.codec.context import Flags
from synth import blank_frame, colorfulness, light, make_film, plane_rows, planes, stamps, write_plane

from deoldify_video.color.yuv import yuv_to_rgb
from deoldify_video.errors import InputError
from deoldify_video.film.colorize import colorize_film
from deoldify_video.media.decode import FilmReader
from deoldify_video.media.inspect_content import inspect_content
from deoldify_video.media.probe import probe
from deoldify_video.options import DecodeOptions, EncodeOptions, FilmOptions, JobOptions, SmoothOptions

SMOOTH = SmoothOptions(0.0)
FFV1 = FilmOptions(encode=EncodeOptions(codec="ffv1"), smooth=SMOOTH)
H264 = FilmOptions(smooth=SMOOTH)
LAMP = {"red": (200, 40, 40), "green": (40, 160, 60), "blue": (40, 60, 190), "yellow": (210, 200, 60)}


def draw_film(path: Path, pictures: list[tuple[np.ndarray, ...]], *, codec: str = "ffv1", pix_fmt: str = "yuv444p",
              rotation: int = 0, **tags: Any) -> Path:  # fmt: skip
    """A film of given planes (Y', or Y', Cb, Cr)."""
    height, width = pictures[0][0].shape
    with av.open(str(path), "w") as target:
        video: Any = target.add_stream(codec, rate=25, options={"preset": "ultrafast"} if codec == "libx264" else {})
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        if rotation:
            video.set_display_rotation(rotation)
        for name, value in tags.items():
            setattr(video.codec_context, name, value)
        for number, picture in enumerate(pictures):
            frame = blank_frame((width, height), pix_fmt)
            for plane, values in enumerate(picture):
                write_plane(frame, plane, values)
            frame.pts = number
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
    return path


@pytest.mark.parametrize("codec", ["h264", "hevc", "ffv1", "prores"])
def test_odd_size(tmp_path, stub_colorizer, codec):
    source = make_film(tmp_path / "old.mkv", size=(63, 47), codec="ffv1", frames=6)
    output = tmp_path / "new.mkv"
    options = FilmOptions(encode=EncodeOptions(codec=codec), smooth=SMOOTH)
    report = colorize_film(source, output, options, colorizer=stub_colorizer)
    assert [plane.shape for plane in planes(output)] == [(47, 63)] * 6
    assert report.verification["ok"]
    assert colorfulness(output) > 3


@pytest.mark.parametrize(("sar", "suffix"), [(Fraction(16, 15), ".mp4"), (Fraction(64, 45), ".mkv"), (Fraction(8, 9), ".mov")])
def test_sar(tmp_path, stub_colorizer, sar, suffix):
    source = make_film(tmp_path / f"old{suffix}", sar=sar)
    output = tmp_path / f"new{suffix}"
    report = colorize_film(source, output, H264, colorizer=stub_colorizer)
    assert probe(output).video.sar == probe(source).video.sar == sar
    width, height = report.render_size
    assert width / height == pytest.approx(64 * sar / 48, rel=0.3)  # the network sees the shape that a viewer sees


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation(tmp_path, stub_colorizer, degrees):
    source = make_film(tmp_path / "old.mp4", rotation=degrees, size=(96, 48))
    output = tmp_path / "new.mp4"
    report = colorize_film(source, output, H264, colorizer=stub_colorizer)
    assert probe(output).video.rotation_deg == probe(source).video.rotation_deg != 0
    width, height = report.render_size
    assert (width < height) == (degrees != 180)
    reader = FilmReader(probe(source), DecodeOptions(), report.render_size)
    upright = next(iter(reader)).gray
    turned = np.rot90(planes(source)[0], probe(source).video.rotation_deg // 90)
    small = upright.astype(float)
    corners = turned.astype(float)[:: turned.shape[0] // 8, :: turned.shape[1] // 8]
    same = small[:: small.shape[0] // 8, :: small.shape[1] // 8][: corners.shape[0], : corners.shape[1]]
    corners = corners[: same.shape[0], : same.shape[1]]
    assert np.corrcoef(same.ravel(), corners.ravel())[0, 1] > 0.8


def comb_film(path: Path, codec: str = "libx264") -> Path:
    """Two fields from different moments: even lines light, odd lines dark, and a bar that moves between them."""
    options = {"x264-params": "tff=1"} if codec == "libx264" else {}
    with av.open(str(path), "w") as target:
        video: Any = target.add_stream(codec, rate=25, options=options)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        video.codec_context.field_order = 2
        for number in range(14):
            frame = blank_frame((96, 64), "yuv420p")
            for field in (0, 1):
                left = 4 * number + 2 * field
                lines = plane_rows(frame, 0)[field::2]
                lines[...] = 60
                lines[:, left : left + 20] = 200
            frame.pts = number
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
    return path


def combing(path: Path) -> float:
    """How far neighbouring lines differ: a moving edge in two fields makes a comb."""
    return float(np.mean([np.abs(np.diff(plane.astype(float), axis=0)).mean() for plane in planes(path)]))


def test_interlaced(tmp_path, stub_colorizer):
    source = comb_film(tmp_path / "old.mkv")
    assert probe(source).video.interlaced
    kept = tmp_path / "kept.mkv"
    report = colorize_film(source, kept, FFV1, colorizer=stub_colorizer)
    assert any("interlaced" in warning and "--deinterlace" in warning for warning in report.warnings)
    np.testing.assert_array_equal(planes(kept), planes(source))
    again = tmp_path / "again.mp4"
    colorize_film(source, again, H264, colorizer=stub_colorizer)
    assert probe(again).video.interlaced  # coded as fields, and it says so
    assert combing(again) == pytest.approx(combing(source), rel=0.15)
    whole = tmp_path / "whole.mkv"
    options = replace(FFV1, decode=DecodeOptions(deinterlace=True))
    report = colorize_film(source, whole, options, colorizer=stub_colorizer)
    assert report.warnings == []
    assert stamps(whole) == stamps(source)
    assert combing(whole) < 0.3 * combing(source)
    assert not probe(whole).video.interlaced


@pytest.mark.parametrize(
    ("codec", "target", "depth"),
    [("h264", "yuv420p10le", 10), ("hevc", "yuv420p10le", 10), ("ffv1", "yuv420p10le", 10), ("prores", "yuv422p10le", 10)],
)
def test_ten_bit(tmp_path, stub_colorizer, codec, target, depth):
    source = make_film(tmp_path / "old.mkv", codec="ffv1", pix_fmt="yuv420p10le", frames=6)
    output = tmp_path / "new.mkv"
    options = FilmOptions(encode=EncodeOptions(codec=codec, crf=8 if codec in ("h264", "hevc") else None), smooth=SMOOTH)
    colorize_film(source, output, options, colorizer=stub_colorizer)
    assert (probe(output).video.pix_fmt, probe(output).video.depth) == (target, depth)
    error = np.abs(np.stack(planes(output)).astype(int) - np.stack(planes(source)))
    assert error.mean() < 4 * (codec != "ffv1") + 1e-9  # of 1023


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_refused(tmp_path, stub_colorizer, transfer, name):
    source = draw_film(
        tmp_path / "old.mkv", [(light(0),)] * 3, codec="libx265", pix_fmt="yuv420p10le", color_trc=transfer, colorspace=9
    )
    with pytest.raises(InputError, match=rf"is HDR \({name}\); convert it to SDR first"):
        colorize_film(source, tmp_path / "new.mkv", FFV1, colorizer=stub_colorizer)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full", [False, True])
def test_matrix_roundtrip(tmp_path, stub_colorizer, matrix, full):
    """A network that gives a primary's own ab: the output, decoded by its own tags, shows that primary within two levels."""
    from skimage.color import rgb2lab

    number = {"bt601": 5, "bt709": 1}[matrix]
    for name, rgb in LAMP.items():
        lab = rgb2lab(np.array(rgb, np.float64)[None, None] / 255)[0, 0]
        gray = round(lightness_code(lab[0]))
        black, span = (0, 255) if full else (16, 219)
        luma = np.full((48, 64), round(black + gray / 255 * span), np.uint8)
        source = draw_film(
            tmp_path / f"{name}.mkv", [(luma,)] * 2, pix_fmt="yuv420p", colorspace=number, color_range=2 if full else 1
        )

        ab = torch.tensor(lab[1:], dtype=torch.float32).view(1, 2, 1, 1)
        stub_colorizer.network.to_ab = lambda raw, temperature, ab=ab: ab.expand(len(raw), -1, 4, 4)
        output = tmp_path / f"new-{name}.mkv"
        colorize_film(source, output, FFV1, colorizer=stub_colorizer)
        with av.open(str(output)) as container:
            frame = next(container.decode(video=0))
            assert (frame.colorspace, frame.color_range) == (number, 2 if full else 1)
            y, cb, cr = (float(np.median(plane_rows(frame, plane))) for plane in range(3))
        chroma_span = 255 if full else 224
        mine = yuv_to_rgb(
            np.full((1, 1), (y - black) / span, np.float32),
            np.array([cb - 128, cr - 128], np.float32).reshape(2, 1, 1) / chroma_span,
            matrix,
        )
        wanted = expected_rgb(gray / 255, lab, matrix)
        assert np.abs(mine[0, 0] * 255 - wanted).max() <= 2, (name, mine[0, 0] * 255, wanted)
        # An independent reader: FFmpeg's own conversion, by the tags that were written.
        theirs = frame.reformat(format="rgb24").to_ndarray()[24, 32]
        assert np.abs(theirs.astype(float) - wanted).max() <= 3, (name, theirs, wanted)


def lightness_code(lightness: float) -> float:
    """The sRGB code of the neutral of that L (CIE 15, IEC 61966-2-1)."""
    f = (lightness + 16) / 116
    linear = f**3 if f > 6 / 29 else 3 * (6 / 29) ** 2 * (f - 4 / 29)
    return 255 * (1.055 * linear ** (1 / 2.4) - 0.055 if linear > 0.0031308 else 12.92 * linear)


def expected_rgb(gray: float, lab: np.ndarray, matrix: str) -> np.ndarray:
    """The colour of `lab` moved to the film's own light Y' = grey, chroma kept, scaled into the cube where it has to be."""
    from skimage.color import lab2rgb

    kr, kb = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    rgb = lab2rgb(lab[None, None])[0, 0]
    difference = rgb - (kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2])
    room = np.where(difference > 0, (1 - gray) / np.maximum(difference, 1e-9), gray / np.maximum(-difference, 1e-9))
    return 255 * (gray + min(1.0, room.min()) * difference)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv444p12le"])
@pytest.mark.parametrize("full", [False, True])
def test_luma_kept(tmp_path, stub_colorizer, pix_fmt, full):
    source = make_film(tmp_path / "old.mkv", codec="ffv1", pix_fmt=pix_fmt, full=full, frames=4, size=(70, 50), audio=None)
    output = tmp_path / "new.mkv"
    colorize_film(source, output, FFV1, colorizer=stub_colorizer)
    np.testing.assert_array_equal(planes(output), planes(source))


@pytest.mark.parametrize("rotation", [0, 90])
def test_black_borders_stay_neutral(tmp_path, stub_colorizer, rotation):
    """Pillars left and right, a little noise in them: the network never sees them, and they get no colour."""
    rng = np.random.default_rng(0)
    pictures = []
    for number in range(24):
        luma = (16 + rng.integers(0, 4, (96, 160))).astype(np.uint8)
        luma[4:92, 20:130] = light(number, (110, 88))
        pictures.append((luma,))
    source = draw_film(tmp_path / "old.mp4", pictures, pix_fmt="yuv420p", rotation=rotation)
    found = inspect_content(probe(source)).window
    assert found is not None
    assert (found.left, found.top, found.width, found.height) == (20, 4, 110, 88)
    output = tmp_path / "new.mkv"
    report = colorize_film(source, output, FFV1, colorizer=stub_colorizer)
    width, height = report.render_size if rotation == 0 else report.render_size[::-1]
    assert width / height == pytest.approx(110 / 88, rel=0.2)
    for plane in (1, 2):
        chroma = np.stack(planes(output, plane)).astype(int)
        inside = chroma[:, 2:46, 10:65]
        assert np.abs(inside - 128).mean() > 3
        chroma[:, 2:46, 10:65] = 128
        assert (chroma == 128).all()
    np.testing.assert_array_equal(planes(output), planes(source))


def test_dark_films_have_no_borders(tmp_path):
    night = [(np.where(light(number) > 200, 60, 20).astype(np.uint8),) for number in range(12)]
    assert inspect_content(probe(draw_film(tmp_path / "night.mkv", night, pix_fmt="yuv420p"))).window is None
    assert inspect_content(probe(make_film(tmp_path / "day.mkv"))).window is None


def colored(number: int, kind: str) -> tuple[np.ndarray, ...]:
    luma = light(number, (96, 64))
    rng = np.random.default_rng(number)
    neutral = np.full((64, 96), 128.0)
    cb, cr = neutral.copy(), neutral.copy()
    if kind == "noise":
        cb, cr = cb + rng.normal(0, 4, cb.shape), cr + rng.normal(0, 4, cr.shape)
    elif kind == "sepia":
        cb, cr = cb - 14, cr + 10
    elif kind == "toned":  # blue shadows, amber lights
        cb, cr = cb + (128 - luma.astype(float)) * 0.2, cr + (luma.astype(float) - 128) * 0.2
    else:
        y, x = np.mgrid[:64, :96]
        cb, cr = cb + 25 * np.sin(x / 11), cr + 25 * np.cos(y / 9)
    return luma, np.clip(cb, 0, 255).astype(np.uint8), np.clip(cr, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["noise", "sepia", "toned"])
def test_tints_and_noise_are_no_color(tmp_path, kind):
    source = draw_film(tmp_path / "old.mkv", [colored(number, kind) for number in range(12)])
    assert not inspect_content(probe(source)).in_color


def test_a_film_in_color_needs_force(tmp_path, stub_colorizer):
    source = draw_film(tmp_path / "old.mkv", [colored(number, "colour") for number in range(12)])
    output = tmp_path / "new.mkv"
    with pytest.raises(InputError, match="is in colour already; use --force"):
        colorize_film(source, output, FFV1, colorizer=stub_colorizer)
    report = colorize_film(source, output, replace(FFV1, job=JobOptions(force=True)), colorizer=stub_colorizer)
    assert any("was in colour" in warning for warning in report.warnings)
    np.testing.assert_array_equal(planes(output), planes(source))


def test_the_first_picture_is_believed_and_not_the_header(tmp_path, stub_colorizer):
    """A header of another size; the film has the size of its pictures."""
    data = bytearray(make_film(tmp_path / "old.avi", codec="mpeg4", audio=None).read_bytes())
    place = data.find(b"strf") + 12  # width and height of BITMAPINFOHEADER
    data[place : place + 8] = struct.pack("<ii", 80, 60)
    (tmp_path / "old.avi").write_bytes(data)
    report = colorize_film(tmp_path / "old.avi", tmp_path / "new.mkv", FFV1, colorizer=stub_colorizer)
    assert report.frames == 12
    assert planes(tmp_path / "new.mkv")[0].shape == (48, 64)


@pytest.mark.parametrize("pix_fmt", ["yuva420p", "yuv420p"])
def test_transparency_that_is_not_kept_is_told(tmp_path, stub_colorizer, pix_fmt):
    source = make_film(tmp_path / "old.mkv", codec="ffv1", pix_fmt=pix_fmt, frames=4, audio=None)
    report = colorize_film(source, tmp_path / "new.mkv", FFV1, colorizer=stub_colorizer)
    assert any("transparen" in warning for warning in report.warnings) == (pix_fmt == "yuva420p")
