"""The pipeline from a photo to a finished picture: shrink, choose options, paint, check quality gates, finish.

`sfumato stylize`, `sfumato replay` and services paint through :class:`Pipeline`. It prints nothing, holds no state
between pictures and may be called from several threads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Self, TypeAlias

import numpy as np
from PIL import Image

from sfumato.checks import check_whole
from sfumato.errors import UsageError
from sfumato.image import ImageSource, Photo, as_photo, photo_digest, shrink, to_8_bits, write_photo
from sfumato.inference.gate import QualityGate, SelectionOptions, paint_selected
from sfumato.inference.masks import Mask, MaskSource, as_mask, check_masks, mask_digest, shrink_mask
from sfumato.inference.options import PaintOptions, as_options
from sfumato.inference.progress import Progress, check_progress, portion
from sfumato.inference.recipe import Recipe, style_to_json
from sfumato.inference.retouch import Finish, finishes
from sfumato.inference.seamless import make_seamless
from sfumato.inference.style import PersonalStyle, Style, as_styles, load_style_or_person
from sfumato.inference.stylizer import Stylizer, check_tile_masks
from sfumato.public import public
from sfumato.text import counted

StyleSource: TypeAlias = Style | PersonalStyle | str
_PAINTED = 0.8  # share of the progress that painting takes where finishing follows


@public
@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A finished picture and its recipe.

    Attributes:
        picture: with the photo's bit depth, alpha and metadata; the metadata hold the recipe.
        recipe: the options that make the picture again, including those that Sfumato chose.
    """

    picture: Photo
    recipe: Recipe

    def __repr__(self) -> str:
        styles = ", ".join(str(style["name"]) for style in self.recipe.styles) or self.recipe.model
        return f"<Result: {self.picture.width} x {self.picture.height} pixels, {styles}>"

    @property
    def report(self) -> Mapping[str, Any]:
        """The choices that Sfumato made and its measurements; empty where nothing was left to Sfumato.

        Keys: ``asked``, the selection options; ``why``, a sentence; ``trials``, the trials of strength and stroke;
        ``candidates``, the paintings among which the best was taken; ``measured``, the defects of the picture by
        detector.
        """
        return self.recipe.guidance or {}

    @property
    def image(self) -> Image.Image:
        """The picture in 8 bits: RGB, or RGBA where it has alpha."""
        levels, alpha = to_8_bits(self.picture.pixels), self.picture.alpha
        return Image.fromarray(levels if alpha is None else np.dstack([levels, to_8_bits(alpha)]))

    def save(self, path: str | os.PathLike[str] | BinaryIO, format: str | None = None, overwrite: bool = True) -> None:
        """Write the picture with its recipe, with the recipe's ``file_quality``; the file appears whole or not at all.

        Args:
            path: of the file, or an open binary file, which needs a ``format``.
            format: as :func:`sfumato.write_photo` takes it.
            overwrite: whether an existing file is replaced.

        Raises:
            OutputError: the file cannot be written, or exists and must not be replaced.
        """
        write_photo(self.picture, path, format, self.recipe.file_quality, overwrite)


