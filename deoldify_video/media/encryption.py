"""Tells films that are encrypted from those that are damaged: all of them decode to nothing, but only one kind says why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import av
import av.error

_LOOKED_AT_BYTES = 4 << 20
_SHARE = 0.5  # of the packets, from which on a film is encrypted
_TS_SYNC, _TS_BYTES, _M2TS_BYTES = 0x47, 188, 192
_SCRAMBLED_TS = 0xC0  # transport_scrambling_control, in the fourth byte (ISO/IEC 13818-1, table 2-2)
_SCRAMBLED_PES = 0x30  # PES_scrambling_control, in the seventh (table 2-21); DVDs have it
_PES_OF_MEDIA = re.compile(rb"\x00\x00\x01[\xbd\xc0-\xef]..([\x80-\xbf])", re.DOTALL)


def is_encrypted(path: Path, format_name: str) -> bool:
    """Whether the beginning of a film says that its packets are encrypted; `format_name` is FFmpeg's for the container."""
    if "mp4" in format_name:
        return _has_encrypted_packet(path)
    if format_name not in ("mpegts", "mpeg"):
        return False
    with path.open("rb") as file:
        data = file.read(_LOOKED_AT_BYTES)
    marks = (
        _marks_of_ts(data)
        if format_name == "mpegts"
        else [mark[1][0] & _SCRAMBLED_PES for mark in _PES_OF_MEDIA.finditer(data)]
    )
    return bool(marks) and sum(map(bool, marks)) > _SHARE * len(marks)


def _marks_of_ts(data: bytes) -> list[int]:
    """The scrambling marks of all packets but those of tables (low numbers) and padding, which never are."""
    size = _M2TS_BYTES if data[4:5] == b"G" and data[_M2TS_BYTES + 4 : _M2TS_BYTES + 5] == b"G" else _TS_BYTES
    starts = range(size - _TS_BYTES, len(data) - 3, size)
    heads = [data[start : start + 4] for start in starts if data[start] == _TS_SYNC]
    return [head[3] & _SCRAMBLED_TS for head in heads if 0x20 <= (head[1] & 0x1F) << 8 | head[2] < 0x1FFF]


def _has_encrypted_packet(path: Path) -> bool:
    """MP4 (ISO/IEC 23001-7): FFmpeg hands the keys' numbers out with every packet."""
    with av.open(str(path), metadata_errors="replace") as container:
        for stream in container.streams.video:
            packet: Any = None
            try:
                packet = next(container.demux(stream), None)
            except (av.error.FFmpegError, ValueError):
                return False
            return bool(packet is not None and packet.has_sidedata("encryption_info"))
    return False
