"""Journals as they lie on a disk, to be read and changed from outside."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any


def entries_of(path: Path) -> list[Any]:
    """The entries of a journal: its fingerprint, and those of the finished segments."""
    return [json.loads(line[9:]) for line in path.read_bytes().splitlines()]


def write_entries(path: Path, entries: list[Any]) -> None:
    """Write a journal, every line with its checksum."""
    texts = [json.dumps(entry, sort_keys=True).encode() for entry in entries]
    path.write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(text), text) for text in texts))
