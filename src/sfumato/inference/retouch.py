"""Finishing of a picture: colours, sharpness, twice the size; what `sfumato finish` does, as a :class:`Finish`.

Colours are adjusted in linear light and in Oklab (`inference.oklab`). Tone curves keep black and white and are smooth,
so that nothing is clipped; a colour that would leave sRGB loses chroma and keeps lightness and hue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sfumato import __version__
from sfumato.checks import check_range
from sfumato.errors import InputError, ModelError, UsageError, first_line
from sfumato.image import Photo, Picture, luma, to_levels
from sfumato.inference.oklab import (
    LUMINANCE,
    chroma_headroom,
    clip_chroma,
    from_linear,
    linear_to_oklab,
    oklab_to_srgb,
    to_linear,
)
from sfumato.inference.pixel_readers import PhotoReader, PixelReader
from sfumato.inference.progress import Progress, Work
from sfumato.inference.tiling import tiles
from sfumato.inference.upscale import SCALE, upscale, upscaler_digest
from sfumato.metadata import Metadata, recipe_json
from sfumato.public import public

_Array = npt.NDArray[np.float32]

#: Kind of the recipe of a picture that was finished but not painted.
UNPAINTED = "photo"
#: Largest number of finishing steps in a recipe: a replay runs them all.
MAX_FINISHES = 32
#: Exposure in stops that a brightness of 1 adds to the darkest tones.
STOPS = 2.0
#: Stops that a warmth of 1 removes from blue; half as many are removed from green.
WARM_STOPS = 0.5
#: Largest overshoot of sharpening beyond the lightest and darkest luma around a pixel, of a range of 1.
HALO = 0.02
_BAND_ROWS = 128  # rows that are adjusted at a time
_UPSCALING = 20  # for progress: cost of enlarging a pixel, relative to adjusting or sharpening it


@public
@dataclass(frozen=True)
class Finish:
    """One finishing step of a picture: first its size, then colours, then sharpness.

    An option of 0 (for ``upscale``, 1) changes nothing.

    Attributes:
        brightness: -1 to 1: `STOPS` less or more exposure in the shadows, decreasing towards white, which stays.
        contrast: -1 to 1: at 1 the slope of the middle tones is 1.5 in a smooth S-curve; at -1 it is 0.5.
        saturation: -1, grey, to 1, which doubles the chroma of greyish colours and spares vivid ones.
        warmth: -1, the light of a clear sky, to 1, that of an incandescent lamp.
        sharpen: 0 to 2: how much of the detail is added.
        radius: 0.3 to 5 pixels: sigma of the Gaussian blur whose difference from the picture is the detail.
        threshold: 0 to 0.2 of the range: weaker detail is noise, and is not sharpened.
        upscale: 1, or 2 for twice the size by the network that ships with Sfumato.
        upscaler: SHA-256 of that network, in the recipe of a finished picture; "" takes the installed one.
        version: version of Sfumato.
        picture: SHA-256 of the file that was finished, in the recipe of a finished picture; "" where there was no file.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    warmth: float = 0.0
    sharpen: float = 0.0
    radius: float = 1.0
    threshold: float = 0.01
    upscale: int = 1
    upscaler: str = ""
    version: str = __version__
    picture: str = ""

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation", "warmth"):
            check_range(getattr(self, name), -1.0, 1.0, name)
        check_range(self.sharpen, 0.0, 2.0, "sharpen")
        check_range(self.radius, 0.3, 5.0, "radius")
        check_range(self.threshold, 0.0, 0.2, "threshold")
        if type(self.upscale) is not int or self.upscale not in (1, SCALE):
            raise UsageError(f"upscale must be 1 or {SCALE}, but is {self.upscale!r}; finish twice for four times")

    @property
    def changes_colour(self) -> bool:
        """Whether a colour option is set."""
        return any((self.brightness, self.contrast, self.saturation, self.warmth))

    @property
    def is_nothing(self) -> bool:
        """Whether the step changes no picture."""
        return not self.changes_colour and not self.sharpen and self.upscale == 1

    def __call__(self, photo: Photo, threads: int | None = None, progress: Progress | None = None) -> Photo:
        """Return the finished photo, with its bit depth, alpha and metadata; the step is added to its recipe.

        Transparent pixels do not affect others in enlarging and sharpening.

        Args:
            photo: to finish.
            threads: CPU threads; ``None`` lets ONNX Runtime take one per core.
            progress: is called with the completed share and the next step; an exception that it raises cancels.

        Raises:
            InputError: enlarged, it would exceed the largest size of a picture that Sfumato reads.
            ModelError: the network is damaged, or not the one named by ``upscaler``.
        """
        recipe = self.added_to(photo.metadata.recipe)
        [work] = Work.of(1, progress)
        size, steps = photo.height * photo.width, self.changes_colour + bool(self.sharpen)
        work.plan(_UPSCALING * size * (self.upscale != 1) + size * self.upscale**2 * steps)
        if self.upscale != 1:
            if self.upscaler not in ("", upscaler_digest()):
                raise ModelError(
                    f"the picture was enlarged by another network ({self.upscaler[:12]}) than that of this version "
                    f"({upscaler_digest()[:12]}); install Sfumato {self.version}"
                )
            photo = upscale(photo, threads, did=_report_to(work, "enlarging", _UPSCALING))
        if self.changes_colour:
            photo = adjust(
                photo, self.brightness, self.contrast, self.saturation, self.warmth, did=_report_to(work, "colours")
            )
        if self.sharpen:
            photo = sharpen(photo, self.sharpen, self.radius, self.threshold, did=_report_to(work, "sharpening"))
        return replace(photo, metadata=replace(photo.metadata, recipe=recipe))

    def added_to(self, recipe: Mapping[str, object] | None) -> dict[str, object]:
        """Return a picture's recipe with this step appended; ``None`` stands for a picture without a recipe."""
        recipe = recipe or {"kind": UNPAINTED}
        before = recipe.get("finish")
        done = replace(self, upscaler=upscaler_digest() if self.upscale != 1 else "")
        return {**recipe, "finish": [*(before if isinstance(before, list) else []), done.to_json()]}

    def what_is_carried(self, metadata: Metadata) -> tuple[dict[str, object] | None, str | None]:
        """Return the recipe that this step can be added to, or ``None``, and the reason why the recipe is left behind.

        A file may come from an untrusted source; an unknown recipe in it is no reason to refuse its pixels.
        """
        recipe = metadata.recipe
        if recipe is None:
            return None, metadata.lost_recipe
        try:
            if len(finishes(recipe, "it")) == MAX_FINISHES:
                raise UsageError(f"it was finished {MAX_FINISHES} times, and a recipe can hold no more")
            recipe_json(self.added_to(recipe))
        except (InputError, UsageError) as problem:
            return None, str(problem)
        return recipe, None

    def to_json(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, and the version."""
        plain = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if name == "version" or value != plain[name]}

    @classmethod
    def from_json(cls, found: object, where: str) -> Self:
        """Return the finishing step that a file holds; ``where`` names the file in error messages.

        Raises:
            InputError: it is damaged, or of another version.
        """
        try:
            if not isinstance(found, Mapping) or not all(isinstance(found.get(n, ""), str) for n in _TEXTS):
                raise ValueError("its finishing has another type")
            if not all(found.get(name, "").isprintable() for name in _TEXTS):  # they are shown on terminals
                raise ValueError("its finishing contains unprintable characters")
            return cls(**found)
        except (TypeError, ValueError, OverflowError, UsageError) as problem:
            raise InputError(
                f"the recipe inside {where} is damaged, or of another version ({first_line(problem)})"
            ) from problem

    @property
    def words(self) -> str:
        """The step in words, as `sfumato show` prints it."""
        names = ("upscale", "brightness", "contrast", "saturation", "warmth", "sharpen", "radius", "threshold")
        values = {name: value for name, value in self.to_json().items() if name in names}
        return ", ".join(f"{name} {values[name]:g}" for name in names if name in values)


_TEXTS = ("upscaler", "version", "picture")


def _report_to(work: Work, doing: str, amount: float = 1.0) -> Callable[[int], object]:
    """Begin a step of ``work``, and return the function that reports finished pixels, each worth ``amount``."""
    work.begin(doing)

    def did(pixels: int) -> None:
        work.did(amount * pixels)
        work.begin(doing)

    return did


def finishes(recipe: Mapping[str, Any], where: str) -> list[Finish]:
    """Return the finishing steps in a picture's recipe, in order; ``where`` names the file in error messages.

    Raises:
        InputError: they are damaged.
    """
    found = recipe.get("finish", [])
    if not isinstance(found, list):
        raise InputError(f"the recipe inside {where} is damaged: its finishing is not a list")
    if len(found) > MAX_FINISHES:
        raise InputError(
            f"the recipe inside {where} has {len(found)} finishing steps, but at most {MAX_FINISHES} are allowed"
        )
    return [Finish.from_json(each, where) for each in found]


def adjust(
    photo: Photo,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    warmth: float = 0.0,
    did: Callable[[int], object] | None = None,
) -> Photo:
    """Adjust colours pixel by pixel, with the options of :class:`Finish`, in bounded memory.

    ``did`` is called with the number of pixels after each band of rows.
    """
    pixels = np.empty_like(photo.pixels)
    for top in range(0, photo.height, _BAND_ROWS):
        rows = slice(top, min(top + _BAND_ROWS, photo.height))
        adjusted = adjust_array(photo.picture(rows), brightness, contrast, saturation, warmth)
        pixels[rows] = to_levels(adjusted, pixels.dtype)
        if did is not None:
            did(pixels[rows].size // 3)
    return replace(photo, pixels=pixels)


def adjust_array(
    x: Picture, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0, warmth: float = 0.0
) -> Picture:
    """Adjust the colours of ``(1, 3, H, W)``; each amount is in ``[-1, 1]``, and 0 changes nothing."""
    light = to_linear(x[0])
    gain = 2.0 ** (STOPS * brightness)
    if warmth:
        filter_ = 2.0 ** (-WARM_STOPS * np.array([max(0.0, -warmth), abs(warmth) / 2, max(0.0, warmth)], np.float32))
        light *= filter_[:, None, None]  # a colour filter only removes light, so nothing leaves the gamut
        gain /= float(LUMINANCE @ filter_)  # restores the luminance of greys
    lab = linear_to_oklab(light)
    before = lab[0]
    if gain != 1 or contrast:
        after = _apply_tone(before, gain, contrast)
        # Scaling all of Oklab scales the light, so chroma keeps its proportion to lightness.
        lab *= np.divide(after, before, out=np.zeros_like(after), where=before > 1e-6)
        lab[0] = after
    if saturation < 0:
        lab[1:] *= np.float32(1 + saturation)
    elif saturation > 0:
        # A share t of the largest chroma in the gamut becomes (1+s)t / (1+st): 1 stays 1, so nothing is clipped.
        room = chroma_headroom(lab)
        share = np.divide(1, room, out=np.ones_like(room), where=room > 1)
        lab[1:] *= (1 + saturation) / (1 + np.float32(saturation) * share)
    return oklab_to_srgb(clip_chroma(lab))[None]


def sharpen(
    photo: Photo,
    amount: float,
    radius: float = 1.0,
    threshold: float = 0.01,
    did: Callable[[int], object] | None = None,
) -> Photo:
    """Sharpen the luma by an unsharp mask, tile by tile.

    The difference from a Gaussian blur, reduced by ``threshold``, is added to all three channels. To prevent halos, no
    pixel goes more than `HALO` beyond the lumas around it. A pixel that would leave ``[0, 1]`` goes as far as it can
    with its colour unchanged.

    Args:
        photo: to sharpen.
        amount: 0 to 2, factor of the difference.
        radius: sigma of the blur in pixels.
        threshold: of a range of 1.
        did: is called with the number of pixels after each tile.
    """
    source = PhotoReader(photo)
    halo = _halo(radius)
    pixels = np.empty_like(photo.pixels)
    for tile in tiles(photo.height, photo.width, halo=halo):
        change = _sharpening(luma(_read_padded(source, tile.rows, tile.columns, halo)[0]), amount, radius, threshold)
        x = photo.picture(tile.rows, tile.columns)
        change = np.clip(change, -x[0].min(0), 1 - x[0].max(0))
        pixels[tile.rows, tile.columns] = to_levels(x + change, pixels.dtype)
        if did is not None:
            did(change.size)
    return replace(photo, pixels=pixels)


def _halo(radius: float) -> int:
    """Return the number of pixels around a tile that its sharpening reads."""
    return int(np.ceil(3 * radius))


def _read_padded(source: PixelReader, rows: slice, columns: slice, halo: int) -> Picture:
    """Return a region with ``halo`` pixels around it; beyond the picture's border its edge is repeated."""
    spans, pads = [], []
    for span, length in ((rows, source.height), (columns, source.width)):
        first, last = max(0, span.start - halo), min(length, span.stop + halo)
        spans.append(slice(first, last))
        pads.append((halo - (span.start - first), halo - (last - span.stop)))
    return np.pad(source.region(*spans), ((0, 0), (0, 0), *pads), mode="edge")


def _sharpening(y: _Array, amount: float, radius: float, threshold: float) -> _Array:
    """Return the change of a luma by sharpening; the input has a margin: (h + 2 halo, w + 2 halo) -> (h, w)."""
    halo = _halo(radius)
    height, width = y.shape[0] - 2 * halo, y.shape[1] - 2 * halo
    places = np.arange(-halo, halo + 1)
    taps = np.exp(-(places**2) / (2 * radius**2)).astype(np.float32)
    taps /= taps.sum()
    down = sum(tap * y[i : i + height] for i, tap in enumerate(taps))
    blurred = sum(tap * down[:, i : i + width] for i, tap in enumerate(taps))
    # Minimum and maximum over the square of the blur's sigma around each pixel.
    near = range(halo - int(np.ceil(radius)), halo + int(np.ceil(radius)) + 1)
    low, high = (
        pick.reduce([pick.reduce([y[i : i + height] for i in near])[:, j : j + width] for j in near])
        for pick in (np.minimum, np.maximum)
    )
    middle = y[halo : halo + height, halo : halo + width]
    detail = middle - blurred
    detail = np.sign(detail) * np.maximum(np.abs(detail) - np.float32(threshold), 0)
    return np.asarray(np.clip(middle + np.float32(amount) * detail, low - HALO, high + HALO) - middle, np.float32)


def _apply_tone(lightness: _Array, gain: float, contrast: float) -> _Array:
    """Apply exposure and contrast to Oklab's lightness: a monotonic curve that keeps 0 and 1."""
    y = lightness**3  # for greys, the luminance
    y = np.float32(gain) * y / (1 + np.float32(gain - 1) * y)
    t = np.clip(from_linear(y), 0.0, 1.0)  # the fixed point of contrast is sRGB's middle grey
    t = t + np.float32(contrast) * (3 * t**2 - 2 * t**3 - t)
    return np.asarray(np.cbrt(to_linear(t)), np.float32)
