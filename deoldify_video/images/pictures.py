"""Plain RGB pictures to and from files: for sheets and comparisons, where nothing of the original has to be kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deoldify_video.errors import InputError
from deoldify_video.media.files import output_errors, output_file
from deoldify_video.media.formats import photo_format

RGB8 = NDArray[np.uint8]
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 90}, "WEBP": {"quality": 90}}


def read_picture(path: Path) -> RGB8:
    """A picture as it is shown: upright, RGB uint8 (H, W, 3). Raises `InputError`."""
    try:
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as error:
        raise InputError(f"is no picture that can be read ({str(error).splitlines()[0]})", path=path) from error
    if pixels is None:
        raise InputError("is no picture that can be read (it is damaged, or of a kind that is not supported)", path=path)
    return np.ascontiguousarray(pixels[..., ::-1], np.uint8)


def write_picture(output: Path, rgb: RGB8) -> None:
    """Write RGB uint8 (H, W, 3) to `output`, whose ending names the format; it appears when it is whole.

    Raises `UsageError` for an ending that is no picture, else `OutputError`.
    """
    kind = photo_format(output)
    with output_file(output) as temporary, output_errors(output):
        Image.fromarray(rgb).save(temporary, format=kind, **_SAVE_OPTIONS.get(kind, {}))
