"""Makes the samples: a ten-second newsreel with sound and three grey photos, from photographs that ship inside scikit-image.

    python samples/make_samples.py [FOLDER]

Everything is seeded; the same versions of the libraries give the same files. Sources and licences stand in README.md beside this.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data, io

from deoldify_video.color.gray import gray_of

WIDTH, HEIGHT, FRAME_RATE = 640, 480, 25
AUDIO_RATE = 22050
BT601_LIMITED = (6, 1)  # FFmpeg's numbers of the matrix (SMPTE 170M) and of the limited range
GRAIN_CODES = 2.8  # standard deviation of the film's grain, of 255
WEAVE_PX = 0.5  # how far the picture wanders in the gate
FLICKER = 0.02  # standard deviation of the lamp's light
SUPERSAMPLING = 2  # camera moves are made on a picture of twice the size, so that they stay smooth

Gray = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """Where the camera looks: the centre as a share of the photograph's sides, and the share of its size that is seen."""

    x: float
    y: float
    zoom: float


@dataclass(frozen=True)
class Shot:
    """A camera move over a photograph, a file in scikit-image's data folder."""

    photograph: str
    frames: int
    begin: View
    end: View


SHOTS = (
    Shot("rocket.jpg", 60, View(0.50, 0.62, 0.78), View(0.50, 0.45, 0.92)),
    Shot("astronaut.png", 70, View(0.50, 0.41, 1.00), View(0.46, 0.30, 0.66)),
    Shot("coffee.png", 60, View(0.42, 0.47, 0.92), View(0.56, 0.47, 0.84)),
    Shot("chelsea.png", 60, View(0.55, 0.52, 0.95), View(0.48, 0.45, 0.70)),
)
# Beethoven's "Ode to Joy", as steps of a major scale, one a beat.
TUNE = (2, 2, 3, 4, 4, 3, 2, 1, 0, 0, 1, 2, 2, 1, 1, 2, 2, 3, 4, 4, 3, 2, 1, 0)
SCALE_HZ = (261.63, 293.66, 329.63, 349.23, 392.00)
BEAT_S = 0.42


def main(folder: Path) -> None:
    """Write all samples into `folder`."""
    write_film(folder / "newsreel.mp4")
    write_photos(folder)


def photograph(name: str) -> Gray:
    """A photograph's light, float32 (H, W) in 0..255. Read from the installed package: nothing is downloaded."""
    return gray_of(io.imread(Path(data.__file__).parent / name)[..., :3]) * 255


def write_film(path: Path) -> None:
    """The newsreel: grey H.264 in yuv420p and mono AAC in MP4."""
    with av.open(str(path), "w", format="mp4") as container:
        options = {"preset": "veryslow", "crf": "25", "tune": "grain"}
        video: Any = container.add_stream("libx264", rate=FRAME_RATE, options=options)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.colorspace, video.codec_context.color_range = BT601_LIMITED
        audio: Any = container.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        audio.codec_context.bit_rate = 48_000
        for picture in projected(camera()):
            container.mux(video.encode(picture_frame(picture)))
        container.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(soundtrack()[None], format="flt", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = AUDIO_RATE, 0, Fraction(1, AUDIO_RATE)
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def picture_frame(picture: Gray) -> av.VideoFrame:
    """Light (H, W) in 0..255 as a frame: luma in the limited range, chroma neutral."""
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    luma = np.rint(16 + picture * (219 / 255)).astype(np.uint8)
    for plane, values in zip(frame.planes, (luma, 128, 128), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        rows[: plane.height, : plane.width] = values
    frame.colorspace, frame.color_range = BT601_LIMITED
    return frame


def camera() -> Iterator[Gray]:
    """The shots, frame by frame: pans and zooms that begin and end softly, cuts between them."""
    for shot in SHOTS:
        picture = photograph(shot.photograph)
        height, width = picture.shape
        side = min(width / WIDTH, height / HEIGHT)  # photograph pixels per film pixel when everything fits
        for number in range(shot.frames):
            ease = 0.5 - 0.5 * np.cos(np.pi * number / (shot.frames - 1))
            x, y, zoom = (a + (b - a) * ease for a, b in zip(_numbers(shot.begin), _numbers(shot.end), strict=True))
            step = side * zoom / SUPERSAMPLING
            matrix = np.array([[step, 0, x * width - step * WIDTH], [0, step, y * height - step * HEIGHT]], np.float32)
            size = (WIDTH * SUPERSAMPLING, HEIGHT * SUPERSAMPLING)
            flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
            large = cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
            yield np.asarray(cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.float32)


def _numbers(view: View) -> tuple[float, float, float]:
    return view.x, view.y, view.zoom


def projected(pictures: Iterator[Gray]) -> Iterator[Gray]:
    """The pictures as an old projector shows them: weave, flicker, a darker rim, grain, dust and a scratch. Light in 0..255."""
    rng = np.random.default_rng(1927)
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    rim = (1 - 0.18 * (x**2 + y**2) ** 1.5 / 2).astype(np.float32)
    weave, lamp = np.zeros(2), 0.0
    for number, picture in enumerate(pictures):
        weave = 0.8 * weave + rng.normal(0, WEAVE_PX * 0.6, 2)
        lamp = 0.5 * lamp + rng.normal(0, FLICKER * 0.87)
        shift = np.array([[1, 0, weave[0]], [0, 1, weave[1]]], np.float32)
        woven = cv2.warpAffine(picture, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        grain = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH), np.float32), (0, 0), 0.8)
        grain *= np.float32(GRAIN_CODES) / grain.std()
        middle = 4 * woven * (255 - woven) / 255**2  # grain shows most in the middle tones
        aged = 12 + woven * (0.9 * (1 + lamp)) * rim + grain * (0.4 + 0.6 * middle)
        if rng.random() < 0.15:
            _add_dust(aged, rng)
        if 90 <= number < 110:
            _add_scratch(aged, 430 + 1.5 * np.sin(number / 3))
        yield np.clip(aged, 0, 255)


