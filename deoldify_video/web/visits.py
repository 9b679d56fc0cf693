"""What visitors brought and what was made of it: a folder for each upload, from which nothing but its pictures and films is served.

All folders lie in one that only this user can read. They are deleted an hour after the last work on them, all of them when the
server ends, and those of a server that was killed when the next one starts.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from deoldify_video.media.files import lock_file
from deoldify_video.media.probe import MediaInfo
from deoldify_video.web.jobs import Job
from deoldify_video.web.limits import KEEP_S, Limits
from deoldify_video.web.uploads import Uploads

_PREFIX = "deoldify-video-web-"
_SWEEP_S = 60.0


@dataclass(eq=False)
class Visit:
    """An upload.

    `key` is its secret address, `folder` where all of it lies, `source` the uploaded file, `shown` the names of files that may be
    served, `used` the time.monotonic() of the last work on it; `unwanted` says that its visitor is done with it.
    """

    key: str
    folder: Path
    source: Path
    info: MediaInfo
    job: Job | None = None
    used: float = field(default_factory=time.monotonic)
    unwanted: bool = False
    shown: set[str] = field(default_factory=set)

    @property
    def busy(self) -> bool:
        """Whether a job is waiting or running for it."""
        return self.job is not None and not self.job.ended

    def show(self, path: Path) -> str:
        """Let a file of the folder be served; returns its address."""
        self.shown.add(path.name)
        return f"/visit/{self.key}/{path.name}"


class Visits:
    """All that is kept; a context that tidies up. `uploads` is where files arrive."""

    def __init__(self, limits: Limits, keep_s: float = KEEP_S) -> None:
        _remove_abandoned()
        self.limits, self._keep_s = limits, keep_s
        self.root = Path(tempfile.mkdtemp(prefix=_PREFIX))  # mode 0700
        self._lock_file = lock_file(self.root / "lock")
        self.uploads = Uploads(self.root / "uploads", keep_s)
        self._visits: dict[str, Visit] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._sweeper = threading.Thread(target=self._keep_sweeping, name="sweeper", daemon=True)

    def __enter__(self) -> Visits:
        self._sweeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._sweeper.join()
        if self._lock_file is not None:
            self._lock_file.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def admit(self, upload: Path) -> Visit:
        """Take a file that has arrived out of `uploads`.

        Raises `InputError` for what is no upload, and for what the limits refuse, which is deleted.
        """
        key = secrets.token_urlsafe(16)
        folder = self.root / key
        source = folder / "source" / upload.name  # apart, so that its name is none of ours
        source.parent.mkdir(parents=True)
        try:
            self.uploads.take(upload, source)
            visit = Visit(key, folder, source, self.limits.admit(source))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with self._lock:
            self._visits[key] = visit
        return visit

    def find(self, key: str) -> Visit | None:
        """The upload with that address."""
        with self._lock:
            return self._visits.get(key)

    def file(self, key: str, name: str) -> Path | None:
        """A file that may be served, or None."""
        visit = self.find(key)
        if visit is None or name not in visit.shown:
            return None
        path = visit.folder / name
        return path if path.is_file() else None

    def forget(self, visit: Visit) -> None:
        """Stop its job and delete all of it, at the latest when the job has ended."""
        if visit.job is not None:
            visit.job.stop()
        visit.unwanted = True
        self.sweep()

    def sweep(self) -> None:
        """Delete what nobody has used for the time that it is kept."""
        now = time.monotonic()
        with self._lock:
            for visit in self._visits.values():
                visit.used = now if visit.busy else visit.used
            old = [v for v in self._visits.values() if not v.busy and (v.unwanted or now - v.used > self._keep_s)]
            for visit in old:
                del self._visits[visit.key]
        for visit in old:
            shutil.rmtree(visit.folder, ignore_errors=True)
        self.uploads.sweep()

    def _keep_sweeping(self) -> None:
        while not self._ended.wait(_SWEEP_S):
            self.sweep()


def _remove_abandoned() -> None:
    """Folders of servers that are gone: their lock is free."""
    for root in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if not (root / "lock").exists():
                continue  # a server that is just starting
            if (lock := lock_file(root / "lock")) is not None:
                lock.close()
                shutil.rmtree(root, ignore_errors=True)
