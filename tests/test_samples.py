"""The samples are what their README says."""

from __future__ import annotations

import importlib.util
import sys
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from deoldify_video.media.decode import FilmReader
from deoldify_video.media.probe import probe
from deoldify_video.options import DecodeOptions
from deoldify_video.temporal.late import through
from deoldify_video.temporal.shots import ShotDetector

SAMPLES = Path(__file__).parents[1] / "samples"
NEWSREEL = SAMPLES / "newsreel.mp4"
HEIGHT = 480
MAX_BYTES = 2_000_000


@pytest.fixture(scope="module")
def make_samples():
    spec = importlib.util.spec_from_file_location("make_samples", SAMPLES / "make_samples.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_newsreel_is_gray_with_sound():
    info = probe(NEWSREEL)
    video = info.video
    assert info.size_bytes < MAX_BYTES
    assert (video.codec, video.pix_fmt, video.width, video.height) == ("h264", "yuv420p", 640, HEIGHT)
    assert (video.frame_rate, video.frames, video.matrix, video.full_range) == (25, 250, "bt601", False)
    with av.open(str(NEWSREEL)) as container:
        for frame in islice(container.decode(video=0), 5):
            assert np.abs(frame.to_ndarray()[HEIGHT:].astype(int) - 128).max() <= 1
        sound = container.streams.audio[0]
        assert (sound.codec_context.name, sound.codec_context.layout.name) == ("aac", "mono")
        assert abs(sound.duration * sound.time_base - 10) < Fraction(1, 10)


def test_the_cuts_of_the_newsreel_are_found_in_spite_of_dust_and_flicker(make_samples):
    reader = FilmReader(probe(NEWSREEL), DecodeOptions(), (160, 120))
    detector = ShotDetector()
    shots = [shot for _, shot in through(reader, lambda frame: detector.push(frame.gray), detector.flush)]
    cuts = [number for number, (before, after) in enumerate(pairwise(shots), 1) if after != before]
    lengths = [shot.frames for shot in make_samples.SHOTS]
    assert cuts == [sum(lengths[:n]) for n in range(1, len(lengths))]


@pytest.mark.parametrize("name", ["astronaut.jpg", "chelsea.jpg", "coffee.png"])
def test_photos_are_gray(name):
    with Image.open(SAMPLES / name) as image:
        assert image.mode == "L"
        assert min(image.size) >= 300


def test_the_photos_are_what_the_script_makes(make_samples, tmp_path):
    make_samples.write_photos(tmp_path)
    for name in ("astronaut.jpg", "chelsea.jpg", "coffee.png"):
        with Image.open(SAMPLES / name) as committed, Image.open(tmp_path / name) as made:
            difference = np.abs(np.asarray(committed, int) - np.asarray(made, int))
        assert difference.mean() < 0.5
        assert difference.max() < 16


def test_every_sample_has_its_source_and_license():
    text = (SAMPLES / "README.md").read_text()
    for path in SAMPLES.iterdir():
        if path.is_file() and path.name != "README.md":
            assert f"`{path.name}`" in text, path.name
    assert sum(path.stat().st_size for path in SAMPLES.iterdir() if path.is_file()) < 2 * MAX_BYTES
