"""A walk over all packets of a film before anything is decoded: is it whole, is its rate constant, how many frames are there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import av
import av.error

from deoldify_video.errors import InputError
from deoldify_video.media.probe import MediaInfo, film_stream

DECLARING_FORMATS = ("matroska", "mp4", "avi", "flv", "asf")  # their headers say how long they are; others are only estimated
TOLERANCE_S = 0.5  # a film may end this much before its declared end
TOLERANCE_FRAMES = 4  # or by so many frames, where that is more
TIMED_STREAMS = ("video", "audio", "subtitle")
_REORDER = 32  # pictures are coded at most this far from where they show
_RATE_TOLERANCE_S = Fraction(2, 1000)  # containers round stamps to milliseconds


@dataclass(frozen=True)
class Survey:
    """What the packets say: pictures counted, first and last second of any stream, and whether the file could be read to its end.

    `constant_rate` is whether pictures follow each other evenly; `declared_s` the length that the header promises (0: none).
    """

    pictures: int
    picture_bytes: int
    start_s: float
    end_s: float
    declared_s: float
    readable: bool
    constant_rate: bool

    def shortfall_s(self, frame_rate: Fraction) -> float:
        """How many seconds are missing at the end; 0 when it is within tolerance."""
        # Some headers count from zero, some from the first stamp: the longer reading is believed.
        missing = self.declared_s - max(self.end_s, self.end_s - self.start_s)
        return missing if missing > max(TOLERANCE_S, float(TOLERANCE_FRAMES / frame_rate)) else 0.0


class _Evenness:
    """Watches the steps between pictures in order of presentation, a few stamps at a time."""

    def __init__(self) -> None:
        self._stamps: list[int] = []
        self._shortest: int | None = None
        self._longest: int | None = None

    def add(self, stamp: int) -> None:
        self._stamps.append(stamp)
        if len(self._stamps) > 2 * _REORDER:
            self._measure(_REORDER)

    def range(self) -> int:
        """Longest step minus shortest."""
        self._measure(len(self._stamps))
        return 0 if self._longest is None or self._shortest is None else self._longest - self._shortest

    def _measure(self, count: int) -> None:
        self._stamps.sort()
        for before, after in pairwise(self._stamps[: count + 1]):
            step = after - before
            self._shortest = step if self._shortest is None else min(self._shortest, step)
            self._longest = step if self._longest is None else max(self._longest, step)
        del self._stamps[:count]


def survey(info: MediaInfo) -> Survey:
    """Read all packets of `info.path`, without decoding any. Raises `InputError` when it is no film any more."""
    pictures, picture_bytes, readable = 0, 0, True
    start: Fraction | None = None
    end = Fraction(0)
    evenness = _Evenness()
    with av.open(str(info.path), metadata_errors="replace") as container:
        film = film_stream(container)
        if film is None:
            raise InputError(f"{info.path} changed while it was read.")
        packets = container.demux()
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, ValueError):
                readable = False
                break
            if packet is None:
                break
            if packet.size == 0 or packet.stream.type not in TIMED_STREAMS:
                continue
            stamp = packet.pts if packet.pts is not None else packet.dts
            if packet.stream_index == film.index:
                pictures, picture_bytes = pictures + 1, picture_bytes + packet.size
                if stamp is not None:
                    evenness.add(stamp)
            if stamp is not None:
                base = Fraction(packet.time_base)
                start = stamp * base if start is None else min(start, stamp * base)
                end = max(end, (stamp + (packet.duration or 0)) * base)
    even = evenness.range() * info.video.time_base <= _RATE_TOLERANCE_S
    declared_s = info.duration_s if any(name in info.format_name for name in DECLARING_FORMATS) else 0.0
    return Survey(pictures, picture_bytes, float(start or 0), float(end), declared_s, readable, even)
