"""Targets, losses, batches and recipes of the training."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deoldify_video.color.gray import gray_of
from deoldify_video.color.lab import rgb_to_lab
from deoldify_video.errors import DependencyError, InputError, UsageError
from deoldify_video.models.compact import Compact, CompactConfig, gamut_palette
from deoldify_video.models.efficientnet_lite import EfficientNetLite
from deoldify_video.training.batches import PictureStore, decode_all, make_batch
from deoldify_video.training.critic import PatchCritic, adversarial_loss, critic_loss, make_critic_optimizer, train_critic
from deoldify_video.training.dataset import Photos
from deoldify_video.training.degrade import FAULTS, age, film_gray
from deoldify_video.training.losses import PaletteTargets, palette_frequencies, palette_losses, rebalancing
from deoldify_video.training.perceptual import EncoderFeatures, perceptual_loss
from deoldify_video.training.priors import draw_prior
from deoldify_video.training.recipe import NOGAN, RECIPES, STANDARD, LossWeights, Phase, Recipe, read_recipe, recipe_from_json
from deoldify_video.training.steps import MOST_SKIPPED, Tools, run_step
from deoldify_video.training.validate import CurvePoint, Validation, score_of

STEP = 12.0
PALETTE = gamut_palette(STEP)
CPU = torch.device("cpu")
PHASE = Phase("p", sizes=(32, 64), pixels=4 * 32 * 32)


pytestmark = pytest.mark.usefixtures("one_thread")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def photos() -> Photos:
    rng = np.random.default_rng(0)
    photos = Photos()
    for number in range(6):
        small = rng.integers(0, 256, (6, 8 + number, 3), dtype=np.uint8)
        photos.add(f"p{number}", np.kron(small, np.ones((10, 10, 1), np.uint8)))
    return photos


@pytest.fixture(scope="module")
def store(photos: Photos) -> PictureStore:
    return PictureStore(decode_all(photos, pytest.fail), CPU)


def test_grey_has_the_lightness_of_the_colour() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    gray = torch.from_numpy(gray_of(rgb))[None, None].expand(1, 3, -1, -1).double()
    color = rgb_to_lab(torch.from_numpy(rgb).permute(2, 0, 1)[None].double() / 255)
    assert torch.allclose(rgb_to_lab(gray)[:, 0], color[:, 0], atol=2e-3)


def test_soft_targets_average_to_the_true_colour_inside_the_gamut() -> None:
    rgb = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    ab = rgb_to_lab(rgb)[:, 1:]
    indices, weights = PaletteTargets(PALETTE, STEP)(ab)
    assert torch.allclose(weights.sum(dim=1), torch.ones(len(weights)), atol=1e-5)
    mean = (PALETTE[indices] * weights[..., None]).sum(dim=1)
    assert torch.allclose(mean, ab.permute(0, 2, 3, 1).reshape(-1, 2), atol=1e-3)


def test_targets_outside_the_palette_go_to_its_nearest_colours() -> None:
    far = torch.tensor([-140.0, 140.0]).reshape(1, 2, 1, 1)
    indices, weights = PaletteTargets(PALETTE, STEP)(far)
    assert torch.isfinite(weights).all()
    assert (indices >= 0).all()
    assert (indices < len(PALETTE)).all()


def test_the_cross_entropy_is_least_at_the_targets_and_l1_there_is_zero() -> None:
    ab = torch.tensor([24.0, -36.0]).reshape(1, 2, 1, 1)
    targets = PaletteTargets(PALETTE, STEP)
    right = (ab.flatten() == PALETTE).all(dim=1).nonzero().item()
    good, bad = torch.zeros(1, len(PALETTE), 1, 1), torch.zeros(1, len(PALETTE), 1, 1)
    good[0, right], bad[0, 0] = 50.0, 50.0
    weights = torch.ones(len(PALETTE))
    found = palette_losses(good, ab, targets, weights, mean_loss=True)
    assert found["ce"].item() == pytest.approx(0.0, abs=1e-5)
    assert found["l1"].item() == pytest.approx(0.0, abs=1e-4)
    assert palette_losses(bad, ab, targets, weights, mean_loss=False).keys() == {"ce"}
    assert palette_losses(bad, ab, targets, weights, mean_loss=True)["l2"].item() > 1.0


def test_rebalancing_lifts_rare_colours_and_keeps_the_mean_weight(store: PictureStore) -> None:
    found = palette_frequencies(PaletteTargets(PALETTE, STEP), store, seed=3, pictures=100)
    assert found.sum().item() == pytest.approx(1.0, abs=1e-5)
    weights = rebalancing(found, 0.5)
    assert (found * weights).sum().item() == pytest.approx(1.0, abs=1e-5)
    assert weights[found.argmin()] > weights[found.argmax()]
    assert torch.allclose(rebalancing(found, 0.0), torch.ones_like(found), atol=1e-5)


def test_batches_follow_from_seed_and_step_alone(store: PictureStore) -> None:
    made = [make_batch(store, PHASE, 7, step) for step in range(8)]
    for step, batch in enumerate(made):
        again = make_batch(store, PHASE, 7, step)
        assert torch.equal(batch.lab, again.lab)
        assert torch.equal(batch.gray, again.gray)
    assert not torch.equal(made[0].lab[0, :, 0, 0], made[1].lab[0, :, 0, 0])
    assert {batch.lab.shape[-1] for batch in made} == {32, 64}
    assert all(batch.lab[:, :1].shape == batch.gray.shape for batch in made)
    assert {batch.prior is None for batch in made} == {True, False}


def test_a_crop_of_everything_is_the_picture_or_its_mirror_image() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (192, 192, 3), dtype=np.uint8)
    crops = PictureStore([picture, picture], CPU).crops(8, 192, 1.0, generator(3))
    truth = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
    errors = [[(crop - seen).abs().mean().item() for seen in (truth, truth.flip(2))] for crop in crops]
    whole = [row for row in errors if min(row) < 0.02]  # the others are a little narrower or lower
    assert whole
    assert {row.index(min(row)) for row in errors} == {0, 1}


def test_pictures_of_different_sizes_never_mix() -> None:
    pictures = [np.full((40 + 8 * n, 64 - 4 * n, 3), 20 * n, np.uint8) for n in range(8)]
    crops = PictureStore(pictures, CPU).crops(64, 32, 0.4, generator())
    assert torch.allclose(crops.amax(dim=(1, 2, 3)), crops.amin(dim=(1, 2, 3)))
    assert len(crops[:, 0, 0, 0].unique()) > 4


def test_an_unreadable_picture_is_named_and_a_rotten_set_is_an_error(photos: Photos) -> None:
    mixed = Photos()
    for number in range(4):
        mixed.add(f"bad{number}", b"no picture")
        mixed.add(f"good{number}", photos.pictures[number])
    named: list[str] = []
    assert len(decode_all(mixed, named.append)) == 4
    assert named == ["bad0", "bad1", "bad2", "bad3"]
    rotten = Photos()
    rotten.add("bad", b"no picture")
    with pytest.raises(InputError, match="none of the pictures can be read"):
        decode_all(rotten, named.append)


@pytest.mark.parametrize("fault", [fault for fault, _ in FAULTS], ids=lambda fault: fault.__name__)
def test_every_fault_keeps_shape_and_range_and_changes_something(fault) -> None:
    pictures = torch.linspace(0, 1, 3 * 48 * 60).reshape(3, 1, 48, 60)
    before = pictures.clone()
    changed = False
    for seed in range(5):
        out = fault(pictures, generator(seed))
        assert out.shape == pictures.shape
        assert torch.isfinite(out).all()
        assert out.min() >= -1e-5
        assert out.max() <= 1 + 1e-5
        changed |= not torch.allclose(out, pictures, atol=1e-3)
    assert changed
    assert torch.equal(pictures, before)


def test_only_a_share_of_the_pictures_is_aged() -> None:
    pictures = torch.rand(200, 1, 16, 16, generator=generator())
    out = age(pictures, generator(1), share=0.5)
    same = (out == pictures).flatten(1).all(dim=1).float().mean().item()
    assert 0.4 < same < 0.75
    assert torch.equal(age(pictures, generator(1), share=0.0), pictures)


def test_a_film_stock_without_red_shows_skin_dark_and_sky_bright() -> None:
    skin, sky = (0.85, 0.6, 0.5), (0.4, 0.6, 0.9)
    rgb = torch.tensor([skin, sky])[:, :, None, None].expand(2, 3, 8, 8)
    plain = film_gray(rgb, generator(), stocks=0.0)
    lab = rgb_to_lab(plain.expand(-1, 3, -1, -1))
    assert torch.allclose(lab[:, 0], rgb_to_lab(rgb)[:, 0], atol=2e-2)
    drawn = torch.stack([film_gray(rgb, generator(seed), stocks=1.0) for seed in range(50)])[:, :, 0, 0, 0]
    ratio = drawn[:, 0] / drawn[:, 1]
    assert ratio.min() < 0.75 * plain[0, 0, 0, 0] / plain[1, 0, 0, 0]  # some stocks see hardly any red


def test_priors_are_true_where_they_are_sure_and_nothing_elsewhere() -> None:
    ab = torch.rand(400, 2, 16, 16, generator=generator(2)).mul(80).sub(40)
    prior = draw_prior(ab, generator(5))
    colors, sure = prior[:, :2], prior[:, 2:]
    assert prior.shape == (400, 3, 16, 16)
    assert 0 <= sure.min() <= sure.max() <= 1
    assert (colors[(sure == 0).expand_as(colors)] == 0).all()
    certain = (sure == 1).expand_as(colors)
    assert certain.any()
    assert torch.equal(colors[certain], ab[certain])
    covered = (sure > 0).flatten(1).float().mean(dim=1)
    assert (covered == 0).any()  # nothing known
    assert ((covered > 0) & (covered < 0.1)).any()  # points
    assert (covered > 0.5).any()  # another frame


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
    torch.manual_seed(0)
    features = EncoderFeatures(EfficientNetLite("lite0", planes=3))
    true = rgb_to_lab(torch.rand(2, 3, 64, 64))
    assert perceptual_loss(features, true.clone(), true).item() == 0.0
    gray = torch.cat([true[:, :1], torch.zeros_like(true[:, 1:])], dim=1).requires_grad_(True)
    loss = perceptual_loss(features, gray, true)
    loss.backward()
    assert loss.item() > 0
    assert gray.grad is not None
    assert gray.grad.abs().sum() > 0


def test_a_step_without_finite_gradients_changes_no_weight_and_many_end_the_training(store: PictureStore) -> None:
    torch.manual_seed(0)
    network = Compact(CompactConfig("lite0", (16, 16, 16), 16, 1))
    targets = PaletteTargets(network.palette, network.config.palette_step)
    tools = Tools(CPU, False, network, targets, torch.ones(len(network.palette)))
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    batch = make_batch(store, PHASE, 0, 0)
    before = network.head.weight.clone()
    broken = replace(batch, gray=torch.full_like(batch.gray, math.nan))
    losses = run_step(PHASE, tools, broken, optimizer, None)
    assert torch.equal(network.head.weight, before)
    assert all(torch.isfinite(value) for value in losses.values())
    run_step(PHASE, tools, batch, optimizer, None)
    assert not torch.equal(network.head.weight, before)
    tools.skipped = MOST_SKIPPED
    with pytest.raises(DependencyError, match="not finite"):
        run_step(PHASE, tools, broken, optimizer, None)


def test_recipes_survive_json_and_name_what_they_do_not_know() -> None:
    for recipe in RECIPES.values():
        again = recipe_from_json(recipe.to_json())
        assert again.phases == recipe.phases
    assert [phase.name for phase in NOGAN.only(["critic", "broad"]).phases] == ["broad", "critic"]
    with pytest.raises(UsageError, match="no phase 'x'"):
        STANDARD.only(["x"])
    for text in ("{", "[]", "{}", '{"phases": [{"name": "a", "lr": 1}]}', '{"phases": [{"name": "a", "kind": "x"}]}'):
        with pytest.raises(UsageError):
            recipe_from_json(text)
    for bad in ({"share": 0.0}, {"pixels": 0}, {"sizes": (100,)}, {"sizes": ()}):
        with pytest.raises(UsageError):
            Phase("p", **bad)
    with pytest.raises(UsageError, match="name of its own"):
        Recipe("r", (Phase("p"), Phase("p")))
    with pytest.raises(UsageError, match="loss weights"):
        LossWeights(ce=0.0, l2=0.0)


def test_a_recipe_is_read_by_name_or_from_a_file(tmp_path: Path) -> None:
    assert read_recipe("standard") is STANDARD
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"phases": [{"name": "tune", "sizes": [64], "lr_from": 1e-4, "loss": {"l2": 1.0}}]}))
    recipe = read_recipe(str(file))
    assert recipe.phases[0].loss == LossWeights(l2=1.0)
    assert recipe.phases[0].sizes == (64,)
    with pytest.raises(UsageError, match="no recipe is called"):
        read_recipe("nothing")


def test_the_learning_rate_warms_up_holds_and_falls() -> None:
    phase = Phase("p", lr_from=1e-3, lr_to=1e-5, hold=0.5, warmup_steps=10)
    assert phase.learning_rate(0, 0.0) == pytest.approx(1e-4)
    assert phase.learning_rate(50, 0.5) == pytest.approx(1e-3)
    assert phase.learning_rate(90, 1.0) == pytest.approx(1e-5)
    assert 1e-5 < phase.learning_rate(70, 0.75) < 1e-3


def test_the_score_rewards_neither_brown_nor_paint() -> None:
    good = [CurvePoint(0.6, 1.0, 2.0, 0.41), CurvePoint(0.6, 1.5, 1.0, 0.71), CurvePoint(0.6, 2.0, 0.0, 0.91)]
    worse = [CurvePoint(1.0, 1.0, 1.0, 0.41), CurvePoint(1.0, 2.0, -1.0, 0.91)]
    brown = [CurvePoint(1.0, 1.0, 1.2, 0.1), CurvePoint(1.0, 2.0, 1.0, 0.2)]
    paint = [CurvePoint(1.0, 1.0, -2.0, 1.0), CurvePoint(1.0, 2.0, -4.0, 1.5)]
    assert score_of(good) == pytest.approx(0.75)
    assert score_of(good + worse) == pytest.approx(0.75)
    assert score_of(brown) == pytest.approx(1.0 - 5 * 0.56)
    assert score_of(paint) == pytest.approx(-2.0)


def test_validation_needs_one_readable_picture(photos: Photos) -> None:
    assert len(Validation(photos, 3).pictures) == 3
    assert all(side % 32 == 0 for picture in Validation(photos, 3).pictures for side in picture.shape[:2])
    rotten = Photos()
    rotten.add("bad", b"no picture")
    with pytest.raises(InputError):
        Validation(rotten)
    assert math.isfinite(score_of([CurvePoint(1.0, 1.0, 0.0, 0.0)]))
