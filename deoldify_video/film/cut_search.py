"""Looks for the cuts of a long film in several places at once, and joins what was found to what one look would have found.

A search reads a span of the film with a shot detector that knows nothing of what was before, and goes on a little into the next span.
There, sooner or later, its detector and the next one's remember the same: from that frame on the next one's decisions are right.
Where that does not come about, or the film does not read alike from both sides, nothing is joined and the film is read in one go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from deoldify_video.errors import InputError
from deoldify_video.film.job import FilmJob
from deoldify_video.film.pipeline import QUEUE_FRAMES, one_thread_each
from deoldify_video.film.threads import Stages
from deoldify_video.media.decode import DecodeStats, FrameStamp, SeekPoint
from deoldify_video.temporal.shots import LOOKAHEAD, ShotDetector


@dataclass(frozen=True)
class CutSearch:
    """The cuts found in a span and in the frames behind it, `own` of them in the span.

    `pts` int64 (n,), `cuts` bool (n,) true where a new shot begins; `head` and `tail` are the detector's memory after each of the first
    frames of the span, and of the frames behind it. `is_sound` says that nothing had to be repaired.
    """

    pts: NDArray[np.int64]
    cuts: NDArray[np.bool_]
    own: int
    head: list[bytes]
    tail: list[bytes]
    is_sound: bool
    stats: DecodeStats


def search_cuts(job: FilmJob, number: int, count: int) -> CutSearch:
    """Look at the span `number` of `count` equal ones. What cannot be read there is not sound, and no error yet."""
    try:
        return _search_cuts(job, number, count)
    except InputError:
        nothing = np.array([], np.int64)
        return CutSearch(nothing, nothing > 0, 0, [], [], is_sound=False, stats=DecodeStats())


def _search_cuts(job: FilmJob, number: int, count: int) -> CutSearch:
    one_thread_each()
    start_s, end_s = _spans(job, count)[number : number + 2]
    last = number == count - 1
    end_pts = None if last else job.info.video.start_pts + round(end_s / job.info.video.time_base)
    span = replace(job.options.decode, start_s=start_s, end_s=job.options.decode.end_s)
    reader = replace(job, options=replace(job.options, decode=span)).reader(SeekPoint())
    overlap = job.options.segments.overlap_frames
    detector = ShotDetector()
    shots: list[int] = []
    pts: list[int] = []
    head: list[bytes] = []
    tail: list[bytes] = []
    own = 0
    with Stages() as stages:
        for frame in stages.background(reader, depth=QUEUE_FRAMES, name="decode"):
            if end_pts is not None and frame.pts >= end_pts:
                if len(tail) == overlap:
                    break
            else:
                own += 1
            shots += detector.push(frame.gray)
            pts.append(frame.pts)
            if len(head) < overlap:
                head.append(detector.memory())
            if len(pts) > own:
                tail.append(detector.memory())
    shots += detector.flush()
    stats = reader.stats
    is_sound = stats.clean and not stats.damaged_frames
    return CutSearch(
        np.array(pts, np.int64), np.diff(np.array(shots, np.int64), prepend=0) > 0, own, head, tail, is_sound, stats
    )


def join_searches(searches: Sequence[CutSearch]) -> tuple[list[tuple[FrameStamp, int]], DecodeStats] | None:
    """All frames, each with its shot, and the statistics of the whole; None where the searches cannot be joined."""
    if not all(one.is_sound for one in searches):
        return None
    cuts = [one.cuts[: one.own].copy() for one in searches]
    for number, (one, following) in enumerate(pairwise(searches)):
        seen = len(one.tail)
        meeting = next((n for n, (a, b) in enumerate(zip(one.tail, following.head, strict=False)) if a == b), None)
        if meeting is None or following.own < seen or not np.array_equal(one.pts[one.own :], following.pts[:seen]):
            return None
        # What the detector had decided when the memories met is its own; what it still held back both decide alike.
        decided = max(0, meeting + 1 - LOOKAHEAD)
        cuts[number + 1][:decided] = one.cuts[one.own : one.own + decided]
    pts = np.concatenate([one.pts[: one.own] for one in searches])
    shots = np.cumsum(np.concatenate(cuts))
    frames = list(zip(map(FrameStamp, range(len(pts)), pts.tolist()), shots.tolist(), strict=True))
    stats = replace(searches[-1].stats, frames=len(frames))
    return frames, stats


def _spans(job: FilmJob, count: int) -> list[float]:
    """Where spans begin, and where the last ends: seconds from the film's first frame."""
    decode, found = job.options.decode, job.found
    length_s = job.expected_frames / float(job.info.video.frame_rate)
    last_s = decode.end_s if decode.end_s is not None else max(found.packet_scan.end_s, decode.start_s + length_s)
    steps = [decode.start_s + length_s * number / count for number in range(count)]
    return [*steps, last_s]
