"""Baselines for every report: trivial methods, such as the unchanged photo or a colour transfer.

Each takes a photo and a style picture, ``(1, 3, H, W)``, and returns a picture of the photo's size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.image import Picture, resample, resize

_Float = npt.NDArray[np.float64]


def unchanged(photo: Picture, _style: Picture) -> Picture:
    """Return the photo: all content, no style."""
    return photo


def style_itself(photo: Picture, style: Picture) -> Picture:
    """Return the style picture at the photo's size: all style, no content."""
    return resize(style, *photo.shape[2:])


def style_half(photo: Picture, style: Picture) -> Picture:
    """Return the left half of the style picture at the photo's size: the style distance between real pictures."""
    return resize(np.ascontiguousarray(style[..., : max(1, style.shape[3] // 2)]), *photo.shape[2:])


def colour_transfer(photo: Picture, style: Picture) -> Picture:
    """Return the photo with the style picture's mean colour and colour covariance.

    A linear transfer by symmetric matrix roots (Pitié & Kokaram 2007, without their optimal transport).
    """
    return _clipped(_recoloured(photo[0].astype(np.float64), style[0].astype(np.float64)))


def colour_and_bands(photo: Picture, style: Picture, octaves: int = 4) -> Picture:
    """Return `colour_transfer` with the contrast of each octave of detail matched to the style picture.

    It shows the effect of linear filters alone (a small part of Heeger & Bergen 1995).
    """
    coloured = _recoloured(photo[0].astype(np.float64), style[0].astype(np.float64))[None].astype(np.float32)
    fine, target = coloured, style
    result = np.zeros(coloured.shape, np.float64)
    for _ in range(octaves):
        if min(*fine.shape[2:], *target.shape[2:]) < 8:
            break
        fine_band, fine = _band(fine)
        target_band, target = _band(target)
        gain = target_band.std((2, 3), keepdims=True) / np.maximum(fine_band.std((2, 3), keepdims=True), 1e-4)
        result += _enlarged(fine_band * np.clip(gain, 0.1, 10), photo.shape[2:])
    return _clipped((result + _enlarged(fine, photo.shape[2:]))[0])


ANCHORS: dict[str, Callable[[Picture, Picture], Picture]] = {
    "photo unchanged": unchanged,
    "colour transfer": colour_transfer,
    "colour and bands": colour_and_bands,
    "style picture": style_itself,
    "half the style picture": style_half,
}


def _clipped(x: _Float) -> Picture:
    return np.asarray(np.clip(x, 0, 1)[None], np.float32)


def _recoloured(x: _Float, target: _Float) -> _Float:
    """Return ``(3, H, W)`` transformed to the colour mean and covariance of ``target``."""
    flat, other = x.reshape(3, -1), target.reshape(3, -1)
    mean, goal = flat.mean(1, keepdims=True), other.mean(1, keepdims=True)
    floor = 1e-5 * np.eye(3)
    whiten = np.linalg.inv(_root(np.cov(flat) + floor))
    return np.asarray(_root(np.cov(other) + floor) @ whiten @ (flat - mean) + goal).reshape(x.shape)


def _root(a: _Float) -> _Float:
    """Return the symmetric square root of a positive semidefinite matrix."""
    values, vectors = np.linalg.eigh(a)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T)


def _band(x: Picture) -> tuple[_Float, Picture]:
    """Split ``(1, 3, H, W)`` into its finest octave and the rest at half the size."""
    half = _scaled(x, x.shape[2] // 2, x.shape[3] // 2)
    return x.astype(np.float64) - _enlarged(half, x.shape[2:]), half


def _enlarged(x: npt.NDArray[np.floating], size: tuple[int, ...]) -> _Float:
    return _scaled(x, *size).astype(np.float64)


def _scaled(x: npt.NDArray[np.floating], height: int, width: int) -> npt.NDArray[np.float32]:
    """Resample bilinearly; values may lie outside ``[0, 1]``."""
    return resample(x.astype(np.float32), height, width, Image.Resampling.BILINEAR)
