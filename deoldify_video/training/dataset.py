"""Reads a data set of colour photographs: tar shards of pictures (with class ids where the data has them) and plain folders.

A shard holds `KEY.webp` (or .jpg, .png) and, for labelled data, `KEY.cls` with the class id in decimal. A labelled picture of
512x512 is a sheet of 8x8 tiles of 64x64, all of that class. Tiles are decoded at once; photographs stay compressed until they
are first used, and are kept decoded as far as `DECODED_BUDGET_BYTES` reaches.
"""

from __future__ import annotations

import tarfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video.errors import InputError

PICTURE_SUFFIXES = (".webp", ".jpg", ".jpeg", ".png")
TILE = 64  # side of a tile on a sheet, in pixels
TILES_A_SIDE = 8
DECODED_BUDGET_BYTES = 3 << 30  # photographs kept decoded; beyond it they are decoded anew at each use
MAX_PICTURE_PIXELS = 64_000_000

Picture = NDArray[np.uint8]


@dataclass
class Photos:
    """Colour pictures, RGB uint8 (H, W, 3) or still compressed (bytes, or a file's path); `labels`: a class id each, or -1."""

    pictures: list[Picture | bytes | Path] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    decoded_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __len__(self) -> int:
        return len(self.pictures)

    def add(self, key: str, picture: Picture | bytes | Path, label: int = -1) -> None:
        """Append a picture."""
        self.keys.append(key)
        self.pictures.append(picture)
        self.labels.append(label)

    def picture(self, index: int) -> Picture | None:
        """Picture `index` decoded, RGB uint8 (H, W, 3); None when it cannot be read. Safe to call from several threads."""
        stored = self.pictures[index]
        if isinstance(stored, np.ndarray):
            return stored
        try:
            picture = decode_picture(stored.read_bytes() if isinstance(stored, Path) else stored)
        except OSError:
            return None
        if picture is not None:
            with self._lock:
                if self.decoded_bytes + picture.nbytes <= DECODED_BUDGET_BYTES:
                    self.decoded_bytes += picture.nbytes
                    self.pictures[index] = picture
        return picture


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


def read_data(paths: Iterable[Path]) -> tuple[Photos, Photos, list[str]]:
    """Read shards and folders into (photos, labelled tiles, names of unreadable members).

    Raises `InputError` when a path is missing, a shard is damaged, or nothing readable is left.
    """
    shards, files = find_sources(paths)
    photos, tiles, unreadable = read_shards(shards)
    for file in files:
        photos.add(file.stem, file)
    if not photos and not tiles:
        raise InputError(f"there is no readable picture in {', '.join(str(p) for p in shards)}.")
    return photos, tiles, unreadable


def read_shards(paths: Iterable[Path]) -> tuple[Photos, Photos, list[str]]:
    """Read tar shards into (photos, labelled 64x64 tiles, names of unreadable members); photos stay compressed."""
    photos, tiles, unreadable = Photos(), Photos(), []
    for path in paths:
        for key, data, label in _members(path):
            if label < 0:
                photos.add(key, data)
                continue
            picture = decode_picture(data)
            if picture is None:
                unreadable.append(f"{path.name}:{key}")
            elif picture.shape[:2] == (TILE * TILES_A_SIDE, TILE * TILES_A_SIDE):
                _cut_sheet(tiles, key, picture, label)
            else:
                photos.add(key, picture, label)
    return photos, tiles, unreadable


def _members(path: Path) -> list[tuple[str, bytes, int]]:
    """(key, compressed picture, class id or -1) of a shard's members, in its order."""
    classes: dict[str, int] = {}
    pictures: list[tuple[str, bytes]] = []
    try:
        with tarfile.open(path) as shard:
            for member in shard:
                file = shard.extractfile(member)
                if file is None:
                    continue
                name = Path(member.name)
                if name.suffix == ".cls":
                    classes[name.stem] = int(file.read())
                elif name.suffix.lower() in PICTURE_SUFFIXES:
                    pictures.append((name.stem, file.read()))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(f"the shard {path} is damaged or cannot be read: {error}; build it anew.") from error
    except ValueError as error:
        raise InputError(f"the shard {path} has a class id that is no number: {error}.") from error
    return [(key, data, classes.get(key, -1)) for key, data in pictures]


def _cut_sheet(tiles: Photos, key: str, sheet: Picture, label: int) -> None:
    for row in range(TILES_A_SIDE):
        for column in range(TILES_A_SIDE):
            tile = sheet[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
            tiles.add(f"{key}-{row}{column}", tile, label)


def random_crop(picture: Picture, size: int, rng: np.random.Generator, least: float) -> Picture:
    """A random square of `least` to 1 times the short side, scaled to (size, size, 3) and flipped half of the time."""
    height, width = picture.shape[:2]
    side = min(height, width, max(8, round(min(height, width) * rng.uniform(least, 1.0))))
    y, x = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    crop = picture[y : y + side, x : x + side]
    if side != size:
        interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
        crop = cv2.resize(crop, (size, size), interpolation=interpolation).astype(np.uint8, copy=False)
    return crop[:, ::-1] if rng.random() < 0.5 else crop
