"""Explanation of a draft: where it left its photo, and what each part of the style contributed.

It also gives the discriminator's map, and the training paintings that the style is nearest to.

The picture holds its recipe with the style codes, but not the photo; what needs the photo is omitted without it.
Everything is measured on copies of at most ``WORK`` or ``SMALL`` pixels on the shorter side, so that a large picture
costs little more than painting it once, which checks that the photo is the right one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.errors import InputError, ModelError, UsageError
from sfumato.image import Photo, Picture, read_photo, resample, thumbnail_size
from sfumato.inference.changes import Map, changes
from sfumato.inference.explanation import DiscriminatorMap, Explanation, StyleExplanation, Swap
from sfumato.inference.inputs import SMALLEST_SIDE
from sfumato.inference.nearest import TrainingStyles
from sfumato.inference.options import Color
from sfumato.inference.painting_model import LONGEST_THUMBNAIL
from sfumato.inference.pixel_readers import PhotoReader
from sfumato.inference.recipe import Recipe
from sfumato.inference.repaint import WORK, check_repainted, read_painted_photo, recipe_of
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer
from sfumato.quality.similarity import colour_distance, content_distance
from sfumato.style_code import Part, StyleCode, code_parts

Tick = Callable[[int, int], None]

SMALL = 256  # pixels on the shorter side, at most, of the copies on which parts of a style are swapped
NEAREST = 5  # number of training paintings in an explanation


def explain(
    picture: str | os.PathLike[str],
    photo: str | os.PathLike[str] | None = None,
    stylizer: Stylizer | None = None,
    tick: Tick | None = None,
    own: bool = False,
) -> Explanation:
    """Explain a picture that Sfumato painted as a draft.

    Args:
        picture: its file, which holds the recipe.
        photo: the file that it was painted from, unchanged since.
        stylizer: of the model that painted it; by default the one that ships with Sfumato.
        tick: called as ``tick(done, total)`` as the work goes on.
        own: whether styles in the user's home folder may be used, as in :meth:`Style.named`.

    Raises:
        InputError: a file cannot be read, the picture holds no recipe or was finished after painting, or the photo is
            another one: its proportions differ, or repainting it gives another picture.
        ModelError: another model painted the picture, or the model is damaged.
        UsageError: the model is of the kind collection and has no style codes, or the picture is not a draft.
    """
    recipe = recipe_of(picture)
    if photo is not None and recipe.finish:
        raise InputError(
            f"{picture} was finished after it was painted, so it cannot be compared with its photo; name the picture "
            "before finishing, or leave --photo out"
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

    picture_read = read_photo(picture)
    original = None if photo is None else read_painted_photo(Path(photo), Path(picture), recipe, picture_read)
    size = thumbnail_size(picture_read.height, picture_read.width, WORK, 4 * WORK)
    work = PhotoReader(picture_read).reduced(*size)
    change = before = None
    if original is not None:
        check_repainted(stylizer, recipe, styles, original, picture_read, Path(picture), Path(photo or ""))
        before = PhotoReader(original).reduced(*size)
        change = changes(work, before, _cover(original, size))
    steps.done()

    explained = []
    for style in styles:
        discriminator = _discriminator_map(stylizer, style.code, work, before)
        steps.done()
        swaps: list[Swap] = []
        painted = plain = None
        if original is not None:
            small = PhotoReader(original).reduced(
                *thumbnail_size(picture_read.height, picture_read.width, SMALL, LONGEST_THUMBNAIL)
            )
            part_swaps = _PartSwaps(stylizer, small, style, recipe)
            swaps, painted, plain = part_swaps.swaps(parts, steps.done)
        nearest = [] if index is None else index.nearest(style.code, NEAREST)
        explained.append(StyleExplanation(style.name, swaps, painted, plain, discriminator, nearest))
    return Explanation(recipe, work, before, change, explained, _left_out(stylizer, recipe, original, index))


class _PartSwaps:
    """Paints a small copy of a photo with codes in which parts of the style and of the photo are swapped."""

    def __init__(self, stylizer: Stylizer, small: Picture, style: Style, recipe: Recipe) -> None:
        self.stylizer, self.small, self.recipe = stylizer, small, recipe
        self.own = stylizer.encode(small)
        self.used = stylizer.fuse(small, style.code, recipe.strength, recipe.color)

    def swaps(self, parts: Sequence[Part], done: Callable[[], None]) -> tuple[list[Swap], Picture, Picture]:
        """Return one swap for each part, and the pictures with all parts and with none.

        ``done`` is called after each painting.
        """
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
        """Return ``code`` with one part taken from ``other``."""
        vector = code.vector.copy()
        vector[part.place] = other.vector[part.place]
        return StyleCode(vector, code.model)

    def _paint(self, code: StyleCode) -> Picture:
        """Paint the small copy with a code."""
        # The code already contains the palette and the strength.
        options = self.recipe.options
        color: Color = "luminance" if options.color == "luminance" else "style"
        return self.stylizer(
            self.small, Style("trial", code), stroke=options.stroke, color=color, seed=options.seed, quality="draft"
        )

    def _features(self, picture: Picture) -> npt.NDArray[np.float32]:
        """Return the style encoder's features of a picture."""
        return self.stylizer.encode_full(_pad_narrow(picture))[1]


