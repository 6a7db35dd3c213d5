"""Which part of which painting each place of a picture came from: the explanation of matched features.

The photo is painted again, at most ``WORK`` pixels on the shorter side, and each place's vector of the feature bank is
looked up: the bank knows where in which picture its vectors were seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from sfumato import assets
from sfumato.image import Picture, as_image, read_photo, resample, thumbnail_size, to_pil
from sfumato.inference.explain_sheet import band, stacked
from sfumato.inference.pixel_readers import ArrayReader, PhotoReader
from sfumato.inference.recipe import Recipe
from sfumato.inference.repaint import WORK, check_repainted, read_painted_photo, recipe_of
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer

Map = npt.NDArray[np.float32]
#: Patches that are shown, and their side in places.
PATCHES, PATCH = 5, 8
_CORNERS = np.array([[[230, 60, 50], [250, 200, 40]], [[60, 70, 200], [40, 170, 110]]], np.float32) / 255


@dataclass(frozen=True, eq=False)
class OriginPicture:
    """One picture of a style.

    Attributes:
        title: artist, title and year of a built-in style's, otherwise the beginning of the hash.
        sha256: hex.
        share: of the places, in [0, 1], that came from it.
        picture: ``(1, 3, H, W)``.
    """

    title: str
    sha256: str
    share: float
    picture: Picture


@dataclass(frozen=True, eq=False)
class Origins:
    """Of one style of a picture.

    Attributes:
        style: its name.
        sources: its pictures.
        places: ``(h, w, 3)`` float32: number of the picture each place came from, and where in it, across and down, in
            [0, 1].
        used: share of the bank's vectors that the picture uses, in [0, 1].
        together: share of neighbouring places that were neighbours in the painting too (within two places).
    """

    style: str
    sources: Sequence[OriginPicture]
    places: Map
    used: float
    together: float

    def to_json(self) -> dict[str, object]:
        pictures = [{"title": s.title, "sha256": s.sha256, "share": s.share} for s in self.sources]
        return {"style": self.style, "used": self.used, "together": self.together, "pictures": pictures}


@dataclass(frozen=True, eq=False)
class Explained:
    """A picture, its photo, and where its styles' parts came from."""

    recipe: Recipe
    picture: Picture
    photo: Picture
    styles: Sequence[Origins]

    def to_json(self) -> dict[str, object]:
        return {"recipe": self.recipe.to_json(), "styles": [style.to_json() for style in self.styles]}


def find_origins(
    picture: Path, photo: Path, stylizer: Stylizer | None = None, known: Sequence[Style] = (), own: bool = False
) -> Explained:
    """Where each place of ``picture``, painted in the quality standard or best, came from.

    Args:
        known: styles of the pictures that it was painted with, where they are no built-in or personal style's.
        own: whether styles of the user's home folder are known too, as in `Style.named`.

    Raises:
        InputError: a file cannot be read, the picture holds no recipe, or ``photo`` is another photo.
        ModelError, UsageError: see `Recipe.rebuild`.
    """
    stylizer, recipe, picture_read = stylizer or Stylizer(), recipe_of(picture), read_photo(picture)
    styles = recipe.rebuild(stylizer, known, own)
    original = read_painted_photo(photo, picture, recipe, picture_read)
    check_repainted(stylizer, recipe, styles, original, picture_read, picture, photo)
    size = thumbnail_size(picture_read.height, picture_read.width, WORK, 4 * WORK)
    small = ArrayReader(PhotoReader(original).reduced(*size))
    found = [_origins(stylizer, recipe, style, small) for style in styles]
    return Explained(recipe, PhotoReader(picture_read).reduced(*size), small.picture, found)


def _origins(stylizer: Stylizer, recipe: Recipe, style: Style, photo: ArrayReader) -> Origins:
    painting = stylizer.matched(photo, style, replace(recipe.options, quality="standard"))
    for _ in painting.tiles():
        pass
    bank = painting.banks[-1]
    places = bank.origins[painting.chosen]
    shares = np.bincount(places[:, :, 0].astype(int).ravel(), minlength=len(style.pictures)) / places[:, :, 0].size
    titles = {entry.sha256: f"{entry.artist}, {entry.title} ({entry.year})" for entry in assets.ledger()}
    sources = [
        OriginPicture(titles.get(each.sha256, each.sha256[:12]), each.sha256, float(share), each.picture)
        for each, share in zip(style.pictures, shares, strict=True)
    ]
    used = len(np.unique(painting.chosen)) / len(bank.vectors)
    return Origins(style.name, sources, places, used, _together(places, sources, painting.scales[-1].short))


