"""Small generated films, and readers that tell what is in a film packet by packet and sample by sample."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from deoldify_video.options import SegmentOptions

RATE = Fraction(25)
AUDIO_RATE = 8000
FFMPEG_RANGES = {False: 1, True: 2}
SHORT = SegmentOptions(8, 12, range_frames=10, search_frames=50, overlap_frames=40)  # a film of two seconds has several


def light(number: int, size: tuple[int, int] = (64, 48), *, shot: int = 0, depth: int = 8, full: bool = False) -> NDArray[Any]:
    """Luma code values (H, W) of frame `number`: a soft texture of its shot's own that drifts to the left, and a little grain."""
    width, height = size
    rng = np.random.default_rng(shot)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x = x + 0.5 * number
    picture = sum(
        np.sin((x * fx + y * fy) / 9 + phase) for fx, fy, phase in zip(*rng.uniform(-1.2, 1.2, (2, 6)), range(6), strict=True)
    )
    picture = 0.5 + 0.13 * picture + np.random.default_rng([shot, number]).normal(0, 0.01, picture.shape)
    unit = 1 << (depth - 8)
    black, white = (0, 256 * unit - 1) if full else (16 * unit, 235 * unit)
    return np.clip(np.rint(black + picture * (white - black)), black, white).astype(np.uint8 if depth == 8 else np.uint16)


def make_film(
    path: Path,
    *,
    frames: int = 12,
    size: tuple[int, int] = (64, 48),
    rate: Fraction = RATE,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    container: str | None = None,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    shots: int = 1,
    audio: str | None = "aac",
    audio_streams: int = 1,
    sar: Fraction | None = None,
    full: bool = False,
    matrix: int = 2,
    primaries: int = 2,
    transfer: int = 2,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    chroma: int | None = None,
    repeat: int | None = None,
) -> Path:
    """Write a grey film; returns `path`.

    `pts` are the stamps of the frames in `time_base` (default: one frame each), `shots` divides the film evenly, `chroma` is a
    code value for Cb and Cr other than neutral, `repeat` shows the same pictures again after so many frames (which is faster);
    `matrix`, `primaries` and `transfer` are FFmpeg's numbers (2: unspecified).
    """
    tick = time_base or 1 / rate
    with av.open(str(path), "w", format=container) as target:
        video: Any = target.add_stream(codec, rate=rate, options=options or {})
        video.width, video.height, video.pix_fmt = *size, pix_fmt
        video.time_base = video.codec_context.time_base = tick
        video.codec_context.colorspace, video.codec_context.color_range = matrix, FFMPEG_RANGES[full]
        video.codec_context.color_primaries, video.codec_context.color_trc = primaries, transfer
        if sar:
            video.sample_aspect_ratio = sar
        if rotation:
            video.set_display_rotation(rotation)
        sounds: list[Any] = []
        for number in range(audio_streams if audio else 0):
            sounds.append(target.add_stream(audio, rate=AUDIO_RATE, layout="mono"))
            sounds[-1].metadata["language"] = ("eng", "fra", "deu")[number]
        picture = lru_cache(maxsize=repeat or 0)(partial(light, size=size, depth=depth_of(pix_fmt), full=full))
        for number in range(frames):
            frame = blank_frame(size, pix_fmt, chroma)
            write_plane(frame, 0, picture(number % repeat if repeat else number, shot=number * shots // frames))
            frame.pts, frame.time_base = pts[number] if pts else number, tick
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        last_s = float(tick * (pts[-1] if pts else frames - 1) + 1 / rate)
        for number, sound in enumerate(sounds):
            target.mux(sound.encode(tone(last_s, 330 * (number + 1))))
            target.mux(sound.encode(None))
    return path


def make_sound(path: Path) -> Path:
    """A file with audio only."""
    with av.open(str(path), "w") as target:
        sound: Any = target.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        target.mux(sound.encode(tone(0.5, 440)))
        target.mux(sound.encode(None))
    return path


def with_packet_data(path: Path, source: Path, change: Callable[[int, bytes], bytes]) -> Path:
    """Write the pictures of `source` anew after `change(number, data)` for the data of every packet; returns `path`."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            copy = av.Packet(change(number, bytes(packet)))
            copy.pts, copy.dts, copy.time_base, copy.stream = packet.pts, packet.dts, packet.time_base, stream
            copy.is_keyframe = packet.is_keyframe
            new.mux(copy)
    return path


def tone(seconds: float, hz: float) -> av.AudioFrame:
    """A steady tone with a little noise, so that no two packets are alike."""
    samples = np.arange(max(1024, round(seconds * AUDIO_RATE)))
    noise = np.random.default_rng(int(hz)).normal(0, 0.02, samples.size)
    sound = 0.3 * np.sin(2 * np.pi * hz * samples / AUDIO_RATE) + noise
    frame = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], format="flt", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, 0, Fraction(1, AUDIO_RATE)
    return frame


def depth_of(pix_fmt: str) -> int:
    """Bits of a sample."""
    return int(av.VideoFormat(pix_fmt, 16, 16).components[0].bits)


def blank_frame(size: tuple[int, int], pix_fmt: str, chroma: int | None = None) -> av.VideoFrame:
    """A frame whose chroma planes are neutral, or `chroma`."""
    frame = av.VideoFrame(*size, pix_fmt)
    neutral = 1 << (depth_of(pix_fmt) - 1)
    for plane in range(1, len(frame.planes)):
        write_plane(frame, plane, np.array(neutral if chroma is None else chroma))
    return frame


def write_plane(frame: av.VideoFrame, number: int, values: NDArray[Any]) -> None:
    """Fill a plane of a frame with values that fit it or can be broadcast to it."""
    plane_rows(frame, number)[...] = values


def plane_rows(frame: av.VideoFrame, number: int) -> NDArray[Any]:
    """A plane's samples (h, w) as a view."""
    plane = frame.planes[number]
    dtype = np.uint8 if frame.format.components[0].bits <= 8 else np.uint16
    rows = np.frombuffer(memoryview(plane), dtype).reshape(-1, plane.line_size // np.dtype(dtype).itemsize)
    return rows[: plane.height, : plane.width]


def planes(path: Path, number: int = 0) -> list[NDArray[Any]]:
    """Plane `number` of every decoded frame: 0 luma, 1 and 2 chroma."""
    with av.open(str(path)) as container:
        return [plane_rows(frame, number).copy() for frame in container.decode(video=0)]


def stamps(path: Path) -> list[Fraction]:
    """When each decoded frame shows, in exact seconds."""
    with av.open(str(path)) as container:
        return [frame.pts * Fraction(frame.time_base) for frame in container.decode(video=0)]


def sound_packets(path: Path, stream: int = 0) -> list[tuple[Fraction, str]]:
    """Time and hash of every packet of an audio stream."""
    with av.open(str(path)) as container:
        return [
            (packet.pts * Fraction(packet.time_base), hashlib.sha256(bytes(packet)).hexdigest())
            for packet in container.demux(container.streams.audio[stream])
            if packet.size
        ]


def colorfulness(path: Path) -> float:
    """Mean distance of Cb and Cr from neutral, in eight-bit codes."""
    chroma = np.stack([np.stack(planes(path, number)) for number in (1, 2)]).astype(np.float32)
    unit = 1 if chroma.max() < 256 else 1 << (int(chroma.max()).bit_length() - 8)
    return float(np.abs(chroma / unit - 128).mean())
