"""Detectors of what goes wrong in stylised pictures: a number and a map for each kind of defect.

Numbers are in steps of visibility: clean photographs and paintings lie mostly below 1, what anybody sees lies mostly
above 2. The constants were set on photographs and paintings of 320 pixels (some 100 of each, JPEG, from the web);
``benchmarks/artefacts.py`` measures them on any. A map ``(H, W)``, float32 in ``[0, 1]``, has its mass where the defect
lies; 1 there is about 3 steps.

Where the photo is given, what it already shows at the same place is not counted. Whatever is too small to be judged
has no defect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from sfumato.checks import check_image
from sfumato.errors import InputError, UsageError
from sfumato.image import Picture, luma, resample, resize

Array: TypeAlias = npt.NDArray[np.float32]
_Complex: TypeAlias = npt.NDArray[np.complex64]

SMALLEST = 16  # pixels of the shorter side: below it nothing is judged
_WORK = 384  # pixels: what is seen at a glance is looked for with the shorter side brought below about this
_MAP_TOP = 3.0  # the strength that a map shows as 1
_KEPT_VALUES = 600_000  # of a photo whose own fields are kept: 2.4 MB each at most


@dataclass(frozen=True, eq=False)
class Artefact:
    """What one detector found.

    Attributes:
        name: the detector's.
        value: 0 and up; below 1 as in clean pictures, above 2 plainly visible.
        map: ``(H, W)`` float32 in ``[0, 1]``: where.
    """

    name: str
    value: float
    map: Array


def checkerboard(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Grids of period 2 and 4 pixels, as strided and transposed convolutions leave (Odena et al. 2016).

    Spectra of 16-pixel windows, at the frequencies of the grid: what rises over the frequencies between (which the
    blocks of JPEG, of period 8, raise as much) and keeps its phase from window to window and over the picture, as no
    brush or canvas does. In amplitudes of 0.004 of the range, more where the picture is rough.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 48:
        return _nothing("checkerboard", x)
    field = _grid(x)
    if p is not None:
        field = _beyond(field, _remembered(_grid, p))
    return Artefact("checkerboard", _top_mean(field, 0.1), _to_map(field, x.shape))


def blobs(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Small roundish spots far off from all around them: droplets of normalisation layers (Karras et al. 2020, §2).

    A spot differs from eight places around it in one and the same direction of colour, by more than they differ among
    themselves and by far more than it varies within. Diameters of some 1/64 to 1/12 of the shorter side.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 32:
        return _nothing("blobs", x)
    field = _spots(x)
    if p is not None:
        field = _beyond(field, _remembered(_spots_nearby, p))
    return Artefact("blobs", float(field.max()), _to_map(_dilated(field, 2), x.shape))


def halos(picture: Picture, photo: Picture) -> Artefact:
    """Bands along the photo's strong edges, brighter, darker or of another colour, that the photo has not.

    On either side of an edge the strip beside it is compared with the strip behind that, averaged along the edge so
    that brushwork cancels; the photo's own difference is taken off. The mean over all strong edges, in units that grow
    with how much the picture differs from the photo elsewhere: pictures in a strong style, whose edges do have bands,
    lie between 1 and 2.
    """
    x, p = _pair(picture, photo)
    assert p is not None
    small, small_photo = _working(x), _working(p)
    if min(small.shape[1:]) < 48:
        return _nothing("halos", x)
    field, weight = _bands_at_edges(small, small_photo)
    return Artefact("halos", _weighted_top_mean(field, weight, 1.0), _to_map(field * (weight > 0), x.shape))


def border(picture: Picture, photo: Picture | None = None) -> Artefact:
    """A frame, 2 to 32 pixels wide, whose colour or roughness is not that of what lies beside it: padding.

    A frame has several sides, an edge of what is shown has one: the value is that of the middle two of the four.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 48:
        return _nothing("border", x)
    sides = _frame(x)
    if p is not None:
        sides = np.maximum(sides - _remembered(_frame, p), 0)
    value = 1.6 * float(np.sort(sides.max(1))[1:3].mean())
    out = np.zeros(x.shape[1:], np.float32)
    for turn, strengths in enumerate(sides):
        view = np.rot90(out, turn)  # a view: side 0 is the upper one, then the right, the lower, the left
        for width, strength in zip(_frame_widths(x), strengths, strict=True):
            strip = view[:width]
            np.maximum(strip, min(1.0, 1.6 * float(strength) / _MAP_TOP), out=strip)
    return Artefact("border", value, out)


