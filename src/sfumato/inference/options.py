"""The options of a painting, checked in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from sfumato.checks import check_range, check_whole
from sfumato.errors import UsageError
from sfumato.public import public

Color: TypeAlias = Literal["style", "content", "luminance"]
#: ``"draft"``: one pass of the small generator. ``"standard"``: features matched with those of the style's pictures.
#: ``"best"``: the same, refined by gradient descent.
Quality: TypeAlias = Literal["draft", "standard", "best"]

#: Largest seed: a recipe stores the seed in JSON, whose readers represent integers exactly only up to here.
MAX_SEED = 2**53


@public
@dataclass(frozen=True)
class PaintOptions:
    """Everything that decides how a photo is painted, apart from the photo, the styles and the masks.

    Attributes:
        strength: from 0, the photo (a draft reconstructs it with the network), to 1, the full style.
        stroke: size of the brush strokes, from 0.5 to 2.
        color: ``"style"`` takes the style's palette; ``"content"`` paints with the photo's palette; ``"luminance"``
            keeps the chroma of every pixel and takes only the luma of the painting.
        quality: ``"draft"``, ``"standard"`` or ``"best"``; ``None``: see :meth:`Stylizer.choose_quality`.
        seed: of the random placement of the brush strokes, from 0 to `MAX_SEED`.
        tile: whether the painting repeats in both directions without a seam, as a texture. A photo that does not repeat
            is changed so that it does (`seamless.make_seamless`).

    Raises:
        UsageError: a value is outside its range.
    """

    strength: float = 1.0
    stroke: float = 1.0
    color: Color = "style"
    quality: Quality | None = None
    seed: int = 0
    tile: bool = False

    def __post_init__(self) -> None:
        check_range(self.strength, 0.0, 1.0, "strength")
        check_range(self.stroke, 0.5, 2.0, "stroke")
        if self.color not in get_args(Color):
            raise UsageError(f"color must be one of {', '.join(get_args(Color))}, but is {self.color!r}")
        if self.quality is not None and self.quality not in get_args(Quality):
            raise UsageError(f"quality must be one of {', '.join(get_args(Quality))}, but is {self.quality!r}")
        if hasattr(self.seed, "__index__") and not isinstance(self.seed, bool):  # also a NumPy integer
            object.__setattr__(self, "seed", int(self.seed))
        check_whole(self.seed, 0, MAX_SEED, "seed")
        if type(self.tile) is not bool:
            raise UsageError(f"tile must be true or false, but is {self.tile!r:.80}")


def as_options(options: PaintOptions | None) -> PaintOptions:
    """Return the options, or the default options for ``None``.

    Raises:
        UsageError: the argument is neither.
    """
    if options is None:
        return PaintOptions()
    if not isinstance(options, PaintOptions):
        raise UsageError(f"options must be PaintOptions, as in PaintOptions(strength=0.5), but is {options!r:.80}")
    return options
