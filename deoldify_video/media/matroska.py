"""Writes the pixel aspect into a Matroska file: PyAV gives no access to the place that FFmpeg's muxer takes it from.

The elements are those of RFC 9559. What is added needs room: the track's name is made longer by `ROOM` while the film is written, and
gives it up here, so that nothing behind it moves.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from deoldify_video.errors import OutputError

ROOM = " (room for the pixel aspect)".ljust(48, ".")

_SEGMENT, _TRACKS, _CLUSTER = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75"
_TRACK_ENTRY, _NAME, _VIDEO, _WIDTH, _HEIGHT = b"\xae", b"\x53\x6e", b"\xe0", b"\xb0", b"\xba"
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
_CRC, _VOID = b"\xbf", b"\xec"
_PIXELS, _RATIO = 0, 3  # the units of DisplayWidth and DisplayHeight


def write_pixel_aspect(path: Path, sar: Fraction) -> None:
    """Note down `sar` for the track of `path` whose name ends in `ROOM`, and give that track its own name back.

    Raises `OutputError` when there is no such track.
    """
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        for kind, start, end in _level_one(data):
            if kind == _TRACKS:
                data[start:end] = _with_aspect(data[start:end], sar)
                return
    raise OutputError(f"{path} cannot be written: it has no list of tracks.")


def _level_one(data: mmap.mmap) -> Iterator[tuple[bytes, int, int]]:
    """The elements in the segment, up to the first pictures."""
    segment = next(start for kind, start, _ in _elements(data, 0, len(data)) if kind == _SEGMENT)
    for kind, start, end in _elements(data, segment, len(data)):
        if kind == _CLUSTER:
            return
        yield kind, start, end


def _with_aspect(tracks: bytes, sar: Fraction) -> bytes:
    """The list of tracks with `sar` in it, as long as it was."""
    entries = []
    for kind, start, end in _elements(tracks, 0, len(tracks)):
        entry = tracks[start:end]
        if kind == _TRACK_ENTRY and (changed := _entry_with_aspect(entry, sar)):
            entry = changed
        if kind != _CRC:
            entries.append(_element(kind, entry))
    body = b"".join(entries)
    room = len(tracks) - len(body) - len(_element(_CRC, bytes(4)))
    body += _element(_VOID, bytes(room - 9), size_bytes=8)
    return _element(_CRC, zlib.crc32(body).to_bytes(4, "little")) + body


def _entry_with_aspect(entry: bytes, sar: Fraction) -> bytes | None:
    """A track's entry with `sar` in it; None where its name does not end in `ROOM`."""
    parts = [(kind, entry[start:end]) for kind, start, end in _elements(entry, 0, len(entry))]
    names = [value for kind, value in parts if kind == _NAME]
    if not names or not names[0].endswith(ROOM.encode()):
        return None
    name = names[0].removesuffix(ROOM.encode())
    parts = [(kind, _video_with_aspect(value, sar) if kind == _VIDEO else value) for kind, value in parts if kind != _NAME]
    return b"".join(_element(kind, value) for kind, value in [*parts, *([(_NAME, name)] if name else [])])


def _video_with_aspect(video: bytes, sar: Fraction) -> bytes:
    parts = {kind: video[start:end] for kind, start, end in _elements(video, 0, len(video))}
    width, height = (int.from_bytes(parts[kind], "big") for kind in (_WIDTH, _HEIGHT))
    shown, unit = width * sar, _PIXELS
    if shown.denominator != 1:
        shown, unit = width * sar / height, _RATIO
        height = shown.denominator
    parts |= {
        _DISPLAY_WIDTH: shown.numerator.to_bytes(8, "big").lstrip(b"\0"),
        _DISPLAY_HEIGHT: height.to_bytes(8, "big").lstrip(b"\0"),
        _DISPLAY_UNIT: bytes([unit]),
    }
    return b"".join(_element(kind, value) for kind, value in parts.items())


def _elements(data: bytes | mmap.mmap, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The elements of a body: the id of each, where its value begins and ends."""
    while position < end:
        id_bytes = 9 - data[position].bit_length()
        first = data[position + id_bytes]
        size_bytes = 9 - first.bit_length()
        start = position + id_bytes + size_bytes
        size = int.from_bytes(data[position + id_bytes : start], "big") & ((1 << 7 * size_bytes) - 1)
        yield data[position : position + id_bytes], start, start + size
        position = start + size


def _element(kind: bytes, value: bytes, size_bytes: int = 0) -> bytes:
    size_bytes = size_bytes or next(count for count in range(1, 9) if len(value) < (1 << 7 * count) - 1)
    return kind + (len(value) | 1 << 7 * size_bytes).to_bytes(size_bytes, "big") + value
