"""Reads a finished film back and compares it with its source: every frame at its time, its shape, other streams bit for bit."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from deoldify_video.errors import InputError
from deoldify_video.media.copies import samples
from deoldify_video.media.decode import FilmReader, output_is_full_range
from deoldify_video.media.mux import MuxStats, Span, copied_packets
from deoldify_video.media.probe import BOTTOM_FIRST, MediaInfo, VideoInfo, film_stream, is_cover_art, probe
from deoldify_video.media.reading import PacketReader
from deoldify_video.options import DecodeOptions

ADTS_SYNC = 0xFFF  # transport streams carry AAC with a header of its own on every packet
ASPECT_TOLERANCE = Fraction(1, 1000)  # H.264 and HEVC have sixteen bits for each side of the pixel aspect
UNSPECIFIED = (0, 2)  # of FFmpeg's numbers of primaries and transfers (libavutil/pixfmt.h)
WITH_LENGTH = (
    "mov",
    "mp4",
)  # formats that note down how long the last picture shows; FFmpeg calls the one it reads "mov,mp4,..."
COMPARED = ("video", "audio", "subtitle", "cover art", "attachment")


@dataclass(frozen=True)
class StreamVerdict:
    """One copied stream: how many packets it has and should have, and whether they hold the same bytes."""

    kind: str
    codec: str
    packets: int
    expected_packets: int
    same_bytes: bool


@dataclass(frozen=True)
class Verdict:
    """The result of the comparison. `problems` are sentences, none when all is well.

    `worst_stamp_s` is how far the stamp of a frame lies from where it should be, `shift_s` by how much all streams together begin
    later than in the source (some containers begin at zero). `duration_s` and `expected_duration_s` are the length of the picture;
    only MP4 says how long the last frame shows, other films end with that frame's stamp.
    """

    frames: int
    expected_frames: int
    worst_stamp_s: float
    shift_s: float
    duration_s: float
    expected_duration_s: float
    streams: list[StreamVerdict] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the film is what it should be."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"ok": self.ok} | asdict(self)


@dataclass
class _StreamRecord:
    """A stream as it was read: its packets' stamps in seconds, its length where the header has one, a hash over its packets' bytes."""

    kind: str
    codec: str
    tick_s: float
    stamps_s: array[float] = field(default_factory=lambda: array("d"))
    length_s: float = 0.0
    packets: int = 0
    digest: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def add(self, packet: av.Packet) -> None:
        data = _payload(packet, self.codec)
        if not data or (self.kind == "subtitle" and not any(data)):  # MP4 fills the gaps between subtitles with empty ones
            return
        self.packets += 1
        self.digest.update(data)
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None:
            self.stamps_s.append(float(stamp * Fraction(packet.time_base)))


def verify_film(
    info: MediaInfo,
    output: Path,
    options: DecodeOptions,
    written: tuple[Sequence[int], int] | None = None,
    left_out: Collection[int] = (),
) -> Verdict:
    """Compare the film `output` with its source.

    `options` say which part of the source was wanted; streams of the numbers `left_out` are not expected. `written` are the stamps of
    the frames that were written and the end of the last one, in the source's time base; None takes them from the source.

    Raises `InputError` when one of the files cannot be read.
    """
    video, new = info.video, probe(output)
    pictures, records = _read(new)
    pts, end = written or source_pts(info, options, pictures.packets)
    span = Span.of(options, pts, end, video.time_base)
    base = float(video.time_base)
    expected = [(stamp - round(span.start / video.time_base)) * base for stamp in pts]
    found = sorted(pictures.stamps_s)
    problems: list[str] = []
    shift = found[0] - expected[0] if found and expected else 0.0
    worst = max((abs(a - b - shift) for a, b in zip(found, expected, strict=False)), default=0.0)
    tolerance = 1.01 * max(base, pictures.tick_s)
    duration, wanted = pictures.length_s or (found[-1] - found[0] if found else 0.0), (end - pts[0]) * base if pts else 0.0
    if len(found) != len(expected):
        problems.append(f"it has {len(found)} frames instead of {len(expected)}.")
    elif worst > tolerance:
        problems.append(f"its frames are up to {worst:.3f} s away from their time.")
    elif found and new.format_name.startswith(WITH_LENGTH) and abs(duration - wanted) > tolerance:
        problems.append(f"its picture lasts {duration:.3f} s instead of {wanted:.3f} s.")
    problems += compare_pictures(info, new, deinterlaced=options.deinterlace)
    streams = []
    originals = _read_copied(info, span, left_out)
    for kind in COMPARED:
        # A track without a packet holds nothing that could be lost, and is not written by every muxer.
        old, copies = (
            [t for t in group if t.kind == kind and (t.packets or kind == "attachment")] for group in (originals, records)
        )
        if len(old) != len(copies):
            problems.append(f"it has {len(copies)} streams of {kind} instead of {len(old)}.")
        for before, after in zip(old, copies, strict=False):
            streams.append(_compare(before, after, shift, problems))
    return Verdict(len(found), len(expected), worst, shift, duration, wanted, streams, problems)


def compare_pictures(old: MediaInfo, new: MediaInfo, *, deinterlaced: bool) -> list[str]:
    """How a film shows otherwise than its source, as sentences: pixel aspect, turning, mirroring, colour tags, order of fields."""
    before, after = old.video, new.video
    problems = []
    if abs(after.sar / before.sar - 1) > ASPECT_TOLERANCE:
        problems.append(f"its pixel aspect is {after.sar} instead of {before.sar}.")
    if (after.rotation_deg, after.mirrored) != (before.rotation_deg, before.mirrored):
        problems.append(f"it is {_turned(after)} instead of {_turned(before)}.")
    if after.colorspace != before.colorspace:
        problems.append(f"its colour matrix is {after.matrix} instead of {before.matrix}.")
    if after.full_range != output_is_full_range(before):
        problems.append("its range of codes is another one.")
    for name in ("color_primaries", "color_trc"):
        if getattr(before, name) not in UNSPECIFIED and getattr(after, name) != getattr(before, name):
            problems.append(f"its tag {name} is {getattr(after, name)} instead of {getattr(before, name)}.")
    order = 0 if deinterlaced else before.field_order
    if (order == 0, order in BOTTOM_FIRST) != (after.field_order == 0, after.field_order in BOTTOM_FIRST):
        problems.append(f"it is {_fields(after.field_order)} instead of {_fields(order)}.")
    return problems


def _turned(video: VideoInfo) -> str:
    return f"turned by {video.rotation_deg} degrees" + (" and mirrored" if video.mirrored else "")


def _fields(order: int) -> str:
    if not order:
        return "kept as whole pictures"
    return f"interlaced with the {'bottom' if order in BOTTOM_FIRST else 'top'} field first"


def source_pts(info: MediaInfo, options: DecodeOptions, frames: int) -> tuple[list[int], int]:
    """When the frames of a film show and when the last one ends, in its time base.

    Taken from its packets; where these are not `frames` many, or not all stamped, the film is decoded to know.
    """
    pts: set[int] = set()
    count, end = 0, 0
    with av.open(str(info.path), metadata_errors="replace") as container:
        for packet in PacketReader(container, film_stream(container)):
            if packet.size == 0:
                continue
            if packet.pts is not None:
                pts.add(packet.pts)
                end = max(end, packet.pts + (packet.duration or 0))
            count += 1
    whole = not options.start_s and options.end_s is None
    if whole and len(pts) == count == frames:
        return sorted(pts), end
    reader = FilmReader(info, options, (16, 16))
    stamps = [frame.pts for frame in reader]
    return stamps, stamps[-1] + reader.stats.last_duration


def _compare(before: _StreamRecord, after: _StreamRecord, shift: float, problems: list[str]) -> StreamVerdict:
    """Compare a copied stream with its original; `shift` is the picture's, which it has to share."""
    same = before.digest.digest() == after.digest.digest()
    what = f"a stream of {before.kind} ({before.codec})"
    if not same:
        problems.append(f"{what} does not hold the same data: {after.packets} packets, {before.packets} in the source.")
    elif before.kind in ("audio", "subtitle") and before.stamps_s and after.stamps_s:
        drift = after.stamps_s[0] - before.stamps_s[0] - shift, after.stamps_s[-1] - before.stamps_s[-1] - shift
        # Containers may cut packets otherwise (PCM): only the first and, where there are as many, the last are compared.
        worst = max(map(abs, drift if before.packets == after.packets else drift[:1]))
        if worst > 2.01 * max(before.tick_s, after.tick_s):
            problems.append(f"{what} is {worst:.3f} s out of sync.")
    return StreamVerdict(before.kind, before.codec, after.packets, before.packets, same)


