"""Small pictures in a terminal: two pixels a sign, by the upper half block in one colour on another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from sfumato.image import Picture
    from sfumato.inference import Style

#: Signs across and lines down that a thumbnail takes at most.
WIDTH, LINES = 18, 7
_NARROWEST = 90  # signs of a terminal with room for a table and thumbnails


def can_show(screen: Console) -> bool:
    """Whether that is a terminal of 24-bit colour and enough width; NO_COLOR is heeded."""
    has_colour = screen.color_system == "truecolor" and not screen.no_color
    return screen.file.isatty() and has_colour and screen.width >= _NARROWEST


def thumbnail_of(style: Style) -> Text | str:
    """The first of a style's pictures; empty where it has none, or one that cannot be read."""
    try:
        return half_blocks(style.pictures[0].picture) if style.pictures else ""
    except SfumatoError:
        return ""


def half_blocks(picture: Picture) -> Text:
    """``(1, 3, H, W)`` in at most `WIDTH` signs and `LINES` lines."""
    from rich.text import Text

    from sfumato.image import resize, to_uint8

    height, width = picture.shape[2:]
    scale = min(WIDTH / width, 2 * LINES / height)
    rows, columns = max(1, round(height * scale / 2)), max(1, round(width * scale))
    pixels = to_uint8(resize(picture, 2 * rows, columns))
    text = Text()
    for y in range(rows):
        for upper, lower in zip(pixels[2 * y], pixels[2 * y + 1], strict=True):
            text.append("\u2580", f"rgb({','.join(map(str, upper))}) on rgb({','.join(map(str, lower))})")
        text.append("\n" if y < rows - 1 else "")
    return text
