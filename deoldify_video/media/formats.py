"""The endings of names of files that can be written, and the formats that they stand for."""

from __future__ import annotations

from pathlib import Path

from deoldify_video.errors import UsageError

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".avi": "avi",
    ".webm": "webm",
    ".ts": "mpegts",
}
# Films of which names may hold a codec. Matroska holds everything.
CODEC_SUFFIXES = {
    "h264": (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".ts"),
    "hevc": (".mp4", ".m4v", ".mov", ".mkv", ".ts"),
    "av1": (".mp4", ".m4v", ".mkv", ".webm"),
    "ffv1": (".mp4", ".m4v", ".mkv", ".avi"),
    "prores": (".mov", ".mkv"),
}
PHOTO_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP"}


def photo_format(path: Path) -> str:
    """The picture format that an output's name asks for; raises `UsageError`."""
    try:
        return PHOTO_FORMATS[path.suffix.lower()]
    except KeyError:
        raise UsageError("has no ending of a picture", path=path, remedy=f"use one of {', '.join(PHOTO_FORMATS)}") from None
