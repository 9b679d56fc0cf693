"""Files that have arrived and wait to be coloured. Who brought one holds its key, and can name it by nothing else."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deoldify_video.errors import InputError, UsageError
from deoldify_video.web.limits import MAX_UPLOADS_PER_ADDRESS

NO_UPLOAD = "There is no such upload here; drop the file again."


@dataclass
class Upload:
    """An upload: its secret `key`, the `folder` of its own, the `address` that it comes from and the bytes that it will have at most,
    and the `file` in the folder, None while that is on its way.
    """

    key: str
    folder: Path
    address: str
    expected_bytes: int
    file: Path | None = None


class UploadStore:
    """The folder `root` of all that arrives, each file in a folder of its own, so that equal files do not meet."""

    def __init__(self, root: Path, keep_s: float) -> None:
        self.root, self._keep_s = root, keep_s
        self._lock = threading.Lock()
        self._uploads: dict[str, Upload] = {}
        root.mkdir()

    @contextlib.contextmanager
    def arriving(self, address: str = "", expected_bytes: int = 0) -> Iterator[Upload]:
        """A place for one file to arrive at; it is deleted where the block fails. Raises `UsageError` for one too many."""
        key = secrets.token_urlsafe(16)
        upload = Upload(key, self.root / key, address, expected_bytes)
        with self._lock:
            if sum(other.address == address for other in self._uploads.values()) >= MAX_UPLOADS_PER_ADDRESS:
                raise UsageError("too many files of yours are on their way at once; wait until one is read.")
            self._uploads[key] = upload
        try:
            upload.folder.mkdir()
            yield upload
            if upload.file is not None:
                upload.expected_bytes = upload.file.stat().st_size
        except BaseException:
            self._forget(key)
            raise

    def find(self, key: object) -> Path | None:
        """The file that was handed out under `key`, whatever a stranger gives as one; None where there is none."""
        with self._lock:
            upload = self._uploads.get(key) if isinstance(key, str) else None
        return upload.file if upload is not None and _is_safe(upload) else None

    def take(self, file: Path, target: Path) -> str:
        """Move an upload to `target`; this can be done once. Returns the address that it came from.

        Raises `InputError` where `file` is none of them.
        """
        with self._lock:
            found = next((upload for upload in self._uploads.values() if upload.file == file), None)
            if found is None or not _is_safe(found):
                raise InputError(NO_UPLOAD)
            file.replace(target)
        self._forget(found.key)
        return found.address

    def sizes(self) -> list[tuple[str, int]]:
        """Of each upload, where it comes from and the bytes that it has or may come to."""
        with self._lock:
            return [(upload.address, upload.expected_bytes) for upload in self._uploads.values()]

    def sweep(self) -> None:
        """Delete what nobody has asked to be coloured for the time that uploads are kept, but not what is still arriving."""
        with self._lock:
            arriving = {key for key, upload in self._uploads.items() if upload.file is None}
        for path in list(self.root.iterdir()):
            with contextlib.suppress(OSError):
                if path.name not in arriving and time.time() - path.lstat().st_mtime > self._keep_s:
                    self._forget(path.name)
                    path.unlink(missing_ok=True)  # of gradio's empty files

    def _forget(self, key: str) -> None:
        with self._lock:
            self._uploads.pop(key, None)
        shutil.rmtree(self.root / key, ignore_errors=True)


def _is_safe(upload: Upload) -> bool:
    """Whether the file is there, regular, and by no link outside the upload's folder."""
    if upload.file is None:
        return False
    try:
        regular = stat.S_ISREG(upload.file.lstat().st_mode)
        return regular and upload.file.resolve().is_relative_to(upload.folder.parent.resolve() / upload.key)
    except OSError:
        return False
