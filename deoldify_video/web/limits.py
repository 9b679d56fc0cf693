"""The limits of the page: how large, how long, how many. The kind of a file is found out by reading it, never by its name."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from deoldify_video.errors import InputError, UsageError
from deoldify_video.formatting import format_bytes
from deoldify_video.images.photo_io import read_photo_header
from deoldify_video.media.probe import MediaInfo, probe
from deoldify_video.media.scan_packets import scan_packets

UNUSED_S = 600.0  # uploads that nobody has had coloured are deleted after that
MAX_WAITING, MAX_WAITING_PER_ADDRESS = 20, 5  # runs in the queue for photos, and in that for films
MAX_UPLOADS_PER_ADDRESS = 12  # on their way, or waiting to be read
_ADDRESS_SHARE = 0.5  # of the disk, for one address
MAX_FILM_PIXELS = 4096 * 3112  # of a frame: a film scanned with 4K
_IPV6_PREFIX = 64  # one household


@dataclass(frozen=True)
class Limits:
    """The largest upload and the longest film; the memory that photos may take in all, beside the network, and the disk that
    all uploads and results may take; how long they are kept after the last work on them.

    Raises `UsageError` for limits that let nothing in.
    """

    max_bytes: int = 4_000_000_000
    max_duration_s: float = 3 * 3600.0
    memory_bytes: int = 800_000_000
    disk_bytes: int = 40_000_000_000
    keep_s: float = 24 * 3600.0

    def __post_init__(self) -> None:
        if min(self.max_bytes, self.max_duration_s, self.memory_bytes, self.disk_bytes, self.keep_s) <= 0:
            raise UsageError("limits of 0 let nothing in; use 1 or more.")

    def __str__(self) -> str:
        return f"up to {format_bytes(self.max_bytes)}, films {_minutes(self.max_duration_s)}"

    def check_disk(self, used_bytes: int, address_bytes: int) -> None:
        """Raise `UsageError` where that much is too much: of all, and of one address."""
        if used_bytes > self.disk_bytes:
            raise UsageError("the page has no room for more files just now; come back in a while.")
        if address_bytes > _ADDRESS_SHARE * self.disk_bytes:
            raise UsageError("you have too many files here; they are deleted after a while, come back then.")

    def reading_bytes(self, path: Path) -> int:
        """The memory that it takes to look at an upload; all of it where its headers do not tell.

        Raises `InputError` for a photo that is too large to be written.
        """
        try:
            header = read_photo_header(path)
        except InputError:  # a film, or nothing; or a photo that is refused when it is probed
            return self.memory_bytes
        if header.writing_bytes > self.memory_bytes:
            width, height = header.size
            raise InputError(
                f"is a photo of {width}x{height}, and would take {format_bytes(header.writing_bytes)} of memory; "
                f"this page lends {format_bytes(self.memory_bytes)}.",
                path=path,
            )
        return header.reading_bytes

    def admit(self, path: Path) -> MediaInfo:
        """The headers of an upload. Raises `InputError` for what is too large, too long, or no film or picture."""
        size_bytes = path.stat().st_size
        if size_bytes > self.max_bytes:
            raise InputError(
                f"has {format_bytes(size_bytes)}; this page takes files of up to {format_bytes(self.max_bytes)}.", path=path
            )
        info = probe(path)
        if info.kind == "film":
            if info.video.width * info.video.height > MAX_FILM_PIXELS:
                raise InputError(
                    f"has frames of {info.video.width}x{info.video.height}; this page takes up to 4096x3112.", path=path
                )
            duration_s = info.duration_s or float(scan_packets(info).pictures / info.video.frame_rate)
            if duration_s > self.max_duration_s:
                raise InputError(
                    f"lasts {_minutes(duration_s)}; this page takes films of up to {_minutes(self.max_duration_s)}.", path=path
                )
        return info


def visitor_address(host: str | None) -> str:
    """By which a visitor is counted: an IPv4 address, or the network of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host or ""
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
