"""Photos, one or many: the same network, and the same rule that the light of the picture is kept.

Of many, those that the network sees at one size go through it together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video.color.hints import read_hints
from deoldify_video.color.upsample import guided_upsample_in_bands
from deoldify_video.color.yuv import ab_to_chroma
from deoldify_video.errors import DeoldifyVideoError
from deoldify_video.images.photo_io import PHOTO_MATRIX, read_photo, write_photo
from deoldify_video.media.files import check_output, output_file
from deoldify_video.media.formats import photo_format
from deoldify_video.models.colorizer import CPU_BATCH, MAX_BATCH, Colorizer
from deoldify_video.options import AUTO, FilmOptions
from deoldify_video.preview.auto_render_factor import choose_photo_factor
from deoldify_video.report import Report

_HELD_BYTES = 1 << 29  # of photos that wait for others of their size


def colorize_photo(
    source: Path | str, output: Path | str, options: FilmOptions | None = None, *, colorizer: Colorizer | None = None
) -> Report:
    """Colorize the photo `source` into `output`, whose ending names the format. Raises the errors of `deoldify_video.errors`."""
    opened = OpenPhoto(Path(source), Path(output), options or FilmOptions(), colorizer)
    began = time.monotonic()
    ab = opened.colorizer.ab(opened.gray[None])[0]
    return opened.finish(ab, time.monotonic() - began)


class OpenPhoto:
    """A photo on its way: opening it makes `gray`, what the network is to see, uint8 (h, w); `finish` takes its answer.

    `colorizer` is what is to answer: the one that is given, told the photo's colour hints, or else one made from the options.

    Raises the errors of `deoldify_video.errors`.
    """

    def __init__(self, source: Path, output: Path, options: FilmOptions, colorizer: Colorizer | None = None) -> None:
        self._source, self._output = source, output
        began = time.monotonic()
        self._photo = read_photo(source)
        check_output(source, output, overwrite=options.encode.overwrite)
        photo_format(output)
        colorizer = colorizer or Colorizer(options.color)
        height, width = self._photo.light.shape
        if options.color.hints is not None:
            colorizer = colorizer.with_hints(read_hints(options.color.hints, width, height))
        self.colorizer = colorizer
        factor = options.color.render_factor
        self._notes: list[str] = []
        if factor == AUTO:
            factor, reason = choose_photo_factor(self._photo.light, colorizer)
            self._notes.append(reason)
        self._factor = colorizer.spec.render_factor("photo", factor)
        self.gray = network_view(self._photo.light, colorizer.spec.render_size(width, height, self._factor))
        self._seconds = time.monotonic() - began

    @property
    def held_bytes(self) -> int:
        """Bytes that the photo takes in memory while it is open."""
        return self._photo.light.nbytes + (0 if self._photo.alpha is None else self._photo.alpha.nbytes)

    def finish(self, ab: NDArray[np.float32], network_s: float) -> Report:
        """Write the photo in the colours `ab`, float32 (2, h, w) in Lab units, which took the network `network_s`."""
        began = time.monotonic()
        with output_file(self._output) as temporary:
            write_photo(temporary, self._photo, spread_colors(self._photo.light, self.gray, ab))
        seconds = self._seconds + network_s + time.monotonic() - began
        colorizer = self.colorizer
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
            render_size=(self.gray.shape[1], self.gray.shape[0]),
            warnings=["the photo has colours already; they were replaced."] if self._photo.in_color else [],
            notes=self._notes,
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
        group = waiting.setdefault(opened.gray.shape, [])
        group.append((number, opened))
        held = sum(photo.held_bytes for photos in waiting.values() for _, photo in photos)
        if len(group) >= at_once:
            yield from _finish(waiting.pop(opened.gray.shape), colorizer)
        elif held > _HELD_BYTES:
            for shape in list(waiting):
                yield from _finish(waiting.pop(shape), colorizer)
    for group in waiting.values():
        yield from _finish(group, colorizer)


def _finish(group: list[tuple[int, OpenPhoto]], colorizer: Colorizer) -> Iterator[tuple[int, Report | DeoldifyVideoError]]:
    began = time.monotonic()
    try:
        planes = colorizer.ab(np.stack([photo.gray for _, photo in group]))  # (B, 2, h, w)
    except DeoldifyVideoError as error:
        yield from ((number, error) for number, _ in group)
        return
    network_s = (time.monotonic() - began) / len(group)
    for (number, photo), ab in zip(group, planes, strict=True):
        try:
            yield number, photo.finish(ab, network_s)
        except DeoldifyVideoError as error:
            yield number, error


def network_view(light: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """`light` (H, W) in [0, 1] as the network sees it at `size` (width, height): grey uint8 (h, w), full range."""
    enlarges = size[0] > light.shape[1]
    small = cv2.resize(light, size, interpolation=cv2.INTER_LINEAR if enlarges else cv2.INTER_AREA)
    return np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)


def spread_colors(light: NDArray[np.float32], gray: NDArray[np.uint8], ab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Chroma for `light` (H, W) from the colours `ab` (2, h, w) in Lab units that the network found on `gray` (h, w).

    Returns float32 (2, H, W) in -0.5..0.5 of `PHOTO_MATRIX`.
    """
    planes = ab_to_chroma(gray, ab, PHOTO_MATRIX)
    return guided_upsample_in_bands(planes, gray.astype(np.float32) * np.float32(1 / 255), light)
