"""A film on the page: a sheet of choices, its first seconds or all of it in colour, and source and result beside each other."""

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
from deoldify_video.media.pictures import write_picture
from deoldify_video.media.probe import MediaInfo
from deoldify_video.media.streams import check_container
from deoldify_video.options import ColorOptions, EncodeOptions, FilmOptions
from deoldify_video.preview.preview import make_candidates, preview
from deoldify_video.report import Progress
from deoldify_video.web.jobs import Job
from deoldify_video.web.networks import Networks
from deoldify_video.web.sound import make_audible
from deoldify_video.web.visits import Visit

EXCERPT_S = 10.0
_SHEET_FACTORS = (10, 16, 21, 28)
_SHEET_SHOTS = 4
_GAP_PX = 6  # between the shots of a column
_VIEW_WIDTH_PX = 960  # of each of the two pictures beside each other
_COLOUR_SHARE = 0.8  # of a job's time; the rest makes the film to look at


@dataclass(frozen=True)
class Column:
    """Shots below each other in one choice: the address of their picture, what the choice is, and what there is to know of it."""

    address: str
    choice: str
    facts: list[str]


@dataclass(frozen=True)
class Sheet:
    """A preview: its columns, the source first, and what the visitor should know about the film."""

    columns: list[Column]
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


class FilmWork:
    """A visitor's film. Its methods are the work of jobs."""

    def __init__(self, visit: Visit, networks: Networks) -> None:
        self._visit, self._networks = visit, networks
        self._finished: dict[str, tuple[FilmOptions, FilmResult]] = {}
        self._begun: dict[str, FilmOptions] = {}  # by the result's name: what its unfinished parts were made with
        self._sheets = 0

    def sheet(self, job: Job, color: ColorOptions) -> Sheet:
        """Draw a preview in this style and network."""
        job.tell("Looking for different shots", 0.02)
        choices = make_candidates([color.model], [color.style], _SHEET_FACTORS)

        def on_column(done: int) -> None:
            job.tell(f"Preview: {done} of {len(choices)} columns", done / len(choices))

        found = preview(self._visit.source, choices, shots=_SHEET_SHOTS, on_column=on_column)
        self._sheets += 1
        columns = [self._column("Before", [], found.originals)]
        for column in found.columns:
            facts = [f"about {format_duration(column.seconds)}", f"colour {column.colourfulness:.0f}"]
            facts += [] if column.flicker is None else [f"flicker {column.flicker:.2f}"]
            columns.append(self._column(f"Detail {column.render_factor}", facts, column.pictures))
        return Sheet(columns, found.warnings)

    def _column(self, choice: str, facts: list[str], pictures: list[NDArray[np.uint8]]) -> Column:
        path = self._visit.folder / f"preview-{self._sheets}-{choice.lower().replace(' ', '-')}.jpg"
        write_picture(path, np.vstack([np.pad(picture, ((0, _GAP_PX), (0, 0), (0, 0))) for picture in pictures]))
        return Column(self._visit.show(path), choice, facts)

    def colour(self, job: Job, options: FilmOptions, *, whole: bool) -> FilmResult:
        """Colour the film, or its first seconds. The same options go on from where they were stopped."""
        info, folder = self._visit.info, self._visit.folder
        end_s = None if whole else EXCERPT_S
        part = "" if whole else f"-first-{EXCERPT_S:.0f}-seconds"
        path = folder / f"{self._visit.source.stem}{part}-colour{_ending(info)}"
        options = replace(options, decode=replace(options.decode, end_s=end_s), encode=EncodeOptions(overwrite=True))
        done = self._finished.get(path.name)
        if done is not None and done[0] == options:
            return done[1]
        job.tell("Getting the network ready", 0.0)
        goes_on = self._begun.get(path.name) == options
        self._begun[path.name] = options
        run = options if goes_on else _anew(options)
        colorizer = self._networks.colorizer(options.color)
        report = colorize_film(self._visit.source, path, run, on_progress=_Pace(job).on_progress, colorizer=colorizer)
        view = folder / f"{path.stem}-beside-source.mp4"

        def on_frame(frames: int) -> None:
            share = frames / max(1, report.frames)
            job.tell(f"Setting source and result side by side: {share:.0%}", _COLOUR_SHARE + (1 - _COLOUR_SHARE) * share)

        compare(
            self._visit.source,
            path,
            view,
            labels=("before", "after"),
            overwrite=True,
            end_s=end_s,
            max_width_px=_VIEW_WIDTH_PX,
            on_frame=on_frame,
        )
        make_audible(view, path)
        show = self._visit.show
        result = FilmResult(show(view), show(path), path.name, path.stat().st_size, report.frames, report.warnings)
        self._finished[path.name] = options, result
        return result


class _Pace:
    """Tells a job how far its film is, and how long it will take."""

    def __init__(self, job: Job) -> None:
        self._job, self._began, self._first = job, 0.0, 0

    def on_progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if not self._began:
            self._began, self._first = now, progress.frames - 1
        share = progress.frames / progress.total if progress.total else 0.0
        text = f"Colouring frame {progress.frames:,}"
        if progress.total:
            text += f" of {progress.total:,}"
            left_s = (now - self._began) / (progress.frames - self._first) * (progress.total - progress.frames)
            text += f", about {format_duration(left_s)} left" if progress.frames < progress.total else "; checking the film"
        self._job.tell(text, _COLOUR_SHARE * share)


def _anew(options: FilmOptions) -> FilmOptions:
    return replace(options, job=replace(options.job, restart=True))


def _ending(info: MediaInfo) -> str:
    """MP4 plays everywhere; Matroska holds everything."""
    try:
        check_container(info, Path("film.mp4"), EncodeOptions.codec)
    except UsageError:
        return ".mkv"
    return ".mp4"
