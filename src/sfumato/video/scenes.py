"""Scene cuts, found frame by frame while a video is decoded."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from sfumato.errors import needs_extra

if TYPE_CHECKING:
    from av import VideoFrame

#: Score of FFmpeg's filter scdet, from 0 to 100, from which a frame starts a scene; 10 is its own default.
THRESHOLD = 10.0
_SCORE = "lavfi.scd.score"
_WIDTH = 256  # pixels to which frames are reduced: scores hardly change, and the filter takes a tenth of the time


class SceneDetector:
    """Finds the first frames of scenes by FFmpeg's filter scdet.

    The score of a frame compares its difference to the frame before with the difference before that one. So it depends
    on the two frames before only, and fast motion is no cut.

    Raises:
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self) -> None:
        with needs_extra("video", "A video"):
            import av.filter
        self._new_graph: Any = av.filter.Graph
        self._graph: Any = None
        self._form: tuple[int, int, str] | None = None
        self._count = 0

    def starts_scene(self, frame: VideoFrame) -> bool:
        """Return whether the frame starts a scene; frames come one after the other, and the first one does."""
        form = frame.width, frame.height, frame.format.name
        if form != self._form:  # the first of all, or of a stream that changes its size
            self._graph, self._form, self._count = self._make(frame), form, 0
        self._graph.vpush(frame)
        score = float(self._graph.vpull().metadata[_SCORE])
        self._count += 1
        # The second score has no difference before it to be compared with: it would take fast motion for a cut.
        return self._count == 1 or (self._count > 2 and score >= THRESHOLD)

    def _make(self, frame: VideoFrame) -> Any:
        """Return the filter graph for frames of that size and format."""
        graph = self._new_graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000)
        )
        ends = [source, graph.add("scale", f"{_WIDTH}:-2:flags=area"), graph.add("scdet"), graph.add("buffersink")]
        for before, after in itertools.pairwise(ends):
            before.link_to(after)
        graph.configure()
        return graph
