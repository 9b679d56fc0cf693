"""Text for people: where something is in a film, how long something takes, how large it is, what a file is called; and pages of it."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template


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


def html_template(package: str, name: str) -> Template:
    """The template of a page that needs no other file; it lies in `package`. Values are made printable and escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def shown(value: Any) -> str:
        return value if isinstance(value, Markup) else printable(str(value))

    def jpeg(data: bytes) -> Markup:
        return Markup("data:image/jpeg;base64,") + base64.b64encode(data).decode("ascii")

    pages = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters |= {"timecode": format_timecode, "duration": format_duration, "jpeg": jpeg}
    return pages.get_template(name)
