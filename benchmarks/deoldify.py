"""Prints what the imported DeOldify Video network costs, step by step from the way the original runs it to ours.

    python benchmarks/deoldify.py [--weights ColorizeVideo_gen.pth] [--device cuda] [--render-factors 10,21,35] [--film FILM]

Milliseconds a frame at each render factor, in one run: straightforward (fp32, one frame, norms recomputed at every pass as in the
original), folded and channels_last, half precision, batches; then a film with `--keyframes auto`, how many times faster a frame
of it is than the first line, and the PSNR of its ab (255 = peak) against the network run on every frame. Without `--weights` they
are random, which costs the same; the PSNR of the shipped network is printed beside it as one that means something.
"""

from __future__ import annotations

import argparse
import copy
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import numpy as np
import torch
from networks import milliseconds, randomize
from numpy.typing import NDArray
from torch import Tensor, nn

from deoldify_video.film.colorize import colorize_film
from deoldify_video.media.decode import FilmReader
from deoldify_video.media.probe import probe
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.models.deoldify import CONFIGS, Generator, load_generator
from deoldify_video.models.folding import FoldedConv
from deoldify_video.models.store import NETWORK_KEY
from deoldify_video.models.weights import FOLDED_KEY, write_weights
from deoldify_video.options import ColorOptions, DecodeOptions, FilmOptions
from deoldify_video.temporal.keyframes import AUTO_DISTANCE, KeyframeColorizer
from deoldify_video.temporal.late import through
from deoldify_video.temporal.shots import ShotDetector

FILM_RENDER_FACTOR = 21
NETWORK = "deoldify-video"
FIRST = "straightforward fp32, batch 1"


class Published(nn.Module):
    """A folded convolution as it is published: the spectral norm divides at every pass, and batches are normalised apart."""

    def __init__(self, conv: FoldedConv) -> None:
        super().__init__()
        self.conv = conv
        rows = conv.weight.flatten(1)
        self.v = nn.functional.normalize(torch.randn(rows.shape[1], device=rows.device), dim=0)
        u = rows @ self.v
        self.u = u / u.square().sum()  # so that the norm is 1
        self.batch_norm = nn.BatchNorm2d(conv.out_channels).to(rows.device) if conv.batch_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv
        weight = conv.weight
        if conv.norm != "none":
            weight = weight / torch.dot(self.u, torch.mv(weight.flatten(1), self.v))
        return self.batch_norm(nn.functional.conv2d(x, weight, conv.bias, conv.stride, conv.padding, conv.dilation))


def as_published(network: Generator) -> nn.Module:
    """A copy that computes as the original does."""
    network = copy.deepcopy(network)
    for layer in list(network.modules()):
        for name, child in layer.named_children():
            if isinstance(child, FoldedConv):
                setattr(layer, name, Published(child))
    return network.eval()


def straightforward(network: Generator, pictures: dict[int, Tensor], device: str, repeat: int) -> dict[int, float]:
    """Milliseconds a frame by render factor, one frame at a time, as the original runs it."""
    original = as_published(network)
    return {factor: milliseconds(lambda x=x: original(x[:1]), device, repeat) for factor, x in pictures.items()}


def speeds(network: Generator, render_factors: list[int], device: str, repeat: int) -> dict[int, dict[str, float]]:
    """Milliseconds a frame by render factor and way of running."""
    half = torch.float16 if device == "cuda" else torch.bfloat16
    batch = 16 if device == "cuda" else 4
    rows: dict[int, dict[str, float]] = {factor: {} for factor in render_factors}
    pictures = {factor: torch.randn(batch, 3, 16 * factor, 16 * factor, device=device) for factor in render_factors}
    network.to(device)
    for factor, ms in straightforward(network, pictures, device, repeat).items():
        rows[factor][FIRST] = ms
    for dtype, counts in ((torch.float32, (1, batch)), (half, (1, batch))):
        network.to(device, dtype, memory_format=torch.channels_last)
        for factor, x in pictures.items():
            for count in counts:
                part = x[:count].to(dtype, memory_format=torch.channels_last)
                label = f"folded channels_last {str(dtype).removeprefix('torch.')}, batch {count}"
                rows[factor][label] = milliseconds(lambda part=part: network(part), device, repeat) / count
    return rows


