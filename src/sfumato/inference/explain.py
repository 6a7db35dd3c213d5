"""Why a stylised picture looks as it does: where it left its photo, which part of the style did what, what the
discriminator thinks of it, and which training paintings the style is nearest to.

The picture carries its recipe, with the style codes; the photo does not lie in it, and what needs it is left out
without it. All is measured on copies of at most ``WORK`` or ``SMALL`` pixels on the shorter side, so that a large
picture costs little more than painting it once, which is how the photo is known to be the right one.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.errors import InputError, ModelError, UsageError
from sfumato.image import Photo, Picture, read_photo, read_recipe, resample, shrink, thumbnail_size, write_photo
from sfumato.inference.draft import NATURAL
from sfumato.inference.nearest import Neighbour, TrainingStyles
from sfumato.inference.recipe import Recipe
from sfumato.inference.sources import PixelSource
from sfumato.inference.style import SMALLEST_SIDE, Style
from sfumato.inference.stylizer import LONGEST_THUMBNAIL, Stylizer
from sfumato.quality.similarity import ciede2000, colour_distance, content_distance, structure_map, to_lab
from sfumato.style_code import Part, StyleCode, code_parts

Map = npt.NDArray[np.float32]
Tick = Callable[[int, int], None]

WORK = (
    NATURAL  # pixels on the shorter side, at most, where change and opinion are measured: marks have their size there
)
SMALL = 256  # and where parts of a style are tried one by one
CELLS = 64  # on the shorter side: a change of colour is that of means over cells, in which no single mark is seen
CLEAR_COLOUR = 10.0  # CIEDE2000: nobody overlooks it
CLEAR_STRUCTURE = 0.5  # half of what SSIM can lose
NEAREST = 5  # paintings that are named
EXPLAINS = "explains"  # in the recipe of a contact sheet: the picture's name

#: Mean difference, in [0, 1], up to which a repainted photo is the picture: other machines round otherwise.
SAME_PICTURE = 0.006
#: The same in the worst cell of the picture: a photo retouched in one place is not the one.
SAME_CELL = 0.04
#: Under masks, which no recipe holds, pictures of a lossy format are a little outside what styles and photo allow.
SAME_UNDER_MASKS = 0.03


@dataclass(frozen=True, eq=False)
class Change:
    """Where and how much a picture differs from its photo; means leave out what is transparent.

    Attributes:
        colour: ``(h, w)``, CIEDE2000 of the means over cells: about 1 is just seen, 100 is black to white.
        structure: ``(h, w)`` in ``[0, 1]``: what SSIM's contrast-structure term (Wang et al. 2004, windows of 11, luma)
            lacks to 1, so that light alone, or a tint, is none.
        colour_mean, structure_mean: of the maps.
        colour_area, structure_area: shares of the picture above ``CLEAR_COLOUR``, ``CLEAR_STRUCTURE``.
        colour_share: of the squared differences in CIELAB, what differences of the cells' means make; the rest, what
            differs within cells, is marks and lines.
    """

    colour: Map
    structure: Map
    colour_mean: float
    structure_mean: float
    colour_area: float
    structure_area: float
    colour_share: float

    @property
    def structure_share(self) -> float:
        return 1 - self.colour_share

    def to_json(self) -> dict[str, float]:
        names = ("colour_mean", "structure_mean", "colour_area", "structure_area", "colour_share", "structure_share")
        return {name: float(getattr(self, name)) for name in names}


@dataclass(frozen=True, eq=False)
class Swap:
    """What a style does without one of its parts, the photo's own in its place.

    Attributes:
        part: which.
        colour: mean CIEDE2000 between the small copies painted with and without it.
        features: mean squared difference of their features, normalised by channel: 0 is equal, 2 unrelated.
        share: of the parts' movements, the mean of the shares in ``colour`` and in ``features``.
        alone: mean CIEDE2000 between the photo painted as itself, and with this part alone from the style.
        picture: ``(1, 3, h, w)``, the small copy painted without it.
    """

    part: Part
    colour: float
    features: float
    share: float
    alone: float
    picture: Picture

    def to_json(self) -> dict[str, object]:
        numbers = {name: getattr(self, name) for name in ("colour", "features", "share", "alone")}
        return {"part": self.part.name, "from": self.part.place.start, "to": self.part.place.stop, **numbers}


@dataclass(frozen=True, eq=False)
class Opinion:
    """A discriminator's: how likely it takes each place for a part of a painting of the style.

    Attributes:
        map: ``(h, w)`` in ``[0, 1]``, of the picture.
        mean: of the map.
        photo: the same mean for the photo itself; ``None`` where there is none.
    """

    map: Map
    mean: float
    photo: float | None

    def to_json(self) -> dict[str, object]:
        return {"mean": self.mean, "photo": self.photo}


@dataclass(frozen=True, eq=False)
class StyleExplanation:
    """One style of a picture, over all of it.

    Attributes:
        name: the style's.
        swaps: one for each part of its code; empty without the photo.
        painted: ``(1, 3, h, w)``, the small copy with all parts, which ``swaps`` are compared with.
        plain: the same with none: the photo painted as itself.
        opinion: of the model's discriminator, where it has one.
        nearest: training paintings, where the model has an index of them.
    """

    name: str
    swaps: Sequence[Swap]
    painted: Picture | None
    plain: Picture | None
    opinion: Opinion | None
    nearest: Sequence[Neighbour]

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "parts": [swap.to_json() for swap in self.swaps],
            "opinion": self.opinion and self.opinion.to_json(),
            "nearest": [neighbour.to_json() for neighbour in self.nearest],
        }


@dataclass(frozen=True, eq=False)
class Explanation:
    """All that is known of a picture.

    Attributes:
        recipe: how it was made.
        picture: ``(1, 3, h, w)``, a copy of it.
        photo: a copy of its photo, of the same size; ``None`` where it was not given.
        change: from the photo to the picture.
        styles: of the recipe.
        left_out: sentences on what is not here, and why.
    """

    recipe: Recipe
    picture: Picture
    photo: Picture | None
    change: Change | None
    styles: Sequence[StyleExplanation]
    left_out: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.recipe.model,
            "strength": self.recipe.strength,
            "stroke": self.recipe.stroke,
            "color": self.recipe.color,
            "seed": self.recipe.seed,
            "change": self.change and self.change.to_json(),
            "styles": [style.to_json() for style in self.styles],
            "left_out": list(self.left_out),
        }


def explain(
    picture: str | os.PathLike[str],
    photo: str | os.PathLike[str] | None = None,
    stylizer: Stylizer | None = None,
    tick: Tick | None = None,
    own: bool = False,
) -> Explanation:
    """Explains a picture that Sfumato painted.

    Args:
        picture: its file, with the recipe inside.
        photo: the file that it was painted from, as it was then.
        stylizer: of the model that painted it; by default the one that ships with Sfumato.
        tick: called as ``tick(done, total)`` as the work goes on.
        own: whether styles of the user's home folder are known too, as in :meth:`Style.named`.

    Raises:
        InputError: a file cannot be read, the picture has no recipe, or the photo is not the one: its proportions
            differ, repainting it gives another picture, or the picture was finished since.
        ModelError: another model painted it, or the model is damaged.
        UsageError: the model paints one collection, and has no style codes; or the picture is no draft.
    """
    recipe = recipe_of(picture)
    if photo is not None and recipe.finish:
        raise InputError(
            f"{picture} was finished after it was painted, and is compared with its photo no more; name the painting "
            "from before, or leave --photo out"
        )
    if recipe.quality != "draft":
        raise UsageError(
            f"{picture} was painted in the quality {recipe.quality}, by matched features and not by a style code; "
            "inference.origins explains it"
        )
    stylizer = stylizer or Stylizer()
    styles = recipe.rebuild(stylizer, own=own)
    if not stylizer.card.has_codes:
        raise UsageError(
            f"the model {stylizer.card.model!r} paints one collection: it has no style codes to explain by"
        )
    parts = _parts_of(stylizer)
    index = TrainingStyles.load(stylizer.folder)
    trials = 0 if photo is None else 2 + 2 * len(parts)
    steps = _Steps(tick, 1 + len(styles) * (1 + trials))

    seen = read_photo(picture)
    original = None if photo is None else the_photo(Path(photo), Path(picture), recipe, seen)
    size = thumbnail_size(seen.height, seen.width, WORK, 4 * WORK)
    work = PixelSource(seen).reduced(*size)
    change = before = None
    if original is not None:
        check_repainted(stylizer, recipe, styles, original, seen, Path(picture), Path(photo or ""))
        before = PixelSource(original).reduced(*size)
        change = changes(work, before, _cover(original, size))
    steps.done()

    explained = []
    for style in styles:
        opinion = _opinion(stylizer, style.code, work, before)
        steps.done()
        swaps: list[Swap] = []
        painted = plain = None
        if original is not None:
            small = PixelSource(original).reduced(*thumbnail_size(seen.height, seen.width, SMALL, LONGEST_THUMBNAIL))
            trial = _Trial(stylizer, small, style, recipe)
            swaps, painted, plain = trial.swaps(parts, steps.done)
        nearest = [] if index is None else index.nearest(style.code, NEAREST)
        explained.append(StyleExplanation(style.name, swaps, painted, plain, opinion, nearest))
    return Explanation(recipe, work, before, change, explained, _left_out(stylizer, recipe, original, index))


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


def changes(picture: Picture, photo: Picture, cover: Map | None = None) -> Change:
    """Where two pictures ``(1, 3, h, w)`` of one size differ.

    Args:
        cover: ``(h, w)`` in ``[0, 1]``: how much each place counts, as opacity does; by default all alike.
    """
    height, width = picture.shape[2:]
    cell = max(2, round(min(height, width) / CELLS))
    weight = np.ones((height, width), np.float32) if cover is None or not cover.any() else cover
    both = [_padded(x[0], cell).astype(np.float64) for x in (picture, photo)]
    counts = _padded(weight, cell).astype(np.float64)

    distant = [to_lab(_cells(x, cell)) for x in both]
    colour = _spread(ciede2000(*distant), cell)[:height, :width]
    structure = np.clip(1 - structure_map(picture, photo), 0, 1)
    difference = to_lab(both[0]) - to_lab(both[1])
    broad = np.repeat(np.repeat(_cells(difference, cell), cell, 1), cell, 2)
    whole, part = ((x * x * counts).sum() for x in (difference, broad))
    shown = weight > 0
    total = float(weight.sum())

    def mean(values: npt.NDArray[Any]) -> float:
        return float((values * weight).sum() / total)

    return Change(
        colour=np.where(shown, colour, 0).astype(np.float32),
        structure=np.where(shown, structure, 0).astype(np.float32),
        colour_mean=mean(colour),
        structure_mean=mean(structure),
        colour_area=mean(colour > CLEAR_COLOUR),
        structure_area=mean(structure > CLEAR_STRUCTURE),
        colour_share=float(min(1.0, part / whole)) if whole > 1e-6 else 0.5,
    )


class _Trial:
    """A small copy of a photo, painted under one code and its neighbours."""

    def __init__(self, stylizer: Stylizer, small: Picture, style: Style, recipe: Recipe) -> None:
        self.stylizer, self.small, self.recipe = stylizer, small, recipe
        self.own = stylizer.encode(small)
        self.used = stylizer.fused(small, style.code, recipe.strength, recipe.color)

    def swaps(self, parts: Sequence[Part], done: Callable[[], None]) -> tuple[list[Swap], Picture, Picture]:
        """One for each part; with the pictures of all parts and of none. ``done`` is called after each painting."""
        painted, plain = self._paint(self.used), self._paint(self.own)
        features = self._features(painted)
        done()
        done()
        found = []
        for part in parts:
            without = self._paint(self._with(self.used, self.own, part))
            moved = content_distance(self._features(without), features)
            done()
            only = self._paint(self._with(self.own, self.used, part))
            alone = colour_distance(only, plain)
            done()
            found.append(Swap(part, colour_distance(without, painted), moved, 0.0, alone, without))
        shares = np.mean([_shares([s.colour for s in found]), _shares([s.features for s in found])], 0)
        return [replace(s, share=float(share)) for s, share in zip(found, shares, strict=True)], painted, plain

    @staticmethod
    def _with(code: StyleCode, other: StyleCode, part: Part) -> StyleCode:
        """``code`` with one part of ``other``."""
        vector = code.vector.copy()
        vector[part.place] = other.vector[part.place]
        return StyleCode(vector, code.model)

    def _paint(self, code: StyleCode) -> Picture:
        color = "luminance" if self.recipe.color == "luminance" else "style"  # the palette is in the code already,
        # And so is the strength.
        options = {**self.recipe.options, "strength": 1.0, "color": color}
        return self.stylizer(self.small, Style("trial", code), **options)

    def _features(self, picture: Picture) -> npt.NDArray[np.float32]:
        return self.stylizer.look(_wide(picture))[1]


class _Steps:
    """Counts what is done of what is to do."""

    def __init__(self, tick: Tick | None, total: int) -> None:
        self.tick, self.total, self.count = tick, total, 0

    def done(self) -> None:
        self.count += 1
        if self.tick is not None:
            self.tick(self.count, self.total)


def _parts_of(stylizer: Stylizer) -> tuple[Part, ...]:
    """The parts of a model's codes, where its card lays them out as this version does."""
    parts = code_parts(stylizer.card.code_size)
    if stylizer.card.palette != [parts[1].place.start, parts[2].place.stop]:
        raise ModelError(
            f"the model {stylizer.card.model!r} lays its style codes out in a way that this version does not know; "
            "explain its pictures with the version that exported it"
        )
    return parts


