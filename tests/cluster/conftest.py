"""Fixtures of the cluster's tests."""

from __future__ import annotations

import pytest

from deoldify_video import pipeline
from deoldify_video.jobs import scan


@pytest.fixture
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of 8 to 12 frames, and stretches of hardly more, so that a film of two seconds has several."""
    monkeypatch.setattr(pipeline, "MIN_SEGMENT_FRAMES", 8)
    monkeypatch.setattr(pipeline, "MAX_SEGMENT_FRAMES", 12)
    monkeypatch.setattr(scan, "STRETCH_FRAMES", 10)
