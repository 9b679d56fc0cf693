"""Asks a container before any work is done whether it can hold a stream: every one is offered to FFmpeg's muxer."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import av
import av.error

from deoldify_video.errors import UsageError
from deoldify_video.media.copies import add_copy, codec_of, converter, is_unpacked
from deoldify_video.media.encode import CODECS, write_black_picture
from deoldify_video.media.files import output_errors
from deoldify_video.media.formats import CONTAINERS
from deoldify_video.media.matroska import Edit, edit_tracks
from deoldify_video.media.probe import MediaInfo, is_cover_art
from deoldify_video.media.reading import PacketReader

WITH_CHAPTERS = ("mp4", "mov", "matroska", "webm")
SUGGESTED = (".mkv", ".mov", ".mp4", ".ts", ".avi")  # endings, in the order in which they are tried
READ_AS = {"mp4": "mov", "webm": "matroska"}  # FFmpeg's readers of formats whose writers are called otherwise
_LOOKED_AT = 2000  # packets, for the first ones of a stream
_ENOUGH = 12  # of them
Fits: TypeAlias = Callable[[Path, str, bool], bool]  # whether all goes well with an output, a codec, and streams left out
WITH_VARIABLE_RATE = ("mp4", "mov", "matroska", "webm", "mpegts")


def container_format(output: Path) -> str:
    """FFmpeg's format for an output name; raises `UsageError` for an ending that is no film."""
    try:
        return CONTAINERS[output.suffix.lower()]
    except KeyError:
        raise UsageError("has no ending of a film", path=output, remedy=f"use one of {', '.join(CONTAINERS)}") from None


def check_container(info: MediaInfo, output: Path, codec: str, *, drop_streams: bool = False) -> None:
    """Refuse, before any work is done, a container that cannot hold the new picture stream, or anything that is to be copied.

    With `drop_streams` only the pictures count. Raises `UsageError` that names what does not fit, and a way out that was tried.
    """
    problem = misfit(info, container_format(output), codec, drop_streams=drop_streams)
    if problem:
        raise UsageError(
            f"{output.suffix} cannot hold {problem}", remedy=way_out(info, output, codec, drop_streams=drop_streams)
        )


def misfit(info: MediaInfo, format_name: str, codec: str, *, drop_streams: bool = False) -> str:
    """The parts of a film that do not fit a format, in words; "" where all does. With `drop_streams` only the pictures count."""
    if not holds_codec(format_name, codec):
        return codec
    if info.chapters and format_name not in WITH_CHAPTERS:
        return f"the film's {info.chapters} chapters"
    if drop_streams:
        return ""
    with av.open(str(info.path), metadata_errors="replace") as source:
        for stream in source.streams:
            if stream.type != "data" and stream.index != info.video.index and not can_hold(format_name, stream):
                return f"{in_words(stream)}, which the film has"
    return ""


def way_out(info: MediaInfo, output: Path, codec: str, *, drop_streams: bool = False, fits: Fits | None = None) -> str:
    """Advice for a film that does not fit into `output`: a codec that the container holds, a container that holds the film, or
    to leave streams out. Each is tried first: by headers and first packets, and by `fits`, which is given a name and the options.
    """

    def is_good(suffix: str, codec: str, drop_streams: bool) -> bool:
        if misfit(info, CONTAINERS[suffix], codec, drop_streams=drop_streams):
            return False
        return fits is None or fits(output.with_suffix(suffix), codec, drop_streams)

    own = output.suffix.lower()
    ways = []
    if not holds_codec(container_format(output), codec):
        ways += [f"use --codec {other}" for other in CODECS if is_good(own, other, drop_streams)][:1]
    ways += [f"write to {suffix} instead" for suffix in SUGGESTED if suffix != own and is_good(suffix, codec, drop_streams)][:1]
    if not ways and not drop_streams:
        holding = [suffix for suffix in (own, *SUGGESTED) if is_good(suffix, codec, True)][:1]
        ways += [
            "use --drop-streams to leave it out" + ("" if own in holding else f", and write to {holding[0]}") for _ in holding
        ]
    return ", or ".join(ways) or "no container holds it"


