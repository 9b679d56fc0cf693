"""A film frame on its way through the pipeline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deoldify_video.media.decode import DecodedFrame
from deoldify_video.temporal.smooth import SmootherState


@dataclass
class FilmFrame(DecodedFrame):
    """A decoded frame, and what the stages add to it.

    - `shot`: number of the shot, counted from 0; it rises by one at every cut
    - `segment`: number of the segment, the unit of resume; segments start at cuts
    - `ab`: Lab a and b at render size, float32 (2, h, w), set by the colorizer and replaced by the smoother
    - `smoother_state`: the smoother's memory after this frame, for a run that goes on in the middle of a shot
    """

    shot: int
    segment: int
    ab: NDArray[np.float32] | None = None
    smoother_state: SmootherState | None = None
