"""Targets, losses, batches and recipes of the training."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deoldify_video.color.gray import gray_of as grey_of
from deoldify_video.color.lab import rgb_to_lab
from deoldify_video.errors import DependencyError, InputError, UsageError
from deoldify_video.models.compact import gamut_palette
from deoldify_video.training.batches import Feeder, batches_of
from deoldify_video.training.critic import PatchCritic, adversarial_loss, critic_loss, make_critic_optimizer, train_critic
from deoldify_video.training.dataset import Photos
from deoldify_video.training.degrade import FAULTS, age
from deoldify_video.training.losses import PaletteTargets, palette_losses, palette_prior, rebalancing
from deoldify_video.training.perceptual import ColourClassifier, VggFeatures, perceptual_loss
from deoldify_video.training.recipe import RECIPES, STANDARD, LossWeights, Phase, Recipe, read_recipe, recipe_from_json
from deoldify_video.training.validate import CurvePoint, Validation, score_of

PALETTE = gamut_palette()


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def photos() -> Photos:
    rng = np.random.default_rng(0)
    photos = Photos()
    for number in range(6):
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        photos.add(f"p{number}", np.kron(small, np.ones((10, 10, 1), np.uint8)), number % 2)
    return photos


def test_grey_has_the_lightness_of_the_colour() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    grey = torch.from_numpy(grey_of(rgb))[None, None].expand(1, 3, -1, -1).double()
    colour = rgb_to_lab(torch.from_numpy(rgb).permute(2, 0, 1)[None].double() / 255)
    assert torch.allclose(rgb_to_lab(grey)[:, 0], colour[:, 0], atol=2e-3)


def test_soft_targets_average_to_the_true_colour_inside_the_gamut() -> None:
    rgb = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    ab = rgb_to_lab(rgb)[:, 1:]
    indices, weights = PaletteTargets(PALETTE)(ab)
    assert torch.allclose(weights.sum(dim=1), torch.ones(len(weights)), atol=1e-5)
    mean = (PALETTE[indices] * weights[..., None]).sum(dim=1)
    assert torch.allclose(mean, ab.permute(0, 2, 3, 1).reshape(-1, 2), atol=1e-3)


def test_targets_outside_the_palette_go_to_its_nearest_colours() -> None:
    far = torch.tensor([-140.0, 140.0]).reshape(1, 2, 1, 1)
    indices, weights = PaletteTargets(PALETTE)(far)
    assert torch.isfinite(weights).all()
    assert (indices >= 0).all()
    assert (indices < len(PALETTE)).all()


def test_the_cross_entropy_is_least_at_the_targets_and_l1_there_is_zero() -> None:
    ab = torch.tensor([24.0, -36.0]).reshape(1, 2, 1, 1)
    targets = PaletteTargets(PALETTE)
    right = (ab.flatten() == PALETTE).all(dim=1).nonzero().item()
    good, bad = torch.zeros(1, len(PALETTE), 1, 1), torch.zeros(1, len(PALETTE), 1, 1)
    good[0, right], bad[0, 0] = 50.0, 50.0
    weights = torch.ones(len(PALETTE))
    found = palette_losses(good, ab, targets, weights, mean_loss=True)
    assert found["ce"].item() == pytest.approx(0.0, abs=1e-5)
    assert found["l1"].item() == pytest.approx(0.0, abs=1e-4)
    assert palette_losses(bad, ab, targets, weights, mean_loss=False).keys() == {"ce"}
    assert palette_losses(bad, ab, targets, weights, mean_loss=True)["l2"].item() > 1.0


def test_rebalancing_lifts_rare_colours_and_keeps_the_mean_weight(photos: Photos) -> None:
    prior = palette_prior(PaletteTargets(PALETTE), photos, seed=3, pictures=100)
    assert prior.sum().item() == pytest.approx(1.0, abs=1e-5)
    weights = rebalancing(prior, 0.5)
    assert (prior * weights).sum().item() == pytest.approx(1.0, abs=1e-5)
    assert weights[prior.argmin()] > weights[prior.argmax()]
    assert torch.allclose(rebalancing(prior, 0.0), torch.ones_like(prior), atol=1e-5)


def test_batches_follow_from_seed_and_step_alone(photos: Photos) -> None:
    phase = Phase("p", tiles=0, photos=4, photo_px=32)
    with Feeder(phase, photos, Photos(), seed=7, start=5, workers=2) as feeder:
        made = [next(feeder)[0] for _ in range(3)]
    for step, batch in enumerate(made, start=5):
        again = batches_of(phase, photos, Photos(), 7, step)[0]
        assert torch.equal(batch.rgb, again.rgb)
        assert torch.equal(batch.grey, again.grey)
    assert not torch.equal(made[0].rgb, made[1].rgb)
    assert made[0].rgb.shape == (4, 3, 32, 32)
    assert made[0].grey.shape == (4, 1, 32, 32)


def test_an_unreadable_picture_is_replaced_by_the_next_and_a_rotten_set_is_an_error(photos: Photos) -> None:
    mixed = Photos()
    for number in range(4):
        mixed.add(f"bad{number}", b"no picture")
        mixed.add(f"good{number}", photos.pictures[number])
    phase = Phase("p", tiles=0, photos=8, photo_px=32)
    assert len(batches_of(phase, mixed, Photos(), 0, 0)[0].labels) == 8
    rotten = Photos()
    rotten.add("bad", b"no picture")
    with pytest.raises(InputError, match="cannot be read"):
        batches_of(phase, rotten, Photos(), 0, 0)
    with pytest.raises(InputError, match="tiles only"):
        batches_of(replace(phase, tiles=4, photos=0), photos, Photos(), 0, 0)


@pytest.mark.parametrize("fault", [fault for fault, _ in FAULTS], ids=lambda fault: fault.__name__)
def test_every_fault_keeps_shape_and_range(fault) -> None:
    picture = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    before = picture.copy()
    for seed in range(5):
        out = fault(picture, np.random.default_rng(seed))
        assert out.shape == picture.shape
        assert np.isfinite(out).all()
        assert out.min() >= -1e-6
        assert out.max() <= 1 + 1e-6
    assert np.array_equal(picture, before)
    assert age(picture, np.random.default_rng(1)).dtype == np.float32


def test_the_critic_learns_to_tell_and_the_generator_wants_the_opposite() -> None:
    torch.manual_seed(0)
    critic = PatchCritic(widths=(8, 8))
    optimizer = make_critic_optimizer(critic, 1e-2)
    true, painted = torch.randn(4, 3, 8, 8) + 1, torch.randn(4, 3, 8, 8) - 1
    for _ in range(15):
        loss, right = train_critic(critic, optimizer, true, painted)
    assert right > 0.9
    assert loss < 1.5
    assert adversarial_loss(critic(painted)) > adversarial_loss(critic(true))
    assert critic_loss(torch.tensor([2.0]), torch.tensor([-2.0])).item() == 0.0


def test_the_perceptual_loss_is_zero_for_equal_pictures_and_has_gradients() -> None:
    network = ColourClassifier(4, (8, 8, 8)).eval().requires_grad_(False)
    true = rgb_to_lab(torch.rand(2, 3, 32, 32))
    painted = true.clone().requires_grad_(True)
    assert perceptual_loss(network, painted, true).item() == 0.0
    grey = torch.cat([true[:, :1], torch.zeros_like(true[:, 1:])], dim=1).requires_grad_(True)
    loss = perceptual_loss(network, grey, true)
    loss.backward()
    assert loss.item() > 0
    assert grey.grad is not None
    assert grey.grad.abs().sum() > 0
    with pytest.raises(DependencyError, match="no VGG is called"):
        VggFeatures("vgg9000")


def test_recipes_survive_json_and_name_what_they_do_not_know() -> None:
    for recipe in RECIPES.values():
        again = recipe_from_json(recipe.to_json())
        assert again.phases == recipe.phases
    assert [phase.name for phase in STANDARD.only(["critic", "broad"]).phases] == ["broad", "critic"]
    with pytest.raises(UsageError, match="no phase 'x'"):
        STANDARD.only(["x"])
    for text in ("{", "[]", "{}", '{"phases": [{"name": "a", "lr": 1}]}', '{"phases": [{"name": "a", "kind": "x"}]}'):
        with pytest.raises(UsageError):
            recipe_from_json(text)
    for bad in ({"share": 0.0}, {"tiles": 0, "photos": 0}, {"photo_px": 100}):
        with pytest.raises(UsageError):
            Phase("p", **bad)
    with pytest.raises(UsageError, match="name of its own"):
        Recipe("r", (Phase("p"), Phase("p")))
    with pytest.raises(UsageError, match="loss weights"):
        LossWeights(ce=0.0)


def test_a_recipe_is_read_by_name_or_from_a_file(tmp_path: Path) -> None:
    assert read_recipe("standard") is STANDARD
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"phases": [{"name": "tune", "tiles": 0, "lr_from": 1e-4, "loss": {"l2": 1.0}}]}))
    recipe = read_recipe(str(file))
    assert recipe.phases[0].loss == LossWeights(l2=1.0)
    with pytest.raises(UsageError, match="no recipe is called"):
        read_recipe("nothing")


def test_the_learning_rate_warms_up_holds_and_falls() -> None:
    phase = Phase("p", lr_from=1e-3, lr_to=1e-5, hold=0.5, warmup_steps=10)
    assert phase.learning_rate(0, 0.0) == pytest.approx(1e-4)
    assert phase.learning_rate(50, 0.5) == pytest.approx(1e-3)
    assert phase.learning_rate(90, 1.0) == pytest.approx(1e-5)
    assert 1e-5 < phase.learning_rate(70, 0.75) < 1e-3


def test_the_score_rewards_neither_brown_nor_paint() -> None:
    good = [CurvePoint(1.0, 2.0, 0.4), CurvePoint(0.5, 1.0, 0.7), CurvePoint(0.3, 0.0, 0.9)]
    brown = [CurvePoint(1.0, 1.2, 0.1), CurvePoint(0.3, 1.0, 0.2)]
    paint = [CurvePoint(1.0, -2.0, 1.0), CurvePoint(0.3, -4.0, 1.5)]
    assert score_of(good) == pytest.approx(0.75)
    assert score_of(brown) == pytest.approx(1.0 - 5 * 0.55)
    assert score_of(paint) == pytest.approx(-2.0)


def test_validation_needs_one_readable_picture(photos: Photos) -> None:
    assert len(Validation(photos, 3).pictures) == 3
    assert all(side % 32 == 0 for picture in Validation(photos, 3).pictures for side in picture.shape[:2])
    rotten = Photos()
    rotten.add("bad", b"no picture")
    with pytest.raises(InputError):
        Validation(rotten)
    assert math.isfinite(score_of([CurvePoint(1.0, 0.0, 0.0)]))
