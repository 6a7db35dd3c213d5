"""Data augmentation by style: random styles and strengths, and a transform for training sets.

Nothing here imports torch. A transform is any callable for `torch.utils.data.Dataset`, and is pickled to the worker
processes of a `DataLoader`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
from PIL import Image

from sfumato.checks import check_range, check_whole
from sfumato.errors import UsageError
from sfumato.image import to_pil
from sfumato.inference.options import MAX_SEED, PaintOptions, Quality
from sfumato.inference.style import Style, load_style
from sfumato.inference.stylizer import Stylizer
from sfumato.public import public

Sample = TypeVar("Sample", Image.Image, np.ndarray[Any, np.dtype[np.uint8]])
_MODES = ("RGB", "L")
#: Strengths lie on a grid of this step, so that few different recipes serve many pictures.
STEP = 0.05


def check_strengths(strengths: tuple[float, float]) -> tuple[float, float]:
    """Return the least and the largest strength.

    Raises:
        UsageError: one is outside [0, 1], or they are in the wrong order.
    """
    try:
        low, high = (float(each) for each in strengths)
    except (TypeError, ValueError):
        raise UsageError(f"the strength must be two numbers, as in (0.5, 1), but is {strengths!r:.80}") from None
    check_range(low, 0.0, 1.0, "the least strength")
    check_range(high, 0.0, 1.0, "the largest strength")
    if low > high:
        raise UsageError(f"the least strength, {low:g}, is above the largest, {high:g}; exchange them")
    return low, high


def strength_count(strengths: tuple[float, float]) -> int:
    """Return the number of strengths that `draw` chooses from."""
    low, high = strengths
    return round((high - low) / STEP) + 1 if high > low else 1


def draw(rng: np.random.Generator, styles: int, strengths: tuple[float, float]) -> tuple[int, float]:
    """Draw the index of one of the styles, and a strength from the range, on the grid of `STEP`."""
    low, high = strengths
    index = int(rng.integers(styles))
    steps = int(rng.integers(strength_count(strengths))) if high > low else 0
    return index, min(high, low + STEP * steps)


@public
class StyleAugment:
    """Paints some of the pictures of a training set, each in a random style; a transform for a torch ``Dataset``.

    ::

        augment = StyleAugment(["monet", Style.from_image("target/001.jpg")], p=0.3)
        data = ImageFolder("photos/", transform=Compose([augment, ColorJitter(0.5, 0.5, 0.5), ToTensor()]))

    The size stays, so labels, boxes and masks stay valid. Use it first, before crops and jitter, with pictures that are
    reduced to about the side that the network sees: painting takes time by the pixel.

    Choices follow from ``seed``, from torch's seed of the process where torch is loaded, and from the number of calls
    in this process. So the workers of a ``DataLoader`` and its epochs differ, and ``torch.manual_seed`` repeats them.

    Args:
        styles: styles, or names or files of styles.
        p: share of the pictures that are painted, from 0 to 1.
        strength: least and largest strength, from 0 to 1.
        quality: ``"draft"``, or ``"standard"``, which takes about ten times as long and is nearer to the styles.
        seed: from 0 to 2**53.

    Raises:
        UsageError: an argument is outside its range, or there is no such style.
    """

    def __init__(
        self,
        styles: Sequence[Style | str],
        p: float = 0.3,
        strength: tuple[float, float] = (0.5, 1.0),
        quality: Quality = "draft",
        seed: int = 0,
    ) -> None:
        if isinstance(styles, str | Style) or not len(styles):
            raise UsageError("StyleAugment takes a list of one style or more, as in ['monet', 'klimt']")
        check_range(p, 0.0, 1.0, "p")
        check_whole(seed, 0, MAX_SEED, "seed")
        self.styles = [style if isinstance(style, Style) else load_style(style) for style in styles]
        self.p, self.seed = float(p), int(seed)
        self.strength = check_strengths(strength)
        self.quality = PaintOptions(quality=quality).quality
        if self.quality == "draft":  # which reads the codes alone; pictures would go to every worker
            self.styles = [replace(style, pictures=()) for style in self.styles]
        self._calls = 0
        self._stylizer: tuple[int, Stylizer] | None = None

    def __call__(self, picture: Sample) -> Sample:
        """Return the picture, or a painting of it.

        Args:
            picture: a ``PIL.Image`` of the mode RGB or L, or an array ``(H, W, 3)`` uint8.

        Returns:
            The same type, mode and size.

        Raises:
            UsageError: it is something else.
            InputError: it is too small to be painted.
        """
        if isinstance(picture, Image.Image) and picture.mode not in _MODES:
            raise UsageError(f"the picture has the mode {picture.mode}; convert it first, with picture.convert('RGB')")
        if not isinstance(picture, Image.Image) and not _is_levels(picture):
            raise UsageError(
                f"StyleAugment takes a PIL.Image or an array (H, W, 3) uint8, but got {_described(picture)}; use it "
                "before the step that makes tensors"
            )
        rng = np.random.default_rng([self.seed, _process_seed(), self._calls])
        self._calls += 1
        if rng.random() >= self.p:
            return picture
        index, strength = draw(rng, len(self.styles), self.strength)
        painted = self._of_this_process()(
            picture.convert("RGB") if isinstance(picture, Image.Image) else Image.fromarray(picture),
            self.styles[index],
            strength,
            quality=self.quality,
        )
        made = to_pil(painted)
        if isinstance(picture, Image.Image):
            return made.convert(picture.mode)
        return cast("Sample", np.array(made))

    def __repr__(self) -> str:
        return f"StyleAugment({len(self.styles)} styles, p={self.p:g}, strength={self.strength}, {self.quality})"

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_stylizer": None}

    def _of_this_process(self) -> Stylizer:
        """Return the networks of this process: those of a parent do not survive a fork."""
        if self._stylizer is None or self._stylizer[0] != os.getpid():
            self._stylizer = os.getpid(), Stylizer(threads=1)
        return self._stylizer[1]


def _is_levels(picture: Any) -> bool:
    return isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.shape[2:] == (3,)


def _described(picture: Any) -> str:
    if isinstance(picture, np.ndarray):
        return f"an array {picture.shape} {picture.dtype}"
    return f"{type(picture).__name__}"


def _process_seed() -> int:
    """Return torch's seed of this process, which each epoch gives anew to the workers of a loader; 0 without torch."""
    torch = sys.modules.get("torch")
    return 0 if torch is None else int(torch.initial_seed()) % 2**64