def the_photo(path: Path, picture: Path, recipe: Recipe, seen: Photo) -> Photo:
    """The photo as it was painted: shrunk where the recipe says so."""
    photo = read_photo(path)
    if recipe.max_size:
        photo = shrink(photo, recipe.max_size)
    if (photo.height, photo.width) != (seen.height, seen.width):
        would = f"{photo.width} x {photo.height}"
        raise InputError(
            f"{path} is not the photo of {picture}: it would be painted at {would} pixels, and the picture has "
            f"{seen.width} x {seen.height}; name the photo that was painted"
        )
    return photo


def check_repainted(
    stylizer: Stylizer,
    recipe: Recipe,
    styles: Sequence[Style],
    photo: Photo,
    seen: Photo,
    picture: Path,
    path: Path,
) -> None:
    """Raises InputError where painting the photo again does not give the picture.

    Masks are not in a recipe, only their hashes. Under them each pixel must lie between what the styles and the photo
    have there; without them, all is one painting, and must be met.
    """
    again = [stylizer.paint(photo, style, **recipe.options, name=str(path)) for style in styles]
    if recipe.masks:
        again.append(photo)
    else:
        again = [_as_kept(again[0], picture, recipe.file_quality)]
    size = thumbnail_size(seen.height, seen.width, WORK, 4 * WORK)
    layers = np.stack([PixelSource(layer).reduced(*size)[0] for layer in again])  # (n, 3, h, w)
    found = PixelSource(seen).reduced(*size)[0]
    outside = np.maximum(np.maximum(layers.min(0) - found, found - layers.max(0)), 0).mean(0)  # (h, w)
    cell = max(2, round(min(size) / CELLS)) * 2
    differs = outside.mean() > (SAME_UNDER_MASKS if recipe.masks else SAME_PICTURE)
    if differs or (not recipe.masks and _cells(_padded(outside, cell), cell).max() > SAME_CELL):
        raise InputError(
            f"{path} painted by the recipe of {picture} does not give that picture: it is another photo, or one of "
            "the two was edited or saved again since; name the photo that was painted, or leave --photo out"
        )


