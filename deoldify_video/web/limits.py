"""The limits of the page: how large and how long. The kind of a file is found out by reading it, never by its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deoldify_video.errors import InputError, UsageError
from deoldify_video.formatting import format_bytes
from deoldify_video.media.probe import MediaInfo, probe
from deoldify_video.media.scan_packets import scan_packets

KEEP_S = 3600.0  # uploads and results are deleted so long after the last work on them
MAX_WAITING = 20  # runs in the queue


@dataclass(frozen=True)
class Limits:
    """The largest upload, and the longest film. Raises `UsageError` for limits that let nothing in."""

    max_bytes: int = 4_000_000_000
    max_duration_s: float = 3 * 3600.0

    def __post_init__(self) -> None:
        if self.max_bytes <= 0 or self.max_duration_s <= 0:
            raise UsageError("limits of 0 let nothing in; use --max-megabytes and --max-minutes of 1 or more.")

    def __str__(self) -> str:
        return f"up to {format_bytes(self.max_bytes)}, films {_minutes(self.max_duration_s)}"

    def admit(self, path: Path) -> MediaInfo:
        """The headers of an upload. Raises `InputError` for what is too large, too long, or no film or picture."""
        size_bytes = path.stat().st_size
        if size_bytes > self.max_bytes:
            raise InputError(
                f"{path} has {format_bytes(size_bytes)}; this page takes files of up to {format_bytes(self.max_bytes)}."
            )
        info = probe(path)
        if info.kind == "film":
            duration_s = info.duration_s or float(scan_packets(info).pictures / info.video.frame_rate)
            if duration_s > self.max_duration_s:
                raise InputError(
                    f"{path} lasts {_minutes(duration_s)}; this page takes films of up to {_minutes(self.max_duration_s)}."
                )
        return info


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
