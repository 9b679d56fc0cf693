"""Evaluates a network on colour pictures: takes their colours away, colourizes them through the film path, and compares.

The light is the true L of each picture, so that every difference is one of colour. Formulae: `metrics.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from deoldify_video.color.grey import grey_of
from deoldify_video.color.lab import lab_to_rgb, rgb_to_lab
from deoldify_video.color.upsample import guided_upsample
from deoldify_video.errors import InputError
from deoldify_video.evaluation.metrics import RGB8, ciede2000, colourfulness, psnr_db

if TYPE_CHECKING:
    from deoldify_video.models.colorizer import Colorizer
    from deoldify_video.training.dataset import Photos

SHARPEST_DB = 99.0  # stands for an infinite PSNR in means


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
        """For JSON, rounded to what means something."""
        return {key: round(value, 4) for key, value in asdict(self).items()}


def colour_picture(colorizer: Colorizer, picture: RGB8, render_factor: int) -> tuple[RGB8, RGB8]:
    """Take the colours from `picture`, RGB uint8 (H, W, 3), and give it new ones at its own size.

    Returns (grey, colourized), both RGB uint8 (H, W, 3) with the L of `picture`.
    """
    height, width = picture.shape[:2]
    grey = (grey_of(picture) * 255.0).round().astype(np.uint8)  # what a scan of the picture would hold
    render_width, render_height = colorizer.spec.render_size(width, height, render_factor)
    shrinks = render_width * render_height < width * height
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    small = cv2.resize(grey, (render_width, render_height), interpolation=interpolation).astype(np.uint8, copy=False)
    ab = colorizer.ab(small[None])[0]
    large = guided_upsample(ab, small.astype(np.float32) / 255.0, grey.astype(np.float32) / 255.0)
    lightness = rgb_to_lab(_as_tensor(picture))[:, :1]  # (1, 1, H, W)
    lab = torch.cat([lightness, torch.from_numpy(large)[None].to(lightness.dtype)], dim=1)
    neutral = torch.cat([lightness, torch.zeros_like(lab[:, 1:])], dim=1)
    return _as_rgb8(neutral), _as_rgb8(lab)


def _as_tensor(picture: RGB8) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].double() / 255.0  # (1, 3, H, W)


def _as_rgb8(lab: torch.Tensor) -> RGB8:
    pixels: RGB8 = (lab_to_rgb(lab)[0].permute(1, 2, 0) * 255.0).round().to(torch.uint8).numpy()
    return pixels


def score_picture(key: str, picture: RGB8, grey: RGB8, ours: RGB8) -> PictureScore:
    """Compare `ours` and `grey` with the true `picture`, all RGB uint8 (H, W, 3)."""
    true_lab, our_lab, grey_lab = (rgb_to_lab(_as_tensor(each))[0].permute(1, 2, 0).numpy() for each in (picture, ours, grey))
    return PictureScore(
        key=key,
        psnr_db=min(psnr_db(ours, picture), SHARPEST_DB),
        grey_psnr_db=min(psnr_db(grey, picture), SHARPEST_DB),
        ciede2000=ciede2000(our_lab, true_lab),
        grey_ciede2000=ciede2000(grey_lab, true_lab),
        cf=colourfulness(ours),
        true_cf=colourfulness(picture),
    )


def readable(photos: Photos, limit: int | None) -> Iterator[tuple[str, RGB8]]:
    """(key, picture) of `limit` pictures, evenly spaced, or of all; those that cannot be read are left out."""
    count = len(photos) if limit is None else min(limit, len(photos))
    for index in np.unique(np.linspace(0, len(photos) - 1, count).astype(int)) if count else ():
        picture = photos.picture(int(index))
        if picture is not None:
            yield photos.keys[int(index)], picture


def evaluate(
    colorizer: Colorizer,
    photos: Photos,
    *,
    render_factor: int,
    limit: int | None = None,
    seen: Callable[[PictureScore, tuple[RGB8, RGB8, RGB8]], None] | None = None,
) -> list[PictureScore]:
    """Score every picture (or `limit` evenly spaced ones); `seen` gets each score with (grey, ours, truth).

    Raises `InputError` when no picture can be read.
    """
    scores = []
    for key, picture in readable(photos, limit):
        grey, ours = colour_picture(colorizer, picture, render_factor)
        score = score_picture(key, picture, grey, ours)
        scores.append(score)
        if seen is not None:
            seen(score, (grey, ours, picture))
    if not scores:
        raise InputError("the data has no picture that can be read.")
    return scores


def summarize(scores: list[PictureScore], colorizer: Colorizer) -> Summary:
    """Means over `scores`, with the settings of the decoding that they were made with."""

    def mean(name: str) -> float:
        return float(np.mean([getattr(score, name) for score in scores]))

    true_cf = mean("true_cf")
    return Summary(
        pictures=len(scores),
        temperature=colorizer.temperature,
        gain=colorizer.gain,
        psnr_db=mean("psnr_db"),
        grey_psnr_db=mean("grey_psnr_db"),
        gain_db=mean("psnr_db") - mean("grey_psnr_db"),
        ciede2000=mean("ciede2000"),
        grey_ciede2000=mean("grey_ciede2000"),
        cf=mean("cf"),
        true_cf=true_cf,
        cf_ratio=mean("cf") / true_cf if true_cf else math.nan,
    )
