"""Two films, or two photos, in one picture: beside each other, divided in the middle, or behind a line that wanders.

Films are kept in step by their timestamps, each counted from its own first frame; the result has the first film's frames, times and
sound.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video.compare.compositor import Composer, Layout, Planes, even_size
from deoldify_video.errors import InputError, UsageError
from deoldify_video.images.pictures import read_picture, write_picture
from deoldify_video.media.decode import open_film, own_stamp, upright
from deoldify_video.media.encode import SegmentWriter
from deoldify_video.media.files import check_output, output_file
from deoldify_video.media.formats import photo_format
from deoldify_video.media.mux import EncodedFilm, Span, write_film
from deoldify_video.media.probe import MATRIX_NUMBERS, MediaInfo, probe
from deoldify_video.media.streams import container_format
from deoldify_video.media.timing import PtsClock, rising
from deoldify_video.options import EncodeOptions

_CODEC = "h264"
_CONTAINERS = ("mp4", "mov", "matroska", "mpegts")  # those that hold this codec, and frames of uneven length


@dataclass(frozen=True)
class Comparison:
    """The written comparison: `frames` (1 for photos), the picture's size, which file the sound is from (None: silent), warnings."""

    output: str
    kind: str
    frames: int
    width: int
    height: int
    sound_from: str | None
    warnings: list[str]


def compare(
    first: Path | str,
    second: Path | str,
    output: Path | str,
    *,
    mode: str = "side",
    labels: tuple[str, str] | None = None,
    overwrite: bool = False,
    end_s: float | None = None,
    max_width_px: int | None = None,
    on_frame: Callable[[int], None] = lambda frames: None,
) -> Comparison:
    """Write `first` and `second` in one picture to `output`. `mode` is one of `compositor.MODES`; `labels` default to the files' names.

    The second takes the size of the first. Films stop after `end_s` seconds, and each of their pictures is made no wider than
    `max_width_px`. `on_frame` gets the number of finished frames. Raises the errors of
    `deoldify_video.errors`.
    """
    first, second, output = Path(first), Path(second), Path(output)
    infos = probe(first), probe(second)
    if infos[0].kind != infos[1].kind:
        raise UsageError(f"is a {infos[0].kind} and {second} a {infos[1].kind}", path=first, remedy="compare two of a kind")
    for path in (first, second):
        check_output(path, output, overwrite=overwrite)
    if labels is None:
        same_name = first.name == second.name
        labels = (str(first), str(second)) if same_name else (first.name, second.name)
    if infos[0].kind == "photo":
        return _compare_photos(first, second, output, mode, labels)
    size = _size_within(infos[0].video.upright_size, max_width_px)
    return _compare_films(*infos, output, Layout(mode, *size), labels, end_s, on_frame)


def _size_within(size: tuple[int, int], max_width_px: int | None) -> tuple[int, int]:
    """Even numbers, as chroma at half size needs them, of the same shape as `size`."""
    width, height = size
    if max_width_px is not None and width > max_width_px:
        width, height = max_width_px, round(height * max_width_px / width)
    return even_size(width, height)


