"""Measures a colorized film shot by shot, with or without its true colours, and keeps pictures of the worst shots."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deoldify_video.errors import InputError
from deoldify_video.media.decode import DecodeStats, Luma, frame_rgb, luma_plane, open_film
from deoldify_video.media.probe import probe
from deoldify_video.metrics.color import colorfulness, psnr_db
from deoldify_video.metrics.temporal import RGB8, Score, TemporalMeter, fit_within, mean, motion_between, resize_picture
from deoldify_video.temporal.flow import Gray, make_flow
from deoldify_video.temporal.late import through
from deoldify_video.temporal.shots import ShotDetector

LONGEST_SIDE_PX = 768  # films are measured at this size at most
KEPT_SHOTS = 12  # shots of which the report shows pictures
STRIP_PICTURES = 6
_PSNR_OF_EQUALS_DB = 100.0  # equal pictures count as this, so that a mean stays finite


@dataclass(frozen=True)
class Strip:
    """Pictures of a shot, uint8 (h, w, 3): some from all over it, and the two between which its colours change most."""

    spread: list[RGB8]
    worst: list[RGB8]


@dataclass(frozen=True)
class ShotScore:
    """A shot's numbers. `first` is its first frame; `before` the same shot in the film to compare with, if there is one."""

    number: int
    first: int
    frames: int
    score: Score
    before: Score | None = None
    strip: Strip | None = field(default=None, repr=False)


@dataclass(frozen=True)
class FilmScore:
    """A film's numbers, its shots in order, and the ab warp error of every step (`curve`, NaN at cuts)."""

    film: str
    frames: int
    score: Score
    before: Score | None
    psnr_db: float | None
    delta_cf: float | None
    shots: list[ShotScore]
    curve: list[float] = field(repr=False)
    curve_before: list[float] | None = field(repr=False, default=None)

    def worst_first(self) -> list[ShotScore]:
        """The shots, that with the largest ab warp error first; those too short to measure last."""
        return sorted(self.shots, key=_badness, reverse=True)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: numbers only, None instead of NaN, without pictures and curves."""
        shots = [
            {
                "shot": shot.number,
                "first_frame": shot.first,
                "frames": shot.frames,
                **_plain(shot.score),
                **({"before": _plain(shot.before)} if shot.before else {}),
            }
            for shot in self.shots
        ]
        answer: dict[str, Any] = {"film": self.film, "frames": self.frames, **_plain(self.score)}
        if self.before:
            answer["before"] = _plain(self.before)
        if self.psnr_db is not None:
            answer |= {"psnr_db": self.psnr_db, "delta_cf": self.delta_cf}
        return answer | {"shots": shots}


def _plain(score: Score) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in asdict(score).items()}


def _badness(shot: ShotScore) -> float:
    return -1.0 if math.isnan(shot.score.warp_ab) else shot.score.warp_ab


class Picture(NamedTuple):
    """A decoded frame: its light uint8 (H, W) and its colours uint8 (H, W, 3)."""

    light: Gray
    rgb: RGB8


def read_pictures(path: Path, size: tuple[int, int] | None = None) -> Iterator[Picture]:
    """The frames of a film at `size` (width, height), by default its own, at most `LONGEST_SIDE_PX`.

    RGB is made with the matrix and range that the film names, its light is its Y' plane. Raises `InputError` for what cannot be
    read.
    """
    info, stats = probe(path), DecodeStats()
    video, luma = info.video, Luma(info.video)
    across, down = (video.width, video.height) if video.rotation_deg in (0, 180) else (video.height, video.width)
    width, height = size or fit_within(across, down, LONGEST_SIDE_PX)
    with open_film(info, stats) as film:
        for frame in film.frames():
            light, rgb = luma.gray(luma_plane(luma.of(frame))), frame_rgb(frame, video)
            yield Picture(resize_picture(light, width, height), resize_picture(rgb, width, height))
    if stats.corrupt_packets or stats.broke_off:
        raise InputError("is damaged; it cannot be decoded to its end", path=path)


def _side_by_side(films: dict[str, Path], size: tuple[int, int]) -> Iterator[dict[str, Picture]]:
    """The frames of all films at once, by the films' names. Raises `InputError` when one ends before the others."""
    for pictures in zip_longest(*(read_pictures(path, size) for path in films.values())):
        together = dict(zip(films, pictures, strict=True))
        ended = [str(films[name]) for name, picture in together.items() if picture is None]
        if ended:
            raise InputError(f"{ended[0]} has fewer frames than the others", remedy="compare films of one length")
        yield together


def _with_cuts(frames: Iterator[dict[str, Picture]]) -> Iterator[tuple[dict[str, Picture], bool]]:
    """Each set of frames, and whether a new shot begins with it, by the light of the source."""
    detector = ShotDetector()
    last_shot = 0
    for together, shot in through(
        frames, lambda together: detector.push(together.get("source", together["film"]).light), detector.flush
    ):
        yield together, shot != last_shot
        last_shot = shot


