"""A walk over all packets of a film before anything is decoded: is it whole, is its rate constant, how many frames are there."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av

from deoldify_video.errors import InputError
from deoldify_video.media.probe import MediaInfo, film_stream
from deoldify_video.media.reading import PacketReader

DECLARING_FORMATS = ("matroska", "mp4", "avi", "flv", "asf")  # their headers say how long they are; others are only estimated
TOLERANCE_S = 0.5  # a film that ends more than this before its declared end is cut short
TOLERANCE_FRAMES = 4  # or by so many frames, where that is more
NOTICED_S = 0.03  # from here on it is told
LATE_S = 0.15  # that the picture begins after the sound is told from here on: AAC has a lead-in
TIMED_STREAMS = ("video", "audio", "subtitle")
_REORDER = 32  # pictures are coded at most this far from where they show
_RATE_TOLERANCE_S = Fraction(2, 1000)  # containers round stamps to milliseconds
_REGULAR_SHARE = 0.8  # of the steps that are alike: a film with a rate of its own, in which a longer step is a hole
_MANY_STEPS = 1000  # different ones: certainly no constant rate


@dataclass(frozen=True)
class PacketScan:
    """The findings in the packets of a film.

    - `pictures`, `picture_bytes`: how many there are of the film's, and their size
    - `start_s`, `end_s`: the first and last second of any stream; `picture_start_s` of the picture
    - `declared_s`, `declared_pictures`: what the header promises, 0 where it does not
    - `missing_picture_s`: how far the picture ends before an end of its own that is declared
    - `readable`: whether the file can be read to its end, behind `damaged_places`
    - `damaged_packets`: those that the container itself calls damaged
    - `begins_at_zero`: whether films in such a container usually do
    - `constant_rate`: whether pictures follow each other evenly
    - `sparse`: whether they do so at less than half of the rate that the header promises
    - `holes`: places in an otherwise even film where `lost_pictures` seem to be missing, the first at `first_hole_s`
    - `stamps`: when pictures show, rising, in the film's time base; those without one are not among them
    """

    pictures: int
    picture_bytes: int
    start_s: float
    end_s: float
    picture_start_s: float
    declared_s: float
    declared_pictures: int
    missing_picture_s: float
    readable: bool
    damaged_places: int
    damaged_packets: int
    begins_at_zero: bool
    constant_rate: bool
    sparse: bool
    holes: int
    lost_pictures: int
    first_hole_s: float
    stamps: array[int] = field(repr=False)

    @property
    def missing_s(self) -> float:
        """How many of the declared seconds are missing at the end."""
        # Some headers count from zero, some from the first stamp: the longer reading is believed.
        return max(0.0, self.declared_s - max(self.end_s, self.end_s - self.start_s)) if self.declared_s else 0.0

    def is_cut_short(self, frame_rate: Fraction) -> bool:
        """Whether so much is missing that it cannot be a matter of rounding."""
        return self.damaged_places > 0 or self.missing_s > max(TOLERANCE_S, float(TOLERANCE_FRAMES / frame_rate))

    def warnings(self) -> list[str]:
        """The findings that look wrong, as sentences."""
        found = []
        if self.missing_s > NOTICED_S:
            found.append(f"the film ends {self.missing_s:.2f} s before its declared end of {self.declared_s:.2f} s.")
        elif self.missing_picture_s > NOTICED_S:
            found.append(f"the picture ends {self.missing_picture_s:.2f} s before its declared end.")
        if not self.readable:
            found.append(f"the file cannot be read beyond {self.end_s:.1f} s.")
        elif self.damaged_places:
            found.append(f"the file is damaged in {self.damaged_places} places; what lies behind them is kept.")
        if self.declared_pictures > self.pictures:
            found.append(
                f"{self.declared_pictures - self.pictures} of the {self.declared_pictures} declared pictures are missing."
            )
        if self.damaged_packets:
            found.append(f"{self.damaged_packets} packets are damaged in the source.")
        if self.holes:
            found.append(
                f"{self.lost_pictures} pictures seem to be missing in {self.holes} places, the first after {self.first_hole_s:.1f} s; "
                "those before them are shown longer."
            )
        if self.begins_at_zero and self.start_s > LATE_S:
            found.append(f"the film begins at {self.start_s:.1f} s; if there was something before, it is missing.")
        if self.sparse:
            found.append("pictures come much more rarely than the frame rate of the header promises; many may be missing.")
        if self.picture_start_s - self.start_s > LATE_S:
            found.append(f"the picture begins {self.picture_start_s - self.start_s:.1f} s after the sound.")
        return found


class _Steps:
    """The steps between pictures in order of presentation, watched a few stamps at a time."""

    def __init__(self) -> None:
        self._stamps: list[int] = []
        self.last = 0
        self.counts: Counter[int] = Counter()
        self.first_at: dict[int, int] = {}

    def add(self, stamp: int) -> None:
        self._stamps.append(stamp)
        if len(self._stamps) > 2 * _REORDER:
            self.measure(_REORDER)

    def measure(self, count: int) -> None:
        """Count the first `count` steps and forget their stamps."""
        self._stamps.sort()
        self.last = max(self.last, self._stamps[-1] if self._stamps else self.last)
        for before, after in pairwise(self._stamps[: count + 1]):
            step = after - before
            if step in self.counts or len(self.counts) < _MANY_STEPS:
                self.counts[step] += 1
                self.first_at.setdefault(step, before)
        del self._stamps[:count]

    @property
    def usual(self) -> int:
        """The commonest step; 0 where there is none."""
        self.measure(len(self._stamps))
        return self.counts.most_common(1)[0][0] if self.counts else 0

    def holes(self, time_base: Fraction) -> tuple[bool, int, int, int]:
        """Whether all steps are alike, how many holes there are, pictures missing in them, the stamp before the first."""
        usual = self.usual
        if not self.counts:
            return True, 0, 0, 0
        alike = sum(count for step, count in self.counts.items() if abs(step - usual) * time_base <= _RATE_TOLERANCE_S)
        total = self.counts.total()
        long = {step: count for step, count in self.counts.items() if usual > 0 and step > 1.5 * usual}
        if alike < _REGULAR_SHARE * total or not long:
            return alike == total, 0, 0, 0
        lost = sum((round(step / usual) - 1) * count for step, count in long.items())
        return False, sum(long.values()), lost, min(self.first_at[step] for step in long)


def scan_packets(info: MediaInfo) -> PacketScan:
    """Read all packets of `info.path`, without decoding any. Raises `InputError` when it is no film any more."""
    pictures, picture_bytes, damaged, hidden = 0, 0, 0, 0
    starts: dict[int, int] = {}  # by stream, in its time base
    ends: dict[int, int] = {}
    steps = _Steps()
    stamps = array("q")
    with av.open(str(info.path), metadata_errors="replace") as container:
        film = film_stream(container)
        if film is None:
            raise InputError("changed while it was read", path=info.path)
        promised_rate = min(film.average_rate or 0, film.guessed_rate or 0)
        film_index, declared_end_s, declared_pictures = film.index, _declared_end_s(film), _declared_pictures(film, info)
        packets = PacketReader(container)
        for packet in packets:
            hidden += packet.is_discard and packet.stream_index == film_index
            if packet.size == 0 or packet.is_discard or packet.stream.type not in TIMED_STREAMS:
                continue
            stamp = packet.pts if packet.pts is not None else packet.dts
            damaged += packet.is_corrupt
            if packet.stream_index == film_index:
                pictures, picture_bytes = pictures + 1, picture_bytes + packet.size
                if stamp is not None:
                    steps.add(stamp)
                    stamps.append(stamp)
            if stamp is not None:
                index, stop = packet.stream_index, stamp + (packet.duration or 0)
                starts.setdefault(index, stamp)
                ends[index] = max(stop, ends.get(index, stop))
        bases = {stream.index: Fraction(stream.time_base or 0) for stream in container.streams}
    # A film that is even throughout has lost nothing, whatever its header says; and FFmpeg may only have estimated that.
    even, holes, lost, first_hole = steps.holes(info.video.time_base)
    picture_end = (steps.last + steps.usual) * info.video.time_base  # not every container says how long the last one shows
    end = max([picture_end, *(stop * bases[index] for index, stop in ends.items())])
    declares = any(name in info.format_name for name in DECLARING_FORMATS)
    return PacketScan(
        pictures=pictures,
        picture_bytes=picture_bytes,
        start_s=float(min((start * bases[index] for index, start in starts.items()), default=Fraction(0))),
        end_s=float(end),
        picture_start_s=float(starts.get(film_index, 0) * bases[film_index]),
        declared_s=info.duration_s if declares else 0.0,
        declared_pictures=max(0, declared_pictures - hidden) if declares else 0,
        missing_picture_s=max(0.0, declared_end_s - float(picture_end)),
        readable=not packets.ends_in_error,
        damaged_places=packets.damaged_places,
        damaged_packets=damaged,
        begins_at_zero="matroska" in info.format_name,
        constant_rate=even,
        sparse=not even and steps.usual * info.video.time_base * promised_rate > 2,
        holes=holes,
        lost_pictures=lost,
        first_hole_s=float(first_hole * info.video.time_base),
        stamps=array("q", sorted(set(stamps))),
    )


def _declared_pictures(film: Any, info: MediaInfo) -> int:
    """How many pictures the header promises: counted by MP4 and AVI (repeated ones too), and by mkvmerge in a tag."""
    tags = {key.upper(): value for key, value in film.metadata.items()}
    counted = tags.get("NUMBER_OF_FRAMES", "")
    if counted.isdecimal():
        return int(counted)
    if "mp4" in info.format_name and info.video.frames:
        return min(info.video.frames, len(film.index_entries))  # which knows what the film's edit list leaves out
    return info.video.frames


def _declared_end_s(film: Any) -> float:
    """When the picture ends, by the tag `DURATION` of Matroska's tracks (HH:MM:SS.fraction); 0 where there is none."""
    parts = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", film.metadata.get("DURATION", ""))
    return int(parts[1]) * 3600 + int(parts[2]) * 60 + float(parts[3]) if parts else 0.0
