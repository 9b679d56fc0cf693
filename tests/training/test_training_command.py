"""`train` as a program: killed at any moment, it goes on."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import typer
from rich.console import Console
from typer.testing import CliRunner

from deoldify_video.cli.commands import dataset, train
from deoldify_video.errors import UsageError
from deoldify_video.training import observer as observer_module
from deoldify_video.training.checkpoint import load_state
from deoldify_video.training.observer import RichObserver

RECIPE = """{"network": {"encoder": "lite0", "decoder": [16, 12, 12], "context": 16, "context_blocks": 1}, "imagenet": false,
"phases": [{"name": "broad", "sizes": [32], "pixels": 2048, "checks": 1}]}"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(small, (64, 48), interpolation=cv2.INTER_CUBIC))
    (folder / "recipe.json").write_text(RECIPE)
    return folder


def arguments(data: Path, *more: object) -> list[str]:
    fixed = ["train", data, "-o", data.parent / "run", "--recipe", data / "recipe.json", "--device", "cpu", "--threads", 1]
    return [str(argument) for argument in (*fixed, *more)]


def test_a_training_killed_without_warning_goes_on(data: Path) -> None:
    state = data.parent / "run" / "state.pt"
    command = [sys.executable, "-c", "from deoldify_video.cli.app import main; main()"]
    with subprocess.Popen(
        [*command, *arguments(data, "--steps", 100000, "--save-minutes", 0)], stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while not state.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGKILL)
    done = load_state(state)["counters"]["step"]
    assert done >= 1
    threads = torch.get_num_threads()
    app = typer.Typer()
    dataset.register(app)
    train.register(app)
    result = CliRunner().invoke(app, arguments(data, "--steps", done + 2, "--resume"))
    torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output
    assert load_state(state)["counters"]["step"] == done + 2
    assert "weights in" in result.stderr


def test_options_that_cannot_work_are_named(data: Path) -> None:
    app = typer.Typer()
    dataset.register(app)
    train.register(app)
    for more, words in (([], "budget"), (["--steps", 1, "--phases", "x"], "no phase 'x'")):
        error = CliRunner().invoke(app, arguments(data, *more)).exception
        assert isinstance(error, UsageError)
        assert words in str(error)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_view_shows_progress_on_a_terminal_and_lines_elsewhere(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer_module, "LINE_EVERY_S", -1.0)
    text = io.StringIO()
    with RichObserver(Console(file=text, force_terminal=terminal, width=120)) as view:
        view.say("hello")
        view.step("broad", 7, 0.5, {"ce": 2.0}, 100.0)
    shown = text.getvalue()
    assert "hello" in shown
    assert "broad" in shown
    assert "ce 2.000" in shown
    assert ("\x1b[" in shown) is terminal
