"""Sound that browsers play: for the film that is looked at on the page; the result itself keeps its source's packets."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error

from deoldify_video.media.files import output_errors, output_file

PLAYED = ("aac", "mp3", "opus", "flac")  # in MP4, by all browsers
_ENCODER = "aac"


def make_audible(view: Path, film: Path) -> bool:
    """Give the MP4 `view` of `film` its first sound stream, encoded anew, where it has none that browsers play.

    Pictures are copied. Returns whether that was needed. Raises `OutputError`.
    """
    with av.open(str(view)) as pictures, av.open(str(film)) as sounding:
        if not sounding.streams.audio or (pictures.streams.audio and _codec(pictures.streams.audio[0]) in PLAYED):
            return False
    with output_file(view) as temporary, output_errors(view):
        _join(view, film, temporary)
    return True


def _join(view: Path, film: Path, output: Path) -> None:
    with av.open(str(view)) as pictures, av.open(str(film)) as sounding, av.open(str(output), "w", format="mp4") as target:
        copied: Any = target.add_stream_from_template(pictures.streams.video[0])
        encoder: Any = target.add_stream(_ENCODER, rate=sounding.streams.audio[0].rate)
        streams = _copies(pictures, copied), _encoded(sounding, encoder)
        for packet in heapq.merge(*streams, key=lambda packet: packet.dts * packet.time_base):
            target.mux(packet)


def _copies(container: Any, stream: Any) -> Iterator[Any]:
    for packet in container.demux(container.streams.video[0]):
        if packet.size:
            packet.stream = stream
            yield packet


def _encoded(container: Any, encoder: Any) -> Iterator[Any]:
    """Packets of new sound; what is damaged is passed over."""
    for packet in container.demux(container.streams.audio[0]):
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError):
            continue
        for frame in frames:
            yield from encoder.encode(frame)
    yield from encoder.encode(None)


def _codec(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name) if stream.codec_context else ""
