"""Origins: which part of which painting each place of a picture came from, for painting by matched features.

The photo is painted again, with a shorter side of at most ``WORK`` pixels. The feature bank stores the picture and
position of each of its vectors, so the vector chosen for a place gives its origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from sfumato import assets
from sfumato.image import Picture, as_image, read_photo, resample, thumbnail_size, to_pil
from sfumato.inference.explain_sheet import band, stacked
from sfumato.inference.pixel_readers import ArrayReader, PhotoReader
from sfumato.inference.recipe import Recipe
from sfumato.inference.repaint import WORK, check_repainted, read_painted_photo, recipe_of
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer

Map = npt.NDArray[np.float32]
#: Largest number of patches on the sheet, and their side in places.
PATCHES, PATCH = 5, 8
_CUT = 156  # pixels of the side of a patch on the sheet
#: The colours of a style's pictures on the map; they differ for the colour-blind too (Okabe & Ito 2008).
_PICTURES = np.array([[230, 159, 0], [86, 180, 233], [0, 158, 115], [204, 121, 167], [213, 94, 0]], np.float32) / 255
_CORNERS = np.array([[[230, 60, 50], [250, 200, 40]], [[60, 70, 200], [40, 170, 110]]], np.float32) / 255


@dataclass(frozen=True, eq=False)
class OriginPicture:
    """One picture of a style, and its share in the painting.

    Attributes:
        title: artist, title and year for a built-in style; otherwise the first digits of the hash.
        sha256: hex.
        share: fraction of the places that came from it, in [0, 1].
        picture: ``(1, 3, H, W)``.
    """

    title: str
    sha256: str
    share: float
    picture: Picture


@dataclass(frozen=True, eq=False)
class Origins:
    """The origins of one style's places.

    Attributes:
        style: its name.
        sources: its pictures.
        places: ``(h, w, 3)`` float32: for each place the index of the picture and the position in it, x and y in [0,
            1].
        used: fraction of the bank's vectors that the painting uses, in [0, 1].
        together: fraction of neighbouring places whose origins are neighbours too (within two places).
    """

    style: str
    sources: Sequence[OriginPicture]
    places: Map
    used: float
    together: float

    def to_json(self) -> dict[str, object]:
        """Return the values as JSON, without the map of places."""
        pictures = [{"title": s.title, "sha256": s.sha256, "share": s.share} for s in self.sources]
        return {"style": self.style, "used": self.used, "together": self.together, "pictures": pictures}


@dataclass(frozen=True, eq=False)
class Explained:
    """A picture, its photo, and the origins of each style's places."""

    recipe: Recipe
    picture: Picture
    photo: Picture
    styles: Sequence[Origins]

    def to_json(self) -> dict[str, object]:
        """Return the recipe and the origins as JSON."""
        return {"recipe": self.recipe.to_json(), "styles": [style.to_json() for style in self.styles]}


class _Patch(NamedTuple):
    """A place that the sheet shows closely.

    Attributes:
        number: from 1.
        here: its position in the picture, x and y in [0, 1].
        source: index of the picture that it came from.
        there: its position in that picture, x and y in [0, 1].
    """

    number: int
    here: tuple[float, float]
    source: int
    there: tuple[float, float]


