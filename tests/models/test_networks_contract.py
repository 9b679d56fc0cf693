"""One contract for every registered network: what the colorizer asks of it, checked on seeded random weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from deoldify_video.errors import DependencyError
from deoldify_video.models.base import ColorNetwork
from deoldify_video.models.compact import Compact, CompactConfig
from deoldify_video.models.ddcolor import DDColor, DDColorConfig
from deoldify_video.models.deoldify import Generator, GeneratorConfig
from deoldify_video.models.registry import MODELS, find_model
from deoldify_video.models.zhang import Eccv16, Siggraph17

# The published shapes are the parity tests' business; here the networks are of the same build, but narrow.
WIDE = GeneratorConfig(True, (1, 1, 1, 1), (32, 32, 32, 16), (32, 32, 32, 16), double=False, stem=4)
DEEP = GeneratorConfig(False, (1, 1, 1, 1), (16, 24, 24, 16), (48, 48, 32, 24), double=True, stem=16)
DDCOLOR = DDColorConfig((1, 1, 1, 1), (16, 24, 32, 48), (32, 32, 256))
BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "compact": lambda: Compact(CompactConfig("lite0", (32, 16, 16), 32, 1)),
    "deoldify-video": lambda: Generator(WIDE),
    "deoldify-stable": lambda: Generator(WIDE),
    "deoldify-artistic": lambda: Generator(DEEP),
    "ddcolor-large": lambda: DDColor(DDCOLOR),
    "ddcolor-artistic": lambda: DDColor(DDCOLOR),
    "ddcolor-paper": lambda: DDColor(DDCOLOR),
    "ddcolor-tiny": lambda: DDColor(DDCOLOR),
    "eccv16": Eccv16,
    "siggraph17": Siggraph17,
}
HEADS = {Compact: "head", DDColor: "refine_net.0.0", Eccv16: "model_out", Siggraph17: "model_out.0", Generator: "layers.11.0"}
# Entries that differ in their weights alone stand for each other in what follows.
KINDS = ["compact", "deoldify-video", "deoldify-artistic", "ddcolor-tiny", "eccv16", "siggraph17"]
FILMS = [(640, 480), (1920, 816), (359, 641)]  # (width, height)
AB_RANGE = 220.0
USUAL_AB = 20.0  # root mean square of a colour picture's a and b
MAX_BF16_DRIFT = 3.0  # Lab units, root mean square
SIDE = 64  # px, where the size does not matter


@cache
def build(name: str) -> nn.Module:
    """A network whose answers are as strong as real colours: random weights alone would answer with grey."""
    torch.manual_seed(7)
    network = BUILDERS[name]().eval().requires_grad_(False)
    for key, value in network.state_dict().items():
        if key.endswith("gamma"):
            value.fill_(0.5)  # attention and residual branches start switched off; the contract is about all of them
        elif value.dim() > 1 and "palette" not in key:
            value.normal_(0, (2 / value[0].numel()) ** 0.5)
    head = network.get_submodule(HEADS[type(network)])
    network_ab = cast(ColorNetwork, network)
    for _ in range(4):  # not every answer is linear in the head's weights
        ab = network_ab.to_ab(network_ab(network_ab.prepare(noise(1))), 1.0)
        cast(Tensor, head.weight).mul_((USUAL_AB / ab.square().mean().sqrt()).clamp(0.1, 10))
    return network


def noise(batch: int) -> Tensor:
    """Grey pictures (batch, 1, SIDE, SIDE) in [0, 1]."""
    return torch.rand(batch, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(3))


def run(name: str, gray: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """ab as the colorizer asks for it."""
    module = build(name)
    network = cast(ColorNetwork, module)
    module.to(dtype)
    try:
        with torch.inference_mode():
            return network.to_ab(network(network.prepare(gray).to(dtype)), 1.0)
    finally:
        module.to(torch.float32)


def picture(name: str, film: tuple[int, int], render_factor: int) -> Tensor:
    width, height = MODELS[name].render_size(*film, render_factor)
    return torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(render_factor))


def test_every_registered_network_is_under_contract() -> None:
    assert BUILDERS.keys() == MODELS.keys()


@pytest.mark.parametrize("name", MODELS)
def test_the_entry_is_complete(name: str) -> None:
    spec = MODELS[name]
    assert spec.license
    assert spec.title
    assert spec.mark[0]
    assert spec.styles.keys() == {"natural", "vibrant", "muted"}
    assert (spec.weights is None) != (spec.published is None)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("film", FILMS)
def test_sizes_are_multiples_of_the_stride_and_near_the_render_factor(name: str, film: tuple[int, int]) -> None:
    spec = MODELS[name]
    for render_factor in (7, 21, 64):
        width, height = spec.render_size(*film, render_factor)
        assert width % spec.stride == height % spec.stride == 0
        assert width * height == pytest.approx((16 * render_factor) ** 2, rel=0.6)
        assert not spec.square or width == height


@pytest.mark.parametrize("name", KINDS)
def test_ab_has_two_planes_of_plausible_size_and_range(name: str) -> None:
    gray = picture(name, FILMS[1], 7)
    ab = run(name, gray)
    assert ab.dtype == torch.float32
    assert ab.shape[:2] == (1, 2)
    for side, full in zip(ab.shape[2:], gray.shape[2:], strict=True):
        assert full % side == 0
        assert side >= full // 4
    assert torch.isfinite(ab).all()
    assert ab.abs().max() < AB_RANGE


@pytest.mark.parametrize("name", KINDS)
def test_a_batch_of_five_is_five_batches_of_one(name: str) -> None:
    gray = noise(5)
    together = run(name, gray)
    apart = torch.cat([run(name, one[None]) for one in gray])
    assert torch.allclose(together, apart, atol=0.02)


@pytest.mark.parametrize("name", KINDS)
def test_bf16_drifts_little(name: str, record_property: Callable[[str, object], None]) -> None:
    gray = noise(1)
    exact, rough = run(name, gray), run(name, gray, torch.bfloat16)
    drift = float((exact - rough).square().mean().sqrt())
    record_property("bf16_drift_ab", round(drift, 3))
    print(f"{name}: bf16 differs from fp32 by {drift:.3f} ab units (rms)")
    assert drift < MAX_BF16_DRIFT


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_flat_frames_give_finite_and_calm_colors(name: str, level: float) -> None:
    gray = torch.full_like(noise(1), level)
    ab = run(name, gray)
    assert torch.isfinite(ab).all()
    assert ab.mean(dim=(2, 3)).norm() < 60


@pytest.mark.parametrize("name", ["deoldify-video", "deoldify-artistic"])
def test_odd_render_factors_work(name: str) -> None:
    for render_factor in (9, 11):
        gray = picture(name, FILMS[0], render_factor)
        assert run(name, gray).shape[2:] == gray.shape[2:] == (16 * render_factor, 16 * render_factor)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(DependencyError, match="siggraph17"):
        find_model("deoldfy")
