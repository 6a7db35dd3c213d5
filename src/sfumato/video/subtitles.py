"""Text subtitles that the result's format cannot hold as they are, converted to the format's own kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sfumato.video.opening import load_av

if TYPE_CHECKING:
    from av.container import OutputContainer

#: The kind of text subtitles of each format (FFmpeg's names).
_KINDS: Mapping[str, str] = {"webm": "webvtt", "matroska": "subrip", "mp4": "mov_text", "mov": "mov_text"}
#: Names that FFmpeg's decoders give to kinds of text subtitles.
_SUBRIP, _MOV_TEXT, _ASS = ("subrip", "srt", "text", "webvtt"), ("mov_text",), ("ass", "ssa")
_ASS_CODES = re.compile(r"\{[^}]*\}")


class TextTrack:
    """A track of text subtitles in another kind.

    Attributes:
        source: the track of the source.
        stream: the track of the result.
    """

    def __init__(self, source: Any, result: OutputContainer, format: str) -> None:
        self.source = source
        self._kind = _KINDS[format]
        self.stream: Any = result.add_mux_stream(self._kind)

    @staticmethod
    def reads(source: Any) -> bool:
        """Whether a track of the source is of a kind whose text is known; pictures of text are not."""
        context = source.codec_context
        return context is not None and context.name in (*_SUBRIP, *_MOV_TEXT, *_ASS)

    def convert(self, packet: Any) -> list[Any]:
        """Return the packet for one of the source; none where it has no text."""
        text = self._text(bytes(packet)).strip("\r\n")
        if not text:
            return []
        content = text.encode()
        if self._kind == "mov_text":
            content = content[:65_000]
            content = len(content).to_bytes(2, "big") + content
        converted = load_av().Packet(content)
        converted.stream, converted.time_base = self.stream, packet.time_base
        converted.pts, converted.dts, converted.duration = packet.pts, packet.dts, packet.duration
        return [converted]

    def _text(self, content: bytes) -> str:
        name = self.source.codec_context.name
        if name in _MOV_TEXT:  # two bytes of length; styles may follow the text
            content = content[2 : 2 + int.from_bytes(content[:2], "big")]
        text = content.decode("utf-8", "replace")
        if name in _ASS:  # eight fields, then the text
            text = _ASS_CODES.sub("", text.split(",", 8)[-1]).replace("\\N", "\n").replace("\\n", "\n")
        return text
