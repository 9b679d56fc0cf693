"""Fixtures of the fault tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fork_server import ForkServer

from deoldify_video.film import pipeline


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Where children are made that may be killed."""
    with ForkServer() as running:
        yield running


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of 8 to 12 frames, so that a film of two seconds has several, some of them in mid-shot."""
    monkeypatch.setattr(pipeline, "MIN_SEGMENT_FRAMES", 8)
    monkeypatch.setattr(pipeline, "MAX_SEGMENT_FRAMES", 12)