def _compare_photos(first: Path, second: Path, output: Path, mode: str, labels: tuple[str, str]) -> Comparison:
    photo_format(output)
    pictures = [read_picture(path) for path in (first, second)]
    height, width = pictures[0].shape[:2]
    pictures[1] = cv2.resize(pictures[1], (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    composer = Composer(Layout(mode, width, height), labels)
    joined = composer.join_rgb(*pictures)
    write_picture(output, joined)
    return Comparison(str(output), "photo", 1, joined.shape[1], joined.shape[0], None, [])


def _compare_films(
    first: MediaInfo,
    second: MediaInfo,
    output: Path,
    layout: Layout,
    labels: tuple[str, str],
    end_s: float | None,
    on_frame: Callable[[int], None],
) -> Comparison:
    format_name = container_format(output)
    if format_name not in _CONTAINERS:
        raise UsageError(f"a comparison cannot be written to {output.suffix}", remedy="use .mp4 or .mkv")
    composer = Composer(layout, labels)
    # The picture as it is written: upright, square pixels, eight bits.
    matrix = first.video.matrix
    video = replace(first.video, width=layout.total_width, height=layout.height, sar=Fraction(1), rotation_deg=0)
    sounding = next((info for info in (first, second) if any(stream.kind == "audio" for stream in info.streams)), first)
    start_s = sounding.video.start_pts * sounding.video.time_base  # the sound keeps its own times
    shift = round(start_s / video.time_base) - first.video.start_pts
    pts: list[int] = []
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.stem}.") as folder:
        segment = Path(folder) / "part.mkv"
        writer = SegmentWriter(
            segment, replace(first, video=video), EncodeOptions(_CODEC), depth=8, full_range=False, output=output
        )
        try:
            for stamp, seconds, left, right in in_step(first, second, (layout.width, layout.height), matrix):
                if end_s is not None and seconds >= end_s:
                    break
                joined = composer.join(left, right, float(seconds))
                writer.write(joined[0], np.stack(joined[1:]))
                pts.append(stamp + shift)
                on_frame(len(pts))
            writer.close()
        except BaseException:
            writer.abandon()
            raise
        step = max(1, round(1 / (video.frame_rate * video.time_base)))
        provenance = f"{labels[0]} and {labels[1]}, compared"
        film = EncodedFilm([segment], pts, writer.delay, step, step, provenance)
        end = None if end_s is None else (pts[-1] + step) * video.time_base
        with output_file(output) as temporary:
            stats = write_film(replace(sounding, video=video), film, temporary, format_name, Span(end=end))
    heard = str(sounding.path) if any(stream.kind == "audio" for stream in sounding.streams) else None
    return Comparison(str(output), "film", len(pts), video.width, video.height, heard, stats.warnings())


def in_step(
    first: MediaInfo, second: MediaInfo, size: tuple[int, int], matrix: str
) -> Iterator[tuple[int, Fraction, Planes, Planes]]:
    """Every frame of `first` with its stamp and its seconds since the beginning, and the frame of `second` that shows at that time.

    Where the second is over its last frame stays. Raises `InputError` when one of them has no frame.
    """
    others = _frames(second, size, matrix)
    now = next(others, None)
    if now is None:
        raise InputError("holds no frame that can be decoded; it is damaged", path=second.path)
    following = next(others, None)
    # Containers round stamps, so a frame that comes this much later is meant for the same time.
    tolerance = 1 / (4 * max(first.video.frame_rate, second.video.frame_rate))
    first_start: Fraction | None = None
    second_start = now[1]
    for stamp, seconds, planes in _frames(first, size, matrix):
        first_start = seconds if first_start is None else first_start
        passed = seconds - first_start
        while following is not None and following[1] - second_start <= passed + tolerance:
            now, following = following, next(others, None)
        yield stamp, passed, planes, now[2]
    if first_start is None:
        raise InputError("holds no frame that can be decoded; it is damaged", path=first.path)


def _frames(info: MediaInfo, size: tuple[int, int], matrix: str) -> Iterator[tuple[int, Fraction, Planes]]:
    """Frames with rising stamps and their times in seconds: planes of `size`, upright, eight bits, limited range, `matrix`."""
    video = info.video
    coded = size if video.rotation_deg in (0, 180) else size[::-1]
    clock = PtsClock(video.frame_rate, video.time_base)
    with open_film(info) as film:
        for pts, frame in rising(film.frames(), own_stamp, clock):
            yuv = frame.reformat(
                width=coded[0],
                height=coded[1],
                format="yuv420p",
                src_colorspace=video.colorspace,
                dst_colorspace=MATRIX_NUMBERS[matrix],
                src_color_range="JPEG" if video.full_range else "MPEG",
                dst_color_range="MPEG",
            )
            yield pts, pts * video.time_base, tuple(upright(_plane(yuv, number), video) for number in range(3))


def _plane(frame: av.VideoFrame, number: int) -> NDArray[np.uint8]:
    plane = frame.planes[number]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]
