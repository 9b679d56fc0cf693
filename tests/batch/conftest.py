"""Archives to work on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from synth import make_film
from tree import make_photo, make_tree


@pytest.fixture(scope="session")
def whole_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of 60 items; read only."""
    return make_tree(tmp_path_factory.mktemp("archive") / "tree")


@pytest.fixture(scope="session")
def _small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small") / "reels"
    (root / "photos").mkdir(parents=True)
    make_film(root / "a.mkv", frames=40, audio=None, shots=2)
    make_film(root / "b.mp4", frames=26)
    for number in range(3):
        make_photo(root / "photos" / f"{number}.png", number)
    return root


@pytest.fixture
def archive(_small: Path, tmp_path: Path) -> Path:
    """Two films of some segments and three photos, to be changed at will."""
    return shutil.copytree(_small, tmp_path / "reels")
