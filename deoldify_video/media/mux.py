"""Puts the finished film together: encoded parts with their true stamps, every other stream copied packet by packet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import merge
from pathlib import Path
from typing import Any

import av

from deoldify_video.errors import InputError
from deoldify_video.media.copies import add_copy, codec_of, converter, is_unpacked, kept_tags, plan_edit
from deoldify_video.media.files import output_errors
from deoldify_video.media.matroska import Edit, edit_file, pixel_aspect
from deoldify_video.media.probe import MediaInfo, film_stream, is_cover_art
from deoldify_video.media.reading import PacketReader
from deoldify_video.media.streams import in_words, is_carried_otherwise, not_held
from deoldify_video.media.timing import decode_stamps
from deoldify_video.options import DecodeOptions

WITHOUT_DECODE_STAMPS = ("matroska", "webm")
WITH_EDIT_LISTS = ("mp4", "mov")
_LARGEST_TIMESCALE = (1 << 31) - 1
STATISTICS_TAGS = ("BPS", "NUMBER_OF_", "_STATISTICS")  # mkvmerge's, about the picture stream's old packets


@dataclass(frozen=True)
class EncodedFilm:
    """The picture stream, encoded: its parts in order, the true stamp of every frame, and how long the last one shows.

    `delay` is the number of frames that the encoder held back; stamps and `last_duration` are in the film's time base. `provenance`
    goes into the film's comment.
    """

    segments: Sequence[Path]
    pts: Sequence[int]
    delay: int
    step: int
    last_duration: int
    provenance: str = ""


@dataclass(frozen=True)
class Span:
    """The wanted part of a film in seconds of its own time; where it does not begin at the film's beginning (`start` above 0), the
    output begins at zero.
    """

    start: Fraction = Fraction(0)
    end: Fraction | None = None

    @classmethod
    def of(cls, options: DecodeOptions, pts: Sequence[int], end: int, time_base: Fraction) -> Span:
        """From the first of the wanted frames to the end of the last, where --start and --end were given."""
        return cls(
            pts[0] * time_base if options.start_s and pts else Fraction(0),
            None if options.end_s is None else end * time_base,
        )


@dataclass
class MuxStats:
    """The changes: streams that were left out, by number and in words, and stamps of copied packets that had to be repaired."""

    left_out: dict[int, str] = field(default_factory=dict)
    unpacked: dict[int, str] = field(default_factory=dict)
    repaired_packets: int = 0

    def warnings(self) -> list[str]:
        """The same as sentences."""
        found = [f"{stream} cannot be held by the output's container and was left out." for stream in self.left_out.values()]
        found += self.unpacked.values()
        if self.repaired_packets:
            found.append(f"{self.repaired_packets} packets of sound or subtitles had missing or backward timestamps.")
        return found


def write_film(info: MediaInfo, film: EncodedFilm, output: Path, format_name: str, span: Span) -> MuxStats:
    """Write `output`: the encoded picture stream in the place of the source's, all other streams copied as they are.

    Chapters, languages, titles, dispositions and attachments come along; what the container cannot hold is left out, which is to be
    known before (`streams.check_container`). Raises `OutputError` and `InputError`.
    """
    stats, left_out = MuxStats(), not_held(info, format_name)
    with (
        av.open(str(info.path), metadata_errors="replace") as source,
        output_errors(output),
        av.open(str(output), "w", format=format_name, container_options=_muxer_options(format_name, source)) as target,
        av.open(str(film.segments[0])) as first,
    ):
        picture = film_stream(source)
        if picture is None:
            raise InputError("changed while it was worked on", path=info.path)
        edits: dict[int, Edit] = {}
        converters: dict[int, Callable[[av.Packet], list[av.Packet]]] = {}
        for stream in source.streams:
            if stream.index == picture.index:
                copy = _add_picture(target, first, info, stream, edits)
                if format_name == "avi":  # which counts frames instead of keeping stamps
                    copy.time_base = 1 / info.video.frame_rate
                add_picture = converter(format_name, first.streams.video[0], copy)
            elif stream.index in left_out:
                stats.left_out[stream.index] = in_words(stream)
            elif not is_carried_otherwise(stream) and (copy := add_copy(target, stream, edits)) is not None:
                converters[stream.index] = converter(format_name, stream, copy)
                if is_unpacked(stream, copy):
                    stats.unpacked[stream.index] = f"{in_words(stream)} was unpacked to {codec_of(copy)}, sample for sample."
        _describe(target, source, span, film.provenance)
        strict = format_name not in WITHOUT_DECODE_STAMPS
        pictures = _picture_packets(film, info.video.time_base, span.start, strict=strict)
        copies = copied_packets(source, [s for s in source.streams if s.index in converters], span, stats)
        made_pictures = (made for packet in pictures for made in add_picture(packet))
        made_copies = (made for packet in copies for made in converters[packet.stream_index](packet))
        for packet in merge(made_pictures, made_copies, key=_seconds):
            target.mux(packet)
    if edits:
        edit_file(output, edits)
    return stats


def _add_picture(target: Any, segment: Any, info: MediaInfo, source: Any, edits: dict[int, Edit]) -> Any:
    stream = target.add_stream_from_template(segment.streams.video[0], opaque=True)
    stream.time_base = info.video.time_base
    stream.sample_aspect_ratio = info.video.sar
    stream.disposition = source.disposition
    tags = kept_tags(source.metadata, target.format.name)
    stream.metadata.update({key: value for key, value in tags.items() if not key.upper().startswith(STATISTICS_TAGS)})
    if info.video.rotation_deg or info.video.mirrored:
        stream.set_display_rotation(info.video.rotation_deg, hflip=info.video.mirrored)
    if target.format.name in WITHOUT_DECODE_STAMPS and info.video.sar != 1:
        plan_edit(stream, edits, pixel_aspect(info.video.sar, info.video.width, info.video.height))
    return stream


def _muxer_options(format_name: str, source: Any) -> dict[str, str]:
    """MP4 notes down where tracks begin and end in a time scale of the whole film, by default milliseconds: here one that every
    track's stamps fit into, or at least a microsecond.
    """
    if format_name not in WITH_EDIT_LISTS:
        return {}
    bases = [Fraction(stream.time_base).denominator for stream in source.streams if stream.time_base]
    rates = [stream.codec_context.sample_rate for stream in source.streams.audio if stream.codec_context]
    exact = math.lcm(*bases, *filter(None, rates))
    return {"movie_timescale": str(exact if exact <= _LARGEST_TIMESCALE else 1_000_000)}


def _frame_ticks(stream: Any, base: Fraction) -> int:
    """How long a frame of sound lasts, for codecs whose frames are all alike; 0 where that is not known."""
    context = stream.codec_context
    if stream.type != "audio" or context is None or not context.sample_rate:
        return 0
    return round(Fraction(context.frame_size, context.sample_rate) / base)


def _describe(target: Any, source: Any, span: Span, provenance: str) -> None:
    """Metadata and chapters of the whole film, and the remark behind the comment that it may have."""
    metadata = kept_tags(source.metadata, target.format.name)
    if provenance:
        key = next((key for key in metadata if key.lower() == "comment"), "comment")
        metadata[key] = f"{metadata[key]} | {provenance}" if metadata.get(key) else provenance
    target.metadata.update(metadata)
    chapters = []
    for chapter in source.chapters():
        base = chapter["time_base"]
        start, end = chapter["start"] * base, chapter["end"] * base
        if end <= span.start or (span.end is not None and start >= span.end):
            continue
        end = end if span.end is None else min(end, span.end)
        moved = {"start": round(max(start - span.start, Fraction(0)) / base), "end": round((end - span.start) / base)}
        chapters.append({**chapter, **moved})
    target.set_chapters(chapters)


def _seconds(packet: av.Packet) -> Fraction:
    return Fraction((packet.dts if packet.dts is not None else packet.pts) or 0) * Fraction(packet.time_base or 0)


def _picture_packets(film: EncodedFilm, time_base: Fraction, offset: Fraction, *, strict: bool) -> Iterator[av.Packet]:
    """Packets of all parts in decoding order, frame numbers replaced by true stamps.

    MP4 takes a film's length from two sums, which have to agree: of how long pictures show, and of the time from one packet to the
    next, which the last packet ends.
    """
    shift, end = round(offset / time_base), film.pts[-1] + film.last_duration
    left = len(film.pts)
    stamps = decode_stamps(film.pts, film.delay, film.step, strict=strict)
    first_frame = 0
    for segment in film.segments:
        frames = 0
        with av.open(str(segment)) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size == 0:
                    continue
                number = first_frame + (packet.pts or 0)
                following, dts = film.pts[number + 1] if number + 1 < len(film.pts) else end, next(stamps)
                frames, left = frames + 1, left - 1
                packet.duration = following - film.pts[number]
                if strict and not left:
                    packet.duration = max(1, end - film.delay * film.step - dts)
                packet.pts, packet.dts, packet.time_base = film.pts[number] - shift, dts - shift, time_base
                yield packet
        first_frame += frames


def copied_packets(source: Any, streams: list[Any], span: Span, stats: MuxStats) -> Iterator[av.Packet]:
    """Packets of the streams that are copied, those of the wanted span, moved to its beginning, decoding stamps rising.

    A packet without stamps, or with stamps that go back, follows the one before it; one without a duration gets that of its codec's
    frames, without which MP4 would lose the last one.
    """
    streams = [stream for stream in streams if stream.type != "attachment"]  # those are in the header
    if not streams:
        return
    last: dict[int, tuple[int, int]] = {}  # by stream: the decoding stamp of its last packet, and where that one ends
    for packet in PacketReader(source, *streams):
        if packet.size == 0:
            continue
        base = Fraction(packet.time_base)
        seconds = None if packet.pts is None else packet.pts * base
        outside = seconds is not None and (
            (span.start and seconds < span.start) or (span.end is not None and seconds >= span.end)
        )
        if is_cover_art(packet.stream):
            packet.pts = packet.dts = round(span.start / base)  # it belongs to every part of the film
        elif outside:
            continue
        shift = round(span.start / base)
        given = packet.pts if packet.dts is None else packet.dts
        last_dts, end = last.get(packet.stream_index, (None, 0))
        if given is None or (last_dts is not None and given - shift < last_dts):
            packet.pts = packet.dts = end
            stats.repaired_packets += given is not None or last_dts is not None
        else:
            packet.pts = given - shift if packet.pts is None else packet.pts - shift
            packet.dts = given - shift
            if packet.dts == last_dts:  # two subtitles at once: muxers want stamps that rise
                packet.pts, packet.dts = max(packet.pts, packet.dts + 1), packet.dts + 1
        if not packet.duration:
            packet.duration = _frame_ticks(packet.stream, base)
        last[packet.stream_index] = packet.dts, max(packet.dts + 1, packet.dts + (packet.duration or 0))
        yield packet
