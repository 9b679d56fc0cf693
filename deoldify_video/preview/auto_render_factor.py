"""`--render-factor auto`: the factor for one film or photo, by the measures that the preview shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deoldify_video.media.clips import ClipReader
from deoldify_video.media.probe import MediaInfo
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import AUTO, FilmOptions
from deoldify_video.preview.shot_selection import sample_film
from deoldify_video.preview.trial import FilmTrial, TrialResult, measure_photo

FACTORS = (14, 18, 21, 24, 28, 32)
SHOTS = 4
_ENLARGEMENT = 1.25  # a network's picture this much larger than the film shows it nothing more
_MAX_FLICKER_RATIO = 1.25  # of the calmest factor's unrest: more is not taken for its colours
_AS_GOOD = 0.95  # of the best colourfulness: counts as equal, and the faster one is taken


class AutoRenderFactor(NamedTuple):
    """The render factor that was chosen, and one sentence that says why."""

    render_factor: int
    reason: str


def with_film_factor(info: MediaInfo, options: FilmOptions, colorizer: Colorizer) -> tuple[FilmOptions, list[str]]:
    """`options` with the render factor that suits the film in the place of `auto`, and a note why; others as they are, without a note.

    Raises `InputError` when the film cannot be read.
    """
    if options.color.render_factor != AUTO:
        return options, []
    factor, reason = choose_film_factor(info, options, colorizer)
    return replace(options, color=replace(options.color, render_factor=factor)), [reason]


def choose_film_factor(info: MediaInfo, options: FilmOptions, colorizer: Colorizer) -> AutoRenderFactor:
    """Try render factors on a few shots of the wanted part of the film, and choose one.

    Of those that flicker little more than the calmest, the most colourful; of nearly equal ones, the fastest. Factors at which the
    network would see more pixels than there are, are left out. Raises `InputError` when the film cannot be read.
    """
    reader = ClipReader(info)
    trial = FilmTrial(reader, sample_film(reader, SHOTS, options.decode).shots)
    factors = useful_factors(colorizer, *trial.upright_size)
    measured = {factor: trial.measure(colorizer, factor, options.smooth.smoothing) for factor in factors}
    return choose_factor(measured, f"{len(trial.shots)} sampled shot{'s' if trial.shots[1:] else ''}")


def choose_photo_factor(light: NDArray[np.float32], colorizer: Colorizer) -> AutoRenderFactor:
    """Try render factors on a photo's light, float32 (H, W) in [0, 1], and choose one alike."""
    factors = useful_factors(colorizer, light.shape[1], light.shape[0])
    return choose_factor({factor: measure_photo(light, colorizer, factor) for factor in factors}, "the photo")


def useful_factors(colorizer: Colorizer, width: int, height: int) -> list[int]:
    """Those of `FACTORS` at which the network's picture is hardly larger than `width` x `height`; at least the smallest."""
    sizes = {factor: colorizer.spec.render_size(width, height, factor) for factor in FACTORS}
    useful = [f for f, (w, h) in sizes.items() if w * h <= _ENLARGEMENT * width * height]
    return useful or [FACTORS[0]]


def choose_factor(measured: Mapping[int, TrialResult], where: str) -> AutoRenderFactor:
    """Choose among `measured`, by render factor; `where` says for the reason on what they were measured."""
    calmest = min(one.flicker_ratio for one in measured.values())
    calm = {factor: one for factor, one in measured.items() if one.flicker_ratio <= _MAX_FLICKER_RATIO * calmest}
    fullest = max(one.colorfulness for one in calm.values())
    chosen = min(factor for factor, one in calm.items() if one.colorfulness >= _AS_GOOD * fullest)
    best = measured[chosen]
    reason = f"render factor {chosen} was chosen on {where}: colourfulness {best.colorfulness:.1f}"
    if best.flicker_ratio:
        reason += f", flicker {best.flicker:.3f}"
    reason += f"; tried were {', '.join(map(str, measured))}"
    excluded = sorted(set(measured) - set(calm))
    if excluded:
        reason += (
            f", of which {', '.join(map(str, excluded))} would flicker more for {'their' if excluded[1:] else 'its'} colours"
        )
    return AutoRenderFactor(chosen, reason + ".")
