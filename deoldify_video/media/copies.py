"""Copies of streams: how a stream of the film becomes one of the output, and its packets those that the container takes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import av
import av.error
import numpy as np
from av.bitstream import BitStreamFilterContext, bitstream_filters_available

from deoldify_video.media.languages import three_letter_language
from deoldify_video.media.matroska import Edit, room, sound_of_windows
from deoldify_video.media.probe import is_cover_art

# Written anew by whoever writes the file.
OUTDATED_TAGS = ("DURATION", "ENCODER", "MAJOR_BRAND", "MINOR_VERSION", "COMPATIBLE_BRANDS", "VENDOR_ID")
# Cover art as a file, by codec: the ending of its name, its kind.
PICTURE_FILES = {
    "png": ("png", "image/png"),
    "mjpeg": ("jpg", "image/jpeg"),
    "bmp": ("bmp", "image/bmp"),
    "gif": ("gif", "image/gif"),
}
# Plain PCM by the format of decoded samples; what is packed has at most 24 bits.
PLAIN_PCM = {"u8": "pcm_u8", "s16": "pcm_s16le", "s32": "pcm_s24le", "flt": "pcm_f32le", "dbl": "pcm_f64le"}
STAND_IN = "pcm_u8"  # what a stream is called while it is written, where an edit gives it its own name
ANY_LANGUAGE = ("matroska", "webm")  # formats whose language tags may be of any kind


def codec_of(stream: Any) -> str:
    """A stream's codec by its own name: a decoder may be called otherwise (mp3float, libdav1d)."""
    return str(stream.codec_context.codec.canonical_name if stream.codec_context else getattr(stream, "name", None))


def add_copy(target: Any, stream: Any, edits: dict[int, Edit]) -> Any:
    """Add a stream to `target` that takes the packets of `stream` as they are, with its language, title and disposition.

    `edits` gets what is to be changed in the file when it is finished (`media/matroska.py`): sound that Matroska has no name of its
    own for is described as Windows does, which PyAV does not offer. PCM of a kind that the container has no name for, such as that of
    DVDs and Blu-rays, becomes plain PCM of the same samples.

    None where the data is in the header and no packets are to follow: Matroska's cover art is an attached file.
    """
    if is_cover_art(stream) and target.format.name == "matroska":
        extension, kind = PICTURE_FILES[codec_of(stream)]
        with av.open(stream.container.name, metadata_errors="replace") as source:
            picture = next(packet for packet in source.demux(source.streams[stream.index]) if packet.size)
            tags = stream.metadata
            target.add_attachment(tags.get("filename", f"cover.{extension}"), tags.get("mimetype", kind), bytes(picture))
        return None
    edit = None
    try:
        copy = target.add_stream_from_template(stream, opaque=True)
    except ValueError:  # PyAV asks for what a format holds by itself
        if stream.type != "audio":
            raise
        edit = _windows_edit(target.format.name, stream)
        codec = STAND_IN if edit else _plain_pcm(stream)
        if codec is None:
            raise
        copy = target.add_stream(codec, rate=stream.codec_context.sample_rate, layout=stream.codec_context.layout.name)
    if stream.time_base:
        copy.time_base = stream.time_base
    copy.disposition = stream.disposition
    copy.metadata.update(kept_tags(stream.metadata, target.format.name))
    if edit:
        plan_edit(copy, edits, edit)
    return copy


def _windows_edit(format_name: str, stream: Any) -> Edit | None:
    if format_name != "matroska":
        return None
    try:
        return sound_of_windows(wave_format(stream))
    except (av.error.FFmpegError, ValueError):
        return None


def is_unpacked(stream: Any, copy: Any) -> bool:
    """Whether PCM of a kind of its own has become plain PCM in `copy`."""
    return codec_of(copy) == _plain_pcm(stream) != codec_of(stream)


def _plain_pcm(stream: Any) -> str | None:
    """The plain PCM whose samples are those of a stream of any PCM; None for other codecs."""
    codec = codec_of(stream)
    if stream.type != "audio" or not codec.startswith("pcm_"):
        return None
    name = stream.codec_context.format.name.removesuffix("p")
    return "pcm_s32le" if codec.startswith("pcm_s32") else PLAIN_PCM.get(name)


def samples(stream: Any, packet: av.Packet) -> bytes:
    """The samples of a packet of `stream`, which is PCM, as plain PCM has them, little-endian; those of 24 bits have three bytes."""
    blocks = []
    three_bytes = _plain_pcm(stream) == "pcm_s24le"
    for frame in stream.codec_context.decode(packet):
        values = frame.to_ndarray()
        values = values.T if frame.format.is_planar else values  # channels beside each other
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).view(np.uint8)
        blocks.append(little.reshape(-1, 4)[:, 1:].tobytes() if three_bytes else little.tobytes())
    return b"".join(blocks)


def plan_edit(stream: Any, edits: dict[int, Edit], edit: Edit) -> None:
    """Make room for `edit` in the name of a Matroska track that is to be written, and add it to `edits`."""
    edits[stream.index] = edit
    stream.metadata["title"] = stream.metadata.get("title", "") + room(stream.index, edit)


def wave_format(stream: Any) -> bytes:
    """The WAVEFORMATEX of a stream of sound, as FFmpeg writes it into a WAV file. Raises `ValueError` and PyAV's where it has none."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="wav") as target:
        target.add_stream_from_template(stream, opaque=True)
        target.start_encoding()
    data = memory.getvalue()
    start = data.index(b"fmt ") + 8
    return data[start : start + int.from_bytes(data[start - 4 : start], "little")]


def converter(format_name: str, stream: Any, copy: Any) -> Callable[[av.Packet], list[av.Packet]]:
    """Makes packets of `stream` into those that its `copy` in a container takes: AVI holds H.264 and HEVC with start codes in the
    stream, other containers have lengths instead, and the codec's headers apart; PCM may have become plain PCM.
    """
    name = f"{codec_of(stream)}_mp4toannexb"
    needed = format_name == "avi" and name in bitstream_filters_available
    start_codes = BitStreamFilterContext(name, stream, copy) if needed else None
    unpacks = is_unpacked(stream, copy)

    def convert(packet: av.Packet) -> list[av.Packet]:
        time_base = packet.time_base
        packets = start_codes.filter(packet) if start_codes else [_plain(stream, packet) if unpacks else packet]
        for made in packets:
            made.stream, made.time_base = copy, time_base
        return packets

    return convert


def _plain(stream: Any, packet: av.Packet) -> av.Packet:
    plain = av.Packet(samples(stream, packet))
    plain.pts, plain.dts, plain.duration, plain.is_keyframe = packet.pts, packet.dts, packet.duration, True
    return plain


def kept_tags(metadata: dict[str, str], format_name: str) -> dict[str, str]:
    """Tags that still hold in a new file: what the old file said about itself is left out, an MP4 track's `name` is a title."""
    tags = {key: value for key, value in metadata.items() if key.upper() not in OUTDATED_TAGS}
    if "name" in tags:
        tags.setdefault("title", tags["name"])
    if "language" in tags and format_name not in ANY_LANGUAGE:
        tags["language"] = three_letter_language(tags["language"])
    return tags
