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
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from deoldify_video.color.paint import Painter
from deoldify_video.color.yuv import SampleRange
from deoldify_video.evaluation.film import read_pictures
from deoldify_video.film.frame import FilmFrame
from deoldify_video.media.decode import FilmReader
from deoldify_video.media.probe import MATRIX_NAMES, probe
from deoldify_video.metrics.color import psnr_db
from deoldify_video.metrics.temporal import RGB8, Motion, Score, TemporalMeter, mean, motion_between, warp_error
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import ColorOptions, DecodeOptions, SmoothOptions
from deoldify_video.temporal.flow import make_flow
from deoldify_video.temporal.late import through
from deoldify_video.temporal.shots import ShotDetector
from deoldify_video.temporal.smooth import Smoother

NOISE_AB = 6.0
NOISE_GRID = (7, 4)  # blots across and down the picture
PIECE_FRAMES = 12
CUT_ROUNDS = 4  # times through all clips, for every kind of film


@dataclass(frozen=True)
class TrialResult:
    """`score` and `psnr_db` of the painted picture, and the ab warp error before painting, of the float ab at render size."""

    score: Score
    psnr_db: float
    raw_warp_ab: float


@dataclass
class Clip:
    """A clip, colorized by the network, and what is needed to measure it."""

    name: str
    frames: list[FilmFrame]
    truth: list[RGB8]
    motions: list[Motion | None]
    small_motions: list[Motion | None]
    painter: Painter
    matrix: int

    def painted(self, frame: FilmFrame) -> RGB8:
        """The frame as a viewer gets it."""
        assert frame.ab is not None
        chroma = self.painter.chroma(frame.luma, frame.gray, frame.ab)
        planes = np.concatenate([frame.luma.ravel(), chroma.ravel()]).reshape(-1, frame.luma.shape[1])
        picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        return picture.to_ndarray(format="rgb24", src_colorspace=self.matrix, src_color_range="MPEG")


