"""Many photos: those that the network sees at one size go through it together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from deoldify_video.errors import DeoldifyVideoError
from deoldify_video.jobs.photo import OpenPhoto
from deoldify_video.models.colorizer import CPU_BATCH, MAX_BATCH, Colorizer
from deoldify_video.options import FilmOptions
from deoldify_video.report import Report

_HELD_BYTES = 1 << 29  # of photos that wait for others of their size


def colorize_photos(
    jobs: Sequence[tuple[Path, Path, FilmOptions]],
    colorizer: Colorizer,
    *,
    on_start: Callable[[int], None] = lambda number: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, Report | DeoldifyVideoError]]:
    """Colorize the photos `jobs`: source, output, options of each. One that fails does not hinder the others.

    Yields the number of a job and what came of it, in the order in which they are finished. `on_start` gets the number of a job when
    it is begun. Those that are not begun when `should_stop` says so are left out.
    """
    at_once = colorizer.batch_size or (CPU_BATCH if colorizer.device.type == "cpu" else MAX_BATCH)
    waiting: dict[tuple[int, ...], list[tuple[int, OpenPhoto]]] = {}
    for number, (source, output, options) in enumerate(jobs):
        if should_stop():
            break
        on_start(number)
        try:
            opened = OpenPhoto(source, output, options, colorizer)
        except DeoldifyVideoError as error:
            yield number, error
            continue
        group = waiting.setdefault(opened.grey.shape, [])
        group.append((number, opened))
        held = sum(photo.held_bytes for photos in waiting.values() for _, photo in photos)
        if len(group) >= at_once:
            yield from _finish(waiting.pop(opened.grey.shape), colorizer)
        elif held > _HELD_BYTES:
            for shape in list(waiting):
                yield from _finish(waiting.pop(shape), colorizer)
    for group in waiting.values():
        yield from _finish(group, colorizer)


def _finish(group: list[tuple[int, OpenPhoto]], colorizer: Colorizer) -> Iterator[tuple[int, Report | DeoldifyVideoError]]:
    began = time.monotonic()
    try:
        planes = colorizer.ab(np.stack([photo.grey for _, photo in group]))  # (B, 2, h, w)
    except DeoldifyVideoError as error:
        yield from ((number, error) for number, _ in group)
        return
    network_s = (time.monotonic() - began) / len(group)
    for (number, photo), ab in zip(group, planes, strict=True):
        try:
            yield number, photo.finish(ab, network_s)
        except DeoldifyVideoError as error:
            yield number, error
