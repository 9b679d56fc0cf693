"""`--hints`: colours at points of a photo, for the networks that take them, and for nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from synth import make_film

from deoldify_video.models.weights import FOLDED_KEY, write_weights
from deoldify_video.models.zhang import Siggraph17


@pytest.fixture(scope="module")
def siggraph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("siggraph") / "siggraph17.safetensors"
    write_weights(path, Siggraph17().state_dict(), {FOLDED_KEY: "true"})
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), np.tile(np.linspace(40, 200, 96, dtype=np.uint8), (64, 1)))
    return path


@pytest.fixture
def hints(tmp_path: Path) -> Path:
    path = tmp_path / "hints.json"
    path.write_text(json.dumps([{"x": 30, "y": 30, "ab": [60, 40], "radius": 12}]))
    return path


def test_hints_change_a_photo(cli: Callable, siggraph: Path, photo: Path, hints: Path, tmp_path: Path) -> None:
    plain, hinted = tmp_path / "plain.png", tmp_path / "hinted.png"
    assert cli("colorize", photo, "-o", plain, "--model", siggraph, "-r", 7).code == 0
    assert cli("colorize", photo, "-o", hinted, "--model", siggraph, "-r", 7, "--hints", hints).code == 0
    assert not np.array_equal(cv2.imread(str(plain)), cv2.imread(str(hinted)))


def test_hints_need_a_network_that_takes_them(
    cli: Callable, photo: Path, hints: Path, tmp_path: Path, stub_spec: object
) -> None:
    outcome = cli("colorize", photo, "-o", tmp_path / "out.png", "--hints", hints)
    assert outcome.code == 2
    assert "siggraph17" in outcome.err


def test_hints_for_a_film_are_refused(cli: Callable, hints: Path, tmp_path: Path, stub_spec: object) -> None:
    film = make_film(tmp_path / "film.mp4", frames=3)
    outcome = cli("colorize", film, "-o", tmp_path / "out.mp4", "--hints", hints)
    assert outcome.code == 2
    assert "photos" in outcome.err
