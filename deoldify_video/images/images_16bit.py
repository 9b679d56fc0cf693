"""Pictures of 16 bits a sample as files, with their tags and colour profile; Pillow has none of such a depth in colour."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

FORMATS_16BIT = ("PNG", "TIFF")
_EXIF_HEADER = b"Exif\x00\x00"
_RESOLUTION_TAGS = (0x011A, 0x011B, 0x0128)
_INCH = 2  # the resolution unit of a file that names none


def encode_16bit(kind: str, pixels: NDArray[np.uint16], exif: bytes, profile: bytes) -> bytes:
    """`pixels` uint16 (H, W, 3 or 4), RGB with or without alpha, as a file of `kind`, one of `FORMATS_16BIT`.

    `exif` as Pillow writes it, `profile` ICC. A TIFF keeps the tags of its main directory only, not the camera's own.
    """
    if kind == "PNG":
        order = [2, 1, 0, 3][: pixels.shape[2]]
        kinds = [cv2.IMAGE_METADATA_EXIF, cv2.IMAGE_METADATA_ICCP]
        chunks = [np.frombuffer(data, np.uint8) for data in (exif.removeprefix(_EXIF_HEADER), profile)]
        _, data = cv2.imencodeWithMetadata(".png", np.ascontiguousarray(pixels[..., order]), kinds, chunks)
        return bytes(data)
    file = io.BytesIO()
    tags = Image.Exif()
    tags.load(exif)
    tifffile.imwrite(
        file,
        pixels,
        photometric="rgb",
        extrasamples=["unassalpha"] if pixels.shape[2] == 4 else None,
        iccprofile=profile,
        software=False,
        metadata=None,
        extratags=[(tag, "s", 0, text.encode("latin-1"), True) for tag, text in tags.items() if isinstance(text, str)],
        **_resolution(tags),
    )
    return file.getvalue()


def _resolution(tags: Image.Exif) -> dict[str, Any]:
    across, down, unit = (tags.get(tag) for tag in _RESOLUTION_TAGS)
    return {"resolution": (float(across), float(down)), "resolutionunit": unit or _INCH} if across and down else {}