@public
class Pipeline:
    """Paints photos with fixed styles and options.

    ::

        pipeline = Pipeline("monet", PaintOptions(strength=0.8), best_of=3)
        result = pipeline("photo.jpg")
        result.save("painted.png")

    Args:
        style: a style, its name, or a personal style, whose most suitable centre is chosen for each photo; with
            ``masks``, one or several. A model of the kind collection has a style of its own and takes none.
        options: how the photo is painted.
        masks: the region of each style, as `Stylizer` takes them. Masks of the photo's size are shrunk with the photo.
        max_size: pixels to which the longer side of a larger photo is shrunk before painting; 0: never.
        auto: choose strength and stroke for each photo (`guide.choose`).
        keep: with ``auto``: minimum share, from 0 to 1, of the content that would be lost at full strength.
        best_of: number of paintings, with consecutive seeds from that of the options, of which the best is returned.
        gates: bounds that the picture must satisfy, as in ``"artefacts<2"``; weaker paintings are tried before it
            fails.
        finish: finishing steps after painting, in order.
        file_quality: of JPEG and WebP, from 1 to 100.
        stylizer: of the model to paint with; by default the one that ships with Sfumato.
        own: whether names of styles are looked up in the user's home folder too, as the command line does.

    Attributes:
        recipe: the recipe that all pictures have in common.

    Raises:
        UsageError: an option is outside its range, or the arguments do not fit each other.
        InputError: a mask cannot be read or used.
        ModelError: a style belongs to another model.
    """

    def __init__(
        self,
        style: StyleSource | Sequence[StyleSource] | None = None,
        options: PaintOptions | None = None,
        *,
        masks: Sequence[MaskSource] = (),
        max_size: int = 0,
        auto: bool = False,
        keep: float | None = None,
        best_of: int = 1,
        gates: Sequence[str] = (),
        finish: Sequence[Finish] = (),
        file_quality: int = 92,
        stylizer: Stylizer | None = None,
        own: bool = False,
    ) -> None:
        if check_whole(max_size, 0, 1_000_000, "max_size"):
            check_whole(max_size, 16, 1_000_000, "max_size")
        check_whole(file_quality, 1, 100, "file_quality")
        self.stylizer = stylizer or Stylizer()
        selection = SelectionOptions(auto, keep, best_of, tuple(map(QualityGate.parse, gates)))
        selection.check(self.stylizer)
        self.selection = selection or None
        given = [load_style_or_person(each, own) if isinstance(each, str) else each for each in as_styles(style)]
        # Index of each personal style in `styles`: its centre is chosen for each photo.
        self._personal = {i: one for i, one in enumerate(given) if isinstance(one, PersonalStyle)}
        self._styles = [one.style if isinstance(one, PersonalStyle) else one for one in given]
        check_masks(masks)
        options = as_options(options)
        self.stylizer.check_own_style(len(given), options.color, len(masks))
        check_tile_masks(options, masks)
        self._masks = [as_mask(mask) for mask in masks]
        self.recipe = Recipe.of(
            self.stylizer,
            self._styles,
            options,
            max_size=max_size,
            masks=[mask_digest(mask) for mask in self._masks],
            file_quality=file_quality,
            finish=[each.to_json() for each in finish],
        )

    @classmethod
    def of_recipe(
        cls,
        recipe: Recipe,
        *,
        masks: Sequence[MaskSource] = (),
        known: Sequence[Style] = (),
        stylizer: Stylizer | None = None,
        own: bool = False,
    ) -> Self:
        """Return the pipeline that paints other photos in the way a picture was painted.

        Args:
            recipe: of that picture.
            masks: as many as it was painted with, the same or others.
            known: styles whose pictures it was painted with, where no built-in or personal style has them.
            stylizer: of the model that painted it; by default the one that ships with Sfumato.
            own: as in the constructor.

        Raises:
            UsageError: the number of masks differs, or a style's picture is missing.
            ModelError: another model painted it.
        """
        if len(masks) != len(recipe.masks):
            raise UsageError(
                f"the picture was made with {counted(len(recipe.masks), 'mask')}, and {len(masks)} "
                f"{'was' if len(masks) == 1 else 'were'} given; give as many"
            )
        self = cls.__new__(cls)
        self.stylizer, self.selection, self._personal = stylizer or Stylizer(), None, {}
        self._styles = recipe.rebuild(self.stylizer, known, own)
        self._masks = [as_mask(mask) for mask in masks]
        self.recipe = replace(recipe, masks=[mask_digest(mask) for mask in self._masks])
        return self

    def __call__(
        self,
        photo: ImageSource,
        *,
        progress: Progress | None = None,
        name: str | None = None,
        photo_sha256: str | None = None,
    ) -> Result:
        """Paint and finish a photo.

        Args:
            photo: a `Photo`, a path, the bytes of a file, an open file, a ``PIL.Image``, an array or a tensor.
            progress: as `Stylizer` takes it; an exception that it raises cancels.
            name: the photo's name in error messages; by default its path.
            photo_sha256: of the photo's file, for the recipe; by default that of the path.

        Raises:
            InputError: the photo or a mask cannot be read or used.
            ModelError: a graph is damaged.
            QualityError: no painting passed the gates.
            UsageError: the numbers of styles and masks do not match.
        """
        check_progress(progress)
        if photo_sha256 is None:
            photo_sha256 = photo_digest(photo)
        name = name or (str(photo) if isinstance(photo, str | os.PathLike) else "the photo")
        whole = as_photo(photo)
        small = shrink(whole, self.recipe.max_size) if self.recipe.max_size else whole
        if self.recipe.tile:
            small = make_seamless(small)  # here too, so that the gates compare with the photo that is painted
        masks = [shrink_mask(mask, (whole.height, whole.width), small) for mask in self._masks]
        styles, recipe = list(self._styles), replace(self.recipe, photo_sha256=photo_sha256)
        for place, personal in self._personal.items():
            styles[place] = personal.style_for(self.stylizer, small)
        if self._personal:
            recipe = recipe.with_styles(styles)
        painting = portion(progress, 0, _PAINTED) if recipe.finish else progress
        painted, recipe = self._paint(small, styles, masks, recipe, painting, name)
        metadata = replace(painted.metadata, recipe=replace(recipe, finish=()).to_json())
        painted = replace(painted, metadata=metadata)
        steps = recipe.finishes
        for number, finish in enumerate(steps):
            share = (1 - _PAINTED) / len(steps)
            begin = _PAINTED + number * share
            painted = finish(painted, progress=portion(progress, begin, begin + share))
        if recipe.finish:
            done = finishes(painted.metadata.recipe or {}, name)
            recipe = replace(recipe, finish=[each.to_json() for each in done])
        if progress is not None:
            progress(1.0, "done")
        return Result(painted, recipe)

    def _paint(
        self,
        photo: Photo,
        styles: Sequence[Style],
        masks: Sequence[Mask],
        recipe: Recipe,
        progress: Progress | None,
        name: str,
    ) -> tuple[Photo, Recipe]:
        """Paint the shrunk photo; with selection options, paint candidates and return the best and its recipe."""

        def paint(recipe: Recipe, progress: Progress | None) -> Photo:
            return self.stylizer.paint(photo, styles, recipe.options, masks=masks, progress=progress, name=name)

        if self.selection is None:
            return paint(recipe, progress), recipe
        return paint_selected(self.stylizer, photo, styles, recipe, self.selection, paint, name, progress)

    def would_make(self, found: Mapping[str, Any], photo_sha256: str) -> bool:
        """Return whether painting a photo with this pipeline would give the picture that holds a recipe.

        Values that Sfumato chose differ from photo to photo and are ignored; the selection options must be equal.

        Args:
            found: the recipe in the picture, as JSON.
            photo_sha256: of the photo's file.
        """
        found, mine = dict(found), replace(self.recipe, photo_sha256=photo_sha256).to_json()
        theirs = found.get("styles")
        if self._personal and isinstance(theirs, list) and len(theirs) == len(mine["styles"]):
            for place, personal in self._personal.items():
                if theirs[place] in [style_to_json(style) for style in personal.styles]:
                    mine["styles"][place] = theirs[place]
        if self.selection is None:
            return found == mine
        guidance = found.get("guidance")
        asked = guidance.get("asked") if isinstance(guidance, dict) else None
        for recipe in (found, mine):
            for free in ("strength", "stroke", "seed", "guidance"):
                recipe.pop(free, None)
        return asked == self.selection.asked(self.recipe) and found == mine
