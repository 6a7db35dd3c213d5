"""An explanation as one picture: a contact sheet of the photo, the picture, the maps, and what each part did."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from sfumato.image import Photo, Picture, as_image, luma, resample, to_pil, to_uint8, write_photo
from sfumato.inference.changes import Map
from sfumato.inference.explanation import Explanation, StyleExplanation
from sfumato.inference.recipe import Recipe
from sfumato.inference.repaint import EXPLAINS
from sfumato.metadata import Metadata
from sfumato.sheet import contact_sheet

CELL = 320  # pixels of the longer side of each picture on the sheet
SCALE = 26  # pixels of the strip below a map that says what its colours mean
COLUMNS = 5
TOP_COLOUR = 40.0  # CIEDE2000 that is drawn brightest

# Dark to bright without a step, and told apart by those who see no red or green: anchors of a ramp like "inferno".
_HEAT = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
# From "not painted" over "undecided" to "painted".
_MAP_COLOURS = ((33, 102, 172), (146, 197, 222), (247, 247, 247), (244, 165, 130), (178, 24, 43))


def explanation_sheet(found: Explanation) -> Picture:
    """The contact sheet ``(1, 3, H, W)``: a row on the whole picture, then two rows for each style's parts."""
    size = _fitting(found.picture, CELL - SCALE)  # the scale of a map stands below it, and nothing below the others
    first = [("the picture", _with_scale(_at(found.picture, size)))]
    if found.photo is not None:
        first.insert(0, ("the photo", _with_scale(_at(found.photo, size))))
    if found.change is not None:
        colour, structure = found.change.colour / TOP_COLOUR, found.change.structure
        first += [
            ("colour: how far it moved", _heat(colour, size, ("the same", f"{TOP_COLOUR:.0f} steps, or more"))),
            ("structure: how far it moved", _heat(structure, size, ("the same", "nothing left"))),
        ]
    maps = [style.discriminator for style in found.styles if style.discriminator is not None]
    if maps:
        first.append(("the discriminator thinks", _tint_by(maps[0].map, found.picture, size)))
    bands = [band(first, "the whole")]
    for number, style in enumerate(found.styles, 1):
        if style.swaps:
            label = f"style {number}, in parts" if len(found.styles) > 1 else "a part taken out"
            bands += [band(row, label) for row in _swaps(style)]
    return stacked(bands)


def write_sheet(found: Explanation, path: str | os.PathLike[str], picture: str, overwrite: bool = True) -> None:
    """Writes the contact sheet of ``picture``, whole or not at all.

    It carries what it explains as its recipe, so that a folder is not painted with its sheets.

    Raises:
        OutputError: the file cannot be written, or is there and is not to be replaced.
    """
    write_on_sheet(explanation_sheet(found), found.recipe, path, picture, overwrite)


def write_on_sheet(
    sheet: Picture, recipe: Recipe, path: str | os.PathLike[str], picture: str, overwrite: bool = True
) -> None:
    """Writes a sheet that explains ``picture``, made by ``recipe``; see `write_sheet`."""
    metadata = Metadata(recipe={EXPLAINS: picture, **recipe.to_json()})
    write_photo(Photo(to_uint8(sheet), metadata=metadata), path, overwrite=overwrite)


def _swaps(style: StyleExplanation) -> list[list[tuple[str, Picture]]]:
    """Captions and pictures, by rows: all parts, each part out, and none."""
    size = _fitting(style.swaps[0].picture, CELL)
    shown = [(f"without {swap.part.label} ({swap.share:.0%})", _at(swap.picture, size)) for swap in style.swaps]
    if style.painted is not None and style.plain is not None:
        shown.insert(0, ("all parts (small copy)", _at(style.painted, size)))
        shown.append(("without any part", _at(style.plain, size)))
    return [shown[i : i + COLUMNS] for i in range(0, len(shown), COLUMNS)]


def band(cells: Sequence[tuple[str, Picture]], label: str) -> Picture:
    """Pictures ``(1, 3, h, w)`` with their captions in one row, named on the left."""
    names, pictures = zip(*cells, strict=True)
    return contact_sheet([list(pictures)], [label], list(names), CELL)


def stacked(bands: Sequence[Picture]) -> Picture:
    """Bands one below the other, filled up with white on the right: ``(1, 3, H, W)``."""
    width = max(each.shape[3] for each in bands)
    level = [np.pad(b, ((0, 0), (0, 0), (0, 0), (0, width - b.shape[3])), constant_values=1) for b in bands]
    return np.concatenate(level, 2)


def _fitting(picture: Picture, longest: int) -> tuple[int, int]:
    """Height and width of a picture, in proportion, that fills a cell of ``longest`` pixels down."""
    height, width = picture.shape[2:]
    scale = min(CELL / width, longest / height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _at(picture: Picture, size: tuple[int, int]) -> Picture:
    return np.clip(resample(picture, *size, Image.Resampling.LANCZOS), 0, 1)


def _heat(values: Map, size: tuple[int, int], ends: tuple[str, str]) -> Picture:
    shown = np.clip(resample(values, *size, Image.Resampling.BILINEAR), 0, 1)
    return _with_scale(_ramp(shown, _HEAT)[None], _HEAT, ends)


def _tint_by(values: Map, picture: Picture, size: tuple[int, int]) -> Picture:
    """The map as a tint of the picture in grey."""
    grey = np.float32(0.5) + np.float32(0.5) * luma(_at(picture, size)[0])
    colour = _ramp(np.clip(resample(values, *size, Image.Resampling.BILINEAR), 0, 1), _MAP_COLOURS)
    return _with_scale((colour * grey)[None], _MAP_COLOURS, ("not painted", "painted"))


def _ramp(values: Map, anchors: Sequence[tuple[int, int, int]]) -> npt.NDArray[np.float32]:
    """``(h, w)`` in ``[0, 1]`` to colours ``(3, h, w)``."""
    at = np.linspace(0, 1, len(anchors))
    planes = [np.interp(values, at, [anchor[channel] / 255 for anchor in anchors]) for channel in range(3)]
    return np.stack(planes).astype(np.float32)


def _with_scale(
    picture: Picture, anchors: Sequence[tuple[int, int, int]] = (), ends: tuple[str, str] = ("", "")
) -> Picture:
    """With a strip below it: the ramp, where there is one, and what its ends mean."""
    strip = Image.new("RGB", (picture.shape[3], SCALE), (255, 255, 255))
    font = ImageFont.load_default(SCALE * 4 // 7)
    first, last = (round(font.getlength(text)) + 6 for text in ends)
    if anchors and strip.width - first - last > SCALE:  # a narrow picture has no room for it
        draw, middle = ImageDraw.Draw(strip), SCALE // 2
        draw.text((0, middle), ends[0], fill=(32, 32, 32), font=font, anchor="lm")
        draw.text((strip.width, middle), ends[1], fill=(32, 32, 32), font=font, anchor="rm")
        bar = np.broadcast_to(np.linspace(0, 1, 256, dtype=np.float32), (1, 256))
        strip.paste(
            to_pil(_ramp(bar, anchors)[None]).resize((strip.width - first - last, SCALE // 2)), (first, SCALE // 4)
        )
    return np.concatenate([np.clip(picture, 0, 1), as_image(strip)], 2)