def find_origins(
    picture: Path, photo: Path, stylizer: Stylizer | None = None, known: Sequence[Style] = (), own: bool = False
) -> Explained:
    """Find where each place of a picture, painted in the quality standard or best, came from.

    Args:
        picture: its file, which holds the recipe.
        photo: the file that it was painted from.
        stylizer: of the model that painted it; by default the one that ships with Sfumato.
        known: styles whose pictures it was painted with, where no built-in or personal style has them.
        own: whether styles in the user's home folder may be used, as in `Style.named`.

    Raises:
        InputError: a file cannot be read, the picture holds no recipe, or ``photo`` is another photo.
        ModelError: as for `Recipe.rebuild`.
        UsageError: as for `Recipe.rebuild`.
    """
    stylizer, recipe, picture_read = stylizer or Stylizer(), recipe_of(picture), read_photo(picture)
    styles = recipe.rebuild(stylizer, known, own)
    original = read_painted_photo(photo, picture, recipe, picture_read)
    check_repainted(stylizer, recipe, styles, original, picture_read, picture, photo)
    size = thumbnail_size(picture_read.height, picture_read.width, WORK, 4 * WORK)
    small = ArrayReader(PhotoReader(original).reduced(*size))
    found = [_find_style_origins(stylizer, recipe, style, small) for style in styles]
    return Explained(recipe, PhotoReader(picture_read).reduced(*size), small.picture, found)


def _find_style_origins(stylizer: Stylizer, recipe: Recipe, style: Style, photo: ArrayReader) -> Origins:
    """Paint the small photo in one style again, and look up the origins in the bank."""
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
    return Origins(style.name, sources, places, used, _coherence(places, sources, painting.scales[-1].short))


def _coherence(places: Map, sources: Sequence[OriginPicture], short: int) -> float:
    """Return the fraction of neighbouring places whose origins lie within two places of each other in one picture."""
    sides = [min(s.picture.shape[2:]) for s in sources]
    size = np.array([[s.picture.shape[3], s.picture.shape[2]] for s in sources], np.float32)
    size *= np.array([[min(1.0, short / side)] for side in sides], np.float32) / 4  # in places
    number = places[:, :, 0].astype(int)
    at = places[:, :, 1:] * size[number]
    near = []
    for axis in (0, 1):
        moved, same = np.abs(np.diff(at, axis=axis)).max(2), np.diff(number, axis=axis) == 0
        near.append((moved <= 2) & same)
    return float(np.mean(np.concatenate([each.ravel() for each in near]))) if places[:, :, 0].size > 1 else 0.0


def position_colours(across: Map, down: Map) -> Map:
    """Return a colour for each position, interpolated between four corner colours.

    ``across`` and ``down`` are ``(h, w)`` in [0, 1]; the colours are ``(h, w, 3)``.
    """
    top, bottom = (_CORNERS[i, 0] + across[..., None] * (_CORNERS[i, 1] - _CORNERS[i, 0]) for i in (0, 1))
    return np.asarray(top + down[..., None] * (bottom - top), np.float32)


def origins_sheet(found: Explained) -> Picture:
    """Return the contact sheet ``(1, 3, H, W)``.

    For each style it shows the photo, the picture and the map of origins; the style's pictures in the map's colours;
    and patches of the picture beside their origins. Of several pictures of a style, a second map shows which one each
    place came from. Numbers mark the patches in the picture and in the style's pictures. Of more than five pictures
    the five are shown that most places came from, and only patches that came from them.
    """
    bands = []
    for origins in found.styles:
        shown = sorted(range(len(origins.sources)), key=lambda i: -origins.sources[i].share)[: len(_PICTURES)]
        patches = [each for each in _patches(origins) if each.source in shown]
        own = [(each.number, *each.here) for each in patches]
        colours = position_colours(origins.places[:, :, 1], origins.places[:, :, 2])
        first = [("the photo", found.photo), ("the picture", _numbered(found.picture, own))]
        first.append(("where each place came from", _chart(colours, found.picture)))
        if len(shown) > 1:
            of_picture = np.full((len(origins.sources), 3), 0.75, np.float32)
            of_picture[shown] = _PICTURES[: len(shown)]
            words = "which picture (grey: others)" if len(shown) < len(origins.sources) else "which picture"
            first.append((words, _chart(of_picture[origins.places[:, :, 0].astype(int)], found.picture)))
        bands += [band(first, origins.style), band(_tinted_sources(origins, shown, patches), "the style's pictures")]
        if patches:
            bands.append(band(_patch_pairs(found.picture, origins, patches), "picture | origin"))
    return stacked(bands)