def _as_kept(painted: Photo, picture: Path, quality: int) -> Photo:
    """What a file of the picture's format gives back of a painting: JPEG and WebP lose some of it."""
    with picture.open("rb") as file:
        start = file.read(12)
    format = "jpeg" if start[:2] == b"\xff\xd8" else "webp" if start[8:] == b"WEBP" else None
    if format is None:
        return painted
    buffer = io.BytesIO()
    write_photo(painted, buffer, format, quality)
    return read_photo(buffer.getvalue())


def _cover(photo: Photo, size: tuple[int, int]) -> Map | None:
    if photo.alpha is None:
        return None
    opacity = photo.alpha.astype(np.float32) / np.float32(np.iinfo(photo.alpha.dtype).max)
    return np.clip(resample(opacity, *size, Image.Resampling.BOX), 0, 1)


def _opinion(stylizer: Stylizer, code: StyleCode, picture: Picture, photo: Picture | None) -> Opinion | None:
    if "discriminator.onnx" not in stylizer.card.files:
        return None

    def likely(x: Picture) -> Map:
        return np.asarray(1 / (1 + np.exp(-stylizer.opinion(_wide(x), code))), np.float32)

    found = likely(picture)
    return Opinion(found, float(found.mean()), None if photo is None else float(likely(photo).mean()))


