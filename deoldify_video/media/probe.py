"""Probes a file: its kind and its streams, read from the headers before anything is decoded."""

from __future__ import annotations

import math
import struct
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.video.stream import VideoStream

from deoldify_video.errors import InputError
from deoldify_video.media.encryption import is_encrypted

MAX_PIXELS = 16384 * 16384 // 4  # 67 million: above 8K film and medium-format scans; more is a bomb or a mistake
STILL_FORMATS = ("_pipe", "image2")  # endings of FFmpeg's format names for single pictures
TEXT_FORMATS = ("tty", "bin", "xbin", "adf", "idf")  # FFmpeg would film any text file as a terminal shows it
FULL_RANGE_CODECS = ("mjpeg", "png", "ffv1", "rawvideo", "gif", "jpeg2000", "tiff", "bmp", "webp")

# FFmpeg's numbers (libavutil/pixfmt.h) of the colour matrices that we write, by our name.
MATRIX_NAMES = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}
MATRIX_NUMBERS = {"bt709": 1, "bt601": 6, "bt2020": 9}  # those we choose where the film does not say
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
TOP_FIELD_FIRST = 2  # assumed of interlaced film that does not say: all but DV
FIELD_ORDERS = (2, 3, 4, 5)  # FFmpeg's numbers (libavcodec/defs.h) of interlaced film: which field is coded and shown first
BOTTOM_FIRST = (3, 4)  # of these, those that show the bottom field first
INTERLACED = "the film is interlaced and is kept so; --deinterlace makes whole pictures of its fields."
RANGE_FULL, RANGE_LIMITED = 2, 1


@dataclass(frozen=True)
class StreamInfo:
    """One stream: its kind (`video`, `audio`, `subtitle`, `attachment`, `data`), codec, and whether it is cover art."""

    index: int
    kind: str
    codec: str
    language: str | None
    cover_art: bool


@dataclass(frozen=True)
class VideoInfo:
    """The film's picture stream. `rotation_deg` is what a player turns the picture by, counter-clockwise, 0..270; where it is
    `mirrored`, left and right change places after that;
    `matrix` is the name of the colour matrix, `colorspace` FFmpeg's number for it (libavutil/pixfmt.h);
    `field_order` is FFmpeg's number (libavcodec/defs.h) for interlaced film, 0 for whole pictures.
    """

    index: int
    codec: str
    width: int
    height: int
    pix_fmt: str
    depth: int
    sar: Fraction
    rotation_deg: int
    matrix: str
    colorspace: int
    full_range: bool
    color_primaries: int
    color_trc: int
    frame_rate: Fraction
    time_base: Fraction
    start_pts: int
    frames: int
    interlaced: bool
    field_order: int = 0
    mirrored: bool = False
    warnings: tuple[str, ...] = field(default=())

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) as a viewer sees it, pixel aspect included."""
        return self.upright(self.width, self.height)

    def upright(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a part of the coded picture as a viewer sees it."""
        width = max(1, round(width * self.sar))
        return (height, width) if self.rotation_deg in (90, 270) else (width, height)


