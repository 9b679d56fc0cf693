"""Tries what every container keeps, by codec and by sound; prints the tables of docs/reliability.md.

    python tests/faults/containers.py

A film with sound, a pixel aspect, a rotation, and colour tags is colorized into every container. A cell is `yes` where the finished
film was verified, and otherwise what is refused before the work.
"""

from __future__ import annotations

import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1])]
from synth import make_film  # noqa: E402
from test_any_container import film_with_sound  # noqa: E402

from deoldify_video.errors import UsageError  # noqa: E402
from deoldify_video.film.rehearsal import rehearse  # noqa: E402
from deoldify_video.media.formats import CONTAINERS  # noqa: E402
from deoldify_video.media.probe import probe  # noqa: E402
from deoldify_video.media.scan_packets import scan_packets  # noqa: E402
from deoldify_video.media.streams import misfit  # noqa: E402
from deoldify_video.options import CODECS, EncodeOptions, FilmOptions  # noqa: E402

SUFFIXES = tuple(suffix for suffix in CONTAINERS if suffix != ".m4v")  # which is MP4 by another name
KEPT: dict[str, dict[str, Any]] = {
    "pixel aspect": {"sar": Fraction(64, 45)},
    "rotation": {"rotation": 90},
    "colour tags": {"matrix": 1, "primaries": 1, "transfer": 1},
    "full range": {"full": True},
    "fields": {"options": {"x264-params": "bff=1"}},
}
# By encoder: the container of a source with such sound.
SOUNDS = {
    "aac": ".mp4", "libmp3lame": ".mkv", "mp2": ".mkv", "ac3": ".mkv", "eac3": ".mkv", "libopus": ".mkv", "flac": ".mkv",
    "alac": ".mov", "pcm_s16le": ".mov", "pcm_s24be": ".mov", "pcm_alaw": ".avi", "adpcm_ms": ".avi", "adpcm_ima_wav": ".avi",
    "wmav2": ".avi", "libopencore_amrnb": ".3gp",
}  # fmt: skip


def holds(source: Path, folder: Path, suffix: str, codec: str) -> bool:
    """Whether the film can be colorized into this container: as it is found before the work."""
    info, output, options = probe(source), folder / f"new{suffix}", FilmOptions(encode=EncodeOptions(codec))
    try:
        return not misfit(info, CONTAINERS[suffix], codec) and not rehearse(info, scan_packets(info), output, options)
    except UsageError:
        return False


def picture_table(folder: Path) -> list[str]:
    """Container x codec: what of a picture's shape and tags is kept."""
    sources = {name: make_film(folder / f"{name}.mp4", audio=None, frames=4, **given) for name, given in KEPT.items()}
    plain = make_film(folder / "plain.mp4", audio=None, frames=4)
    lines = ["| | " + " | ".join(CODECS) + " |", "|---|" + "---|" * len(CODECS)]
    for suffix in SUFFIXES:
        cells = []
        for codec in CODECS:
            if not holds(plain, folder, suffix, codec):
                cells.append("no")
                continue
            lost = [name for name, source in sources.items() if not holds(source, folder, suffix, codec)]
            cells.append(f"yes, but {', '.join(lost)}" if lost else "yes")
        lines.append(f"| `{suffix}` | " + " | ".join(cells) + " |")
    return lines


def sound_table(folder: Path) -> list[str]:
    """Container x codec of the sound, with pictures in a codec that the container holds."""
    lines = ["| | " + " | ".join(f"`{suffix}`" for suffix in SUFFIXES) + " |", "|---|" + "---|" * len(SUFFIXES)]
    for sound, source_suffix in SOUNDS.items():
        source = film_with_sound(folder / f"{sound}{source_suffix}", sound, 8_000 if "amr" in sound else 48_000)
        cells = [
            "yes" if holds(source, folder, suffix, "av1" if suffix == ".webm" else "h264") else "no" for suffix in SUFFIXES
        ]
        lines.append(f"| {probe(source).streams[1].codec} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Command line."""
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join([*picture_table(Path(folder)), "", *sound_table(Path(folder))]))


if __name__ == "__main__":
    main()
