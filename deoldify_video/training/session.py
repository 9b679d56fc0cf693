"""A training under way: its data, networks, optimisers and counters, and the files it writes. `train.py` drives it."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from deoldify_video import __version__
from deoldify_video.errors import InputError, OutputError, UsageError
from deoldify_video.evaluation.sheet import write_sheet
from deoldify_video.media.files import write_file
from deoldify_video.models.colorizer import choose_device
from deoldify_video.models.compact import Compact, CompactConfig
from deoldify_video.models.efficientnet_lite import EfficientNetLite
from deoldify_video.models.weights import CONFIG_KEY
from deoldify_video.training.batches import PictureStore, decode_all
from deoldify_video.training.card import source_commit
from deoldify_video.training.checkpoint import (
    BEST,
    LAST,
    RUN,
    STATE,
    load_initial,
    load_state,
    read_run,
    save_state,
    write_network,
)
from deoldify_video.training.critic import PatchCritic, make_critic_optimizer
from deoldify_video.training.dataset import Photos, read_data
from deoldify_video.training.losses import PaletteTargets, palette_frequencies, rebalancing
from deoldify_video.training.observer import MetricsLog, TrainingObserver
from deoldify_video.training.perceptual import EncoderFeatures
from deoldify_video.training.pretrained import pretrained_encoder
from deoldify_video.training.recipe import ADVERSARIAL, CRITIC, STANDARD, Phase, Recipe, recipe_from_json
from deoldify_video.training.steps import Tools
from deoldify_video.training.validate import Validation, score_of

SHEET_PICTURES, SHEET_DECODING = 12, (0.7, 1.4)  # pictures; annealing temperature and gain
HELD_OUT_EVERY = 50  # without --val, one picture in this many validates


@dataclass(frozen=True)
class TrainOptions:
    """The settings of a training. Exactly one of `steps` and `minutes` is the budget of all phases together."""

    data: tuple[Path, ...]
    run: Path
    val: tuple[Path, ...] = ()
    recipe: Recipe = STANDARD
    steps: int | None = None
    minutes: float | None = None
    init: Path | None = None
    resume: bool = False
    device: str = "auto"
    seed: int = 0
    save_minutes: float = 5.0
    sheet_minutes: float = 20.0
    log_every_steps: int = 25

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise UsageError("give the budget of the training either as --minutes or as --steps.")
        if (self.steps if self.steps is not None else self.minutes or 0) <= 0:
            raise UsageError("the budget of the training must be positive.")


@dataclass
class Counters:
    """Where a training stands; part of the checkpoint."""

    phase: int = 0
    phase_step: int = 0
    phase_seconds: float = 0.0
    step: int = 0
    pictures: int = 0
    seconds: float = 0.0
    checks: int = 0  # done in this phase
    best_score: float | None = None
    best_step: int = 0


@dataclass
class Data:
    """The pictures of a training."""

    store: PictureStore
    validation: Validation


def read_training_data(options: TrainOptions, device: torch.device, observer: TrainingObserver) -> Data:
    """Read the pictures to learn from, onto the device, and those to validate with; what cannot be read is named."""
    photos = read_data(options.data)
    if options.val:
        held_out = read_data(options.val)
    else:
        held_out, photos = _split(photos)
    if not photos:
        raise InputError("the data has no pictures left to train on; give more, or a validation set of its own with --val.")
    observer.say(f"{len(photos)} photographs, {len(held_out)} photographs to validate with")
    pictures = decode_all(photos, lambda key: observer.say(f"cannot read {key}; it is left out"))
    return Data(PictureStore(pictures, device), Validation(held_out))


def _split(photos: Photos) -> tuple[Photos, Photos]:
    """(held out, the rest) of the photographs: every fiftieth, and at least one, is held out."""
    parts = Photos(), Photos()
    for index, (key, picture) in enumerate(zip(photos.keys, photos.pictures, strict=True)):
        parts[min(1, index % HELD_OUT_EVERY)].add(key, picture)
    return parts


class Training:
    """A training under way: its networks, counters and files. `train` below drives it."""

    def __init__(self, options: TrainOptions, observer: TrainingObserver) -> None:
        state = self._open_run(options)
        self.options, self.observer = options, observer
        self.device = choose_device(options.device)
        self.bf16 = self.device.type == "cuda"  # on processors the gradients of depthwise convolutions are slow in bf16
        run = read_run(options.run) if state else {}
        self.recipe = recipe_from_json(json.dumps(run["recipe"]), "run.json") if state else options.recipe
        self.seed = int(run["seed"]) if state else options.seed
        self.data = read_training_data(options, self.device, observer)
        if state and run["data"]["photos"] != len(self.data.store):
            raise InputError(
                f"the run was started with {run['data']['photos']} photographs, but the data has {len(self.data.store)}; "
                "give the same data to resume, or start a new run from this one with --init."
            )
        self.counters = Counters(**state["counters"]) if state else Counters()
        torch.manual_seed(self.seed)
        self._make_networks(state)
        self.optimizer: torch.optim.Optimizer | None = None
        self.critic_optimizer: torch.optim.Optimizer | None = None
        self._optimizer_state = (state or {}).get("optimizer"), (state or {}).get("critic_optimizer")
        if not state:
            self._write_run()

    @staticmethod
    def _open_run(options: TrainOptions) -> dict[str, Any] | None:
        if options.resume:
            return load_state(options.run / STATE)
        if (options.run / STATE).exists():
            raise OutputError(f"{options.run} holds a training already; go on with --resume, or choose another folder.")
        return None

    def _make_networks(self, state: dict[str, Any] | None) -> None:
        if state:
            network = Compact(CompactConfig(**state[CONFIG_KEY]))
            network.load_state_dict(state["generator"])
        elif self.options.init:
            network = load_initial(self.options.init)
        else:
            network = Compact(CompactConfig(**self.recipe.network))
            if self.recipe.imagenet:
                network.encoder.load_state_dict(pretrained_encoder(network.config.encoder).state_dict())
        generator = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(generator).eval().requires_grad_(False)
        if state:
            self.average.load_state_dict(state["ema"])
        targets = PaletteTargets(generator.palette.cpu(), network.config.palette_step).to(self.device)
        frequencies = state["frequencies"] if state else palette_frequencies(targets, self.data.store, self.seed)
        self.frequencies = frequencies.to(self.device)
        self.tools = Tools(self.device, self.bf16, generator, targets, torch.ones_like(self.frequencies))
        if any(phase.kind in (CRITIC, ADVERSARIAL) for phase in self.recipe.phases):
            self.tools.critic = PatchCritic().to(self.device)
            if state and state["critic"]:
                self.tools.critic.load_state_dict(state["critic"])
        if any(phase.loss.perceptual > 0 for phase in self.recipe.phases):
            variant = network.config.encoder
            encoder = pretrained_encoder(variant, planes=3) if self.recipe.imagenet else EfficientNetLite(variant, planes=3)
            self.tools.features = EncoderFeatures(encoder).to(self.device)

    def _write_run(self) -> None:
        card = {
            "recipe": json.loads(self.recipe.to_json()),
            "seed": self.seed,
            "budget": {"steps": self.options.steps, "minutes": self.options.minutes},
            "init": self.options.init.name if self.options.init else None,
            "data": {"from": [path.name for path in self.options.data], "photos": len(self.data.store)},
            "version": __version__,
            "commit": source_commit(),
        }
        write_file(self.options.run / RUN, json.dumps(card, indent=2).encode())

    # -- one phase ------------------------------------------------------------------------------------------------------------

    def begin_phase(self, phase: Phase) -> None:
        """Make the phase's optimisers, or restore them."""
        tools = self.tools
        tools.weights = rebalancing(self.frequencies, phase.rebalance)
        self.optimizer = self.critic_optimizer = None
        if phase.kind != CRITIC:
            pretrained = list(tools.generator.encoder.parameters())
            kept = {id(parameter) for parameter in pretrained}
            new = [parameter for parameter in tools.generator.parameters() if id(parameter) not in kept]
            groups = [{"params": new, "rate": 1.0}, {"params": pretrained, "rate": phase.encoder_rate}]
            self.optimizer = torch.optim.AdamW(
                groups, phase.lr_from, betas=(0.9, 0.99), weight_decay=phase.weight_decay, fused=self.device.type == "cuda"
            )
        if phase.kind in (CRITIC, ADVERSARIAL) and tools.critic is not None:
            tools.critic.train()
            self.critic_optimizer = make_critic_optimizer(tools.critic, phase.critic_lr)
        saved, saved_critic = self._optimizer_state
        if saved and self.optimizer:
            self.optimizer.load_state_dict(saved)
        if saved_critic and self.critic_optimizer:
            self.critic_optimizer.load_state_dict(saved_critic)
        self._optimizer_state = None, None

    def set_rate(self, rate: float) -> None:
        """Let every group of parameters learn at its share of `rate`."""
        if self.optimizer:
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["rate"]

    def progress(self) -> float:
        """Done part of the current phase, 0 to 1."""
        shares = [phase.share for phase in self.recipe.phases]
        part = shares[self.counters.phase] / sum(shares)
        if self.options.steps is not None:
            return self.counters.phase_step / max(1, round(self.options.steps * part))
        assert self.options.minutes is not None
        return self.counters.phase_seconds / (60.0 * self.options.minutes * part)

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the averaged weights towards the current ones; they look back over a tenth of the steps at most.

        So a short fine-tuning shows in its average too.
        """
        decay = min(decay, (1 + self.counters.step) / (10 + self.counters.step))
        means, values = self.average.state_dict().values(), self.tools.generator.state_dict().values()
        pairs = [(mean, now) for mean, now in zip(means, values, strict=True) if mean.is_floating_point()]
        torch._foreach_lerp_([mean for mean, _ in pairs], [now for _, now in pairs], 1.0 - decay)

    # -- files ----------------------------------------------------------------------------------------------------------------

    def card(self) -> dict[str, Any]:
        """Readable facts that travel inside the weights files."""
        return {
            "recipe": self.recipe.name,
            "phase": self.recipe.phases[min(self.counters.phase, len(self.recipe.phases) - 1)].name,
            "step": self.counters.step,
            "pictures": self.counters.pictures,
            "hours": round(self.counters.seconds / 3600, 3),
            "device": self.device.type,
            "score_db": self.counters.best_score,
        }

    def save(self) -> None:
        """Write the whole state, then the averaged weights for use."""
        tools = self.tools
        state = {
            CONFIG_KEY: asdict(tools.generator.config),
            "counters": asdict(self.counters),
            "generator": tools.generator.state_dict(),
            "ema": self.average.state_dict(),
            "frequencies": self.frequencies.cpu(),
            "critic": tools.critic.state_dict() if tools.critic else None,
            "optimizer": self.optimizer.state_dict() if self.optimizer else None,
            "critic_optimizer": self.critic_optimizer.state_dict() if self.critic_optimizer else None,
        }
        save_state(self.options.run / STATE, state)
        write_network(self.options.run / LAST, self.average, self.card())

    def check(self, phase: Phase, log: MetricsLog) -> None:
        """Validate the averaged weights; keep them as the best if they are."""
        curve = self.data.validation.curve(self.average, self.device, self.bf16)
        score, counters = score_of(curve), self.counters
        values = {"score_db": score}
        for point in curve:
            values[f"gain_db_{point.label}"] = point.gain_db
            values[f"cf_ratio_{point.label}"] = point.cf_ratio
        log.add(counters.step, phase.name, values)
        text = "  ".join(f"{p.label}: {p.gain_db:+.2f} dB, CF {p.cf_ratio:.2f}" for p in curve)
        self.observer.say(f"step {counters.step}, score {score:+.2f} dB  ({text})")
        if phase.keep:
            name = f"checkpoints/{phase.name}-{counters.checks:02d}.safetensors"
            write_network(self.options.run / name, self.average, {**self.card(), "score_db": score})
        if counters.best_score is None or score > counters.best_score:
            counters.best_score, counters.best_step = score, counters.step
            write_network(self.options.run / BEST, self.average, self.card())

    def sheet(self) -> None:
        """Write a sheet of grey, ours and truth."""
        rows = self.data.validation.rows(self.average, self.device, self.bf16, decoding=SHEET_DECODING, count=SHEET_PICTURES)
        write_sheet(self.options.run / "sheets" / f"step-{self.counters.step:07d}.png", rows)
