"""Similarity of two pictures in pixels, structure, colours, and the features of a backbone.

Pictures are ``(1, 3, H, W)`` float32 in ``[0, 1]``, both of the same size; luma is BT.601 luma of sRGB values. Features
are ``(C, h, w)`` float32 of one layer. Between a stylised picture and its photo, these measures describe how much
*content* is preserved, not the quality of the picture: the unchanged photo has the best value of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.checks import check_shape
from sfumato.errors import InputError, UsageError
from sfumato.image import Picture, luma

FeatureMap = npt.NDArray[np.float32]
_Float = npt.NDArray[np.float64]

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2  # Wang et al. 2004, for a range of 1
#: Wang et al. 2003, section 3.2: exponents of the five scales.
_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65, 2°
_ROWS = 1024  # rows of the self-similarity matrix that are in memory at a time


def psnr(a: Picture, b: Picture) -> float:
    """Return the peak signal-to-noise ratio over all channels, in decibels; infinity for equal pictures.

    Raises:
        InputError: The pictures differ in size.
    """
    x, y = _pair(a, b)
    error = float(np.mean((x - y) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def ssim(a: Picture, b: Picture) -> float:
    """Return the structural similarity (SSIM) of the lumas, at most 1, which is reached by equal ones.

    Gaussian window of 11 pixels, σ 1.5, population covariance (Wang et al. 2004).

    Raises:
        InputError: The pictures differ in size, or have a side below 11 pixels.
    """
    value, _ = _structure(*_lumas(a, b))
    return value


def ms_ssim(a: Picture, b: Picture) -> float:
    """Return the multi-scale structural similarity (MS-SSIM) of the lumas, in ``[0, 1]`` (Wang et al. 2003, eq. 7).

    Five scales, each half as large as the one before by means of 2×2 pixels.

    Raises:
        InputError: A side is below 176 pixels, so the window does not fit into the smallest of the five scales.
    """
    x, y = _lumas(a, b)
    min_side = _WINDOW * 2 ** (len(_SCALES) - 1)
    if min(x.shape) < min_side:
        raise InputError(f"MS-SSIM needs {min_side} or more pixels a side, but the pictures have {x.shape[::-1]}")
    product = 1.0
    for scale, weight in enumerate(_SCALES):
        if scale:
            x, y = _halved(x), _halved(y)
        whole, contrast = _structure(x, y)
        # The term is negative where structures are opposite; a fractional power needs a value of 0 or more.
        product *= max(whole if scale == len(_SCALES) - 1 else contrast, 0.0) ** weight
    return product


def edge_structure(a: Picture, b: Picture) -> float:
    """Return the correlation of the edge strengths of both lumas, in ``[-1, 1]``.

    1 means the same edges; 0 means unrelated edges, or a picture without any. Edges are gradient magnitudes of a Sobel
    filter, after a Gaussian of σ 1.5.
    """
    x, y = (_edges(y) for y in _lumas(a, b))
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / size if size > 1e-9 else 0.0


def colour_distance(a: Picture, b: Picture) -> float:
    """Return the mean CIEDE2000 colour difference of the pixels (Sharma et al. 2005).

    About 1 is just noticeable; 100 is the difference between black and white.

    Raises:
        InputError: The pictures differ in size.
    """
    x, y = _pair(a, b)
    return float(ciede2000(to_lab(x), to_lab(y)).mean())


def copied(output: Picture, photo: Picture) -> float:
    """Return `octave_correlation` of the finest detail, between Gaussians of 0 and 1 pixels.

    1 means that the fine detail is copied from the photo, as by a colour filter; 0 means that it is new.
    """
    return octave_correlation(output, photo, 0, 1)


def kept(output: Picture, photo: Picture) -> float:
    """Return `octave_correlation` of medium detail, between Gaussians of 4 and 8 pixels.

    Near 1, objects are in the same places with the same light and shade.
    """
    return octave_correlation(output, photo, 4, 8)


def octave_correlation(a: Picture, b: Picture, fine: float, coarse: float) -> float:
    """Return Pearson's correlation of one frequency band of both lumas, in ``[-1, 1]``.

    The band is a difference of two Gaussians. Its scale is in pixels, so compare values at one size only. The result
    is 0 where one picture has no detail in the band. Pictures of any size fit: they are mirrored at their edges.

    Args:
        a: A picture.
        b: A picture of the same size.
        fine: Standard deviation of the narrower Gaussian in pixels, cut off at three deviations; 0 does not blur.
        coarse: Standard deviation of the wider one.
    """
    x, y = (_octave(luma(picture), fine, coarse) for picture in _pair(a, b))
    x, y = x - x.mean(), y - y.mean()
    # In a picture of one colour only rounding errors remain; the floor keeps them from correlating.
    size = max(float(np.sqrt((x * x).mean() * (y * y).mean())), 1e-12)
    return float((x * y).mean()) / size


def to_lab(rgb: _Float) -> _Float:
    """Convert sRGB ``(3, H, W)`` in ``[0, 1]`` to CIELAB (white point D65)."""
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = np.tensordot(_XYZ, linear, 1) / _WHITE[:, None, None]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def ciede2000(a: _Float, b: _Float) -> _Float:
    """Return the CIEDE2000 difference of each pixel, ``(H, W)``, of two Lab pictures ``(3, H, W)``.

    Names are those of Sharma, Wu & Dalal 2005, eqs. 2 to 22.
    """
    c = (np.hypot(a[1], a[2]) + np.hypot(b[1], b[2])) / 2
    g = 1.5 - 0.5 * np.sqrt(c**7 / (c**7 + 25.0**7))
    (l1, c1, h1), (l2, c2, h2) = ((x[0], np.hypot(g * x[1], x[2]), np.arctan2(x[2], g * x[1])) for x in (a, b))
    h1, h2 = h1 % (2 * np.pi), h2 % (2 * np.pi)
    turn = h2 - h1
    turn = np.where(turn > np.pi, turn - 2 * np.pi, np.where(turn < -np.pi, turn + 2 * np.pi, turn))
    grey = c1 * c2 == 0
    turn = np.where(grey, 0.0, turn)
    big_h = 2 * np.sqrt(c1 * c2) * np.sin(turn / 2)
    far = np.abs(h1 - h2) > np.pi
    h = h1 + h2
    h = np.where(grey, h, np.where(far, np.where(h < 2 * np.pi, h + 2 * np.pi, h - 2 * np.pi), h) / 2)
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = 1 - 0.17 * np.cos(h - np.pi / 6) + 0.24 * np.cos(2 * h) + 0.32 * np.cos(3 * h + np.pi / 30)
    t -= 0.20 * np.cos(4 * h - np.deg2rad(63))
    s_l = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    theta = np.deg2rad(30) * np.exp(-(((np.rad2deg(h) - 275) / 25) ** 2))
    r_t = -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(2 * theta)
    d_l, d_c, d_h = (l2 - l1) / s_l, (c2 - c1) / s_c, big_h / s_h
    return np.asarray(np.sqrt(np.maximum(d_l**2 + d_c**2 + d_h**2 + r_t * d_c * d_h, 0.0)), np.float64)


def structure_map(a: Picture, b: Picture) -> npt.NDArray[np.float32]:
    """Return SSIM's contrast-structure term around each pixel, ``(H, W)`` in ``[-1, 1]``.

    1 where the lumas have the same structure, whatever their brightness. Edges are repeated (Wang et al. 2004, eq. 6
    with c2).
    """
    x, y = (np.pad(luma(picture), _WINDOW // 2, mode="edge") for picture in _pair(a, b))
    mx, my = _blurred(x), _blurred(y)
    vx, vy, cov = _blurred(x * x) - mx * mx, _blurred(y * y) - my * my, _blurred(x * y) - mx * my
    return np.asarray((2 * cov + _C2) / (vx + vy + _C2), np.float32)


def content_distance(a: FeatureMap, b: FeatureMap) -> float:
    """Return the mean squared difference of instance-normalised features: 0 for equal ones, 2 for unrelated ones.

    Normalisation makes the distance ignore palette and contrast (Huang & Belongie 2017 use the features as they are).
    """
    x, y = _features(a, b)
    return float(np.mean((_normalised(x) - _normalised(y)) ** 2))


def perceptual_distance(
    a: Mapping[str, FeatureMap],
    b: Mapping[str, FeatureMap],
    weights: Mapping[str, npt.NDArray[np.float32]] | None = None,
) -> float:
    """Return a perceptual distance in the form of LPIPS (Zhang et al. 2018, eq. 1).

    Squared differences of unit feature vectors, weighted by channel, averaged over positions and summed over layers.

    Args:
        a: Features by layer.
        b: Features of the same layers.
        weights: The published weights ``(C,)`` of each layer. None weighs all channels by 1/C: that is *not* LPIPS,
            and must not be reported under this name.

    Raises:
        UsageError: The layers of ``a``, ``b`` and the weights differ.
    """
    if a.keys() != b.keys() or (weights is not None and weights.keys() != a.keys()):
        raise UsageError(f"layers differ: {', '.join(sorted(a.keys() ^ b.keys())) or 'those of the weights'}")
    total = 0.0
    for layer in a:
        x, y = _features(a[layer], b[layer])
        difference = (_unit(x) - _unit(y)) ** 2
        head = np.full(len(x), 1 / len(x)) if weights is None else np.asarray(weights[layer], np.float64)
        total += float(np.tensordot(head, difference, 1).mean())
    return total


def cfsd(content: FeatureMap, output: FeatureMap) -> float:
    """Return the content feature structural distance (CFSD; Chung et al. 2024, StyleID), 0 or more.

    It is the Kullback-Leibler divergence between the self-similarities of both feature maps: at each position a softmax
    over all positions, summed over positions. The value grows with the number of positions: compare at one size only.
    Only a few rows of the matrix are in memory at a time.
    """
    x, y = (f.reshape(len(f), -1).astype(np.float32) / len(f) for f in _features(content, output))
    total = 0.0
    for top in range(0, x.shape[1], _ROWS):
        p, q = (_log_softmax(f[:, top : top + _ROWS].T @ f) for f in (x, y))
        total += float((np.exp(p) * (p - q)).sum())
    return total


def _pair(a: Picture, b: Picture) -> tuple[_Float, _Float]:
    """Return two pictures as ``(3, H, W)`` float64, after checking that their sizes are equal."""
    check_shape(a, "1 3 H W", "the first picture")
    check_shape(b, "1 3 H W", "the second picture")
    if a.shape != b.shape:
        raise InputError(
            f"pictures of {a.shape[3]} x {a.shape[2]} and {b.shape[3]} x {b.shape[2]} pixels cannot be compared; "
            "resize one to the other's size"
        )
    return a[0].astype(np.float64), b[0].astype(np.float64)


def _lumas(a: Picture, b: Picture) -> tuple[_Float, _Float]:
    """Return the lumas ``(H, W)`` of two pictures that are large enough for SSIM's window."""
    x, y = (luma(picture) for picture in _pair(a, b))
    if min(x.shape) < _WINDOW:
        raise InputError(f"SSIM needs {_WINDOW} or more pixels a side, but the pictures have {x.shape[::-1]}")
    return x, y