def _together(places: Map, sources: Sequence[OriginPicture], short: int) -> float:
    sides = [min(s.picture.shape[2:]) for s in sources]
    size = np.array([[s.picture.shape[3], s.picture.shape[2]] for s in sources], np.float32)
    size *= np.array([[min(1.0, short / side)] for side in sides], np.float32) / 4  # places of the bank's picture
    number = places[:, :, 0].astype(int)
    at = places[:, :, 1:] * size[number]
    near = []
    for axis in (0, 1):
        moved, same = np.abs(np.diff(at, axis=axis)).max(2), np.diff(number, axis=axis) == 0
        near.append((moved <= 2) & same)
    return float(np.mean(np.concatenate([each.ravel() for each in near]))) if places[:, :, 0].size > 1 else 0.0


def position_colours(across: Map, down: Map) -> Map:
    """A colour for each position in [0, 1], ``(h, w)`` each: ``(h, w, 3)``, with another at each corner."""
    top, bottom = (_CORNERS[i, 0] + across[..., None] * (_CORNERS[i, 1] - _CORNERS[i, 0]) for i in (0, 1))
    return np.asarray(top + down[..., None] * (bottom - top), np.float32)


def origins_sheet(found: Explained) -> Picture:
    """The contact sheet ``(1, 3, H, W)``: for each style the photo, the picture and the map of origins; the style's
    pictures in the map's colours; patches of the picture beside those that they came from."""
    bands = []
    for origins in found.styles:
        height, width = found.picture.shape[2:]
        colours = position_colours(origins.places[:, :, 1], origins.places[:, :, 2])
        chart = np.ascontiguousarray(colours.transpose(2, 0, 1))[None]
        chart = resample(chart, height, width, Image.Resampling.NEAREST)
        first = [("the photo", found.photo), ("the picture", found.picture), ("where each place came from", chart)]
        bands += [band(first, origins.style), band(_charted(origins), "the style's pictures")]
        bands.append(band(_patches(found.picture, origins), "picture | origin"))
    return stacked(bands)


def _charted(origins: Origins) -> list[tuple[str, Picture]]:
    """The pictures that most places came from, tinted by the colours of the positions in them."""
    largest = sorted(origins.sources, key=lambda source: -source.share)[:PATCHES]
    cells = []
    for source in largest:
        height, width = source.picture.shape[2:]
        down, across = np.mgrid[0:height, 0:width].astype(np.float32)
        tint = position_colours(across / width, down / height).transpose(2, 0, 1)[None]
        cells.append(
            (f"{source.share:.0%}  {source.title}", np.float32(0.55) * source.picture + np.float32(0.45) * tint)
        )
    return cells


def _patches(picture: Picture, origins: Origins) -> list[tuple[str, Picture]]:
    """Patches of the picture, evenly over it from left to right, each beside the part of the painting that its middle
    came from, with the place itself marked."""
    height, width = origins.places.shape[:2]
    cells = []
    for number in range(PATCHES):
        row = height * (1 + number % 3) // 4
        column = min(width - 1, round(width * (number + 0.5) / PATCHES))
        source, across, down = origins.places[row, column]
        own = _cut(picture, (column + 0.5) / width, (row + 0.5) / height)
        there = origins.sources[int(source)].picture
        cells.append((f"{number + 1}", np.concatenate([own, _cut(there, float(across), float(down))], 3)))
    return cells


def _cut(picture: Picture, across: float, down: float) -> Picture:
    """A square around a position, as large as `PATCH` places of a picture of `WORK` pixels, enlarged."""
    short = min(picture.shape[2:])
    side = max(8, round(PATCH * 4 * short / WORK))
    half = side // 2
    padded = np.pad(picture, ((0, 0), (0, 0), (half, half), (half, half)), mode="edge")
    top, left = (
        min(int(at * length), length - 1) for at, length in zip((down, across), picture.shape[2:], strict=True)
    )
    image = to_pil(np.clip(padded[:, :, top : top + side, left : left + side], 0, 1)).resize(
        (156, 156), Image.Resampling.BICUBIC
    )
    ImageDraw.Draw(image).rectangle((68, 68, 88, 88), outline=(255, 255, 255))
    return as_image(image)
