"""Colours that hold still: ab averaged along the motion of the picture, over the past of the shot and a few frames ahead.

For every frame three sums meet, each fetched along the optical flow to where its pixels are now:

- the past, forgetting by `smoothing` with every frame: a running mean at the start of a track, a moving average later;
- the frame itself;
- the future, the `lookahead` frames that follow, forgetting in the same way, so that the answer does not lag behind.

A pixel's sum loses weight where the flow does not return (occluded, uncovered) or where the light found there differs (another
thing), unless its colour is so near that nobody could tell. Where they agree, the mean of the track wins over whatever the single
frame says. Where past and future disagree by more than the track's own flicker, the colour really changes: then only a frame or
two on either side count, so that the change is over in five frames, and is no jump where the light gives no reason for one.

Colours are soft, so all this is done at a small size, and what it changes is added to the frame's own ab, whose detail stays.

The sums are moments, (a, b, a^2 + b^2, 1) weighted: adding them is all there is to averaging, and warping them weighs well
known pixels over doubtful ones.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video.errors import UsageError
from deoldify_video.options import SmoothOptions
from deoldify_video.temporal.flow import (
    Flow,
    FlowFunction,
    Gray,
    Plane,
    inside,
    make_flow,
    match_light,
    mismatch,
    resize_flow,
    warp,
)

Moments: TypeAlias = NDArray[Any]  # float32 (h, w, 4): sums of a, b, a^2 + b^2 and 1

_STRONGEST = 0.98  # memory of 50 frames; a longer one only follows the drift of the flow
_WORK_PIXELS = 176 * 176  # motion is found in a picture of this size, so that smoothing costs the same at every render factor
_COLOR_STEP = 2  # ab is soft: colours and trust are kept for one in so many pixels of the work size, each way
_LIGHT_TOLERANCE = 18.0  # grey levels: at this difference of light a pixel counts for exp(-1)
_MISS_TOLERANCE = 1.0  # round trips of the flow, in units of Sundaram's occlusion threshold
_LEAST_TRUST = -20.0  # exponent; numbers so small that processors slow down are never made
_HARMLESS = 6.0  # ab: colours this close may be averaged, at exp(-1), wherever they come from; no ghost is seen of them
_JITTER = 2.0  # ab: differences of this size between past and future are never a real change
_SURENESS = 4.0  # past and future differ when their squared distance is this many times the track's variance
_DOUBT = 0.5  # frames of the past against which the future's flicker counts
_SHORTENED = 1.5  # frames of the past, and as many of the future, that still count where the colour changes
_SIDED = 0.2  # how far, there, the side counts less that the frame itself contradicts
_FULLEST = 1.06  # averaging washes out; so much of the lost chroma is given back at most
_NEIGHBORHOOD = (3, 3)  # pixels over which the decision that a colour changes is pooled


@dataclass(frozen=True)
class _Way:
    """Where the pixels of a frame are in a neighbouring one, at the size of the moments: `flow` (h / 2, w / 2, 2), and `trust` 0..1
    float32 (h / 2, w / 2), how far what is found there belongs here.
    """

    flow: Flow
    trust: Plane


@dataclass
class _WindowFrame:
    """A frame in the window: its own moments, and the way to its neighbours (None at the ends of a shot)."""

    ab: Plane  # as given
    shot: int
    gray: Gray
    own: Moments
    a: Plane
    b: Plane
    to_past: _Way | None = None
    to_future: _Way | None = None


@dataclass
class SmootherState:
    """The smoother's memory of a shot: the moments of every pixel's past, and the light under which they were seen.

    `moments` float32 (h / 2, w / 2, 4) and `gray` uint8 (h, w), the work size; `shot` is the number of the shot.
    """

    shot: int
    gray: Gray
    moments: Moments


class SmoothedFrame(NamedTuple):
    """A frame's colours that hold still, float32 (2, h, w), and the smoother's memory after it, None where it does nothing."""

    ab: NDArray[np.float32]
    state: SmootherState | None


class Smoother:
    """Replaces frames' ab by what holds still; push frames in order, and `flush` at the end of the film.

    `smoothing` 0..1 is the weight that the track keeps from frame to frame; 0 passes ab through untouched. `lookahead` is
    how many frames the smoother waits for (0: it only looks back). At most `lookahead` + 1 frames are held. A change of the shot
    empties the window and starts anew, so that no colour crosses a cut. A run that goes on in mid-shot sets `state` first.

    Raises `UsageError` for values outside these ranges.
    """

    def __init__(
        self,
        smoothing: float = SmoothOptions.smoothing,
        lookahead: int = SmoothOptions.lookahead,
        flow: FlowFunction | None = None,
    ) -> None:
        if not 0.0 <= smoothing <= 1.0:
            raise UsageError(f"smoothing must be between 0 and 1, not {smoothing}")
        if lookahead < 0:
            raise UsageError(f"the smoother cannot look ahead {lookahead} frames", remedy="use 0 or more")
        self._ema_alpha = min(smoothing, _STRONGEST)
        self._lookahead = lookahead
        self._flow = flow or make_flow()
        self._window: deque[_WindowFrame] = deque()
        self.state: SmootherState | None = None

    def push(self, gray: NDArray[np.uint8], ab: NDArray[np.float32], shot: int = 0) -> list[SmoothedFrame]:
        """Take a frame: its light uint8 (h, w), its ab float32 (2, h, w), and its shot; return the frames that are finished."""
        if self._ema_alpha == 0.0:
            return [SmoothedFrame(ab, None)]
        finished: list[SmoothedFrame] = []
        if self._window and self._window[-1].shot != shot:
            finished = self.flush()
        if self.state is not None and self.state.shot != shot:
            self.state = None
        waiting = _prepared(gray, ab, shot)
        if self._window:
            last = self._window[-1]
            last.to_future, waiting.to_past = self._ways(last.gray, waiting.gray)
        elif self.state is not None and self.state.gray.shape == waiting.gray.shape:
            _, waiting.to_past = self._ways(self.state.gray, waiting.gray)  # a run that goes on in mid-shot, or no look-ahead
        self._window.append(waiting)
        if len(self._window) > self._lookahead:
            finished.append(self._finish())
        return finished

    def flush(self) -> list[SmoothedFrame]:
        """The frames still in the window, finished."""
        finished = []
        while self._window:
            finished.append(self._finish())
        return finished

    def _ways(self, before: Gray, after: Gray) -> tuple[_Way, _Way]:
        """From a frame of that light to the next one, and back."""
        before = match_light(before, after)
        size = _color_size(after.shape[::-1])
        flow_fw, flow_bw = (resize_flow(flow, *size) for flow in (self._flow(before, after), self._flow(after, before)))
        before, after = (cv2.resize(gray, size, interpolation=cv2.INTER_AREA) for gray in (before, after))
        to_future = _Way(flow_fw, _trust(flow_fw, flow_bw, before, after))
        return to_future, _Way(flow_bw, _trust(flow_bw, flow_fw, after, before))

    def _finish(self) -> SmoothedFrame:
        now = self._window.popleft()
        past = self._past(now)
        future = self._future(now)
        if past is not None and future is not None:
            past, future = _where_it_changes(past, now, future)
        memory = now.own if past is None else now.own + past
        total = memory if future is None else memory + future
        self.state = SmootherState(now.shot, now.gray, memory)
        height, width = now.ab.shape[1:]
        changes = (soft - own for soft, own in zip(_colors(total), (now.a, now.b), strict=True))
        return SmoothedFrame(now.ab + np.stack([cv2.resize(change, (width, height)) for change in changes]), self.state)

    def _past(self, now: _WindowFrame) -> Moments | None:
        if self.state is None or now.to_past is None:
            return None
        return _fetch(self.state.moments, now.to_past, now, self._ema_alpha)

    def _future(self, now: _WindowFrame) -> Moments | None:
        chain = [now, *self._window]
        moments: Moments | None = None
        for here, there in zip(chain[-2::-1], chain[:0:-1], strict=True):
            assert here.to_future is not None
            seen = there.own if moments is None else there.own + moments
            moments = _fetch(seen, here.to_future, here, self._ema_alpha)
        return moments


def _prepared(gray: Gray, ab: Plane, shot: int) -> _WindowFrame:
    height, width = gray.shape
    scale = min(1.0, (_WORK_PIXELS / (height * width)) ** 0.5)
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    small = _color_size(size)
    a, b = (cv2.resize(plane, small, interpolation=cv2.INTER_AREA) for plane in ab.astype(np.float32, copy=False))
    own = cv2.merge([a, b, a * a + b * b, np.ones_like(a)])  # (h / 2, w / 2, 4)
    return _WindowFrame(ab, shot, cv2.resize(gray, size, interpolation=cv2.INTER_AREA), own, a, b)


def _color_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the moments for a work size."""
    return -(-size[0] // _COLOR_STEP), -(-size[1] // _COLOR_STEP)


def _fetch(moments: Moments, way: _Way, own: _WindowFrame, ema_alpha: float) -> Moments:
    """`moments` of a neighbour along the `way` to it, weighted by `ema_alpha` and by how far they belong to the frame `own`."""
    fetched = warp(moments, way.flow)
    a, b, _, weight = cv2.split(fetched)
    apart = (cv2.divide(a, weight) - own.a) ** 2 + (cv2.divide(b, weight) - own.b) ** 2
    harmless = cv2.exp(apart * (-1.0 / _HARMLESS**2))
    return _scaled(fetched, cv2.max(way.trust, harmless) * ema_alpha)


def _trust(flow: Flow, flow_bw: Flow, here: Gray, there: Gray) -> Plane:
    """How far the pixel of `there` at the end of `flow` is the one of `here`: 0..1, float32 (h, w)."""
    residual = cv2.absdiff(warp(there, flow), here).astype(np.float32)
    doubt = mismatch(flow, flow_bw) * (-1.0 / _MISS_TOLERANCE) - residual * residual * (1.0 / _LIGHT_TOLERANCE**2)
    trust = cv2.exp(np.maximum(doubt, _LEAST_TRUST))
    trust[~inside(flow)] = 0.0
    return trust


def _mean(moments: Moments) -> tuple[Plane, Plane, Plane, Plane]:
    """a, b, variance (of a plus of b) and weight of `moments`; all zero where nothing is known."""
    a, b, square, weight = cv2.split(moments)
    safe = np.maximum(weight, 1e-6)
    a, b = a / safe, b / safe
    return a, b, np.maximum(square / safe - a * a - b * b, 0.0), weight


def _colors(moments: Moments) -> list[Plane]:
    """The mean a and b, with the chroma that averaging took from the picture as a whole given back.

    sqrt(E|x|^2 / |E x|^2) over the picture is what its tracks have lost; it is one number, so hues and relations stay.
    """
    a, b, square, weight = cv2.split(moments)
    means = [cv2.divide(plane, weight) for plane in (a, b)]
    kept = sum(float(np.vdot(plane, plane)) for plane in means)
    lost = float(np.sum(cv2.divide(square, weight))) / max(kept, 1e-6)
    gain = min(max(lost, 1.0) ** 0.5, _FULLEST)
    return [cv2.multiply(plane, gain) for plane in means]


def _where_it_changes(past: Moments, now: _WindowFrame, future: Moments) -> tuple[Moments, Moments]:
    """Where past and future disagree by more than they flicker, leave little of both, and less of what the frame `now` contradicts.

    With short memories on both sides a change is over in five frames, and it is no jump of its own.
    """
    past_a, past_b, past_variance, past_weight = _mean(past)
    future_a, future_b, future_variance, future_weight = _mean(future)
    # The past tells how much the track flickers; the future only where there is little past, as a change in it would look the same.
    noise: Plane = _JITTER**2 + (past_variance * past_weight + future_variance * _DOUBT) / (past_weight + _DOUBT)
    apart: Plane = (past_a - future_a) ** 2 + (past_b - future_b) ** 2
    to_past = (now.a - past_a) ** 2 + (now.b - past_b) ** 2
    to_future = (now.a - future_a) ** 2 + (now.b - future_b) ** 2
    noise, apart, nearer = (cv2.blur(plane, _NEIGHBORHOOD) for plane in (noise, apart, to_past - to_future))
    known = past_weight * future_weight / ((past_weight + 0.5) * (future_weight + 0.5))  # 0 where there is nothing to compare
    change = np.clip(apart * known / (_SURENESS * noise) - 1.0, 0.0, 1.0)
    # 1 where the frame is of the future's colour, 0 where of the past's; apart is the largest that |nearer| can be on average
    side = np.clip(nearer / (apart + 1e-6) + 0.5, 0.0, 1.0)
    left_of_past = np.minimum(1.0, _SHORTENED / np.maximum(past_weight, 1e-6)) * (1.0 - _SIDED * side)
    left_of_future = np.minimum(1.0, _SHORTENED / np.maximum(future_weight, 1e-6)) * (1.0 - _SIDED * (1.0 - side))
    return _scaled(past, 1.0 - change * (1.0 - left_of_past)), _scaled(future, 1.0 - change * (1.0 - left_of_future))


def _scaled(moments: Moments, weight: Plane) -> Moments:
    """`moments` float32 (h, w, 4) times `weight` float32 (h, w)."""
    return cv2.multiply(moments, cv2.merge([weight] * 4))
