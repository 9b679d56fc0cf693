"""Streams the frames of a film: the luma plane as decoded, and a small grey copy for the network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, dropwhile
from typing import Any

import av
import av.error
import cv2
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from deoldify_video.color.yuv import SampleRange, luma_to_gray
from deoldify_video.errors import InputError
from deoldify_video.media.deinterlace import deinterlaced
from deoldify_video.media.probe import MAX_PIXELS, MediaInfo, VideoInfo, film_stream
from deoldify_video.media.reading import PacketReader
from deoldify_video.media.timing import PtsClock, rising
from deoldify_video.options import DecodeOptions

CORRUPT_RUN = 8  # so many undecodable packets in a row end the film, if it is not to go on behind damage
LONGEST_FRAME_S = 10  # a last frame that claims to show longer than this is damaged
SEEKABLE_FORMATS = ("matroska", "mp4")  # those with an index that leads to key pictures; others are read from the beginning
SEEK_MARGIN_FRAMES = 64  # sought this far ahead of a frame, so that no picture it depends on is missing (open GOPs, fields)
PLANAR_LUMA = ("yuv", "gray", "nv12", "nv21", "nv16", "nv24")  # pixel formats whose first plane is Y', as it is


@dataclass
class DecodeStats:
    """Counts of what was repaired: filled while frames are read, complete when the last one is."""

    frames: int = 0
    corrupt_packets: int = 0
    damaged_frames: int = 0
    repaired_pts: int = 0
    broke_off: bool = False
    last_duration: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing had to be repaired, so that stamps are the file's own."""
        return not (self.corrupt_packets or self.repaired_pts or self.broke_off)

    def warnings(self) -> list[str]:
        """The repairs, as sentences."""
        found = []
        if self.corrupt_packets:
            found.append(f"{self.corrupt_packets} damaged packets could not be decoded and were skipped.")
        if self.damaged_frames:
            found.append(
                f"{self.damaged_frames} pictures are damaged in the source; they are shown as far as they can be read."
            )
        if self.repaired_pts:
            found.append(f"{self.repaired_pts} missing or backward timestamps were repaired.")
        if self.broke_off:
            found.append(f"the film breaks off: nothing can be read after {self.frames} frames.")
        return found


@dataclass
class FrameStamp:
    """Which frame of the film it is, and its stamp in the film's `time_base`."""

    index: int
    pts: int


@dataclass
class DecodedFrame(FrameStamp):
    """A frame with its light, twice: `luma`, the Y' plane as decoded, uint8 or uint16 (H, W), never written to; `gray` at render size,
    uint8 (h, w), full range, sRGB-encoded.
    """

    luma: NDArray[Any]
    gray: NDArray[np.uint8]


@dataclass(frozen=True)
class SeekPoint:
    """The number of the first frame to give out. `pts` is its stamp where the film can be sought by stamps; None decodes and
    drops everything before it, as is needed where stamps had to be repaired.
    """

    frame: int = 0
    pts: int | None = None


class OpenFilm:
    """A film that is open, to be read from its beginning or from where it is sought."""

    def __init__(self, container: av.container.InputContainer, stream: VideoStream, stats: DecodeStats) -> None:
        self._container, self._stream, self._stats = container, stream, stats

    def seek(self, pts: int) -> bool:
        """Go to the key picture before the stamp `pts`, whose frames are the next; False where the film has no index for that."""
        try:
            self._container.seek(pts, stream=self._stream)
        except av.error.FFmpegError:
            return False
        return True

    def frames(self, *, beyond_damage: bool = False) -> Iterator[av.VideoFrame]:
        """The frames from here on, as they are decoded. What is damaged is passed over and counted; the film ends where much is, or
        with `beyond_damage` where nothing more can be read.
        """
        run = 0
        packets = PacketReader(self._container, self._stream)
        for packet in packets:
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                run += 1
                self._stats.corrupt_packets += 1
                frames = []
            else:
                run = 0 if frames else run
            for frame in frames:
                self._stats.damaged_frames += frame.is_corrupt
                yield frame
            if not beyond_damage and (run >= CORRUPT_RUN or packets.damaged_places):
                self._stats.broke_off = True
                return
        self._stats.broke_off = packets.ends_in_error


