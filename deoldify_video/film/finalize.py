"""The end of a film: its segments become one file with every stream, which is compared with its source and then gets its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deoldify_video.errors import InputError, VerificationError
from deoldify_video.film.job import FilmJob
from deoldify_video.film.journal import Segment
from deoldify_video.media.decode import DecodeStats
from deoldify_video.media.files import output_file
from deoldify_video.media.mux import EncodedFilm, MuxStats, Span, write_film
from deoldify_video.media.streams import container_format
from deoldify_video.media.verify import Verdict, verify_film
from deoldify_video.report import Report


@dataclass(frozen=True)
class FinalizeResult:
    """The result of finalizing: warnings about the film's frames and streams, and the comparison with its source."""

    warnings: list[str]
    verdict: Verdict | None


def finalize_film(job: FilmJob, folder: Path, segments: Sequence[Segment], stats: DecodeStats) -> FinalizeResult:
    """Put the film together from all its `segments`, compare it with its source, and give it its name.

    `stats` are of the reader that read the film to its end. Raises `InputError` for a film that broke off, `OutputError`, and
    `VerificationError` when the finished film is not what it should be.
    """
    if stats.broke_off and not job.options.job.allow_truncated:
        raise InputError(
            f"breaks off after {stats.frames} frames: nothing more can be read",
            path=job.info.path,
            remedy="use --allow-truncated to finish with what is there",
        )
    pts = [stamp for segment in segments for stamp in segment.pts]
    end = pts[-1] + segments[-1].last_duration
    verdict = None
    with output_file(job.output, folder) as temporary:
        mux_stats = _assemble(job, folder, segments, (pts, end), temporary)
        if job.options.job.verify:
            verdict = _verify(job, (pts, end), temporary, mux_stats)
    return FinalizeResult([*stats.warnings(), *_pictureless(job, stats), *mux_stats.warnings()], verdict)


def finalize_report(
    job: FilmJob, segments: Sequence[Segment], result: FinalizeResult, resumed_frames: int, seconds: float
) -> Report:
    """The report on a finished film; `seconds` is the wall time of this run."""
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
        warnings=[*job.found.warnings, *result.warnings],
        verification=result.verdict.as_dict() if result.verdict else None,
    )


def _assemble(
    job: FilmJob, folder: Path, segments: Sequence[Segment], written: tuple[list[int], int], temporary: Path
) -> MuxStats:
    """Write the finished film: all segments, and the streams of the source that are copied. `written` are the stamps of all frames, and
    the end of the last one.
    """
    video = job.info.video
    film = EncodedFilm(
        segments=[folder / segment.part for segment in segments],
        pts=written[0],
        delay=max(segment.delay for segment in segments),
        step=max(1, round(1 / (video.frame_rate * video.time_base))),
        last_duration=segments[-1].last_duration,
        provenance=job.provenance,
    )
    span = Span.of(job.options.decode, *written, video.time_base)
    return write_film(job.info, film, temporary, container_format(job.output), span)


def _verify(job: FilmJob, written: tuple[list[int], int], temporary: Path, stats: MuxStats) -> Verdict:
    """Compare the finished film with its source; raises `VerificationError` when it is not what it should be."""
    verdict = verify_film(job.info, temporary, job.options.decode, written, stats.left_out)
    if not verdict.ok:
        raise VerificationError(
            f"the finished film does not match {job.info.path}: {' '.join(verdict.problems)} Nothing was written",
            remedy="the same command with --no-verify finishes it all the same, --restart makes it anew",
        )
    return verdict


def _pictureless(job: FilmJob, stats: DecodeStats) -> list[str]:
    """Packets that decode to nothing, without an error, are only found by counting."""
    decode = job.options.decode
    missing = job.found.packet_scan.pictures - stats.frames - stats.corrupt_packets
    if decode.start_s or decode.end_s is not None or missing <= 0:
        return []
    return [f"{missing} packets of the film gave no picture."]