def film_options(weights: str, precision: str, device: str, keyframes: int | None, end_s: float) -> FilmOptions:
    """Options of the film run."""
    color = ColorOptions(
        model=weights, render_factor=FILM_RENDER_FACTOR, device=device, precision=precision, keyframes=keyframes
    )
    return FilmOptions(decode=DecodeOptions(end_s=end_s), color=color)


def keyframe_psnr(film: Path, options: FilmOptions) -> tuple[float, int, int]:
    """PSNR of ab with key frames against every frame, the number of key frames, and of frames."""
    colorizer = Colorizer(options.color)
    info = probe(film)
    size = colorizer.spec.render_size(*info.video.upright_size, FILM_RENDER_FACTOR)
    detector = ShotDetector()
    grays = (frame.gray for frame in FilmReader(info, options.decode, size))
    frames = list(through(grays, detector.push, detector.flush))
    every: list[NDArray[np.float32]] = [colorizer.ab(gray[None])[0] for gray, _ in frames]
    carried = KeyframeColorizer(colorizer.ab, AUTO_DISTANCE)
    colors = carried.colors((gray, shot, gray.nbytes) for gray, shot in frames)
    errors = [np.mean((ab - truth) ** 2) for ab, truth in zip(colors, every, strict=True)]
    return 10 * np.log10(255**2 / max(float(np.mean(errors)), 1e-12)), carried.keyframes, len(frames)


def film_table(film: Path, weights: str, device: str, first_ms: float, end_s: float) -> None:
    """Print what `--keyframes auto` makes of a film."""
    precision = "fp16" if device == "cuda" else "bf16"
    options = film_options(weights, precision, device, AUTO_DISTANCE, end_s)
    colorizer = Colorizer(options.color)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        report = colorize_film(film, Path(folder) / "out.mkv", options, colorizer=colorizer)
        frame_ms = (time.perf_counter() - began) * 1000 / report.frames
    psnr, keys, count = keyframe_psnr(film, options)
    own, _, _ = keyframe_psnr(film, film_options("compact", precision, device, AUTO_DISTANCE, end_s))
    print(
        f"\nfilm of {count} frames at render factor {FILM_RENDER_FACTOR}, decoding to encoding, {precision}, --keyframes auto: "
        f"{keys} key frames, {frame_ms:.0f} ms a frame, {first_ms / frame_ms:.1f} times faster than straightforward; "
        f"PSNR of ab against every frame {psnr:.1f} dB (shipped network: {own:.1f} dB)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a wide generator: ColorizeVideo_gen.pth or ColorizeStable_gen.pth")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--render-factors", default="10,21,35")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--film", type=Path, default=Path(__file__).parents[1] / "samples" / "newsreel.mp4")
    parser.add_argument("--seconds", type=float, default=4.0, help="of the film")
    options = parser.parse_args()
    factors = [int(factor) for factor in options.render_factors.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        weights = options.weights
        if weights is None:
            weights = Path(folder) / "random.safetensors"
            random = cast(Generator, randomize(Generator(CONFIGS["wide"])))
            write_weights(weights, random.state_dict(), {NETWORK_KEY: NETWORK, FOLDED_KEY: "true"}, half=False)
            del random
        network = load_generator(weights)
        table = speeds(network, factors, options.device, options.repeat)
        first = next(iter(table.values()))
        print(f"milliseconds a frame on {options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
        print("| | " + " | ".join(f"r {factor}" for factor in factors) + " |\n|---|" + "---|" * len(factors))
        for label in first:
            cells = []
            for row in table.values():
                times = row[FIRST] / row[label]
                cells.append(f"{row[label]:.0f} ({times:.1f}x)")
            print(f"| {label} | " + " | ".join(cells) + " |")
        peak = (
            torch.cuda.max_memory_allocated() / 2**20
            if options.device == "cuda"
            else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        )
        print(f"\npeak memory of the run: {peak:.0f} MiB")
        if FILM_RENDER_FACTOR in table:
            del network
            first_ms = table[FILM_RENDER_FACTOR][FIRST]
            film_table(options.film, str(weights), options.device, first_ms, options.seconds)


if __name__ == "__main__":
    main()
