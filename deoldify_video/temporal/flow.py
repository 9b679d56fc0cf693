"""Optical flow between two grey pictures, and what follows from it: warping and occlusion.

A flow is float32 (h, w, 2): the point (x, y) of the first picture is found at (x, y) + flow[y, x] in the second. Every
estimator is one function of that signature (`FlowFunction`), so that the smoother and the measures take any of them.

DIS is Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search"; the occlusion rule is Sundaram et al. 2010,
"Dense point trajectories by GPU-accelerated large displacement optical flow", as Lai et al. 2018 use it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video.errors import DependencyError, UsageError
from deoldify_video.options import FLOWS

# OpenCV's signatures leave dtypes open; what they are is said here and in the docstrings.
Gray: TypeAlias = NDArray[Any]  # uint8 (h, w)
Flow: TypeAlias = NDArray[Any]  # float32 (h, w, 2)
Plane: TypeAlias = NDArray[Any]  # float32 (h, w)
FlowFunction: TypeAlias = Callable[[Gray, Gray], Flow]

_NO_SECOND_MAP: Any = None  # the stubs of `cv2.remap` do not know that it may be left out

_SUM = np.ones((1, 2), np.float32)  # adds the two channels in `cv2.transform`

_GAIN_LIMIT = 2.0  # lamp flicker stays well under one stop
_GAIN_FLOOR = 8  # grey levels added before dividing, so that black counts for nothing
_GAIN_SAMPLES = 64  # side of the sample from which the gain is measured
_RAFT_STRIDE = 8
_RAFT_SMALLEST = 128  # px: RAFT correlates at 1/8 and needs four levels of it


def make_flow(name: str = "dis", device: str = "cpu") -> FlowFunction:
    """The estimator called `name`: "dis" (fast, for the film path), "dis-fine" (for measuring) or "raft" (torchvision, a GPU).

    `device` is a torch device name and matters to "raft" only. An estimator keeps buffers: use one per thread. Raises
    `UsageError` for an unknown name and `DependencyError` where RAFT's library or weights are missing.
    """
    if name == "dis":
        return _make_dis(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    if name == "dis-fine":
        return _make_dis(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if name == "raft":
        return _make_raft(device)
    raise UsageError(f"no optical flow is called {name!r}", remedy=f"known are {', '.join(FLOWS)}")


def _make_dis(preset: int) -> FlowFunction:
    estimator = cv2.DISOpticalFlow.create(preset)

    def flow(first: Gray, second: Gray) -> Flow:
        start = np.zeros((*first.shape, 2), np.float32)
        return estimator.calc(np.ascontiguousarray(first), np.ascontiguousarray(second), start)

    return flow


def _make_raft(device: str) -> FlowFunction:
    import torch

    try:
        from torchvision.models.optical_flow import Raft_Small_Weights, raft_small
    except ImportError as error:
        raise DependencyError("RAFT needs the torchvision library", remedy="install it, or use the flow 'dis'") from error
    try:
        network = raft_small(weights=Raft_Small_Weights.DEFAULT).eval().to(device)
    except (OSError, RuntimeError) as error:
        raise DependencyError(f"RAFT's weights could not be loaded ({error})", remedy="use the flow 'dis'") from error

    def planes(gray: Gray, size: tuple[int, int]) -> torch.Tensor:
        picture = cv2.resize(gray, size, interpolation=cv2.INTER_LINEAR)
        normalized = torch.from_numpy(picture).to(device).float() / 127.5 - 1.0
        return normalized.expand(1, 3, -1, -1)  # (1, 3, h', w')

    def flow(first: Gray, second: Gray) -> Flow:
        height, width = first.shape
        size = tuple(max(_RAFT_SMALLEST, round(side / _RAFT_STRIDE) * _RAFT_STRIDE) for side in (width, height))
        with torch.inference_mode():
            answer = network(planes(first, size), planes(second, size))[-1][0].permute(1, 2, 0).cpu().numpy()
        return resize_flow(answer, width, height)

    return flow


def resize_flow(flow: Flow, width: int, height: int) -> Flow:
    """`flow` float32 (h, w, 2) stretched to (height, width, 2), its vectors scaled along."""
    if flow.shape[:2] == (height, width):
        return flow
    scale = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    return cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR) * scale


def match_light(gray: Gray, reference: Gray) -> Gray:
    """`gray` uint8 (h, w) with its light brought to that of `reference` uint8 (h, w): undoes lamp flicker and fades.

    One gain for the picture, the median of the ratio of pixels, so that no moving object of less than half the picture can
    change it. Held within a factor of two.
    """
    step = max(1, min(gray.shape) // _GAIN_SAMPLES)
    a = reference[::step, ::step].astype(np.float32) + _GAIN_FLOOR
    b = gray[::step, ::step].astype(np.float32) + _GAIN_FLOOR
    gain = float(np.clip(np.median(a / b), 1 / _GAIN_LIMIT, _GAIN_LIMIT))
    if abs(gain - 1.0) < 0.01:
        return gray
    return cv2.convertScaleAbs(gray, alpha=gain, beta=_GAIN_FLOOR * (gain - 1.0))


@lru_cache(maxsize=4)
def _pixel_grid(height: int, width: int) -> Flow:
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
    grid.flags.writeable = False
    return grid


def warp(image: NDArray[Any], flow: Flow) -> NDArray[Any]:
    """Fetch `image` (h, w) or (h, w, C), uint8 or float32, along `flow` (h, w, 2): result[p] = image[p + flow[p]], bilinear.

    Points outside take the nearest pixel of the edge; `inside` tells them apart.
    """
    grid = _pixel_grid(*flow.shape[:2])
    return cv2.remap(image, grid + flow, _NO_SECOND_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def inside(flow: Flow) -> NDArray[np.bool_]:
    """Where `flow` (h, w, 2) stays within the picture: bool (h, w)."""
    height, width = flow.shape[:2]
    x, y = cv2.split(_pixel_grid(height, width) + flow)
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def mismatch(flow: Flow, flow_bw: Flow) -> Plane:
    """How far a round trip misses: |F + B~|^2 / (0.01 (|F|^2 + |B~|^2) + 0.5), float32 (h, w); above 1 is occluded.

    `flow` F (h, w, 2) leads from here to there, `flow_bw` B from there to here, B~ is B fetched along F.
    """
    back = warp(flow_bw, flow)
    trip = flow + back
    miss: Plane = cv2.transform(trip * trip, _SUM)
    length: Plane = cv2.transform(flow * flow + back * back, _SUM)
    length *= 0.01
    length += 0.5
    miss /= length
    return miss


def occlusion_mask(flow: Flow, flow_bw: Flow) -> NDArray[np.bool_]:
    """Where the pixels here are not seen there: bool (h, w), after Lai et al. 2018 (section 4.2; from Sundaram et al. 2010).

    |F + B~|^2 > 0.01 (|F|^2 + |B~|^2) + 0.5, or a motion boundary, |grad F|^2 > 0.01 |F|^2 + 0.002; beyond the picture as well.
    """
    occluded = mismatch(flow, flow_bw) > 1.0
    boundary = np.zeros(occluded.shape, np.float32)
    for component in cv2.split(flow):
        boundary[:, :-1] += np.diff(component, axis=1) ** 2
        boundary[:-1] += np.diff(component, axis=0) ** 2
    return occluded | (boundary > 0.01 * np.square(flow).sum(axis=-1) + 0.002) | ~inside(flow)
