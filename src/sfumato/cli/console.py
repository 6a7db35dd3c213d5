"""A rich console that is safe for text from untrusted sources."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from sfumato.cli.streams import stream_errors
from sfumato.text import printable

_LAYOUT = "\n\t"
#: Kitty's placeholder character for a part of a picture. It is not printable, but `thumbnails` renders it on purpose.
PLACEHOLDER = "\U0010eeee"


class PlainConsole(Console):
    """A console that prints text literally: without markup, emoji codes or escape sequences."""

    def __init__(self, stderr: bool = False, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Make table cells and printed lines printable before their width is measured."""
        return super().render_str(printable(text, _LAYOUT), **options)

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Make all other text printable. Control segments pass: rich moves the cursor with them for its bars."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text, _LAYOUT + PLACEHOLDER), segment.style)

    def on_broken_pipe(self) -> None:
        """Let the error pass to `stream_errors`; rich would end the process with 1."""
        raise  # noqa: PLE0704  # rich calls this where it has caught the error

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; raises the same errors as `sfumato.cli.output.say`."""
        with stream_errors(self.stderr):
            super().print(*objects, **options)
