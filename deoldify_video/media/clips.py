"""A few frames from here and there in a film, without decoding the rest: seek to a key picture, and take what follows."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import dropwhile, islice
from statistics import median
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from deoldify_video.color.spread import SMALL_PX, chroma_spread
from deoldify_video.media.decode import Luma, Window, luma_plane, open_film, own_stamp
from deoldify_video.media.probe import MediaInfo
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
        self.window: Window | None = None
        self._luma = Luma(info.video)
        self.depth, self.full_range = self._luma.depth, self._luma.full_range
        self._seconds: list[float] = []

    @property
    def decode_s(self) -> float:
        """Seconds that a frame takes, by the median of those read; 0 before anything was read."""
        return median(self._seconds) if self._seconds else 0.0

    @property
    def decoded_frames(self) -> int:
        """How many frames were decoded so far."""
        return len(self._seconds)

    def samples(self, places: Iterable[int], forward: int) -> Iterator[Sample]:
        """At each stamp of `places`, in order, the key picture before it, or the frame that lies up to `forward` frames nearer."""
        video = self.info.video
        forward_ticks = forward / video.frame_rate / video.time_base
        with open_film(self.info, few=not forward) as film:
            frames: Iterator[av.VideoFrame] = iter(())
            here: int | None = None
            for place in places:
                if not forward or here is None or place - here > forward_ticks:  # too far to get there by decoding
                    frames = self._timed(film.frames()) if film.seek(place) else iter(())
                found = None
                for number, found in enumerate(frames):
                    stamp = own_stamp(found)
                    if number >= forward or (stamp is not None and stamp >= place):
                        break
                here = own_stamp(found) if found is not None else None
                if found is not None:
                    yield self._sample(place if here is None else here, found)

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
                return [luma_plane(self._luma.of(frame)) for _, frame in found]
        return []

    def gray(self, luma: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
        """A small upright copy of `luma`, uint8 (h, w), full range; `size` is (width, height), black borders are left out."""
        return self._luma.gray(luma if self.window is None else luma[self.window.slices], size)

    def eight_bit(self, luma: NDArray[Any]) -> NDArray[np.uint8]:
        """`luma` in codes of eight bits."""
        return np.asarray(luma >> (self.depth - 8), np.uint8)

    def _from(self, place: int | None) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames with their stamps, from the key picture before `place` on; None: from the beginning, stamps repaired."""
        video = self.info.video
        with open_film(self.info, few=place is not None) as film:
            if place is None:
                clock = PtsClock(video.frame_rate, video.time_base)
                yield from rising(self._timed(film.frames()), own_stamp, clock, video.start_pts)
            elif film.seek(place):
                yield from ((frame.pts, frame) for frame in self._timed(film.frames()) if frame.pts is not None)

    def _timed(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Frames of the film's own size; how long each takes is noted."""
        began = time.perf_counter()
        for frame in frames:
            self._seconds.append(time.perf_counter() - began)
            if (frame.width, frame.height) == (self.info.video.width, self.info.video.height):
                yield frame
            began = time.perf_counter()

    def _sample(self, pts: int, frame: av.VideoFrame) -> Sample:
        small = frame.reformat(width=SMALL_PX, height=SMALL_PX, format="yuv444p", interpolation="AREA")
        return Sample(pts, luma_plane(self._luma.of(frame)), chroma_spread(small.to_ndarray()))
