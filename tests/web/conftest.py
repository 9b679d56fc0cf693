"""The page's parts without a browser: a queue, a place for uploads, and the stub network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deoldify_video.web.limits import Limits
from deoldify_video.web.queue import DeviceQueue, Run
from deoldify_video.web.session import Session
from deoldify_video.web.store import SessionStore

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionStore]:
    """Where sessions are kept, in a temporary folder of the test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with SessionStore(Limits()) as store:
        yield store


@pytest.fixture
def admit(store: SessionStore) -> Callable[..., Session]:
    """Upload a copy of a file and open a session of it."""

    def admit(path: Path, name: str | None = None) -> Session:
        with store.uploads.arriving() as upload:
            upload.file = Path(shutil.copy(path, upload.folder / (name or path.name)))
        return store.admit(upload.file)

    return admit


@pytest.fixture
def queue() -> Iterator[DeviceQueue]:
    """The device's queue; whatever is in it ends with the test."""
    queue = DeviceQueue("test")
    yield queue
    queue.close()


@pytest.fixture
def run() -> Run:
    """A run for work that is called without a queue."""
    return Run()
