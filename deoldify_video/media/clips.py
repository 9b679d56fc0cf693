"""A few frames from here and there in a film, without decoding the rest: seek to a key picture, and take what follows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile, islice
from statistics import median
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from deoldify_video.color.yuv import SampleRange
from deoldify_video.errors import InputError
from deoldify_video.media.decode import Window, has_luma_plane, luma_plane, small_gray
from deoldify_video.media.inspect_content import frame_spread
from deoldify_video.media.probe import MATRIX_NAMES, MAX_PIXELS, MediaInfo, film_stream
from deoldify_video.media.timing import PtsClock, rising


@dataclass(frozen=True)
class Sample:
    """A frame somewhere in the film.

    `luma` (H, W) as coded, uint8 or uint16; `color` is how far its own chroma spreads (`color.spread.chroma_spread`).
    """

    pts: int
    luma: NDArray[Any]
    color: float


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
        last: tuple[int, av.VideoFrame] | None = None
        for number, last in enumerate(self._from(place)):
            if number >= forward or last[0] >= place:
                break
        return self._sample(*last) if last is not None else None

    def read_through(self, stride: int, limit: int) -> list[Sample]:
        """Every `stride`-th of the first `limit` frames, without seeking."""
        frames = enumerate(islice(self._from(None), limit))
        return [self._sample(pts, frame) for number, (pts, frame) in frames if number % stride == 0]

    def clip(self, pts: int, count: int) -> list[NDArray[Any]]:
        """The luma of the frame stamped `pts` and of up to `count` - 1 frames behind it; nothing where there is no such frame."""
        for place in (pts, None):  # where seeking does not lead there, it is read from the beginning
            frames = dropwhile(lambda item: item[0] < pts, self._from(place))
            found = list(islice(frames, count))
            if found and found[0][0] == pts:
                return [self._luma(frame) for _, frame in found]
        return []

    def gray(self, luma: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
        """A small upright copy of `luma`, uint8 (h, w), full range; `size` is (width, height), black borders are left out."""
        turns = self.info.video.rotation_deg // 90
        shown = luma if self.window is None else luma[self.window.slices]
        return small_gray(shown, size, SampleRange.of(self.depth, full=self.full_range), turns)

    def _from(self, place: int | None) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames with their stamps, from the key picture before `place` on; None: from the beginning, stamps repaired."""
        video = self.info.video
        with av.open(str(self.info.path), metadata_errors="replace") as container:
            stream = film_stream(container)
            if stream is None:
                raise InputError("changed while it was read", path=self.info.path)
            # Threads that decode frames side by side would decode a dozen more than are wanted of a clip.
            stream.thread_type = "AUTO" if place is None else "SLICE"
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            try:
                frames = self._timed(container.decode(stream))
                if place is None:
                    clock = PtsClock(video.frame_rate, video.time_base)
                    yield from rising(
                        frames, lambda frame: frame.pts if frame.pts is not None else frame.dts, clock, video.start_pts
                    )
                else:
                    container.seek(place, stream=stream)
                    yield from ((frame.pts, frame) for frame in frames if frame.pts is not None)
            except (av.error.FFmpegError, ValueError):
                return  # a damaged place; there are others

    def _timed(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Frames of the film's own size; how long each takes is noted."""
        began = time.perf_counter()
        for frame in frames:
            self._seconds.append(time.perf_counter() - began)
            if (frame.width, frame.height) == (self.info.video.width, self.info.video.height):
                yield frame
            began = time.perf_counter()

    def _sample(self, pts: int, frame: av.VideoFrame) -> Sample:
        return Sample(pts, self._luma(frame), frame_spread(frame))

    def _luma(self, frame: av.VideoFrame) -> NDArray[Any]:
        if self._convert_to is None:
            return luma_plane(frame)
        matrix = next(number for number, name in MATRIX_NAMES.items() if name == self.info.video.matrix)
        return luma_plane(frame.reformat(format=self._convert_to, dst_colorspace=matrix, dst_color_range="MPEG"))
