"""The style space: places of styles in which a person's style is learnt.

It is made of a style's *channel statistics* (of VGG19's first layers) and its code, both what that measures (palette,
contrast, tones) and what it learnt: its `features`. So a space is one model's.

* A *place* tells artists apart. Probabilistic linear discriminant analysis (Ioffe 2006; Prince & Elder 2007): a work
  ``x`` of an artist is ``y + e`` with ``y ~ N(0, diag(between))`` for the artist and ``e ~ N(0, I)`` for the work. The
  linear map that makes it so is learnt from works of many artists (`StyleSpace.of`); the directions kept are those with
  the greatest ``between``. So 1 along any direction is one deviation between works of the same hand.
* `StyleSpace.differences` of two styles say how far apart they are, part by part (`PARTS`, and what was learnt), and
  `StyleSpace.coordinates` where a style lies along what varies most between paintings, whoever made them.

The space is a file of the bundle, ``style_space.safetensors``, whose hash stands on the card under ``style_space``.
``tools/build_assets.py DATA --only-space`` makes it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as from_safetensors

from sfumato import assets
from sfumato.errors import ModelError, UsageError, first_line
from sfumato.files import atomic_file, read_bytes, read_json
from sfumato.style_code import BANDS, COLOUR_STATS_SIZE, SHARES, StyleCode, tensor_bytes

Array = npt.NDArray[np.float64]

#: The space's name in a bundle's folder.
FILE = "style_space.safetensors"
_MAX_BYTES = 64 * 2**20  # bytes; the shipped one has 67 thousand
#: Its key on the card: the file's SHA-256.
CARD_KEY = "style_space"
#: What features have in them, in order, and how many numbers each: means and deviations of the channels of VGG19's
#: relu1_1, relu2_1 and relu3_1, then what a style code measures. What it learnt comes last.
PARTS = {
    "finest marks": 2 * 64,
    "fine marks": 2 * 128,
    "broad marks": 2 * 256,
    "mean colour": 3,
    "range of colours": 6,
    "contrast": 3 * BANDS,
    "tone curve": 3 * len(SHARES),
}
_ENDS = np.cumsum(list(PARTS.values()))
#: Directions kept.
DIRECTIONS = 32
#: Principal axes kept.
AXES = 10
#: Principal components of channel statistics and measured parts that the directions are sought among.
COMPONENTS = 160
#: How far the covariance within artists is shrunk towards a multiple of the identity (Ledoit & Wolf 2004).
SHRINKAGE = 0.1


@dataclass(frozen=True, eq=False)
class StyleSpace:
    """Places of styles, where what tells artists apart is far.

    Attributes:
        mean: ``(F,)`` float32: features that have the place 0, those of the mean artist.
        directions: ``(F, d)`` float16: a place is ``(features - mean) @ directions``.
        between: ``(d,)`` float32, falling: variance between artists, where that within an artist is 1.
        scales: ``(P,)`` float32, of each part: the root of the mean squared distance of paintings from the mean.
        axes: ``(F, A)`` float16: `coordinates` are ``(features - mean) @ axes``.
    """

    mean: npt.NDArray[np.float32]
    directions: npt.NDArray[np.float16]
    between: npt.NDArray[np.float32]
    scales: npt.NDArray[np.float32]
    axes: npt.NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.between)

    @classmethod
    def of(cls, codes: Sequence[StyleCode], artists: Sequence[str], directions: int = DIRECTIONS) -> Self:
        """Learns the space from works and who made each.

        Artists weigh by the root of how many works they have: neither the few with a hundred nor the many with one
        decide alone.

        Raises:
            UsageError: another number of artists, or too few of them with two works or more.
            ModelError: a style without channel statistics, or with other numbers of them.
        """
        names = sorted(set(artists))
        hands = np.array([names.index(name) for name in artists], np.int32)
        counts = np.bincount(hands) if len(hands) else np.zeros(0, int)
        if len(codes) != len(hands) or (counts > 1).sum() < 3:
            raise UsageError(
                f"a style space needs works of 3 artists or more, two works of each, but has {len(codes)} works and "
                f"{len(hands)} names, and {(counts > 1).sum()} such artists"
            )
        raw = np.stack([features(code) for code in codes])
        # Singular vectors of the features: an orthonormal basis in which the rest is done.
        _, _, vectors = np.linalg.svd(raw - raw.mean(0), full_matrices=False)
        basis = vectors[: min(COMPONENTS, len(vectors))].T  # (F, P)
        x = (raw - raw.mean(0)) @ basis
        means = np.stack([x[hands == hand].mean(0) for hand in range(len(names))])
        rest = x - means[hands]
        within = rest.T @ rest / (counts[counts > 1] - 1).sum()
        within = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
        # Of the artists' means, less what their works' scatter adds to it.
        weights = np.sqrt(counts) / np.sqrt(counts).sum()
        middle = weights @ means
        spread = ((means - middle).T * weights) @ (means - middle) - within * (weights / counts).sum()
        lower = np.linalg.inv(np.linalg.cholesky(within))  # whitens what lies within
        variances, vectors = np.linalg.eigh(lower @ spread @ lower.T)
        order = np.argsort(variances)[::-1][:directions]
        order = order[variances[order] > 0]

        mean = raw.mean(0) + basis @ middle
        squares = ((raw - mean) ** 2).mean(0)
        scales = np.sqrt(np.maximum([part.sum() for part in np.split(squares, _ENDS)], 1e-12))
        each = np.repeat(scales, np.diff(_ENDS, prepend=0, append=len(mean)))
        _, _, axes = np.linalg.svd((raw - mean) / each, full_matrices=False)
        return cls(
            mean.astype(np.float32),
            _signed(basis @ (lower.T @ vectors[:, order])).astype(np.float16),
            variances[order].astype(np.float32),
            scales.astype(np.float32),
            (_signed(axes[:AXES].T) / each[:, None]).astype(np.float16),
        )

    def place(self, code: StyleCode) -> Array:
        """Where a style lies: ``(d,)``.

        Raises:
            ModelError: the style has no channel statistics (style files of early versions), or one of another size.
        """
        return np.asarray(self.places([code])[0])

    def places(self, codes: Sequence[StyleCode]) -> Array:
        """Of several styles: ``(N, d)``."""
        return np.asarray((self.features(codes) - self.mean) @ self.directions.astype(np.float64))

    def coordinates(self, features: Array) -> Array:
        """Where features ``(N, F)`` lie along the principal axes: ``(N, A)``, all parts counting alike."""
        return np.asarray((features - self.mean) @ self.axes.astype(np.float64))

    def differences(self, first: Array, second: Array | None = None) -> Array:
        """How far features ``(..., F)`` are apart, or from the mean, part by part ``(..., P)``: 1 is how far paintings
        are from the mean."""
        second = self.mean.astype(np.float64) if second is None else second
        squares = np.split((first - second) ** 2, _ENDS, axis=-1)
        return np.asarray(np.sqrt(np.stack([part.sum(-1) for part in squares], -1)) / self.scales)

    def features(self, codes: Sequence[StyleCode]) -> Array:
        """Of several styles, ``(N, F)``: see `features`.

        Raises:
            ModelError: as `features`, and for a style of another model, with a code of another size.
        """
        if not codes:
            return np.zeros((0, len(self.mean)))
        found = [features(code) for code in codes]
        if sizes := {len(one) for one in found} - {len(self.mean)}:
            raise ModelError(
                f"the style space knows styles of {len(self.mean)} features, and one has {sizes.pop()}; make the style "
                "with the model that ships with Sfumato"
            )
        return np.stack(found)

    def save(self, folder: str | os.PathLike[str]) -> str:
        """Writes the space into a bundle's folder, whole or not at all; returns the file's SHA-256, in hex.

        Raises:
            OutputError: it cannot be written.
        """
        data = tensor_bytes(vars(self))
        with atomic_file(Path(folder) / FILE) as file:
            file.write(data)
        return hashlib.sha256(data).hexdigest()

    @classmethod
    def load(cls, folder: str | os.PathLike[str] | None = None) -> Self:
        """The space of the bundle in ``folder``, by default of the model that ships with Sfumato.

        Raises:
            ModelError: the bundle has none, or it is damaged.
        """
        folder = Path(assets.weights_dir() if folder is None else folder)
        path = folder / FILE
        try:
            card = read_json(folder / "card.json")
            if (digest := card.get(CARD_KEY)) is None:
                raise ModelError(f"the model in {folder} has no style space; learn with the one that ships")
            data = read_bytes(path, _MAX_BYTES)
        except (OSError, ValueError, AttributeError) as problem:
            raise ModelError(
                f"cannot read the style space of {folder}: {problem}; install the model again"
            ) from problem
        if hashlib.sha256(data).hexdigest() != digest:
            raise ModelError(f"{path} is damaged: its hash is not the one on its card; install the model again")
        try:
            space = cls(**from_safetensors(data))
            size, directions = space.directions.shape
            if (
                space.mean.shape != (size,)
                or space.between.shape != (directions,)
                or len(space.scales) != len(PARTS) + 1
            ):
                raise ValueError("its parts do not fit each other")
            if size <= _ENDS[-1] or space.axes.shape != (size, space.axes.shape[-1]):
                raise ValueError("it is of other features")
            return space
        except (SafetensorError, TypeError, ValueError, IndexError) as problem:
            raise ModelError(f"{path} is no style space ({first_line(problem)}); install the model again") from problem


def features(code: StyleCode) -> Array:
    """Of a style, its channel statistics, what its code measures (as `PARTS` has them) and what it learnt, one behind
    the other: ``(F,)``.

    Raises:
        ModelError: it has no channel statistics (style files of early versions), or one of another size.
    """
    if code.channel_stats is None:
        raise ModelError(
            "the style has no channel statistics, so it cannot be placed among others; make it again from its picture"
        )
    if len(code.channel_stats) != _ENDS[-1] - COLOUR_STATS_SIZE:
        raise ModelError(
            f"the style's look has {len(code.channel_stats)} numbers and the style space knows looks of "
            f"{_ENDS[-1] - COLOUR_STATS_SIZE}; "
            "make the style with the model that ships with Sfumato"
        )
    return np.concatenate(
        [code.channel_stats, code.vector[-COLOUR_STATS_SIZE:], code.vector[:-COLOUR_STATS_SIZE]]
    ).astype(np.float64)


def _signed(vectors: Array) -> Array:
    """Columns whose sum is not below 0: the sign is not left to the solver."""
    return np.asarray(vectors * np.where(vectors.sum(0) < 0, -1.0, 1.0))
