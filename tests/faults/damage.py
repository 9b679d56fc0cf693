"""Ways to damage a file: each takes bytes and a random generator, and gives bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]


def flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    """One to forty single bits."""
    damaged = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 41)):
        damaged[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(damaged)


def cut_off(data: bytes, rng: np.random.Generator) -> bytes:
    """The end is missing."""
    return data[: int(rng.integers(0, len(data)))]


def swap_blocks(data: bytes, rng: np.random.Generator) -> bytes:
    """Two blocks have changed places."""
    size = int(min(rng.integers(16, 2048), len(data) // 3))
    first, second = sorted(int(place) for place in rng.integers(0, len(data) - size, 2))
    if second < first + size:
        return data[:first] + data[first + size :]
    return (
        data[:first] + data[second : second + size] + data[first + size : second] + data[first : first + size]
        + data[second + size :]
    )  # fmt: skip


def blank_block(data: bytes, rng: np.random.Generator) -> bytes:
    """A block is all zeros, as after a failed sector."""
    size = int(min(rng.integers(16, 4096), len(data)))
    place = int(rng.integers(0, len(data) - size + 1))
    return data[:place] + bytes(size) + data[place + size :]


def insert_noise(data: bytes, rng: np.random.Generator) -> bytes:
    """Foreign bytes in between."""
    place = int(rng.integers(0, len(data)))
    return data[:place] + rng.bytes(int(rng.integers(1, 512))) + data[place:]


DAMAGES: tuple[Damage, ...] = (flip_bits, cut_off, swap_blocks, blank_block, insert_noise)


def index_first(path: Path, source: Path) -> Path:
    """Write the MP4 `source` anew with its index at the beginning, so that it can be read even where its end is missing."""
    with av.open(str(source)) as old, av.open(str(path), "w", options={"movflags": "+faststart"}) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    return path


def with_packets(path: Path, source: Path, change: Callable[[av.Packet], None]) -> Path:
    """Write the packets of `source` anew after `change(packet)` for every one of the picture's."""
    with av.open(str(source)) as old, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.size:
                if packet.stream.type == "video":
                    change(packet)
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    return path


def remuxed(path: Path, source: Path, change: Callable[[av.Packet], None], options: dict[str, str] | None = None) -> Path:
    """Write the packets of `source` anew after `change(packet)` for each of them; `options` are the muxer's."""
    with av.open(str(source)) as old, av.open(str(path), "w", container_options=options or {}) as new:
        streams = {stream.index: new.add_stream_from_template(stream, opaque=True) for stream in old.streams}
        for packet in old.demux():
            if packet.size:
                change(packet)
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    return path
