"""Cuts, found on a small copy of the light while the film streams by.

Two frames are of one shot when one can be made from the other by motion and by a change of light. How far that fails is their
`dissimilarity`: one is fetched along the optical flow, and correlated with the other. Correlation does not see a lamp's gain or a
fade, the flow takes out motion, and the small size takes out grain.

A cut is a frame that is unlike the shot's last frames and stays unlike them for a few frames more; a flash comes back, a whip
pan is unlike itself from frame to frame. Black (or white) frames belong to the shot before them, and the picture that follows
is compared with the one before. In a dissolve no frame is unlike its neighbour, but the frame in the middle is the sum of the
two at its ends; the new shot begins when the new picture prevails.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from deoldify_video.temporal.flow import FlowFunction, make_flow, match_light, mismatch, warp

LOOKAHEAD = 4  # frames; longer than a flash

_PIXELS = 64 * 64  # size of the small copy
_DISSIMILAR = 0.75  # neighbours within a shot stay under 0.3, 99 % of pairs of unrelated photographs lie above 0.9
_FAST_STEP = 0.4  # a neighbouring step of this much is motion that the flow does not follow, and so may this one be
_LARGEST_SHIFT = 0.4  # of the picture's side
_FLAT = 4.0  # grey levels of standard deviation under which a frame shows nothing
_CONTRAST_FLOOR = 16.0  # grey levels squared, added to variances so that two near-empty pictures are alike
_DISSOLVES = (2, 6, 12, 24)  # frames; spans over which a sum of two pictures is looked for
_SUM_FITS = 0.9  # share of the middle picture's variance that its two ends explain together

Small = NDArray[np.uint8]


@dataclass
class _HeldFrame:
    small: Small
    flat: bool


class ShotDetector:
    """Numbers the shots, counted from 0: push the frames' light in order, and `flush` at the end of the film; the numbers of their
    shots come back in order, `LOOKAHEAD` frames late. Memory does not grow with the film.
    """

    def __init__(self) -> None:
        self._flow = make_flow("dis-fine")  # at this size the finer one is the faster one
        self._window: deque[_HeldFrame] = deque()
        self._past: deque[Small] = deque(maxlen=max(_DISSOLVES))  # frames of this shot that show something, oldest first
        self._moves_fast = False
        self._shot = 0

    def push(self, gray: NDArray[np.uint8]) -> list[int]:
        """Take the next frame's light, uint8 (h, w); return the shots that are known by now."""
        scale = (_PIXELS / gray.size) ** 0.5
        size = tuple(max(16, round(side * scale)) for side in gray.shape[::-1])
        small = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
        self._window.append(_HeldFrame(small, float(small.std()) < _FLAT))
        return [self._decide()] if len(self._window) > LOOKAHEAD else []

    def flush(self) -> list[int]:
        """The shots of the frames still held back."""
        finished = []
        while self._window:
            finished.append(self._decide())
        return finished

    def memory(self) -> bytes:
        """A hash of all that decisions rest on, beside the frames that will come: detectors of one memory decide alike from here on."""
        digest = hashlib.blake2b(bytes([self._moves_fast, len(self._window)]), digest_size=8)
        for small in (*self._past, *(waiting.small for waiting in self._window)):
            digest.update(small.tobytes())
        return digest.digest()

    def _decide(self) -> int:
        now = self._window[0]
        if not now.flat:
            self._judge(now.small)
        self._window.popleft()
        return self._shot

    def _judge(self, small: Small) -> None:
        """Begin a new shot with this frame or take it into the present one, or pass it over as a flash."""
        step = self._dissimilarity(self._past[-1], small) if self._past else 0.0
        if step > _DISSIMILAR and self._comes_back():
            return
        jump = step > _DISSIMILAR and not self._is_whip_pan()
        if jump or (step <= _DISSIMILAR and self._is_dissolved(small)):
            self._shot += 1
            self._past.clear()
            step = 0.0
        self._moves_fast = step > _FAST_STEP
        self._past.append(small)

    def _comes_back(self) -> bool:
        """Whether a frame of the window, this one included, is like one of the last two frames of the shot."""
        before = list(self._past)[-2:]
        later = [waiting.small for waiting in self._window if not waiting.flat]
        return any(self._dissimilarity(old, new) <= _DISSIMILAR for new in later for old in before)

    def _is_whip_pan(self) -> bool:
        """Whether the steps before and after this frame are too large for the flow as well: a whip pan."""
        later = [waiting.small for waiting in self._window if not waiting.flat]
        steps = [self._dissimilarity(first, second) for first, second in pairwise(later)]
        return self._moves_fast and len(steps) > 0 and steps[0] > _FAST_STEP

    def _is_dissolved(self, small: Small) -> bool:
        """Whether `small` has grown out of an earlier frame by mixing: the frame halfway is a sum of both."""
        for span in _DISSOLVES:
            if len(self._past) < span:
                break
            start, middle = self._past[-span], self._past[-span // 2]
            if _is_sum(start, middle, small) and self._dissimilarity(start, small) > _DISSIMILAR:
                return True
        return False

    def _dissimilarity(self, first: Small, second: Small) -> float:
        return dissimilarity(first, second, self._flow)


def dissimilarity(first: Small, second: Small, flow: FlowFunction) -> float:
    """How surely `first` and `second`, uint8 (h, w), show different things: 0 (one shot) to 1 and a little more.

    1 - r c: r is the correlation of `first` with `second` fetched along the flow, c the share of pixels whose flow leads there
    and back again. Where that fails, the flow starts once more from the shift of the whole picture, so that pans are followed.
    """
    second = match_light(second, first)
    plain = _dissimilarity_along(first, second, flow)
    if plain <= _FAST_STEP:
        return plain
    hanning = _hanning(first.shape[1], first.shape[0])
    (dx, dy), _ = cv2.phaseCorrelate(first.astype(np.float32), second.astype(np.float32), hanning)
    across, down = round(dx), round(dy)
    height, width = first.shape
    if max(abs(across) / width, abs(down) / height) > _LARGEST_SHIFT:
        return plain
    # Only the part that both pictures show can be compared.
    left, right, top, bottom = max(0, -across), min(width, width - across), max(0, -down), min(height, height - down)
    here = np.ascontiguousarray(first[top:bottom, left:right])
    there = np.ascontiguousarray(second[top + down : bottom + down, left + across : right + across])
    return min(plain, _dissimilarity_along(here, there, flow))


def _dissimilarity_along(first: Small, second: Small, flow: FlowFunction) -> float:
    forward = flow(first, second)
    returning = float((mismatch(forward, flow(second, first)) <= 1.0).mean())
    return 1.0 - (1.0 - _decorrelation(first, warp(second, forward))) * returning


def _decorrelation(first: Small, second: Small) -> float:
    """1 - correlation; two pictures without contrast count as alike."""
    a, b = first.astype(np.float32), second.astype(np.float32)
    a, b = a - a.mean(), b - b.mean()
    shared = float((a * b).mean()) + _CONTRAST_FLOOR
    return 1.0 - shared / (float((a * a).mean() * (b * b).mean()) ** 0.5 + _CONTRAST_FLOOR)


def _is_sum(start: Small, middle: Small, end: Small) -> bool:
    """Whether `middle` is a mixture of `start` and `end` that neither explains alone (least squares, constant included)."""
    planes = np.stack([plane.ravel() for plane in (start, end, middle)]).astype(np.float64)
    planes -= planes.mean(axis=1, keepdims=True)
    (aa, ab, am), (_, bb, bm), (_, _, mm) = planes @ planes.T / planes.shape[1]
    floor = _CONTRAST_FLOOR
    if min(aa, bb, mm) < floor or ab > 0.8 * (aa * bb) ** 0.5:
        return False
    determinant = aa * bb - ab * ab
    share_a, share_b = (am * bb - bm * ab) / determinant, (bm * aa - am * ab) / determinant
    explained = (share_a * am + share_b * bm) / mm
    return min(share_a, share_b) > 0.15 and max(share_a, share_b) < 1.0 and explained > _SUM_FITS


@lru_cache(maxsize=4)
def _hanning(width: int, height: int) -> NDArray[np.float32]:
    return np.asarray(cv2.createHanningWindow((width, height), cv2.CV_32F), np.float32)
