"""Fields of the artefact detectors: the local strength of one kind of defect.

A field function takes a picture ``(3, H, W)``, float32 in ``[0, 1]``, and returns strengths on a coarse grid, per line
or per side. ``artefacts.py`` compares them with those of the photo, and turns them into a value and a map.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from sfumato.image import luma
from sfumato.quality.filters import Array, at_most, box, dilate, enlarge, halve, reduce, running_mean

_Complex: TypeAlias = npt.NDArray[np.complex64]
_WORK = 384  # pixels: approximate maximum of the shorter side for defects that are visible at a glance


# --- grids


def grid_field(x: Array) -> Array:
    """Return the strength of grids in windows of 16 pixels, 8 pixels apart, ``(h, w)``."""
    planes = np.stack([luma(x), 0.5 * (x[0] - x[2])])  # a grid may show in colour alone
    c = _window_spectra(planes)  # (2, h, w, 5, 8)
    size = np.abs(c)
    rough = np.sqrt(np.mean(size[..., 1:, :] ** 2, axis=(-2, -1)))
    total = np.zeros(c.shape[:3], np.float32)
    for u, v in ((2, 0), (4, 0), (0, 2), (0, 4), (2, 2), (2, 6), (4, 4), (2, 4), (4, 2)):
        around = [(a, (v + b) % 8) for a in (u - 1, u + 1) for b in (-1, 1) if 0 <= a <= 4]
        around += [(a, v) for a in (u - 1, u + 1) if 0 < a <= 4] + [(u, (v + b) % 8) for b in (-1, 1) if u]
        level = np.max([size[..., a, b] for a, b in around], 0)
        prominent = np.maximum(size[..., u, v] - level, 0) / np.maximum(size[..., u, v], 1e-9)
        one = _box2(c[..., u, v] * prominent, 2)
        strength = np.abs(one)
        lock = np.abs(one.sum((1, 2))) / np.maximum(strength.sum((1, 2)), 1e-9)
        total += (strength * lock[:, None, None] ** 2) ** 2
    result: Array = np.max(np.sqrt(total) / (0.004 + 0.15 * rough), 0)
    return result


def _window_spectra(planes: Array) -> _Complex:
    """Return amplitudes of sines at ``(kx, ky)/8`` cycles per pixel in Hann windows of 16 pixels, 8 apart.

    ``(n, h, w, 5, 8)``, complex.
    """
    t = np.arange(16)
    window = np.hanning(17)[:16] / 8  # sums to 1
    basis = (window[:, None] * np.exp(-2j * np.pi * np.outer(t, np.arange(8)) / 8)).astype(np.complex64)
    across = sliding_window_view(planes, 16, axis=2)[:, :, ::8].astype(np.complex64) @ basis[:, :5]  # (n, H, w, 5)
    spectra: _Complex = sliding_window_view(across, 16, axis=1)[:, ::8] @ basis  # (n, h, w, 5, 8)
    return spectra


def _box2(x: _Complex, radius: int) -> _Complex:
    """Return `box` of a complex array."""
    return box(x.real, radius) + 1j * box(x.imag, radius)


# --- spots


def spots_field(x: Array) -> Array:
    """Return the strength of spots, ``(h, w)``, with a shorter side of at most 256 pixels.

    At this size spots have radii of 2 to 5 pixels, and, in a second pass at half the size, of 4 to 10.
    """
    x = at_most(x, 256)
    out = np.zeros(x.shape[1:], np.float32)
    for _ in range(2):
        core = box(x, 1)
        near = box(core, 1)
        around = [_shifted(near, 6, a, b) for a, b in _COMPASS]
        mean = np.mean(around, 0)
        away = core - mean
        direction = away / np.maximum(np.sqrt((away**2).sum(0)), 1e-6)
        contrast = np.maximum(np.min([(direction * (core - one)).sum(0) for one in around], 0), 0)
        spread = np.sqrt(np.mean([((one - mean) ** 2).sum(0) for one in around], 0))
        inner = np.sqrt(np.maximum((box(x * x, 2) - box(x, 2) ** 2).sum(0), 0))  # a droplet is uniform inside
        np.maximum(out, enlarge(contrast / (0.1 + 0.4 * spread + 5 * inner), out.shape), out=out)
        x = halve(x)
    return out


def spots_nearby_field(x: Array) -> Array:
    """Return the strongest spot near each place."""
    return dilate(spots_field(x), 4)


_COMPASS = ((-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0), (-0.7, -0.7), (-0.7, 0.7), (0.7, -0.7), (0.7, 0.7))


def _shifted(x: Array, radius: int, down: float, right: float) -> Array:
    """Return ``x`` ``(3, H, W)`` shifted by ``radius`` times a direction, its edges repeated."""
    rows = np.clip(np.arange(x.shape[1]) + round(radius * down), 0, x.shape[1] - 1)
    columns = np.clip(np.arange(x.shape[2]) + round(radius * right), 0, x.shape[2] - 1)
    return x[:, rows][:, :, columns]


# --- halos


def at_working_size(x: Array) -> Array:
    """Reduce a picture by a whole factor to a shorter side of at most 384 pixels."""
    return reduce(x, -(-min(x.shape[1:]) // _WORK))


def bands_at_edges(x: Array, p: Array) -> tuple[Array, Array]:
    """Return the strength of bands along edges, and a mask of the edges, both ``(h, w)``.

    Args:
        x: The picture at working size.
        p: The photo at the same size.
    """
    y = box(box(luma(p), 1), 1)
    down, right = np.gradient(y)
    slope = np.hypot(down, right)
    edge = slope > max(0.03, float(np.quantile(slope, 0.9)))
    half = y.shape[0] // 2, y.shape[1] // 2  # half the size is fine enough for means over windows of 25 pixels
    field, weight = np.zeros(half, np.float32), np.zeros(half, np.float32)
    if not edge.any():
        return field, weight
    bright = y > box(y, 6)
    # Strength is relative to the change elsewhere, so that a strong style counts as paint and not as bands.
    change = x - p
    unit = 0.02 + 0.27 * float(np.sqrt(np.maximum(box(change**2, 12) - box(change, 12) ** 2, 0).sum(0)).mean())
    for width in (3, 7):
        at, near, far = (_within(edge, r) for r in (1, 1 + width, 1 + 2 * width + 2))
        here = halve(near[None].astype(np.float32))[0] > 0.5
        for side in (bright, ~bright):
            masks = np.stack([near & ~at & side, far & ~near & side]).astype(np.float32)
            planes = np.concatenate([masks, *(z * mask for z in (x, p) for mask in masks)])  # 2 counts, 4 times RGB
            means = box(halve(planes), 6)
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
    """Return the mask grown by ``radius`` pixels."""
    return dilate(mask.astype(np.float32), radius) > 0


# --- border


def frame_widths(x: Array) -> list[int]:
    """Return the widths of frames, in pixels, for which the picture is large enough."""
    return [w for w in (2, 4, 8, 16, 32) if 10 * w <= min(x.shape[1:])]


def frame_field(x: Array) -> Array:
    """Return the strength of each side (upper, right, lower, left) as a frame of each width, ``(4, widths)``."""
    y = luma(x)
    rough = np.zeros_like(y)
    rough[1:] += np.abs(np.diff(y, axis=0))
    rough[:, 1:] += np.abs(np.diff(y, axis=1))
    rough[0] = rough[1]
    rough[:, 0] = rough[:, 1]
    out = np.zeros((4, len(frame_widths(x))), np.float32)
    for turn in range(4):
        view, texture = np.rot90(x, turn, (1, 2)), np.rot90(rough, turn)
        for i, width in enumerate(frame_widths(x)):
            colour = _strips(view, width)
            out[turn, i] = max(
                _stands_out(colour, 0.03), _stands_out(np.log(_strips(texture[None], width) + 0.01), 0.4)
            )
    return out


def _strips(x: Array, width: int) -> Array:
    """Return means over five strips of ``width`` rows from the top, in pieces of 16 columns, ``(n, 5, W/16)``."""
    pieces = max(1, x.shape[2] // 16)
    inner = x[:, : 5 * width, : pieces * (x.shape[2] // pieces)]
    means: Array = inner.reshape(len(x), 5, width, pieces, -1).mean((2, 4))
    return means


def _stands_out(strips: Array, unit: float) -> float:
    """Return the outermost strip's step to the next beyond the steps further in, in multiples of ``unit``."""
    steps = np.diff(strips, axis=1)  # (n, 4, pieces)
    excess = steps[:, 0] - 0.5 * steps[:, 1]
    common = np.sqrt((np.median(excess, 1) ** 2).sum())
    usual = np.sqrt((np.mean(steps[:, 1:] ** 2, axis=(1, 2))).sum())
    spread = np.sqrt(np.mean((excess - excess.mean(1, keepdims=True)) ** 2, 1).sum())
    return float(common / (unit + 0.5 * usual + 0.25 * spread))