@contextlib.contextmanager
def open_film(info: MediaInfo, stats: DecodeStats | None = None, *, few: bool = False) -> Iterator[OpenFilm]:
    """Open a film's picture stream, with a limit on the pixels of every frame. `stats` counts what is damaged.

    With `few`, when only some frames are wanted here and there, no threads decode a dozen more. Raises `InputError` when the film is
    no longer what was probed.
    """
    try:
        container = av.open(str(info.path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"can no longer be read ({error.strerror})", path=info.path) from error
    with container:
        stream = film_stream(container)
        if stream is None:
            raise InputError("changed while it was read", path=info.path)
        stream.thread_type = "SLICE" if few else "AUTO"
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        yield OpenFilm(container, stream, stats or DecodeStats())


def own_stamp(frame: av.VideoFrame) -> int | None:
    """The stamp that a decoded frame has, None where it has none."""
    return frame.pts if frame.pts is not None else frame.dts


def frame_rgb(frame: av.VideoFrame, video: VideoInfo, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """A decoded frame in colour by the film's own matrix and range, as a viewer sees it: RGB uint8 (h, w, 3), upright.

    `size` is its (width, height), by default that of the coded picture, which is turned but not stretched.
    """
    width, height = size or (frame.width, frame.height)
    if size is not None and video.rotation_deg in (90, 270):
        width, height = height, width
    rgb = frame.reformat(
        width,
        height,
        format="rgb24",
        src_colorspace=video.colorspace,
        src_color_range="JPEG" if video.full_range else "MPEG",
        interpolation="AREA" if size else None,
    )
    return upright(rgb.to_ndarray(), video)


def upright(picture: NDArray[Any], video: VideoInfo) -> NDArray[Any]:
    """A decoded picture (H, W) or (H, W, C) as a viewer sees it: turned, and mirrored where the film says so."""
    turned = np.rot90(picture, video.rotation_deg // 90)
    return np.ascontiguousarray(turned[:, ::-1] if video.mirrored else turned)


def has_luma_plane(pix_fmt: str) -> bool:
    """Whether decoded frames of this format carry Y' as a plane of native-endian samples."""
    return pix_fmt.startswith(PLANAR_LUMA) and not pix_fmt.endswith("be") and not pix_fmt.startswith("yuyv")


def output_is_full_range(video: VideoInfo) -> bool:
    """Whether the luma that a reader gives has full range: where there is no Y' plane, it is computed in limited range."""
    return video.full_range and has_luma_plane(video.pix_fmt)


def luma_plane(frame: av.VideoFrame) -> NDArray[Any]:
    """The Y' plane of a frame that has one, as a read-only view (H, W): uint8, or uint16 above eight bits."""
    plane = frame.planes[0]
    dtype = np.uint8 if frame.format.components[0].bits <= 8 else np.uint16
    rows = np.frombuffer(memoryview(plane), dtype).reshape(-1, plane.line_size // np.dtype(dtype).itemsize)
    view = rows[: frame.height, : frame.width]
    view.flags.writeable = False
    return view


class Luma:
    """The Y' plane of a film's frames: as it is decoded, or where there is none (RGB, packed formats) computed, once, in the matrix
    that the output will name. `depth` is in bits.
    """

    def __init__(self, video: VideoInfo) -> None:
        self._video = video
        self.is_decoded = has_luma_plane(video.pix_fmt)
        self.depth = video.depth if self.is_decoded else (8 if video.depth <= 8 else 12)
        self.full_range = output_is_full_range(video)

    def of(self, frame: av.VideoFrame) -> av.VideoFrame:
        """A decoded frame with a Y' plane."""
        if self.is_decoded:
            return frame
        made = frame.reformat(
            format="yuv444p" if self.depth == 8 else "yuv444p12le",
            dst_colorspace=self._video.colorspace,
            dst_color_range="MPEG",
        )
        made.pts, made.dts, made.duration = frame.pts, frame.dts, frame.duration
        return made

    def gray(self, luma: NDArray[Any], size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """An upright grey copy of the plane `luma` (H, W), or of a part of it: uint8 (h, w), full range. `size` is its (width,
        height), by default the plane's own.
        """
        turns = self._video.rotation_deg // 90
        if size is not None:
            luma = cv2.resize(luma, size if turns % 2 == 0 else size[::-1], interpolation=cv2.INTER_AREA)
        samples = SampleRange.of(self.depth, full=self.full_range)
        return np.ascontiguousarray(np.rot90(luma_to_gray(luma, samples), turns))


@dataclass(frozen=True)
class Window:
    """A rectangle of the coded picture: the part that shows something, without black borders. Even numbers of samples."""

    left: int
    top: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing a plane: rows, columns."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


class FilmReader:
    """Iterates over the frames of a film, in order of presentation.

    `gray_size` is (width, height) of the small copy, upright as a viewer sees it; `seek_point` skips frames; `window` is the part of
    the picture that the small copy shows (None: all); `beyond_damage` goes on behind places where a film is damaged for as long as
    anything follows. `stats` counts what was repaired. Raises `InputError` when nothing can be decoded or the picture changes its
    size in mid-film.
    """

    def __init__(
        self,
        info: MediaInfo,
        options: DecodeOptions,
        gray_size: tuple[int, int],
        seek_point: SeekPoint | None = None,
        window: Window | None = None,
        *,
        beyond_damage: bool = False,
    ) -> None:
        self.info, self.options, self.gray_size, self.seek_point = info, options, gray_size, seek_point or SeekPoint()
        self.beyond_damage = beyond_damage
        self.stats = DecodeStats()
        video = info.video
        self.window = window or Window(0, 0, video.width, video.height)
        self.luma = Luma(video)
        self.depth, self.full_range = self.luma.depth, self.luma.full_range

    def __iter__(self) -> Iterator[DecodedFrame]:
        video = self.info.video
        end_pts = None if self.options.end_s is None else video.start_pts + round(self.options.end_s / video.time_base)
        longest = LONGEST_FRAME_S / video.time_base
        for number, (pts, frame) in self._wanted():
            if end_pts is not None and pts >= end_pts:
                break
            self.stats.frames = number + 1
            if number < self.seek_point.frame:
                continue
            luma = luma_plane(frame)
            gray = self.luma.gray(luma[self.window.slices], self.gray_size)
            self.stats.last_duration = frame.duration if 0 < frame.duration <= longest else self._clock.step
            yield DecodedFrame(number, pts, luma, gray)
        if self.stats.frames == self.seek_point.frame == 0:
            raise InputError(f"holds no frame that can be decoded{self._between()}", path=self.info.path)

    def _between(self) -> str:
        return " between --start and --end" if self.options.start_s or self.options.end_s else "; it is damaged"

    def _wanted(self) -> Iterator[tuple[int, tuple[int, av.VideoFrame]]]:
        """Frames from --start on with their numbers, those before `seek_point` left out where the film can be sought."""
        video, seek_point = self.info.video, self.seek_point
        seekable = any(name in self.info.format_name for name in SEEKABLE_FORMATS)
        if seek_point.pts is not None and seekable:
            wanted = seek_point.pts
            frames = dropwhile(lambda item: item[0] < wanted, self._stamped(wanted))
            head = next(frames, None)
            if head is not None and head[0] == wanted:
                yield from enumerate(chain([head], frames), seek_point.frame)
                return
            self.stats = DecodeStats()  # the index led astray: read from the beginning instead
        if not self.options.start_s:
            yield from enumerate(self._stamped(None))
            return
        first = video.start_pts + round(self.options.start_s / video.time_base)
        yield from enumerate(dropwhile(lambda item: item[0] < first, self._stamped(first if seekable else None)))

    def _stamped(self, seek_pts: int | None) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decoded frames with stamps that rise strictly, whole where fields are to be joined."""
        video = self.info.video
        self._clock = clock = PtsClock(video.frame_rate, video.time_base)

        def counted(frames: Iterator[tuple[int, av.VideoFrame]]) -> Iterator[tuple[int, av.VideoFrame]]:
            for item in frames:
                self.stats.repaired_pts = clock.repaired
                yield item

        frames = counted(rising(self._decoded(seek_pts), own_stamp, clock, video.start_pts))
        return deinterlaced(frames, video.time_base) if self.options.deinterlace else frames

    def _decoded(self, seek_pts: int | None) -> Iterator[av.VideoFrame]:
        video = self.info.video
        with open_film(self.info, self.stats) as film:
            if seek_pts is not None:  # without an index it is read from the beginning
                film.seek(seek_pts - SEEK_MARGIN_FRAMES * max(1, round(1 / (video.frame_rate * video.time_base))))
            for frame in film.frames(beyond_damage=self.beyond_damage):
                yield self.luma.of(self._checked(frame))

    def _checked(self, frame: av.VideoFrame) -> av.VideoFrame:
        video, change = self.info.video, ""
        if (frame.width, frame.height) != (video.width, video.height):
            change = f"its picture from {video.width}x{video.height} to {frame.width}x{frame.height}"
        elif self.luma.is_decoded and frame.format.name.replace("yuvj", "yuv") != video.pix_fmt.replace("yuvj", "yuv"):
            change = f"its pixels from {video.pix_fmt} to {frame.format.name}"
        if change:
            reason = f"changes {change} after {self.stats.frames} frames"
            raise InputError(reason, path=self.info.path, remedy="split it there and colorize the pieces")
        return frame
