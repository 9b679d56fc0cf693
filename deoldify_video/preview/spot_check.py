"""How a finished film or photo came out: a few places in it, without and with colour, with their colourfulness and warp error.

Only some key pictures and the frames behind them are decoded, so that a long film takes no longer than a short one. The light of the
result is the source's own, so the result alone shows both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deoldify_video.media.probe import MediaInfo
    from deoldify_video.metrics.temporal import RGB8

SHOTS = 4
_PLACES = 10  # looked at, to find so many that show something
_FRAMES = 3  # neighbouring ones that are compared
_FLAT = 6.0  # grey levels of standard deviation under which a picture shows nothing
_CUT = 0.75  # of `temporal.shots.dissimilarity`: the frames are of different shots
_MEASURED_PX, _SMALL, _STRIP_PX = 320, (80, 60), 240
_JPEG_QUALITY = 78


@dataclass(frozen=True)
class ShotCheck:
    """A place in a film. `seconds` is where it is, `colorfulness` as in `metrics.color`, `warp_ab` the mean ab warp error of its
    frames (None for a photo, and where there is no motion to follow); `strip` a JPEG, without colour on the left and with it on the
    right.
    """

    seconds: float
    colorfulness: float
    warp_ab: float | None
    strip: bytes = field(repr=False)


@dataclass(frozen=True)
class QualityCheck:
    """The places that were looked at, in order of time; `problem` says why there are none."""

    shots: tuple[ShotCheck, ...] = ()
    problem: str = ""


def check_quality(target: Path) -> QualityCheck:
    """Look at a few places of the finished `target`. Never fails: a measurement is not worth a film that stands."""
    from deoldify_video.errors import DeoldifyVideoError
    from deoldify_video.media.probe import probe

    try:
        info = probe(target)
        return QualityCheck((_photo(target),) if info.kind == "photo" else tuple(_film(info)))
    except (DeoldifyVideoError, OSError, ValueError, RuntimeError) as error:
        return QualityCheck(problem=f"the result could not be measured: {error}")


def _photo(path: Path) -> ShotCheck:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        image.draft("RGB", (2 * _STRIP_PX, 2 * _STRIP_PX))
        image.thumbnail((_STRIP_PX, _STRIP_PX), Image.Resampling.BOX)
        rgb: RGB8 = np.array(image.convert("RGB"))
        return _shot(0.0, [rgb], [np.array(image.convert("RGB").convert("L"))])


def _film(info: MediaInfo) -> Iterator[ShotCheck]:
    clips = list(_clips(info))
    lively = [clip for clip in clips if clip.lights[0].std() > _FLAT] or clips
    for number in range(min(SHOTS, len(lively))):  # evenly among those that show something
        clip = lively[number * len(lively) // min(SHOTS, len(lively))]
        yield _shot(clip.seconds, clip.pictures, clip.lights)


@dataclass(frozen=True)
class _Clip:
    """Neighbouring frames of one shot: RGB uint8 (h, w, 3), and their light, uint8 (h, w)."""

    seconds: float
    pictures: list[RGB8]
    lights: list[Any]


def _clips(info: MediaInfo) -> Iterator[_Clip]:
    """The key pictures before evenly spread places, with the frames that follow."""
    from deoldify_video.media.decode import open_film

    video = info.video
    length = round(info.duration_s / video.time_base)
    seen: set[int] = set()
    with open_film(info, few=True) as film:
        for number in range(_PLACES if length else 1):
            place = video.start_pts + length * (2 * number + 1) // (2 * _PLACES)
            frames = list(islice(film.frames(), _FRAMES)) if film.seek(place) else []
            if frames and frames[0].pts is not None and frames[0].pts not in seen:
                seen.add(frames[0].pts)
                yield _one_shot(info, frames)


def _one_shot(info: MediaInfo, frames: list[Any]) -> _Clip:
    """The leading frames that have no cut between them, small and upright."""
    import cv2
    import numpy as np

    from deoldify_video.media.decode import frame_rgb
    from deoldify_video.metrics.temporal import fit_within
    from deoldify_video.temporal.flow import make_flow
    from deoldify_video.temporal.shots import dissimilarity

    video = info.video
    size = fit_within(*video.upright_size, _MEASURED_PX)
    flow = make_flow("dis-fine")
    clip = _Clip(float((frames[0].pts - video.start_pts) * video.time_base), [], [])
    last = None
    for frame in frames:
        rgb = frame_rgb(frame, video, size)
        light = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        tiny = np.asarray(cv2.resize(light, _SMALL, interpolation=cv2.INTER_AREA), np.uint8)
        if last is not None and dissimilarity(last, tiny, flow) > _CUT:
            break
        clip.pictures.append(rgb)
        clip.lights.append(light)
        last = tiny
    return clip


def _shot(seconds: float, pictures: list[RGB8], lights: list[Any]) -> ShotCheck:
    from deoldify_video.metrics.color import colorfulness
    from deoldify_video.metrics.temporal import TemporalMeter, motion_between
    from deoldify_video.temporal.flow import make_flow

    middle = len(pictures) // 2
    strip = _strip(lights[middle], pictures[middle])
    if len(pictures) == 1:
        return ShotCheck(seconds, colorfulness(pictures[0]), None, strip)
    meter, flow = TemporalMeter(), make_flow("dis-fine")
    for number, rgb in enumerate(pictures):
        meter.add(rgb, motion_between(lights[number - 1], lights[number], flow) if number else None)
    score = meter.end_shot()
    return ShotCheck(seconds, score.cf, None if math.isnan(score.warp_ab) else score.warp_ab, strip)


def _strip(light: Any, rgb: RGB8) -> bytes:
    import cv2
    import numpy as np

    from deoldify_video.metrics.temporal import fit_within, resize_picture

    size = fit_within(rgb.shape[1], rgb.shape[0], _STRIP_PX)
    both = np.hstack([resize_picture(np.dstack([light] * 3), *size), resize_picture(rgb, *size)])
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(both[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise ValueError("its pictures cannot be kept")
    return data.tobytes()
