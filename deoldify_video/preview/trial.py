"""Tries a network, style and render factor on a few shots: pictures, colourfulness, flicker, and the cost."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video.color.paint import Painter
from deoldify_video.color.upsample import guided_upsample
from deoldify_video.color.yuv import SampleRange, ab_to_chroma, limit_chroma, yuv_to_rgb
from deoldify_video.images.photo_io import PHOTO_MATRIX
from deoldify_video.media.clips import ClipReader
from deoldify_video.media.encode import SegmentWriter, picture_format
from deoldify_video.metrics.color import colorfulness
from deoldify_video.metrics.temporal import Motion, TemporalMeter, fit_within, motion_between
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import EncodeOptions
from deoldify_video.preview.shot_selection import Shot
from deoldify_video.temporal.flow import make_flow
from deoldify_video.temporal.smooth import Smoother

VIEW_PX = 360  # longer side of the pictures on the sheet; everything is measured on them, so that choices compare
PHOTO_VIEW_PX = 480

RGB8 = NDArray[np.uint8]


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial.

    `pictures` are RGB uint8 (h, w, 3), one for each shot, the middle frame; `colorfulness` as in `metrics.color`; `flicker`
    the mean ab warp error, NaN where every shot has one frame only; `frame_s` what network and smoothing take for one frame.
    """

    pictures: list[RGB8]
    colorfulness: float
    flicker: float
    frame_s: float

    @property
    def flicker_ratio(self) -> float:
        """Flicker in relation to the colour that there is: root of the warp error over colourfulness. 0 where there is no motion."""
        return 0.0 if math.isnan(self.flicker) else math.sqrt(self.flicker) / max(self.colorfulness, 1.0)


@dataclass(frozen=True)
class _ScaledShot:
    """A shot at the size at which it is looked at: light uint8 (h, w) of its frames, and the motion from each to the next."""

    lights: list[NDArray[np.uint8]]
    motions: list[Motion]


