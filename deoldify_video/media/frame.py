"""A film frame on its way through the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from deoldify_video.temporal.smoother_state import SmootherState


@dataclass
class FilmFrame:
    """One frame: its light at full size, a small copy for the network, and the colours that the stages add.

    - `luma`: the Y' plane as decoded, uint8 or uint16 (H, W), never written to
    - `pts`: presentation stamp in the film's `time_base`
    - `gray`: the light at render size, uint8 (h, w), full range 0..255, sRGB-encoded
    - `shot`: number of the shot, counted from 0; it rises by one at every cut
    - `segment`: number of the segment, the unit of resume; segments start at cuts
    - `ab`: Lab a and b at render size, float32 (2, h, w), set by the colorizer and replaced by the smoother
    - `smoother_state`: the smoother's memory after this frame, for a run that goes on in the middle of a shot
    """

    index: int
    pts: int
    luma: NDArray[Any]
    gray: NDArray[np.uint8]
    shot: int = 0
    segment: int = 0
    ab: NDArray[np.float32] | None = None
    smoother_state: SmootherState | None = None