class _Strips:
    """Collects the pictures of a shot while it passes: every n-th, n doubling when there are too many."""

    def __init__(self) -> None:
        self._pictures: list[RGB8] = []
        self._worst: list[RGB8] = []
        self._worst_step = -1.0
        self._stride, self._count = 1, 0

    def add(self, rgb: RGB8, previous: RGB8 | None, step: float) -> None:
        if self._count % self._stride == 0:
            self._pictures.append(rgb)
            if len(self._pictures) > 2 * STRIP_PICTURES:
                self._pictures, self._stride = self._pictures[::2], self._stride * 2
        self._count += 1
        if previous is not None and step > self._worst_step:
            self._worst, self._worst_step = [previous, rgb], step

    def strip(self) -> Strip:
        chosen = np.linspace(0, len(self._pictures) - 1, min(STRIP_PICTURES, len(self._pictures))).round().astype(int)
        return Strip([self._pictures[i] for i in chosen], self._worst)


class _Evaluation:
    """The state of one run over a film."""

    def __init__(self, *, compare: bool) -> None:
        self.flow = make_flow("dis-fine")
        self.meter = TemporalMeter()
        self.meter_before = TemporalMeter() if compare else None
        self.shots: list[ShotScore] = []
        self.curve: list[float] = []
        self.curve_before: list[float] = []
        self.first = self.index = 0
        self.strips = _Strips()
        self.previous: tuple[Picture, RGB8 | None] | None = None
        self._kept: list[tuple[float, int]] = []

    def add(self, picture: Picture, before: RGB8 | None, *, cut: bool) -> None:
        if cut:
            self.end_shot()
        motion = None
        if self.previous is not None:
            motion = motion_between(self.previous[0].light, picture.light, self.flow)
        step = self.meter.add(picture.rgb, motion)
        self.curve.append(step)
        if self.meter_before is not None and before is not None:
            self.curve_before.append(self.meter_before.add(before, motion))
        small = resize_picture(picture.rgb, *fit_within(picture.rgb.shape[1], picture.rgb.shape[0], 200))
        previous = self.previous[1] if self.previous else None
        self.strips.add(small, previous, step)
        self.previous = picture, small
        self.index += 1

    def end_shot(self) -> None:
        score = self.meter.end_shot()
        before = self.meter_before.end_shot() if self.meter_before else None
        number = len(self.shots)
        shot = ShotScore(number, self.first, self.index - self.first, score, before, self.strips.strip())
        self.shots.append(shot)
        heapq.heappush(self._kept, (_badness(shot), number))
        if len(self._kept) > KEPT_SHOTS:  # pictures of the worst shots only, so that a long film fits in memory
            _, gone = heapq.heappop(self._kept)
            kept = self.shots[gone]
            self.shots[gone] = ShotScore(kept.number, kept.first, kept.frames, kept.score, kept.before)
        self.first, self.previous, self.strips = self.index, None, _Strips()


def evaluate_film(
    film: Path, *, reference: Path | None = None, source: Path | None = None, before: Path | None = None
) -> FilmScore:
    """Measure `film`.

    `reference`: the same film in its true colours, for PSNR and the difference of colourfulness. `source`: the film whose light
    steers flow and cuts; by default `film` itself, which carries it. `before`: another colorization to compare with, as without
    smoothing. All must have the same number of frames; raises `InputError` where they have not, or cannot be read.
    """
    video = probe(film).video
    size = fit_within(video.width, video.height, LONGEST_SIDE_PX)
    named = {"film": film, "reference": reference, "source": source, "before": before}
    films = {name: path for name, path in named.items() if path}
    run = _Evaluation(compare=before is not None)
    psnr: list[float] = []
    delta: list[float] = []
    for pictures, cut in _with_cuts(_side_by_side(films, size)):
        picture = pictures["film"]
        if "reference" in pictures:
            truth = pictures["reference"].rgb
            psnr.append(min(psnr_db(picture.rgb, truth), _PSNR_OF_EQUALS_DB))
            delta.append(colorfulness(picture.rgb) - colorfulness(truth))
        light = pictures.get("source", picture).light
        run.add(Picture(light, picture.rgb), pictures["before"].rgb if "before" in pictures else None, cut=cut)
    if run.index == 0:
        raise InputError("holds no frame that can be decoded", path=film)
    run.end_shot()
    return FilmScore(
        film=film.name,
        frames=run.index,
        score=run.meter.film(),
        before=run.meter_before.film() if run.meter_before else None,
        psnr_db=mean(psnr) if psnr else None,
        delta_cf=mean(delta) if delta else None,
        shots=run.shots,
        curve=run.curve,
        curve_before=run.curve_before if run.meter_before else None,
    )
