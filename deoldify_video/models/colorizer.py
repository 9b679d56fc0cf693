"""Runs a network over grey pictures: device, precision, batches, and what to do when memory runs out."""

from __future__ import annotations

import copy
import os
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from deoldify_video.errors import DependencyError, DeviceMemoryError
from deoldify_video.models.resolve import resolve_model
from deoldify_video.models.store import weights_fingerprint
from deoldify_video.options import ColorOptions

if TYPE_CHECKING:
    from deoldify_video.color.hints import Hint

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CPU_BATCH = 4  # larger ones no longer help a CPU, and they make the first frame late
MAX_BATCH = 32
BYTES_PER_PIXEL = 2048  # activations of one pixel of one frame, a cautious figure for the default network in half precision


class Colorizer:
    """A network on a device: `ab` for pictures, `colors` for a stream of them; frames and films are the pipeline's business.

    Raises `DependencyError` when the network or the device is not there.
    """

    def __init__(self, options: ColorOptions) -> None:
        self.spec, path = resolve_model(options.model)
        self.device = choose_device(options.device)
        self.precision = choose_precision(options.precision, self.device, half_on_cpu=self.spec.half_on_cpu)
        self._take_style(options)
        self.network = self.spec.load(path)
        module = cast(nn.Module, self.network)
        module.to(self.device, DTYPES[self.precision], memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.batch_size = options.batch_size
        cores = available_cores()
        # Threads of one batch wait for each other, and the other stages keep taking cores from them. On a CPU two batches are
        # therefore computed side by side, each with half of the cores; a GPU takes one after the other.
        self._workers = 2 if self.device.type == "cpu" and cores > 1 else 1
        self._worker_threads = max(1, cores // self._workers)
        self.fingerprint = weights_fingerprint(self.spec, path)

    def with_hints(self, hints: tuple[Hint, ...]) -> Colorizer:
        """This colorizer, told colours at points; raises `UsageError` where the network takes none."""
        from deoldify_video.models.hinted import with_hints

        hinted = copy.copy(self)
        hinted.network = with_hints(self.network, hints, self.gain)
        return hinted

    def with_style(self, options: ColorOptions) -> Colorizer:
        """This colorizer in the style and saturation of `options`; the network is shared, so it is not loaded again."""
        styled = copy.copy(self)
        styled._take_style(options)
        return styled

    def _take_style(self, options: ColorOptions) -> None:
        style = self.spec.styles[options.style]
        self.temperature, self.gain = style.temperature, style.gain * options.saturation

    def with_gain(self, gain: float) -> Colorizer:
        """This colorizer with another gain of the chroma in place of its style's; the network is shared."""
        strong = copy.copy(self)
        strong.gain = gain
        return strong

    def ab(self, gray: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Colours for grey pictures of one size.

        `gray` uint8 (B, h, w), full range, sRGB-encoded, h and w as `spec.render_size` gives them. Returns float32 (B, 2, h, w) in
        Lab units. When memory runs out the batch is halved and the same frames are tried again; raises `DeviceMemoryError` when
        even one frame does not fit.
        """
        limit = self._batch_limit(gray.shape[1] * gray.shape[2])
        parts: list[NDArray[np.float32]] = []
        done = 0
        while done < len(gray):
            try:
                part = self._forward(gray[done : done + limit])
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if limit == 1:
                    raise DeviceMemoryError(
                        f"{self.device} has too little memory for one picture of {gray.shape[2]}x{gray.shape[1]}",
                        remedy="use a smaller --render-factor or another --device",
                    ) from error
                limit = self.batch_size = min(limit, len(gray) - done) // 2 or 1
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            parts.append(part)
            done += len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def colors(self, pictures: Iterable[tuple[NDArray[np.uint8], Hashable]]) -> Iterator[NDArray[np.float32]]:
        """The colours of many grey pictures of one size, each float32 (2, h, w), in order; see `ab`.

        With every picture, uint8 (h, w), comes what its group is called: a batch never reaches over the end of a group, so that a run
        that begins there computes the very same.
        """
        waiting: deque[Future[NDArray[np.float32]]] = deque()
        with ThreadPoolExecutor(self._workers, "network", torch.set_num_threads, (self._worker_threads,)) as pool:
            for batch in self._batches(pictures):
                waiting.append(pool.submit(self.ab, batch))
                if len(waiting) > self._workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()

    def _batches(self, pictures: Iterable[tuple[NDArray[np.uint8], Hashable]]) -> Iterator[NDArray[np.uint8]]:
        batch: list[NDArray[np.uint8]] = []
        present: Hashable = None
        for gray, group in pictures:
            if batch and (len(batch) >= self._batch_limit(gray.size) or group != present):
                yield np.stack(batch)
                batch = []
            batch.append(gray)
            present = group
        if batch:
            yield np.stack(batch)

    def _batch_limit(self, pixels: int) -> int:
        if self.batch_size is None:
            self.batch_size = CPU_BATCH
            if self.device.type == "cuda":
                free_bytes, _ = torch.cuda.mem_get_info(self.device)
                self.batch_size = max(1, min(MAX_BATCH, free_bytes // 2 // (BYTES_PER_PIXEL * pixels)))
        return self.batch_size

    @torch.inference_mode()
    def _forward(self, gray: NDArray[np.uint8]) -> NDArray[np.float32]:
        picture = torch.from_numpy(gray).to(self.device)[:, None].float() / 255.0  # (B, 1, h, w)
        x = self.network.prepare(picture).to(DTYPES[self.precision], memory_format=torch.channels_last)
        ab: Tensor = self.network.to_ab(self.network(x), self.temperature)
        if ab.shape[-2:] != gray.shape[-2:]:
            ab = F.interpolate(ab, size=gray.shape[-2:], mode="bilinear", align_corners=False)
        result: NDArray[np.float32] = (ab * self.gain).cpu().numpy()
        return result  # (B, 2, h, w)


class LoadedNetwork:
    """Gives colorizers, to one run at a time; the network that was used last stays loaded."""

    def __init__(self) -> None:
        self._last: tuple[tuple[str, str, str], Colorizer] | None = None

    def colorizer(self, options: ColorOptions) -> Colorizer:
        """The network of `options` in their style. Raises `DependencyError` where it is not there."""
        wanted = options.model, options.device, options.precision
        if self._last is None or self._last[0] != wanted:
            self._last = None  # two large ones may not fit beside each other
            self._last = wanted, Colorizer(options)
        return self._last[1].with_style(options)


def devices_here() -> tuple[str, ...]:
    """The kinds of devices that there are, the fastest first."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return tuple(name for name, is_here in found.items() if is_here)


def choose_device(name: str, here: Sequence[str] | None = None) -> torch.device:
    """The torch device for `auto`, `cpu`, `cuda` or `mps`; raises `DependencyError` when it is not among those `here`, by default
    `devices_here`.
    """
    here = devices_here() if here is None else here
    if name == "auto":
        name = here[0]
    if name not in here:
        raise DependencyError(
            f"device {name} is not available here", remedy="use --device auto, or install a torch build that supports it"
        )
    return torch.device(name)


def available_cores() -> int:
    """How many cores this process may use, which can be fewer than there are: in a container, or beside other workers."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def cpu_has_bf16() -> bool:
    """Whether the processor computes with bf16."""
    # Private names, present since torch 2.6; a torch without them computes in fp32, which is only slower.
    probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(probe() for probe in probes if probe is not None)


def choose_precision(
    name: str, device: torch.device, *, half_on_cpu: bool = True, cpu_has_bf16: Callable[[], bool] = cpu_has_bf16
) -> str:
    """`auto` becomes fp16 on a GPU; on a CPU bf16 where the network is made for it and the processor computes with it, else fp32."""
    if name != "auto":
        return name
    if device.type != "cpu":
        return "fp16"
    return "bf16" if half_on_cpu and cpu_has_bf16() else "fp32"


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch failed for want of memory, on a GPU or (where it raises a plain RuntimeError) on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
