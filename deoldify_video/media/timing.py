"""Time arithmetic: integer stamps in an exact time base, never seconds as floats."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TypeVar

from deoldify_video.errors import UsageError

T = TypeVar("T")


class PtsClock:
    """Turns the stamps that a decoder gives into strictly rising ones.

    A missing stamp, one that does not rise, and one that leaps ahead of the stamp that follows it, is replaced by the one before it
    plus the usual step, or where the next stamp is nearer than that, by the middle between them. `repaired` counts them. Stamps that
    rise strictly are never touched.
    """

    def __init__(self, frame_rate: Fraction, time_base: Fraction) -> None:
        self.step = max(1, round(1 / (frame_rate * time_base)))
        self.last: int | None = None
        self.repaired = 0

    def stamp(self, pts: int | None, first: int = 0, following: int | None = None) -> int:
        """The stamp of the next frame; `first` is used when the very first one is missing, `following` is the frame's after it."""
        last = self.last
        leaps = pts is not None and following is not None and following < pts and (last is None or following > last)
        if pts is None or leaps or (last is not None and pts <= last):
            self.repaired += 1
            if last is None:
                pts = first if following is None or not leaps else min(first, following - self.step)
            else:
                pts = last + self.step
                if following is not None and last < following <= pts:
                    pts = max(last + 1, (last + following) // 2)
        self.last = pts
        return pts


def rising(items: Iterable[T], pts_of: Callable[[T], int | None], clock: PtsClock, first: int = 0) -> Iterator[tuple[int, T]]:
    """Every item with its repaired stamp; one item is held back, so that a stamp that leaps ahead is known by the next one."""
    held: list[T] = []
    for item in items:
        if held:
            yield clock.stamp(pts_of(held[0]), first, pts_of(item)), held.pop()
        held.append(item)
    if held:
        yield clock.stamp(pts_of(held[0]), first), held.pop()


def decode_stamps(pts: Sequence[int], delay: int, step: int, *, strict: bool = True) -> Iterator[int]:
    """The decoding stamps of packets whose frames show at the rising `pts`, for an encoder that holds back `delay` frames.

    Packet n is decoded when frame n - delay shows, so a packet is never decoded after it is shown; the first ones count
    down from the first stamp by `step`. Containers that keep no decoding stamps take them not `strict`: none lies before the first
    picture, and so nothing makes the container shift the film.
    """
    for number in range(len(pts)):
        early = (delay - number) * step if strict else 0
        yield pts[number - delay] if number >= delay else pts[0] - early


def parse_time(text: str) -> float:
    """`90`, `1:30`, `01:30:00.5` to seconds; raises `UsageError`."""
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text):
        raise UsageError(f"{text!r} is no time", remedy="write seconds or [HH:]MM:SS, for instance 90 or 1:30")
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
