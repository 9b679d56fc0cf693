"""Output files: whole or not there. Checks before the work, a sibling temporary file during it, a rename at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import av.error

from deoldify_video.errors import OutputError, UsageError

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
        raise UsageError(f"{output} is the input itself; choose another output.")
    if output.is_dir():
        raise OutputError(f"{output} is a folder; name a file in it.")
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists already; use --overwrite to replace it.")
    if not folder.is_dir():
        raise OutputError(f"there is no folder {folder}; create it first.")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"folder {folder} cannot be written to; choose another output.")


@contextmanager
def output_file(output: Path) -> Iterator[Path]:
    """A temporary path beside `output`; renamed to it when the block ends well, removed when it does not."""
    temporary = output.with_name(f".{output.stem}.{os.getpid()}.part{output.suffix}")
    try:
        yield temporary
        with output_errors(output):
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Translate PyAV's and the system's errors while writing `path` into `OutputError`."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"{path} cannot be written: {reason}.") from error


def lock_file(path: Path) -> IO[bytes] | None:
    """Open and lock `path` against other processes; None when another one holds it. The lock ends with the process."""
    file = path.open("ab")
    try:
        _try_lock(file)
    except OSError:
        file.close()
        return None
    return file
