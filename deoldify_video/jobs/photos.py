"""Many photos: those that the network sees at one size go through it together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deoldify_video.errors import DeoldifyVideoError
from deoldify_video.jobs.photo import network_view, spread_colours
from deoldify_video.media.output import check_output, output_file
from deoldify_video.media.still import photo_format, read_photo, write_photo
from deoldify_video.models.colorizer import CPU_BATCH, MAX_BATCH, Colorizer
from deoldify_video.options import FilmOptions
from deoldify_video.report import Report

_HELD_BYTES = 1 << 29  # of photos that wait for others of their size


class OpenPhoto:
    """A photo on its way: opening it makes `grey`, what the network is to see, uint8 (h, w); `finish` takes the network's answer.

    Raises the errors of `deoldify_video.errors`.
    """

    def __init__(self, source: Path, output: Path, options: FilmOptions, colorizer: Colorizer) -> None:
        self._source, self._output, self._colorizer = source, output, colorizer
        began = time.monotonic()
        self._photo = read_photo(source)
        check_output(source, output, overwrite=options.encode.overwrite)
        photo_format(output)
        height, width = self._photo.light.shape
        self._factor = options.color.render_factor or colorizer.spec.photo_render_factor
        self.grey = network_view(self._photo.light, colorizer.spec.render_size(width, height, self._factor))
        self._seconds = time.monotonic() - began

    @property
    def held_bytes(self) -> int:
        """What the photo takes in memory while it is open."""
        return self._photo.light.nbytes + (0 if self._photo.alpha is None else self._photo.alpha.nbytes)

    def finish(self, ab: NDArray[np.float32], network_s: float) -> Report:
        """Write the photo in the colours `ab`, float32 (2, h, w) in Lab units, which took the network `network_s`."""
        began = time.monotonic()
        with output_file(self._output) as temporary:
            write_photo(temporary, self._photo, spread_colours(self._photo.light, self.grey, ab))
        seconds = self._seconds + network_s + time.monotonic() - began
        colorizer = self._colorizer
        return Report(
            source=str(self._source),
            output=str(self._output),
            kind="photo",
            frames=1,
            shots=1,
            seconds=seconds,
            fps=1 / seconds,
            model=colorizer.spec.name,
            device=str(colorizer.device),
            precision=colorizer.precision,
            render_factor=self._factor,
            render_size=(self.grey.shape[1], self.grey.shape[0]),
            warnings=["the photo has colours already; they were replaced."] if self._photo.colourful else [],
        )


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
