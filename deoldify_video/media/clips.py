"""A few frames from here and there in a film, without decoding the rest: seek to a key picture, and take what follows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import av
import av.error
import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video.color.yuv import SampleRange, luma_to_grey
from deoldify_video.errors import InputError
from deoldify_video.media.decode import Window, has_luma_plane, luma_plane
from deoldify_video.media.look import colour_spread
from deoldify_video.media.probe import MATRIX_NAMES, MAX_PIXELS, MediaInfo, film_stream


@dataclass(frozen=True)
class Sample:
    """A frame somewhere in the film.

    `luma` (H, W) as coded, uint8 or uint16; `colour` is how far its own chroma spreads (`media.look.colour_spread`).
    """

    pts: int
    luma: NDArray[Any]
    colour: float


class ClipReader:
    """Reads frames of one film at chosen places. Nothing is repaired: what cannot be decoded is not there."""

    def __init__(self, info: MediaInfo) -> None:
        self.info = info
        video = info.video
        self.window: Window | None = None
        self._convert_to = None if has_luma_plane(video.pix_fmt) else "yuv444p"
        self.depth = video.depth if self._convert_to is None else 8
        self.full_range = video.full_range if self._convert_to is None else False
        self._seconds: list[float] = []

    @property
    def decode_s(self) -> float:
        """Seconds that a frame takes, by the median of those read; 0 before anything was read."""
        return median(self._seconds) if self._seconds else 0.0

    def sample(self, place: int, forward: int) -> Sample | None:
        """The key picture before the stamp `place`, or the frame that lies up to `forward` frames nearer to it."""
        last: Sample | None = None
        for number, (pts, frame) in enumerate(self._from(place)):
            last = Sample(pts, self._luma(frame), colour_spread(frame))
            if number >= forward or pts >= place:
                break
        return last

    def clip(self, pts: int, count: int) -> list[NDArray[Any]]:
        """The luma of the frame stamped `pts` and of up to `count` - 1 frames behind it."""
        lumas: list[NDArray[Any]] = []
        for stamp, frame in self._from(pts):
            if stamp >= pts:
                lumas.append(self._luma(frame))
            if len(lumas) == count:
                break
        return lumas

    def grey(self, luma: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
        """A small upright copy of `luma`, uint8 (h, w), full range; `size` is (width, height), black borders are left out."""
        turns = self.info.video.rotation_deg // 90
        shown = luma if self.window is None else luma[self.window.slices]
        small = cv2.resize(shown, size if turns % 2 == 0 else size[::-1], interpolation=cv2.INTER_AREA)
        samples = SampleRange.of(self.depth, full=self.full_range)
        return np.ascontiguousarray(np.rot90(luma_to_grey(small, samples), turns))

    def _from(self, place: int) -> Iterator[tuple[int, av.VideoFrame]]:
        video = self.info.video
        with av.open(str(self.info.path), metadata_errors="replace") as container:
            stream = film_stream(container)
            if stream is None:
                raise InputError(f"{self.info.path} changed while it was read.")
            # Threads that decode frames side by side would decode a dozen more than are wanted.
            stream.thread_type = "SLICE"
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            try:
                container.seek(place, stream=stream)
                frames = container.decode(stream)
                began = time.perf_counter()
                for frame in frames:
                    self._seconds.append(time.perf_counter() - began)
                    if frame.pts is not None and (frame.width, frame.height) == (video.width, video.height):
                        yield frame.pts, frame
                    began = time.perf_counter()
            except (av.error.FFmpegError, ValueError):
                return  # a damaged place; there are others

    def _luma(self, frame: av.VideoFrame) -> NDArray[Any]:
        if self._convert_to is None:
            return luma_plane(frame)
        matrix = next(number for number, name in MATRIX_NAMES.items() if name == self.info.video.matrix)
        return luma_plane(frame.reformat(format=self._convert_to, dst_colorspace=matrix, dst_color_range="MPEG"))
