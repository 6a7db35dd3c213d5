"""Interlaced video: each frame holds two moments, in its even and its odd rows; painted, they would become combs."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


def progressive(frames: Iterator[tuple[VideoFrame, int]], time_base: Fraction) -> Iterator[tuple[VideoFrame, int]]:
    """Yield frames without combs, by FFmpeg's filter bwdif: as many, at the same times; progressive ones unchanged.

    Args:
        frames: decoded frames, each with a value that is passed on.
        time_base: of their times.
    """
    graph: Any = None
    form: tuple[int, int, str] | None = None
    value = 0
    for frame, value in frames:
        if (frame.width, frame.height, frame.format.name) != form:
            if graph is not None:
                graph.vpush(None)
                yield from ((each, value) for each in _ready(graph, time_base))
            graph, form = _graph(frame, time_base), (frame.width, frame.height, frame.format.name)
        graph.vpush(frame)
        yield from ((each, value) for each in _ready(graph, time_base))
    if graph is not None:
        graph.vpush(None)
        yield from ((each, value) for each in _ready(graph, time_base))


def _graph(frame: VideoFrame, time_base: Fraction) -> Any:
    import av.filter

    graph: Any = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base)
    filters = [source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")]
    for before, after in pairwise(filters):
        before.link_to(after)
    graph.configure()
    return graph


def _ready(graph: Any, time_base: Fraction) -> Iterator[VideoFrame]:
    """Yield the frames that a graph gives out now, with their times in ``time_base``, which the filter halves."""
    import av

    while True:
        try:
            frame = graph.vpull()
        except (BlockingIOError, av.EOFError):  # it waits for the next frame, or has given out all
            return
        unit = frame.time_base / time_base
        if frame.pts is not None:
            frame.pts = round(frame.pts * unit)
        frame.duration = round((frame.duration or 0) * unit)
        frame.time_base = time_base
        yield frame
