"""Text for people: where something is in a film, how long something takes, how large it is, what a file is called."""

from __future__ import annotations

import os
from pathlib import Path


def format_timecode(seconds: float) -> str:
    """`1:02:03`, or `2:03` below an hour."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_duration(seconds: float) -> str:
    """A time to wait, in words: `4 s`, `1.9 min`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 9.95 else f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def format_bytes(size_bytes: int) -> str:
    """A size for people: `3.4 GB`."""
    power = min(4, max(0, (len(str(size_bytes)) - 1) // 3))
    return f"{size_bytes / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def printable(text: str | Path) -> str:
    """`text` for people: what cannot be shown is written as its code."""
    readable = os.fsencode(str(text)).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in readable)
