"""decode -> shots -> colorize -> smooth -> paint: the path of a film's frames, stages in threads joined by bounded queues."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
from numpy.typing import NDArray

from deoldify_video.film.threads import Stages, through
from deoldify_video.media.frame import FilmFrame
from deoldify_video.options import FilmOptions, SegmentOptions
from deoldify_video.temporal.flow import make_flow
from deoldify_video.temporal.keyframes import KeyframeColorizer
from deoldify_video.temporal.shots import ShotDetector
from deoldify_video.temporal.smooth import Smoother
from deoldify_video.temporal.smoother_state import SmootherState

if TYPE_CHECKING:
    from deoldify_video.color.paint import Painter
    from deoldify_video.models.colorizer import Colorizer

QUEUE_FRAMES = 8  # how far a stage runs ahead of the next one

Mark: TypeAlias = Callable[[Iterable[FilmFrame]], Iterator[FilmFrame]]  # sets `shot` and `segment`, in order


@dataclass(frozen=True)
class ResumePoint:
    """Where a film begins, or goes on: the number of the next frame, segment and shot, and the colours that stand there.

    `smoother_state` is the smoother's memory where the last segment ended in mid-shot.
    """

    frame: int = 0
    segment: int = 0
    shot: int = 0
    smoother_state: SmootherState | None = None


def film_frames(
    frames: Iterable[FilmFrame],
    mark: Mark,
    colorizer: Colorizer,
    painter: Painter,
    options: FilmOptions,
    smoother_state: SmootherState | None,
    stages: Stages,
) -> Iterator[tuple[FilmFrame, NDArray[Any]]]:
    """Decoded `frames`, numbered by `mark`, each with its chroma planes (2, h, w), in order.

    The smoother goes on from `smoother_state`.
    """
    one_thread_each()
    background = partial(stages.background, depth=QUEUE_FRAMES)
    held = options.smooth
    flow = make_flow(held.flow, str(colorizer.device))
    smoother = Smoother(held.smoothing, held.lookahead, flow)
    smoother.state = smoother_state

    def paint(frame: FilmFrame) -> tuple[FilmFrame, NDArray[Any]]:
        assert frame.ab is not None
        return frame, painter.chroma(frame.luma, frame.gray, frame.ab)

    decoded = background(frames, name="decode")
    distance = options.color.keyframes
    colorize = KeyframeColorizer(colorizer.ab, distance).colorize if distance else colorizer.colorize
    colored = background(colorize(mark(decoded)), name="colorize")
    smoothed = background(through(colored, smoother.push, smoother.flush), name="smooth")
    return background(map(paint, smoothed), name="paint")


def one_thread_each() -> None:
    """The stages run beside each other already; OpenCV's own threads would only take cores from the network."""
    cv2.setNumThreads(1)


def find_segments(frames: Iterable[FilmFrame], resume_point: ResumePoint, lengths: SegmentOptions) -> Iterator[FilmFrame]:
    """Find cuts, and number shots and segments from `resume_point` on."""
    detector = ShotDetector()
    return mark_segments(through(frames, detector.push, detector.flush), resume_point, lengths)


def mark_segments(frames: Iterable[FilmFrame], resume_point: ResumePoint, lengths: SegmentOptions) -> Iterator[FilmFrame]:
    """Number the segments in `frame.segment`: they start at cuts, and in the middle of a shot that is too long.

    Frames before `resume_point` (which a resumed run decodes so that the shot detector knows the past) are dropped, and shots are
    counted on from there. Depends only on the shots since the segment's beginning, so a resumed run divides alike.
    """
    segment, count, shot, shot_offset = resume_point.segment, 0, resume_point.shot, None
    for frame in frames:
        if frame.index < resume_point.frame:
            continue
        if shot_offset is None:
            shot_offset = resume_point.shot - frame.shot
        frame.shot += shot_offset
        if (frame.shot != shot and count >= lengths.shortest) or count >= lengths.longest:
            segment, count = segment + 1, 0
        frame.segment, shot = segment, frame.shot
        count += 1
        yield frame
