"""Painting of videos, frame by frame in one pass, with sound, times and colours kept (extra ``video``).

The names in ``__all__`` are public; all others of this package may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.public import exports

if TYPE_CHECKING:
    from sfumato.video.pipeline import VideoResult, paint_video
    from sfumato.video.schedule import Schedule

__getattr__, __dir__ = exports(
    "sfumato.video", {"Schedule": "schedule", "VideoResult": "pipeline", "paint_video": "pipeline"}
)

__all__ = ["Schedule", "VideoResult", "paint_video"]
