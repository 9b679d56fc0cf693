"""A whole film: segments that survive a kill, then one file with every stream, which appears only when it is finished."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from deoldify_video.errors import InputError, VerificationError
from deoldify_video.jobs.film_job import FilmJob, NetworkFacts
from deoldify_video.jobs.journal import Journal, Segment
from deoldify_video.jobs.parts import make_segments, rest_of_film
from deoldify_video.jobs.preflight import preflight
from deoldify_video.media.decode import DecodeStats
from deoldify_video.media.disk import check_disk, need_bytes
from deoldify_video.media.mux import EncodedFilm, Span, write_film
from deoldify_video.media.output import output_file
from deoldify_video.media.streams import container_format
from deoldify_video.media.verify import Verdict, verify_film
from deoldify_video.models.colorizer import Colorizer
from deoldify_video.options import FilmOptions
from deoldify_video.report import OnProgress, Report

log = logging.getLogger(__name__)


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
    job = FilmJob(found, output, options, NetworkFacts.of(colorizer))
    journal = Journal(output, job.fingerprint(), restart=options.job.restart)
    resumed = journal.frames
    if resumed:
        log.info("going on after %d frames in %d segments", resumed, len(journal.segments))
    finished = False
    try:
        check_room(job, journal.folder, resumed)
        stretch = rest_of_film(journal.segments)
        reader = job.reader(stretch.begin)
        making = make_segments(
            job, colorizer, journal.folder, stretch, reader, on_progress=on_progress, should_stop=should_stop
        )
        with closing(making):
            for number, segment in making:
                journal.add(number, segment)
        ending = finish_film(job, journal.folder, journal.segments, reader.stats)
        finished = True
    finally:
        journal.close(remove=finished or not journal.segments)
    report = film_report(job, journal.segments, ending, resumed, time.monotonic() - began)
    log.info("%s", report)
    return report


def check_room(job: FilmJob, folder: Path, resumed_frames: int) -> None:
    """Raise `OutputError` when the disk of `folder` has no room for what is still to be made."""
    frames = max(0, job.expected_frames - resumed_frames)
    check_disk(folder, need_bytes(job.info, job.found.survey, job.options.encode, frames))


@dataclass(frozen=True)
class Ending:
    """What was found at a film's end: warnings about its frames and its streams, and the comparison with its source."""

    warnings: list[str]
    verdict: Verdict | None


def finish_film(job: FilmJob, folder: Path, segments: Sequence[Segment], stats: DecodeStats) -> Ending:
    """Put the film together from all its `segments`, compare it with its source, and give it its name.

    `stats` are of the reader that read the film to its end. Raises `InputError` for a film that broke off, `OutputError`, and
    `VerificationError` when the finished film is not what it should be.
    """
    if stats.broke_off and not job.options.job.allow_truncated:
        raise InputError(
            f"{job.info.path} breaks off after {stats.frames} frames: nothing more can be read; "
            "use --allow-truncated to finish with what is there."
        )
    pts = [stamp for segment in segments for stamp in segment.pts]
    end = pts[-1] + segments[-1].last_duration
    verdict = None
    with output_file(job.output, folder) as temporary:
        mux_warnings = _assemble(job, folder, segments, (pts, end), temporary)
        if job.options.job.verify:
            verdict = _verify(job, (pts, end), temporary)
    return Ending([*stats.warnings(), *_pictureless(job, stats), *mux_warnings], verdict)


def film_report(job: FilmJob, segments: Sequence[Segment], ending: Ending, resumed_frames: int, seconds: float) -> Report:
    """What is told of a finished film; `seconds` is the wall time of this run."""
    frames = sum(len(segment.pts) for segment in segments)
    return Report(
        source=str(job.info.path),
        output=str(job.output),
        kind="film",
        frames=frames,
        shots=segments[-1].shots,
        seconds=seconds,
        fps=(frames - resumed_frames) / seconds,
        model=job.network.spec.name,
        device=job.network.device,
        precision=job.network.precision,
        render_factor=job.render_factor,
        render_size=job.render_size,
        resumed_frames=resumed_frames,
        segments=len(segments),
        warnings=[*job.found.warnings, *ending.warnings],
        verification=ending.verdict.as_dict() if ending.verdict else None,
    )


def _assemble(
    job: FilmJob, folder: Path, segments: Sequence[Segment], written: tuple[list[int], int], temporary: Path
) -> list[str]:
    """Write the finished film: all parts, and the streams of the source that are copied. `written` are the stamps of all frames, and
    the end of the last one. Returns warnings.
    """
    video = job.info.video
    film = EncodedFilm(
        parts=[folder / segment.part for segment in segments],
        pts=written[0],
        delay=max(segment.delay for segment in segments),
        step=max(1, round(1 / (video.frame_rate * video.time_base))),
        last_duration=segments[-1].last_duration,
        remark=job.remark,
    )
    span = Span.of(job.options.decode, *written, video.time_base)
    return write_film(job.info, film, temporary, container_format(job.output), span).warnings()


def _verify(job: FilmJob, written: tuple[list[int], int], temporary: Path) -> Verdict:
    """Compare the finished film with its source; raises `VerificationError` when it is not what it should be."""
    verdict = verify_film(job.info, temporary, job.options.decode, written)
    if not verdict.ok:
        raise VerificationError(
            f"the finished film does not match {job.info.path}: {' '.join(verdict.problems)} Nothing was written; "
            "the same command with --no-verify finishes it all the same, --restart makes it anew."
        )
    return verdict


def _pictureless(job: FilmJob, stats: DecodeStats) -> list[str]:
    """Packets that decode to nothing, without an error, are only found by counting."""
    decode = job.options.decode
    missing = job.found.survey.pictures - stats.frames - stats.corrupt_packets
    if decode.start_s or decode.end_s is not None or missing <= 0:
        return []
    return [f"{missing} packets of the film gave no picture."]
