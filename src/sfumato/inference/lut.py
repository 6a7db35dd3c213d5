"""Look-up tables of colours (LUTs): the colours and tones of a style as a table for video editors.

A table maps each colour to another one, whatever is around it, so it carries no brushwork. It is fitted to pairs of
colours, of pictures and of their paintings by the pipeline:

1. A tone curve maps the quantiles of the lightness to those of the paintings; its slope is bounded.
2. The distribution of the chroma axes a and b gets the paintings' covariance (Monge-Kantorovich; Pitié & Kokaram 2007),
   around a mean that depends on the lightness. So greys get the tint that the paintings have at that lightness.
3. What the pairs have in common beyond this, such as a sky that turns yellow, is added as a smooth field over the
   colours, where there are enough pairs.

All parts are smooth, so that gradients stay gradients. A colour is a tone, which is the sRGB level of a grey of equal
lightness, and the chroma axes of Oklab. (Oklab's own lightness is so steep near black that curves in it would show
steps in 8-bit shadows.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sfumato.checks import check_range, check_whole
from sfumato.image import ImageSource, Photo, Picture, as_photo, resize, shrink, thumbnail_size, to_8_bits
from sfumato.inference.cube import MAX_SIZE, SIZE, Lut
from sfumato.inference.oklab import clip_chroma, from_linear, linear_to_oklab, oklab_to_srgb, to_linear
from sfumato.inference.options import PaintOptions
from sfumato.inference.progress import Progress, portion
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer

Array = npt.NDArray[np.float32]
Array64 = npt.NDArray[np.float64]

#: Pixels of the longer side at which photos are painted for their colours.
PHOTO_SIDE = 384
#: Number and side in pixels of the generated pictures that stand for photos where none are given.
NEUTRAL, NEUTRAL_SIDE = 6, 224
PREVIEW_SIDE = 1600  #: Pixels of the longer side of a photo in a preview, at most.
_CELL = 4  # pixels; colours are compared as means over cells, which average out brushwork
_SLOPES = 0.25, 2.2  # bounds of the slope of the tone curve: flatter loses the picture, steeper shows noise
_CHROMA_GAINS = 0.15, 1.8  # bounds of the gain of chroma
_TONES = 65  # points of the tone curve
_TONE_WIDTH = 0.06  # of tone: sigma of the kernel in which tints are averaged
_FIELD = 12  # cells along each axis of the smooth field
_FIELD_WIDTH = 1.2  # of its cells: sigma of the kernel
_FIELD_PAIRS = 60.0  # number of pairs that have half the influence on a cell of the field


def make_lut(
    style: Style,
    photos: Sequence[ImageSource] = (),
    *,
    size: int = SIZE,
    strength: float = 1.0,
    stylizer: Stylizer | None = None,
    progress: Progress | None = None,
) -> Lut:
    """Return the table that gives photos the colours of a style.

    Args:
        style: the style.
        photos: similar to those that the table is for; without them, generated pictures of all colours are painted.
        size: points along each axis, from 2 to `MAX_SIZE`.
        strength: from 0, no change, to 1.
        stylizer: of the style's model; by default the one that ships with Sfumato.
        progress: is called with the completed share and the next step.

    Raises:
        UsageError: a value is outside its range.
        InputError: a photo cannot be read or used.
        ModelError: the style belongs to another model.
    """
    check_lut(size, strength)
    stylizer = stylizer or Stylizer()
    read = [_small(as_photo(photo)) for photo in photos] or neutral_pictures()
    options = PaintOptions(quality=stylizer.choose_quality(None, [style]))
    before, after = [], []
    for number, picture in enumerate(read):
        part = portion(progress, number / len(read), (number + 1) / len(read))
        painted = stylizer(picture, style, quality=options.quality, progress=part)
        before.append(_cell_colours(picture))
        after.append(_cell_colours(painted))
    table = fitted(np.concatenate(before, 1), np.concatenate(after, 1), size)
    return replace(table, title=f"Sfumato {style.name}").weakened(strength)


def check_lut(size: int, strength: float) -> None:
    """Raise UsageError where a value is outside its range."""
    check_whole(size, 2, MAX_SIZE, "size")
    check_range(strength, 0.0, 1.0, "strength")


def before_and_after(lut: Lut, photo: Photo) -> Photo:
    """Return a photo and the photo with a table's colours, side by side, without metadata and transparency."""
    small = shrink(replace(photo, alpha=None), PREVIEW_SIDE)
    return Photo(np.concatenate([to_8_bits(each.pixels) for each in (small, lut.on_photo(small))], 1))


def _small(photo: Photo) -> Picture:
    """Return a photo at the size that it is painted at for its colours."""
    return shrink(photo, PHOTO_SIDE).picture()


