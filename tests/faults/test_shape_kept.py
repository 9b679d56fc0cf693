"""The shape of the picture and what its codes mean: kept in every container, and compared with the source when the film is finished."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synth import blank_frame, make_film, stamps

from deoldify_video.film.colorize import colorize_film
from deoldify_video.media.languages import three_letter_language
from deoldify_video.media.matroska import edit_file, pixel_aspect, room
from deoldify_video.media.probe import probe
from deoldify_video.media.verify import verify_film
from deoldify_video.options import DecodeOptions, EncodeOptions, FilmOptions, SmoothOptions

SMOOTH = SmoothOptions(0.0)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("ffv1", ".mkv"),
        ("av1", ".mkv"),
        ("av1", ".webm"),
        ("av1", ".mp4"),
        ("prores", ".mkv"),
        ("prores", ".mov"),
        ("hevc", ".mkv"),
        ("hevc", ".ts"),
        ("h264", ".mkv"),
        ("h264", ".avi"),
    ],
)
def test_pixel_aspect_is_kept(tmp_path, stub_colorizer, codec, suffix):
    source = make_film(tmp_path / "old.mp4", sar=Fraction(64, 45), audio=None, size=(90, 64))
    output = tmp_path / f"new{suffix}"
    options = FilmOptions(encode=EncodeOptions(codec=codec), smooth=SMOOTH)
    report = colorize_film(source, output, options, colorizer=stub_colorizer)
    assert probe(output).video.sar == Fraction(64, 45)
    assert report.verification["ok"]
    with av.open(str(output)) as container:
        assert "title" not in container.streams.video[0].metadata


def blank_film(path: Path, size: tuple[int, int], title: str) -> Path:
    """A film of one black picture with a title for its track."""
    with av.open(str(path), "w") as target:
        video: Any = target.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.metadata["title"] = title
        target.mux(video.encode(blank_frame(size, "yuv420p")))
        target.mux(video.encode(None))
    return path


@given(
    st.fractions(Fraction(1, 50), 50, max_denominator=5000),
    st.integers(16, 300),
    st.integers(16, 300),
    st.text("abc é", max_size=150),
)
def test_any_pixel_aspect_is_written_exactly(tmp_path_factory, sar, width, height, title):
    edit = pixel_aspect(sar, width, height)
    path = blank_film(tmp_path_factory.mktemp("aspect") / "film.mkv", (width, height), title + room(0, edit))
    size = path.stat().st_size
    edit_file(path, {0: edit})
    assert path.stat().st_size == size
    assert probe(path).video.sar == sar
    with av.open(str(path)) as container:
        assert container.streams.video[0].metadata.get("title", "") == title
        assert sum(1 for _ in container.decode(video=0)) == 1


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_mirrored_films_stay_mirrored(tmp_path, stub_colorizer, suffix, degrees):
    plain = make_film(tmp_path / "plain.mp4", audio=None)
    source, output = tmp_path / "old.mp4", tmp_path / f"new{suffix}"
    with av.open(str(plain)) as old, av.open(str(source), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        stream.set_display_rotation(degrees, hflip=True)
        for packet in old.demux():
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    found = probe(source).video
    assert (found.rotation_deg, found.mirrored) == (degrees, True)
    colorize_film(source, output, FilmOptions(smooth=SMOOTH), colorizer=stub_colorizer)
    with av.open(str(source)) as old, av.open(str(output)) as new:
        matrices = [bytes(next(film.decode(video=0)).side_data["DISPLAYMATRIX"]) for film in (old, new)]
    assert matrices[0] == matrices[1]


def wrong_film(path: Path, fault: str) -> Path:
    """The source of `test_verify_finds_another_shape`, and what is not as it should be there."""
    right: dict[str, Any] = {
        "sar": Fraction(8, 9),
        "matrix": 1,
        "primaries": 1,
        "transfer": 1,
        "full": True,
        "rotation": 90,
        "options": {"x264-params": "bff=1"},
    }
    wrong: dict[str, dict[str, Any]] = {
        "pixel aspect": {"sar": Fraction(9, 8)},
        "colour matrix": {"matrix": 6},
        "color_primaries": {"primaries": 6},
        "color_trc": {"transfer": 6},
        "range of codes": {"full": False},
        "turned by 270 degrees instead of turned by 90": {"rotation": 270},
        "top field first": {"options": {"x264-params": "tff=1"}},
        "whole pictures": {"options": {}},
    }
    return make_film(path, audio=None, **right | wrong.get(fault, {}))


@pytest.mark.parametrize(
    "fault",
    [
        "pixel aspect",
        "colour matrix",
        "color_primaries",
        "color_trc",
        "range of codes",
        "turned by 270 degrees instead of turned by 90",
        "top field first",
        "whole pictures",
    ],
)
def test_verify_finds_another_shape(tmp_path, fault):
    source = probe(wrong_film(tmp_path / "old.mp4", ""))
    assert verify_film(source, source.path, DecodeOptions()).ok
    (problem,) = verify_film(source, wrong_film(tmp_path / "new.mp4", fault), DecodeOptions()).problems
    assert fault in problem


def test_verify_finds_a_film_that_is_not_mirrored(tmp_path):
    path = make_film(tmp_path / "old.mp4", audio=None)
    source = probe(path)
    mirrored = replace(source, video=replace(source.video, mirrored=True))
    (problem,) = verify_film(mirrored, path, DecodeOptions()).problems
    assert problem == "it is turned by 0 degrees instead of turned by 0 degrees and mirrored."


@pytest.mark.parametrize("suffix", [".ts", ".mp4", ".mkv"])
@pytest.mark.parametrize(("tag", "three"), [("de", "deu"), ("pt-BR", "por"), ("fre", "fre")])
def test_languages_of_any_kind_are_kept(tmp_path, stub_colorizer, suffix, tag, three):
    plain, source = make_film(tmp_path / "plain.mkv"), tmp_path / "old.mkv"
    with av.open(str(plain)) as old, av.open(str(source), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        streams[1].metadata["language"] = tag
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    output = tmp_path / f"new{suffix}"
    colorize_film(source, output, FilmOptions(smooth=SMOOTH), colorizer=stub_colorizer)
    with av.open(str(output)) as container:
        assert container.streams.audio[0].language == (tag if suffix == ".mkv" else three)
    assert len(stamps(output)) == 12


def test_a_language_without_a_code_is_left_alone():
    assert [three_letter_language(tag) for tag in ("DE", "zh_Hant", "qaa", "")] == ["deu", "zho", "qaa", ""]
