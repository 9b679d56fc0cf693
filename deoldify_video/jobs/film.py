"""A whole film: segments that survive a kill, then one file with every stream, which appears only when it is finished."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from deoldify_video import __version__
from deoldify_video.color.paint import Painter
from deoldify_video.color.yuv import SampleRange
from deoldify_video.errors import InputError, OutputError, StoppedError
from deoldify_video.jobs.journal import Journal
from deoldify_video.media.decode import Begin, FilmReader
from deoldify_video.media.encode import PartWriter, picture_format
from deoldify_video.media.frame import FilmFrame
from deoldify_video.media.mux import EncodedFilm, check_container, container_format, write_film
from deoldify_video.media.output import check_output, output_file
from deoldify_video.media.probe import MediaInfo, probe
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import FilmOptions
from deoldify_video.pipeline import Start, film_frames
from deoldify_video.report import OnProgress, Progress, Report
from deoldify_video.stages import Stages
from deoldify_video.temporal.smooth import Track

WARM_UP_FRAMES = 32  # decoded before a start in mid-shot, so that the shot detector knows the past
_HASHED_BYTES = 1 << 20  # of each end of the source, for its fingerprint


def colorize_film(
    source: Path | str,
    output: Path | str,
    options: FilmOptions | None = None,
    *,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    colorizer: Colorizer | None = None,
) -> Report:
    """Colorize the film `source` into `output`, whose ending names the container.

    `colorizer` may be shared between films; by default one is made from `options.color`. `on_progress` is called after every
    frame, `should_stop` after every segment. The output appears under its name only when it is whole; until then finished
    segments lie in a hidden work folder beside it, and the same call goes on from them. Raises the errors of
    `deoldify_video.errors`.
    """
    options, source, output = options or FilmOptions(), Path(source), Path(output)
    began = time.monotonic()
    info = probe(source)
    if info.kind != "film":
        raise InputError(f"{source} is a photo; name an output with the ending of a picture, such as .png.")
    check_output(source, output, overwrite=options.encode.overwrite)
    check_container(info, output, options.encode.codec)
    picture_format(options.encode, info.video.width, info.video.height, info.video.depth)
    colorizer = colorizer or Colorizer(options.color)
    job = _Job(info, output, options, colorizer)
    journal = Journal(output, job.fingerprint())
    resumed = sum(len(segment.pts) for segment in journal.segments)
    finished = False
    try:
        reader = job.make_segments(journal, on_progress, should_stop)
        with output_file(output) as temporary:
            job.assemble(journal, temporary)
        finished = True
    finally:
        journal.close(remove=finished or not journal.segments)
    frames, seconds = sum(len(segment.pts) for segment in journal.segments), time.monotonic() - began
    return Report(
        source=str(source),
        output=str(output),
        kind="film",
        frames=frames,
        shots=journal.segments[-1].shots,
        seconds=seconds,
        fps=(frames - resumed) / seconds,
        model=colorizer.spec.name,
        device=str(colorizer.device),
        precision=colorizer.precision,
        render_factor=job.render_factor,
        render_size=job.render_size,
        resumed_frames=resumed,
        warnings=[*info.video.warnings, *reader.stats.warnings()],
    )


class _Job:
    """One film: what it is, and how it is to be made."""

    def __init__(self, info: MediaInfo, output: Path, options: FilmOptions, colorizer: Colorizer) -> None:
        self.info, self.output, self.options, self.colorizer = info, output, options, colorizer
        self.render_factor = options.color.render_factor or colorizer.spec.film_render_factor
        self.render_size = colorizer.spec.render_size(*info.video.upright_size, self.render_factor)

    def fingerprint(self) -> dict[str, Any]:
        """All that the finished parts depend on, by name, for a run that goes on later."""
        with self.info.path.open("rb") as file:
            ends = file.read(_HASHED_BYTES)
            file.seek(max(0, self.info.size_bytes - _HASHED_BYTES))
            ends += file.read(_HASHED_BYTES)
        options = {
            f"{group}.{name}": value
            for group, values in asdict(self.options).items()
            for name, value in values.items()
            if name not in ("overwrite", "device", "batch_size")
        }
        return options | {
            "version": __version__,
            "source": f"{self.info.size_bytes} bytes, {hashlib.blake2b(ends, digest_size=8).hexdigest()}",
            "weights": self.colorizer.fingerprint,
            "precision": self.colorizer.precision,
            "render_size": list(self.render_size),
        }

    def make_segments(self, journal: Journal, on_progress: OnProgress | None, should_stop: Callable[[], bool]) -> FilmReader:
        """Make all segments that the journal does not have yet; returns the reader with its statistics."""
        begin, start = self._where_to_begin(journal)
        reader = FilmReader(self.info, self.options.decode, self.render_size, begin)
        total = self._expected_frames()
        pts: list[int] = []
        writer: PartWriter | None = None
        last: FilmFrame | None = None

        def finish(writer: PartWriter, last: FilmFrame, following: FilmFrame | None) -> None:
            writer.close()
            in_mid_shot = following is not None and following.shot == last.shot
            if in_mid_shot and last.track is not None:
                _save_track(journal.track_path(last.segment), last.track)
            journal.add(
                last.segment,
                pts=pts.copy(),
                delay=writer.delay,
                last_duration=reader.stats.last_duration,
                shots=last.shot + 1,
                in_mid_shot=in_mid_shot,
                seekable=reader.stats.clean,
            )
            pts.clear()

        try:
            with Stages() as stages:
                for frame, chroma in film_frames(reader, self.colorizer, self._painter(reader), self.options, start, stages):
                    if writer is not None and last is not None and frame.segment != last.segment:
                        finish(writer, last, frame)
                        writer = None
                        if should_stop():
                            raise StoppedError(f"stopped after {frame.index} frames; the same command goes on from there.")
                    if writer is None:
                        writer = self._writer(journal.part_path(frame.segment), reader)
                    writer.write(frame.luma, chroma)
                    pts.append(frame.pts)
                    last = frame
                    if on_progress:
                        on_progress(Progress(frame.index + 1, total, frame.shot + 1))
                if writer is not None and last is not None:
                    finish(writer, last, None)
                    writer = None
        finally:
            if writer is not None:
                writer.abandon()
        return reader

    def assemble(self, journal: Journal, temporary: Path) -> None:
        """Write the finished film: all parts, and the streams of the source that are copied."""
        segments, video, decode = journal.segments, self.info.video, self.options.decode
        pts = [stamp for segment in segments for stamp in segment.pts]
        film = EncodedFilm(
            parts=[journal.folder / segment.part for segment in segments],
            pts=pts,
            delay=max(segment.delay for segment in segments),
            step=max(1, round(1 / (video.frame_rate * video.time_base))),
            last_duration=segments[-1].last_duration,
        )
        start = pts[0] * video.time_base if decode.start_s else Fraction(0)
        end = None if decode.end_s is None else (pts[-1] + film.last_duration) * video.time_base
        write_film(self.info, film, temporary, container_format(self.output), span=(start, end))

    def _where_to_begin(self, journal: Journal) -> tuple[Begin, Start]:
        if not journal.segments:
            return Begin(), Start()
        last, pts = journal.segments[-1], [stamp for segment in journal.segments for stamp in segment.pts]
        track = _load_track(journal.track_path(len(journal.segments) - 1)) if last.in_mid_shot else None
        start = Start(len(pts), len(journal.segments), last.shots - last.in_mid_shot, track)
        first = len(pts) - (WARM_UP_FRAMES if last.in_mid_shot else 0)
        # The stamp of the first frame that is missing is not known; the one before it is, and it is dropped later.
        first = max(0, min(first, len(pts) - 1))
        return Begin(first, pts[first] if last.seekable else None), start

    def _painter(self, reader: FilmReader) -> Painter:
        video = self.info.video
        target = picture_format(self.options.encode, video.width, video.height, reader.depth)
        return Painter(
            matrix=video.matrix,
            source=SampleRange.of(reader.depth, full=reader.full_range),
            target=SampleRange.of(target.depth, full=reader.full_range),
            depth=target.depth,
            chroma_size=target.chroma_size(video.width, video.height),
            turns=video.rotation_deg // 90,
        )

    def _writer(self, path: Path, reader: FilmReader) -> PartWriter:
        return PartWriter(path, self.info, self.options.encode, depth=reader.depth, full_range=reader.full_range)

    def _expected_frames(self) -> int:
        """Frames that there will be, as far as the container says; 0 where it does not."""
        video, decode = self.info.video, self.options.decode
        total = video.frames or round(self.info.duration_s * video.frame_rate)
        first = round(decode.start_s * video.frame_rate)
        end = total if decode.end_s is None else min(total, round(decode.end_s * video.frame_rate))
        return max(0, end - first)


def _save_track(path: Path, track: Track) -> None:
    with path.open("wb") as file:
        np.savez(file, shot=track.shot, grey=track.grey, moments=track.moments)


def _load_track(path: Path) -> Track:
    try:
        with np.load(path) as data:
            return Track(int(data["shot"]), data["grey"], data["moments"])
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{path} is damaged; begin anew with --restart.") from error
