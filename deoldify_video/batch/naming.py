"""Names of outputs, and where under the output folder they lie."""

from __future__ import annotations

import os
import string
import unicodedata
from pathlib import Path, PurePosixPath

from deoldify_video.errors import UsageError
from deoldify_video.formatting import printable
from deoldify_video.media.formats import CODEC_SUFFIXES, CONTAINERS, PHOTO_FORMATS
from deoldify_video.options import EncodeOptions

DEFAULT_NAME = "{stem}{suffix}"
_FIELDS = ("stem", "suffix")
_OTHER_FILMS = (".3gp", ".asf", ".dv", ".flv", ".m2ts", ".m2v", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".vob", ".wmv", ".y4m")
_OTHER_PHOTOS = (".bmp", ".jp2", ".pgm", ".pbm", ".gif")
_SUFFIXES = {"film": tuple(CONTAINERS), "photo": tuple(PHOTO_FORMATS)}
_ADDED = {"film": ".mkv", "photo": ".png"}


def check_name(pattern: str) -> str:
    """`pattern` itself, when names can be made of it; raises `UsageError`."""
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(pattern) if field is not None]
        pattern.format(stem="a", suffix=".b")
    except (AttributeError, IndexError, KeyError, ValueError) as error:
        raise UsageError(
            f"the name {pattern!r} cannot be filled in ({error})", remedy="use {stem} and {suffix} only"
        ) from error
    if "stem" not in fields or any(field not in _FIELDS for field in fields):
        raise UsageError(f"the name {pattern!r} must hold {{stem}}, and may hold {{suffix}}, nothing else in braces")
    if any(separator in pattern for separator in "/\\\0") or pattern.startswith("."):
        raise UsageError(
            f"the name {pattern!r} is no name of a file: folders are kept as they are, and hidden files are not made"
        )
    return pattern


def output_name(name: str, kind: str, pattern: str = DEFAULT_NAME, codec: str = EncodeOptions.codec) -> str:
    """The name of the result of a file called `name`; `kind` is `film` or `photo`, `codec` that of films.

    Where the file's own format cannot be written, or cannot hold the codec, an ending is added that can; an ending that `pattern`
    names is for films or for photos, the others keep theirs.
    """
    fitting = CODEC_SUFFIXES[codec] if kind == "film" else tuple(PHOTO_FORMATS)
    stem, suffix = os.path.splitext(_as_text(name))
    if suffix.lower() in _SUFFIXES[kind]:
        suffix += "" if suffix.lower() in fitting else _ADDED[kind]
    else:
        stem, suffix = stem + suffix, _ADDED[kind]
    made = pattern.format(stem=stem, suffix=suffix)
    base, made_suffix = os.path.splitext(made)
    if made_suffix.lower() in fitting:
        return made
    others = (known for other, suffixes in _SUFFIXES.items() if other != kind for known in suffixes)
    return base + suffix if made_suffix.lower() in others else made + suffix


def output_path(relative: Path, kind: str, pattern: str = DEFAULT_NAME, codec: str = EncodeOptions.codec) -> str:
    """The path under the output folder for a source that lies at `relative` in its archive; always below that folder."""
    folders = [_as_text(part) for part in relative.parts[:-1] if part not in ("", os.curdir, os.pardir, relative.anchor)]
    return str(PurePosixPath(*folders, output_name(relative.name, kind, pattern, codec)))


def folded(target: str) -> str:
    """The same for paths that some disk would take for one: those that differ only in case, or in how accents are written."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", target).casefold())


def collision(source: Path, target: str | Path, other: Path, other_target: str | Path) -> UsageError:
    """The error of two sources that would get one place, or two that some disks take for one."""
    theirs = "" if str(other_target) == str(target) else f" (as {printable(other_target)})"
    return UsageError(
        f"and {printable(other)} would both become {printable(target)}{theirs}",
        path=source,
        remedy="rename one of them, or colorize them into different folders",
    )


def is_named_as_media(path: Path) -> bool:
    """Whether the name promises a film or a photo."""
    return path.suffix.lower() in (*CONTAINERS, *PHOTO_FORMATS, *_OTHER_FILMS, *_OTHER_PHOTOS)


def _as_text(part: str) -> str:
    """A name as valid text: bytes that are none become `%` and their hexadecimal code, and so do halves of surrogate pairs."""
    return "".join(_code(ord(sign)) if 0xD800 <= ord(sign) <= 0xDFFF else sign for sign in part)


def _code(surrogate: int) -> str:
    is_byte = 0xDC80 <= surrogate <= 0xDCFF  # as Python keeps the bytes of names that are no text
    return f"%{surrogate - 0xDC00:02X}" if is_byte else f"%{surrogate:04X}"
