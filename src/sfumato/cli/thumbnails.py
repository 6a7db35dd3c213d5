"""Small pictures in a terminal: real ones by Kitty's graphics protocol, elsewhere two pixels a sign.

Kitty's pictures stand where the text has placeholders for them, so that they keep to their cells of a table
(https://sw.kovidgoyal.net/kitty/graphics-protocol/#unicode-placeholders). Kitty and Ghostty know these. The terminal is
never asked what it can: one that does not answer would make the command wait and take what is typed meanwhile.
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

#: Signs across and lines down that a thumbnail takes at most.
WIDTH, LINES = 18, 7
_NARROWEST = 90  # signs of a terminal with room for a table and thumbnails
#: What TERM is in terminals that know placeholders. It comes over ssh too; inside tmux and screen it is another.
_WITH_PLACEHOLDERS = ("xterm-kitty", "xterm-ghostty")
_NUMBERS = (  # the marks that number the rows and columns of placeholders, in the protocol's order
    "\u0305\u030d\u030e\u0310\u0312\u033d\u033e\u033f\u0346\u034a\u034b\u034c\u0350\u0351\u0352\u0357\u035b\u0363"
)
_CELL = (10, 20)  # pixels sent for a sign, across and down
_MOST_SENT = 4096  # bytes of a picture in one escape sequence, by the protocol


def can_show(screen: Console) -> bool:
    """Whether that is a terminal of 24-bit colour and enough width; NO_COLOR is heeded."""
    has_colour = screen.color_system == "truecolor" and not screen.no_color
    return screen.file.isatty() and has_colour and screen.width >= _NARROWEST


def thumbnail_of(style: Style, screen: Console) -> Text | str:
    """The first of a style's pictures, on a terminal that `can_show` it; empty where it has none, or one that cannot be
    read. To Kitty, the picture itself is sent at once."""
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
    """``(1, 3, H, W)`` for Kitty: what sends it under a number from 1 to 2²⁴ - 1, and the placeholders, of which the
    colour is that number, in at most `WIDTH` signs and `LINES` lines."""
    from rich.text import Text

    from sfumato.image import resize, to_pil

    rows, columns = _cells(picture)
    file = BytesIO()
    to_pil(resize(picture, rows * _CELL[1], columns * _CELL[0])).save(file, "PNG")
    data = b64encode(file.getvalue()).decode()
    keys, sent = f"a=T,U=1,f=100,i={number},c={columns},r={rows},", ""
    for begin in range(0, len(data), _MOST_SENT):
        is_last = begin + _MOST_SENT >= len(data)
        # q=2: the terminal answers nothing, which would stand in the shell's next line.
        sent += f"\x1b_G{keys}q=2,m={int(not is_last)};{data[begin : begin + _MOST_SENT]}\x1b\\"
        keys = ""
    lines = ["".join(PLACEHOLDER + row + column for column in _NUMBERS[:columns]) for row in _NUMBERS[:rows]]
    return sent, Text("\n".join(lines), f"#{number:06x}")


def half_blocks(picture: Picture) -> Text:
    """``(1, 3, H, W)`` in at most `WIDTH` signs and `LINES` lines."""
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
    """Lines and signs that a picture takes, of which a sign is twice as high as wide."""
    height, width = picture.shape[2:]
    scale = min(WIDTH / width, 2 * LINES / height)
    return max(1, round(height * scale / 2)), max(1, round(width * scale))
