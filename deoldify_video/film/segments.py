"""Makes segments of a film in one go: of the whole film, of what an earlier run has left, or of a planned range."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deoldify_video.errors import InputError, OutputError, StoppedError
from deoldify_video.film.frame import FilmFrame
from deoldify_video.film.job import FilmJob
from deoldify_video.film.journal import Segment, segment_path, state_path
from deoldify_video.film.pipeline import FrameT, Marked, ResumePoint, film_frames, find_segments
from deoldify_video.film.threads import Stages
from deoldify_video.media.decode import FilmReader, SeekPoint
from deoldify_video.media.files import hash_file, output_errors, output_file, put_in_place
from deoldify_video.report import OnProgress, Progress
from deoldify_video.temporal.smooth import SmootherState

if TYPE_CHECKING:
    from deoldify_video.models.colorizer import Colorizer

log = logging.getLogger(__name__)

WARM_UP_FRAMES = 32  # decoded before a start in mid-shot, so that the shot detector knows the past


@dataclass(frozen=True)
class PlannedSegment:
    """A segment that is known before it is made: its number, first frame and that frame's shot, the stamp of every frame, and the
    numbers of the frames in it at which a new shot begins.
    """

    number: int
    frame: int
    shot: int
    pts: list[int]
    cuts: list[int]


@dataclass(frozen=True)
class SegmentRange:
    """Consecutive segments: where to begin reading, what the first of them is, and the segment after which the smoother's memory is
    kept where that one goes on in mid-shot. With a `plan` it ends with that; without one, segments are found up to the film's end.
    """

    seek_point: SeekPoint = field(default_factory=SeekPoint)
    resume_point: ResumePoint = field(default_factory=ResumePoint)
    state_segment: int | None = None
    plan: tuple[PlannedSegment, ...] = ()

    @property
    def frames(self) -> int:
        """How many frames are planned."""
        return sum(len(segment.pts) for segment in self.plan)


def rest_of_film(segments: Sequence[Segment]) -> SegmentRange:
    """The range that follows the leading `segments` of a film."""
    if not segments:
        return SegmentRange()
    last, pts = segments[-1], [stamp for segment in segments for stamp in segment.pts]
    first = len(pts) - (WARM_UP_FRAMES if last.in_mid_shot else 0)
    # The stamp of the first frame that is missing is not known; the one before it is, and it is dropped later.
    first = max(0, min(first, len(pts) - 1))
    return SegmentRange(
        SeekPoint(first, pts[first] if last.seekable else None),
        ResumePoint(len(pts), len(segments), last.shots - last.in_mid_shot),
        len(segments) - 1 if last.track_digest else None,
    )


def make_segments(
    job: FilmJob,
    colorizer: Colorizer,
    folder: Path,
    segment_range: SegmentRange,
    reader: FilmReader,
    *,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Generator[tuple[int, Segment], None, None]:
    """Make the segments of `segment_range` in `folder`; yields the number and entry of each when its segment is on the disk.

    `reader` reads from the range's beginning and gathers statistics. `should_stop` is asked after every segment but the last, and
    ends the work with `StoppedError`. Raises `InputError` where the film is not what was planned.
    """
    resume_point, total = segment_range.resume_point, job.expected_frames
    if segment_range.state_segment is not None:
        resume_point = replace(
            resume_point, smoother_state=_load_state(state_path(folder, segment_range.state_segment), job.output)
        )
    mark = (
        partial(mark_planned, segment_range.plan)
        if segment_range.plan
        else partial(find_segments, resume_point=resume_point, lengths=job.options.segments)
    )
    frames = islice(reader, segment_range.frames) if segment_range.plan else reader
    planned = {segment.number: segment.pts for segment in segment_range.plan}
    open_segment: _OpenSegment | None = None

    def finish(open_segment: _OpenSegment, following: FilmFrame | None) -> tuple[int, Segment]:
        segment = open_segment.finish(following)
        if planned.pop(open_segment.number, segment.pts) != segment.pts:
            raise InputError(
                "reads otherwise when it is sought", path=job.info.path, remedy="colorize it in one go with --engine local"
            )
        return open_segment.number, segment

    try:
        with Stages() as stages:
            painter = job.painter(reader)
            for frame, chroma in film_frames(
                frames, mark, colorizer, painter, job.options, resume_point.smoother_state, stages
            ):
                if open_segment is not None and frame.segment != open_segment.number:
                    yield finish(open_segment, frame)
                    open_segment = None
                    if should_stop():
                        raise StoppedError(f"stopped after {frame.index} frames", remedy="the same command goes on from there")
                if open_segment is None:
                    open_segment = _OpenSegment(job, folder, frame.segment, reader)
                open_segment.write(frame, chroma)
                if on_progress:
                    on_progress(Progress(frame.index + 1, total, frame.shot + 1))
            if open_segment is not None:
                yield finish(open_segment, None)
                open_segment = None
    finally:
        if open_segment is not None:
            open_segment.abandon()
    if planned:
        raise InputError(
            "has fewer frames when it is sought", path=job.info.path, remedy="colorize it in one go with --engine local"
        )


def mark_planned(plan: Iterable[PlannedSegment], frames: Iterable[FrameT]) -> Iterator[Marked[FrameT]]:
    """Number shots and segments of `frames`, which are those of `plan`."""
    source = iter(frames)
    for segment in plan:
        shot, cuts = segment.shot, frozenset(segment.cuts)
        for frame in islice(source, len(segment.pts)):
            shot += frame.index in cuts
            yield frame, shot, segment.number


class _OpenSegment:
    """A segment in the making. It gets its name when it is whole, so that two that are made at once never spoil each other."""

    def __init__(self, job: FilmJob, folder: Path, number: int, reader: FilmReader) -> None:
        self.number = number
        self._folder, self._output, self._reader = folder, job.output, reader
        self._pts: list[int] = []
        self._last: FilmFrame | None = None
        self._temporary = folder / f"{secrets.token_hex(4)}.new"
        self._writer = job.writer(self._temporary, reader)

    def write(self, frame: FilmFrame, chroma: NDArray[Any]) -> None:
        """Encode the next frame."""
        self._writer.write(frame.luma, chroma)
        self._pts.append(frame.pts)
        self._last = frame

    def finish(self, following: FilmFrame | None) -> Segment:
        """Finish the segment; `following` is the first frame of the next one. On return it is on the disk."""
        last = self._last
        assert last is not None
        self._writer.close()
        path, state = segment_path(self._folder, self.number), state_path(self._folder, self.number)
        in_mid_shot = following is not None and following.shot == last.shot
        with output_errors(self._output):
            digest = hash_file(self._temporary)
            put_in_place(self._temporary, path)
            if in_mid_shot and last.smoother_state is not None:
                _save_state(state, last.smoother_state)
        log.info("segment %d is finished: %d frames, up to frame %d", self.number, len(self._pts), last.index + 1)
        return Segment(
            part=path.name,
            digest=digest,
            track_digest=hash_file(state) if in_mid_shot else "",
            pts=self._pts,
            delay=self._writer.delay,
            last_duration=self._reader.stats.last_duration,
            shots=last.shot + 1,
            in_mid_shot=in_mid_shot,
            seekable=self._reader.stats.clean,
        )

    def abandon(self) -> None:
        """Remove what there is."""
        self._writer.abandon()


def _save_state(path: Path, state: SmootherState) -> None:
    with output_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, shot=state.shot, grey=state.gray, moments=state.moments)


def _load_state(path: Path, output: Path) -> SmootherState:
    try:
        with np.load(path) as data:
            return SmootherState(int(data["shot"]), data["grey"], data["moments"])
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(
            "cannot be gone on with, for what is there is damaged", path=output, remedy="begin anew with --restart"
        ) from error
