"""Photos: read in their light, written back with colour. JPEG, PNG, TIFF and WebP, 8 and 16 bit, orientation and profile respected."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError

from deoldify_video.color.yuv import limit_chroma, yuv_to_rgb
from deoldify_video.errors import InputError, OutputError, UsageError
from deoldify_video.media.output import output_errors
from deoldify_video.media.probe import MAX_PIXELS

PHOTO_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"}
DEEP_FORMATS = ("PNG", "TIFF")  # those that hold 16 bits
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"quality": 95, "method": 4},
}
PHOTO_MATRIX = "bt601"  # JPEG's: turning the result grey again gives the light that came in
_GREY_WEIGHTS = np.array([0.114, 0.587, 0.299], np.float32)  # the same, in OpenCV's order of channels
_EXIF_ORIENTATION = 0x0112
_QUARTER_TURNS = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}  # counter-clockwise, by EXIF orientation
_MIRRORED = (2, 4, 5, 7)
COLOURFUL = 0.02  # mean spread of R, G and B from which a picture counts as coloured


@dataclass(frozen=True)
class Photo:
    """The light of a photo, upright.

    `light` float32 (H, W) in [0, 1], sRGB-encoded; `alpha` like it or None; `depth` 8 or 16 bits; `exif` without the orientation,
    which has been applied; `colourful` when the file has colours already.
    """

    light: NDArray[np.float32]
    alpha: NDArray[np.float32] | None
    depth: int
    exif: bytes
    colourful: bool


def read_photo(path: Path) -> Photo:
    """Read a photo's light. Raises `InputError` when it cannot be read or is larger than is allowed."""
    with _input_errors(path):
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise InputError(f"{path} is {width}x{height}; more than {MAX_PIXELS // 1_000_000} million pixels are refused.")
            profile = image.info.get("icc_profile")
            exif = image.getexif()
        orientation = exif.pop(_EXIF_ORIENTATION, 1)
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
            raise ValueError("the data is damaged, or of a kind that is not supported")
    depth = 8 * pixels.dtype.itemsize
    values = _upright(pixels, orientation).astype(np.float32) / np.float32(2**depth - 1)
    alpha = values[..., -1] if values.ndim == 3 and values.shape[2] in (2, 4) else None
    light, colourful = (values if values.ndim == 2 else values[..., 0]), False
    if values.ndim == 3 and values.shape[2] >= 3:
        colourful = float(np.mean(np.ptp(values[..., :3], axis=2))) > COLOURFUL
        light = values[..., :3] @ _GREY_WEIGHTS
    return Photo(_to_srgb(light, profile), alpha, depth, exif.tobytes(), colourful)


def write_photo(path: Path, photo: Photo, chroma: NDArray[np.float32]) -> None:
    """Write a photo's light with `chroma` (2, H, W) in -0.5..0.5 to `path`, whose ending names the format.

    16-bit photos stay 16-bit in PNG and TIFF. Raises `UsageError` for an ending that is no picture, else `OutputError`.
    """
    kind = photo_format(path)
    y = np.clip(photo.light, 0, 1)
    rgb = yuv_to_rgb(y, limit_chroma(y, chroma, PHOTO_MATRIX), PHOTO_MATRIX)
    planes = rgb if photo.alpha is None or kind == "JPEG" else np.dstack([rgb, photo.alpha])
    with output_errors(path):
        if photo.depth == 16 and kind in DEEP_FORMATS:
            deep = np.rint(planes * 65535).astype(np.uint16)
            order = [2, 1, 0, 3][: planes.shape[2]]
            done, data = cv2.imencode(path.suffix.lower(), np.ascontiguousarray(deep[..., order]))
            if not done:
                raise OutputError(f"{path} cannot be written as 16-bit {kind}.")
            path.write_bytes(data.tobytes())
        else:
            image = Image.fromarray(np.rint(planes * 255).astype(np.uint8))
            profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
            image.save(path, format=kind, exif=photo.exif, icc_profile=profile, **_SAVE_OPTIONS[kind])


def photo_format(path: Path) -> str:
    """The picture format that an output's name asks for; raises `UsageError`."""
    try:
        return PHOTO_FORMATS[path.suffix.lower()]
    except KeyError:
        raise UsageError(f"{path.name} has no ending of a picture; use one of {', '.join(PHOTO_FORMATS)}.") from None


@contextmanager
def _input_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, cv2.error) as error:
        raise InputError(f"{path} is no picture that can be read ({str(error).splitlines()[0].rstrip('.')}).") from error


def _upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    if orientation in _MIRRORED:
        pixels = pixels[:, ::-1] if orientation in (2, 4) else pixels
    pixels = np.rot90(pixels, _QUARTER_TURNS.get(orientation, 0))
    return pixels[:, ::-1] if orientation in (5, 7) else pixels


def _to_srgb(light: NDArray[np.float32], profile: bytes | None) -> NDArray[np.float32]:
    """Light in the file's own profile to sRGB, by the curve that the profile gives neutral greys."""
    if not profile:
        return light
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "L" if source.profile.xcolor_space.strip() == "GRAY" else "RGB"
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None]).convert(mode)
        converted = ImageCms.profileToProfile(ramp, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return light  # a profile that cannot be read describes nothing
    curve = np.asarray(converted, np.float32)[0].mean(axis=1) if converted is not None else np.arange(256, dtype=np.float32)
    codes = np.arange(256, dtype=np.float32)
    if np.abs(curve - codes).max() <= 1.5:  # sRGB itself, up to rounding: the light stays exact
        return light
    return np.interp(light, codes / 255, curve / 255).astype(np.float32)
