"""Sound that browsers play: for the film that is looked at on the page; the result itself keeps its source's packets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import av.error

from deoldify_video.media.output import output_errors, output_file

PLAYED = ("aac", "mp3", "opus", "flac")  # in MP4, by all browsers
_ENCODER = "aac"


def make_audible(film: Path) -> bool:
    """Encode the first sound stream of the MP4 `film` anew where browsers would not play it; returns whether that was needed.

    Pictures are copied. Raises `OutputError`.
    """
    with av.open(str(film)) as source:
        if not source.streams.audio or _codec(source.streams.audio[0]) in PLAYED:
            return False
    with output_file(film) as temporary, output_errors(film):
        _copy(film, temporary)
    return True


def _copy(film: Path, output: Path) -> None:
    with av.open(str(film)) as source, av.open(str(output), "w", format="mp4") as target:
        pictures, sound = source.streams.video[0], source.streams.audio[0]
        copied: Any = target.add_stream_from_template(pictures)
        encoder: Any = target.add_stream(_ENCODER, rate=sound.rate)
        for packet in source.demux(pictures, sound):
            if packet.stream_index == sound.index:
                target.mux(_encoded(packet, encoder))
            elif packet.size:
                packet.stream = copied
                target.mux(packet)
        target.mux(encoder.encode(None))


def _encoded(packet: Any, encoder: Any) -> list[Any]:
    """The encoder's packets for a packet of sound; a damaged one is passed over."""
    try:
        frames = packet.decode()
    except (av.error.FFmpegError, ValueError):
        return []
    return [encoded for frame in frames for encoded in encoder.encode(frame)]


def _codec(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name) if stream.codec_context else ""