def _add_dust(picture: Gray, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 3)):
        center = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
        axes = (int(rng.integers(1, 4)), int(rng.integers(1, 3)))
        cv2.ellipse(
            picture, center, axes, float(rng.uniform(0, 180)), 0, 360, float(rng.choice([15.0, 235.0])), -1, cv2.LINE_AA
        )


def _add_scratch(picture: Gray, column: float) -> None:
    distance = np.abs(np.arange(WIDTH, dtype=np.float32) - np.float32(column))
    picture += 35 * np.clip(1 - distance, 0, 1)


def soundtrack() -> NDArray[np.float32]:
    """A tune on something like a music box, the projector's clatter and a hum under it: float32 in -1..1, one channel."""
    rng = np.random.default_rng(1927)
    length = round(sum(shot.frames for shot in SHOTS) * AUDIO_RATE / FRAME_RATE)
    time_s = np.arange(length) / AUDIO_RATE
    sound = 0.02 * np.sin(2 * np.pi * 50 * time_s) + 0.004 * rng.standard_normal(length)
    for beat, step in enumerate(TUNE):
        since_s = time_s - beat * BEAT_S
        ring = np.where(since_s >= 0, np.exp(-4 * np.maximum(since_s, 0)), 0)
        partials = ((1, 1.0), (2, 0.4), (3, 0.15), (5.4, 0.08))
        sound += 0.14 * ring * sum(share * np.sin(2 * np.pi * SCALE_HZ[step] * n * since_s) for n, share in partials)
    claw_s = time_s % (1 / FRAME_RATE)
    sound += 0.05 * np.exp(-300 * claw_s) * rng.standard_normal(length)
    fade = np.minimum(1, (time_s[-1] - time_s) / 0.5)
    return (sound * fade).astype(np.float32)


def write_photos(folder: Path) -> None:
    """Three grey photos, lightly aged: JPEGs with a description in EXIF, and a PNG."""
    exif = Image.Exif()
    exif[0x010E] = "Astronaut Eileen Collins. NASA, public domain."
    aged_photo("astronaut.png", 1992).save(folder / "astronaut.jpg", quality=92, exif=exif)
    exif[0x010E] = "Chelsea the cat. Stefan van der Walt, CC0."
    aged_photo("chelsea.png", 2012).save(folder / "chelsea.jpg", quality=92, exif=exif)
    aged_photo("coffee.png", 2013).save(folder / "coffee.png", optimize=True)


def aged_photo(name: str, seed: int) -> Image.Image:
    """A photograph as a grey print that has faded a little."""
    light = photograph(name)
    grain = np.random.default_rng(seed).standard_normal(light.shape, np.float32)
    faded = 14 + 0.9 * cv2.GaussianBlur(light, (0, 0), 0.6) + 2 * cv2.GaussianBlur(grain, (0, 0), 0.7)
    return Image.fromarray(np.clip(np.rint(faded), 0, 255).astype(np.uint8))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
