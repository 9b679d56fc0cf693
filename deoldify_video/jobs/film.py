"""A whole film: segments that survive a kill, then one file with every stream, which appears only when it is finished."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import numpy as np

from deoldify_video import __version__
from deoldify_video.color.paint import Painter
from deoldify_video.color.yuv import SampleRange
from deoldify_video.errors import InputError, OutputError, StoppedError, VerificationError
from deoldify_video.jobs.journal import Journal
from deoldify_video.jobs.preflight import Preflight, preflight
from deoldify_video.media.decode import Begin, FilmReader
from deoldify_video.media.disk import check_disk, need_bytes
from deoldify_video.media.encode import PartWriter, PictureFormat, picture_format
from deoldify_video.media.frame import FilmFrame
from deoldify_video.media.mux import EncodedFilm, Span, write_film
from deoldify_video.media.output import output_errors, output_file
from deoldify_video.media.streams import container_format
from deoldify_video.media.verify import Verdict, verify_film
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import FilmOptions
from deoldify_video.pipeline import Start, film_frames
from deoldify_video.report import OnProgress, Progress, Report
from deoldify_video.stages import Stages
from deoldify_video.temporal.smooth import Track

log = logging.getLogger(__name__)

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
    found = preflight(source, output, options)
    colorizer = colorizer or Colorizer(options.color)
    job = _Job(found, output, options, colorizer)
    journal = Journal(output, job.fingerprint(), restart=options.job.restart)
    resumed = journal.frames
    if resumed:
        log.info("going on after %d frames in %d segments", resumed, len(journal.segments))
    finished, verdict = False, None
    try:
        expected = found.expected_frames(options.decode.start_s, options.decode.end_s)
        check_disk(journal.folder, need_bytes(found.info, found.survey, options.encode, max(0, expected - resumed)))
        reader = job.make_segments(journal, on_progress, should_stop)
        if reader.stats.broke_off and not options.job.allow_truncated:
            raise InputError(
                f"{source} breaks off after {reader.stats.frames} frames: nothing more can be read; "
                "use --allow-truncated to finish with what is there."
            )
        with output_file(output, journal.folder) as temporary:
            mux_warnings = job.assemble(journal, temporary)
            if options.job.verify:
                verdict = job.verify(journal, temporary)
        finished = True
    finally:
        journal.close(remove=finished or not journal.segments)
    frames, seconds = journal.frames, time.monotonic() - began
    report = Report(
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
        segments=len(journal.segments),
        warnings=[*found.warnings, *reader.stats.warnings(), *_pictureless(found, reader, options), *mux_warnings],
        verification=verdict.as_dict() if verdict else None,
    )
    log.info("%s", report)
    return report


class _Job:
    """One film: what it is, and how it is to be made."""

    def __init__(self, found: Preflight, output: Path, options: FilmOptions, colorizer: Colorizer) -> None:
        self.info, self.window, self.found = found.info, found.window, found
        self.output, self.options, self.colorizer = output, options, colorizer
        self.render_factor = options.color.render_factor or colorizer.spec.film_render_factor
        self.render_size = colorizer.spec.render_size(*found.upright_size, self.render_factor)

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
            if group != "job" and name not in ("overwrite", "device", "batch_size")
        }
        return options | {
            "version": __version__,
            "source": f"{self.info.size_bytes} bytes, {hashlib.blake2b(ends, digest_size=8).hexdigest()}",
            "weights": self.colorizer.fingerprint,
            "precision": self.colorizer.precision,
            "render_size": list(self.render_size),
            "window": list(astuple(self.window)) if self.window else None,
        }

    def make_segments(self, journal: Journal, on_progress: OnProgress | None, should_stop: Callable[[], bool]) -> FilmReader:
        """Make all segments that the journal does not have yet; returns the reader with its statistics."""
        begin, start = self._where_to_begin(journal)
        reader = FilmReader(self.info, self.options.decode, self.render_size, begin, self.window)
        total = self.found.expected_frames(self.options.decode.start_s, self.options.decode.end_s)
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
            log.info("segment %d is finished: %d frames, up to frame %d", last.segment, len(pts), last.index + 1)
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

    def assemble(self, journal: Journal, temporary: Path) -> list[str]:
        """Write the finished film: all parts, and the streams of the source that are copied. Returns warnings."""
        segments, video = journal.segments, self.info.video
        pts, end = self._written(journal)
        film = EncodedFilm(
            parts=[journal.folder / segment.part for segment in segments],
            pts=pts,
            delay=max(segment.delay for segment in segments),
            step=max(1, round(1 / (video.frame_rate * video.time_base))),
            last_duration=segments[-1].last_duration,
            remark=self._remark(),
        )
        span = Span.of(self.options.decode, pts, end, video.time_base)
        return write_film(self.info, film, temporary, container_format(self.output), span).warnings()

    def verify(self, journal: Journal, temporary: Path) -> Verdict:
        """Compare the finished film with its source; raises `VerificationError` when it is not what it should be."""
        verdict = verify_film(self.info, temporary, self.options.decode, self._written(journal))
        if not verdict.ok:
            raise VerificationError(
                f"the finished film does not match {self.info.path}: {' '.join(verdict.problems)} Nothing was written; "
                "the same command with --no-verify finishes it all the same, --restart makes it anew."
            )
        return verdict

    def _written(self, journal: Journal) -> tuple[list[int], int]:
        """The stamps of all frames, and the end of the last one."""
        pts = [stamp for segment in journal.segments for stamp in segment.pts]
        return pts, pts[-1] + journal.segments[-1].last_duration

    def _remark(self) -> str:
        color, smoothing = self.options.color, self.options.smooth.smoothing
        return (
            f"Colours are artificial: deoldify-video {__version__}, network {self.colorizer.spec.name}, render factor "
            f"{self.render_factor}, style {color.style}, saturation {color.saturation:g}, smoothing {smoothing:g}."
        )

    def _where_to_begin(self, journal: Journal) -> tuple[Begin, Start]:
        if not journal.segments:
            return Begin(), Start()
        last, pts = journal.segments[-1], [stamp for segment in journal.segments for stamp in segment.pts]
        track = _load_track(journal.track_path(len(journal.segments) - 1)) if last.track_digest else None
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
            window=self._chroma_window(target),
        )

    def _chroma_window(self, target: PictureFormat) -> tuple[slice, slice] | None:
        """The window in samples of the output's chroma planes."""
        video, window = self.info.video, self.window
        if window is None:
            return None
        width, height = target.chroma_size(video.width, video.height)
        across, down = (1 if width == video.width else 2), (1 if height == video.height else 2)
        rows, columns = window.slices
        return (
            slice(rows.start // down, -(-rows.stop // down)),
            slice(columns.start // across, -(-columns.stop // across)),
        )

    def _writer(self, path: Path, reader: FilmReader) -> PartWriter:
        return PartWriter(
            path,
            self.info,
            self.options.encode,
            depth=reader.depth,
            full_range=reader.full_range,
            reorder=container_format(self.output) != "avi",
            field_order=0 if self.options.decode.deinterlace else self.info.video.field_order,
        )


def _pictureless(found: Preflight, reader: FilmReader, options: FilmOptions) -> list[str]:
    """Packets that decode to nothing, without an error, are only found by counting."""
    decode, stats = options.decode, reader.stats
    missing = found.survey.pictures - stats.frames - stats.corrupt_packets
    if decode.start_s or decode.end_s is not None or missing <= 0:
        return []
    return [f"{missing} packets of the film gave no picture."]


def _save_track(path: Path, track: Track) -> None:
    with output_errors(path), path.open("wb") as file:
        np.savez(file, shot=track.shot, grey=track.grey, moments=track.moments)


def _load_track(path: Path) -> Track:
    try:
        with np.load(path) as data:
            return Track(int(data["shot"]), data["grey"], data["moments"])
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{path} is damaged; begin anew with --restart.") from error