def _cell_colours(picture: Picture) -> Array:
    """Return the mean colours ``(3, N)`` of the cells of a picture, as tone and chroma."""
    height, width = (max(1, side // _CELL) for side in picture.shape[2:])
    small = resize(picture, *thumbnail_size(height, width, min(height, width), max(height, width)))
    return _to_tones(small[0].reshape(3, -1))


def neutral_pictures(count: int = NEUTRAL, side: int = NEUTRAL_SIDE) -> list[Picture]:
    """Return generated pictures ``(1, 3, side, side)`` of all colours, most of them greyish, as in photos.

    They are overlapping discs of all sizes with soft shading (dead leaves; Lee, Mumford & Huang 2001), whose edges and
    plain areas have the statistics of photos.
    """
    rng = np.random.default_rng(0x11CE)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    found = []
    for _ in range(count):
        lab = np.zeros((3, side, side), np.float32)
        lab[0] = 0.55
        for _ in range(240):
            radius = min(0.45, 0.02 / max(rng.random(), 0.02) ** 0.7)
            top, left = rng.uniform(-0.1, 1.1, 2)
            lightness, hue, chroma = rng.uniform(0.05, 0.98), rng.uniform(0, 2 * np.pi), abs(rng.normal(0, 0.08))
            slope = rng.normal(0, 0.25, 2)
            inside = (y - top) ** 2 + (x - left) ** 2 < radius**2
            shade = slope[0] * (y - top) + slope[1] * (x - left)
            for plane, value in enumerate((lightness + shade, chroma * np.cos(hue), chroma * np.sin(hue))):
                lab[plane] = np.where(inside, value, lab[plane])
        lab[0] += rng.normal(0, 0.01, (side, side))
        found.append(oklab_to_srgb(clip_chroma(lab))[None].astype(np.float32))
    return found


# ---- fitting ---------------------------------------------------------------------------------------------------------


def fitted(before: Array, after: Array, size: int = SIZE) -> Lut:
    """Fit a table to pairs of colours ``(3, N)``, as tone and chroma (see the module)."""
    tones = _ToneCurve.between(before[0], after[0])
    tint_before, tint_after = _Tint.of(before), _Tint.of(after)
    gain = _chroma_map(before[1:] - tint_before(before[0]), after[1:] - tint_after(after[0]))

    def mapped(lab: Array) -> Array:
        lightness = tones(lab[0])
        chroma = gain @ (lab[1:] - tint_before(lab[0])) + tint_after(lightness)
        return np.asarray(np.concatenate([lightness[None], chroma]), np.float32)

    field = _Field.of(before, after - mapped(before))
    grid = Lut.identity(size).table.reshape(-1, 3).T
    colours = _to_tones(np.ascontiguousarray(grid))
    srgb = _from_tones(mapped(colours) + field(colours))
    return Lut(np.ascontiguousarray(srgb.T.reshape(size, size, size, 3), np.float32))


def _to_tones(srgb: Array) -> Array:
    """Convert sRGB colours ``(3, N)`` to tone and chroma."""
    lab = linear_to_oklab(np.asarray(to_linear(srgb), np.float32))
    lab[0] = from_linear(lab[0] ** 3)
    return lab


def _from_tones(colours: Array) -> Array:
    """Convert tone and chroma ``(3, N)`` to sRGB; colours outside it lose chroma."""
    lab = np.ascontiguousarray(colours, np.float32)[:, None]
    lab[0] = np.cbrt(to_linear(np.clip(lab[0], 0.0, 1.0)))
    return np.asarray(oklab_to_srgb(clip_chroma(lab))[:, 0], np.float32)


@dataclass(frozen=True)
class _ToneCurve:
    """A monotone curve of lightness, given at equal steps over [0, 1]."""

    values: Array64

    @classmethod
    def between(cls, before: Array, after: Array) -> _ToneCurve:
        """Return the curve that maps the quantiles of one distribution to those of the other."""
        at = np.linspace(0, 1, _TONES)
        shares = np.linspace(0.01, 0.99, 99)
        own, wanted = np.quantile(before, shares), np.quantile(after, shares)
        own = np.maximum.accumulate(own + np.arange(99) * 1e-9)
        curve = np.interp(at, np.concatenate([[-0.02], own, [1.02]]), np.concatenate([[0.0], wanted, [1.0]]))
        slopes = np.clip(np.diff(curve) * (_TONES - 1), *_SLOPES)
        kernel = np.hanning(15)[1:-1]
        kernel /= kernel.sum()
        slopes = np.convolve(np.pad(slopes, 6, mode="edge"), kernel, "valid")
        curve = np.concatenate([[0.0], np.cumsum(slopes) / (_TONES - 1)])
        used = np.interp(own, at, curve)  # the bounds moved the curve; its middle is that of the paintings
        curve = curve + np.mean(wanted - used)
        return cls(_bounded(curve))

    def __call__(self, lightness: Array) -> Array:
        return np.asarray(np.interp(lightness, np.linspace(0, 1, _TONES), self.values), np.float32)


def _bounded(curve: Array64) -> Array64:
    """Return a rising curve, bent softly into [0, 1] where it leaves it."""
    low, high = max(0.0, -curve[0]), max(0.0, curve[-1] - 1)
    if low:
        curve = np.where(curve < low, low * np.exp(np.minimum(curve - low, 0) / low), curve)
    if high:
        room = high
        curve = np.where(curve > 1 - room, 1 - room * np.exp(np.minimum(1 - room - curve, 0) / room), curve)
    return np.asarray(np.clip(curve, 0.0, 1.0))


@dataclass(frozen=True)
class _Tint:
    """The mean of the chroma axes by lightness, ``(2, T)`` at equal steps over [0, 1]."""

    means: Array64

    @classmethod
    def of(cls, lab: Array) -> _Tint:
        at = np.linspace(0, 1, _TONES)
        near = np.exp(-np.square(at[:, None] - lab[0][None]) / (2 * _TONE_WIDTH**2))
        count = near.sum(1) + 1e-9
        # Tones that hardly occur take the mean of all, so that black and white get no colour from a few pixels.
        rare = 0.02 * lab.shape[1] * _TONE_WIDTH
        mean = lab[1:].mean(1)
        return cls(
            np.stack(
                [(near @ plane + rare * middle) / (count + rare) for plane, middle in zip(lab[1:], mean, strict=True)]
            )
        )

    def __call__(self, lightness: Array) -> Array:
        at = np.linspace(0, 1, _TONES)
        # The gamut ends in black and in white, where there is no chroma.
        room = np.clip(np.minimum(lightness, 1 - lightness) / 0.08, 0, 1)
        return np.asarray(np.stack([np.interp(lightness, at, each) for each in self.means]) * room, np.float32)


def _chroma_map(before: Array, after: Array) -> Array:
    """Return the symmetric matrix ``(2, 2)`` that maps one covariance to the other, with bounded gains."""
    own, wanted = (
        each @ each.T / each.shape[1] + 1e-6 * np.eye(2) for each in (before.astype(float), after.astype(float))
    )
    root, back = _root(own, 0.5), _root(own, -0.5)
    gains, axes = np.linalg.eigh(back @ _root(root @ wanted @ root, 0.5) @ back)
    return np.asarray((axes * np.clip(gains, *_CHROMA_GAINS)) @ axes.T, np.float32)


def _root(matrix: Array64, power: float) -> Array64:
    values, axes = np.linalg.eigh(matrix)
    return np.asarray((axes * np.maximum(values, 1e-12) ** power) @ axes.T)


@dataclass(frozen=True)
class _Field:
    """A smooth field of differences over tone and chroma, ``(3, n, n, n)``."""

    cells: Array64

    @classmethod
    def of(cls, lab: Array, gap: Array) -> _Field:
        """Return the means of differences ``(3, N)`` of colours, smoothed, and weak where there are few colours."""
        sums, count = np.zeros((3, *[_FIELD] * 3)), np.zeros([_FIELD] * 3)
        low, share = _placed(lab)
        for corner in np.ndindex(2, 2, 2):
            up = np.array(corner)[:, None]
            weight = np.where(up, share, 1 - share).prod(0)
            index = tuple(low + up)
            np.add.at(count, index, weight)
            for plane, each in zip(sums, gap, strict=True):
                np.add.at(plane, index, weight * each)
        kernel = np.exp(-(np.arange(-3, 4) ** 2) / (2 * _FIELD_WIDTH**2))
        for axis in range(3):
            count = np.apply_along_axis(np.convolve, axis, count, kernel, "same")
            sums = np.apply_along_axis(np.convolve, axis + 1, sums, kernel, "same")
        return cls(sums / (count + _FIELD_PAIRS * lab.shape[1] / 20_000))

    def __call__(self, lab: Array) -> Array:
        low, share = _placed(lab)
        found = np.zeros(lab.shape)
        share = share * share * (3 - 2 * share)  # a smooth step between cells
        for corner in np.ndindex(2, 2, 2):
            up = np.array(corner)[:, None]
            found += np.where(up, share, 1 - share).prod(0) * self.cells[:, *(low + up)]
        return np.asarray(found, np.float32)


def _placed(lab: Array) -> tuple[npt.NDArray[np.int64], Array64]:
    """Return the lower cell ``(3, N)`` of each colour in a `_Field`, and its place between this cell and the next."""
    scaled = np.clip(lab * np.array([[1.0], [1.25], [1.25]]) + np.array([[0.0], [0.5], [0.5]]), 0, 1) * (_FIELD - 1)
    low = np.minimum(scaled.astype(int), _FIELD - 2)
    return low, scaled - low
