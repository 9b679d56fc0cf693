"""decode -> shots -> colorize -> smooth -> paint: the path of a film's frames, stages in threads joined by bounded queues."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import cv2
from numpy.typing import NDArray

from deoldify_video.film.frame import FilmFrame
from deoldify_video.film.threads import Stages
from deoldify_video.media.decode import DecodedFrame, FrameStamp
from deoldify_video.options import FilmOptions, SegmentOptions
from deoldify_video.temporal.flow import make_flow
from deoldify_video.temporal.keyframes import KeyframeColorizer
from deoldify_video.temporal.late import through
from deoldify_video.temporal.shots import ShotDetector
from deoldify_video.temporal.smooth import SmoothedFrame, Smoother, SmootherState

if TYPE_CHECKING:
    from deoldify_video.color.paint import Painter
    from deoldify_video.models.colorizer import Colorizer

QUEUE_FRAMES = 8  # how far a stage runs ahead of the next one


FrameT = TypeVar("FrameT", bound=FrameStamp)
Marked: TypeAlias = tuple[FrameT, int, int]  # a frame, its shot and its segment
Mark: TypeAlias = Callable[[Iterable[DecodedFrame]], Iterator[Marked[DecodedFrame]]]


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
    frames: Iterable[DecodedFrame],
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

    def colorize(frames: Iterable[FilmFrame]) -> Iterator[FilmFrame]:
        waiting: deque[FilmFrame] = deque()

        def asked() -> Iterator[FilmFrame]:
            for frame in frames:
                waiting.append(frame)
                yield frame

        for ab in colors(asked()):
            frame = waiting.popleft()
            frame.ab = ab
            yield frame

    def colors(frames: Iterable[FilmFrame]) -> Iterator[NDArray[Any]]:
        if distance := options.color.keyframes:
            pictures = ((frame.gray, (frame.shot, frame.segment), frame.luma.nbytes) for frame in frames)
            return KeyframeColorizer(colorizer.ab, distance).colors(pictures)
        return colorizer.colors((frame.gray, frame.segment) for frame in frames)

    def push(frame: FilmFrame) -> list[SmoothedFrame]:
        assert frame.ab is not None
        return smoother.push(frame.gray, frame.ab, frame.shot)

    def smooth(frames: Iterable[FilmFrame]) -> Iterator[FilmFrame]:
        for frame, (ab, state) in through(frames, push, smoother.flush):
            frame.ab, frame.smoother_state = ab, state
            yield frame

    def paint(frame: FilmFrame) -> tuple[FilmFrame, NDArray[Any]]:
        assert frame.ab is not None
        return frame, painter.chroma(frame.luma, frame.gray, frame.ab)

    decoded = background(frames, name="decode")
    marked = (FilmFrame(**vars(frame), shot=shot, segment=segment) for frame, shot, segment in mark(decoded))
    colored = background(colorize(marked), name="colorize")
    smoothed = background(smooth(colored), name="smooth")
    return background(map(paint, smoothed), name="paint")


def one_thread_each() -> None:
    """The stages run beside each other already; OpenCV's own threads would only take cores from the network."""
    cv2.setNumThreads(1)


def find_segments(
    frames: Iterable[DecodedFrame], resume_point: ResumePoint, lengths: SegmentOptions
) -> Iterator[Marked[DecodedFrame]]:
    """Find cuts, and number shots and segments from `resume_point` on."""
    detector = ShotDetector()
    return mark_segments(through(frames, lambda frame: detector.push(frame.gray), detector.flush), resume_point, lengths)


def mark_segments(
    frames: Iterable[tuple[FrameT, int]], resume_point: ResumePoint, lengths: SegmentOptions
) -> Iterator[Marked[FrameT]]:
    """Number the segments of frames that come with their shots: they start at cuts, and in the middle of a shot that is too long.

    Frames before `resume_point` (which a resumed run decodes so that the shot detector knows the past) are dropped, and shots are
    counted on from there. Depends only on the shots since the segment's beginning, so a resumed run divides alike.
    """
    segment, count, last_shot, shot_offset = resume_point.segment, 0, resume_point.shot, None
    for frame, found_shot in frames:
        if frame.index < resume_point.frame:
            continue
        if shot_offset is None:
            shot_offset = resume_point.shot - found_shot
        shot = found_shot + shot_offset
        if (shot != last_shot and count >= lengths.shortest) or count >= lengths.longest:
            segment, count = segment + 1, 0
        last_shot = shot
        count += 1
        yield frame, shot, segment
