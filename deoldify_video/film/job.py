"""One film: what it is, and how it is to be made. Holds no network and no open file, so that it can be sent to another machine."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deoldify_video import __version__
from deoldify_video.color.paint import Painter
from deoldify_video.color.yuv import SampleRange
from deoldify_video.film.preflight import Preflight
from deoldify_video.media.decode import FilmReader, SeekPoint
from deoldify_video.media.disk import check_disk, need_bytes
from deoldify_video.media.encode import PictureFormat, SegmentWriter, picture_format
from deoldify_video.media.files import hash_file_ends
from deoldify_video.media.probe import MediaInfo
from deoldify_video.media.streams import container_format, keeps_order
from deoldify_video.options import FilmOptions

if TYPE_CHECKING:
    from deoldify_video.models.base import ColorNetwork, ModelSpec
    from deoldify_video.models.colorizer import Colorizer


@dataclass(frozen=True)
class NetworkFacts:
    """A network as it is known where it is not loaded: its entry, its weights, and how its device computes."""

    spec: ModelSpec
    weights: str
    device: str
    precision: str

    @classmethod
    def of(cls, colorizer: Colorizer) -> NetworkFacts:
        """Those of a network that is loaded."""
        spec = replace(colorizer.spec, load=_not_here)  # an entry's own function need not be one that can be sent
        return cls(spec, colorizer.fingerprint, str(colorizer.device), colorizer.precision)


def _not_here(path: Path) -> ColorNetwork:
    raise AssertionError(f"{path} is loaded by the worker that colours")


@dataclass(frozen=True)
class FilmJob:
    """One film: what was found, where it goes, the user's options, and the network that colours it."""

    found: Preflight
    output: Path
    options: FilmOptions
    network: NetworkFacts

    @property
    def info(self) -> MediaInfo:
        """The source's headers."""
        return self.found.info

    @property
    def render_factor(self) -> int:
        """The user's, or the network's own."""
        return self.network.spec.render_factor("film", self.options.color.render_factor)

    @property
    def render_size(self) -> tuple[int, int]:
        """(width, height) at which the network sees the film."""
        return self.network.spec.render_size(*self.found.upright_size, self.render_factor)

    @property
    def expected_frames(self) -> int:
        """Frames that there will be, as far as the packets tell."""
        return self.found.expected_frames(self.options.decode.start_s, self.options.decode.end_s)

    @property
    def provenance(self) -> str:
        """For the finished film: by what its colours were made."""
        color, smoothing = self.options.color, self.options.smooth.smoothing
        return (
            f"Colours are artificial: deoldify-video {__version__}, network {self.network.spec.name}, render factor "
            f"{self.render_factor}, style {color.style}, saturation {color.saturation:g}, smoothing {smoothing:g}."
        )

    def fingerprint(self) -> dict[str, Any]:
        """All that the finished segments depend on, by name, for a run that goes on later."""
        window = self.found.window
        return self.options.fingerprint("film", self.network.weights, self.network.precision) | {
            "version": __version__,
            "source": f"{self.info.size_bytes} bytes, {hash_file_ends(self.info.path, self.info.size_bytes)}",
            "render_size": list(self.render_size),
            "window": list(astuple(window)) if window else None,
        }

    def check_room(self, resumed_frames: int) -> None:
        """Raise `OutputError` when the output's disk has no room for what is still to be made."""
        frames = max(0, self.expected_frames - resumed_frames)
        check_disk(self.output.parent, need_bytes(self.info, self.found.packet_scan, self.options.encode, frames))

    def reader(self, seek_point: SeekPoint) -> FilmReader:
        """Reads the film from `seek_point` on."""
        beyond_damage = self.options.job.allow_truncated
        return FilmReader(
            self.info, self.options.decode, self.render_size, seek_point, self.found.window, beyond_damage=beyond_damage
        )

    def painter(self, reader: FilmReader) -> Painter:
        """Makes chroma for what `reader` reads."""
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

    def writer(self, path: Path, reader: FilmReader) -> SegmentWriter:
        """Encodes what `reader` reads into a segment."""
        return SegmentWriter(
            path,
            self.info,
            self.options.encode,
            depth=reader.depth,
            full_range=reader.full_range,
            reorder=keeps_order(container_format(self.output)),
            field_order=0 if self.options.decode.deinterlace else self.info.video.field_order,
            output=self.output,
        )

    def _chroma_window(self, target: PictureFormat) -> tuple[slice, slice] | None:
        """The window in samples of the output's chroma planes."""
        video, window = self.info.video, self.found.window
        if window is None:
            return None
        width, height = target.chroma_size(video.width, video.height)
        across, down = (1 if width == video.width else 2), (1 if height == video.height else 2)
        rows, columns = window.slices
        return (
            slice(rows.start // down, -(-rows.stop // down)),
            slice(columns.start // across, -(-columns.stop // across)),
        )
