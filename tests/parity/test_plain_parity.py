"""The networks against plain formulations of theirs, on small ones of the same build: proves parity without published fixtures."""

from __future__ import annotations

from pathlib import Path

import plain
import pytest
import torch
from torch import Tensor, nn

from deoldify_video.models import ddcolor, deoldify
from deoldify_video.models.ddcolor import DDColor, DDColorConfig, load_ddcolor
from deoldify_video.models.deoldify import Generator, GeneratorConfig, load_generator
from deoldify_video.models.zhang import Eccv16, Siggraph17, load_zhang

WIDE = GeneratorConfig(True, (2, 1, 2, 1), (24, 24, 16, 16), (24, 24, 16, 12), double=False, stem=8)
DEEP = GeneratorConfig(False, (1, 2, 1, 2), (16, 24, 24, 16), (32, 24, 24, 20), double=True, stem=8)
DDCOLOR = DDColorConfig((1, 2, 1, 2), (16, 24, 32, 48), (32, 24, 16))
LARGEST, MEAN = 1e-3, 1e-4  # of the answers' spread


def random(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=torch.Generator().manual_seed(4))


def published_file(network: nn.Module, path: Path, key: str | None = None) -> dict[str, Tensor]:
    """Have the network's tensors published in a file; gives them."""
    tensors = plain.make_published(network)
    torch.save(tensors if key is None else {key: tensors}, path)
    return tensors


def assert_same(answer: Tensor, expected: Tensor) -> None:
    """The answers are as good as equal, and neither is nothing: they differ from place to place."""
    spread = float(expected.std())
    assert spread > 0.01
    assert float((expected - expected.mean(dim=(2, 3), keepdim=True)).std()) > 0.1 * spread
    difference = (answer - expected).abs() / spread
    assert float(difference.max()) < LARGEST
    assert float(difference.mean()) < MEAN


@pytest.mark.parametrize(("name", "config"), [("wide", WIDE), ("deep", DEEP)])
@pytest.mark.parametrize("side", [64, 80], ids=["even", "odd"])
@torch.inference_mode()
def test_deoldify(tmp_path, monkeypatch, name, config, side):
    monkeypatch.setitem(deoldify.CONFIGS, name, config)
    tensors = published_file(Generator(config), tmp_path / "gen.pth", "model")
    last = "conv2" if config.double else "conv"
    assert [key for key in tensors if key.endswith("gamma")] == [f"layers.5.{last}.3.gamma"]  # attention, in one place
    picture = random(1, 3, side, side, low=-2, high=2)
    assert_same(load_generator(tmp_path / "gen.pth")(picture.clone()), plain.deoldify(tensors, picture))


@torch.inference_mode()
def test_ddcolor(tmp_path, monkeypatch):
    monkeypatch.setitem(ddcolor.CONFIGS, "tiny", DDCOLOR)
    tensors = published_file(DDColor(DDCOLOR), tmp_path / "pytorch_model.bin", "params")
    picture = random(2, 3, 64, 96)
    assert_same(load_ddcolor(tmp_path / "pytorch_model.bin")(picture.clone()), plain.ddcolor(tensors, picture))


@torch.inference_mode()
def test_eccv16(tmp_path):
    tensors = published_file(Eccv16(), tmp_path / "eccv16.pth")
    lightness = random(1, 1, 48, 64, high=100)
    assert_same(load_zhang(tmp_path / "eccv16.pth")(lightness.clone()), plain.eccv16(tensors, lightness))


@torch.inference_mode()
def test_siggraph17(tmp_path):
    tensors = published_file(Siggraph17(), tmp_path / "siggraph17.pth")
    lightness, ab = random(1, 1, 48, 64, high=100), random(1, 2, 48, 64, low=-60, high=60)
    mask = (random(1, 1, 48, 64) < 0.02).float()
    network = load_zhang(tmp_path / "siggraph17.pth")
    nothing = torch.zeros_like(mask)
    without = plain.siggraph17(tensors, lightness, 0 * ab, nothing)
    assert_same(network(lightness.clone()), without)
    hinted = plain.siggraph17(tensors, lightness, ab * mask, mask)
    assert float((hinted - without).abs().max()) > 1
    assert_same(network(lightness.clone(), ab * mask, mask), hinted)
