"""How much disk a film will need, before any of it is written."""

from __future__ import annotations

import shutil
from pathlib import Path

from deoldify_video.errors import OutputError
from deoldify_video.formatting import format_bytes
from deoldify_video.media.probe import MediaInfo
from deoldify_video.media.scan_packets import PacketScan
from deoldify_video.options import EncodeOptions

# Bits a pixel that old film needs at the least at our default quality; grain may take several times that.
LEAST_BITS_PER_PIXEL = {"h264": 0.05, "hevc": 0.03, "av1": 0.02, "ffv1": 3.0, "prores": 1.5}
_COPIES = 2  # the parts in the work folder, and the film that is made of them
_SPARE_BYTES = 16 << 20  # journal, indexes, and some air


def need_bytes(info: MediaInfo, found: PacketScan, options: EncodeOptions, frames: int) -> int:
    """A cautious (small) estimate for `frames` frames still to be made: what it exceeds will not fit for certain."""
    bits = LEAST_BITS_PER_PIXEL[options.codec] * info.video.width * info.video.height * frames
    copied = max(0, info.size_bytes - found.picture_bytes) * frames // max(1, found.pictures)
    return int(_COPIES * bits / 8) + copied + _SPARE_BYTES


def check_disk(folder: Path, need: int) -> None:
    """Raise `OutputError` when `folder` has less than `need` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < need:
        raise OutputError(
            f"has {format_bytes(free)} free and the film needs at least {format_bytes(need)}",
            path=folder,
            remedy="free some, or choose an output on another disk",
        )
