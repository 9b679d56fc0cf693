"""Colours only key frames with the network and carries ab along optical flow to the frames between, from both sides.

A key frame stands at the start of every shot and segment, wherever the flow from the last one fails, and no further from it
than asked for. Flows are composed, so that ab is fetched only once, from the key frame itself. A frame between two key frames
gets the mean of both, weighted by its distance in time and by how far each pixel can be trusted; what neither key frame shows
takes the colour of its surroundings.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video.errors import UsageError
from deoldify_video.temporal.flow import Flow, FlowFunction, Gray, inside, make_flow, match_light, mismatch, resize_flow, warp

AUTO_DISTANCE = 24  # frames: one second of film; what lies further apart the network sees differently anyway
LARGEST_DISTANCE = 250  # frames

_WORK_PIXELS = 256 * 256  # the size at which flow is measured; ab is carried at its own
_KEYS_AT_ONCE = 4  # key frames that the network may take as one batch
_HELD_BYTES = 256 * 1024**2  # of luma that waits for its colours, whatever the batch
_LIGHT_TOLERANCE = 24.0  # grey levels: at this difference of light a pixel counts for exp(-1)
_SMALL_MISS = 1.0  # of the flow's round trip, in units of Sundaram's occlusion threshold: grain alone, which must not add up
_TRUSTED_SHARE = 0.65  # of the picture that a key frame must explain; below it the flow has failed
_FILL_SHARE = 1 / 8  # of the picture's sides: how far colours flow into what no key frame shows
_FILL_TRUST = 0.05  # trust below which they do

Plane: TypeAlias = NDArray[np.float32]
Colors: TypeAlias = NDArray[np.float32]
ColorFunction: TypeAlias = Callable[[NDArray[np.uint8]], Colors]


def parse_keyframes(text: str) -> int:
    """The value of `--keyframes`: `auto`, or the largest distance of key frames in frames. Raises `UsageError`."""
    if text == "auto":
        return AUTO_DISTANCE
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST_DISTANCE:
        raise UsageError(f"--keyframes is {text!r}", remedy=f"use auto, or a number of frames from 1 to {LARGEST_DISTANCE}")
    return int(text)


@dataclass
class _TracedFrame:
    """A frame that waits for colours; flows lead to its neighbours, at work size."""

    index: int
    shot: Hashable
    gray: Gray  # as given
    small: Gray  # at work size
    held_bytes: int
    ab: Colors | None = None
    is_key: bool = False
    to_past: Flow | None = None
    past_trust: Plane | None = None
    to_future: Flow | None = None
    future_trust: Plane | None = None


@dataclass
class _Path:
    """The way from a frame to its key frame: composed flow and trust, at work size."""

    flow: Flow
    trust: Plane


class KeyframeColorizer:
    """Gives frames their ab with few runs of the network.

    `ab` colours grey pictures, uint8 (B, h, w) -> float32 (B, 2, h, w), as `Colorizer.ab` does. `distance` is the largest one
    between key frames, in frames. `keyframes` counts the runs so far.
    """

    def __init__(self, ab: ColorFunction, distance: int = AUTO_DISTANCE, flow: FlowFunction | None = None) -> None:
        self.keyframes = 0
        self._ab = ab
        self._distance = distance
        self._flow = flow or make_flow()

    def colors(self, frames: Iterable[tuple[Gray, Hashable, int]]) -> Iterator[Colors]:
        """The ab of frames, in order, float32 (2, h, w).

        A frame is its light, uint8 (h, w), all of one size; what its shot and segment are called; and how many bytes are held back
        until its colours come.
        """
        waiting: list[_TracedFrame] = []
        path: _Path | None = None  # from the newest frame to the last key frame
        for index, (gray, shot, held) in enumerate(frames):
            now = _TracedFrame(index, shot, gray, _at_work_size(gray), held)
            last = waiting[-1] if waiting else None
            if last is None or last.shot != shot:
                yield from self._finish(waiting)
                waiting, path = [], None
            else:
                path = self._follow(last, now, path)
            held_bytes = sum(item.held_bytes for item in waiting)
            now.is_key = path is None or held_bytes > _HELD_BYTES or self._needs_key(waiting, now, path)
            waiting.append(now)
            if now.is_key:
                path = None
                if held_bytes > _HELD_BYTES or sum(item.is_key for item in waiting) > _KEYS_AT_ONCE:
                    yield from self._finish(waiting, without_last=True)
                    waiting = [now]
        yield from self._finish(waiting)

    def _follow(self, last: _TracedFrame, now: _TracedFrame, path: _Path | None) -> _Path:
        """Connect two neighbours, and lengthen the way back to the key frame by their step."""
        before = match_light(last.small, now.small)
        last.to_future, now.to_past = self._flow(before, now.small), self._flow(now.small, before)
        last.future_trust = _step_trust(last.to_future, now.to_past)
        now.past_trust = _step_trust(now.to_past, last.to_future)
        return _lengthen(path, now.to_past, now.past_trust)

    def _needs_key(self, waiting: list[_TracedFrame], now: _TracedFrame, path: _Path) -> bool:
        key = next(item for item in reversed(waiting) if item.is_key)
        if now.index - key.index >= self._distance:
            return True
        return bool(np.mean(_seen_trust(path, key.small, now.small)) < _TRUSTED_SHARE)

    def _finish(self, waiting: list[_TracedFrame], *, without_last: bool = False) -> Iterator[Colors]:
        """Colour the key frames of one shot, then what lies between; `without_last`: not the last frame, a key."""
        keys = [i for i, item in enumerate(waiting) if item.is_key]
        fresh = [i for i in keys if waiting[i].ab is None]
        if fresh:
            colors = self._ab(np.stack([waiting[i].gray for i in fresh]))
            for i, ab in zip(fresh, colors, strict=True):
                waiting[i].ab = ab
            self.keyframes += len(fresh)
        for start, end in pairwise([*keys, len(waiting)]):
            _carry(waiting[start : end + 1])
        for item in waiting[: len(waiting) - without_last]:
            assert item.ab is not None
            yield item.ab


def _carry(span: list[_TracedFrame]) -> None:
    """Colour the frames after `span[0]`, a key frame, up to the key frame at its end, if there is one."""
    first = span[0]
    last = span[-1] if len(span) > 1 and span[-1].is_key else None
    between = span[1 : len(span) - (last is not None)]
    backward: dict[int, _Path] = {}
    if last is not None:
        path: _Path | None = None
        for item in reversed(between):
            assert item.to_future is not None
            assert item.future_trust is not None
            backward[item.index] = path = _lengthen(path, item.to_future, item.future_trust)
    path = None
    for step, item in enumerate(between, start=1):
        assert item.to_past is not None
        assert item.past_trust is not None
        path = _lengthen(path, item.to_past, item.past_trust)
        sources = [_fetch(first, item, path, 1.0 - step / (len(between) + 1))]
        if last is not None:
            sources.append(_fetch(last, item, backward[item.index], step / (len(between) + 1)))
        item.ab = _merge(sources)


def _fetch(key: _TracedFrame, item: _TracedFrame, path: _Path, share: float) -> tuple[Colors, Plane]:
    """The key frame's ab at the pixels of a frame, (h, w, 2), and the weight of each, (h, w)."""
    assert key.ab is not None
    height, width = key.ab.shape[1:]
    ab = warp(np.ascontiguousarray(key.ab.transpose(1, 2, 0)), resize_flow(path.flow, width, height))
    weight = cv2.resize(_seen_trust(path, key.small, item.small) * share, (width, height), interpolation=cv2.INTER_LINEAR)
    return ab, np.asarray(weight, np.float32)