def load(path: Path, colorizer: Colorizer, render_factor: int) -> Clip:
    """Decode, colorize, and measure the motion of the light."""
    info = probe(path)
    video = info.video
    size = colorizer.spec.render_size(*video.upright_size, render_factor)
    decoded = list(FilmReader(info, DecodeOptions(), size))
    colors = colorizer.colors((frame.gray, 0) for frame in decoded)
    frames = [FilmFrame(**vars(frame), shot=0, segment=0, ab=ab) for frame, ab in zip(decoded, colors, strict=True)]
    flow = make_flow("dis-fine")
    motions = [None, *(motion_between(a.luma, b.luma, flow) for a, b in pairwise(frames))]
    small_motions = [None, *(motion_between(a.gray, b.gray, flow) for a, b in pairwise(frames))]
    samples = SampleRange.of(8, full=False)
    half = (video.width // 2, video.height // 2)
    painter = Painter(video.matrix, samples, samples, 8, half)
    matrix = next(number for number, name in MATRIX_NAMES.items() if name == video.matrix)
    truth = [picture.rgb for picture in read_pictures(path, (video.width, video.height))]
    return Clip(path.stem, frames, truth, motions, small_motions, painter, matrix)


def with_noise(frames: list[FilmFrame]) -> list[FilmFrame]:
    """The frames as a network would colour them that changes its mind all the time."""
    rng = np.random.default_rng(0)
    noisy = []
    for frame in frames:
        assert frame.ab is not None
        blots = rng.normal(0, NOISE_AB, (2, NOISE_GRID[1], NOISE_GRID[0])).astype(np.float32)
        size = frame.gray.shape[::-1]
        changed = copy.copy(frame)
        changed.ab = frame.ab + np.stack([cv2.resize(blot, size, interpolation=cv2.INTER_CUBIC) for blot in blots])
        noisy.append(changed)
    return noisy


def smoothed(frames: list[FilmFrame], smoothing: float, lookahead: int) -> Iterator[FilmFrame]:
    """The frames, smoothed; those given stay as they are."""
    smoother = Smoother(smoothing, lookahead)
    for frame, held_still in through(frames, lambda frame: smoother.push(frame.gray, frame.ab), smoother.flush):
        yield replace(frame, ab=held_still.ab)


def measure(clip: Clip, frames: list[FilmFrame]) -> TrialResult:
    """The measures of stillness, and the PSNR to the true colours."""
    meter, psnr, raw = TemporalMeter(), [], []
    before: NDArray[np.float32] | None = None
    for frame, truth, motion, small_motion in zip(frames, clip.truth, clip.motions, clip.small_motions, strict=True):
        rgb = clip.painted(frame)
        meter.add(rgb, motion)
        psnr.append(psnr_db(rgb, truth))
        assert frame.ab is not None
        now = np.ascontiguousarray(frame.ab.transpose(1, 2, 0))  # (h, w, 2)
        if before is not None and small_motion is not None:
            raw.append(warp_error(before, now, small_motion))
        before = now
    meter.end_shot()
    return TrialResult(meter.film(), mean(psnr), mean(raw))


def flat_film(clip: Clip, color: NDArray[np.float32]) -> list[FilmFrame]:
    """The frames in one single colour (2,), to see what their light and eight-bit chroma alone contribute."""
    flat = [copy.copy(frame) for frame in clip.frames]
    for frame in flat:
        frame.ab = np.ones((2, *frame.gray.shape), np.float32) * color[:, None, None]
    return flat


def row(label: str, now: TrialResult, base: TrialResult) -> str:
    """A line of the table: the measures as shares of the unsmoothed ones."""
    shares = [now.raw_warp_ab / base.raw_warp_ab]
    shares += [getattr(now.score, name) / getattr(base.score, name) for name in ("warp_ab", "warp_rgb", "cdc", "cf")]
    return f"| {label} | " + " | ".join(f"{share:.3f}" for share in shares) + f" | {now.psnr_db - base.psnr_db:+.2f} |"


def values(label: str, measured: TrialResult) -> str:
    """A line of the table: the measures themselves."""
    score = measured.score
    numbers = f"{measured.raw_warp_ab:.3f} | {score.warp_ab:.3f} | {score.warp_rgb:.6f} | {score.cdc:.5f} | {score.cf:.1f}"
    return f"| {label} | {numbers} | {measured.psnr_db:.2f} |"


def table(clips: list[Clip], settings: list[tuple[float, int]], *, noisy: bool) -> None:
    """Print one table: for every clip the measures without smoothing, and what each setting makes of them."""
    print("\n### " + ("with noise on the network's ab" if noisy else "the network's own ab") + "\n")
    print("| clip | ab warp, float | ab warp, painted | RGB warp | CDC | CF | PSNR dB |\n|---|---|---|---|---|---|---|")
    for clip in clips:
        frames = with_noise(clip.frames) if noisy else clip.frames
        base = measure(clip, frames)
        print(values(f"**{clip.name}**, not smoothed", base))
        chroma = np.mean([np.abs(frame.ab).mean(axis=(1, 2)) for frame in clip.frames if frame.ab is not None], axis=0)
        print(values("the same film in one colour", measure(clip, flat_film(clip, chroma.astype(np.float32)))))
        print(values("the same film in grey", measure(clip, flat_film(clip, np.zeros(2, np.float32)))))
        for smoothing, lookahead in settings:
            began = time.process_time()
            answer = list(smoothed(frames, smoothing, lookahead))
            cost_ms = (time.process_time() - began) / len(frames) * 1000
            label = f"smoothing {smoothing}, lookahead {lookahead} ({cost_ms:.1f} ms a frame)"
            print(row(label, measure(clip, answer), base), flush=True)


def cost_table(clips: list[Clip]) -> None:
    """Print what smoothing costs, motion included, on pictures of 256x256 pixels."""
    print("\n### cost at 256x256\n")
    costs = []
    for clip in clips:
        cropped = [copy.copy(frame) for frame in clip.frames]
        for frame in cropped:
            assert frame.ab is not None
            frame.gray, frame.ab = (np.ascontiguousarray(planes[..., :256, :256]) for planes in (frame.gray, frame.ab))
        began = time.process_time()
        count = len(list(smoothed(cropped, SmoothOptions.smoothing, SmoothOptions.lookahead)))
        costs.append((time.process_time() - began) / count * 1000)
    print(f"{np.median(costs):.1f} ms a frame on one core ({min(costs):.1f} to {max(costs):.1f})", flush=True)


def worse(gray: NDArray[np.uint8], film: str, number: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A frame as on a film with that fault."""
    picture = gray.astype(np.float32)
    if "lamp" in film:
        picture *= rng.uniform(0.75, 1.25)
    if "flash" in film and number % PIECE_FRAMES == PIECE_FRAMES // 2:
        picture = picture * 2.2 + 90
    if "grain" in film:
        picture += rng.normal(0, 20, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def found_cuts(grays: list[NDArray[np.uint8]]) -> set[int]:
    """The indices of the frames that begin a shot, but the first."""
    detector = ShotDetector()
    shots = [shot for gray in grays for shot in detector.push(gray)] + detector.flush()
    return {index for index, (a, b) in enumerate(pairwise(shots), 1) if a != b}


def cut_table(clips: list[Clip]) -> None:
    """Print how well cuts are found where pieces of the clips are joined, as they are and on worse film."""
    rng = np.random.default_rng(0)
    size = clips[0].frames[0].gray.shape[::-1]
    print("\n### cuts\n\n| film | cuts | found | false | F1 |\n|---|---|---|---|---|")
    for film in ("as it is", "lamp", "grain", "lamp and grain", "lamp, grain, and a flash in every shot"):
        true = found = hits = 0
        for _ in range(CUT_ROUNDS):
            order = [clips[i] for _ in range(3) for i in rng.permutation(len(clips))]
            order = [a for a, b in pairwise([*order, None]) if a is not b]  # the same clip twice in a row would be no cut
            starts = [int(rng.integers(0, len(clip.frames) - PIECE_FRAMES)) for clip in order]
            grays = [
                cv2.resize(frame.gray, size)
                for clip, start in zip(order, starts, strict=True)
                for frame in clip.frames[start : start + PIECE_FRAMES]
            ]
            truth = {i * PIECE_FRAMES for i in range(1, len(order))}
            answer = found_cuts([worse(gray, film, i, rng) for i, gray in enumerate(grays)])
            true, found, hits = true + len(truth), found + len(answer), hits + len(truth & answer)
        print(f"| {film} | {true} | {hits} | {found - hits} | {2 * hits / (true + found):.3f} |", flush=True)


def main() -> None:
    """Parse, colorize, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--render-factor", type=int)
    parser.add_argument("--settings", default=f"{SmoothOptions.smoothing}:{SmoothOptions.lookahead},0.8:0")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    settings = [(float(s), int(n)) for s, n in (setting.split(":") for setting in arguments.settings.split(","))]
    colorizer = Colorizer(ColorOptions(model=arguments.model, device="cpu"))
    factor = arguments.render_factor or colorizer.spec.film_render_factor
    clips = [load(path, colorizer, factor) for path in arguments.clips]
    for noisy in (False, True):
        table(clips, settings, noisy=noisy)
    cost_table(clips)
    cut_table(clips)


if __name__ == "__main__":
    main()
