"""A look at a few frames before the work: has the film black borders, and is it in colour already?"""

from __future__ import annotations

from dataclasses import dataclass

from deoldify_video.color.spread import is_in_color
from deoldify_video.media.borders import find_window
from deoldify_video.media.clips import ClipReader
from deoldify_video.media.decode import Window
from deoldify_video.media.probe import MediaInfo

SAMPLES = 9  # looked at, evenly spread over the film
_FORWARD_FRAMES = 50  # decoded at most, to get from a key picture to the wanted place


@dataclass(frozen=True)
class ContentInspection:
    """The content of a few frames: the `window` inside black borders (None: there are none), and whether there is colour."""

    window: Window | None
    in_color: bool


def inspect_content(info: MediaInfo) -> ContentInspection:
    """Look at frames all over the film. What cannot be decoded is not looked at."""
    reader, video = ClipReader(info), info.video
    length = round(info.duration_s / video.time_base)
    places = [video.start_pts + length * (2 * number + 1) // (2 * SAMPLES) for number in range(SAMPLES if length else 1)]
    samples = list(reader.samples(places, _FORWARD_FRAMES))
    window = find_window([reader.eight_bit(sample.luma) for sample in samples], full_range=reader.full_range)
    return ContentInspection(window, is_in_color([sample.color for sample in samples]))
