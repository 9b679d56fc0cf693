"""One step of each kind of phase: what is computed from a batch, and which networks it changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deoldify_video.errors import DependencyError
from deoldify_video.models.compact import Compact
from deoldify_video.training.batches import Batch, small_ab
from deoldify_video.training.critic import PatchCritic, adversarial_loss, scaled_lab, train_critic
from deoldify_video.training.losses import PaletteTargets, painted_lab, palette_losses
from deoldify_video.training.perceptual import perceptual_loss
from deoldify_video.training.recipe import ADVERSARIAL, CRITIC, Phase

LONGEST_GRADIENT = 1.0
MOST_SKIPPED = 50  # steps of a training that may be left out because their gradients are not finite
Losses = dict[str, Tensor]


@dataclass
class Tools:
    """Everything that the steps work with. `weights` (K,) rebalance the palette in the current phase."""

    device: torch.device
    bf16: bool
    generator: Compact
    targets: PaletteTargets
    weights: Tensor
    critic: PatchCritic | None = None
    features: nn.Module | None = None
    skipped: int = 0

    def autocast(self) -> torch.autocast:
        """bfloat16 where the device computes with it, else nothing."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def train_mode(self) -> None:
        """Let the generator learn; the encoder keeps the statistics of its norms, which many more pictures have made."""
        self.generator.train()
        self.generator.encoder.eval()


def run_step(
    phase: Phase,
    tools: Tools,
    batch: Batch,
    optimizer: torch.optim.Optimizer | None,
    critic_optimizer: torch.optim.Optimizer | None,
) -> Losses:
    """Do one step of `phase` on its batch; returns the losses by name, scalars on the device."""
    if phase.kind == CRITIC:
        assert critic_optimizer is not None
        return _critic_step(phase, tools, batch, critic_optimizer)
    assert optimizer is not None
    losses, pair = _generator_losses(phase, tools, batch)
    length = nn.utils.clip_grad_norm_(tools.generator.parameters(), LONGEST_GRADIENT)
    if torch.isfinite(length):
        optimizer.step()
    else:  # one such step would make every weight NaN
        losses = {name: torch.nan_to_num(value, 0.0, 0.0, 0.0) for name, value in losses.items()}
        tools.skipped += 1
        if tools.skipped > MOST_SKIPPED:
            raise DependencyError(
                f"{tools.skipped} steps had gradients that are not finite; try --device cpu, another version of torch, or a lower rate."
            )
    optimizer.zero_grad(set_to_none=True)
    if phase.kind == ADVERSARIAL and critic_optimizer is not None and tools.critic is not None and pair is not None:
        losses["critic"], losses["critic_right"] = train_critic(tools.critic, critic_optimizer, *pair)
    return losses


def _input(batch: Batch, tools: Tools) -> Tensor:
    return tools.generator.prepare(batch.gray).contiguous(memory_format=torch.channels_last)


def _critic_step(phase: Phase, tools: Tools, batch: Batch, optimizer: torch.optim.Optimizer) -> Losses:
    """The critic alone: the generator paints in eval mode and learns nothing."""
    assert tools.critic is not None
    tools.generator.eval()
    with torch.no_grad(), tools.autocast():
        ab = tools.generator.to_ab(tools.generator.logits(_input(batch, tools)), phase.temperature)
    true = scaled_lab(painted_lab(batch.lab[:, :1], small_ab(batch.lab)))
    loss, right = train_critic(tools.critic, optimizer, true, scaled_lab(painted_lab(batch.lab[:, :1], ab)))
    return {"critic": loss, "critic_right": right}


def _generator_losses(phase: Phase, tools: Tools, batch: Batch) -> tuple[Losses, tuple[Tensor, Tensor] | None]:
    """Set the gradients of a batch; returns the losses and, for the critic, (true, painted) scaled Lab pictures."""
    wanted, lab, ab = phase.loss, batch.lab, small_ab(batch.lab)
    tools.train_mode()
    with tools.autocast():
        logits = tools.generator.logits(_input(batch, tools), batch.prior)
    found = palette_losses(logits, ab, tools.targets, tools.weights, mean_loss=wanted.l1 > 0 or wanted.l2 > 0)
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
    torch.stack([share[name] * value for name, value in found.items() if share[name] > 0]).sum().backward()
    return {name: value.detach() for name, value in found.items()}, pair
