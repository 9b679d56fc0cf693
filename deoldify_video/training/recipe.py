"""The course of a training: a `Recipe` of `Phase`s, readable and writable as JSON.

The order of the recipe `nogan` is that of DeOldify: the generator alone until it is good, the critic alone until it tells true
from painted, then a short adversarial phase with many checkpoints, of which the best by validation score is kept.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from deoldify_video.errors import InputError, UsageError
from deoldify_video.models.compact import STRIDE

GENERATOR, CRITIC, ADVERSARIAL = KINDS = ("generator", "critic", "adversarial")


@dataclass(frozen=True)
class LossWeights:
    """Weight of each loss of the generator; 0 switches it off (its work is then not done either).

    `ce`: cross-entropy over the palette; `l1`, `l2`: distance of the distribution's mean from the true ab; `perceptual`:
    features of the pretrained encoder; `adversarial`: the critic.
    """

    ce: float = 1.0
    l1: float = 0.0
    l2: float = 0.5
    perceptual: float = 0.0
    adversarial: float = 0.0

    def __post_init__(self) -> None:
        if min(asdict(self).values()) < 0 or max(self.ce, self.l1, self.l2, self.perceptual) <= 0:
            raise UsageError("loss weights cannot be negative, and one of ce, l1, l2 and perceptual must be positive.")

    @property
    def decodes(self) -> bool:
        """Whether a loss looks at the decoded colours rather than at the distribution."""
        return self.perceptual > 0 or self.adversarial > 0


@dataclass(frozen=True)
class Phase:
    """A part of the training with one aim. `share` is its part of the training's steps or minutes, relative to the others.

    - `sizes`: sides of the square crops in pixels, one of them drawn for each step; `pixels`: crops of a step together, so that
      small crops come in larger batches; `least_crop`: smallest side of a crop, as a share of the picture's short side
    - `lr_from` is held for `hold` of the phase (after `warmup_steps`), then falls along a cosine to `lr_to`; the pretrained
      encoder learns at `encoder_rate` times that
    - `rebalance`: exponent of the class rebalancing of Zhang et al. 2016; 0 is none, 0.25 mild, 0.5 strong
    - `age`, `stocks`: shares of the pictures that are made to look like old film, and as an older film stock saw them
    - `prior`: share of the steps in which the network is told some colours beforehand
    - `temperature`: annealing of the colours that the perceptual loss and the critic see
    - `checks`: validations in the phase, evenly spaced, the last at its end; `keep`: every check's weights are kept as a file
    """

    name: str
    kind: str = GENERATOR
    share: float = 1.0
    sizes: tuple[int, ...] = (128,)
    pixels: int = 24 * 128 * 128
    least_crop: float = 0.5
    lr_from: float = 1.2e-3
    lr_to: float = 1.2e-3
    hold: float = 1.0
    encoder_rate: float = 0.15
    warmup_steps: int = 200
    weight_decay: float = 0.02
    ema_decay: float = 0.999
    rebalance: float = 0.12
    age: float = 0.4
    stocks: float = 0.35
    prior: float = 0.35
    temperature: float = 0.8
    critic_lr: float = 2e-4
    checks: int = 4
    keep: bool = False
    loss: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"phase {self.name!r} is of the unknown kind {self.kind!r}; known are {', '.join(KINDS)}.")
        if self.share <= 0 or self.pixels < 1 or self.checks < 1:
            raise UsageError(f"phase {self.name!r} needs a positive share, some pixels a step and at least one check.")
        if not self.sizes or any(size < STRIDE or size % STRIDE for size in self.sizes):
            raise UsageError(f"phase {self.name!r}: sizes are {self.sizes}, but must be multiples of {STRIDE}.")

    def learning_rate(self, step: int, progress: float) -> float:
        """Learning rate of the phase's step `step` (from 0) when `progress` (0..1) of the phase is done."""
        fall = max(0.0, (progress - self.hold) / (1.0 - self.hold)) if self.hold < 1.0 else 0.0
        rate = self.lr_to + (self.lr_from - self.lr_to) * 0.5 * (1.0 + math.cos(math.pi * min(fall, 1.0)))
        return rate * min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else rate


