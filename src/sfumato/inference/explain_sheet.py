"""The contact sheet of an explanation: the photo, the picture, the maps, and the effect of each part of the style."""

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
SCALE = 26  # height in pixels of the colour bar below a map
COLUMNS = 5
TOP_COLOUR = 40.0  # CIEDE2000 at the bright end of the colour map

# Anchors of a colour map like "inferno": lightness rises steadily, so it is readable with red-green colour blindness.
_HEAT = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
# Anchors of a diverging colour map from "not painted" over "undecided" to "painted".
_MAP_COLOURS = ((33, 102, 172), (146, 197, 222), (247, 247, 247), (244, 165, 130), (178, 24, 43))


def explanation_sheet(found: Explanation) -> Picture:
    """Return the contact sheet ``(1, 3, H, W)``: a row on the whole picture, then two rows for each style's parts."""
    size = _fitting(found.picture, CELL - SCALE)  # leaves room for the colour bar below a map
    first = [("the picture", _with_scale(_resized(found.picture, size)))]
    if found.photo is not None:
        first.insert(0, ("the photo", _with_scale(_resized(found.photo, size))))
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
    """Write the contact sheet of ``picture``, whole or not at all.

    Its recipe names the picture that it explains, so that painting a folder skips it.

    Raises:
        OutputError: the file cannot be written, or exists and must not be replaced.
    """
    write_on_sheet(explanation_sheet(found), found.recipe, path, picture, overwrite)


def write_on_sheet(
    sheet: Picture, recipe: Recipe, path: str | os.PathLike[str], picture: str, overwrite: bool = True
) -> None:
    """Write a sheet that explains ``picture``, made by ``recipe``; see `write_sheet`."""
    metadata = Metadata(recipe={EXPLAINS: picture, **recipe.to_json()})
    write_photo(Photo(to_uint8(sheet), metadata=metadata), path, overwrite=overwrite)


def _swaps(style: StyleExplanation) -> list[list[tuple[str, Picture]]]:
    """Return captions and pictures, by rows: with all parts, without each part, and with none."""
    size = _fitting(style.swaps[0].picture, CELL)
    shown = [(f"without {swap.part.label} ({swap.share:.0%})", _resized(swap.picture, size)) for swap in style.swaps]
    if style.painted is not None and style.plain is not None:
        shown.insert(0, ("all parts (small copy)", _resized(style.painted, size)))
        shown.append(("without any part", _resized(style.plain, size)))
    return [shown[i : i + COLUMNS] for i in range(0, len(shown), COLUMNS)]


def band(cells: Sequence[tuple[str, Picture]], label: str) -> Picture:
    """Return pictures ``(1, 3, h, w)`` with their captions in one row, with the row's label on the left."""
    names, pictures = zip(*cells, strict=True)
    return contact_sheet([list(pictures)], [label], list(names), CELL)


def stacked(bands: Sequence[Picture]) -> Picture:
    """Return bands one below the other, padded with white on the right: ``(1, 3, H, W)``."""
    width = max(each.shape[3] for each in bands)
    level = [np.pad(b, ((0, 0), (0, 0), (0, 0), (0, width - b.shape[3])), constant_values=1) for b in bands]
    return np.concatenate(level, 2)


def _fitting(picture: Picture, longest: int) -> tuple[int, int]:
    """Return the height and width at which a picture fits into a cell of ``longest`` pixels in height."""
    height, width = picture.shape[2:]
    scale = min(CELL / width, longest / height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """Return the picture at that size, clipped to [0, 1]."""
    return np.clip(resample(picture, *size, Image.Resampling.LANCZOS), 0, 1)


def _heat(values: Map, size: tuple[int, int], ends: tuple[str, str]) -> Picture:
    """Return a map in colours, with its colour bar; ``ends`` are the bar's labels."""
    shown = np.clip(resample(values, *size, Image.Resampling.BILINEAR), 0, 1)
    return _with_scale(_ramp(shown, _HEAT)[None], _HEAT, ends)


def _tint_by(values: Map, picture: Picture, size: tuple[int, int]) -> Picture:
    """Return the picture in grey, tinted by the map, with its colour bar."""
    grey = np.float32(0.5) + np.float32(0.5) * luma(_resized(picture, size)[0])
    colour = _ramp(np.clip(resample(values, *size, Image.Resampling.BILINEAR), 0, 1), _MAP_COLOURS)
    return _with_scale((colour * grey)[None], _MAP_COLOURS, ("not painted", "painted"))


def _ramp(values: Map, anchors: Sequence[tuple[int, int, int]]) -> npt.NDArray[np.float32]:
    """Map values ``(h, w)`` in ``[0, 1]`` to colours ``(3, h, w)``."""
    at = np.linspace(0, 1, len(anchors))
    planes = [np.interp(values, at, [anchor[channel] / 255 for anchor in anchors]) for channel in range(3)]
    return np.stack(planes).astype(np.float32)


def _with_scale(
    picture: Picture, anchors: Sequence[tuple[int, int, int]] = (), ends: tuple[str, str] = ("", "")
) -> Picture:
    """Append a strip below a picture: the colour bar with its labels, or white space."""
    strip = Image.new("RGB", (picture.shape[3], SCALE), (255, 255, 255))
    font = ImageFont.load_default(SCALE * 4 // 7)
    first, last = (round(font.getlength(text)) + 6 for text in ends)
    if anchors and strip.width - first - last > SCALE:  # otherwise the picture is too narrow for it
        draw, middle = ImageDraw.Draw(strip), SCALE // 2
        draw.text((0, middle), ends[0], fill=(32, 32, 32), font=font, anchor="lm")
        draw.text((strip.width, middle), ends[1], fill=(32, 32, 32), font=font, anchor="rm")
        bar = np.broadcast_to(np.linspace(0, 1, 256, dtype=np.float32), (1, 256))
        strip.paste(
            to_pil(_ramp(bar, anchors)[None]).resize((strip.width - first - last, SCALE // 2)), (first, SCALE // 4)
        )
    return np.concatenate([np.clip(picture, 0, 1), as_image(strip)], 2)
