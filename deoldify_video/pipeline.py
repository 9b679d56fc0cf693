"""decode -> shots -> colorize -> smooth -> paint: the path of a film's frames, stages in threads joined by bounded queues."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
from numpy.typing import NDArray

from deoldify_video.color.paint import Painter
from deoldify_video.media.decode import FilmReader
from deoldify_video.media.frame import FilmFrame
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import FilmOptions
from deoldify_video.stages import Stages, through
from deoldify_video.temporal.flow import make_flow
from deoldify_video.temporal.keyframes import KeyframeColorizer
from deoldify_video.temporal.shots import ShotDetector
from deoldify_video.temporal.smooth import Smoother, Track

QUEUE_FRAMES = 8  # how far a stage runs ahead of the next one
MIN_SEGMENT_FRAMES = 240  # a segment is not worth a file of its own below this
MAX_SEGMENT_FRAMES = 2400  # a shot longer than this is divided: a kill never loses more


@dataclass(frozen=True)
class Start:
    """Where a film begins, or goes on: the number of the next frame, segment and shot, and the colours that stand there.

    `track` is the smoother's memory where the last segment ended in mid-shot.
    """

    frame: int = 0
    segment: int = 0
    shot: int = 0
    track: Track | None = None


def film_frames(
    reader: FilmReader, colorizer: Colorizer, painter: Painter, options: FilmOptions, start: Start, stages: Stages
) -> Iterator[tuple[FilmFrame, NDArray[Any]]]:
    """The frames of `reader` from `start` on, each with its chroma planes (2, h, w); frames in equals frames out, in order."""
    cv2.setNumThreads(
        1
    )  # the stages run beside each other already; OpenCV's own threads would only take cores from the network
    background = partial(stages.background, depth=QUEUE_FRAMES)
    held = options.smooth
    flow = make_flow(held.flow, str(colorizer.device))
    detector, smoother = ShotDetector(), Smoother(held.smoothing, held.lookahead, flow)
    smoother.track = start.track

    def paint(frame: FilmFrame) -> tuple[FilmFrame, NDArray[Any]]:
        assert frame.ab is not None
        return frame, painter.chroma(frame.luma, frame.grey, frame.ab)

    decoded = background(reader, name="decode")
    shots = through(decoded, detector.push, detector.flush)
    distance = options.color.keyframes
    colorize = KeyframeColorizer(colorizer.ab, distance).colorize if distance else colorizer.colorize
    colored = background(colorize(mark_segments(shots, start)), name="colorize")
    smoothed = background(through(colored, smoother.push, smoother.flush), name="smooth")
    return background(map(paint, smoothed), name="paint")


def mark_segments(frames: Iterable[FilmFrame], start: Start) -> Iterator[FilmFrame]:
    """Number the segments in `frame.segment`: they start at cuts, and in the middle of a shot that is too long.

    Frames before `start` (which a resumed run decodes so that the shot detector knows the past) are dropped, and shots are
    counted on from there. Depends only on the shots since the segment's beginning, so a resumed run divides alike.
    """
    segment, count, shot, shot_offset = start.segment, 0, start.shot, None
    for frame in frames:
        if frame.index < start.frame:
            continue
        if shot_offset is None:
            shot_offset = start.shot - frame.shot
        frame.shot += shot_offset
        if (frame.shot != shot and count >= MIN_SEGMENT_FRAMES) or count >= MAX_SEGMENT_FRAMES:
            segment, count = segment + 1, 0
        frame.segment, shot = segment, frame.shot
        count += 1
        yield frame
