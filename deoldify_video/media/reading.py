"""Packets of a file, also behind places where it is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import av.error

_VAIN_TRIES = 64  # reads in a row that may fail before the file is taken to be at its end


class PacketReader:
    """Iterates over the packets of `streams` (all: none given) up to the end of a file, going on behind what cannot be read.

    `damaged_places` counts these; `ends_in_error` says that nothing could be read behind the last one.
    """

    def __init__(self, container: Any, *streams: Any) -> None:
        self.damaged_places, self.ends_in_error = 0, False
        self._container, self._streams = container, streams

    def __iter__(self) -> Iterator[av.Packet]:
        packets, vain = self._container.demux(*self._streams), 0
        while vain < _VAIN_TRIES:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, ValueError):  # the iterator is spent, the file need not be
                self.damaged_places += not self.ends_in_error
                self.ends_in_error, vain = True, vain + 1
                packets = self._container.demux(*self._streams)
                continue
            if packet is None:
                return
            if packet.size:
                self.ends_in_error, vain = False, 0
            yield packet
