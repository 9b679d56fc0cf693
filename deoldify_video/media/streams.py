"""Asks a container before any work is done whether it can hold a stream: every one is offered to it, headers only."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import av.error

from deoldify_video.errors import UsageError
from deoldify_video.media.formats import CONTAINERS
from deoldify_video.media.languages import three_letter_language
from deoldify_video.media.probe import MediaInfo, film_stream, is_cover_art

# FFmpeg writes anything into a transport stream, as private data that no player shows.
TRANSPORT_CODECS = (
    "h264",
    "hevc",
    "mpeg1video",
    "mpeg2video",
    "mp2",
    "mp3",
    "aac",
    "ac3",
    "eac3",
    "dts",
    "opus",
    "dvb_subtitle",
)
# Written anew by whoever writes the file.
OUTDATED_TAGS = ("DURATION", "ENCODER", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "VENDOR_ID")
# Cover art as a file, by codec: the ending of its name, its kind.
PICTURE_FILES = {
    "png": ("png", "image/png"),
    "mjpeg": ("jpg", "image/jpeg"),
    "bmp": ("bmp", "image/bmp"),
    "gif": ("gif", "image/gif"),
}
ANY_LANGUAGE = ("matroska", "webm")  # formats whose language tags may be of any kind
WITH_CHAPTERS = ("mp4", "mov", "matroska", "webm")
WITH_VARIABLE_RATE = ("mp4", "mov", "matroska", "webm", "mpegts")


def container_format(output: Path) -> str:
    """FFmpeg's format for an output name; raises `UsageError` for an ending that is no film."""
    try:
        return CONTAINERS[output.suffix.lower()]
    except KeyError:
        raise UsageError(f"{output.name} has no ending of a film; use one of {', '.join(CONTAINERS)}.") from None


def check_container(info: MediaInfo, output: Path, codec: str) -> None:
    """Refuse, before any work is done, a container that cannot hold the new picture stream, or anything that is to be copied.

    Raises `UsageError` that names what does not fit and a container that holds it.
    """
    name = container_format(output)
    if not holds_codec(name, codec):
        raise UsageError(f"{output.suffix} cannot hold {codec}; write to .mkv instead.")
    if info.chapters and name not in WITH_CHAPTERS:
        raise UsageError(f"{output.suffix} cannot hold the film's {info.chapters} chapters; write to .mkv instead.")
    with av.open(str(info.path), metadata_errors="replace") as source:
        film = film_stream(source)
        for stream in source.streams:
            if film is not None and stream.index != film.index and stream.type != "data" and not can_hold(name, stream):
                what = _in_words(info, stream)
                raise UsageError(f"{output.suffix} cannot hold {what}, which the film has; write to .mkv instead.")


def _in_words(info: MediaInfo, stream: Any) -> str:
    if stream.type == "attachment":
        return "an attached file"
    known = next((s for s in info.streams if s.index == stream.index), None)
    what = "cover art" if is_cover_art(stream) else f"a stream of {stream.type}"
    return f"{what} ({known.codec})" if known and known.codec != "unknown" else what


def check_rate(output: Path, *, constant: bool) -> None:
    """Refuse a container that can only hold frames of even length, for a film whose frames are not."""
    if not constant and container_format(output) not in WITH_VARIABLE_RATE:
        raise UsageError(f"{output.suffix} cannot hold the film's variable frame rate; write to .mkv instead.")


def can_hold(format_name: str, stream: Any) -> bool:
    """Whether a container of this format takes a copy of `stream`: tried, with a header in memory."""
    if stream.type == "attachment":
        return format_name == "matroska"
    if is_cover_art(stream) and format_name in ("matroska", "webm", "avi", "mpegts"):
        return format_name == "matroska" and _codec(stream) in PICTURE_FILES
    if format_name == "mpegts" and (stream.codec_context is None or _codec(stream) not in TRANSPORT_CODECS):
        return False
    try:
        with av.open(io.BytesIO(), "w", format=format_name) as trial:
            add_copy(trial, stream)
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def add_copy(target: Any, stream: Any) -> Any:
    """Add a stream to `target` that takes the packets of `stream` as they are, with its language, title and disposition.

    None where the data is in the header and no packets are to follow: Matroska's cover art is an attached file.
    """
    if is_cover_art(stream) and target.format.name == "matroska":
        extension, kind = PICTURE_FILES[_codec(stream)]
        with av.open(stream.container.name, metadata_errors="replace") as source:
            picture = next(packet for packet in source.demux(source.streams[stream.index]) if packet.size)
            tags = stream.metadata
            target.add_attachment(tags.get("filename", f"cover.{extension}"), tags.get("mimetype", kind), bytes(picture))
        return None
    copy = target.add_stream_from_template(stream, opaque=True)
    if stream.time_base:
        copy.time_base = stream.time_base
    copy.disposition = stream.disposition
    copy.metadata.update(kept_tags(stream.metadata, target.format.name))
    return copy


def kept_tags(metadata: dict[str, str], format_name: str) -> dict[str, str]:
    """Tags that still hold in a new file: what the old file said about itself is left out, an MP4 track's `name` is a title."""
    tags = {key: value for key, value in metadata.items() if key.upper() not in OUTDATED_TAGS}
    if "name" in tags:
        tags.setdefault("title", tags["name"])
    if "language" in tags and format_name not in ANY_LANGUAGE:
        tags["language"] = three_letter_language(tags["language"])
    return tags


def _codec(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name)


def holds_codec(format_name: str, codec: str) -> bool:
    """Whether files of a format, by its name in FFmpeg, may hold pictures of `codec`, one of `options.CODECS`."""
    if format_name == "mpegts":
        return codec in TRANSPORT_CODECS
    with av.open(io.BytesIO(), "w", format=format_name) as container:
        return codec in container.supported_codecs