class FilmTrial:
    """Shots of one film on which choices are tried out."""

    def __init__(self, reader: ClipReader, shots: Sequence[Shot]) -> None:
        self._reader, self.shots = reader, shots
        video, window = reader.info.video, reader.window
        self.upright_size = video.upright_size if window is None else video.upright(window.width, window.height)
        size = fit_within(*self.upright_size, VIEW_PX)
        flow = make_flow("dis-fine")
        self._scaled = []
        for shot in shots:
            lights = [reader.gray(luma, size) for luma in shot.lumas]
            motions = [motion_between(a, b, flow) for a, b in pairwise(lights)]
            self._scaled.append(_ScaledShot(lights, motions))

    def originals(self) -> list[RGB8]:
        """The middle frames as they are, without colour."""
        return [np.dstack([scaled.lights[len(scaled.lights) // 2]] * 3) for scaled in self._scaled]

    def measure(self, colorizer: Colorizer, render_factor: int, smoothing: float) -> TrialResult:
        """Colour all shots as a film would be: at this render factor, smoothed this much (0 to 1)."""
        size = colorizer.spec.render_size(*self.upright_size, render_factor)
        pictures: list[RGB8] = []
        network_s, smooth_s = math.inf, math.inf
        meter = TemporalMeter()
        for number, (shot, scaled) in enumerate(zip(self.shots, self._scaled, strict=True)):
            grays = np.stack([self._reader.gray(luma, size) for luma in shot.lumas])
            if number == 0:
                colorizer.ab(grays[:1])  # the first pass at a new size prepares itself, which is not to be timed
            began = time.perf_counter()
            ab = colorizer.ab(grays)
            colored = time.perf_counter()
            smoothed = _smooth(grays, ab, smoothing)
            network_s = min(network_s, (colored - began) / len(grays))
            smooth_s = min(smooth_s, (time.perf_counter() - colored) / len(grays))
            painted = [
                self._paint(light, gray, planes) for light, gray, planes in zip(scaled.lights, grays, smoothed, strict=True)
            ]
            for rgb, motion in zip(painted, [None, *scaled.motions], strict=True):
                meter.add(rgb, motion)
            meter.end_shot()
            pictures.append(painted[len(painted) // 2])
        score = meter.film()
        on_cpu = colorizer.device.type == "cpu"  # elsewhere the stages run beside each other
        frame_s = network_s + smooth_s if on_cpu else max(network_s, smooth_s)
        return TrialResult(pictures, score.cf, score.warp_ab, frame_s)

    def _paint(self, light: NDArray[np.uint8], gray: NDArray[np.uint8], ab: NDArray[np.float32]) -> RGB8:
        return paint_view(light.astype(np.float32) / np.float32(255), gray, ab, self._reader.info.video.matrix)

    def other_stages_s(self, options: EncodeOptions) -> float:
        """Seconds that decoding, painting and encoding take for one frame, measured on the frames at hand."""
        reader, video = self._reader, self._reader.info.video
        target = picture_format(options, video.width, video.height, reader.depth)
        painter = Painter(
            matrix=video.matrix,
            source=SampleRange.of(reader.depth, full=reader.full_range),
            target=SampleRange.of(target.depth, full=reader.full_range),
            depth=target.depth,
            chroma_size=target.chroma_size(video.width, video.height),
        )
        with tempfile.TemporaryDirectory() as folder:
            writer = SegmentWriter(
                Path(folder) / "part.mkv",
                reader.info,
                options,
                depth=reader.depth,
                full_range=reader.full_range,
                output=Path(folder).parent,
            )
            lumas = [luma for shot in self.shots for luma in shot.lumas]
            gray = reader.gray(self.shots[0].lumas[0], (VIEW_PX, VIEW_PX))
            chroma: Any = None
            paint_s = encode_s = 0.0
            for luma in lumas:
                began = time.perf_counter()
                if chroma is None:  # one is enough: painting takes equally long whatever is painted
                    chroma = painter.chroma(luma, gray, np.zeros((2, *gray.shape), np.float32))
                    paint_s = time.perf_counter() - began
                    began = time.perf_counter()
                writer.write(luma, chroma)
                encode_s += time.perf_counter() - began
            began = time.perf_counter()
            writer.close()
            encode_s += time.perf_counter() - began
        return reader.decode_s + paint_s + encode_s / len(lumas)


def paint_view(light: NDArray[np.float32], gray: NDArray[np.uint8], ab: NDArray[np.float32], matrix: str) -> RGB8:
    """A picture for looking at: `light` float32 (h, w) in [0, 1] in the colours `ab` (2, h', w') found on `gray` (h', w')."""
    planes = guided_upsample(ab_to_chroma(gray, ab, matrix), gray.astype(np.float32) / np.float32(255), light)
    return np.rint(yuv_to_rgb(light, limit_chroma(light, planes, matrix), matrix) * 255).astype(np.uint8)


def _smooth(grays: NDArray[np.uint8], ab: NDArray[np.float32], smoothing: float) -> list[NDArray[np.float32]]:
    smoother = Smoother(smoothing)
    smoothed = [frame for gray, planes in zip(grays, ab, strict=True) for frame in smoother.push(gray, planes)]
    return [frame.ab for frame in (*smoothed, *smoother.flush())]


def measure_photo(light: NDArray[np.float32], colorizer: Colorizer, render_factor: int) -> TrialResult:
    """The same for a photo's light, float32 (H, W) in [0, 1]; `frame_s` is the network's time."""
    height, width = light.shape
    size = colorizer.spec.render_size(width, height, render_factor)
    gray = _codes(_resized(light, size))
    colorizer.ab(gray[None])  # prepares itself
    began = time.perf_counter()
    ab = colorizer.ab(gray[None])[0]
    seconds = time.perf_counter() - began
    picture = paint_view(_resized(light, fit_within(width, height, PHOTO_VIEW_PX)), gray, ab, PHOTO_MATRIX)
    return TrialResult([picture], colorfulness(picture), math.nan, seconds)


def photo_view(light: NDArray[np.float32]) -> RGB8:
    """A photo's light as it is, at the size at which it is looked at."""
    return np.dstack([_codes(_resized(light, fit_within(light.shape[1], light.shape[0], PHOTO_VIEW_PX)))] * 3)


def _resized(light: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    enlarges = size[0] > light.shape[1]
    return np.asarray(cv2.resize(light, size, interpolation=cv2.INTER_LINEAR if enlarges else cv2.INTER_AREA), np.float32)


def _codes(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)
