"""Photos: read in their light, written back with colour. JPEG, PNG, TIFF and WebP, 8 and 16 bit, orientation and profile respected."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from deoldify_video.color.spread import SMALL_PX, is_in_color, rgb_spread
from deoldify_video.color.yuv import limit_chroma, yuv_to_rgb
from deoldify_video.errors import InputError, OutputError
from deoldify_video.images.images_16bit import FORMATS_16BIT, encode_16bit
from deoldify_video.media.files import output_errors
from deoldify_video.media.formats import photo_format
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
_BAND_PIXELS = 1 << 17  # of a photo that are computed at a time
_QUARTER_TURNS = {3: 2, 4: 2, 5: 3, 6: 3, 7: 1, 8: 1}  # counter-clockwise, by EXIF orientation
_TURNED = (5, 6, 7, 8)
_MIRRORED = (2, 4, 5, 7)
_TILE_WIDTH, _TILE_HEIGHT, _STRIP_ROWS = 322, 323, 278  # a TIFF's tags
_8BIT_FORMATS = ("JPEG", "WEBP", "GIF", "BMP")
_READING_BYTES = (10, 15)  # of memory for a pixel of 8 and of 16 bits, as measured on large photos
_WRITING_BYTES = (20, 32)
_ALPHA_BYTES = (5, 8)
_REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))
_INSPECTED_PX = 256  # a photo is opened at about this size to see whether it is in colour


@dataclass(frozen=True)
class Photo:
    """The light of a photo, upright.

    `light` float32 (H, W) in [0, 1], sRGB-encoded; `alpha` like it, or None where all is opaque; `depth` 8 or 16 bits; `exif`
    what describes the picture, without the orientation, which has been applied; `in_color` when the file is in colour already.
    """

    light: NDArray[np.float32]
    alpha: NDArray[np.float32] | None
    depth: int
    exif: bytes
    in_color: bool


@dataclass(frozen=True)
class PhotoHeader:
    """A photo before it is decoded: its upright `size` (width, height), and the bytes of memory that it takes at most to read it
    and to write it in colour.
    """

    size: tuple[int, int]
    reading_bytes: int
    writing_bytes: int


def read_photo_header(path: Path) -> PhotoHeader:
    """Read how large a photo is. Raises `InputError` when that cannot be read or is larger than is allowed."""
    with _input_errors(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as image:
            _check_size(path, image)
            width, height = image.size
            tags = dict(image.tag_v2) if isinstance(image, TiffImageFile) else {}
            exif = Image.Image.getexif(image)  # a PNG's own method decodes it, for tags behind the picture
            turned = not tags and exif.get(_EXIF_ORIENTATION, 1) in _TURNED  # Pillow turns TIFFs itself
            deep = image.format not in _8BIT_FORMATS and (image.format not in ("PNG", "TIFF") or "16" in str(image.tile))
            alpha = _ALPHA_BYTES[deep] if image.mode.endswith(("A", "a")) or "transparency" in image.info else 0
    # A TIFF may have tiles or strips that are larger than the picture.
    tile = int(tags.get(_TILE_WIDTH, width)) * int(tags.get(_TILE_HEIGHT, min(height, tags.get(_STRIP_ROWS, height))))
    pixels = max(width * height, tile)
    reading, writing = (pixels * (cost[deep] + alpha) + path.stat().st_size for cost in (_READING_BYTES, _WRITING_BYTES))
    return PhotoHeader((height, width) if turned else (width, height), reading, writing)


def read_photo(path: Path, fit_px: int | None = None) -> Photo:
    """Read a photo's light. Raises `InputError` when it cannot be read or is larger than is allowed.

    Where it is only to be shown with its longer side at `fit_px`, a JPEG is scaled down while it is decoded, to no less than that.
    """
    with _input_errors(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about tags that it cannot read
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            _check_size(path, image)
            scales = image.format == "JPEG" and image.mode in ("L", "RGB")
            wanted = fit_px if scales and fit_px is not None else max(image.size)
            flags = next((flag for part, flag in _REDUCED if max(image.size) // part >= wanted), cv2.IMREAD_UNCHANGED)
            profile, exif, tiff = image.info.get("icc_profile"), image.getexif(), image.format == "TIFF"
        pixels = _pixels(data, exif.get(_EXIF_ORIENTATION, 1), flags, tiff=tiff)
    return _photo(pixels, profile, _description(exif))


def photo_in_color(path: Path) -> bool:
    """Whether a photo is in colour already, by a small copy of it; False where it cannot be read, which its turn will find out."""
    try:
        with Image.open(path) as image:
            image.draft("RGB", (_INSPECTED_PX, _INSPECTED_PX))
            if image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I"):
                return False
            small = image.convert("RGB").resize((_INSPECTED_PX, _INSPECTED_PX), Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return is_in_color([rgb_spread(np.asarray(small, np.float32) / np.float32(255))])


def write_photo(path: Path, photo: Photo, chroma: NDArray[np.float32]) -> None:
    """Write a photo's light with `chroma` (2, H, W) in -0.5..0.5 to `path`, whose ending names the format.

    16-bit photos stay 16-bit in PNG and TIFF. Raises `UsageError` for an ending that is no picture, else `OutputError`.
    """
    kind = photo_format(path)
    depth = photo.depth if kind in FORMATS_16BIT else 8
    samples = _samples(photo if kind != "JPEG" else replace(photo, alpha=None), chroma, np.uint16 if depth == 16 else np.uint8)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = photo.exif if len(photo.exif) <= _MAX_EXIF_BYTES else b""
    with output_errors(path):
        if depth == 16:
            path.write_bytes(encode_16bit(kind, samples, exif, profile))
            return
        image = Image.fromarray(samples)
        try:
            image.save(path, format=kind, exif=exif, icc_profile=profile, **_SAVE_OPTIONS[kind])
        except ValueError as error:  # a picture that is too large for the format
            raise OutputError(f"cannot be written as {kind}: {error}", path=path, remedy="choose another format") from error


def _photo(pixels: NDArray[Any], profile: bytes | None, exif: bytes) -> Photo:
    """A photo of upright samples in OpenCV's order, a few rows at a time: a large one fits only once into memory."""
    depth, planes = 8 * pixels.dtype.itemsize, pixels.reshape(*pixels.shape[:2], -1)
    height, width, count = planes.shape
    light, curve, in_color = np.empty((height, width), np.float32), _curve(profile), False
    alpha = np.empty_like(light) if count == 4 else None
    for rows in _bands(height, width):
        values = planes[rows].astype(np.float32) / np.float32(2**depth - 1)
        band = values[..., :3] @ _GRAY_WEIGHTS if count >= 3 else values[..., 0]
        light[rows] = band if curve is None else np.interp(band, *curve)
        if alpha is not None:
            alpha[rows] = values[..., 3]
    opaque = alpha is None or alpha.min() >= 1
    if count >= 3:
        small = cv2.resize(pixels, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
        in_color = is_in_color([rgb_spread(small[..., 2::-1] / np.float32(2**depth - 1))])
    return Photo(light, None if opaque else alpha, depth, exif, in_color)


def _samples(photo: Photo, chroma: NDArray[np.float32], kind: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """RGB or RGBA samples (H, W, 3 or 4) of `kind`, a few rows at a time."""
    top = np.float32(np.iinfo(kind).max)
    samples = np.empty((*photo.light.shape, 3 if photo.alpha is None else 4), kind)
    for rows in _bands(*photo.light.shape):
        y = np.clip(photo.light[rows], 0, 1)
        rgb = yuv_to_rgb(y, limit_chroma(y, chroma[:, rows], PHOTO_MATRIX), PHOTO_MATRIX)
        samples[rows, :, :3] = np.rint(rgb * top)
        if photo.alpha is not None:
            samples[rows, :, 3] = np.rint(photo.alpha[rows] * top)
    return samples


def _bands(height: int, width: int) -> Iterator[slice]:
    rows = max(1, _BAND_PIXELS // width)
    for top in range(0, height, rows):
        yield slice(top, min(height, top + rows))


@contextmanager
def _input_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except UnidentifiedImageError as error:
        raise InputError("is no picture that can be read (its format is not known, or it is damaged)", path=path) from error
    except (Image.DecompressionBombError, OSError, SyntaxError, ValueError, cv2.error) as error:
        raise InputError(f"is no picture that can be read ({str(error).splitlines()[0].rstrip('.')})", path=path) from error


def _check_size(path: Path, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(f"is {width}x{height}; more than {MAX_PIXELS // 1_000_000} million pixels are refused", path=path)


def _pixels(data: bytes, orientation: int, flags: int, *, tiff: bool) -> NDArray[Any]:
    """Upright samples in OpenCV's order: grey (H, W), BGR or BGRA (H, W, 3 or 4), uint8 or uint16. Raises `ValueError`."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
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


def _curve(profile: bytes | None) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Light in the file's own profile, and what that is in sRGB: the curve that the profile gives neutral greys. None: it is sRGB."""
    if not profile:
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "L" if source.profile.xcolor_space.strip() == "GRAY" else "RGB"
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None]).convert(mode)
        converted = ImageCms.profileToProfile(ramp, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None  # a profile that cannot be read describes nothing
    curve = np.asarray(converted, np.float32)[0].mean(axis=1) if converted is not None else np.arange(256, dtype=np.float32)
    codes = np.arange(256, dtype=np.float32)
    if np.abs(curve - codes).max() <= 1.5:  # sRGB itself, up to rounding: the light stays exact
        return None
    return codes / np.float32(255), curve / np.float32(255)
