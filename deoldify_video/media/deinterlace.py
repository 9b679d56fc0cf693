"""One whole frame from every two fields, by FFmpeg's `bwdif`: as many frames come out as go in, with the same stamps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import av.error
from av.filter import Graph


def deinterlaced(frames: Iterable[tuple[int, av.VideoFrame]], time_base: Fraction) -> Iterator[tuple[int, av.VideoFrame]]:
    """Rebuild the second field of every frame from its neighbours in time.

    `frames` are stamps in `time_base` and decoded frames of one size and format; every one is treated as interlaced, because tapes
    and capture cards rarely mark their frames. Stamps come back as they were, the last frame at the end of `frames`.
    """
    graph: Graph | None = None
    held: list[tuple[int, int]] = []  # stamp and duration of the frames that are in the filter
    for pts, frame in frames:
        frame.pts, frame.time_base = pts, time_base
        graph = graph or _graph(frame, time_base)
        held.append((pts, frame.duration))
        graph.vpush(frame)
        yield from _ready(graph, held)
    if graph is not None:
        graph.vpush(None)
        yield from _ready(graph, held)


def _graph(frame: av.VideoFrame, time_base: Fraction) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base)
    nodes = [graph.add("bwdif", "mode=send_frame:deint=all"), graph.add("buffersink")]
    graph.link_nodes(source, *nodes).configure()
    return graph


def _ready(graph: Graph, held: list[tuple[int, int]]) -> Iterator[tuple[int, av.VideoFrame]]:
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        pts, frame.duration = held.pop(0)
        yield pts, frame