@dataclass(frozen=True)
class Recipe:
    """The phases, and the network's widths where they differ from the default (fields of `CompactConfig`).

    `imagenet`: the encoder starts from its published ImageNet weights (extra `train`), else from nothing.
    """

    name: str
    phases: tuple[Phase, ...]
    network: dict[str, Any] = field(default_factory=dict)
    imagenet: bool = True

    def __post_init__(self) -> None:
        names = [phase.name for phase in self.phases]
        if not names or len(set(names)) != len(names):
            raise UsageError(f"recipe {self.name!r} needs at least one phase, and a name of its own for each.")

    def only(self, names: list[str]) -> Recipe:
        """The same recipe with the named phases alone, in the recipe's order."""
        known = [phase.name for phase in self.phases]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise UsageError(f"recipe {self.name!r} has no phase {unknown[0]!r}; it has {', '.join(known)}.")
        return replace(self, phases=tuple(phase for phase in self.phases if phase.name in names))

    def to_json(self) -> str:
        """The recipe as JSON text that `read_recipe` takes."""
        return json.dumps(asdict(self), indent=2)


def _checked(kind: type, values: dict[str, Any], where: str) -> dict[str, Any]:
    known = {entry.name for entry in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UsageError(f"{where} has the unknown field {unknown[0]!r}; known are {', '.join(sorted(known))}.")
    return values


def recipe_from_json(text: str, source: str = "the recipe") -> Recipe:
    """Build a recipe from JSON; fields that are left out keep their defaults. Raises `UsageError` for unknown fields."""
    try:
        values = _checked(Recipe, json.loads(text), source)
        phases = []
        for entry in values["phases"]:
            loss = LossWeights(**_checked(LossWeights, entry.get("loss", {}), f"{source}, loss of {entry.get('name')}"))
            known = _checked(Phase, entry, f"{source}, phase {entry.get('name')}")
            sizes = tuple(entry["sizes"]) if "sizes" in entry else Phase.sizes
            phases.append(Phase(**{**known, "sizes": sizes, "loss": loss}))
        return Recipe(**{"name": Path(source).stem, **values, "phases": tuple(phases)})
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{source} is no recipe: {error}; see docs/training.md for one.") from error


def read_recipe(name_or_file: str) -> Recipe:
    """A built-in recipe by name (`standard`, `nogan`, `small`), or one from a JSON file."""
    if name_or_file in RECIPES:
        return RECIPES[name_or_file]
    path = Path(name_or_file)
    if not path.is_file():
        raise UsageError(f"no recipe is called {name_or_file!r}; known are {', '.join(RECIPES)}, or give a JSON file.")
    try:
        return recipe_from_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the recipe {path}: {error}.") from error


_SMALL_STEP, _LARGE_STEP = 24 * 128 * 128, 12 * 256 * 256

STANDARD = Recipe(
    name="standard",
    phases=(
        Phase("broad", share=60, sizes=(128, 192), checks=6, lr_to=4e-4, hold=0.3),
        Phase("focus", share=40, sizes=(128, 192, 256, 320), pixels=_LARGE_STEP, least_crop=0.6, lr_from=4e-4, lr_to=2e-6,
              hold=0.05, checks=4),
    ),
)  # fmt: skip

_ADVERSARIAL_STEP = {"sizes": (192,), "pixels": 8 * 192 * 192, "least_crop": 0.7, "prior": 0.0}
NOGAN = Recipe(
    name="nogan",
    phases=(
        *(replace(phase, share=0.9 * phase.share) for phase in STANDARD.phases),
        Phase("critic", CRITIC, share=4, age=0.0, stocks=0.0, checks=1, **_ADVERSARIAL_STEP),  # type: ignore[arg-type]
        Phase("adversarial", ADVERSARIAL, share=6, lr_from=2e-5, lr_to=2e-5, ema_decay=0.99, checks=10, keep=True,
              loss=LossWeights(perceptual=0.2, adversarial=0.02), **_ADVERSARIAL_STEP),  # type: ignore[arg-type]
    ),
)  # fmt: skip

# For a first look and for the tests: a narrow decoder, small crops, every kind of phase, and no weights from elsewhere.
_TINY = {"sizes": (64,), "pixels": 6 * 64 * 64, "warmup_steps": 10, "ema_decay": 0.9, "checks": 1}
SMALL = Recipe(
    name="small",
    network={"encoder": "lite0", "decoder": (32, 24, 16), "context": 32, "context_blocks": 1},
    imagenet=False,
    phases=(
        Phase("broad", share=5, encoder_rate=1.0, **_TINY),  # type: ignore[arg-type]
        Phase("focus", share=2, lr_from=3e-4, lr_to=1e-5, hold=0.1, **_TINY),  # type: ignore[arg-type]
        Phase("critic", CRITIC, share=1, **_TINY),  # type: ignore[arg-type]
        Phase("adversarial", ADVERSARIAL, share=1, lr_from=2e-5, lr_to=2e-5, keep=True,
              loss=LossWeights(perceptual=0.2, adversarial=0.02), **_TINY),  # type: ignore[arg-type]
    ),
)  # fmt: skip

RECIPES = {recipe.name: recipe for recipe in (STANDARD, NOGAN, SMALL)}
