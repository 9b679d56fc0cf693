"""Output files: whole or not there. Checks before the work, a sibling temporary file during it, a rename at the end.

And hashes by which files are known again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import av.error

from deoldify_video.errors import OutputError, UsageError

_CHUNK_BYTES = 1 << 20
_END_BYTES = 1 << 20  # of each end of a file
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, no quota, no larger file allowed

if os.name == "nt":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def check_output(source: Path, output: Path, *, overwrite: bool) -> None:
    """Refuse an output that is the input (`UsageError`), exists, or lies where nothing can be written (`OutputError`)."""
    folder = output.parent
    if output.exists() and source.exists() and output.samefile(source):
        raise UsageError("is the input itself", path=output, remedy="choose another output")
    if output.is_dir():
        raise OutputError("is a folder", path=output, remedy="name a file in it")
    if output.exists() and not overwrite:
        raise OutputError("exists already", path=output, remedy="use --overwrite to replace it")
    if not folder.is_dir():
        raise OutputError("does not exist", path=folder, remedy="create it first")
    if not os.access(folder, os.W_OK):
        raise OutputError("cannot be written to", path=folder, remedy="choose another output")


@contextmanager
def output_file(output: Path, folder: Path | None = None) -> Iterator[Path]:
    """A temporary path; renamed to `output` when the block ends well, removed when it does not.

    It lies beside the output, or in `folder`, a work folder on the same disk that is tidied up even after a kill.
    """
    temporary = (folder or output.parent) / f".{output.stem}.{os.getpid()}.part{output.suffix}"
    try:
        yield temporary
        with output_errors(output):
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(output)
            sync_folder(output.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have a rename in `folder` on the disk, where the system offers that: a power cut then does not undo it."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):  # some network disks cannot; the rename stands all the same
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Translate PyAV's and the system's errors while writing `path` into `OutputError`."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        if getattr(error, "errno", None) in DISK_FULL:
            raise OutputError(
                "cannot be written: the disk is full",
                path=path,
                remedy="free some, and the same command goes on with what is done",
            ) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"cannot be written: {reason}", path=path) from error


def lock_file(path: Path) -> IO[bytes] | None:
    """Open and lock `path` against other processes; None when another one holds it. The lock ends with the process."""
    file = path.open("ab")
    try:
        _try_lock(file)
    except OSError:
        file.close()
        return None
    return file


def hash_file(path: Path) -> str:
    """A hash of a whole file, "" where there is none."""
    if not path.is_file():
        return ""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def hash_file_ends(path: Path, size: int) -> str:
    """A hash of a file's size and both ends: enough to tell most files apart without reading all of a film."""
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        digest.update(file.read(_END_BYTES))
        file.seek(max(file.tell(), size - _END_BYTES))
        digest.update(file.read(_END_BYTES))
    return digest.hexdigest()
