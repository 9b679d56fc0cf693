"""The smoother's memory: what a run needs to go on in the middle of a shot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

from deoldify_video.temporal.flow import Gray

Moments: TypeAlias = NDArray[Any]  # float32 (h, w, 4): sums of a, b, a^2 + b^2 and 1


@dataclass
class SmootherState:
    """The smoother's memory of a shot: the moments of every pixel's past, and the light under which they were seen.

    `moments` float32 (h / 2, w / 2, 4) and `gray` uint8 (h, w), the work size; `shot` is the number of the shot.
    """

    shot: int
    gray: Gray
    moments: Moments
