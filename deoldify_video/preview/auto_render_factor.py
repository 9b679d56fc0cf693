"""`--render-factor auto`: the factor for one film or photo, by the measures that the preview shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from deoldify_video.media.clips import ClipReader
from deoldify_video.media.photo_io import read_photo
from deoldify_video.media.probe import probe
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import FilmOptions
from deoldify_video.preview.shot_selection import sample_film
from deoldify_video.preview.trial import FilmTrial, TrialResult, measure_photo

FACTORS = (14, 18, 21, 24, 28, 32)
SHOTS = 4
_ENLARGEMENT = 1.25  # a network's picture this much larger than the film shows it nothing more
_MAX_FLICKER_RATIO = 1.25  # of the calmest factor's unrest: more is not taken for its colours
_AS_GOOD = 0.95  # of the best colourfulness: counts as equal, and the faster one is taken


@dataclass(frozen=True)
class AutoRenderFactor:
    """The render factor that was chosen, and one sentence that says why."""

    render_factor: int
    reason: str


def with_auto_factor(
    source: Path | str, options: FilmOptions, colorizer: Colorizer | None = None
) -> tuple[FilmOptions, Colorizer, str]:
    """`options` with the render factor that suits `source`, the colorizer that was tried (made when there is none), and the reason."""
    colorizer = colorizer or Colorizer(options.color)
    chosen = auto_render_factor(source, colorizer, options)
    return replace(options, color=replace(options.color, render_factor=chosen.render_factor)), colorizer, chosen.reason


def auto_render_factor(source: Path | str, colorizer: Colorizer, options: FilmOptions | None = None) -> AutoRenderFactor:
    """Try render factors on a few shots of the wanted part of the film, or on the photo, `source`, and choose one.

    Of those that flicker little more than the calmest, the most colourful; of nearly equal ones, the fastest. Factors at which the
    network would see more pixels than there are, are left out. Raises `InputError` when the source cannot be read.
    """
    options = options or FilmOptions()
    info = probe(Path(source))
    if info.kind == "photo":
        light = read_photo(info.path).light
        factors = useful_factors(colorizer, light.shape[1], light.shape[0])
        return choose_factor({factor: measure_photo(light, colorizer, factor) for factor in factors}, "the photo")
    reader = ClipReader(info)
    trial = FilmTrial(reader, sample_film(reader, SHOTS, options.decode).shots)
    factors = useful_factors(colorizer, *trial.upright_size)
    measured = {factor: trial.measure(colorizer, factor, options.smooth.smoothing) for factor in factors}
    return choose_factor(measured, f"{len(trial.shots)} sampled shot{'s' if trial.shots[1:] else ''}")


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
