"""Writes colour frames as a segment in Matroska: the source's luma, chroma from the network, frame numbers as stamps.

Matroska counts in milliseconds; a segment therefore carries the *number* of each frame, one per millisecond, and the true stamps are
put back when the segment goes into the finished film (`mux.py`). A segment stays readable after a kill.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

from deoldify_video.errors import DependencyError, UsageError
from deoldify_video.media.files import output_errors
from deoldify_video.media.probe import BOTTOM_FIRST, RANGE_FULL, RANGE_LIMITED, MediaInfo
from deoldify_video.options import EncodeOptions

THREADS = 8  # of an encoder: what comes out depends on them, so it must not be as many as the machine has processors
SEGMENT_TIME_BASE = Fraction(1, 1000)  # Matroska's; one tick is one frame here


@dataclass(frozen=True)
class Codec:
    """How a codec is driven: FFmpeg's encoder, its default preset and CRF (None: it has none), the depths it can hold, and options of
    the encoder's own that are always the same.
    """

    encoder: str
    preset: str | None
    crf: int | None
    depths: tuple[int, ...]
    chroma: str = "420"
    even_size: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


# SVT-AV1 talks on stderr by itself, and listens to nothing else; 1 are errors.
os.environ.setdefault("SVT_LOG", "1")
CODECS = {
    "h264": Codec("libx264", "veryfast", 18, (8, 10)),
    "hevc": Codec("libx265", "fast", 20, (8, 10, 12), settings={"x265-params": "log-level=error:frame-threads=4"}),
    "av1": Codec("libsvtav1", "8", 28, (8, 10), even_size=True),
    "ffv1": Codec("ffv1", None, None, (8, 10, 12, 16)),
    "prores": Codec("prores_ks", None, None, (10,), chroma="422", settings={"profile": "3", "vendor": "apl0"}),
}


@dataclass(frozen=True)
class PictureFormat:
    """The pixel format of the output and how source luma gets there: `shift` bits up (exact) or down (rounded)."""

    pix_fmt: str
    depth: int
    shift: int

    @property
    def exact(self) -> bool:
        """Whether the source's luma is kept bit for bit."""
        return self.shift >= 0

    def chroma_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a chroma plane of a picture of that size."""
        layout = av.VideoFormat(self.pix_fmt, width, height)
        return layout.chroma_width(), layout.chroma_height()

    def luma(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Source luma at the depth of the output."""
        if self.shift > 0:
            return plane.astype(np.uint16) << self.shift
        if self.shift < 0:
            half, top = 1 << (-self.shift - 1), (1 << self.depth) - 1
            lowered = np.minimum((plane.astype(np.uint32) + half) >> -self.shift, top)
            return lowered.astype(np.uint8 if self.depth == 8 else np.uint16)
        return plane


def picture_format(options: EncodeOptions, width: int, height: int, depth: int) -> PictureFormat:
    """The format in which `codec` keeps `depth`-bit luma best. Raises `UsageError` when it cannot hold this size."""
    codec = CODECS[options.codec]
    odd = width % 2 or height % 2
    if odd and codec.even_size:
        raise UsageError(f"{options.codec} cannot hold an odd picture of {width}x{height}", remedy="use --codec h264 or ffv1")
    wanted = max(depth, options.bit_depth or 0)
    target = next((d for d in codec.depths if d >= wanted), codec.depths[-1])
    # Encoders with subsampled chroma refuse odd sizes; FFV1 takes them, for the others chroma goes in at full size.
    chroma = "444" if odd and options.codec != "ffv1" else codec.chroma
    return PictureFormat(f"yuv{chroma}p" + ("" if target == 8 else f"{target}le"), target, target - depth)


def _add_encoder(container: Any, codec: str, rate: Fraction, settings: Mapping[str, str]) -> Any:
    encoder = CODECS[codec]
    try:
        stream = container.add_stream(encoder.encoder, rate=rate, options={**encoder.settings, **settings})
        stream.codec_context.thread_count = THREADS
        return stream
    except (av.error.FFmpegError, ValueError) as error:
        raise DependencyError(
            f"this PyAV has no encoder {encoder.encoder} for {codec}", remedy="choose another --codec"
        ) from error


def write_black_picture(path: Path, codec: str) -> None:
    """A film of one black picture in Matroska, for trials. Raises `DependencyError` when there is no encoder for `codec`."""
    depth, chroma = CODECS[codec].depths[0], CODECS[codec].chroma
    with av.open(str(path), "w", format="matroska") as container:
        stream = _add_encoder(container, codec, Fraction(25), {})
        stream.width, stream.height = 64, 64
        stream.pix_fmt = f"yuv{chroma}p" + ("" if depth == 8 else f"{depth}le")
        for frame in (av.VideoFrame(64, 64, stream.pix_fmt), None):
            container.mux(stream.encode(frame))


