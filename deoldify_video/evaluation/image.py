"""Evaluates a network on colour pictures: takes their colours away, colourizes them through the film path, and compares.

The light is the true L of each picture, so that every difference is one of colour. Formulae: `metrics.color`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from deoldify_video.color.gray import gray_of
from deoldify_video.color.lab import lab_to_rgb, rgb_to_lab
from deoldify_video.color.upsample import guided_upsample
from deoldify_video.errors import InputError
from deoldify_video.metrics.color import RGB8, ciede2000, colorfulness, psnr_db

if TYPE_CHECKING:
    from deoldify_video.models.colorizer import Colorizer

SHARPEST_DB = 99.0  # stands for an infinite PSNR in means


class Pictures(Protocol):
    """Colour pictures to evaluate on; `keys` names each."""

    keys: list[str]

    def __len__(self) -> int: ...

    def picture(self, index: int) -> RGB8 | None:
        """Picture `index`, RGB uint8 (H, W, 3); None when it cannot be read."""


@dataclass(frozen=True)
class PictureScore:
    """The numbers of one picture; `grey_` ones are those of the grey picture, `true_cf` that of the truth."""

    key: str
    psnr_db: float
    grey_psnr_db: float
    ciede2000: float
    grey_ciede2000: float
    cf: float
    true_cf: float


@dataclass(frozen=True)
class Summary:
    """Means over the pictures; `gain_db` is PSNR over the grey baseline's, `cf_ratio` mean CF over the truth's mean CF."""

    scores: tuple[PictureScore, ...] = field(repr=False)
    pictures: int
    temperature: float
    gain: float
    psnr_db: float
    grey_psnr_db: float
    gain_db: float
    ciede2000: float
    grey_ciede2000: float
    cf: float
    true_cf: float
    cf_ratio: float

    def as_dict(self) -> dict[str, float | int]:
        """The means for JSON, rounded to what means something."""
        return {entry.name: round(getattr(self, entry.name), 4) for entry in fields(self) if entry.name != "scores"}


class Truth:
    """A colour picture, RGB uint8 (H, W, 3), with all that does not depend on the network: its light and the grey baseline."""

    def __init__(self, key: str, picture: RGB8) -> None:
        self.key, self.picture = key, picture
        self.light = (gray_of(picture) * 255.0).round().astype(np.uint8)  # (H, W): what a scan of the picture would hold
        self.lab = _lab_of(picture)  # (1, 3, H, W)
        self.gray = _rgb8_of(torch.cat([self.lab[:, :1], torch.zeros_like(self.lab[:, 1:])], dim=1))
        self.cf = colorfulness(picture)
        self.grey_psnr_db = min(psnr_db(self.gray, picture), SHARPEST_DB)
        self.grey_ciede2000 = self.ciede2000_of(self.gray)

    def ciede2000_of(self, picture: RGB8) -> float:
        """Mean colour difference of `picture`, RGB uint8 (H, W, 3), from the truth."""
        first, other = (lab[0].permute(1, 2, 0).double().numpy() for lab in (_lab_of(picture), self.lab))
        return ciede2000(first, other)

    def ab_of(self, colorizer: Colorizer, render_factor: int) -> NDArray[np.float32]:
        """Take the colours away and let `colorizer` give new ones: float32 (2, H, W) at the picture's own size, in Lab units."""
        height, width = self.light.shape
        size = colorizer.spec.render_size(width, height, render_factor)
        interpolation = cv2.INTER_AREA if size[0] * size[1] < width * height else cv2.INTER_LINEAR
        small = cv2.resize(self.light, size, interpolation=interpolation).astype(np.uint8, copy=False)
        guide, large_guide = (light.astype(np.float32) / np.float32(255) for light in (small, self.light))
        return guided_upsample(colorizer.ab(small[None])[0], guide, large_guide)

    def painted(self, ab: NDArray[np.float32]) -> RGB8:
        """RGB uint8 (H, W, 3) of the true L and of `ab`, float32 (2, H, W)."""
        return _rgb8_of(torch.cat([self.lab[:, :1], torch.from_numpy(ab)[None]], dim=1))

    def score(self, ours: RGB8) -> PictureScore:
        """The numbers of `ours`, RGB uint8 (H, W, 3)."""
        return PictureScore(
            key=self.key,
            psnr_db=min(psnr_db(ours, self.picture), SHARPEST_DB),
            grey_psnr_db=self.grey_psnr_db,
            ciede2000=self.ciede2000_of(ours),
            grey_ciede2000=self.grey_ciede2000,
            cf=colorfulness(ours),
            true_cf=self.cf,
        )


