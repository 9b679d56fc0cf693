"""One step of each kind of phase: what is computed from a batch, and which networks it changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from deoldify_video.color.lab import rgb_to_lab
from deoldify_video.models.compact import Compact
from deoldify_video.training.batches import Batch
from deoldify_video.training.critic import PatchCritic, adversarial_loss, scaled_lab, train_critic
from deoldify_video.training.losses import PaletteTargets, painted_lab, palette_losses, small_ab
from deoldify_video.training.perceptual import ColourClassifier, FeatureNetwork, perceptual_loss
from deoldify_video.training.recipe import ADVERSARIAL, CLASSIFIER, CRITIC, Phase

Losses = dict[str, float]


@dataclass
class Tools:
    """What the steps work with. `weights` (K,) rebalance the palette in the current phase."""

    device: torch.device
    bf16: bool
    generator: Compact
    targets: PaletteTargets
    weights: Tensor
    critic: PatchCritic | None = None
    features: FeatureNetwork | None = None
    classifier: ColourClassifier | None = None

    def autocast(self) -> torch.autocast:
        """bfloat16 where the device computes with it, else nothing."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)


def run_step(
    phase: Phase,
    tools: Tools,
    batches: list[Batch],
    optimizer: torch.optim.Optimizer | None,
    critic_optimizer: torch.optim.Optimizer | None,
) -> Losses:
    """Do one step of `phase` on its batches; returns the losses by name, those of photographs with the prefix `photo_`."""
    losses: Losses = {}
    if phase.kind == CLASSIFIER:
        assert optimizer is not None
        for batch in batches:
            losses.update(_classifier_step(tools, batch))
        _apply(optimizer)
    elif phase.kind == CRITIC:
        assert critic_optimizer is not None
        for batch in batches:
            losses.update(_critic_step(phase, tools, batch, critic_optimizer))
    else:
        assert optimizer is not None
        painted: list[tuple[Tensor, Tensor]] = []
        for batch in batches:
            prefix = "" if _labelled(batch) else "photo_"
            found, pair = _generator_losses(phase, tools, batch)
            losses.update({prefix + name: value for name, value in found.items()})
            painted += [pair] if pair else []
        _apply(optimizer)
        if phase.kind == ADVERSARIAL and critic_optimizer is not None and tools.critic is not None:
            for true, ours in painted:
                loss, right = train_critic(tools.critic, critic_optimizer, true, ours)
                losses.update(critic=loss, critic_right=right)
    return losses


def _apply(optimizer: torch.optim.Optimizer) -> None:
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _labelled(batch: Batch) -> bool:
    return bool((batch.labels >= 0).all())


def _to_device(batch: Batch, tools: Tools) -> tuple[Tensor, Tensor]:
    """(network input (B, 1, H, W), true Lab (B, 3, H, W)) on the device."""
    lab = rgb_to_lab(batch.rgb.to(tools.device, non_blocking=True).float() / 255.0)
    grey = batch.grey.to(tools.device, non_blocking=True)
    return tools.generator.prepare(grey).contiguous(memory_format=torch.channels_last), lab


def _classifier_step(tools: Tools, batch: Batch) -> Losses:
    assert tools.classifier is not None
    if not _labelled(batch):
        return {}
    lab = rgb_to_lab(batch.rgb.to(tools.device).float() / 255.0).contiguous(memory_format=torch.channels_last)
    labels = batch.labels.to(tools.device)
    with tools.autocast():
        logits = tools.classifier(lab)
    loss = F.cross_entropy(logits.float(), labels)
    loss.backward()
    return {"label": loss.item(), "right": (logits.argmax(dim=1) == labels).float().mean().item()}


def _critic_step(phase: Phase, tools: Tools, batch: Batch, optimizer: torch.optim.Optimizer) -> Losses:
    """The critic alone: the generator paints in eval mode and learns nothing."""
    assert tools.critic is not None
    x, lab = _to_device(batch, tools)
    tools.generator.eval()
    with torch.no_grad(), tools.autocast():
        ab = tools.generator.to_ab(tools.generator(x), phase.temperature)
    true = scaled_lab(painted_lab(lab[:, :1], small_ab(lab)))
    ours = scaled_lab(painted_lab(lab[:, :1], ab))
    loss, right = train_critic(tools.critic, optimizer, true, ours)
    return {"critic": loss, "critic_right": right}


def _generator_losses(phase: Phase, tools: Tools, batch: Batch) -> tuple[Losses, tuple[Tensor, Tensor] | None]:
    """Add the gradients of a batch; returns the losses and, for the critic, (true, painted) scaled Lab pictures."""
    x, lab = _to_device(batch, tools)
    wanted, ab = phase.loss, small_ab(lab)
    tools.generator.train()
    with tools.autocast():
        logits, meaning = tools.generator.forward_with_meaning(x)
    found = palette_losses(logits, ab, tools.targets, tools.weights, mean_loss=wanted.l1 > 0 or wanted.l2 > 0)
    classify = wanted.label > 0 and tools.generator.classifier is not None and _labelled(batch)
    if classify:
        assert tools.generator.classifier is not None
        with tools.autocast():
            guess = tools.generator.classifier(meaning)
        found["label"] = F.cross_entropy(guess.float(), batch.labels.to(tools.device))
    pair = None
    if wanted.decodes:
        painted = painted_lab(lab[:, :1], tools.generator.to_ab(logits, phase.temperature))
        true = painted_lab(lab[:, :1], ab)
        if wanted.perceptual > 0 and tools.features is not None:
            with tools.autocast():
                found["perceptual"] = perceptual_loss(tools.features, painted, true)
        if wanted.adversarial > 0 and tools.critic is not None:
            ours = scaled_lab(painted)
            tools.critic.requires_grad_(False)
            found["adversarial"] = adversarial_loss(tools.critic(ours))
            tools.critic.requires_grad_(True)
            pair = (scaled_lab(true), ours.detach())
    share = {name: getattr(wanted, name) for name in found}
    total = torch.stack([share[name] * value for name, value in found.items() if share[name] > 0]).sum()
    total.backward()
    return {name: value.item() for name, value in found.items()}, pair
