"""Time arithmetic: integer stamps in an exact time base, never seconds as floats."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from deoldify_video.errors import UsageError


class PtsClock:
    """Turns the stamps that a decoder gives into strictly rising ones.

    A missing stamp, or one that does not rise, is replaced by the one before it plus the usual step; `repaired` counts them.
    """

    def __init__(self, frame_rate: Fraction, time_base: Fraction) -> None:
        self.step = max(1, round(1 / (frame_rate * time_base)))
        self.last: int | None = None
        self.repaired = 0

    def stamp(self, pts: int | None, first: int = 0) -> int:
        """The stamp of the next frame; `first` is used when the very first one is missing."""
        if pts is None or (self.last is not None and pts <= self.last):
            pts = first if self.last is None else self.last + self.step
            self.repaired += 1
        self.last = pts
        return pts


def decode_stamps(pts: Sequence[int], delay: int, step: int) -> Iterator[int]:
    """The decoding stamps of packets whose frames show at the rising `pts`, for an encoder that holds back `delay` frames.

    Packet n is decoded when frame n - delay shows, so a packet is never decoded after it is shown; the first ones count
    down from the first stamp by `step`.
    """
    for number in range(len(pts)):
        yield pts[number - delay] if number >= delay else pts[0] - (delay - number) * step


def parse_time(text: str) -> float:
    """`90`, `1:30`, `01:30:00.5` to seconds; raises `UsageError`."""
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text):
        raise UsageError(f"{text!r} is no time; write seconds or [HH:]MM:SS, for instance 90 or 1:30.")
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
