"""The training loop: it learns, it resumes to the last bit, it loses nothing when it is stopped or the disk is full."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from deoldify_video.errors import InputError, OutputError, UsageError
from deoldify_video.models.compact import load_compact
from deoldify_video.models.store import identify
from deoldify_video.models.weights import read_weights
from deoldify_video.training.checkpoint import export, load_initial, load_state
from deoldify_video.training.observer import Silent
from deoldify_video.training.pretrained import pretrained_encoder
from deoldify_video.training.recipe import ADVERSARIAL, CRITIC, SMALL, LossWeights, Phase, Recipe
from deoldify_video.training.session import TrainOptions
from deoldify_video.training.train import train

NETWORK = {"encoder": "lite0", "decoder": (16, 12, 12), "context": 16, "context_blocks": 1}
BATCH = {
    "sizes": (32,),
    "pixels": 4 * 32 * 32,
    "warmup_steps": 0,
    "encoder_rate": 1.0,
    "ema_decay": 0.9,
    "checks": 1,
    "lr_from": 3e-3,
    "lr_to": 3e-3,
}
RECIPE = Recipe("test", (Phase("broad", **BATCH),), NETWORK, imagenet=False)


class CrashError(Exception):
    """Stands for a kill."""


class CrashAt(Silent):
    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, phase, number, progress, losses, rate):
        if number > self.at:
            raise CrashError


class Record(Silent):
    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []
        self.said: list[str] = []

    def say(self, text):
        self.said.append(text)

    def step(self, phase, number, progress, losses, rate):
        self.losses.append(dict(losses))


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in which colour follows lightness: dark green below, bright blue above."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(12):
        picture = np.empty((48, 64, 3), np.uint8)
        horizon = int(rng.integers(16, 32))
        picture[:horizon], picture[horizon:] = (235, 190, 120), (30, 90, 20)  # BGR
        noise = rng.integers(-12, 12, picture.shape[:2])[..., None]
        cv2.imwrite(str(folder / f"{number:02d}.png"), np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8))
    return folder


def options(data: Path, run: Path, **more: object) -> TrainOptions:
    return replace(
        TrainOptions((data,), run, recipe=RECIPE, steps=6, device="cpu", sheet_minutes=1e6, log_every_steps=1), **more
    )


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    state = load_state(run / "state.pt")
    return {f"{part}.{key}": value for part in ("generator", "ema") for key, value in state[part].items()}


def test_a_killed_training_resumes_to_the_same_bits(data: Path, tmp_path: Path) -> None:
    train(options(data, tmp_path / "whole"))
    with pytest.raises(CrashError):
        train(options(data, tmp_path / "parts", save_minutes=0), CrashAt(3))
    assert load_state(tmp_path / "parts" / "state.pt")["counters"]["step"] == 3
    train(options(data, tmp_path / "parts", resume=True))
    whole, parts = weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_an_adversarial_training_resumes_to_the_same_bits(data: Path, tmp_path: Path) -> None:
    phases = (
        Phase("critic", CRITIC, **BATCH),
        Phase("adversarial", ADVERSARIAL, **{**BATCH, "keep": True, "checks": 2}, loss=LossWeights(adversarial=0.1)),
    )
    recipe = Recipe("gan", phases, NETWORK, imagenet=False)
    train(options(data, tmp_path / "whole", recipe=recipe, steps=8))
    for crash, resume in ((2, False), (6, True)):
        with pytest.raises(CrashError):
            train(options(data, tmp_path / "parts", recipe=recipe, steps=8, save_minutes=0, resume=resume), CrashAt(crash))
    train(options(data, tmp_path / "parts", recipe=recipe, steps=8, resume=True))
    whole, parts = weights_of(tmp_path / "whole"), weights_of(tmp_path / "parts")
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    kept = sorted(path.name for path in (tmp_path / "whole" / "checkpoints").iterdir())
    assert kept == ["adversarial-01.safetensors", "adversarial-02.safetensors"]


def test_training_lowers_the_loss_and_its_weights_load(data: Path, tmp_path: Path) -> None:
    view = Record()
    ended = train(options(data, tmp_path / "run", steps=100), view)
    first, last = (np.mean([loss["ce"] for loss in part]) for part in (view.losses[:5], view.losses[-5:]))
    assert last < 0.7 * first
    assert ended.step == 100
    assert ended.best_score is not None
    for name in ("best", "last"):
        network = load_compact(tmp_path / "run" / f"{name}.safetensors")
        assert network(torch.zeros(1, 1, 32, 32)).shape == (1, len(network.palette), 8, 8)
    _, metadata = read_weights(tmp_path / "run" / "best.safetensors")
    assert metadata["recipe"] == "test"
    assert len(list((tmp_path / "run" / "sheets").glob("*.png"))) == 1
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert any("score_db" in row for row in rows)
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


def test_every_phase_of_the_small_recipe_runs(data: Path, tmp_path: Path) -> None:
    view = Record()
    tiny = replace(SMALL, phases=tuple(replace(phase, sizes=(32,), pixels=2048) for phase in SMALL.phases))
    train(options(data, tmp_path / "run", recipe=tiny, steps=10), view)
    assert [line.split(": ")[1] for line in view.said if line.startswith("phase")] == [phase.name for phase in SMALL.phases]
    assert {"ce", "l2", "perceptual", "adversarial", "critic", "critic_right"} <= {
        name for loss in view.losses for name in loss
    }


def test_a_training_starts_from_imagenet_where_the_recipe_says_so(data: Path, tmp_path: Path) -> None:
    published = pretrained_encoder("lite0").state_dict()
    still = Phase("broad", **{**BATCH, "encoder_rate": 0.0})
    train(options(data, tmp_path / "run", recipe=Recipe("test", (still,), NETWORK), steps=1))
    state = load_state(tmp_path / "run" / "state.pt")["generator"]
    assert all(torch.equal(state[f"encoder.{key}"], value) for key, value in published.items())


def test_a_signal_finishes_the_step_and_saves(data: Path, tmp_path: Path) -> None:
    class Terminate(Silent):
        def step(self, phase, number, progress, losses, rate):
            if number == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        train(options(data, tmp_path / "run"), Terminate())
    assert load_state(tmp_path / "run" / "state.pt")["counters"]["step"] == 2


def test_a_full_disk_is_an_output_error_and_keeps_the_last_state(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(options(data, tmp_path / "run", steps=1))
    before = (tmp_path / "run" / "state.pt").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="cannot be written: the disk is full"):
        train(options(data, tmp_path / "run", steps=2, resume=True))
    assert (tmp_path / "run" / "state.pt").read_bytes() == before
    assert not list((tmp_path / "run").glob(".*.part*"))


def test_a_run_folder_is_never_overwritten_nor_resumed_from_nothing(data: Path, tmp_path: Path) -> None:
    train(options(data, tmp_path / "run", steps=1))
    with pytest.raises(OutputError, match="holds a training already"):
        train(options(data, tmp_path / "run", steps=1))
    with pytest.raises(InputError, match="nothing to resume"):
        train(options(data, tmp_path / "other", steps=1, resume=True))
    with pytest.raises(InputError, match="started with 11 photographs"):
        train(options(data, tmp_path / "run", val=(data,), steps=1, resume=True))
    (tmp_path / "run" / "state.pt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match="damaged"):
        train(options(data, tmp_path / "run", steps=1, resume=True))


def test_fine_tuning_starts_from_weights_a_state_or_a_run(data: Path, tmp_path: Path) -> None:
    train(options(data, tmp_path / "run", steps=2))
    state = load_state(tmp_path / "run" / "state.pt")["ema"]
    for source in (tmp_path / "run", tmp_path / "run" / "last.safetensors", tmp_path / "run" / "state.pt"):
        network = load_initial(source)
        assert torch.allclose(network.head.weight, state["head.weight"], atol=1e-3)
        assert any("running_mean" in name for name in network.state_dict())  # not folded: it can be trained on
    train(options(data, tmp_path / "tuned", steps=2, init=tmp_path / "run"))
    assert load_state(tmp_path / "tuned" / "state.pt")["config"]["context"] == NETWORK["context"]
    with pytest.raises(InputError, match="no run folder"):
        load_initial(tmp_path)


def test_export_writes_weights_and_a_card_that_says_what_they_are(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(options(data, run, steps=2))
    row = {"pictures": 3, "temperature": 0.6, "gain": 1.0, "psnr_db": 25.0, "grey_psnr_db": 24.0, "gain_db": 1.0}
    row |= {"ciede2000": 9.0, "grey_ciede2000": 11.0, "cf": 20.0, "true_cf": 30.0, "cf_ratio": 0.667}
    (run / "evaluation.json").write_text(json.dumps({"render_factor": 16, "mean": row}))
    (run / "notes.md").write_text("## Rights\n\nAll mine.\n")
    path = export(run, tmp_path / "mine.safetensors")
    assert identify(path).name == "compact"
    assert load_compact(path).config.decoder == NETWORK["decoder"]
    card = (tmp_path / "mine.md").read_text()
    for words in ("All mine.", "| 0.6 | 1 | 25.00 | +1.00 |", "2 steps", '"name": "broad"'):
        assert words in card
    assert json.loads((tmp_path / "mine.json").read_text())["evaluation"]["rows"] == [row]
    assert str(tmp_path) not in card
    with pytest.raises(UsageError, match="safetensors"):
        export(run, tmp_path / "mine.pth")
    with pytest.raises(InputError, match="no run folder"):
        export(tmp_path, tmp_path / "mine.safetensors")
    (run / "evaluation.json").write_text("[]")
    with pytest.raises(InputError, match="evaluate --json"):
        export(run, tmp_path / "mine.safetensors")


def test_the_budget_is_steps_or_minutes(data: Path, tmp_path: Path) -> None:
    for budget in ({"steps": None}, {"minutes": 1.0}, {"steps": 0}):
        with pytest.raises(UsageError, match="budget"):
            options(data, tmp_path, **budget)