def _octave(x: _Float, fine: float, coarse: float) -> _Float:
    """Return the difference of two Gaussian blurs of ``(H, W)``, of the same shape."""

    def smooth(sigma: float) -> _Float:
        reach = int(3 * sigma)
        return _blurred(np.pad(x, reach, mode="reflect"), 2 * reach + 1, sigma) if reach else x

    return smooth(fine) - smooth(coarse)


def _blurred(x: _Float, window: int = _WINDOW, sigma: float = _SIGMA) -> _Float:
    """Return Gaussian means where the whole window lies inside: ``(H - window + 1, W - window + 1)``."""
    taps = np.exp(-((np.arange(window) - window // 2) ** 2) / (2 * sigma**2))
    taps /= taps.sum()
    windows = np.lib.stride_tricks.sliding_window_view  # three times as fast as a sum of shifted pictures
    return np.asarray(windows(windows(x, window, 0) @ taps, window, 1) @ taps, np.float64)


def _structure(x: _Float, y: _Float) -> tuple[float, float]:
    """Return the means of SSIM and of its contrast-structure term."""
    mx, my = _blurred(x), _blurred(y)
    vx, vy, cov = _blurred(x * x) - mx * mx, _blurred(y * y) - my * my, _blurred(x * y) - mx * my
    contrast = (2 * cov + _C2) / (vx + vy + _C2)
    return float((contrast * (2 * mx * my + _C1) / (mx * mx + my * my + _C1)).mean()), float(contrast.mean())


def _halved(x: _Float) -> _Float:
    """Reduce ``(H, W)`` to half its size by means of 2×2 pixels."""
    height, width = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
    return np.asarray(x[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3)))


def _edges(y: _Float) -> _Float:
    """Return the gradient magnitude of a blurred luma by a Sobel filter."""
    x = _blurred(y)
    smooth_down = x[:-2] + 2 * x[1:-1] + x[2:]
    smooth_across = x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]
    return np.hypot(smooth_down[:, 2:] - smooth_down[:, :-2], smooth_across[2:] - smooth_across[:-2])


def _features(a: FeatureMap, b: FeatureMap) -> tuple[_Float, _Float]:
    if a.shape != b.shape or a.ndim != 3:
        raise InputError(f"features must be (C, h, w), two of one shape, but have {a.shape} and {b.shape}")
    return a.astype(np.float64), b.astype(np.float64)


def _normalised(f: _Float) -> _Float:
    """Return features with mean 0 and variance 1 in each channel (instance normalisation)."""
    mean, variance = f.mean((1, 2), keepdims=True), f.var((1, 2), keepdims=True)
    return np.asarray((f - mean) / np.sqrt(variance + 1e-4))


def _unit(f: _Float) -> _Float:
    """Return features whose channel vector has length 1 at each position."""
    return np.asarray(f / (np.sqrt((f * f).sum(0)) + 1e-10))


def _log_softmax(rows: npt.NDArray[np.floating[Any]]) -> _Float:
    x = rows.astype(np.float64)
    x -= x.max(1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(1, keepdims=True)))
