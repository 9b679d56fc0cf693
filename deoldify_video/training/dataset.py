"""Reads a data set of colour photographs: tar shards of `KEY.webp` (or .jpg, .png), and plain folders.

Pictures stay compressed until they are used. Sheets of labelled thumbnails (`KEY.cls` beside the picture) are left out: they are
too small to learn colours from.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video.errors import InputError

PICTURE_SUFFIXES = (".webp", ".jpg", ".jpeg", ".png")
MAX_PICTURE_PIXELS = 64_000_000

Picture = NDArray[np.uint8]


@dataclass
class Photos:
    """Colour pictures, RGB uint8 (H, W, 3) or still compressed (bytes, or a file's path), and a key each."""

    pictures: list[Picture | bytes | Path] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pictures)

    def add(self, key: str, picture: Picture | bytes | Path) -> None:
        """Append a picture."""
        self.keys.append(key)
        self.pictures.append(picture)

    def picture(self, index: int) -> Picture | None:
        """Picture `index` decoded, RGB uint8 (H, W, 3); None when it cannot be read. Safe to call from several threads."""
        stored = self.pictures[index]
        if isinstance(stored, np.ndarray):
            return stored
        try:
            return decode_picture(stored.read_bytes() if isinstance(stored, Path) else stored)
        except OSError:
            return None


def decode_picture(data: bytes) -> Picture | None:
    """Decode a compressed picture to RGB uint8 (H, W, 3); None when it cannot be read."""
    if not data:
        return None
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # more pixels than OpenCV is willing to decode
        return None
    if bgr is None or bgr.shape[0] * bgr.shape[1] > MAX_PICTURE_PIXELS:
        return None
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def find_sources(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """(tar shards, picture files) under `paths`, sorted; a path is a file or a folder, searched through.

    Raises `InputError` for a path that does not exist or that holds neither.
    """
    shards: list[Path] = []
    pictures: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputError(f"there is no file or folder {path}.")
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        found_shards = [p for p in files if p.suffix.lower() == ".tar"]
        found_pictures = [p for p in files if p.suffix.lower() in PICTURE_SUFFIXES]
        if not found_shards and not found_pictures:
            raise InputError(f"{path} holds no pictures ({', '.join(PICTURE_SUFFIXES)}) and no .tar shards.")
        shards += found_shards
        pictures += found_pictures
    return shards, pictures


def read_data(paths: Iterable[Path]) -> Photos:
    """Read shards and folders; nothing is decoded yet.

    Raises `InputError` when a path is missing, a shard is damaged, or there is no picture.
    """
    shards, files = find_sources(paths)
    photos = Photos()
    for shard in shards:
        for name, data in read_shard(shard):
            photos.add(Path(name).stem, data)
    for file in files:
        photos.add(file.stem, file)
    if not photos:
        raise InputError(f"there is no picture in {', '.join(str(p) for p in shards)}.")
    return photos


def read_shard(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, compressed picture) of a shard's members, in its order. Raises `InputError` where the shard is damaged."""
    try:
        with tarfile.open(path) as shard:
            members = [member for member in shard if member.isfile()]
            sheets = {Path(member.name).stem for member in members if member.name.endswith(".cls")}
            for member in members:
                name, file = Path(member.name), shard.extractfile(member)
                if file is not None and name.suffix.lower() in PICTURE_SUFFIXES and name.stem not in sheets:
                    yield member.name, file.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"the shard {path} is damaged or cannot be read: {error}; build it anew.") from error