def _merge(sources: list[tuple[Colors, Plane]]) -> Colors:
    """The weighted mean of fetched ab, (2, h, w); where all weights vanish, that of the surroundings."""
    weight = np.sum([w for _, w in sources], axis=0) + 1e-6
    total = np.sum([ab * w[..., None] for ab, w in sources], axis=0) + sources[0][0] * 1e-6
    side = max(3, round(min(weight.shape) * _FILL_SHARE) | 1)
    around = cv2.blur(total, (side, side)) / cv2.blur(weight, (side, side))[..., None]
    doubt = np.clip(1.0 - weight / _FILL_TRUST, 0.0, 1.0)[..., None]
    mean = total / weight[..., None] * (1.0 - doubt) + around * doubt
    return np.ascontiguousarray(mean.transpose(2, 0, 1), np.float32)  # (2, h, w)


def _lengthen(path: _Path | None, flow: Flow, trust: Plane) -> _Path:
    """Put one more step before a path: first along `flow`, then along the path from there."""
    if path is None:
        return _Path(flow, trust)
    return _Path(flow + warp(path.flow, flow), trust * warp(path.trust, flow))


def _step_trust(flow: Flow, flow_bw: Flow) -> Plane:
    """How surely the pixels here are those at the end of `flow`: 0..1, float32 (h, w), by the flow's round trip."""
    trust = np.exp(np.minimum(_SMALL_MISS - mismatch(flow, flow_bw), 0.0)).astype(np.float32)
    trust[~inside(flow)] = 0.0
    return trust


def _seen_trust(path: _Path, key_gray: Gray, gray: Gray) -> Plane:
    """The path's trust, less where the key frame's light at its end is another one (the flow has drifted)."""
    seen: NDArray[Any] = warp(match_light(key_gray, gray), path.flow)
    residual = cv2.blur(cv2.absdiff(seen, gray), (3, 3)).astype(np.float32)
    return path.trust * np.exp(-((residual / _LIGHT_TOLERANCE) ** 2))


def _at_work_size(gray: Gray) -> Gray:
    height, width = gray.shape
    scale = min(1.0, (_WORK_PIXELS / (height * width)) ** 0.5)
    if scale == 1.0:
        return gray
    return cv2.resize(gray, (max(16, round(width * scale)), max(16, round(height * scale))), interpolation=cv2.INTER_AREA)