@dataclass(frozen=True)
class MediaInfo:
    """A film or a photo. `kind` is `film` or `photo`; `duration_s` is declared by the container, 0 where it does not say."""

    path: Path
    kind: str
    format_name: str
    size_bytes: int
    duration_s: float
    video: VideoInfo
    streams: tuple[StreamInfo, ...]
    chapters: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON: paths and fractions as text."""
        data = asdict(self) | {"path": str(self.path)}
        data["video"] |= {key: str(data["video"][key]) for key in ("sar", "frame_rate", "time_base")}
        return data


def probe(path: Path) -> MediaInfo:
    """Read the headers of `path`. Raises `InputError` for anything that is no film or picture."""
    if not path.exists():
        raise InputError("does not exist", path=path)
    if path.is_dir():
        raise InputError("is a folder, not a film or picture", path=path)
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise InputError("is empty (0 bytes)", path=path)
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            name = container.format.name
            if is_encrypted(path, name):
                raise InputError("is encrypted", path=path, remedy="decrypt it first, where you may")
            streams = tuple(_stream_info(stream) for stream in container.streams)
            stream = film_stream(container)
            if stream is None:
                kinds = ", ".join(sorted({s.kind for s in streams})) or "nothing"
                raise InputError(f"has no pictures in it (it holds {kinds})", path=path, remedy="give a film or a photo")
            if name in TEXT_FORMATS:
                raise InputError("is no film or picture that can be read (it is text)", path=path)
            still = name.endswith(STILL_FORMATS[0]) or name == STILL_FORMATS[1]
            duration_s = (container.duration or 0) / 1_000_000
            chapters = len(container.chapters())
            video = _video_info(path, container, stream)
    except PermissionError as error:
        raise InputError("cannot be read: permission denied", path=path) from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"is no film or picture that can be read ({_reason(error)})", path=path) from error
    return MediaInfo(path, "photo" if still else "film", name, size_bytes, duration_s, video, streams, chapters)


def film_stream(container: av.container.InputContainer) -> VideoStream | None:
    """The first picture stream that is no cover art."""
    for stream in container.streams.video:
        if not is_cover_art(stream) and stream.codec_context is not None:
            return stream
    return None


def is_cover_art(stream: Any) -> bool:
    """Whether a stream is a picture attached to the file (a poster, a thumbnail), not film."""
    return bool(
        stream.type == "video" and "attached_pic" in str(getattr(stream.disposition, "name", "") or stream.disposition).lower()
    )


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).split("\n")[0].rstrip(".")


def _stream_info(stream: Any) -> StreamInfo:
    context = stream.codec_context
    # The codec's own name: a decoder may be called otherwise (mp3float, libdav1d).
    codec = context.codec.canonical_name if context else "unknown"
    return StreamInfo(stream.index, stream.type, codec, stream.language, is_cover_art(stream))


def _video_info(path: Path, container: av.container.InputContainer, stream: VideoStream) -> VideoInfo:
    context = stream.codec_context
    _check_size(path, context.width, context.height)
    if context.color_trc in HDR_TRANSFERS:
        raise _hdr_error(path, context.color_trc)
    first = _first_frame(container, stream)
    width, height = (first.width, first.height) if first else (context.width, context.height)  # headers may be wrong
    _check_size(path, width, height)
    picture = first.format if first else context.format
    if picture is None:
        raise InputError("does not say what its pictures are made of; it is damaged or not a film", path=path)
    pix_fmt, depth = picture.name, max(c.bits for c in picture.components)
    matrix = MATRIX_NAMES.get(context.colorspace) or ("bt709" if height >= 720 else "bt601")
    frame_rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    # PyAV frees the metadata of side data a second time; those that have some are the colour profiles of PNG.
    rotation_deg, mirrored = _orientation(None if context.codec.canonical_name in ("png", "apng") else first)
    interlaced = context.field_order in FIELD_ORDERS or (first is not None and first.interlaced_frame)
    if first is not None and first.color_trc in HDR_TRANSFERS:
        raise _hdr_error(path, first.color_trc)
    return VideoInfo(
        index=stream.index,
        codec=context.codec.canonical_name,
        width=width,
        height=height,
        pix_fmt=pix_fmt,
        depth=depth,
        sar=Fraction(stream.sample_aspect_ratio or 1),
        rotation_deg=rotation_deg,
        matrix=matrix,
        colorspace=context.colorspace if context.colorspace in MATRIX_NAMES else MATRIX_NUMBERS[matrix],
        full_range=_is_full_range(pix_fmt, context.color_range, context.codec.canonical_name),
        color_primaries=context.color_primaries,
        color_trc=context.color_trc,
        frame_rate=frame_rate,
        time_base=Fraction(stream.time_base) if stream.time_base else Fraction(1, 1000),
        start_pts=stream.start_time or 0,
        frames=stream.frames,
        interlaced=interlaced,
        field_order=0 if not interlaced else context.field_order if context.field_order in FIELD_ORDERS else TOP_FIELD_FIRST,
        mirrored=mirrored,
        warnings=(INTERLACED,) if interlaced else (),
    )


def _check_size(path: Path, width: int, height: int) -> None:
    if not width or not height:
        raise InputError("does not say how large its picture is; it is damaged or not a film", path=path)
    if width * height > MAX_PIXELS:
        raise InputError(
            f"claims a picture of {width}x{height}; more than {MAX_PIXELS // 1_000_000} million pixels are refused", path=path
        )


def _orientation(frame: av.VideoFrame | None) -> tuple[int, bool]:
    """By how many degrees a player turns the picture, and whether it mirrors it after that, by the display matrix
    (libavutil/display.h: two rows of a, b, u and c, d, v, then x, y, w).
    """
    if frame is None:
        return 0, False
    try:
        data: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV does not know all kinds of side data, such as those of TIFFs
        return round(frame.rotation / 90) * 90 % 360, False
    if data is None:
        return 0, False
    a, b, _, c, d, *_ = struct.unpack("=9i", memoryview(data))
    mirrored = a * d - b * c < 0
    degrees = -math.degrees(math.atan2(b, -a if mirrored else a))
    return round(degrees / 90) * 90 % 360, mirrored


def _hdr_error(path: Path, transfer: int) -> InputError:
    return InputError(
        f"is HDR ({HDR_TRANSFERS[transfer]})",
        path=path,
        remedy="convert it to SDR first, for its light cannot be kept as it is",
    )


def _is_full_range(pix_fmt: str, color_range: int, codec: str) -> bool:
    if color_range in (RANGE_FULL, RANGE_LIMITED):
        return bool(color_range == RANGE_FULL)
    return pix_fmt.startswith("yuvj") or (pix_fmt.startswith("gray") and codec in FULL_RANGE_CODECS)


def _first_frame(container: av.container.InputContainer, stream: VideoStream) -> av.VideoFrame | None:
    """Frames know what headers do not (turned, interlaced); None where it cannot be decoded, which decoding reports itself."""
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    try:
        return next(container.decode(stream), None)
    except (av.error.FFmpegError, ValueError):
        return None
