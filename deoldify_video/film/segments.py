"""Makes segments of a film, one part each, in one go: of the whole film, of what an earlier run has left, or of a planned stretch."""

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
from deoldify_video.film.job import FilmJob
from deoldify_video.film.journal import Segment, part_path, sync, track_path
from deoldify_video.film.pipeline import Start, film_frames, find_segments
from deoldify_video.film.threads import Stages
from deoldify_video.media.decode import Begin, FilmReader
from deoldify_video.media.files import digest_of, output_errors, sync_folder
from deoldify_video.media.frame import FilmFrame
from deoldify_video.report import OnProgress, Progress
from deoldify_video.temporal.smoother_state import Track

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
class Stretch:
    """Consecutive segments: where to begin reading, what the first of them is, and the part after which the smoother's memory is kept
    where that one goes on in mid-shot. With a `plan` it ends with that; without one, segments are found up to the film's end.
    """

    begin: Begin = field(default_factory=Begin)
    start: Start = field(default_factory=Start)
    track_of: int | None = None
    plan: tuple[PlannedSegment, ...] = ()

    @property
    def frames(self) -> int:
        """How many frames are planned."""
        return sum(len(segment.pts) for segment in self.plan)


def rest_of_film(segments: Sequence[Segment]) -> Stretch:
    """What follows the leading `segments` of a film."""
    if not segments:
        return Stretch()
    last, pts = segments[-1], [stamp for segment in segments for stamp in segment.pts]
    first = len(pts) - (WARM_UP_FRAMES if last.in_mid_shot else 0)
    # The stamp of the first frame that is missing is not known; the one before it is, and it is dropped later.
    first = max(0, min(first, len(pts) - 1))
    return Stretch(
        Begin(first, pts[first] if last.seekable else None),
        Start(len(pts), len(segments), last.shots - last.in_mid_shot),
        len(segments) - 1 if last.track_digest else None,
    )


def make_segments(
    job: FilmJob,
    colorizer: Colorizer,
    folder: Path,
    stretch: Stretch,
    reader: FilmReader,
    *,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Generator[tuple[int, Segment], None, None]:
    """Make the segments of `stretch` in `folder`; yields the number and entry of each when its part is on the disk.

    `reader` reads from the stretch's beginning and gathers statistics. `should_stop` is asked after every segment but the last, and
    ends the work with `StoppedError`. Raises `InputError` where the film is not what was planned.
    """
    start, total = stretch.start, job.expected_frames
    if stretch.track_of is not None:
        start = replace(start, track=_load_track(track_path(folder, stretch.track_of)))
    mark = partial(mark_planned, stretch.plan) if stretch.plan else partial(find_segments, start=start)
    frames = islice(reader, stretch.frames) if stretch.plan else reader
    planned = {segment.number: segment.pts for segment in stretch.plan}
    part: _Part | None = None

    def finish(part: _Part, following: FilmFrame | None) -> tuple[int, Segment]:
        segment = part.finish(following)
        if planned.pop(part.number, segment.pts) != segment.pts:
            raise InputError(f"{job.info.path} reads otherwise when it is sought; colorize it in one go with --engine local.")
        return part.number, segment

    try:
        with Stages() as stages:
            painter = job.painter(reader)
            for frame, chroma in film_frames(frames, mark, colorizer, painter, job.options, start.track, stages):
                if part is not None and frame.segment != part.number:
                    yield finish(part, frame)
                    part = None
                    if should_stop():
                        raise StoppedError(f"stopped after {frame.index} frames; the same command goes on from there.")
                if part is None:
                    part = _Part(job, folder, frame.segment, reader)
                part.write(frame, chroma)
                if on_progress:
                    on_progress(Progress(frame.index + 1, total, frame.shot + 1))
            if part is not None:
                yield finish(part, None)
                part = None
    finally:
        if part is not None:
            part.abandon()
    if planned:
        raise InputError(f"{job.info.path} has fewer frames when it is sought; colorize it in one go with --engine local.")


def mark_planned(plan: Iterable[PlannedSegment], frames: Iterable[FilmFrame]) -> Iterator[FilmFrame]:
    """Number shots and segments of `frames`, which are those of `plan`."""
    source = iter(frames)
    for segment in plan:
        shot, cuts = segment.shot, frozenset(segment.cuts)
        for frame in islice(source, len(segment.pts)):
            shot += frame.index in cuts
            frame.shot, frame.segment = shot, segment.number
            yield frame


class _Part:
    """A part in the making. It gets its name when it is whole, so that two that are made at once never spoil each other."""

    def __init__(self, job: FilmJob, folder: Path, number: int, reader: FilmReader) -> None:
        self.number = number
        self._folder, self._reader = folder, reader
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
        """Finish the part; `following` is the first frame of the next one. On return it is on the disk."""
        last = self._last
        assert last is not None
        self._writer.close()
        part, track = part_path(self._folder, self.number), track_path(self._folder, self.number)
        in_mid_shot = following is not None and following.shot == last.shot
        with output_errors(part):
            sync(self._temporary)
            digest = digest_of(self._temporary)
            self._temporary.replace(part)
        if in_mid_shot and last.track is not None:
            _save_track(track, last.track)
        sync_folder(self._folder)
        log.info("segment %d is finished: %d frames, up to frame %d", self.number, len(self._pts), last.index + 1)
        return Segment(
            part=part.name,
            digest=digest,
            track_digest=digest_of(track) if in_mid_shot else "",
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


def _save_track(path: Path, track: Track) -> None:
    temporary = path.with_name(f"{secrets.token_hex(4)}.new")
    with output_errors(path):
        with temporary.open("wb") as file:
            np.savez(file, shot=track.shot, grey=track.grey, moments=track.moments)
        sync(temporary)
        temporary.replace(path)


def _load_track(path: Path) -> Track:
    try:
        with np.load(path) as data:
            return Track(int(data["shot"]), data["grey"], data["moments"])
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{path} is damaged; begin anew with --restart.") from error
