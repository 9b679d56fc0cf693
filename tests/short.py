"""Short segments and ranges, so that a film of two seconds has several: in tests, and in the processes of a cluster."""

from __future__ import annotations

from collections.abc import Callable

LENGTHS = {
    "film.pipeline.MIN_SEGMENT_FRAMES": 8,
    "film.pipeline.MAX_SEGMENT_FRAMES": 12,
    "film.partition.RANGE_FRAMES": 10,
    "film.cut_search.SEARCH_FRAMES": 50,
    "film.cut_search.OVERLAP_FRAMES": 40,
}


def setup_hook() -> Callable[[], None]:
    """The first thing that every process of a cluster does. Refers to nothing in the tests, which those processes do not find."""
    lengths = LENGTHS

    def set_lengths() -> None:
        import importlib

        for path, frames in lengths.items():
            module, _, name = f"deoldify_video.{path}".rpartition(".")
            setattr(importlib.import_module(module), name, frames)

    return set_lengths
