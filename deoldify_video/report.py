"""A run about itself: progress while it lasts, a report at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Progress:
    """Where a film stands: frames done, of how many (0: not known), and the current shot, counted from 1."""

    frames: int
    total: int
    shot: int


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Report:
    """The outcome of a run. `seconds` is wall time, `fps` frames per second of it; `warnings` are sentences for the user,
    `notes` too: what was chosen for them, and why.

    A film was made in so many `segments`, and `resumed_frames` of its frames were finished by an earlier run; `verification` is what
    the comparison of the finished film with its source found (`media.verify.Verdict`).
    """

    source: str
    output: str
    kind: str
    frames: int
    shots: int
    seconds: float
    fps: float
    model: str
    device: str
    precision: str
    render_factor: int
    render_size: tuple[int, int]
    resumed_frames: int = 0
    warnings: list[str] = field(default_factory=list)
    verification: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)
    segments: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
