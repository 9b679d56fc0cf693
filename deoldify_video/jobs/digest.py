"""Hashes by which files are known again."""

from __future__ import annotations

import hashlib
from pathlib import Path

_CHUNK_BYTES = 1 << 20
_END_BYTES = 1 << 20  # of each end of a file


def digest_of(path: Path) -> str:
    """A hash of a whole file, "" where there is none."""
    if not path.is_file():
        return ""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def file_hash(path: Path, size: int) -> str:
    """A hash of a file's size and both ends: enough to tell most files apart without reading all of a film."""
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        digest.update(file.read(_END_BYTES))
        file.seek(max(file.tell(), size - _END_BYTES))
        digest.update(file.read(_END_BYTES))
    return digest.hexdigest()