# --- seams


def jumps_field(x: Array) -> Array:
    """Return the strength of a straight step before each column, ``(W,)``."""
    pieces = x.shape[1] // 16
    rows = x[:, : pieces * 16].reshape(3, pieces, 16, -1).mean(2)  # (3, pieces, W)
    best = np.zeros(x.shape[2], np.float32)
    step = np.diff(rows, axis=2)
    jump = step[:, :, 1:-1] - 0.5 * (step[:, :, :-2] + step[:, :, 2:])  # before columns 2 ... W - 2
    size = np.sqrt((jump**2).sum(0))  # (pieces, W - 3)
    usual = running_mean(size, 10, 1)
    lines = np.quantile(size / (0.012 + 1.0 * usual), 0.35, axis=0)
    padded = np.pad(lines, 16, mode="reflect")
    blocks = np.median([padded[16 + d : padded.size - 16 + d] for d in (-16, -8, 8, 16)], 0)
    best[2:-1] = np.maximum(lines - blocks, 0)
    best[:8] = best[-7:] = 0  # steps nearer to the edge are frames
    return best


# --- banding


def plateaus_field(x: Array) -> Array:
    """Return the strength of banding in blocks of 16 pixels, ``(h, w)``."""
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
            density, quiet = np.abs(box(density, 1)).mean(0), box(quiet, 1).min(0)
            strength = density * np.clip(quiet * 4 - 3, 0, 1) / 0.014
            np.maximum(out, strength.T if turned else strength, out=out)
        x = halve(x)
    return out


