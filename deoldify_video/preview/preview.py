"""See before you wait: a few shots of a film, or a photo, in every choice of network, style and render factor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deoldify_video.errors import UsageError
from deoldify_video.formatting import format_timecode
from deoldify_video.images.photo_io import read_photo
from deoldify_video.media.clips import ClipReader
from deoldify_video.media.probe import MediaInfo, probe
from deoldify_video.media.scan_packets import scan_packets
from deoldify_video.models.colorizer import Colorizer, LoadedNetwork
from deoldify_video.options import ColorOptions, EncodeOptions, SmoothOptions
from deoldify_video.preview.shot_selection import sample_film
from deoldify_video.preview.trial import FilmTrial, TrialResult, measure_photo, photo_view

MAX_COLUMNS = 12
MAX_SHOTS = 24

RGB8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Candidate:
    """One column: what could be given to `colorize`. `render_factor` None: the network's default."""

    model: str = ColorOptions.model
    style: str = ColorOptions.style
    render_factor: int | None = None


@dataclass(frozen=True)
class CandidateResult:
    """A candidate tried on the shots.

    `colourfulness` (Hasler and Suesstrunk) is about 0 (grey) to 100; `flicker` the mean ab warp error, None for a photo or where no
    two frames of a shot could be compared; `seconds` the estimated time of the whole film or photo on this computer.
    """

    model: str
    style: str
    render_factor: int
    colourfulness: float
    flicker: float | None
    seconds: float
    pictures: list[RGB8] = field(repr=False)


@dataclass(frozen=True)
class Preview:
    """A sheet before it is drawn: `rows` say what they are, `originals` are the pictures without colour."""

    source: str
    kind: str
    frames: int
    duration_s: float
    device: str
    rows: list[str]
    originals: list[RGB8] = field(repr=False)
    columns: list[CandidateResult]
    warnings: list[str]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: without pictures."""
        data = asdict(replace(self, originals=[], columns=[replace(column, pictures=[]) for column in self.columns]))
        del data["originals"]
        for column in data["columns"]:
            del column["pictures"]
        return data


def make_candidates(models: Sequence[str], styles: Sequence[str], render_factors: Sequence[int | None]) -> list[Candidate]:
    """Every combination; raises `UsageError` for values that do not exist and for more columns than a sheet can show."""
    candidates = [Candidate(*combination) for combination in product(models, styles, render_factors)]
    if len(candidates) > MAX_COLUMNS:
        raise UsageError(
            f"{len(candidates)} columns are more than a sheet can show ({MAX_COLUMNS})", remedy="name fewer choices"
        )
    for candidate in candidates:
        ColorOptions(candidate.model, candidate.render_factor, style=candidate.style)
    return candidates


def preview(
    source: Path | str,
    candidates: Sequence[Candidate],
    *,
    shots: int = 6,
    device: str = "auto",
    precision: str = "auto",
    smoothing: float = SmoothOptions.smoothing,
    on_column: Callable[[int], None] = lambda done: None,
) -> Preview:
    """Try `candidates` on a few shots of the film, or on the photo, `source`. Only the frames that are shown are decoded.

    `on_column` is called with the number of finished columns. Raises the errors of `deoldify_video.errors`.
    """
    if not 1 <= shots <= MAX_SHOTS:
        raise UsageError(f"{shots} shots cannot be shown", remedy=f"use 1 to {MAX_SHOTS}")
    info = probe(Path(source))
    loaded, used = LoadedNetwork(), device
    subject = _PhotoSubject(info) if info.kind == "photo" else _FilmSubject(info, shots, smoothing)
    columns = []
    for candidate in candidates:
        colorizer = loaded.colorizer(ColorOptions(candidate.model, device=device, precision=precision, style=candidate.style))
        used = str(colorizer.device)
        factor = colorizer.spec.render_factor(info.kind, candidate.render_factor)
        measured = subject.measure(colorizer, factor)
        columns.append(
            CandidateResult(
                candidate.model,
                candidate.style,
                factor,
                measured.colorfulness,
                None if math.isnan(measured.flicker) else measured.flicker,
                subject.seconds(measured, colorizer),
                measured.pictures,
            )
        )
        on_column(len(columns))
    return Preview(
        source=str(source),
        kind=info.kind,
        frames=subject.frames,
        duration_s=info.duration_s,
        device=used,
        rows=subject.rows,
        originals=subject.originals,
        columns=columns,
        warnings=subject.warnings,
    )


class _FilmSubject:
    """The shots of a film, and what else its time depends on."""

    def __init__(self, info: MediaInfo, shots: int, smoothing: float) -> None:
        reader = ClipReader(info)
        found = sample_film(reader, shots)
        self._trial, self._smoothing = FilmTrial(reader, found.shots), smoothing
        self._other_s = self._trial.other_stages_s(EncodeOptions())
        # Headers say how many frames there are, or how long they last; where they don't, packets are counted.
        self.frames = info.video.frames or round(info.duration_s * info.video.frame_rate) or scan_packets(info).pictures
        self.rows = [f"{format_timecode(shot.seconds)}  {shot.kind}".strip() for shot in found.shots]
        self.originals = self._trial.originals()
        self.warnings = list(info.video.warnings)
        if found.in_color:
            self.warnings.append("the film is in colour already; colorize replaces its colours only with --force.")
        if len(found.shots) < shots:
            self.warnings.append(f"only {len(found.shots)} different shots were found.")

    def measure(self, colorizer: Colorizer, factor: int) -> TrialResult:
        return self._trial.measure(colorizer, factor, self._smoothing)

    def seconds(self, measured: TrialResult, colorizer: Colorizer) -> float:
        # On a CPU all stages share the cores; beside a GPU the slower of the two sides counts.
        on_cpu = colorizer.device.type == "cpu"
        frame_s = measured.frame_s + self._other_s if on_cpu else max(measured.frame_s, self._other_s)
        return frame_s * self.frames


class _PhotoSubject:
    """A photo."""

    def __init__(self, info: MediaInfo) -> None:
        photo = read_photo(info.path)
        self._light = photo.light
        self.frames = 1
        self.rows = [""]
        self.originals = [photo_view(photo.light)]
        self.warnings = ["the photo has colours already; they are replaced."] if photo.in_color else []

    def measure(self, colorizer: Colorizer, factor: int) -> TrialResult:
        return measure_photo(self._light, colorizer, factor)

    def seconds(self, measured: TrialResult, colorizer: Colorizer) -> float:
        return measured.frame_s
