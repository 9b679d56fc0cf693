"""Reads a film once without a network, and divides what is to be made of it into ranges that can be made apart.

Cuts are found on the same small pictures as in a single run, so segments are the same. A range begins where the smoother
remembers nothing, at a cut, or where its memory is kept from an earlier run; made by themselves, ranges give the very frames
that a single run gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, groupby, takewhile
from operator import itemgetter

from deoldify_video.film.cut_search import CutSearch, join_searches
from deoldify_video.film.job import FilmJob
from deoldify_video.film.journal import Segment
from deoldify_video.film.pipeline import QUEUE_FRAMES, Marked, ResumePoint, find_segments, mark_segments, one_thread_each
from deoldify_video.film.segments import PlannedSegment, SegmentRange, rest_of_film
from deoldify_video.film.threads import Stages
from deoldify_video.media.decode import SEEKABLE_FORMATS, DecodedFrame, DecodeStats, FilmReader, FrameStamp, SeekPoint


def is_divisible(job: FilmJob) -> bool:
    """Whether it pays to divide the film: it is long, and its container leads to any frame."""
    seekable = any(name in job.info.format_name for name in SEEKABLE_FORMATS)
    return seekable and job.expected_frames > 2 * job.options.segments.range_frames


def partition_film(
    job: FilmJob, finished: Mapping[int, Segment], searches: Sequence[CutSearch] = ()
) -> Iterator[SegmentRange | DecodeStats]:
    """The ranges of a film that have still to be made, in order, each as soon as its end is found; then the reader's statistics.

    `finished` are the segments that there are, by number. Where `searches` at the whole film can be joined it is not read again.
    Otherwise, where stamps had to be repaired or pictures are damaged, a frame may not be found again, or look different, when it is
    sought: from there on the rest of the film is one range.
    """
    joined = join_searches(searches) if searches else None
    if joined is None:
        yield from _divide_by_reading(job, finished)
        return
    frames, stats = joined
    partitioner = _Partitioner(job.options.segments.range_frames, finished, lambda frame: True)
    for number, members in groupby(mark_segments(frames, ResumePoint(), job.options.segments), key=itemgetter(2)):
        yield from partitioner.add(*_planned(number, members))
    yield from partitioner.flush()
    yield stats


def _divide_by_reading(job: FilmJob, finished: Mapping[int, Segment]) -> Iterator[SegmentRange | DecodeStats]:
    one_thread_each()
    rest = rest_of_film([finished[number] for number in takewhile(finished.__contains__, count())])
    reader = _WatchedReader(job.reader(rest.seek_point))
    partitioner = _Partitioner(job.options.segments.range_frames, finished, reader.is_sound_at)
    with Stages() as stages:
        decoded = stages.background(reader, depth=QUEUE_FRAMES, name="decode")
        frames = find_segments(decoded, rest.resume_point, job.options.segments)
        for number, members in groupby(frames, key=itemgetter(2)):
            yield from partitioner.add(*_planned(number, members))
    yield from partitioner.flush()
    yield reader.stats


def _planned(number: int, frames: Iterator[Marked[FrameStamp]] | Iterator[Marked[DecodedFrame]]) -> tuple[PlannedSegment, int]:
    """A segment that was found, and the shot of its last frame."""
    first, first_shot, _ = next(frames)
    pts, cuts, last_shot = [first.pts], [], first_shot
    for frame, shot, _ in frames:
        if shot != last_shot:
            cuts.append(frame.index)
        last_shot = shot
        pts.append(frame.pts)
    return PlannedSegment(number, first.index, first_shot, pts, cuts), last_shot


class _WatchedReader:
    """A reader, and the first frame at which something was wrong by then."""

    def __init__(self, reader: FilmReader) -> None:
        self._reader = reader
        self._wrong_from: int | None = None

    @property
    def stats(self) -> DecodeStats:
        return self._reader.stats

    def __iter__(self) -> Iterator[DecodedFrame]:
        for frame in self._reader:
            if self._wrong_from is None and (not self.stats.clean or self.stats.damaged_frames):
                self._wrong_from = frame.index
            yield frame

    def is_sound_at(self, frame: int) -> bool:
        """Whether nothing was wrong up to a frame that has been read."""
        return self._wrong_from is None or self._wrong_from > frame


@dataclass
class _Partitioner:
    """Gathers segments until they make a range."""

    range_frames: int
    finished: Mapping[int, Segment]
    is_sound_at: Callable[[int], bool]
    waiting: list[PlannedSegment] = field(default_factory=list)
    last_shot: int | None = None

    def add(self, segment: PlannedSegment, last_shot: int) -> Iterator[SegmentRange]:
        """Take the next segment of the film, which ends in `last_shot`; gives the range that ends before it, if one does."""
        goes_on = segment.shot == self.last_shot
        self.last_shot = last_shot
        entry = self.finished.get(segment.number)
        is_done = entry is not None and entry.pts == segment.pts
        # In mid-shot the smoother looks ahead from one segment into the next: they are made together.
        if not (goes_on and self.waiting):
            long_enough = sum(len(one.pts) for one in self.waiting) >= self.range_frames
            if is_done or (long_enough and self.is_sound_at(segment.frame)):
                yield from self.flush()
            if is_done:
                return
        self.waiting.append(segment)

    def flush(self) -> Iterator[SegmentRange]:
        """The range of all segments that wait."""
        if self.waiting:
            before = self.finished.get(self.waiting[0].number - 1)
            yield planned_range(self.waiting, before, seekable=self.is_sound_at(self.waiting[0].frame))
            self.waiting = []


def planned_range(plan: Iterable[PlannedSegment], before: Segment | None, *, seekable: bool) -> SegmentRange:
    """The range of `plan`. `before` is the segment before it, where that is finished; `seekable`: the beginning can be sought."""
    plan = tuple(plan)
    first = plan[0]
    return SegmentRange(
        SeekPoint(first.frame, first.pts[0] if seekable else None),
        ResumePoint(first.frame, first.number, first.shot),
        first.number - 1 if before is not None and before.track_digest else None,
        plan,
    )