class _Steps:
    """Counts finished steps and reports them."""

    def __init__(self, tick: Tick | None, total: int) -> None:
        self.tick, self.total, self.count = tick, total, 0

    def done(self) -> None:
        """Report one more finished step."""
        self.count += 1
        if self.tick is not None:
            self.tick(self.count, self.total)


def _parts_of(stylizer: Stylizer) -> tuple[Part, ...]:
    """Return the parts of a model's style codes; raise ModelError where their layout is unknown to this version."""
    parts = code_parts(stylizer.card.code_size)
    if stylizer.card.palette != [parts[1].place.start, parts[2].place.stop]:
        raise ModelError(
            f"the style codes of the model {stylizer.card.model!r} have a layout that this version does not know; "
            "explain its pictures with the version that exported it"
        )
    return parts


def _cover(photo: Photo, size: tuple[int, int]) -> Map | None:
    """Return the photo's opacity at that size, in [0, 1]; ``None`` where it is opaque."""
    if photo.alpha is None:
        return None
    opacity = photo.alpha.astype(np.float32) / np.float32(np.iinfo(photo.alpha.dtype).max)
    return np.clip(resample(opacity, *size, Image.Resampling.BOX), 0, 1)


def _discriminator_map(
    stylizer: Stylizer, code: StyleCode, picture: Picture, photo: Picture | None
) -> DiscriminatorMap | None:
    """Return the discriminator's map of a picture, and its mean on the photo; ``None`` without a discriminator."""
    if "discriminator.onnx" not in stylizer.card.files:
        return None

    def likely(x: Picture) -> Map:
        return np.asarray(1 / (1 + np.exp(-stylizer.discriminator_logits(_pad_narrow(x), code))), np.float32)

    found = likely(picture)
    return DiscriminatorMap(found, float(found.mean()), None if photo is None else float(likely(photo).mean()))


def _left_out(stylizer: Stylizer, recipe: Recipe, photo: Photo | None, index: TrainingStyles | None) -> tuple[str, ...]:
    """Return a sentence for each thing that the explanation omits, with the reason."""
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
        found.append(f"The model {recipe.model!r} was exported without its discriminator, so there is no map of it.")
    if index is None:
        found.append(f"The model {recipe.model!r} has no index of its training paintings.")
    return tuple(found)


def _shares(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the values divided by their sum; all 0 where the sum is 0."""
    array = np.asarray(values, np.float64)
    return array / array.sum() if array.sum() > 1e-9 else np.zeros_like(array)


def _pad_narrow(picture: Picture) -> Picture:
    """Pad a picture that is too narrow for the networks, by repeating its edge."""
    down, across = (max(0, SMALLEST_SIDE - side) for side in picture.shape[2:])
    return np.pad(picture, ((0, 0), (0, 0), (0, down), (0, across)), mode="edge")
