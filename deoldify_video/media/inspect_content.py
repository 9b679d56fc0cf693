"""A look at a few frames before the work: has the film black borders, and is it in colour already?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from deoldify_video.color.spread import SMALL_PX, chroma_spread, is_in_color
from deoldify_video.media.borders import find_window
from deoldify_video.media.decode import Window, has_luma_plane, luma_plane
from deoldify_video.media.probe import MAX_PIXELS, MediaInfo, film_stream

SAMPLES = 9  # looked at, evenly spread over the film
_FORWARD_FRAMES = 50  # decoded at most, to get from a key picture to the wanted place


@dataclass(frozen=True)
class ContentInspection:
    """The content of a few frames: the `window` inside black borders (None: there are none), and whether there is colour."""

    window: Window | None
    in_color: bool


def inspect_content(info: MediaInfo) -> ContentInspection:
    """Look at frames all over the film. Never fails: what cannot be decoded is not looked at."""
    lumas: list[NDArray[np.uint8]] = []
    spreads: list[float] = []
    for frame in _samples(info):
        spreads.append(frame_spread(frame))
        eight_bit = frame if has_luma_plane(frame.format.name) else frame.reformat(format="yuv444p")
        plane = luma_plane(eight_bit)
        shift = eight_bit.format.components[0].bits - 8
        lumas.append(np.asarray(plane >> shift if shift > 0 else plane, np.uint8))
    full_range = info.video.full_range and has_luma_plane(info.video.pix_fmt)
    return ContentInspection(find_window(lumas, full_range=full_range), is_in_color(spreads))


def frame_spread(frame: av.VideoFrame) -> float:
    """The `color.spread.chroma_spread` of a decoded frame."""
    small = frame.reformat(width=SMALL_PX, height=SMALL_PX, format="yuv444p", interpolation="AREA")
    return chroma_spread(small.to_ndarray())


def _samples(info: MediaInfo) -> Iterator[av.VideoFrame]:
    video = info.video
    length = round(info.duration_s / video.time_base)
    with av.open(str(info.path), metadata_errors="replace") as container:
        stream = film_stream(container)
        if stream is None:
            return
        stream.thread_type = "AUTO"
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        forward_ticks = _FORWARD_FRAMES / video.frame_rate / video.time_base
        frames: Iterator[av.VideoFrame] = iter(())
        here: int | None = None
        for number in range(SAMPLES):
            wanted = video.start_pts + length * (2 * number + 1) // (2 * SAMPLES)
            try:
                if here is None or wanted - here > forward_ticks:  # too far to get there by decoding
                    container.seek(wanted, stream=stream)
                    frames = container.decode(stream)
                frame = _frame_at(frames, wanted)
            except (av.error.FFmpegError, ValueError):
                here = None
                continue
            here = frame.pts if frame is not None else None
            if frame is not None and (frame.width, frame.height) == (video.width, video.height):
                yield frame
            if not length:
                return


def _frame_at(frames: Iterator[av.VideoFrame], wanted: int) -> av.VideoFrame | None:
    frame = None
    for number, frame in enumerate(frames):
        if number >= _FORWARD_FRAMES or (frame.pts is not None and frame.pts >= wanted):
            break
    return frame
