"""Output files: whole or not there. Checks before the work, a sibling temporary file during it, a rename at the end.

And hashes by which files are known again.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from deoldify_video.errors import OutputError, UsageError

_END_BYTES = 1 << 20  # of each end of a file
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, no quota, no larger file allowed


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

    It lies beside the output, or in `folder`, a work folder on the same disk that is tidied up even after a kill. An error that names
    it names `output` instead.
    """
    temporary = (folder or output.parent) / f".{output.stem}.{secrets.token_hex(4)}.part{output.suffix}"
    try:
        yield temporary
        with output_errors(output):
            put_in_place(temporary, output)
    except OutputError as error:
        if error.path == temporary:
            error.path = output
        raise
    finally:
        with contextlib.suppress(OSError):  # the cause, which is on its way, matters more than a leftover
            temporary.unlink(missing_ok=True)


def write_file(path: Path, data: bytes | memoryview) -> None:
    """Write a file that one process at a time writes: it holds the old content or the new, never a part. Makes its folder.

    Raises `OutputError`.
    """
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        with output_file(path) as temporary:
            temporary.write_bytes(data)


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a finished file; on return both its bytes and its name are on the disk. Raises `OSError`."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def remove_leftovers(output: Path) -> None:
    """Remove the temporary files that killed writers of `output` have left."""
    for stray in output.parent.glob(f".{glob.escape(output.stem)}.*.part{glob.escape(output.suffix)}"):
        with contextlib.suppress(OSError):
            stray.unlink()


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
    import av.error  # late: commands that write nothing start without it

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


def lock_file(path: Path) -> BaseFileLock | None:
    """Lock `path` against other processes; None when another one holds it. The lock ends with `release()`, or with the process."""
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock


def hash_file(path: Path, algorithm: str = "") -> str:
    """The hexadecimal hash of a whole file, "" where there is none; by default BLAKE2b of 128 bits, else one of hashlib's names."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm or _blake2b).hexdigest()


def _blake2b(start: bytes = b"") -> hashlib.blake2b:
    return hashlib.blake2b(start, digest_size=16)


def hash_file_ends(path: Path, size: int) -> str:
    """A hash of a file's size and both ends: enough to tell most files apart without reading all of a film."""
    digest = _blake2b(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_END_BYTES))
        file.seek(max(file.tell(), size - _END_BYTES))
        digest.update(file.read(_END_BYTES))
    return digest.hexdigest()
