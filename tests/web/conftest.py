"""The page's parts without a browser: a queue, a place for uploads, and the stub network."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deoldify_video.web.jobs import Job, JobQueue
from deoldify_video.web.limits import Limits
from deoldify_video.web.visits import Visit, Visits

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture
def visits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visits]:
    """Where uploads go, in a temporary folder of the test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Visits(Limits()) as visits:
        yield visits


@pytest.fixture
def arrive(visits: Visits) -> Callable[[Path], Visit]:
    """Have a copy of a file uploaded."""

    def arrive(path: Path, name: str | None = None) -> Visit:
        with visits.uploads.arriving() as arrival:
            arrival.file = Path(shutil.copy(path, arrival.folder / (name or path.name)))
        return visits.admit(arrival.file)

    return arrive


@pytest.fixture
def queue() -> Iterator[JobQueue]:
    """The device's queue; whatever is in it ends with the test."""
    queue = JobQueue()
    yield queue
    queue.close()


@pytest.fixture
def job() -> Job:
    """A job for work that is called without a queue."""
    return Job()
