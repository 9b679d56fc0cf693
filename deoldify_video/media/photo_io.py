"""Photos: read in their light, written back with colour. JPEG, PNG, TIFF and WebP, 8 and 16 bit, orientation and profile respected."""

from __future__ import annotations

import io
import warnings
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
from deoldify_video.media.files import output_errors
from deoldify_video.media.formats import PHOTO_FORMATS
from deoldify_video.media.images_16bit import FORMATS_16BIT, encode_16bit
from deoldify_video.media.probe import MAX_PIXELS

_SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "TIFF": {},  # not compressed: Pillow cannot write the camera's tags into compressed ones
    "WEBP": {"quality": 95, "method": 4},
}
PHOTO_MATRIX = "bt601"  # JPEG's: turning the result grey again gives the light that came in
_GRAY_WEIGHTS = np.array([0.114, 0.587, 0.299], np.float32)  # the same, in OpenCV's order of channels
_EXIF_ORIENTATION = 0x0112
_EXIF_FOLDERS = (0x8769, 0x8825)  # the camera's own tags, and the place
_EXIF_PIXEL_SIZE = (0xA002, 0xA003)
# Description, camera, resolution, software, date, artist, copyright. A TIFF's other tags describe the file, not the picture.
_KEPT_TAGS = (0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x8298)
_MAX_EXIF_BYTES = 65_000  # what a JPEG can hold
_QUARTER_TURNS = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}  # counter-clockwise, by EXIF orientation
_MIRRORED = (2, 4, 5, 7)
COLORFUL = 0.02  # mean spread of R, G and B from which a picture counts as coloured


@dataclass(frozen=True)
class Photo:
    """The light of a photo, upright.

    `light` float32 (H, W) in [0, 1], sRGB-encoded; `alpha` like it, or None where all is opaque; `depth` 8 or 16 bits; `exif`
    what describes the picture, without the orientation, which has been applied; `colorful` when the file has colours already.
    """

    light: NDArray[np.float32]
    alpha: NDArray[np.float32] | None
    depth: int
    exif: bytes
    colorful: bool


def read_photo(path: Path) -> Photo:
    """Read a photo's light. Raises `InputError` when it cannot be read or is larger than is allowed."""
    with _input_errors(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about tags that it cannot read
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise InputError(f"{path} is {width}x{height}; more than {MAX_PIXELS // 1_000_000} million pixels are refused.")
            profile, exif, tiff = image.info.get("icc_profile"), image.getexif(), image.format == "TIFF"
        pixels = _pixels(data, exif.get(_EXIF_ORIENTATION, 1), tiff=tiff)
    depth = 8 * pixels.dtype.itemsize
    values = pixels.astype(np.float32) / np.float32(2**depth - 1)
    alpha = values[..., 3] if values.ndim == 3 and values.shape[2] == 4 and values[..., 3].min() < 1 else None
    light, colorful = (values if values.ndim == 2 else values[..., 0]), False
    if values.ndim == 3 and values.shape[2] >= 3:
        colorful = float(np.mean(np.ptp(values[..., :3], axis=2))) > COLORFUL
        light = values[..., :3] @ _GRAY_WEIGHTS
    return Photo(_to_srgb(light, profile), alpha, depth, _description(exif), colorful)


def write_photo(path: Path, photo: Photo, chroma: NDArray[np.float32]) -> None:
    """Write a photo's light with `chroma` (2, H, W) in -0.5..0.5 to `path`, whose ending names the format.

    16-bit photos stay 16-bit in PNG and TIFF. Raises `UsageError` for an ending that is no picture, else `OutputError`.
    """
    kind = photo_format(path)
    y = np.clip(photo.light, 0, 1)
    rgb = yuv_to_rgb(y, limit_chroma(y, chroma, PHOTO_MATRIX), PHOTO_MATRIX)
    planes = rgb if photo.alpha is None or kind == "JPEG" else np.dstack([rgb, photo.alpha])
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = photo.exif if len(photo.exif) <= _MAX_EXIF_BYTES else b""
    with output_errors(path):
        if photo.depth == 16 and kind in FORMATS_16BIT:
            path.write_bytes(encode_16bit(kind, np.rint(planes * 65535).astype(np.uint16), exif, profile))
            return
        image = Image.fromarray(np.rint(planes * 255).astype(np.uint8))
        try:
            image.save(path, format=kind, exif=exif, icc_profile=profile, **_SAVE_OPTIONS[kind])
        except ValueError as error:  # a picture that is too large for the format
            raise OutputError(f"{path} cannot be written as {kind}: {error}; choose another format.") from error


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
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is no picture that can be read (its format is not known, or it is damaged).") from error
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError, cv2.error) as error:
        raise InputError(f"{path} is no picture that can be read ({str(error).splitlines()[0].rstrip('.')}).") from error


def _pixels(data: bytes, orientation: int, *, tiff: bool) -> NDArray[Any]:
    """Upright samples in OpenCV's order: grey (H, W), BGR or BGRA (H, W, 3 or 4), uint8 or uint16. Raises `ValueError`."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError("the data is damaged, or of a kind that is not supported")
    if not tiff:
        return _upright(pixels, orientation)
    # OpenCV turns TIFFs upright itself, and multiplies the colours of 8-bit ones with their alpha.
    if pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 4:
        gain = 255 / np.maximum(pixels[..., 3:], 1)
        pixels[..., :3] = np.minimum(np.rint(pixels[..., :3] * gain), 255)
    return pixels


def _description(exif: Image.Exif) -> bytes:
    """The tags that describe the picture; those about the file, its size and its thumbnail no longer hold."""
    kept = Image.Exif()
    for tag in _KEPT_TAGS:
        if tag in exif:
            # Pillow reads text as Latin-1 and would write ASCII; as bytes it stays what it was, UTF-8 mostly.
            kept[tag] = exif[tag].encode("latin-1") if isinstance(exif[tag], str) else exif[tag]
    for folder in _EXIF_FOLDERS:
        if entries := exif.get_ifd(folder):
            kept.get_ifd(folder).update((tag, value) for tag, value in entries.items() if tag not in _EXIF_PIXEL_SIZE)
    return kept.tobytes()


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
