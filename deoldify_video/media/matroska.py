"""Edits the list of tracks of a Matroska file where PyAV gives no access to what FFmpeg's muxer would write.

The elements are those of RFC 9559. What is added needs room: the name of a track is made longer while the film is written, and gives
that up here, so that nothing behind it moves.
"""

from __future__ import annotations

import mmap
import re
import zlib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

from deoldify_video.errors import OutputError

Edit: TypeAlias = Mapping[bytes, "bytes | Edit | None"]  # elements by their id: a new value, none, or what changes inside

_SEGMENT, _TRACKS, _CLUSTER = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75"
_TRACK_ENTRY, _NAME, _CODEC_ID, _CODEC_PRIVATE = b"\xae", b"\x53\x6e", b"\x86", b"\x63\xa2"
_VIDEO, _DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = b"\xe0", b"\x54\xb0", b"\x54\xba", b"\x54\xb2"
_AUDIO, _BIT_DEPTH = b"\xe1", b"\x62\x64"
_CRC, _VOID = b"\xbf", b"\xec"
_PIXELS, _RATIO = 0, 3  # the units of DisplayWidth and DisplayHeight
_ROOM = re.compile(rb" \(room for track (\d+)\.*\)$")
_SPARE_BYTES = 48  # for the heads of elements and the padding


def pixel_aspect(sar: Fraction, width: int, height: int) -> Edit:
    """The pixel aspect of a picture of `width` x `height` samples."""
    shown, unit = width * sar, _PIXELS
    if shown.denominator != 1:
        shown, unit = shown / height, _RATIO
        height = shown.denominator
    return {_VIDEO: {_DISPLAY_WIDTH: _number(shown.numerator), _DISPLAY_HEIGHT: _number(height), _DISPLAY_UNIT: bytes([unit])}}


def sound_of_windows(wave_format: bytes) -> Edit:
    """Sound of any codec that Windows has a number for (`A_MS/ACM`), described by a WAVEFORMATEX as WAV files have it."""
    bits = int.from_bytes(wave_format[14:16], "little")
    return {_CODEC_ID: b"A_MS/ACM", _CODEC_PRIVATE: wave_format, _AUDIO: {_BIT_DEPTH: _number(bits) if bits else None}}


def room(number: int, edit: Edit) -> str:
    """The text in which the name of track `number` has to end, for `edit` to find room."""
    return f" (room for track {number}{'.' * (_length(edit) + _SPARE_BYTES)})"


def edit_file(path: Path, edits: Mapping[int, Edit]) -> None:
    """`edit_tracks` on a file."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        edit_tracks(data, edits)


def edit_tracks(data: Any, edits: Mapping[int, Edit]) -> None:
    """Change the tracks of a whole file in `data`, a buffer that can be written to, whose names end in `room`; they get their own names
    back. Raises `OutputError` when there is no list of tracks.
    """
    segment = next((start for kind, start, _ in _elements(data, 0, len(data)) if kind == _SEGMENT), len(data))
    for kind, start, end in _elements(data, segment, len(data)):
        if kind == _TRACKS:
            data[start:end] = _edited_tracks(bytes(data[start:end]), edits)
            return
        if kind == _CLUSTER:
            break
    raise OutputError("the Matroska file that was written has no list of tracks")


def _edited_tracks(tracks: bytes, edits: Mapping[int, Edit]) -> bytes:
    """The list of tracks after `edits`, as long as it was."""
    body = b""
    for kind, value in _children(tracks):
        if kind != _CRC:
            body += _element(kind, _edited_entry(value, edits) if kind == _TRACK_ENTRY else value)
    left = len(tracks) - len(body) - len(_element(_CRC, bytes(4)))
    if left:
        body += _element(_VOID, bytes(left - 9), size_bytes=8)
    return _element(_CRC, zlib.crc32(body).to_bytes(4, "little")) + body


def _edited_entry(entry: bytes, edits: Mapping[int, Edit]) -> bytes:
    name = next((value for kind, value in _children(entry) if kind == _NAME), b"")
    found = _ROOM.search(name)
    if not found or int(found[1]) not in edits:
        return entry
    return _edited(entry, {**edits[int(found[1])], _NAME: name[: found.start()] or None})


def _edited(body: bytes, edit: Edit) -> bytes:
    """A body with the elements of `edit` changed, added or left out."""
    left, parts = dict(edit), []
    for kind, value in _children(body):
        new: bytes | Edit | None = left.pop(kind, value)
        if isinstance(new, Mapping):
            new = _edited(value, new)
        parts.append((kind, new))
    parts += [(kind, _edited(b"", new) if isinstance(new, Mapping) else new) for kind, new in left.items()]
    return b"".join(_element(kind, value) for kind, value in parts if value is not None)


def _children(body: bytes) -> list[tuple[bytes, bytes]]:
    return [(kind, body[start:end]) for kind, start, end in _elements(body, 0, len(body))]


def _elements(data: Any, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The elements of a body: the id of each, where its value begins and ends."""
    while position < end:
        id_bytes = 9 - data[position].bit_length()
        size_bytes = 9 - data[position + id_bytes].bit_length()
        start = position + id_bytes + size_bytes
        size = int.from_bytes(data[position + id_bytes : start], "big") & ((1 << 7 * size_bytes) - 1)
        yield bytes(data[position : position + id_bytes]), start, start + size
        position = start + size


def _element(kind: bytes, value: bytes, size_bytes: int = 0) -> bytes:
    size_bytes = size_bytes or next(count for count in range(1, 9) if len(value) < (1 << 7 * count) - 1)
    return kind + (len(value) | 1 << 7 * size_bytes).to_bytes(size_bytes, "big") + value


def _length(edit: Edit) -> int:
    return sum(12 + (_length(value) if isinstance(value, Mapping) else len(value or b"")) for value in edit.values())


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big").lstrip(b"\0")