def _read(info: MediaInfo) -> tuple[_StreamRecord, list[_StreamRecord]]:
    """All packets of a film as they are: the picture's, and those of the other streams."""
    with av.open(str(info.path), metadata_errors="replace") as container:
        film = film_stream(container)
        if film is None:
            raise InputError("has no pictures in it any more", path=info.path)
        records = {stream.index: _record(stream) for stream in container.streams}
        for packet in PacketReader(container):
            if info.format_name == "avi" and packet.dts is not None:
                packet.pts = (
                    packet.dts
                )  # AVI keeps no other stamps; those to show by are guessed from H.264's, a frame too late
            records[packet.stream_index].add(packet)
        picture = records.pop(film.index)
    return picture, list(records.values())


def _read_copied(info: MediaInfo, span: Span, left_out: Collection[int]) -> list[_StreamRecord]:
    """The streams that are copied, as `write_film` reads them."""
    with av.open(str(info.path), metadata_errors="replace") as source:
        others = [stream for stream in source.streams if stream.index != info.video.index and stream.index not in left_out]
        records = {stream.index: _record(stream) for stream in others}
        for packet in copied_packets(source, others, span, MuxStats()):
            records[packet.stream_index].add(packet)
    return list(records.values())


def _record(stream: Any) -> _StreamRecord:
    kind = "cover art" if is_cover_art(stream) else stream.type
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else stream.type
    base = float(stream.time_base or 0)
    record = _StreamRecord(kind, codec, base, length_s=(getattr(stream, "duration", None) or 0) * base)
    if kind == "attachment":
        record.digest.update(stream.data)
    return record


def _payload(packet: av.Packet, codec: str) -> bytes:
    """The data of a packet, whatever the container puts around it; of PCM the samples, however they are packed."""
    data = bytes(packet)
    if codec.startswith("pcm_"):
        try:
            return samples(packet.stream, packet)
        except (av.error.FFmpegError, ValueError):
            return data
    if codec == "aac" and len(data) > 7 and (data[0] << 4 | data[1] >> 4) == ADTS_SYNC:
        return data[7 if data[1] & 1 else 9 :]
    return data
