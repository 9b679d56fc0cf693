"""Builds a data set: collects pictures, throws out what would teach the wrong thing, and writes tar shards and an index.

The folder holds `photos-NNN.tar` and `index.tsv` with the source of each picture. The index is written last: a folder without
it is unfinished and may be built again.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import cv2
import numpy as np

from deoldify_video.errors import InputError, OutputError
from deoldify_video.media.files import write_file
from deoldify_video.training.dataset import Picture
from deoldify_video.training.filters import MIN_SIDE_PX, crop_extremes, near_duplicates, perceptual_hash, reason_against
from deoldify_video.training.sources import found_pictures

INDEX = "index.tsv"
PICTURES_PER_SHARD = 5000


@dataclass(frozen=True)
class BuildOptions:
    """`side_px`: short side of the stored pictures, smaller ones are left as they are; `quality`: of the WebP files, 1..100."""

    sources: tuple[Path, ...]
    output: Path
    frames_per_film: int = 200
    side_px: int = 256
    min_side_px: int = MIN_SIDE_PX
    quality: int = 80
    seed: int = 0


@dataclass
class BuildReport:
    """Counts of the pictures: `kept`, `left_out` by reason; and the names of those that cannot be read."""

    kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Stored:
    """A compressed picture in the spool file."""

    source: str
    original: str
    width: int
    height: int
    hash: int
    offset: int
    length: int


def build(options: BuildOptions, seen: Callable[[int], None] | None = None) -> BuildReport:
    """Build the data set; `seen` gets the number of pictures looked at so far.

    Raises `InputError` when nothing of use is found and `OutputError` when the folder holds a data set or cannot be written.
    """
    if (options.output / INDEX).exists():
        raise OutputError(f"{options.output} holds a data set already; choose another folder.")
    report = BuildReport()
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=options.output) as spool:
            stored = _collect(options, spool, report, seen)
            doubles = near_duplicates([item.hash for item in stored], [item.width * item.height for item in stored])
            if doubles:
                report.left_out["near-duplicate"] += len(doubles)
            kept = [item for index, item in enumerate(stored) if index not in doubles]
            report.kept = len(kept)
            if not kept:
                reasons = ", ".join(f"{count} {reason}" for reason, count in report.left_out.most_common())
                raise InputError(f"no picture is left to learn from ({reasons}).")
            _write_shards(options, spool, kept)
    except OSError as error:
        raise OutputError(f"cannot write the data set {options.output}: {error.strerror or error}.") from error
    return report


def _collect(options: BuildOptions, spool: IO[bytes], report: BuildReport, seen: Callable[[int], None] | None) -> list[_Stored]:
    stored: list[_Stored] = []
    for number, found in enumerate(found_pictures(list(options.sources), options.frames_per_film), start=1):
        if seen is not None:
            seen(number)
        if found.picture is None:
            report.left_out["unreadable"] += 1
            report.unreadable.append(f"{found.source}: {found.original}")
            continue
        picture = crop_extremes(found.picture)
        reason = reason_against(picture, options.min_side_px)
        if reason is not None:
            report.left_out[reason] += 1
            continue
        data = _compressed(picture, options.side_px, options.quality)
        height, width = picture.shape[:2]
        code = perceptual_hash(picture)
        stored.append(_Stored(found.source, found.original, width, height, code, spool.tell(), len(data)))
        spool.write(data)
    return stored


def _compressed(picture: Picture, side_px: int, quality: int) -> bytes:
    """WebP of the picture, its short side scaled down to `side_px`."""
    height, width = picture.shape[:2]
    scale = side_px / min(height, width)
    if scale < 1:
        size = (round(width * scale), round(height * scale))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    done, data = cv2.imencode(".webp", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise OutputError("this build of OpenCV cannot write WebP; install the opencv-python wheel.")
    return data.tobytes()


def _write_shards(options: BuildOptions, spool: IO[bytes], kept: list[_Stored]) -> None:
    """Shards in random order, then the index."""
    rng = np.random.default_rng(options.seed)
    order = rng.permutation(len(kept))
    lines = ["key\tfile\tsource\toriginal\twidth\theight"]
    for start in range(0, len(kept), PICTURES_PER_SHARD):
        name = f"photos-{start // PICTURES_PER_SHARD:03d}.tar"
        members = []
        for number in range(start, min(start + PICTURES_PER_SHARD, len(kept))):
            item, key = kept[order[number]], f"p{number:06d}"
            spool.seek(item.offset)
            members.append((f"{key}.webp", spool.read(item.length)))
            lines.append(_line(key, name, item))
        write_file(options.output / name, _tar(members))
    write_file(options.output / INDEX, ("\n".join(lines) + "\n").encode())


def _line(key: str, file: str, item: _Stored) -> str:
    """A row of the index; blanks stand for tabs and line ends in names."""
    cells = (key, file, item.source, item.original, str(item.width), str(item.height))
    return "\t".join(" ".join(cell.split()) for cell in cells)


def _tar(members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as shard:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            shard.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
