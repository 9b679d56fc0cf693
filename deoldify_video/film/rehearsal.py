"""The end of a film, tried at its beginning: with pictures that cost nothing, it is put together and compared as it will be then.

So a container that cannot hold the film, or cannot note down its stamps or its shape, is found before the work and not after it.
"""

from __future__ import annotations

import contextlib
import secrets
from bisect import bisect_left
from dataclasses import replace
from pathlib import Path

import numpy as np

from deoldify_video.errors import OutputError
from deoldify_video.film.journal import work_folder
from deoldify_video.media.decode import FilmReader
from deoldify_video.media.encode import SegmentWriter
from deoldify_video.media.files import DISK_FULL, output_errors
from deoldify_video.media.mux import EncodedFilm, Span, write_film
from deoldify_video.media.probe import MediaInfo
from deoldify_video.media.scan_packets import PacketScan
from deoldify_video.media.streams import container_format, keeps_order
from deoldify_video.media.verify import verify_film
from deoldify_video.options import FilmOptions

SIZE = 64  # of the pictures that stand in
FRAMES = 240  # in a file of them, which is used again and again
HD_HEIGHT = 720  # from here on a film without tags is taken for BT.709: the pictures that stand in are taken for the same


def rehearse(info: MediaInfo, found: PacketScan, output: Path, options: FilmOptions) -> str:
    """The faults that the finished film would have, in sentences; "" where nothing would. Nothing is left of the trial.

    Raises `InputError` for a source that cannot be read any more and `OutputError` for a disk that is full.
    """
    pts = _wanted(info, found, options)
    if not pts:
        return ""  # which is reported by who reads the film
    folder, name = work_folder(output), secrets.token_hex(4)
    paths = [folder / f"{name}-{part}.new" for part in ("all", "rest", "film")]
    with output_errors(output):
        folder.mkdir(exist_ok=True)
    try:
        return _try(info, pts, output, options, paths)
    except OutputError as error:
        if getattr(error.__cause__, "errno", None) in DISK_FULL:
            error.path = output
            raise
        return f"it cannot be written ({getattr(error.__cause__, 'strerror', None) or error})."
    finally:
        for path in paths:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # an unfinished run has left something there
            folder.rmdir()


def _wanted(info: MediaInfo, found: PacketScan, options: FilmOptions) -> list[int]:
    """The stamps of the wanted pictures, as far as packets tell."""
    video, decode = info.video, options.decode
    step = max(1, round(1 / (video.frame_rate * video.time_base)))
    stamps = found.stamps or range(video.start_pts, video.start_pts + step * found.pictures, step)
    first = bisect_left(stamps, video.start_pts + round(decode.start_s / video.time_base)) if decode.start_s else 0
    last = None
    if decode.end_s is not None:
        last = bisect_left(stamps, video.start_pts + round(decode.end_s / video.time_base))
    return list(stamps[first:last])


def _try(info: MediaInfo, pts: list[int], output: Path, options: FilmOptions, paths: list[Path]) -> str:
    format_name, whole = container_format(output), min(FRAMES, len(pts))
    height = HD_HEIGHT if info.video.height >= HD_HEIGHT else SIZE
    stand_in = replace(info, video=replace(info.video, width=SIZE, height=height))
    delay = _write_pictures(paths[0], stand_in, options, format_name, whole)
    rest = len(pts) % whole
    if rest:
        delay = max(delay, _write_pictures(paths[1], stand_in, options, format_name, rest))
    step = max(1, round(1 / (info.video.frame_rate * info.video.time_base)))
    film = EncodedFilm([paths[0]] * (len(pts) // whole) + [paths[1]] * bool(rest), pts, delay, step, step)
    end = pts[-1] + step
    stats = write_film(stand_in, film, paths[2], format_name, Span.of(options.decode, pts, end, info.video.time_base))
    if not options.job.verify:
        return ""
    return " ".join(verify_film(stand_in, paths[2], options.decode, (pts, end), stats.left_out).problems)


def _write_pictures(path: Path, info: MediaInfo, options: FilmOptions, format_name: str, frames: int) -> int:
    """A segment of black frames, coded like the film's; returns how many the encoder held back."""
    reader = FilmReader(info, options.decode, (SIZE, SIZE))
    writer = SegmentWriter(
        path,
        info,
        options.encode,
        depth=reader.depth,
        full_range=reader.full_range,
        reorder=keeps_order(format_name),
        field_order=0 if options.decode.deinterlace else info.video.field_order,
    )
    width, height = info.video.width, info.video.height
    luma = np.zeros((height, width), np.uint8 if reader.depth <= 8 else np.uint16)
    chroma_width, chroma_height = writer.format.chroma_size(width, height)
    chroma = np.zeros((2, chroma_height, chroma_width), np.uint8 if writer.format.depth == 8 else np.uint16)
    for _ in range(frames):
        writer.write(luma, chroma)
    writer.close()
    return writer.delay
