"""Fixtures of the cluster's tests."""

from __future__ import annotations

import pytest
import short


@pytest.fixture
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of 8 to 12 frames, and stretches of hardly more."""
    for path, frames in short.LENGTHS.items():
        monkeypatch.setattr(f"deoldify_video.{path}", frames)