class SegmentWriter:
    """Encodes frames into one segment; `close` finishes it, `abandon` removes it.

    `full_range` and `depth` describe the luma planes that are written; `info` gives size, matrix and tags. `reorder` lets the
    encoder code frames out of their order (B-frames), which AVI cannot note down. `field_order` is FFmpeg's number for
    pictures that are kept as two fields; 0 are whole pictures. Errors name the `output` that it is for.
    """

    def __init__(
        self,
        path: Path,
        info: MediaInfo,
        options: EncodeOptions,
        *,
        depth: int,
        full_range: bool,
        reorder: bool = True,
        field_order: int = 0,
        output: Path | None = None,
    ) -> None:
        video, codec = info.video, CODECS[options.codec]
        self.format = picture_format(options, video.width, video.height, depth)
        self.frames = 0
        self.delay = 0  # frames that the encoder holds back for B-frames
        self._packets = 0
        self._output = output or path
        with output_errors(self._output):
            self._container = av.open(str(path), "w", format="matroska")
        try:
            self._stream = self._add_stream(info, codec, options, full_range)
            if not reorder and options.codec in ("h264", "hevc"):
                self._stream.codec_context.max_b_frames = 0
            if field_order:
                self._keep_fields(options, field_order)
        except BaseException:
            self._container.close()
            raise
        self._path = path

    def _add_stream(self, info: MediaInfo, codec: Codec, options: EncodeOptions, full_range: bool) -> Any:
        video = info.video
        chosen = {"preset": options.preset or codec.preset, "crf": options.crf if options.crf is not None else codec.crf}
        settings = {key: str(value) for key, value in chosen.items() if value is not None} if codec.crf is not None else {}
        stream = _add_encoder(self._container, options.codec, video.frame_rate, settings)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, self.format.pix_fmt
        stream.sample_aspect_ratio = video.sar
        context = stream.codec_context
        context.time_base = 1 / video.frame_rate
        context.colorspace = video.colorspace
        context.color_range = RANGE_FULL if full_range else RANGE_LIMITED
        context.color_primaries, context.color_trc = video.color_primaries, video.color_trc
        return stream

    def _keep_fields(self, options: EncodeOptions, field_order: int) -> None:
        """Code the two fields of a picture apart, where the codec can, so that they never blend, and note down their order."""
        context = self._stream.codec_context
        context.flags |= Flags.interlaced_dct
        context.field_order = field_order
        if options.codec == "h264":
            context.options = {**context.options, "x264-params": "bff=1" if field_order in BOTTOM_FIRST else "tff=1"}

    def write(self, luma: NDArray[Any], chroma: NDArray[Any]) -> None:
        """Encode one frame: `luma` (H, W) as decoded, `chroma` (2, h, w) code values of `format` in the encoder's chroma size."""
        frame = av.VideoFrame(self._stream.width, self._stream.height, self.format.pix_fmt)
        for plane, values in zip(frame.planes, (self.format.luma(luma), chroma[0], chroma[1]), strict=True):
            rows = np.frombuffer(memoryview(plane), values.dtype).reshape(-1, plane.line_size // values.dtype.itemsize)
            rows[: plane.height, : plane.width] = values
        frame.pts, frame.time_base = self.frames, self._stream.codec_context.time_base
        frame.colorspace = self._stream.codec_context.colorspace
        frame.color_range = self._stream.codec_context.color_range
        frame.color_primaries = self._stream.codec_context.color_primaries  # ProRes takes them from its pictures
        frame.color_trc = self._stream.codec_context.color_trc
        self.frames += 1
        self._mux(frame)

    def close(self) -> None:
        """Encode what the encoder still holds and finish the file."""
        self._mux(None)
        with output_errors(self._output):
            self._container.close()

    def abandon(self) -> None:
        """Close and remove the unfinished file."""
        with contextlib.suppress(av.error.FFmpegError, OSError):  # a full disk, say; the segment is thrown away anyway
            self._container.close()
        self._path.unlink(missing_ok=True)

    def _mux(self, frame: av.VideoFrame | None) -> None:
        with output_errors(self._output):
            for packet in self._stream.encode(frame):
                # The encoder counts frames in its own time base; the segment counts one frame a tick.
                packet.time_base = SEGMENT_TIME_BASE
                self.delay = max(self.delay, self._packets - (packet.pts or 0))
                self._packets += 1
                self._container.mux(packet)