def _lab_of(picture: RGB8) -> torch.Tensor:
    return rgb_to_lab(torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float() / 255.0)


def _rgb8_of(lab: torch.Tensor) -> RGB8:
    pixels: RGB8 = (lab_to_rgb(lab)[0].permute(1, 2, 0) * 255.0).round().to(torch.uint8).numpy()
    return pixels


def readable_pictures(photos: Pictures, limit: int | None) -> Iterator[tuple[str, RGB8]]:
    """(key, picture) of `limit` pictures, evenly spaced, or of all; those that cannot be read are left out."""
    count = len(photos) if limit is None else min(limit, len(photos))
    for index in np.unique(np.linspace(0, len(photos) - 1, count).astype(int)) if count else ():
        picture = photos.picture(int(index))
        if picture is not None:
            yield photos.keys[int(index)], picture


def evaluate(
    colorizer: Colorizer,
    photos: Pictures,
    *,
    render_factor: int,
    gains: Sequence[float] = (),
    limit: int | None = None,
    seen: Callable[[Truth, RGB8], None] | None = None,
) -> list[Summary]:
    """Score every picture, or `limit` evenly spaced ones, at the colorizer's own gain and then at each of `gains`.

    `seen` gets each picture with its colours at the colorizer's gain. Raises `InputError` when no picture can be read.
    """
    chosen = [colorizer.gain, *gains]
    unit = colorizer.with_gain(1.0)
    scores: list[list[PictureScore]] = [[] for _ in chosen]
    for key, picture in readable_pictures(photos, limit):
        truth = Truth(key, picture)
        ab = truth.ab_of(unit, render_factor)
        for number, gain in enumerate(chosen):
            ours = truth.painted(ab * np.float32(gain))
            scores[number].append(truth.score(ours))
            if number == 0 and seen is not None:
                seen(truth, ours)
    if not scores[0]:
        raise InputError("the data has no picture that can be read")
    return [summarize(row, colorizer.temperature, gain) for row, gain in zip(scores, chosen, strict=True)]


def gain_at(curve: Sequence[Summary], cf_ratio: float) -> float | None:
    """PSNR over grey in dB where the mean colourfulness is `cf_ratio` of the truth's, along a curve over gains; None where the
    curve does not reach it.
    """
    points = sorted((summary.cf_ratio, summary.gain_db) for summary in curve)
    if not points[0][0] <= cf_ratio <= points[-1][0]:
        return None
    return float(np.interp(cf_ratio, [point[0] for point in points], [point[1] for point in points]))


def agreement(
    colorizer: Colorizer, photos: Pictures, factors: Sequence[int], limit: int | None = None
) -> dict[tuple[int, int], float]:
    """How far the colours of two render factors are apart, for each pair of `factors`: mean Euclidean distance of ab over the
    pixels and pictures, in Lab units. Raises `InputError` when no picture can be read.
    """
    pairs = list(combinations(sorted(factors), 2))
    if not pairs or not len(photos):
        raise InputError("there is nothing to compare: give at least two render factors, and pictures")
    distances: dict[tuple[int, int], list[float]] = {pair: [] for pair in pairs}
    for key, picture in readable_pictures(photos, limit):
        truth = Truth(key, picture)
        ab = {factor: truth.ab_of(colorizer, factor) for factor in factors}
        for first, second in pairs:
            distances[first, second].append(float(np.hypot(*(ab[first] - ab[second])).mean()))
    if not distances[pairs[0]]:
        raise InputError("the data has no picture that can be read")
    return {pair: float(np.mean(values)) for pair, values in distances.items()}


def summarize(scores: list[PictureScore], temperature: float, gain: float) -> Summary:
    """Means over `scores`, with the settings of the decoding that they were made with."""

    def mean(name: str) -> float:
        return float(np.mean([getattr(score, name) for score in scores]))

    true_cf = mean("true_cf")
    return Summary(
        scores=tuple(scores),
        pictures=len(scores),
        temperature=temperature,
        gain=gain,
        psnr_db=mean("psnr_db"),
        grey_psnr_db=mean("grey_psnr_db"),
        gain_db=mean("psnr_db") - mean("grey_psnr_db"),
        ciede2000=mean("ciede2000"),
        grey_ciede2000=mean("grey_ciede2000"),
        cf=mean("cf"),
        true_cf=true_cf,
        cf_ratio=mean("cf") / true_cf if true_cf else math.nan,
    )