def in_words(stream: Any) -> str:
    """A stream for people: its kind, its codec, and which of its kind it is where there are several."""
    if stream.type == "attachment":
        return f"the attached file {stream.metadata.get('filename', '')}".rstrip()
    if is_cover_art(stream):
        return f"cover art ({codec_of(stream)})"
    alike = [one.index for one in stream.container.streams if one.type == stream.type and not is_cover_art(one)]
    number = f" number {alike.index(stream.index) + 1}" if len(alike) > 1 else ""
    return f"a stream of {stream.type}{number} ({codec_of(stream)})"


def keeps_order(format_name: str) -> bool:
    """Whether a format can note down that pictures are coded in another order than they show; AVI counts them."""
    return format_name != "avi"


def check_rate(output: Path, *, constant: bool) -> None:
    """Refuse a container that can only hold frames of even length, for a film whose frames are not."""
    if not constant and container_format(output) not in WITH_VARIABLE_RATE:
        raise UsageError(f"{output.suffix} cannot hold the film's variable frame rate", remedy="write to .mkv instead")


def is_carried_otherwise(stream: Any) -> bool:
    """QuickTime keeps chapters and time codes as tracks of data; the muxer makes those anew from chapters and metadata."""
    if stream.type != "data":
        return False
    return "timecode" in stream.metadata or (stream.name == "bin_data" and bool(stream.container.chapters()))


def not_held(info: MediaInfo, format_name: str) -> frozenset[int]:
    """The numbers of the streams of a film that a container cannot hold, data among them."""
    with av.open(str(info.path), metadata_errors="replace") as source:
        others = [stream for stream in source.streams if stream.index != info.video.index and not is_carried_otherwise(stream)]
        return frozenset(stream.index for stream in others if not can_hold(format_name, stream))


def can_hold(format_name: str, stream: Any) -> bool:
    """Whether a container of this format takes a copy of `stream`: FFmpeg's muxer is given its header and its first packets, in
    memory, and what it makes of them is read back. (Some write anything as private data, that no player shows.)
    """
    memory, edits = io.BytesIO(), dict[int, Edit]()
    try:
        packets = _first_packets(stream)
        with av.open(memory, "w", format=format_name) as trial:
            copy = add_copy(trial, stream, edits)
            trial.start_encoding()
            if copy is not None:
                convert = converter(format_name, stream, copy)
                for packet in packets:
                    trial.mux(convert(packet))
        if stream.type == "attachment" or copy is None:  # in the header, without which there is nothing to be read
            return bytes(packets[0] if packets else stream.data) in memory.getvalue()
        if edits:
            edit_tracks(memory.getbuffer(), edits)
        memory.seek(0)
        with av.open(memory, format=READ_AS.get(format_name, format_name), metadata_errors="replace") as result:
            found = [(one.type, _family(codec_of(one)), is_cover_art(one)) for one in result.streams]
    except (av.error.FFmpegError, ValueError, KeyError):
        return False
    codec = codec_of(copy if is_unpacked(stream, copy) else stream)
    return not packets or (stream.type, _family(codec), is_cover_art(stream)) in found


def _family(codec: str) -> str:
    """The layers of MPEG sound have one name in transport streams and MP4; their frames say which they are."""
    return "mp3" if codec in ("mp1", "mp2") else codec


def _first_packets(stream: Any) -> list[av.Packet]:
    """A stream's first packets as if they were at the film's beginning, enough to know it by; none where it has none among the first of
    the file.
    """
    found: list[av.Packet] = []
    if stream.type == "attachment":
        return found
    with av.open(stream.container.name, metadata_errors="replace") as source:
        for packet in islice(PacketReader(source), _LOOKED_AT):
            if packet.stream_index == stream.index and packet.size:
                packet.duration = packet.duration or 1
                packet.pts = packet.dts = sum(one.duration or 0 for one in found)
                found.append(packet)
                if len(found) == _ENOUGH:
                    break
    return found


@lru_cache
def holds_codec(format_name: str, codec: str) -> bool:
    """Whether files of a format, by its name in FFmpeg, hold pictures of `codec`, one of `options.CODECS`: tried with a black one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "black.mkv"
        with output_errors(Path(folder).parent):
            write_black_picture(path, codec)
        with av.open(str(path)) as source:
            return can_hold(format_name, source.streams.video[0])
