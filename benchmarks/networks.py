"""Prints every network's cost at its default size: milliseconds a frame, GMAC, parameters, peak memory, and how far bf16 drifts.

    python benchmarks/networks.py [--device cuda] [--networks compact,ddcolor-tiny] [--repeat 3]

Each network is a process of its own, so that peak memory is its own. Networks that are not installed get random weights, which
cost the same; their drift is then in brackets, because it says little about the published ones. On a CPU the run is fp32 and
bf16, batch 1 and 4, on a GPU fp32 and fp16, batch 1 and 16.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from deoldify_video.models import ddcolor, deoldify
from deoldify_video.models.base import ColorNetwork
from deoldify_video.models.compact import Compact
from deoldify_video.models.registry import MODELS
from deoldify_video.models.store import installed_weights
from deoldify_video.models.zhang import Eccv16, Siggraph17

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "compact": Compact,
    "deoldify-video": lambda: deoldify.Generator(deoldify.CONFIGS["wide"]),
    "deoldify-stable": lambda: deoldify.Generator(deoldify.CONFIGS["wide"]),
    "deoldify-artistic": lambda: deoldify.Generator(deoldify.CONFIGS["deep"]),
    "ddcolor-large": lambda: ddcolor.DDColor(ddcolor.CONFIGS["large"]),
    "ddcolor-artistic": lambda: ddcolor.DDColor(ddcolor.CONFIGS["large"]),
    "ddcolor-paper": lambda: ddcolor.DDColor(ddcolor.CONFIGS["large"]),
    "ddcolor-tiny": lambda: ddcolor.DDColor(ddcolor.CONFIGS["tiny"]),
    "eccv16": Eccv16,
    "siggraph17": Siggraph17,
}
DEFAULT = "compact,deoldify-video,deoldify-artistic,ddcolor-large,ddcolor-tiny,eccv16,siggraph17"  # one of each build
MEBIBYTE = 1 << 20


def build(name: str) -> tuple[nn.Module, bool]:
    """A registered network at its published size, and whether its weights are the installed ones or random."""
    weights = installed_weights(MODELS[name])
    if weights is not None:
        return cast(nn.Module, MODELS[name].load(weights)), True
    return randomize(BUILDERS[name]()), False


@torch.no_grad()
def randomize(network: nn.Module) -> nn.Module:
    """Seeded weights that keep a signal's size through the network, so that no layer saturates or dies."""
    torch.manual_seed(0)
    for name, value in network.named_parameters():
        if value.dim() > 1:
            value.normal_(0, value[0].numel() ** -0.5)
        elif name.endswith("gamma"):
            value.fill_(0.5)
    return network.eval().requires_grad_(False)


def milliseconds(run: Callable[[], object], device: str, repeat: int) -> float:
    """The best of some runs after a warm-up."""
    best = float("inf")
    with torch.inference_mode():
        for attempt in range(repeat + 1):
            began = time.perf_counter()
            run()
            if device == "cuda":
                torch.cuda.synchronize()
            if attempt:
                best = min(best, time.perf_counter() - began)
    return best * 1000


def gmac(name: str, gray_size: tuple[int, int]) -> float:
    """Multiply-accumulates of one frame, counted without computing anything."""
    network = BUILDERS[name]().eval().requires_grad_(False).to("meta")
    module = cast(ColorNetwork, network)
    width, height = gray_size
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        module(torch.empty_like(module.prepare(torch.empty(1, 1, height, width, device="meta"))))
    return counter.get_total_flops() / 2 / 1e9


def measure(name: str, device: str, repeat: int) -> dict[str, object]:
    """One network's row."""
    spec = MODELS[name]
    width, height = spec.render_size(640, 480, spec.film_render_factor)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    network, real = build(name)
    module = cast(ColorNetwork, network)
    # soft noise, as a picture has more large forms than small ones
    noise = torch.rand(16, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    gray = nn.functional.interpolate(noise, (height, width), mode="bicubic").clamp(0, 1).to(device)
    x = module.prepare(gray)
    answers: dict[str, Tensor] = {}
    speeds = {}
    half, batch = (torch.float16, 16) if device == "cuda" else (torch.bfloat16, 4)
    for dtype in (torch.float32, half):
        network.to(device, dtype, memory_format=torch.channels_last)
        for count in (1, batch):
            part = x[:count].to(dtype, memory_format=torch.channels_last)
            label = f"{str(dtype).removeprefix('torch.')} x{count}"
            speeds[label] = milliseconds(lambda part=part: module(part), device, repeat) / count
        with torch.inference_mode():
            answers[str(dtype)] = module.to_ab(module(x[:1].to(dtype)), 1.0)
    exact, rough = answers.values()
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated() / MEBIBYTE
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit / MEBIBYTE
    return {
        "name": name,
        "size": f"{width}x{height}",
        "parameters": sum(value.numel() for value in network.parameters()),
        "gmac": gmac(name, (width, height)),
        "speeds": speeds,
        "peak": peak,
        "drift": float((exact - rough).square().mean().sqrt()),
        "strength": float(exact.square().mean().sqrt()),
        "real": real,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=DEFAULT, help="names, with commas; or `all`")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)  # a process measures one network for the table
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.device, options.repeat)))
        return
    names = list(MODELS) if options.networks == "all" else options.networks.split(",")
    heading: list[str] | None = None
    for name in names:
        command = [sys.executable, __file__, "--one", name, "--device", options.device, "--repeat", str(options.repeat)]
        row = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        if heading is None:
            heading = list(row["speeds"])
            print(f"milliseconds a frame on {options.device}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
            print("| network | size | parameters | GMAC | " + " | ".join(heading) + " | peak MiB | half drift of ab |")
            print("|---|---|---|---|" + "---|" * (len(heading) + 2))
        drift = f"{row['drift']:.2f} of {row['strength']:.1f}"
        speeds = " | ".join(f"{row['speeds'][label]:.0f}" for label in heading)
        print(
            f"| {name} | {row['size']} | {row['parameters'] / 1e6:.1f} M | {row['gmac']:.0f} | {speeds} | {row['peak']:.0f} "
            f"| {drift if row['real'] else f'({drift})'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
