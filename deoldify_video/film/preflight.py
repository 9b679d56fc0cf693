"""Everything that can be known before the work begins: a film that cannot become a good output is refused here, in seconds."""

from __future__ import annotations

import logging
from array import array
from dataclasses import dataclass, replace
from pathlib import Path

import av

from deoldify_video.errors import InputError, UsageError
from deoldify_video.film.rehearsal import rehearse
from deoldify_video.media.decode import Window
from deoldify_video.media.encode import picture_format
from deoldify_video.media.files import check_output
from deoldify_video.media.inspect_content import inspect_content
from deoldify_video.media.probe import MediaInfo
from deoldify_video.media.scan_packets import NOTICED_S, PacketScan, scan_packets
from deoldify_video.media.streams import check_container, check_rate, way_out
from deoldify_video.options import FilmOptions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preflight:
    """The findings: headers, packets, the part inside black borders, and warnings for the user."""

    info: MediaInfo
    packet_scan: PacketScan
    window: Window | None
    warnings: tuple[str, ...]

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) of the part that the network sees, as a viewer sees it."""
        if self.window is None:
            return self.info.video.upright_size
        return self.info.video.upright(self.window.width, self.window.height)

    def expected_frames(self, start_s: float, end_s: float | None) -> int:
        """Frames that there will be between --start and --end."""
        rate, total = self.info.video.frame_rate, self.packet_scan.pictures
        end = total if end_s is None else min(total, round(end_s * rate))
        return max(0, end - round(start_s * rate))


def preflight(info: MediaInfo, output: Path, options: FilmOptions) -> Preflight:
    """Check the film `info`, its output and options against each other. Raises the errors of `deoldify_video.errors`."""
    source = info.path
    if info.kind != "film":
        raise InputError("is a photo", path=source, remedy="name an output with the ending of a picture, such as .png")
    if options.color.hints is not None:
        raise UsageError("colour hints name points of one picture, and work for photos only")
    video = info.video
    check_output(source, output, overwrite=options.encode.overwrite)
    check_container(info, output, options.encode.codec, drop_streams=options.job.drop_streams)
    picture_format(options.encode, video.width, video.height, video.depth)
    found = scan_packets(info)
    check_rate(output, constant=found.constant_rate)
    warnings = [] if options.decode.deinterlace else [*video.warnings]
    if any(component.is_alpha for component in av.VideoFormat(video.pix_fmt, video.width, video.height).components):
        warnings.append(
            "the film has a transparent picture; the colours are put on all of it, and its transparency is not kept."
        )
    warnings += _check_length(info, found, options)
    seen = inspect_content(info)
    if seen.in_color:
        if not options.job.force:
            raise InputError("is in colour already", path=source, remedy="use --force to replace its colours by new ones")
        warnings.append("the film was in colour; its own colours were replaced.")
    _rehearse(info, found, output, options)
    log.info("%s", info)
    log.info("%s", found)
    if seen.window is not None:
        log.info("black borders are kept out of the network's picture: %s", seen.window)
    return Preflight(info, replace(found, stamps=array("q")), seen.window, tuple(warnings))


def _rehearse(info: MediaInfo, found: PacketScan, output: Path, options: FilmOptions) -> None:
    """Refuse an output that would not match its source, with a way out that was tried."""

    def fits(output: Path, codec: str, drop_streams: bool) -> bool:
        encode, job = replace(options.encode, codec=codec), replace(options.job, drop_streams=drop_streams)
        try:
            picture_format(encode, info.video.width, info.video.height, info.video.depth)
            check_rate(output, constant=found.constant_rate)
        except UsageError:
            return False
        return not rehearse(info, found, output, replace(options, encode=encode, job=job))

    problems = rehearse(info, found, output, options)
    if problems:
        advice = way_out(info, output, options.encode.codec, drop_streams=options.job.drop_streams, fits=fits)
        raise UsageError(f"{output.suffix} cannot hold the film as it is: {problems}", remedy=advice)


def _check_length(info: MediaInfo, found: PacketScan, options: FilmOptions) -> list[str]:
    """Refuse a film that ends too early, unless it may or what is wanted of it is there; otherwise say what looks wrong."""
    end_s = options.decode.end_s
    there = end_s is not None and found.picture_start_s + end_s <= found.end_s
    if found.is_cut_short(info.video.frame_rate) and not there and not options.job.allow_truncated:
        what = f"is cut short: the last {found.missing_s:.1f} of its {found.declared_s:.1f} s are missing"
        if found.missing_s < NOTICED_S:
            what = f"is cut short: nothing can be read beyond {found.end_s:.1f} s"
        if found.damaged_places and found.readable:
            what = f"is damaged in {found.damaged_places} places, where it cannot be read"
        raise InputError(what, path=info.path, remedy="use --allow-truncated to colorize what is there")
    return found.warnings()
