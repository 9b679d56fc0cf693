"""Puts the finished film together: encoded parts with their true stamps, every other stream copied packet by packet."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from deoldify_video.errors import InputError, UsageError
from deoldify_video.media.output import output_errors
from deoldify_video.media.probe import MediaInfo, film_stream
from deoldify_video.media.timing import decode_stamps

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".avi": "avi",
    ".webm": "webm",
    ".ts": "mpegts",
}


def container_format(output: Path) -> str:
    """FFmpeg's format for an output name; raises `UsageError` for an ending that is no film."""
    try:
        return CONTAINERS[output.suffix.lower()]
    except KeyError:
        raise UsageError(f"{output.name} has no ending of a film; use one of {', '.join(CONTAINERS)}.") from None


def check_container(info: MediaInfo, output: Path, codec: str) -> None:
    """Refuse, before any work is done, a container that cannot hold the new picture stream or one that is to be copied."""
    name = container_format(output)
    if name == "mpegts":  # FFmpeg has no list for it, and copies what it does not know as private data
        return
    with av.open(io.BytesIO(), "w", format=name) as container:
        known = container.supported_codecs
    wanted = [codec] + [s.codec for s in info.streams if s.index != info.video.index and s.kind in ("audio", "subtitle")]
    for stream in wanted:
        if stream not in known:
            raise UsageError(f"{output.suffix} cannot hold {stream}; write to .mkv instead.")


@dataclass(frozen=True)
class EncodedFilm:
    """The picture stream, encoded: its parts in order, the true stamp of every frame, and how long the last one shows.

    `delay` is the number of frames that the encoder held back; stamps and `last_duration` are in the film's time base.
    """

    parts: Sequence[Path]
    pts: Sequence[int]
    delay: int
    step: int
    last_duration: int


def write_film(
    info: MediaInfo, film: EncodedFilm, output: Path, format_name: str, *, span: tuple[Fraction, Fraction | None]
) -> None:
    """Write `output`: the encoded picture stream in the place of the source's, all other streams copied as they are.

    `span` is the wanted part of the film in seconds of its own time; where it does not begin at the film's beginning, all stamps
    are moved so that the output begins at zero. Raises `OutputError` and `InputError`.
    """
    start, end = span
    with (
        av.open(str(info.path), metadata_errors="replace") as source,
        output_errors(output),
        av.open(str(output), "w", format=format_name) as target,
    ):
        picture = film_stream(source)
        if picture is None:
            raise InputError(f"{info.path} changed while it was worked on.")
        with av.open(str(film.parts[0])) as first:
            streams = {
                stream.index: _add_picture(target, first, info) if stream.index == picture.index else _add_copy(target, stream)
                for stream in source.streams
            }
        target.metadata.update(source.metadata)
        offset = start if start > 0 else Fraction(0)
        pictures = _picture_packets(film, info.video.time_base, offset)
        pending = next(pictures, None)
        others = [s for s in source.streams if streams.get(s.index) is not None and s.index != picture.index]
        for packet in _copied_packets(source, others, offset, end):
            while pending is not None and _seconds(pending) <= _seconds(packet):
                pending.stream = streams[picture.index]
                target.mux(pending)
                pending = next(pictures, None)
            packet.stream = streams[packet.stream_index]
            target.mux(packet)
        while pending is not None:
            pending.stream = streams[picture.index]
            target.mux(pending)
            pending = next(pictures, None)


def _add_picture(target: Any, part: Any, info: MediaInfo) -> Any:
    stream = target.add_stream_from_template(part.streams.video[0], opaque=True)
    stream.time_base = info.video.time_base
    stream.sample_aspect_ratio = info.video.sar
    if info.video.rotation_deg:
        stream.set_display_rotation(info.video.rotation_deg)
    return stream


def _add_copy(target: Any, stream: Any) -> Any:
    copy = target.add_stream_from_template(stream)
    copy.time_base = stream.time_base
    copy.metadata.update(stream.metadata)
    return copy


def _seconds(packet: av.Packet) -> Fraction:
    return Fraction((packet.dts if packet.dts is not None else packet.pts) or 0) * Fraction(packet.time_base or 0)


def _picture_packets(film: EncodedFilm, time_base: Fraction, offset: Fraction) -> Iterator[av.Packet]:
    """Packets of all parts in decoding order, frame numbers replaced by true stamps."""
    shift = round(offset / time_base)
    stamps = decode_stamps(film.pts, film.delay, film.step)
    first_frame = 0
    for part in film.parts:
        frames = 0
        with av.open(str(part)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size == 0:
                    continue
                number = first_frame + (packet.pts or 0)
                following = film.pts[number + 1] if number + 1 < len(film.pts) else film.pts[number] + film.last_duration
                packet.duration = following - film.pts[number]
                packet.pts, packet.dts = film.pts[number] - shift, next(stamps) - shift
                packet.time_base = time_base
                frames += 1
                yield packet
        first_frame += frames


def _copied_packets(source: Any, streams: list[Any], offset: Fraction, end: Fraction | None) -> Iterator[av.Packet]:
    """Packets of the streams that are copied, those of the wanted span, moved by `offset`."""
    if not streams:
        return
    last_dts: dict[int, int] = {}
    packets = source.demux(*streams)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:  # the film reader has reported that the file breaks off here
            return
        if packet is None:
            return
        if packet.size == 0:
            continue
        base = Fraction(packet.time_base)
        if packet.pts is not None:
            seconds = packet.pts * base
            if (offset and seconds < offset) or (end is not None and seconds >= end):
                continue
        shift = round(offset / base)
        if packet.pts is not None:
            packet.pts -= shift
        # A packet without a decoding stamp is decoded when it shows, or right after the one before it.
        packet.dts = packet.dts - shift if packet.dts is not None else packet.pts
        if packet.dts is None:
            packet.dts = packet.pts = last_dts.get(packet.stream_index, -1) + 1
        last_dts[packet.stream_index] = packet.dts
        yield packet
