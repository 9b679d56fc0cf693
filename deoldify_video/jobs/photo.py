"""A photo: the same network, and the same rule that the light of the picture is kept."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video.color.hints import read_hints
from deoldify_video.color.upsample import guided_upsample
from deoldify_video.color.yuv import ab_to_chroma
from deoldify_video.media.output import check_output, output_file
from deoldify_video.media.still import PHOTO_MATRIX, photo_format, read_photo, write_photo
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import FilmOptions
from deoldify_video.report import Report


def colorize_photo(
    source: Path | str, output: Path | str, options: FilmOptions | None = None, *, colorizer: Colorizer | None = None
) -> Report:
    """Colorize the photo `source` into `output`, whose ending names the format. Raises the errors of `deoldify_video.errors`."""
    options, source, output = options or FilmOptions(), Path(source), Path(output)
    began = time.monotonic()
    photo = read_photo(source)
    check_output(source, output, overwrite=options.encode.overwrite)
    photo_format(output)
    colorizer = colorizer or Colorizer(options.color)
    if options.color.hints is not None:
        height, width = photo.light.shape
        colorizer = colorizer.with_hints(read_hints(options.color.hints, width, height))
    factor = options.color.render_factor or colorizer.spec.photo_render_factor
    chroma, size = paint_light(photo.light, colorizer, factor)
    with output_file(output) as temporary:
        write_photo(temporary, photo, chroma)
    warnings = ["the photo has colours already; they were replaced."] if photo.colourful else []
    seconds = time.monotonic() - began
    return Report(
        source=str(source),
        output=str(output),
        kind="photo",
        frames=1,
        shots=1,
        seconds=seconds,
        fps=1 / seconds,
        model=colorizer.spec.name,
        device=str(colorizer.device),
        precision=colorizer.precision,
        render_factor=factor,
        render_size=size,
        warnings=warnings,
    )


def paint_light(
    light: NDArray[np.float32], colorizer: Colorizer, render_factor: int
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Chroma for a picture's light.

    `light` float32 (H, W) in [0, 1], sRGB-encoded. Returns Cb and Cr, float32 (2, H, W) in -0.5..0.5 of `PHOTO_MATRIX`, and the
    (width, height) at which the network saw the picture.
    """
    height, width = light.shape
    size = colorizer.spec.render_size(width, height, render_factor)
    grey = network_view(light, size)
    return spread_colours(light, grey, colorizer.ab(grey[None])[0]), size


def network_view(light: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """What the network sees of `light` (H, W) in [0, 1] at `size` (width, height): grey uint8 (h, w), full range."""
    enlarges = size[0] > light.shape[1]
    small = cv2.resize(light, size, interpolation=cv2.INTER_LINEAR if enlarges else cv2.INTER_AREA)
    return np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)


def spread_colours(light: NDArray[np.float32], grey: NDArray[np.uint8], ab: NDArray[np.float32]) -> NDArray[np.float32]:
    """Chroma for `light` (H, W) from the colours `ab` (2, h, w) in Lab units that the network found on `grey` (h, w).

    Returns float32 (2, H, W) in -0.5..0.5 of `PHOTO_MATRIX`.
    """
    planes = ab_to_chroma(grey, ab, PHOTO_MATRIX)
    return guided_upsample(planes, grey.astype(np.float32) * np.float32(1 / 255), light)
