"""The recipe inside a picture, and the check that a photo is the one it was painted from, by painting it again."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sfumato.errors import InputError
from sfumato.image import Photo, read_photo, read_recipe, shrink, thumbnail_size, to_8_bits, write_photo
from sfumato.inference.changes import CELLS, cell_means, padded
from sfumato.inference.draft import BASE_SIDE
from sfumato.inference.pixel_readers import PhotoReader
from sfumato.inference.recipe import Recipe
from sfumato.inference.seamless import make_seamless
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer
from sfumato.provenance import mark
from sfumato.provenance.seal import mark_photo

#: Largest shorter side, in pixels, at which pictures are compared and measured: the base size of strokes.
WORK = BASE_SIDE
EXPLAINS = "explains"  # key in the recipe of a contact sheet: the name of the picture that it explains

#: Largest mean difference, in [0, 1], between a picture and the repainted photo; machines differ in rounding.
SAME_PICTURE = 0.006
#: Largest mean difference in any cell, which detects a photo that was edited in one place.
SAME_CELL = 0.04
#: Largest mean difference for pictures with masks, which recipes do not hold; lossy formats exceed the exact bounds.
SAME_UNDER_MASKS = 0.03


def recipe_of(picture: str | os.PathLike[str]) -> Recipe:
    """Return the recipe inside a picture.

    Raises:
        InputError: the file cannot be read, or holds no recipe of a painting.
    """
    found = read_recipe(picture)
    if found is None:
        raise InputError(
            f"{picture} holds no recipe: Sfumato did not make it, or another program saved it again; "
            "name the file that sfumato stylize wrote"
        )
    if EXPLAINS in found:
        raise InputError(f"{picture} is the explanation of {found[EXPLAINS]}; name that picture")
    return Recipe.from_json(found, str(picture))


def read_painted_photo(path: Path, picture: Path, recipe: Recipe, painted: Photo) -> Photo:
    """Read the photo of a picture, shrunk as the recipe says.

    Raises:
        InputError: it cannot be read, or its size is not that of the picture.
    """
    photo = read_photo(path)
    if recipe.max_size:
        photo = shrink(photo, recipe.max_size)
    if recipe.tile:
        photo = make_seamless(photo)
    if (photo.height, photo.width) != (painted.height, painted.width):
        would = f"{photo.width} x {photo.height}"
        raise InputError(
            f"{path} is not the photo of {picture}: it would be painted at {would} pixels, and the picture has "
            f"{painted.width} x {painted.height}; name the photo that was painted"
        )
    return photo


def check_repainted(
    stylizer: Stylizer,
    recipe: Recipe,
    styles: Sequence[Style],
    photo: Photo,
    painted: Photo,
    picture: Path,
    path: Path,
) -> None:
    """Check that painting the photo again gives the picture.

    Recipes hold only hashes of masks. With masks, each pixel of the picture must therefore lie between the values that
    the styles and the photo have there; without masks, the picture must equal the repainted photo.

    Raises:
        InputError: it does not.
    """
    again = [stylizer.paint(photo, style, recipe.options, name=str(path)) for style in styles]
    if recipe.masks:
        same = _is_same([*again, photo], painted, True)
    else:
        same = _is_same([_as_stored(again[0], picture, recipe.file_quality)], painted, False)
        if not same and (found := mark.find(to_8_bits(painted.pixels))) is not None:  # its picture was sealed
            marked, _ = mark_photo(again[0], f"{found.number:016x}")
            same = _is_same([_as_stored(marked, picture, recipe.file_quality)], painted, False)
    if not same:
        raise InputError(
            f"{path} painted by the recipe of {picture} does not give that picture: it is another photo, or one of "
            "the two was edited or saved again since; name the photo that was painted, or leave --photo out"
        )


def _is_same(again: Sequence[Photo], painted: Photo, through_masks: bool) -> bool:
    """Return whether a picture equals the repainted photo or, with masks, lies between the layers."""
    size = thumbnail_size(painted.height, painted.width, WORK, 4 * WORK)
    layers = np.stack([PhotoReader(layer).reduced(*size)[0] for layer in again])  # (n, 3, h, w)
    found = PhotoReader(painted).reduced(*size)[0]
    outside = np.maximum(np.maximum(layers.min(0) - found, found - layers.max(0)), 0).mean(0)  # (h, w)
    cell = max(2, round(min(size) / CELLS)) * 2
    if through_masks:
        return bool(outside.mean() <= SAME_UNDER_MASKS)
    return bool(outside.mean() <= SAME_PICTURE and cell_means(padded(outside, cell), cell).max() <= SAME_CELL)


def _as_stored(painted: Photo, picture: Path, quality: int) -> Photo:
    """Return the painting after a round trip through the picture's file format: JPEG and WebP are lossy."""
    with picture.open("rb") as file:
        start = file.read(12)
    format = "jpeg" if start[:2] == b"\xff\xd8" else "webp" if start[8:] == b"WEBP" else None
    if format is None:
        return painted
    buffer = io.BytesIO()
    write_photo(painted, buffer, format, quality)
    return read_photo(buffer.getvalue())
