"""A film on the page: a preview of candidates, its first seconds or all of it in colour, and source and result beside each other."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deoldify_video.compare.compare import compare
from deoldify_video.errors import UsageError
from deoldify_video.film.colorize import colorize_film
from deoldify_video.formatting import format_duration
from deoldify_video.images.pictures import write_picture
from deoldify_video.media.probe import MediaInfo
from deoldify_video.media.streams import check_container
from deoldify_video.options import ColorOptions, EncodeOptions, FilmOptions
from deoldify_video.preview.preview import make_candidates, preview
from deoldify_video.report import Progress
from deoldify_video.web.queue import Run
from deoldify_video.web.session import Session
from deoldify_video.web.sound import make_audible

EXCERPT_S = 10.0
_PREVIEW_FACTORS = (10, 16, 21, 28)
_PREVIEW_SHOTS = 4
_GAP_PX = 6  # between the shots of a column
_VIEW_WIDTH_PX = 960  # of each of the two pictures beside each other
_COLOR_SHARE = 0.8  # of a run's time; the rest makes the film to look at


@dataclass(frozen=True)
class CandidatePicture:
    """Shots below each other as one candidate has them: the address of their picture, the candidate's name, and its measures."""

    address: str
    name: str
    facts: list[str]


@dataclass(frozen=True)
class FilmPreview:
    """A preview: its candidates, the source before them, and what the visitor should know about the film."""

    candidates: list[CandidatePicture]
    warnings: list[str]


@dataclass(frozen=True)
class FilmResult:
    """A film in colour: the addresses of the film to look at and of the file to take home, the latter's name and size."""

    view: str
    download: str
    name: str
    size_bytes: int
    frames: int
    warnings: list[str] = field(default_factory=list)


class FilmSession(Session):
    """A visitor's film. Its methods are called in runs."""

    def __post_init__(self) -> None:
        self._finished: dict[str, tuple[FilmOptions, FilmResult]] = {}
        self._started: dict[str, FilmOptions] = {}  # by the result's name: what its unfinished segments were made with
        self._previews = 0

    def make_preview(self, run: Run, color: ColorOptions) -> FilmPreview:
        """Draw a preview in this style and network."""
        run.tell("Looking for different shots", 0.02)
        candidates = make_candidates([color.model], [color.style], _PREVIEW_FACTORS)

        def on_column(done: int) -> None:
            run.tell(f"Preview: {done} of {len(candidates)} columns", done / len(candidates))

        found = preview(self.source, candidates, shots=_PREVIEW_SHOTS, on_column=on_column)
        self._previews += 1
        pictures = [self._picture("Before", [], found.originals)]
        for column in found.columns:
            facts = [f"about {format_duration(column.seconds)}", f"colour {column.colourfulness:.0f}"]
            facts += [] if column.flicker is None else [f"flicker {column.flicker:.2f}"]
            pictures.append(self._picture(f"Detail {column.render_factor}", facts, column.pictures))
        return FilmPreview(pictures, found.warnings)

    def _picture(self, name: str, facts: list[str], pictures: list[NDArray[np.uint8]]) -> CandidatePicture:
        path = self.folder / f"preview-{self._previews}-{name.lower().replace(' ', '-')}.jpg"
        write_picture(path, np.vstack([np.pad(picture, ((0, _GAP_PX), (0, 0), (0, 0))) for picture in pictures]))
        return CandidatePicture(self.show(path), name, facts)

    def color(self, run: Run, options: FilmOptions, *, whole: bool) -> FilmResult:
        """Colour the film, or its first seconds. The same options go on from where they were stopped."""
        end_s = None if whole else EXCERPT_S
        part = "" if whole else f"-first-{EXCERPT_S:.0f}-seconds"
        path = self.folder / f"{self.source.stem}{part}-colour{_suffix(self.info)}"
        options = replace(options, decode=replace(options.decode, end_s=end_s), encode=EncodeOptions(overwrite=True))
        done = self._finished.get(path.name)
        if done is not None and done[0] == options:
            return done[1]
        run.tell("Getting the network ready", 0.0)
        resumes = self._started.get(path.name) == options
        self._started[path.name] = options
        resumable = options if resumes else replace(options, job=replace(options.job, restart=True))
        colorizer = self.queue.networks.colorizer(options.color)
        report = colorize_film(self.source, path, resumable, on_progress=_Pace(run).on_progress, colorizer=colorizer)
        view = self.folder / f"{path.stem}-beside-source.mp4"

        def on_frame(frames: int) -> None:
            share = frames / max(1, report.frames)
            run.tell(f"Setting source and result side by side: {share:.0%}", _COLOR_SHARE + (1 - _COLOR_SHARE) * share)

        compare(
            self.source,
            path,
            view,
            labels=("before", "after"),
            overwrite=True,
            end_s=end_s,
            max_width_px=_VIEW_WIDTH_PX,
            on_frame=on_frame,
        )
        make_audible(view, path)
        result = FilmResult(self.show(view), self.show(path), path.name, path.stat().st_size, report.frames, report.warnings)
        self._finished[path.name] = options, result
        return result


class _Pace:
    """Tells a run how far its film is, and how long it will take."""

    def __init__(self, run: Run) -> None:
        self._run, self._began, self._first = run, 0.0, 0

    def on_progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if not self._began:
            self._began, self._first = now, progress.frames - 1
        share = progress.frames / progress.total if progress.total else 0.0
        text = f"Colouring frame {progress.frames:,}"
        if progress.total:
            text += f" of {progress.total:,}"
            frame_s = (now - self._began) / (progress.frames - self._first)
            left_s = frame_s * (progress.total - progress.frames)
            text += f", {1 / frame_s:.1f} a second" if frame_s else ""
            text += f", about {format_duration(left_s)} left" if progress.frames < progress.total else "; checking the film"
        self._run.tell(text, _COLOR_SHARE * share)


def _suffix(info: MediaInfo) -> str:
    """MP4 plays everywhere; Matroska holds everything."""
    try:
        check_container(info, Path("film.mp4"), EncodeOptions.codec)
    except UsageError:
        return ".mkv"
    return ".mp4"
