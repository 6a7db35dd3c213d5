"""The recipe inside a picture, and whether a photo is the one that it was painted from: painting it again tells."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sfumato.errors import InputError
from sfumato.image import Photo, read_photo, read_recipe, shrink, thumbnail_size, write_photo
from sfumato.inference.changes import CELLS, cell_means, padded
from sfumato.inference.draft import BASE_SIDE
from sfumato.inference.pixel_readers import PhotoReader
from sfumato.inference.recipe import Recipe
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer

#: Pixels on the shorter side, at most, where pictures are compared and measured: strokes have their size there.
WORK = BASE_SIDE
EXPLAINS = "explains"  # in the recipe of a contact sheet: the picture's name

#: Mean difference, in [0, 1], up to which a repainted photo is the picture: other machines round otherwise.
SAME_PICTURE = 0.006
#: The same in the worst cell of the picture: a photo retouched in one place is not the one.
SAME_CELL = 0.04
#: Under masks, which no recipe holds, pictures of a lossy format are a little outside what styles and photo allow.
SAME_UNDER_MASKS = 0.03


def recipe_of(picture: str | os.PathLike[str]) -> Recipe:
    """The recipe inside a picture.

    Raises:
        InputError: the file cannot be read, or holds none.
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
    """The photo as it was painted: shrunk where the recipe says so."""
    photo = read_photo(path)
    if recipe.max_size:
        photo = shrink(photo, recipe.max_size)
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
    """Raises InputError where painting the photo again does not give the picture.

    Masks are not in a recipe, only their hashes. Under them each pixel must lie between what the styles and the photo
    have there; without them, all is one painting, and must be met.
    """
    again = [stylizer.paint(photo, style, recipe.options, name=str(path)) for style in styles]
    if recipe.masks:
        again.append(photo)
    else:
        again = [_as_stored(again[0], picture, recipe.file_quality)]
    size = thumbnail_size(painted.height, painted.width, WORK, 4 * WORK)
    layers = np.stack([PhotoReader(layer).reduced(*size)[0] for layer in again])  # (n, 3, h, w)
    found = PhotoReader(painted).reduced(*size)[0]
    outside = np.maximum(np.maximum(layers.min(0) - found, found - layers.max(0)), 0).mean(0)  # (h, w)
    cell = max(2, round(min(size) / CELLS)) * 2
    differs = outside.mean() > (SAME_UNDER_MASKS if recipe.masks else SAME_PICTURE)
    if differs or (not recipe.masks and cell_means(padded(outside, cell), cell).max() > SAME_CELL):
        raise InputError(
            f"{path} painted by the recipe of {picture} does not give that picture: it is another photo, or one of "
            "the two was edited or saved again since; name the photo that was painted, or leave --photo out"
        )


def _as_stored(painted: Photo, picture: Path, quality: int) -> Photo:
    """What a file of the picture's format gives back of a painting: JPEG and WebP lose some of it."""
    with picture.open("rb") as file:
        start = file.read(12)
    format = "jpeg" if start[:2] == b"\xff\xd8" else "webp" if start[8:] == b"WEBP" else None
    if format is None:
        return painted
    buffer = io.BytesIO()
    write_photo(painted, buffer, format, quality)
    return read_photo(buffer.getvalue())
