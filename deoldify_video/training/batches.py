"""Batches whose content depends on (seed, step) alone, made ahead of time by a few threads.

That is what makes a resumed training see exactly what an uninterrupted one would have seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deoldify_video.color.gray import gray_of as grey_of
from deoldify_video.errors import InputError
from deoldify_video.training.dataset import TILE, Photos, random_crop
from deoldify_video.training.degrade import age
from deoldify_video.training.recipe import Phase

AHEAD = 3  # batches in the making or waiting, for each worker
_TILE_LEAST_CROP = 0.8
_TRIES = 50  # neighbours looked at when a picture cannot be read


@dataclass(frozen=True)
class Batch:
    """`rgb` uint8 (B, 3, H, W): the true colours; `grey` float32 (B, 1, H, W) in [0, 1], sRGB-encoded: what the network sees
    (aged on some pictures); `labels` int64 (B): class ids, or -1.
    """

    rgb: Tensor
    grey: Tensor
    labels: Tensor


def make_batch(photos: Photos, count: int, size: int, rng: np.random.Generator, *, least_crop: float, aged: float) -> Batch:
    """Draw `count` random crops of `size` by `size`, a share of them (`aged`, 0..1) made to look like old film.

    Raises `InputError` when too many pictures in a row cannot be read.
    """
    crops, labels = [], []
    for drawn in rng.integers(0, len(photos), count):
        picture, index = _readable(photos, int(drawn))
        crops.append(random_crop(picture, size, rng, least_crop))
        labels.append(photos.labels[index])
    rgb = np.stack(crops)  # (B, H, W, 3)
    grey = grey_of(rgb)
    for k in range(count):
        if rng.random() < aged:
            grey[k] = age(grey[k], rng)
    return Batch(
        torch.from_numpy(rgb).permute(0, 3, 1, 2),
        torch.from_numpy(grey)[:, None],
        torch.tensor(labels, dtype=torch.int64),
    )


def _readable(photos: Photos, index: int) -> tuple[NDArray[np.uint8], int]:
    """Picture `index`, or the next one that can be read: always the same, so that a resumed run stays exact."""
    for step in range(min(len(photos), _TRIES)):
        at = (index + step) % len(photos)
        picture = photos.picture(at)
        if picture is not None and min(picture.shape[:2]) >= 8:
            return picture, at
    raise InputError(f"{photos.keys[index]} and the pictures after it cannot be read; run `dataset build` on the data first.")


def batches_of(phase: Phase, photos: Photos, tiles: Photos, seed: int, step: int) -> list[Batch]:
    """The batches of one step: labelled tiles and photographs, whichever the phase asks for and the data has."""
    batches = []
    if phase.tiles and len(tiles):
        rng = np.random.default_rng((seed, step, 0))
        batches.append(make_batch(tiles, phase.tiles, TILE, rng, least_crop=_TILE_LEAST_CROP, aged=phase.age))
    if phase.photos and len(photos):
        rng = np.random.default_rng((seed, step, 1))
        batches.append(make_batch(photos, phase.photos, phase.photo_px, rng, least_crop=phase.least_crop, aged=phase.age))
    if not batches:
        raise InputError(f"phase {phase.name!r} finds no pictures: it asks for tiles only, and the data has none with labels.")
    return batches


class Feeder:
    """Iterates over the batches of steps `start`, `start + 1`, ... made ahead by `workers` threads. A context manager."""

    def __init__(self, phase: Phase, photos: Photos, tiles: Photos, *, seed: int, start: int, workers: int = 1) -> None:
        self._arguments = (phase, photos, tiles, seed)
        self._next = start
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="batches")
        self._waiting: deque[Future[list[Batch]]] = deque()
        for _ in range(AHEAD * workers):
            self._submit()

    def _submit(self) -> None:
        self._waiting.append(self._pool.submit(batches_of, *self._arguments, self._next))
        self._next += 1

    def __enter__(self) -> Feeder:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __iter__(self) -> Iterator[list[Batch]]:
        return self

    def __next__(self) -> list[Batch]:
        batches = self._waiting.popleft().result()
        self._submit()
        return batches
