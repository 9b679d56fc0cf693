"""Everything a user can choose, as frozen dataclasses: built once, validated once, passed whole."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from deoldify_video.color.style import STYLES
from deoldify_video.errors import UsageError

MIN_RENDER_FACTOR, MAX_RENDER_FACTOR = 7, 64
AUTO: Final = "auto"  # a render factor: some are tried on every film and photo, and one is chosen
HELP, NAME = "help", "name"  # in the metadata of options
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
BIT_DEPTHS = (8, 10, 12, 16)
FLOWS = ("dis", "dis-fine", "raft")
MAX_LOOKAHEAD = 25  # frames; each one waits in memory
# No picture depends on these; what `precision` comes to stands in a fingerprint by itself. A photo depends on few others.
_WITHOUT_EFFECT = (
    *("encode.overwrite", "color.device", "color.batch_size", "color.precision"),
    *("segments.range_frames", "segments.search_frames", "segments.overlap_frames"),
)
_OF_FILMS = ("segments.", "decode.", "smooth.", "encode.", "color.keyframes")
CODECS = ("h264", "hevc", "av1", "ffv1", "prores")


def _require(condition: bool, reason: str, remedy: str = "") -> None:
    if not condition:
        raise UsageError(reason, remedy=remedy)


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    _require(value in known, f"{what} {value!r} is not known", f"choose one of {', '.join(known)}")


def _flag(text: str, name: str = "") -> dict[str, str]:
    """Metadata of an option that the command line offers, under its own name if not another; `text` is its help."""
    return {HELP: text, NAME: name}


@dataclass(frozen=True)
class DecodeOptions:
    """Which part of the film: seconds from its first frame; `end_s` None means to the end. `deinterlace` makes whole frames of
    fields, for the network and for the output.
    """

    start_s: float = field(default=0.0, metadata=_flag("Begin here: seconds or [HH:]MM:SS.", "start"))
    end_s: float | None = field(default=None, metadata=_flag("End here.", "end"))
    deinterlace: bool = field(default=False, metadata=_flag("Make whole pictures of an interlaced film's fields."))

    def __post_init__(self) -> None:
        _require(self.start_s >= 0, f"--start is {self.start_s} s; it cannot lie before the film")
        _require(self.end_s is None or self.end_s > self.start_s, "--end must lie after --start")


@dataclass(frozen=True)
class ColorOptions:
    """The network and how it is run. `render_factor` and `batch_size` None: the network's default, and by free memory; `AUTO`: the
    render factor that suits the film or photo.

    `keyframes`: the network sees only key frames at most so many frames apart, the others get their colours along the optical
    flow; None: it sees every frame. `hints`: a JSON file of colours at points of a photo, for networks that take them.
    """

    model: str = field(default="compact", metadata=_flag("A network's name, or a weights file."))
    render_factor: int | Literal["auto"] | None = field(
        default=None, metadata=_flag("The network sees (16 x N)^2 pixels; 7 to 64, or `auto` to try some.")
    )
    device: str = field(default="auto", metadata=_flag(f"{', '.join(DEVICES[:-1])} or {DEVICES[-1]}."))
    precision: str = field(default="auto", metadata=_flag(f"{', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}."))
    batch_size: int | None = field(default=None, metadata=_flag("Frames that the network takes at once; by free memory."))
    style: str = field(default="natural", metadata=_flag("natural, vibrant or muted."))
    saturation: float = field(default=1.0, metadata=_flag("Multiplies the colours; 0 to 4."))
    keyframes: int | None = field(
        default=None, metadata=_flag("Only every Nth frame, or `auto`, goes through the network; the rest follows the motion.")
    )
    hints: Path | None = field(
        default=None, metadata=_flag("A JSON file of colours at points of a photo, for `--model siggraph17`.")
    )

    def __post_init__(self) -> None:
        _one_of("device", self.device, DEVICES)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("style", self.style, STYLES)
        _require(
            self.render_factor in (None, AUTO, *range(MIN_RENDER_FACTOR, MAX_RENDER_FACTOR + 1)),
            f"render factor {self.render_factor} is out of range",
            f"use {MIN_RENDER_FACTOR} to {MAX_RENDER_FACTOR}, or {AUTO}",
        )
        _require(self.batch_size is None or self.batch_size >= 1, f"batch size {self.batch_size} is too small", "use 1 or more")
        _require(0 <= self.saturation <= 4, f"saturation {self.saturation} is out of range", "use 0 to 4")


@dataclass(frozen=True)
class SmoothOptions:
    """How strongly colours are held still over time: 0 (each frame for itself) to 1.

    `lookahead`: frames that the smoother waits for, to see what comes; `flow`: the optical flow that it follows.
    """

    smoothing: float = field(default=0.9, metadata=_flag("How still colours hold over time: 0 (off) to 1."))
    lookahead: int = field(default=4, metadata=_flag("Frames ahead that smoothing looks at; 0 looks back only."))
    flow: str = field(default="dis", metadata=_flag("Optical flow: dis, dis-fine, or raft (a GPU and torchvision)."))

    def __post_init__(self) -> None:
        _require(0 <= self.smoothing <= 1, f"smoothing {self.smoothing} is out of range", "use 0 to 1")
        _require(
            0 <= self.lookahead <= MAX_LOOKAHEAD,
            f"lookahead {self.lookahead} is out of range",
            f"use 0 to {MAX_LOOKAHEAD} frames",
        )
        _one_of("flow", self.flow, FLOWS)


@dataclass(frozen=True)
class EncodeOptions:
    """How the film is written. `crf` and `preset` None: the codec's default here.

    `bit_depth`: at least so many bits a sample, where the codec holds them; None: as many as the source has.
    """

    codec: str = field(default="h264", metadata=_flag(f"{', '.join(CODECS)}."))
    crf: int | None = field(default=None, metadata=_flag("Quality of the encoder; lower is better."))
    preset: str | None = field(default=None, metadata=_flag("The encoder's own preset.", "encoder_preset"))
    overwrite: bool = field(default=False, metadata=_flag("Replace an existing output."))
    bit_depth: int | None = field(default=None, metadata=_flag("At least 8, 10, 12 or 16 bits, where the codec has them."))

    def __post_init__(self) -> None:
        _one_of("codec", self.codec, CODECS)
        _require(self.bit_depth in (None, *BIT_DEPTHS), f"bit depth {self.bit_depth} is not known", "use 8, 10, 12 or 16")
        _require(self.crf is None or 0 <= self.crf <= 63, f"crf {self.crf} is out of range", "use 0 (best) to 63")


@dataclass(frozen=True)
class SegmentOptions:
    """How the work on a film is divided, in frames.

    `shortest`: a segment is not worth a file of its own below this; `longest`: a shot longer than this is divided, so that a kill
    never loses more. On a cluster a worker makes `range_frames` at a time (each costs its reader up to some 300 frames before its
    first one), and the cuts of a film are sought in several spans of at least `search_frames`, each read `overlap_frames` further.
    """

    shortest: int = 240
    longest: int = 2400
    range_frames: int = 3000
    search_frames: int = 9000
    overlap_frames: int = 96

    def __post_init__(self) -> None:
        _require(1 <= self.shortest <= self.longest, "a segment has at least one frame, and the shortest is not the longest.")
        least = min(self.range_frames, self.search_frames, self.overlap_frames)
        _require(least >= 1, "ranges, searches and their overlap have at least one frame.")


@dataclass(frozen=True)
class JobOptions:
    """Permissions of a run beyond the ordinary; none of them changes the pictures.

    `restart` forgets what an unfinished run has made; `force` takes a film that is in colour already; `allow_truncated` takes one
    that ends before its declared end; `verify` reads the finished film back and compares it with the source; `drop_streams` leaves
    out what the output's container cannot hold.
    """

    restart: bool = field(default=False, metadata=_flag("Forget what an unfinished run has made."))
    force: bool = field(default=False, metadata=_flag("Take a film that is in colour already."))
    allow_truncated: bool = field(default=False, metadata=_flag("Take a film that is cut short."))
    verify: bool = field(default=True, metadata=_flag("Compare the finished film with its source."))
    drop_streams: bool = field(default=False, metadata=_flag("Leave out streams that the output cannot hold."))


@dataclass(frozen=True)
class FilmOptions:
    """All options of a film."""

    decode: DecodeOptions = field(default_factory=DecodeOptions)
    color: ColorOptions = field(default_factory=ColorOptions)
    smooth: SmoothOptions = field(default_factory=SmoothOptions)
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    segments: SegmentOptions = field(default_factory=SegmentOptions)
    job: JobOptions = field(default_factory=JobOptions)

    def fingerprint(self, kind: str, weights: str, precision: str) -> dict[str, Any]:
        """All that a result depends on, by name, beside its source: these options as far as they change the pictures of a `film` or
        `photo`, the `weights` (`models.store.weights_fingerprint`), and the `precision` that is computed in or asked for.
        """
        without = ("job.", *_WITHOUT_EFFECT, *(_OF_FILMS if kind == "photo" else ()))
        values = {f"{group}.{name}": value for group, members in asdict(self).items() for name, value in members.items()}
        found = {name: value for name, value in values.items() if not name.startswith(without)}
        return found | {"weights": weights, "precision": precision}
