"""Thumbnails in a terminal: pictures by Kitty's graphics protocol, or two pixels per character in other terminals.

Kitty shows a picture where the text contains placeholder characters, so that it stays in its cell of a table
(https://sw.kovidgoyal.net/kitty/graphics-protocol/#unicode-placeholders). Kitty and Ghostty support them. The terminal
is never queried for its abilities: without an answer the command would wait, and swallow what is typed meanwhile.
"""

from __future__ import annotations

import os
import zlib
from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING

from sfumato.cli.console import PLACEHOLDER
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from sfumato.image import Picture
    from sfumato.inference import Style

#: Maximum size of a thumbnail, in characters and in lines.
WIDTH, LINES = 18, 7
_MIN_COLUMNS = 90  # of a terminal that has room for the table and thumbnails
#: TERM in terminals that support placeholders. ssh passes it on; tmux and screen set another.
_WITH_PLACEHOLDERS = ("xterm-kitty", "xterm-ghostty")
_NUMBERS = (  # combining characters that number the rows and columns of placeholders, in the protocol's order
    "\u0305\u030d\u030e\u0310\u0312\u033d\u033e\u033f\u0346\u034a\u034b\u034c\u0350\u0351\u0352\u0357\u035b\u0363"
)
_CELL = (10, 20)  # pixels sent per character, width and height
_MAX_PAYLOAD = 4096  # bytes of a picture in one escape sequence, by the protocol


def can_show(screen: Console) -> bool:
    """Whether the console is a terminal with 24-bit colour and enough width; respects NO_COLOR."""
    has_colour = screen.color_system == "truecolor" and not screen.no_color
    return screen.file.isatty() and has_colour and screen.width >= _MIN_COLUMNS


def thumbnail_of(style: Style, screen: Console) -> Text | str:
    """Return the first picture of a style as text for a terminal that `can_show` it.

    The text is empty if the style has no picture or it cannot be read. In Kitty, this also sends the picture itself.
    """
    try:
        picture = style.pictures[0].picture if style.pictures else None
    except SfumatoError:
        return ""
    if picture is None:
        return ""
    if os.environ.get("TERM") not in _WITH_PLACEHOLDERS:
        return half_blocks(picture)
    sent, placeholders = by_kitty(picture, zlib.crc32(style.name.encode("utf-8", "replace")) % 0xFFFFFF + 1)
    screen.file.write(sent)
    return placeholders


def by_kitty(picture: Picture, number: int) -> tuple[str, Text]:
    """Encode a picture for Kitty's graphics protocol.

    Args:
        picture: ``(1, 3, H, W)``.
        number: the id of the picture, from 1 to 2²⁴ - 1.

    Returns:
        The escape sequences that send the picture, and its placeholders: at most `WIDTH` characters by `LINES` lines,
        whose colour encodes the id.
    """
    from rich.text import Text

    from sfumato.image import resize, to_pil

    rows, columns = _cells(picture)
    file = BytesIO()
    to_pil(resize(picture, rows * _CELL[1], columns * _CELL[0])).save(file, "PNG")
    data = b64encode(file.getvalue()).decode()
    keys, sent = f"a=T,U=1,f=100,i={number},c={columns},r={rows},", ""
    for begin in range(0, len(data), _MAX_PAYLOAD):
        is_last = begin + _MAX_PAYLOAD >= len(data)
        # q=2 suppresses the terminal's answer, which would appear on the next line of the shell.
        sent += f"\x1b_G{keys}q=2,m={int(not is_last)};{data[begin : begin + _MAX_PAYLOAD]}\x1b\\"
        keys = ""
    lines = ["".join(PLACEHOLDER + row + column for column in _NUMBERS[:columns]) for row in _NUMBERS[:rows]]
    return sent, Text("\n".join(lines), f"#{number:06x}")


def half_blocks(picture: Picture) -> Text:
    """Return a picture ``(1, 3, H, W)`` as coloured half blocks, in at most `WIDTH` characters by `LINES` lines."""
    from rich.text import Text

    from sfumato.image import resize, to_uint8

    rows, columns = _cells(picture)
    pixels = to_uint8(resize(picture, 2 * rows, columns))
    text = Text()
    for y in range(rows):
        for upper, lower in zip(pixels[2 * y], pixels[2 * y + 1], strict=True):
            text.append("\u2580", f"rgb({','.join(map(str, upper))}) on rgb({','.join(map(str, lower))})")
        text.append("\n" if y < rows - 1 else "")
    return text


def _cells(picture: Picture) -> tuple[int, int]:
    """Return the lines and characters that a picture fills; a character is twice as high as wide."""
    height, width = picture.shape[2:]
    scale = min(WIDTH / width, 2 * LINES / height)
    return max(1, round(height * scale / 2)), max(1, round(width * scale))
