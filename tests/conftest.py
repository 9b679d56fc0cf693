"""Fixtures for all tests: a network that costs nothing, and the one that ships."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deoldify_video.color.style import Style
from deoldify_video.models.base import ModelSpec
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.models.registry import MODELS
from deoldify_video.options import ColorOptions

# Rooms whose tests start processes that need the machine for themselves: a cluster, workers that are killed, a browser. They run one
# after the other on one of pytest-xdist's workers, and first, because they take longest; elsewhere a file stays together.
PROCESSES = ("executors", "batch", "web")


def room_of(place: Path | str) -> str:
    """The room of a test's path, or of its id, which begins with its path."""
    return Path(place).parts[Path(place).parts.index("tests") + 1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: room_of(item.nodeid) not in PROCESSES)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Say which tests stay together on one worker."""
    from xdist.scheduler import LoadScopeScheduling

    class RoomScheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "processes" if room_of(nodeid) in PROCESSES else nodeid.partition("::")[0]

    return RoomScheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The pictures are tiny, and tests run beside each other; nor do results depend on how threads divide the work."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_config(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own configuration out of the tests."""
    for name in [name for name in os.environ if name.startswith("DEOLDIFY_VIDEO_")]:
        monkeypatch.delenv(name)
    empty = tmp_path_factory.getbasetemp() / "no-config.toml"
    empty.touch()  # a file that is named but not there is an error
    monkeypatch.setenv("DEOLDIFY_VIDEO_CONFIG", str(empty))


class StubNetwork(nn.Module):
    """Paints every picture alike: green to magenta from left to right, blue to yellow from top to bottom."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.batches: list[int] = []  # sizes of the batches seen

    def prepare(self, gray: Tensor) -> Tensor:
        return gray

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        return x[:, :, :1, :1]

    def to_ab(self, raw: Tensor, temperature: float = 1.0) -> Tensor:
        ramp = torch.linspace(-30.0, 30.0, 4)
        ab = torch.stack(torch.meshgrid(ramp, ramp, indexing="xy"))  # (2, 4, 4)
        return ab.expand(len(raw), -1, -1, -1)


@pytest.fixture
def stub_spec(tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    """Puts the stub in the place of the default network, for everything that runs in this process."""
    weights: Path = tmp_path_factory.mktemp("stub") / "stub.safetensors"
    weights.write_bytes(b"stub")
    spec = replace(
        MODELS["compact"],
        load=lambda path: StubNetwork().eval(),
        weights=str(weights),
        film_render_factor=7,
        photo_render_factor=7,
        half_on_cpu=False,
        styles={"natural": Style(), "vibrant": Style(gain=1.3), "muted": Style(gain=0.6)},
    )
    monkeypatch.setitem(MODELS, "compact", spec)
    return spec


@pytest.fixture
def stub_colorizer(stub_spec: ModelSpec) -> Colorizer:
    """A real `Colorizer` around the stub network."""
    return Colorizer(ColorOptions(device="cpu"))


@pytest.fixture(scope="session")
def real_colorizer() -> Colorizer:
    """The network that ships, on the CPU; read only."""
    return Colorizer(ColorOptions(device="cpu"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a disk of so many bytes, or one that cannot be written; skips the test where only another user could."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size_bytes: int = 10**6, *, read_only: bool = False) -> Path:
        options = f"size={size_bytes}" + (",ro" if read_only else "")
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no disk can be mounted here: {error}")
        return folder

    yield mount
    subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)
