"""All sessions: a folder for each upload, from which nothing but its pictures and films is served, and the queues of the device.

All folders lie in one that only this user can read. They are deleted some time after the last work on them, all of them when the
server ends, and those of a server that was killed when the next one starts. Knows no page.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from deoldify_video.media.files import lock_file
from deoldify_video.web.film import FilmSession
from deoldify_video.web.limits import UNUSED_S, Limits
from deoldify_video.web.memory import MemoryBudget
from deoldify_video.web.photo import PhotoSession
from deoldify_video.web.queue import DeviceQueue
from deoldify_video.web.session import Session
from deoldify_video.web.uploads import Upload, UploadStore

_PREFIX = "deoldify-video-web-"
_SWEEP_S = 60.0


class SessionStore:
    """All that is kept; a context that ends all runs and tidies up. `uploads` is where files arrive."""

    def __init__(self, limits: Limits) -> None:
        _remove_abandoned()
        self.limits, self._memory = limits, MemoryBudget(limits.memory_bytes)
        self.root = Path(tempfile.mkdtemp(prefix=_PREFIX))  # mode 0700
        self._lock_file = lock_file(self.root / "lock")
        self.uploads = UploadStore(self.root / "uploads", UNUSED_S)
        self.queues = {kind: DeviceQueue(kind) for kind in ("photo", "film")}  # a photo does not wait for a film
        self._sessions: dict[str, Session] = {}
        self._by_tab: dict[str, Session] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._sweeper = threading.Thread(target=self._keep_sweeping, name="sweeper", daemon=True)

    def __enter__(self) -> SessionStore:
        self._sweeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        for queue in self.queues.values():
            queue.close()
        self._ended.set()
        self._sweeper.join()
        if self._lock_file is not None:
            self._lock_file.release()
        shutil.rmtree(self.root, ignore_errors=True)

    @contextlib.contextmanager
    def arriving(self, address: str, expected_bytes: int) -> Iterator[Upload]:
        """A place for a file of up to `expected_bytes` from a visitor at `address`. Raises `UsageError` where there is no room."""
        with self.uploads.arriving(address, expected_bytes) as upload:
            self.check_disk(address)
            yield upload

    def check_disk(self, address: str) -> None:
        """Raise `UsageError` where all files, or those of one visitor, take too much of the disk."""
        with self._lock:
            sessions = list(self._sessions.values())
        sizes = [*self.uploads.sizes(), *((session.address, _folder_bytes(session.folder)) for session in sessions)]
        self.limits.check_disk(sum(size for _, size in sizes), sum(size for owner, size in sizes if owner == address))

    def admit(self, upload: Path) -> Session:
        """Take a file that has arrived out of `uploads`.

        Raises `InputError` for what is no upload, and for what the limits refuse or cannot be read, which is deleted.
        """
        key = secrets.token_urlsafe(16)
        folder = self.root / key
        source = folder / "source" / upload.name  # apart, so that its name is none of ours
        source.parent.mkdir(parents=True)
        try:
            address = self.uploads.take(upload, source)
            with self._memory.lend(self.limits.reading_bytes(source)):
                info = self.limits.admit(source)
                make = PhotoSession if info.kind == "photo" else FilmSession
                session = make(key, folder, source, info, address, self.queues[info.kind], self._memory)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with self._lock:
            self._sessions[key] = session
        return session

    def open(self, tab: str, upload: Path) -> Session:
        """Admit what was dropped in a browser's tab, in the place of what that had before. Raises `InputError`."""
        if (old := self._by_tab.pop(tab, None)) is not None:
            self.forget(old)
        session = self.admit(upload)
        self._by_tab = {key: other for key, other in self._by_tab.items() if self.find(other.key)}
        self._by_tab[tab] = session
        return session

    def of_tab(self, tab: str) -> Session | None:
        """The session of a browser's tab, unless it was deleted."""
        session = self._by_tab.get(tab)
        return self.find(session.key) if session is not None else None

    def stop(self, tab: str) -> None:
        """End the run of a tab, because its visitor says so or has closed it; what they brought stays for its hour."""
        session = self.of_tab(tab)
        if session is not None and session.run is not None:
            session.run.stop()

    def find(self, key: str) -> Session | None:
        """The session with that address."""
        with self._lock:
            return self._sessions.get(key)

    def file(self, key: str, name: str) -> Path | None:
        """A file that may be served, or None."""
        session = self.find(key)
        if session is None or name not in session.shown:
            return None
        path = session.folder / name
        return path if path.is_file() else None

    def forget(self, session: Session) -> None:
        """Stop its run and delete all of it, at the latest when the run has ended."""
        if session.run is not None:
            session.run.stop()
        session.unwanted = True
        self.sweep()

    def sweep(self) -> None:
        """Delete what nobody has used for the time that it is kept."""
        now = time.monotonic()
        with self._lock:
            for session in self._sessions.values():
                session.used_at = now if session.busy else session.used_at
            old = [s for s in self._sessions.values() if not s.busy and (s.unwanted or now - s.used_at > self.limits.keep_s)]
            for session in old:
                del self._sessions[session.key]
        for session in old:
            shutil.rmtree(session.folder, ignore_errors=True)
        self.uploads.sweep()

    def _keep_sweeping(self) -> None:
        while not self._ended.wait(_SWEEP_S):
            self.sweep()


def _folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # work goes on there
            total += path.stat().st_size if path.is_file() else 0
    return total


def _remove_abandoned() -> None:
    """Folders of servers that are gone: their lock is free."""
    for root in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if not (root / "lock").exists():
                continue  # a server that is just starting
            if (lock := lock_file(root / "lock")) is not None:
                lock.release()
                shutil.rmtree(root, ignore_errors=True)
