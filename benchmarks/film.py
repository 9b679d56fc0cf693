"""Prints the speed table of docs/performance.md: every part of the film path alone, and the whole program against its bound.

    python benchmarks/film.py [--frames 300] [--repeat 3] [--sizes SD,HD]
    python benchmarks/film.py --memory [--render-factor 7]     peak memory of an SD film of one minute and of ten

Makes its own clips: photographs that ship with scikit-image under a moving camera, with film grain. The parts are measured in
one run on the same clip; the whole program is a process of its own (start-up and loading of the network are left out of its
frames per second, and its peak memory is the whole process's). The bound is what the parts allow when nothing overlaps on one
set of cores: 1 / (1 / passthrough + 1 / network).
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from skimage import data

from deoldify_video.film.threads import Stages
from deoldify_video.media.decode import FilmReader
from deoldify_video.media.encode import SegmentWriter, picture_format
from deoldify_video.media.probe import MediaInfo, probe
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import ColorOptions, DecodeOptions, EncodeOptions, SmoothOptions

SIZES = {"SD": (640, 480), "HD": (1920, 1080)}
FRAMES_A_SHOT = 75
NETWORK_BATCHES = 6


def make_clip(path: Path, size: tuple[int, int], frames: int) -> None:
    """A grey clip: pans over photographs, a cut every three seconds, grain of two grey levels' deviation."""
    width, height = size
    rng = np.random.default_rng(1)
    grain = [rng.normal(0, 2.0, (height, width)).astype(np.float32) for _ in range(8)]
    photos = [cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY) for picture in (data.astronaut, data.coffee, data.chelsea)]
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            photo = photos[number // FRAMES_A_SHOT % len(photos)]
            scale = 1.15 * max(width / photo.shape[1], height / photo.shape[0])
            move = number % FRAMES_A_SHOT * 0.5
            view = np.array([[scale, 0, -move], [0, scale, -move / 2]], np.float32)
            picture = cv2.warpAffine(photo, view, size, flags=cv2.INTER_LINEAR).astype(np.float32) + grain[number % len(grain)]
            gray = np.clip(picture, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(gray, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))


def fps(frames: int, work: Callable[[], object]) -> float:
    """Frames per second of `work`, which handles `frames` of them."""
    began = time.perf_counter()
    work()
    return frames / (time.perf_counter() - began)


class Parts:
    """The parts of the film path on one clip, each by itself."""

    def __init__(self, info: MediaInfo, colorizer: Colorizer, frames: int, folder: Path) -> None:
        self.info, self.colorizer, self.frames, self.part = info, colorizer, frames, folder / "part.mkv"
        self.size = colorizer.spec.render_size(*info.video.upright_size, colorizer.spec.film_render_factor)
        target = picture_format(EncodeOptions(), info.video.width, info.video.height, info.video.depth)
        width, height = target.chroma_size(info.video.width, info.video.height)
        self.chroma = np.full((2, height, width), 128, np.uint8)
        self.kept = [frame for frame, _ in zip(self.reader(), range(FRAMES_A_SHOT), strict=False)]

    def reader(self) -> FilmReader:
        return FilmReader(self.info, DecodeOptions(), self.size)

    def writer(self) -> SegmentWriter:
        return SegmentWriter(self.part, self.info, EncodeOptions(), depth=8, full_range=False)

    def decode(self) -> float:
        return fps(self.frames, lambda: [None for _ in self.reader()])

    def encode(self) -> float:
        def work() -> None:
            writer = self.writer()
            for number in range(self.frames):
                writer.write(self.kept[number % len(self.kept)].luma, self.chroma)
            writer.close()

        return fps(self.frames, work)

    def passthrough(self) -> float:
        def work() -> None:
            writer = self.writer()
            with Stages() as stages:
                for frame in stages.background(self.reader(), depth=8, name="decode"):
                    writer.write(frame.luma, self.chroma)
            writer.close()

        return fps(self.frames, work)

    def network(self) -> float:
        batch = np.stack([frame.gray for frame in self.kept[:4]])
        self.colorizer.ab(batch)
        return fps(4 * NETWORK_BATCHES, lambda: [self.colorizer.ab(batch) for _ in range(NETWORK_BATCHES)])


def whole_program(
    clip: Path, output: Path, render_factor: int | None = None, smoothing: float = SmoothOptions.smoothing
) -> tuple[float, float]:
    """Frames per second and peak memory in MB of the program in a process of its own."""
    command = [sys.executable, __file__, "--child", str(clip), str(output), "--smoothing", str(smoothing)]
    command += ["--render-factor", str(render_factor)] if render_factor else []
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return report["fps"], report["peak_mb"]


def child(clip: Path, output: Path, render_factor: int | None, smoothing: float) -> None:
    """Colorize `clip` and print what it took."""
    from deoldify_video import FilmOptions, colorize_film

    options = FilmOptions(
        color=ColorOptions(render_factor=render_factor),
        smooth=SmoothOptions(smoothing),
        encode=EncodeOptions(overwrite=True),
    )
    colorizer = Colorizer(options.color)
    report = colorize_film(clip, output, options, colorizer=colorizer)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"fps": report.fps, "peak_mb": peak_mb}))


def measure(name: str, frames: int, repeat: int, folder: Path) -> dict[str, float]:
    """Medians of all figures of one size."""
    clip = folder / f"{name}.mp4"
    make_clip(clip, SIZES[name], frames)
    parts = Parts(probe(clip), Colorizer(ColorOptions()), frames, folder)
    rows: list[dict[str, float]] = []
    for _ in range(repeat):
        row = {part: getattr(parts, part)() for part in ("decode", "encode", "passthrough", "network")}
        row["whole"], row["peak_mb"] = whole_program(clip, folder / f"{name}-colour.mp4")
        row["bound"] = 1 / (1 / row["passthrough"] + 1 / row["network"])
        row["share"] = row["whole"] / row["bound"]
        row["restless"], _ = whole_program(clip, folder / f"{name}-restless.mp4", smoothing=0.0)
        row["kept"] = row["whole"] / row["restless"]
        rows.append(row)
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def compare_memory(render_factor: int, folder: Path) -> None:
    """Print the peak memory of a short and of a long film."""
    for minutes in (1, 10):
        clip = folder / f"{minutes}.mp4"
        make_clip(clip, SIZES["SD"], minutes * 60 * 25)
        speed, peak_mb = whole_program(clip, folder / f"{minutes}-colour.mp4", render_factor)
        print(f"{minutes} min: peak {peak_mb:.0f} MB ({speed:.1f} fps)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--sizes", default="SD,HD")
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--render-factor", type=int)
    parser.add_argument("--smoothing", type=float, default=SmoothOptions.smoothing, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child, options.render_factor, options.smoothing)
        return
    if options.memory:
        with tempfile.TemporaryDirectory() as folder:
            compare_memory(options.render_factor or 7, Path(folder))
        return
    print(
        "| clip | decode | encode | passthrough | network | bound | whole program | share of bound | peak memory | without smoothing |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sizes.split(","):
            row = measure(name, options.frames, options.repeat, Path(folder))
            figures = [f"{row[key]:.1f} fps" for key in ("decode", "encode", "passthrough", "network", "bound", "whole")]
            width, height = SIZES[name]
            shares = f"{row['share']:.0%} | {row['peak_mb']:.0f} MB | {row['restless']:.1f} fps ({row['kept']:.2f} of it kept)"
            print(f"| {name} {width}x{height} | {' | '.join(figures)} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