def _chart(colours: Map, picture: Picture) -> Picture:
    """Return colours ``(h, w, 3)`` of places as a picture of the size of another."""
    chart = np.ascontiguousarray(colours.transpose(2, 0, 1))[None]
    height, width = picture.shape[2:]
    return resample(chart, height, width, Image.Resampling.NEAREST)


def _tinted_sources(origins: Origins, shown: Sequence[int], patches: Sequence[_Patch]) -> list[tuple[str, Picture]]:
    """Return the pictures of these indices, tinted by position, and framed in their own colour."""
    cells = []
    for colour, index in zip(_PICTURES, shown, strict=False):
        source = origins.sources[index]
        height, width = source.picture.shape[2:]
        down, across = np.mgrid[0:height, 0:width].astype(np.float32)
        tint = position_colours(across / width, down / height).transpose(2, 0, 1)[None]
        cell = np.float32(0.55) * source.picture + np.float32(0.45) * tint
        cell = _numbered(cell, [(each.number, *each.there) for each in patches if each.source == index])
        if len(shown) > 1:
            edge = max(3, max(height, width) // 40)
            cell = np.pad(cell, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
            frame = colour[None, :, None, None]
            cell[:, :, :edge], cell[:, :, -edge:] = frame, frame
            cell[:, :, :, :edge], cell[:, :, :, -edge:] = frame, frame
        # The artist's name would take the room of the title, which tells the pictures apart.
        cells.append((f"{source.share:.0%}  {source.title.partition(', ')[2] or source.title}", cell))
    return cells


def _patches(origins: Origins) -> list[_Patch]:
    """Return places evenly from left to right."""
    height, width = origins.places.shape[:2]
    found = []
    for number in range(PATCHES):
        row = height * (1 + number % 3) // 4
        column = min(width - 1, round(width * (number + 0.5) / PATCHES))
        source, across, down = map(float, origins.places[row, column])
        here = (column + 0.5) / width, (row + 0.5) / height
        found.append(_Patch(number + 1, here, int(source), (across, down)))
    return found


def _patch_pairs(picture: Picture, origins: Origins, patches: Sequence[_Patch]) -> list[tuple[str, Picture]]:
    """Return patches of the picture, each beside its origin."""
    return [
        (
            f"{each.number}",
            np.concatenate([_cut(picture, *each.here), _cut(origins.sources[each.source].picture, *each.there)], 3),
        )
        for each in patches
    ]


def _cut(picture: Picture, across: float, down: float) -> Picture:
    """Return a square of `PATCH` places around a position, or at the border beside it, with the position marked.

    Its side is scaled by the picture's size.
    """
    height, width = picture.shape[2:]
    side = min(max(8, round(PATCH * 4 * min(height, width) / WORK)), height, width)
    x, y = across * width, down * height
    left, top = (int(np.clip(at - side / 2, 0, length - side)) for at, length in ((x, width), (y, height)))
    image = to_pil(np.clip(picture[:, :, top : top + side, left : left + side], 0, 1)).resize(
        (_CUT, _CUT), Image.Resampling.BICUBIC
    )
    at_x, at_y = ((at - start) / side * _CUT for at, start in ((x, left), (y, top)))
    ImageDraw.Draw(image).rectangle((at_x - 10, at_y - 10, at_x + 10, at_y + 10), outline=(255, 255, 255))
    return as_image(image)


def _numbered(picture: Picture, marks: Sequence[tuple[int, float, float]]) -> Picture:
    """Return the picture with numbers at positions, x and y in [0, 1]."""
    image = to_pil(np.clip(picture, 0, 1))
    font = ImageFont.load_default(max(10, max(image.size) // 16))
    for number, x, y in marks:
        at = x * image.width, y * image.height
        ImageDraw.Draw(image).text(at, f"{number}", "white", font, "mm", stroke_width=2, stroke_fill="black")
    return as_image(image)
