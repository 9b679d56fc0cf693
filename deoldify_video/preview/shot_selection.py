"""Shots that stand for a whole film: sought at even places, told apart, dark and bright ones and faces among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.data import lbp_frontal_face_cascade_filename
from skimage.feature import Cascade

from deoldify_video.color.spread import is_in_color
from deoldify_video.errors import InputError
from deoldify_video.media.borders import find_window
from deoldify_video.media.clips import ClipReader, Sample
from deoldify_video.media.probe import MediaInfo
from deoldify_video.options import DecodeOptions
from deoldify_video.temporal.flow import make_flow
from deoldify_video.temporal.late import through
from deoldify_video.temporal.shots import ShotDetector, dissimilarity

_NO_MASK: Any = None  # the stubs of ORB do not know that it may be left out
PLACES_PER_SHOT = 4  # looked at for every shot that is wanted
CLIP_FRAMES = 3  # neighbouring frames of a shot that are coloured
_SEARCHED_FRAMES = 12  # read at each place, to find so many of one shot
_FORWARD_FRAMES = 120  # decoded at most to get away from a key picture, where there are too few of them
_READ_FRAMES = 1500  # of a film that cannot be sought, or is no longer than this
_SMALL = (80, 60)  # px: pictures are told apart at this size
_CORNERS_PX = (240, 180)  # by their corners at this one
_CORNERS = 400  # at most
_SAME_CORNERS = 12  # so many that move together make two pictures one shot, however far the camera has gone; by chance it is 7
_FACES_PX = 480  # faces are looked for at this width
_SMALLEST_FACE_PX = 28
_FLAT = 6.0  # grey levels of standard deviation under which a picture shows nothing
_DISSIMILAR = 0.6  # of `dissimilarity`: above it, two pictures are of different shots
_APART = 25.0  # grey levels between a picture and the film's usual light, from which it is called dark or bright


@dataclass(frozen=True)
class Shot:
    """Neighbouring frames of one shot: their luma planes (H, W), where they are in the film, and what is special about them."""

    seconds: float
    lumas: list[NDArray[Any]] = field(repr=False)
    kind: str = ""


class Corners:
    """Corners of a picture, uint8 (h, w), by which it is recognised.

    ORB: Rublee et al. 2011, "ORB: an efficient alternative to SIFT or SURF".
    """

    def __init__(self, gray: NDArray[np.uint8]) -> None:
        points, self._what = cv2.ORB.create(_CORNERS).detectAndCompute(gray, _NO_MASK)
        self._where = np.array([point.pt for point in points], np.float32).reshape(-1, 2)

    def shared(self, other: Corners) -> int:
        """How many corners lie in both pictures, up to one shift, turn and zoom of the whole."""
        if min(len(self._where), len(other._where)) < _SAME_CORNERS:
            return 0
        pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(self._what, other._what)
        if len(pairs) < _SAME_CORNERS:
            return 0
        here, there = self._where[[pair.queryIdx for pair in pairs]], other._where[[pair.trainIdx for pair in pairs]]
        _, inliers = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=3.0)
        return int(np.sum(inliers)) if inliers is not None else 0


@dataclass(eq=False)
class _ShotSample:
    sample: Sample
    small: NDArray[np.uint8]
    corners: Corners
    kind: str = ""

    @property
    def light(self) -> float:
        return float(self.small.mean())


@dataclass(frozen=True)
class FilmSample:
    """The shots in order of time, and whether the film is in colour already."""

    shots: list[Shot]
    in_color: bool


def sample_film(reader: ClipReader, count: int, part: DecodeOptions | None = None) -> FilmSample:
    """Find `count` shots all over the film, or its wanted `part`; fewer where there are not so many.

    Sets the reader's window inside black borders. Raises `InputError` when not one frame can be decoded.
    """
    shot_samples = _all_shot_samples(reader, count, part or DecodeOptions())
    lumas = [reader.eight_bit(shot_sample.sample.luma) for shot_sample in shot_samples]
    reader.window = find_window(lumas, full_range=reader.full_range)
    chosen = choose(shot_samples, count, lambda shot_sample: faces_in(reader.gray(shot_sample.sample.luma, _face_size(reader))))
    video = reader.info.video
    shots = []
    for shot_sample in sorted(chosen, key=lambda shot_sample: shot_sample.sample.pts):
        lumas = _one_shot(reader, shot_sample.sample)
        seconds = float((shot_sample.sample.pts - video.start_pts) * video.time_base)
        shots.append(Shot(seconds, lumas, shot_sample.kind))
    return FilmSample(shots, is_in_color([shot_sample.sample.color for shot_sample in shot_samples]))


def _all_shot_samples(reader: ClipReader, count: int, part: DecodeOptions) -> list[_ShotSample]:
    """Frames at even places: key pictures; where those are few what lies between them, or in a short film, or one that cannot be
    sought, what is found by reading. Raises `InputError`.
    """
    number, rate = count * PLACES_PER_SHOT, reader.info.video.frame_rate
    first, length = _span(reader.info, part)
    places = [first + length * (2 * n + 1) // (2 * number) for n in range(number if length else 1)]
    shot_samples = _shot_samples(reader, reader.samples(places, 0))
    if len(shot_samples) < count and reader.info.duration_s * rate > _READ_FRAMES:
        shot_samples = _shot_samples(reader, reader.samples(places, _FORWARD_FRAMES))
    if len(shot_samples) < count:
        frames = min(round(length * reader.info.video.time_base * rate), _READ_FRAMES)
        stride = max(1, frames // number) if frames else round(rate)
        read = reader.read_through(stride, _READ_FRAMES)
        wanted = (sample for sample in read if sample.pts >= first and (not length or sample.pts < first + length))
        shot_samples = max(shot_samples, _shot_samples(reader, wanted), key=len)
    if not shot_samples:
        raise InputError("holds no frame that can be decoded; it is damaged", path=reader.info.path)
    return shot_samples


def _span(info: MediaInfo, part: DecodeOptions) -> tuple[int, int]:
    """First stamp of the wanted part and its length in ticks; 0 where the film does not say how long it is."""
    video = info.video
    end_s = info.duration_s if part.end_s is None else min(part.end_s, info.duration_s or part.end_s)
    length = max(0, round((end_s - part.start_s) / video.time_base))
    return video.start_pts + round(part.start_s / video.time_base), length


def _shot_samples(reader: ClipReader, samples: Iterable[Sample]) -> list[_ShotSample]:
    """Each frame once, those that show nothing only where there is nothing else."""
    found: dict[int, _ShotSample] = {}
    for sample in samples:
        if sample.pts not in found:
            corners = Corners(reader.gray(sample.luma, _CORNERS_PX))
            found[sample.pts] = _ShotSample(sample, reader.gray(sample.luma, _SMALL), corners)
    lively = [shot_sample for shot_sample in found.values() if shot_sample.small.std() > _FLAT]
    return lively or list(found.values())


def choose(shot_samples: list[_ShotSample], count: int, faces: Callable[[_ShotSample], int]) -> list[_ShotSample]:
    """The darkest, the brightest, the one with most faces, and then those farthest from the chosen ones; no two alike.

    `faces` counts the faces of a candidate.
    """
    usual = float(np.median([shot_sample.light for shot_sample in shot_samples]))
    chosen: list[_ShotSample] = []
    flow = make_flow("dis-fine")

    def is_new(shot_sample: _ShotSample) -> bool:
        return all(
            shot_sample.corners.shared(other.corners) < _SAME_CORNERS
            and dissimilarity(shot_sample.small, other.small, flow) > _DISSIMILAR
            for other in chosen
        )

    if count > 2:
        counts = [faces(shot_sample) for shot_sample in shot_samples]
        extremes = (
            ("dark", usual - min(shot_sample.light for shot_sample in shot_samples), lambda n: -shot_samples[n].light),
            ("bright", max(shot_sample.light for shot_sample in shot_samples) - usual, lambda n: shot_samples[n].light),
            ("faces", _APART * (max(counts) > 0) + max(counts), lambda n: counts[n]),
        )
        for kind, distance, worth in extremes:
            best = shot_samples[max(range(len(shot_samples)), key=worth)]
            if distance > _APART and len(chosen) < count and best not in chosen and is_new(best):
                best.kind = kind
                chosen.append(best)
    rest = [shot_sample for shot_sample in shot_samples if shot_sample not in chosen]
    while rest and len(chosen) < count:
        farthest = max(rest, key=lambda c: min((abs(c.sample.pts - o.sample.pts) for o in chosen), default=0))
        rest.remove(farthest)
        if is_new(farthest):
            chosen.append(farthest)
    return chosen


def _one_shot(reader: ClipReader, sample: Sample) -> list[NDArray[Any]]:
    """Up to `CLIP_FRAMES` neighbouring frames from `sample` on with no cut between them."""
    lumas = reader.clip(sample.pts, _SEARCHED_FRAMES) or [sample.luma]
    detector = ShotDetector()
    found = through(lumas, lambda luma: detector.push(reader.gray(luma, _SMALL)), detector.flush)
    return [luma for luma, shot in found if shot == 0][:CLIP_FRAMES]


def _face_size(reader: ClipReader) -> tuple[int, int]:
    width, height = reader.info.video.upright_size
    return _FACES_PX, max(2, round(_FACES_PX * height / width))


@lru_cache(maxsize=1)
def _face_cascade() -> Cascade:
    return Cascade(lbp_frontal_face_cascade_filename())


def faces_in(gray: NDArray[np.uint8]) -> int:
    """How many faces look out of `gray` (h, w), after Viola and Jones 2001 with local binary patterns."""
    largest = min(gray.shape)
    if largest < _SMALLEST_FACE_PX:
        return 0
    sizes = (_SMALLEST_FACE_PX, _SMALLEST_FACE_PX), (largest, largest)
    return len(_face_cascade().detect_multi_scale(gray, 1.2, 1.5, *sizes))