def seams(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Straight steps from edge to edge of the picture, along rows or columns: tiles that do not fit together.

    A row or column is judged by the jump that its neighbours do not foretell, averaged over pieces of 16 pixels: it
    must stand out in most pieces, and over those 8 and 16 pixels away, where JPEG has its blocks.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 48:
        return _nothing("seams", x)
    out = np.zeros(x.shape[1:], np.float32)
    value = 0.0
    for view, other, target in (
        (x, p, out),
        (x.transpose(0, 2, 1), None if p is None else p.transpose(0, 2, 1), out.T),
    ):
        lines = _jumps(view)
        if other is not None:
            lines = np.maximum(lines - _dilated(_jumps(other)[None], 1)[0], 0)
        value = max(value, float(lines.max()))
        # two pixels on either side of the step
        shown = _dilated(np.where(lines > 0.5 * lines.max(), lines, 0)[None], 2)[0]
        np.maximum(target, np.clip(shown / _MAP_TOP, 0, 1)[None], out=target)
    return Artefact("seams", value, out)


def banding(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Smooth gradients broken into plateaus: steps of one sign, each between two flat stretches.

    Steps of 2.5 to 40 of 255 levels at full and half size are counted, high ones more; what is rough, and so hides
    steps, counts for nothing.
    """
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < 32:
        return _nothing("banding", x)
    field = _plateaus(x)
    if p is not None:
        field = _beyond(field, _remembered(_plateaus, p))
    return Artefact("banding", _top_mean(field, 0.1), _to_map(field, x.shape))


def colour_inversion(picture: Picture, photo: Picture) -> Artefact:
    """Light and dark swapped against the photo, in all of it or in regions of 1/8 of the picture and more.

    The correlation of the lumas in a window, where negative; windows count by the contrast of the photo.
    """
    x, p = _pair(picture, photo)
    assert p is not None
    if min(x.shape[1:]) < SMALLEST:
        return _nothing("colour_inversion", x)
    field, weight = _opposed(x, p)
    return Artefact("colour_inversion", _weighted_top_mean(field, weight, 0.15), _to_map(field, x.shape))


def clipping(picture: Picture, photo: Picture | None = None) -> Artefact:
    """Pixels burnt out: all channels at 0 or at 1, or two and the luma near there. In shares of 4 % of the picture."""
    x, p = _pair(picture, photo)
    if min(x.shape[1:]) < SMALLEST:
        return _nothing("clipping", x)
    burnt = _burnt(x)
    if p is not None:
        burnt = _beyond(burnt, _burnt(p))
    return Artefact("clipping", float(burnt.mean()) / 0.04, burnt)


_ALONE: tuple[Callable[[Picture, Picture | None], Artefact], ...] = (checkerboard, blobs, border, seams, banding)
_PAIRED: tuple[Callable[[Picture, Picture], Artefact], ...] = (halos, colour_inversion)


def artefacts(picture: Picture, photo: Picture | None = None) -> dict[str, Artefact]:
    """Every detector that applies, by name; without a photo, those that need one are left out.

    Args:
        picture: ``(1, 3, H, W)``, float32 in ``[0, 1]``, sRGB.
        photo: what it was painted from; of another size it is resampled to the picture's.

    Raises:
        InputError: the picture or the photo breaks the image contract, or is more than one.
    """
    if photo is not None:
        _check(photo, "the photo")
        photo = resize(photo, *picture.shape[2:])
    found = [detector(picture, photo) for detector in (*_ALONE, clipping)]
    if photo is not None:
        found += [detector(picture, photo) for detector in _PAIRED]
    return {one.name: one for one in found}


def worst(found: dict[str, Artefact]) -> Artefact:
    """The one with the highest value.

    Raises:
        UsageError: there is none.
    """
    if not found:
        raise UsageError("the worst of no artefacts was asked for; give what artefacts() returned")
    return max(found.values(), key=lambda one: one.value)


# --- grids


def _grid(x: Array) -> Array:
    """Strength of the grid in windows of 16 at every 8 pixels, ``(h, w)``."""
    planes = np.stack([luma(x), 0.5 * (x[0] - x[2])])  # grids may be of colour alone
    c = _window_spectra(planes)  # (2, h, w, 5, 8)
    size = np.abs(c)
    rough = np.sqrt(np.mean(size[..., 1:, :] ** 2, axis=(-2, -1)))
    total = np.zeros(c.shape[:3], np.float32)
    for u, v in ((2, 0), (4, 0), (0, 2), (0, 4), (2, 2), (2, 6), (4, 4), (2, 4), (4, 2)):
        around = [(a, (v + b) % 8) for a in (u - 1, u + 1) for b in (-1, 1) if 0 <= a <= 4]
        around += [(a, v) for a in (u - 1, u + 1) if 0 < a <= 4] + [(u, (v + b) % 8) for b in (-1, 1) if u]
        level = np.max([size[..., a, b] for a, b in around], 0)
        kept = np.maximum(size[..., u, v] - level, 0) / np.maximum(size[..., u, v], 1e-9)
        one = _box2(c[..., u, v] * kept, 2)
        strength = np.abs(one)
        lock = np.abs(one.sum((1, 2))) / np.maximum(strength.sum((1, 2)), 1e-9)
        total += (strength * lock[:, None, None] ** 2) ** 2
    result: Array = np.max(np.sqrt(total) / (0.004 + 0.15 * rough), 0)
    return result


def _window_spectra(planes: Array) -> _Complex:
    """Amplitudes of sines at ``(kx, ky)/8`` cycles a pixel in Hann windows of 16 at every 8: ``(n, h, w, 5, 8)``."""
    t = np.arange(16)
    window = np.hanning(17)[:16] / 8  # sums to 1
    basis = (window[:, None] * np.exp(-2j * np.pi * np.outer(t, np.arange(8)) / 8)).astype(np.complex64)
    across = sliding_window_view(planes, 16, axis=2)[:, :, ::8].astype(np.complex64) @ basis[:, :5]  # (n, H, w, 5)
    spectra: _Complex = sliding_window_view(across, 16, axis=1)[:, ::8] @ basis  # (n, h, w, 5, 8)
    return spectra


def _box2(x: _Complex, radius: int) -> _Complex:
    return _box(x.real, radius) + 1j * _box(x.imag, radius)


# --- spots


def _spots(x: Array) -> Array:
    """Strength of spots, ``(h, w)``, the shorter side being brought to 256 pixels: radii of 2 to 5, then of 4 to 10."""
    x = _at_most(x, 256)
    out = np.zeros(x.shape[1:], np.float32)
    for _ in range(2):
        core = _box(x, 1)
        near = _box(core, 1)
        around = [_shifted(near, 6, a, b) for a, b in _COMPASS]
        mean = np.mean(around, 0)
        away = core - mean
        direction = away / np.maximum(np.sqrt((away**2).sum(0)), 1e-6)
        least = np.maximum(np.min([(direction * (core - one)).sum(0) for one in around], 0), 0)
        spread = np.sqrt(np.mean([((one - mean) ** 2).sum(0) for one in around], 0))
        inner = np.sqrt(np.maximum((_box(x * x, 2) - _box(x, 2) ** 2).sum(0), 0))  # a droplet is even within
        np.maximum(out, _enlarged(least / (0.1 + 0.4 * spread + 5 * inner), out.shape), out=out)
        x = _halved(x)
    return out


def _spots_nearby(x: Array) -> Array:
    """Of each place the strongest spot near it."""
    return _dilated(_spots(x), 4)


_COMPASS = ((-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (-0.7, -0.7), (-0.7, 0.7), (0.7, -0.7), (0.7, 0.7))


def _shifted(x: Array, radius: int, down: float, right: float) -> Array:
    """``x`` ``(3, H, W)`` as seen from so far away, its edge repeated."""
    rows = np.clip(np.arange(x.shape[1]) + round(radius * down), 0, x.shape[1] - 1)
    columns = np.clip(np.arange(x.shape[2]) + round(radius * right), 0, x.shape[2] - 1)
    return x[:, rows][:, :, columns]


# --- halos


def _bands_at_edges(x: Array, p: Array) -> tuple[Array, Array]:
    """Strength of bands and where there are edges to judge, both ``(h, w)``, at working size."""
    y = _box(_box(luma(p), 1), 1)
    down, right = np.gradient(y)
    slope = np.hypot(down, right)
    edge = slope > max(0.03, float(np.quantile(slope, 0.9)))
    half = y.shape[0] // 2, y.shape[1] // 2  # means over windows of 25 pixels need no finer grid
    field, weight = np.zeros(half, np.float32), np.zeros(half, np.float32)
    if not edge.any():
        return field, weight
    bright = y > _box(y, 6)
    # Bands are told from paint that changes everything by how much it changes everywhere.
    change = x - p
    unit = 0.02 + 0.27 * float(np.sqrt(np.maximum(_box(change**2, 12) - _box(change, 12) ** 2, 0).sum(0)).mean())
    for width in (3, 7):
        at, near, far = (_within(edge, r) for r in (1, 1 + width, 1 + 2 * width + 2))
        here = _halved(near[None].astype(np.float32))[0] > 0.5
        for side in (bright, ~bright):
            masks = np.stack([near & ~at & side, far & ~near & side]).astype(np.float32)
            planes = np.concatenate([masks, *(z * mask for z in (x, p) for mask in masks)])  # 2 counts, 4 times RGB
            means = _box(_halved(planes), 6)
            count = means[:2]
            valid = (count.min(0) > 0.03) & here
            strips = means[2:].reshape(2, 2, 3, *half) / np.maximum(count, 1e-3)[None, :, None]
            ours, theirs = strips
            step, own = ours[0] - ours[1], theirs[0] - theirs[1]
            excess = np.sqrt(((step - own) ** 2).sum(0))
            strength = np.where(valid, np.maximum(excess - 0.5 * np.sqrt((own**2).sum(0)), 0) / unit, 0)
            np.maximum(field, strength.astype(np.float32), out=field)
            np.maximum(weight, valid.astype(np.float32), out=weight)
    return field, weight


def _within(mask: npt.NDArray[np.bool_], radius: int) -> npt.NDArray[np.bool_]:
    return _dilated(mask.astype(np.float32), radius) > 0


# --- border


def _frame_widths(x: Array) -> list[int]:
    return [w for w in (2, 4, 8, 16, 32) if 10 * w <= min(x.shape[1:])]


def _frame(x: Array) -> Array:
    """Strength of each side (upper, right, lower, left) as a frame of each width: ``(4, widths)``."""
    y = luma(x)
    rough = np.zeros_like(y)
    rough[1:] += np.abs(np.diff(y, axis=0))
    rough[:, 1:] += np.abs(np.diff(y, axis=1))
    rough[0] = rough[1]
    rough[:, 0] = rough[:, 1]
    out = np.zeros((4, len(_frame_widths(x))), np.float32)
    for turn in range(4):
        view, texture = np.rot90(x, turn, (1, 2)), np.rot90(rough, turn)
        for i, width in enumerate(_frame_widths(x)):
            colour = _strips(view, width)
            out[turn, i] = max(
                _stands_out(colour, 0.03), _stands_out(np.log(_strips(texture[None], width) + 0.01), 0.4)
            )
    return out


def _strips(x: Array, width: int) -> Array:
    """Means over five strips of ``width`` rows from the top inwards, in pieces of 16 columns: ``(n, 5, W/16)``."""
    pieces = max(1, x.shape[2] // 16)
    inner = x[:, : 5 * width, : pieces * (x.shape[2] // pieces)]
    means: Array = inner.reshape(len(x), 5, width, pieces, -1).mean((2, 4))
    return means


def _stands_out(strips: Array, unit: float) -> float:
    """How far the outermost strip's step to the next is beyond the steps further in, in ``unit`` s."""
    steps = np.diff(strips, axis=1)  # (n, 4, pieces)
    unforeseen = steps[:, 0] - 0.5 * steps[:, 1]
    common = np.sqrt((np.median(unforeseen, 1) ** 2).sum())
    usual = np.sqrt((np.mean(steps[:, 1:] ** 2, axis=(1, 2))).sum())
    spread = np.sqrt(np.mean((unforeseen - unforeseen.mean(1, keepdims=True)) ** 2, 1).sum())
    return float(common / (unit + 0.5 * usual + 0.25 * spread))


# --- seams


def _jumps(x: Array) -> Array:
    """Strength of a step before each column, ``(W,)``."""
    pieces = x.shape[1] // 16
    rows = x[:, : pieces * 16].reshape(3, pieces, 16, -1).mean(2)  # (3, pieces, W)
    best = np.zeros(x.shape[2], np.float32)
    step = np.diff(rows, axis=2)
    jump = step[:, :, 1:-1] - 0.5 * (step[:, :, :-2] + step[:, :, 2:])  # before columns 2 ... W - 2
    size = np.sqrt((jump**2).sum(0))  # (pieces, W - 3)
    usual = _running_mean(size, 10, 1)
    lines = np.quantile(size / (0.012 + 1.0 * usual), 0.35, axis=0)
    padded = np.pad(lines, 16, mode="reflect")
    blocks = np.median([padded[16 + d : padded.size - 16 + d] for d in (-16, -8, 8, 16)], 0)
    best[2:-1] = np.maximum(lines - blocks, 0)
    best[:8] = best[-7:] = 0  # nearer to the edge it is a frame
    return best


# --- banding


def _plateaus(x: Array) -> Array:
    """Strength of banding in blocks of 16 pixels, ``(h, w)``."""
    height, width = x.shape[1] // 32 * 32, x.shape[2] // 32 * 32
    out = np.zeros((height // 16, width // 16), np.float32)
    for level in (0, 1):
        block = 16 >> level
        for view, turned in ((x, False), (x.transpose(0, 2, 1), True)):
            step = np.diff(view, axis=2, append=view[:, :, -1:])
            size = np.abs(step)
            flat = size < 1.3 / 255
            is_step = (size > 2.5 / 255) & (size < 40 / 255)
            both = np.zeros_like(flat)
            both[:, :, 3:-3] = (
                is_step[:, :, 3:-3] & flat[:, :, 2:-4] & flat[:, :, 1:-5] & flat[:, :, 4:-2] & flat[:, :, 5:-1]
            )
            signed = np.where(both, np.sign(step) * (size * (255 / 14)) ** 1.5, 0).astype(np.float32)
            smooth = (flat | both).astype(np.float32)
            h, w = (width, height) if turned else (height, width)
            h, w = h >> level, w >> level
            density, quiet = (
                z[:, :h, :w].reshape(3, h // block, block, w // block, block).mean((2, 4)) for z in (signed, smooth)
            )
            density, quiet = np.abs(_box(density, 1)).mean(0), _box(quiet, 1).min(0)
            strength = density * np.clip(quiet * 4 - 3, 0, 1) / 0.014
            np.maximum(out, strength.T if turned else strength, out=out)
        x = _halved(x)
    return out


# --- against the photo


def _opposed(x: Array, p: Array) -> tuple[Array, Array]:
    """Negative correlation of the lumas and the photo's contrast, ``(h, w)`` on a coarse grid."""
    factor = max(1, min(x.shape[1:]) // 96)
    a, b = (_reduced(luma(z)[None], factor)[0] for z in (x, p))
    radius = max(2, min(a.shape) // 10)
    mean_a, mean_b = _box(a, radius), _box(b, radius)
    var_a, var_b = (np.maximum(_box(z * z, radius) - m * m, 0) for z, m in ((a, mean_a), (b, mean_b)))
    cov = _box(a * b, radius) - mean_a * mean_b
    corr = cov / (np.sqrt(var_a * var_b) + 4e-4)
    return np.maximum(-corr, 0) / 0.3, np.sqrt(var_b)


def _burnt(x: Array) -> Array:
    low, high = (x < 0.5 / 255).sum(0), (x > 254.5 / 255).sum(0)
    y = luma(x)
    burnt: npt.NDArray[np.bool_] = (low == 3) | (high == 3) | ((low == 2) & (y < 0.02)) | ((high == 2) & (y > 0.95))
    return burnt.astype(np.float32)


# --- what they share


def _check(x: Picture, name: str) -> None:
    if check_image(x, name)["N"] != 1:
        raise InputError(f"{name} must be one picture, (1, 3, H, W), but there are {x.shape[0]}")


def _pair(picture: Picture, photo: Picture | None) -> tuple[Array, Array | None]:
    """Both as ``(3, H, W)``, of one size."""
    _check(picture, "the picture")
    if photo is None:
        return picture[0], None
    _check(photo, "the photo")
    return picture[0], resize(photo, *picture.shape[2:])[0]


class _Photo:
    """A photo as a key: equal where the pixels are."""

    def __init__(self, x: Array) -> None:
        self.x = x
        self.digest = hashlib.blake2b(np.ascontiguousarray(x).data, digest_size=16, key=str(x.shape).encode()).digest()

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Photo) and self.digest == other.digest


def _remembered(field: Callable[[Array], Array], photo: Array) -> Array:
    """``field(photo)``, which many pictures of one photo are compared with; of small photos, it is kept."""
    return _field_of(field, _Photo(photo)) if photo.size <= _KEPT_VALUES else field(photo)


@lru_cache(maxsize=96)
def _field_of(field: Callable[[Array], Array], photo: _Photo) -> Array:
    found = field(photo.x)
    found.flags.writeable = False
    return found


def _nothing(name: str, x: Array) -> Artefact:
    return Artefact(name, 0.0, np.zeros(x.shape[1:], np.float32))


def _beyond(field: Array, own: Array) -> Array:
    """What ``field`` has beyond the photo's ``own``, at the same place or beside it."""
    return np.maximum(field - np.maximum(own, _dilated(own, 1)), 0)


def _top_mean(field: Array, share: float) -> float:
    """The mean of the strongest ``share`` of a field."""
    count = max(1, round(share * field.size))
    return float(np.partition(field.ravel(), -count)[-count:].mean())


def _weighted_top_mean(field: Array, weight: Array, share: float) -> float:
    """As :func:`_top_mean`, of the ``share`` of the weight."""
    order = np.argsort(-field, axis=None, kind="stable")
    values, weights = field.ravel()[order].astype(np.float64), weight.ravel()[order].astype(np.float64)
    most = share * weights.sum()
    if most <= 0:
        return 0.0
    weights = np.clip(most - (np.cumsum(weights) - weights), 0, weights)
    return float((values * weights).sum() / most)


def _to_map(field: Array, shape: tuple[int, ...]) -> Array:
    return np.asarray(np.clip(_enlarged(field, shape[-2:]) / _MAP_TOP, 0, 1), np.float32)


def _enlarged(field: Array, shape: tuple[int, ...]) -> Array:
    if field.shape == tuple(shape):
        return field.astype(np.float32)
    return resample(field, shape[0], shape[1], Image.Resampling.BILINEAR)


def _working(x: Array) -> Array:
    return _reduced(x, -(-min(x.shape[1:]) // _WORK))


def _at_most(x: Array, side: int) -> Array:
    """``(3, H, W)`` with the shorter side brought down to ``side``, by means of areas."""
    scale = min(1.0, side / min(x.shape[1:]))
    return resample(x, round(x.shape[1] * scale), round(x.shape[2] * scale), Image.Resampling.BOX)


def _halved(x: Array) -> Array:
    return _reduced(x, 2)


def _reduced(x: Array, factor: int) -> Array:
    """Means of blocks, of ``(n, H, W)``; what is over at the lower and right edge is left out."""
    if factor == 1:
        return x
    n, height, width = x.shape[0], x.shape[1] // factor, x.shape[2] // factor
    inner = np.ascontiguousarray(x[:, : height * factor, : width * factor], np.float32)
    return np.stack([np.asarray(Image.fromarray(plane).reduce(factor)) for plane in inner]).reshape(n, height, width)


def _box(x: npt.NDArray[Any], radius: int) -> Array:
    """Mean over squares of ``2·radius + 1`` in the last two axes, the edge repeated."""
    return _running_mean(_running_mean(x, radius, x.ndim - 1), radius, x.ndim - 2)


def _running_mean(x: npt.NDArray[Any], radius: int, axis: int) -> Array:
    size, length = 2 * radius + 1, x.shape[axis]
    if radius <= 2:  # adding up a few shifted copies is faster than running sums
        padded = _with_ends(x, radius, radius, axis)
        total = sum(_part(padded, axis, i, i + length) for i in range(size))
        return np.asarray(total / np.float32(size), np.float32)
    sums = np.cumsum(_with_ends(x, radius + 1, radius, axis), axis=axis, dtype=np.float64)
    return np.asarray((_part(sums, axis, size, None) - _part(sums, axis, 0, -size)) / size, np.float32)


def _dilated(x: Array, radius: int) -> Array:
    """Maximum over squares of ``2·radius + 1`` of ``(H, W)``."""
    size = 2 * radius + 1
    for axis in (0, 1):
        length, y, span = x.shape[axis], _with_ends(x, radius, radius, axis), 1
        while 2 * span <= size:  # y holds maxima over `span`
            y = np.maximum(_part(y, axis, 0, -span), _part(y, axis, span, None))
            span *= 2
        x = np.maximum(_part(y, axis, 0, length), _part(y, axis, size - span, size - span + length))
    return x


def _with_ends(x: npt.NDArray[Any], before: int, after: int, axis: int) -> npt.NDArray[Any]:
    """The edge repeated; `np.pad` takes longer than what is done with it."""
    first, last = _part(x, axis, 0, 1), _part(x, axis, -1, None)
    return np.concatenate([np.repeat(first, before, axis), x, np.repeat(last, after, axis)], axis)


def _part(x: npt.NDArray[Any], axis: int, start: int, stop: int | None) -> npt.NDArray[Any]:
    part: npt.NDArray[Any] = x[(slice(None),) * axis + (slice(start, stop),)]
    return part
