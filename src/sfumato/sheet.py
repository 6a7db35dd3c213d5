"""Contact sheets: many labelled pictures in one, for comparing models and styles by eye."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sfumato.errors import UsageError
from sfumato.image import Picture, as_image, to_pil

_PAPER = (255, 255, 255)
_INK = (32, 32, 32)


def contact_sheet(
    rows: Sequence[Sequence[Picture]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    cell: int = 256,
) -> Picture:
    """Lay out pictures as a table, with column names on top and row names on the left, rotated to read upwards.

    Args:
        rows: rows of equally many pictures, each ``(1, 3, H, W)`` of any size.
        row_labels: one name for each row. A name that is too long ends in an ellipsis.
        column_labels: one name for each column.
        cell: longest side of a picture on the sheet, in pixels. Smaller pictures are not enlarged.

    Returns:
        ``(1, 3, H', W')``.

    Raises:
        UsageError: there is no picture, the rows differ in length, or a row or column has no name.
    """
    lengths = {len(row) for row in rows}
    if not column_labels or lengths != {len(column_labels)} or len(rows) != len(row_labels):
        raise UsageError(
            f"a contact sheet needs one name for each row and column, but has {len(rows)} rows of "
            f"{' or '.join(map(str, sorted(lengths))) or 0} pictures, {len(row_labels)} row names and "
            f"{len(column_labels)} column names"
        )
    gap, line = _gap_and_line(cell)
    band = line * 8 // 5  # height of a strip for one line of text
    font = ImageFont.load_default(line)
    table = [[_fit(picture, cell) for picture in row] for row in rows]
    heights = [max(picture.height for picture in row) for row in table]
    lefts = [band + gap + column * (cell + gap) for column in range(len(column_labels))]

    sheet = Image.new("RGB", (lefts[-1] + cell + gap, band + gap + sum(heights) + gap * len(rows)), _PAPER)
    for left, label in zip(lefts, column_labels, strict=True):
        sheet.paste(_label(label, cell, band, font), (left, gap // 2))
    top = band + gap
    for row, label, height in zip(table, row_labels, heights, strict=True):
        sheet.paste(_label(label, height, band, font).transpose(Image.Transpose.ROTATE_90), (gap // 2, top))
        for left, picture in zip(lefts, row, strict=True):
            sheet.paste(picture, (left + (cell - picture.width) // 2, top + (height - picture.height) // 2))
        top += height + gap
    return as_image(sheet)


def gallery(pictures: Sequence[Picture], captions: Sequence[str], cell: int = 256) -> Picture:
    """Lay out pictures row by row on a nearly square sheet, each with its caption below it.

    Args:
        pictures: at least one, each ``(1, 3, H, W)`` of any size.
        captions: one for each picture. A caption that is too long ends in an ellipsis.
        cell: longest side of a picture on the sheet, in pixels. Smaller pictures are not enlarged.

    Returns:
        ``(1, 3, H', W')``.

    Raises:
        UsageError: there is no picture, or the number of captions differs.
    """
    if not pictures or len(pictures) != len(captions):
        raise UsageError(
            f"a gallery needs one caption for each picture, but has {len(pictures)} pictures and "
            f"{len(captions)} captions"
        )
    gap, line = _gap_and_line(cell)
    band = line * 8 // 5
    font = ImageFont.load_default(line)
    shown = [_fit(picture, cell) for picture in pictures]
    width, height = max(each.width for each in shown), max(each.height for each in shown)
    step = width + gap, height + band + gap
    columns = max(1, round(math.sqrt(len(shown) * step[1] / step[0])))  # so that the sheet is about square
    rows = math.ceil(len(shown) / columns)
    sheet = Image.new("RGB", (columns * step[0] + gap, rows * step[1] + gap), _PAPER)
    for i, (picture, caption) in enumerate(zip(shown, captions, strict=True)):
        left, top = gap + i % columns * step[0], gap + i // columns * step[1]
        sheet.paste(picture, (left + (width - picture.width) // 2, top + height - picture.height))
        sheet.paste(_label(caption, width, band, font), (left, top + height))
    return as_image(sheet)


def mosaic(pictures: Sequence[Picture], gap: int = 2) -> Picture:
    """Lay out pictures of one size row by row, without names, in about as many columns as rows.

    Args:
        pictures: at least one, each ``(1, 3, H, W)``.
        gap: white pixels between two of them.

    Returns:
        ``(1, 3, H', W')``.
    """
    height, width = pictures[0].shape[2:]
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    sheet = np.ones((1, 3, rows * (height + gap) - gap, columns * (width + gap) - gap), np.float32)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[:, :, top : top + height, left : left + width] = picture
    return sheet


def _gap_and_line(cell: int) -> tuple[int, int]:
    """Return the gap between pictures and the font size, in pixels, for a size of cells."""
    return max(2, cell // 32), max(10, cell // 14)


def _fit(picture: Picture, cell: int) -> Image.Image:
    image = to_pil(picture)
    image.thumbnail((cell, cell), Image.Resampling.LANCZOS)
    return image


def _label(text: str, width: int, height: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Image.Image:
    kept, shown = len(text), text
    while kept and font.getlength(shown) > width:
        kept -= 1
        shown = text[:kept].rstrip() + "…"
    label = Image.new("RGB", (width, height), _PAPER)
    ImageDraw.Draw(label).text((width / 2, height / 2), shown, fill=_INK, font=font, anchor="mm")
    return label
