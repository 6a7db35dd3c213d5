"""rich's console, for text that comes from anybody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from sfumato.cli.streams import heard
from sfumato.text import printable

_LAYOUT = "\n\t"
#: Kitty's sign for a part of a picture, which no font has: text of our own that is rendered may hold it (`thumbnails`).
PLACEHOLDER = "\U0010eeee"


class PlainConsole(Console):
    """A console on which text is text: no markup, no emoji codes, no escapes."""

    def __init__(self, stderr: bool = False, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, quiet=quiet, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Cells of tables and printed lines: cleaned before they are measured."""
        return super().render_str(printable(text, _LAYOUT), **options)

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Everything else. Control segments are rich's own: it moves the cursor for its bars."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(printable(segment.text, _LAYOUT + PLACEHOLDER), segment.style)

    def print(self, *objects: Any, **options: Any) -> None:
        """Raises as `sfumato.cli.output.say` does."""
        with heard(self.stderr):
            super().print(*objects, **options)