def _left_out(stylizer: Stylizer, recipe: Recipe, photo: Photo | None, index: TrainingStyles | None) -> tuple[str, ...]:
    found = []
    if photo is None:
        found.append(
            "Where the picture changed, and what each part of the style did, need the photo, which no recipe holds: "
            "give it as --photo."
        )
    if recipe.masks:
        found.append(
            "The picture was painted through masks, of which the recipe has only the hashes: each style is explained "
            "as if it had all of the picture."
        )
    if "discriminator.onnx" not in stylizer.card.files:
        found.append(f"The model {recipe.model!r} was exported without its discriminator, so it has no opinion.")
    if index is None:
        found.append(f"The model {recipe.model!r} has no index of the paintings that it learnt from.")
    return tuple(found)


def _shares(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Of their sum; all 0 where that is 0."""
    array = np.asarray(values, np.float64)
    return array / array.sum() if array.sum() > 1e-9 else np.zeros_like(array)


def _wide(picture: Picture) -> Picture:
    """Strips too narrow for the networks, with their edge repeated."""
    down, across = (max(0, SMALLEST_SIDE - side) for side in picture.shape[2:])
    return np.pad(picture, ((0, 0), (0, 0), (0, down), (0, across)), mode="edge")


def _padded(planes: Map, cell: int) -> Map:
    """``(..., H, W)`` with its edge repeated until whole cells cover it."""
    ends = [(0, 0)] * (planes.ndim - 2) + [(0, -side % cell) for side in planes.shape[-2:]]
    return np.pad(planes, ends, mode="edge")


def _cells(planes: npt.NDArray[Any], cell: int) -> npt.NDArray[Any]:
    """Means over squares, ``(..., H/cell, W/cell)``."""
    *first, height, width = planes.shape
    squares: npt.NDArray[Any] = planes.reshape(*first, height // cell, cell, width // cell, cell).mean((-3, -1))
    return squares


def _spread(coarse: npt.NDArray[Any], cell: int) -> Map:
    """A map of cells at its full size, smooth."""
    height, width = coarse.shape
    full = resample(coarse.astype(np.float32), height * cell, width * cell, Image.Resampling.BILINEAR)
    return np.maximum(full, 0)
