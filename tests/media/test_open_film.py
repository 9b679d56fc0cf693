"""One way to open a film: with a limit on pixels, and colours in the film's own matrix, whoever reads it."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from synth import light, make_film

from deoldify_video.color.yuv import yuv_to_rgb
from deoldify_video.errors import InputError
from deoldify_video.evaluation.film import read_pictures
from deoldify_video.media import decode
from deoldify_video.media.decode import DecodeStats, frame_rgb, open_film
from deoldify_video.media.probe import probe
from deoldify_video.training.sources import found_pictures

PACKAGE = Path(__file__).parents[2] / "deoldify_video"
CHROMA = 176


def decoded(path):
    info = probe(path)
    with open_film(info) as film:
        return frame_rgb(next(film.frames()), info.video)


def evaluated(path):
    return next(read_pictures(path)).rgb


def gathered(path):
    (found,) = found_pictures([path], 1)
    return found.picture


@pytest.mark.parametrize("read", [decoded, evaluated, gathered])
@pytest.mark.parametrize(("number", "matrix"), [(1, "bt709"), (6, "bt601"), (9, "bt2020")])
@pytest.mark.parametrize("full", [False, True])
def test_colors_are_those_of_the_films_own_matrix_and_range(tmp_path, read, number, matrix, full):
    path = make_film(
        tmp_path / "old.mkv",
        frames=4,
        repeat=1,
        codec="ffv1",
        pix_fmt="yuv444p",
        chroma=CHROMA,
        matrix=number,
        full=full,
        audio=None,
    )
    codes = light(0, full=full).astype(np.float32)
    y = codes / 255 if full else (codes - 16) / 219
    chroma = np.full((2, *y.shape), (CHROMA - 128) / (255 if full else 224), np.float32)
    expected = yuv_to_rgb(y, chroma, matrix) * 255
    assert np.abs(read(path) - expected).max() <= 2
    other = yuv_to_rgb(y, chroma, "bt601" if matrix == "bt2020" else "bt2020") * 255
    assert np.abs(expected - other).max() > 4  # so that a wrong one is seen


def test_turned_films_are_upright(tmp_path):
    path = make_film(tmp_path / "old.mp4", frames=2, rotation=90, audio=None)
    info = probe(path)
    assert decoded(path).shape == (64, 48, 3)
    with open_film(info) as film:
        assert frame_rgb(next(film.frames()), info.video, (24, 32)).shape == (32, 24, 3)


def test_the_decoder_is_told_how_many_pixels_are_allowed(tmp_path, monkeypatch):
    first = make_film(tmp_path / "a.ts", frames=20, codec="mpeg2video", audio=None)
    second = make_film(tmp_path / "b.ts", frames=20, codec="mpeg2video", audio=None, size=(96, 64))
    source = tmp_path / "old.ts"
    source.write_bytes(first.read_bytes() + second.read_bytes())
    info, stats = probe(source), DecodeStats()
    monkeypatch.setattr(decode, "MAX_PIXELS", 64 * 64)
    with open_film(info, stats) as film:
        assert {(frame.width, frame.height) for frame in film.frames()} == {(64, 48)}
    assert stats.broke_off


def test_a_film_that_is_gone_is_an_input_error(tmp_path):
    path = make_film(tmp_path / "old.mkv", frames=2)
    info = probe(path)
    path.unlink()
    with pytest.raises(InputError, match="can no longer be read"), open_film(info):
        pass


def test_films_are_opened_in_the_media_room_only():
    openers = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "av.open":
                openers.add(str(path.relative_to(PACKAGE)))
    outside = {path for path in openers if not path.startswith("media/")}
    assert outside == {"web/sound.py"}  # which copies the packets of a film that this program has just written
