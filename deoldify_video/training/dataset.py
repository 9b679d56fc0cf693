"""Reads a data set of colour photographs: tar shards of pictures, with class ids where the data has them.

A shard holds `KEY.webp` (or .jpg, .png) and, for labelled data, `KEY.cls` with the class id in decimal. A labelled picture of
512x512 is a sheet of 8x8 tiles of 64x64, all of that class. Pictures are decoded once, on first use, and kept.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

PICTURE_SUFFIXES = (".webp", ".jpg", ".jpeg", ".png")
TILE = 64  # side of a tile on a sheet, in pixels
TILES_A_SIDE = 8

Picture = NDArray[np.uint8]


@dataclass
class Photos:
    """Colour pictures held in memory: `pictures` are RGB uint8 (H, W, 3); `labels` has a class id each, or -1."""

    pictures: list[Picture] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pictures)

    def add(self, key: str, picture: Picture, label: int = -1) -> None:
        self.keys.append(key)
        self.pictures.append(picture)
        self.labels.append(label)


def decode_picture(data: bytes) -> Picture | None:
    """Decode a compressed picture to RGB uint8 (H, W, 3); None when it cannot be read."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def read_shards(paths: Iterable[Path]) -> tuple[Photos, Photos, list[str]]:
    """Read tar shards into (photos, tiles, unreadable member names). Photos keep their size, tiles are 64x64 and labelled."""
    photos, tiles, unreadable = Photos(), Photos(), []
    for path in paths:
        with tarfile.open(path) as shard:
            classes: dict[str, int] = {}
            sheets: list[tuple[str, Picture]] = []
            for member in shard:
                name = Path(member.name)
                file = shard.extractfile(member)
                if file is None:
                    continue
                if name.suffix == ".cls":
                    classes[name.stem] = int(file.read())
                elif name.suffix.lower() in PICTURE_SUFFIXES:
                    picture = decode_picture(file.read())
                    if picture is None:
                        unreadable.append(f"{path.name}:{member.name}")
                    else:
                        sheets.append((name.stem, picture))
        for key, picture in sheets:
            label = classes.get(key, -1)
            if label >= 0 and picture.shape[:2] == (TILE * TILES_A_SIDE, TILE * TILES_A_SIDE):
                for row in range(TILES_A_SIDE):
                    for column in range(TILES_A_SIDE):
                        tile = picture[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
                        tiles.add(f"{key}-{row}{column}", tile, label)
            else:
                photos.add(key, picture, label)
    return photos, tiles, unreadable


def random_crop(picture: Picture, size: int, rng: np.random.Generator, least: float) -> Picture:
    """A random square of `least` to 1 times the short side, scaled to (size, size, 3) and flipped half of the time."""
    height, width = picture.shape[:2]
    side = max(8, round(min(height, width) * rng.uniform(least, 1.0)))
    y, x = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    crop = picture[y : y + side, x : x + side]
    if side != size:
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)
    return crop[:, ::-1] if rng.random() < 0.5 else crop