# --- against the photo


def opposed_field(x: Array, p: Array) -> tuple[Array, Array]:
    """Return the strength of negative correlation of the lumas, and the photo's contrast, both ``(h, w)``, coarse."""
    factor = max(1, min(x.shape[1:]) // 96)
    a, b = (reduce(luma(z)[None], factor)[0] for z in (x, p))
    radius = max(2, min(a.shape) // 10)
    mean_a, mean_b = box(a, radius), box(b, radius)
    var_a, var_b = (np.maximum(box(z * z, radius) - m * m, 0) for z, m in ((a, mean_a), (b, mean_b)))
    cov = box(a * b, radius) - mean_a * mean_b
    corr = cov / (np.sqrt(var_a * var_b) + 4e-4)
    return np.maximum(-corr, 0) / 0.3, np.sqrt(var_b)


def burnt_field(x: Array) -> Array:
    """Return a mask ``(H, W)``: 1 where a pixel is burnt out, else 0."""
    low, high = (x < 0.5 / 255).sum(0), (x > 254.5 / 255).sum(0)
    y = luma(x)
    burnt: npt.NDArray[np.bool_] = (low == 3) | (high == 3) | ((low == 2) & (y < 0.02)) | ((high == 2) & (y > 0.95))
    return burnt.astype(np.float32)
