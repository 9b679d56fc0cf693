"""Prints the tables of docs/evaluation.md: what smoothing does to real clips, and how well cuts are found.

    python benchmarks/smoothing.py CLIP... [--model compact] [--render-factor 21] [--settings 0.9:4,0.8:0]

Each CLIP is a film in its true colours. It is turned grey (its Y' plane is kept), colorized once, and smoothed in several ways;
everything is measured on the picture that would be written, against the same colours without smoothing. With noise, soft blots
of 6 ab units' deviation, new in every frame, are put on the network's answer, as a worse network would give.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from deoldify_video.color.paint import Painter
from deoldify_video.color.yuv import SampleRange
from deoldify_video.evaluation.film import read_pictures
from deoldify_video.evaluation.metrics import psnr_db
from deoldify_video.evaluation.temporal import RGB8, Motion, Score, TemporalMeter, mean, motion_between
from deoldify_video.media.decode import FilmReader
from deoldify_video.media.frame import FilmFrame
from deoldify_video.media.probe import MATRIX_NAMES, probe
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import ColorOptions, DecodeOptions
from deoldify_video.temporal.flow import make_flow
from deoldify_video.temporal.smooth import DEFAULT_LOOKAHEAD, DEFAULT_SMOOTHING, Smoother

NOISE_AB = 6.0
NOISE_GRID = (7, 4)  # blots across and down the picture
MIN_SIDE_PX = 2


@dataclass
class Clip:
    """A clip, colorized by the network, and what is needed to measure it."""

    name: str
    frames: list[FilmFrame]
    truth: list[RGB8]
    motions: list[Motion | None]
    painter: Painter
    matrix: int
    size: tuple[int, int]

    def painted(self, frame: FilmFrame) -> RGB8:
        """The frame as a viewer gets it."""
        assert frame.ab is not None
        chroma = self.painter.chroma(frame.luma, frame.grey, frame.ab)
        planes = np.concatenate([frame.luma.ravel(), chroma.ravel()]).reshape(-1, frame.luma.shape[1])
        picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        return picture.to_ndarray(format="rgb24", src_colorspace=self.matrix, src_color_range="MPEG")


def load(path: Path, colorizer: Colorizer, render_factor: int) -> Clip:
    """Decode, colorize, and measure the motion of the light."""
    info = probe(path)
    video = info.video
    size = colorizer.spec.render_size(*video.upright_size, render_factor)
    frames = list(colorizer.colorize(FilmReader(info, DecodeOptions(), size)))
    light = [frame.luma for frame in frames]
    flow = make_flow("dis-fine")
    motions = [None] + [motion_between(a, b, flow) for a, b in pairwise(light)]
    samples = SampleRange.of(8, full=False)
    half = (video.width // MIN_SIDE_PX, video.height // MIN_SIDE_PX)
    painter = Painter(video.matrix, samples, samples, 8, half)
    matrix = next(number for number, name in MATRIX_NAMES.items() if name == video.matrix)
    truth = [picture.rgb for picture in read_pictures(path, (video.width, video.height))]
    return Clip(path.stem, frames, truth, motions, painter, matrix, size)


def with_noise(frames: list[FilmFrame]) -> list[FilmFrame]:
    """The frames as a network would colour them that changes its mind all the time."""
    rng = np.random.default_rng(0)
    noisy = []
    for frame in frames:
        assert frame.ab is not None
        blots = rng.normal(0, NOISE_AB, (2, NOISE_GRID[1], NOISE_GRID[0])).astype(np.float32)
        size = frame.grey.shape[::-1]
        changed = copy.copy(frame)
        changed.ab = frame.ab + np.stack([cv2.resize(blot, size, interpolation=cv2.INTER_CUBIC) for blot in blots])
        noisy.append(changed)
    return noisy


def smoothed(frames: list[FilmFrame], smoothing: float, lookahead: int) -> Iterator[FilmFrame]:
    """The frames, smoothed; those given stay as they are."""
    smoother = Smoother(smoothing, lookahead)
    for frame in frames:
        yield from smoother.push(copy.copy(frame))
    yield from smoother.flush()


def measure(clip: Clip, frames: list[FilmFrame]) -> tuple[Score, float]:
    """The measures of stillness, and the PSNR to the true colours."""
    meter, psnr = TemporalMeter(), []
    for frame, truth, motion in zip(frames, clip.truth, clip.motions, strict=True):
        rgb = clip.painted(frame)
        meter.add(rgb, motion)
        psnr.append(psnr_db(rgb, truth))
    meter.end_shot()
    return meter.film(), mean(psnr)


def grey_score(clip: Clip) -> Score:
    """The measures of the grey film itself: what its own light contributes."""
    neutral = []
    for frame in clip.frames:
        changed = copy.copy(frame)
        changed.ab = np.zeros((2, *frame.grey.shape), np.float32)
        neutral.append(changed)
    return measure(clip, neutral)[0]


def row(label: str, score: Score, psnr: float, base: Score, base_psnr: float) -> str:
    """A line of the table: the measures as shares of the unsmoothed ones."""
    shares = [getattr(score, name) / getattr(base, name) for name in ("warp_ab", "warp_rgb", "cdc", "cf")]
    return f"| {label} | " + " | ".join(f"{share:.3f}" for share in shares) + f" | {psnr - base_psnr:+.2f} |"


def table(clips: list[Clip], settings: list[tuple[float, int]], *, noisy: bool) -> None:
    """Print one table: for every clip the measures without smoothing, and what each setting makes of them."""
    print("\n### " + ("with noise on the network's ab" if noisy else "the network's own ab") + "\n")
    print("| clip | ab warp | RGB warp | CDC | CF | PSNR dB |\n|---|---|---|---|---|---|")
    for clip in clips:
        frames = with_noise(clip.frames) if noisy else clip.frames
        base, base_psnr = measure(clip, frames)
        grey = grey_score(clip)
        values = f"{base.warp_ab:.3f} | {base.warp_rgb:.6f} | {base.cdc:.5f} | {base.cf:.1f} | {base_psnr:.2f}"
        print(f"| **{clip.name}**, not smoothed | {values} |")
        print(f"| its grey film | {grey.warp_ab:.3f} | {grey.warp_rgb:.6f} | {grey.cdc:.5f} | {grey.cf:.1f} | |")
        for smoothing, lookahead in settings:
            began = time.process_time()
            answer = list(smoothed(frames, smoothing, lookahead))
            cost_ms = (time.process_time() - began) / len(frames) * 1000
            label = f"smoothing {smoothing}, lookahead {lookahead} ({cost_ms:.1f} ms a frame)"
            print(row(label, *measure(clip, answer), base, base_psnr), flush=True)


def main() -> None:
    """Parse, colorize, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--render-factor", type=int)
    parser.add_argument("--settings", default=f"{DEFAULT_SMOOTHING}:{DEFAULT_LOOKAHEAD},0.8:0")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    settings = [(float(s), int(n)) for s, n in (setting.split(":") for setting in arguments.settings.split(","))]
    colorizer = Colorizer(ColorOptions(model=arguments.model, device="cpu"))
    factor = arguments.render_factor or colorizer.spec.film_render_factor
    clips = [load(path, colorizer, factor) for path in arguments.clips]
    for noisy in (False, True):
        table(clips, settings, noisy=noisy)


if __name__ == "__main__":
    main()
