"""The style space, in which a person's style is learnt: an embedding of styles that separates artists.

The `features` of a style are its *channel statistics* (of VGG19's first layers) and its style code, with the measured
part (palette, contrast, tones) and the learnt part. A style space therefore belongs to one model.

* A *place* is the embedding of a style by probabilistic linear discriminant analysis (Ioffe 2006; Prince & Elder 2007):
  a work ``x`` of an artist is ``y + e`` with ``y ~ N(0, diag(between))`` for the artist and ``e ~ N(0, I)`` for the
  work. The linear map is learnt from works of many artists (`StyleSpace.of`), and keeps the directions with the largest
  ``between``. A distance of 1 along any direction is one standard deviation between works of the same artist.
* `StyleSpace.differences` are the distances of two styles by part (`PARTS` and the learnt part).
* `StyleSpace.coordinates` are the principal components of a style among paintings, whoever made them.

The space is a file of the bundle, ``style_space.safetensors``, whose hash is on the card under ``style_space``.
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

#: Name of the space's file in a bundle.
FILE = "style_space.safetensors"
_MAX_BYTES = 64 * 2**20  # maximum size of the file; the shipped one has 67 thousand bytes
#: Key on the card for the file's SHA-256.
CARD_KEY = "style_space"
#: The parts of the features, in order, with their sizes: means and deviations of the channels of three layers of VGG19,
#: then the measured part of a style code. The learnt part of the code follows as the last part.
PARTS = {
    "relu1_1": 2 * 64,
    "relu2_1": 2 * 128,
    "relu3_1": 2 * 256,
    "mean colour": 3,
    "range of colours": 6,
    "contrast": 3 * BANDS,
    "tone curve": 3 * len(SHARES),
}
_ENDS = np.cumsum(list(PARTS.values()))
#: Number of discriminant directions.
DIRECTIONS = 32
#: Number of principal axes.
AXES = 10
#: Number of principal components of the features, which span the discriminant analysis.
COMPONENTS = 160
#: Shrinkage of the covariance within artists towards a multiple of the identity (Ledoit & Wolf 2004).
SHRINKAGE = 0.1


@dataclass(frozen=True, eq=False)
class StyleSpace:
    """An embedding of styles in which works of different artists are far apart.

    Attributes:
        mean: ``(F,)`` float32, features of the mean artist, whose place is 0.
        directions: ``(F, d)`` float16; a place is ``(features - mean) @ directions``.
        between: ``(d,)`` float32, variance between artists in descending order, relative to that within an artist.
        scales: ``(P,)`` float32, root mean squared distance of paintings from the mean, by part.
        axes: ``(F, A)`` float16; `coordinates` are ``(features - mean) @ axes``.
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
        """Learn the space from works and their artists.

        The weight of an artist is the root of the number of their works, so that neither the few artists with a hundred
        works nor the many with one dominate.

        Args:
            codes: Style codes of the works.
            artists: The artist of each work.
            directions: Maximum number of directions.

        Raises:
            UsageError: The numbers of works and artists differ, or fewer than 3 artists have two works.
            ModelError: A style has no channel statistics, or another number of them.
        """
        names = sorted(set(artists))
        owners = np.array([names.index(name) for name in artists], np.int32)
        counts = np.bincount(owners) if len(owners) else np.zeros(0, int)
        if len(codes) != len(owners) or (counts > 1).sum() < 3:
            raise UsageError(
                f"a style space needs works of 3 artists or more, two works of each, but has {len(codes)} works and "
                f"{len(owners)} names, and {(counts > 1).sum()} such artists"
            )
        raw = np.stack([features(code) for code in codes])
        # The analysis runs in an orthonormal basis of singular vectors of the features.
        _, _, vectors = np.linalg.svd(raw - raw.mean(0), full_matrices=False)
        basis = vectors[: min(COMPONENTS, len(vectors))].T  # (F, P)
        x = (raw - raw.mean(0)) @ basis
        means = np.stack([x[owners == owner].mean(0) for owner in range(len(names))])
        residuals = x - means[owners]
        within = residuals.T @ residuals / (counts[counts > 1] - 1).sum()
        within = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
        # Covariance of the artists' means, without the contribution of the scatter within artists.
        weights = np.sqrt(counts) / np.sqrt(counts).sum()
        middle = weights @ means
        spread = ((means - middle).T * weights) @ (means - middle) - within * (weights / counts).sum()
        lower = np.linalg.inv(np.linalg.cholesky(within))  # whitens the covariance within artists
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
            _fix_signs(basis @ (lower.T @ vectors[:, order])).astype(np.float16),
            variances[order].astype(np.float32),
            scales.astype(np.float32),
            (_fix_signs(axes[:AXES].T) / each[:, None]).astype(np.float16),
        )

    def place(self, code: StyleCode) -> Array:
        """Return the place of a style, ``(d,)``.

        Raises:
            ModelError: As `features`.
        """
        return np.asarray(self.places([code])[0])

    def places(self, codes: Sequence[StyleCode]) -> Array:
        """Return the places of several styles, ``(N, d)``."""
        return np.asarray((self.features(codes) - self.mean) @ self.directions.astype(np.float64))

    def coordinates(self, features: Array) -> Array:
        """Return the coordinates of features ``(N, F)`` along the principal axes, ``(N, A)``; parts weigh the same."""
        return np.asarray((features - self.mean) @ self.axes.astype(np.float64))

    def differences(self, first: Array, second: Array | None = None) -> Array:
        """Return the distances of features ``(..., F)`` by part, ``(..., P)``.

        1 is the root mean squared distance of paintings from the mean.

        Args:
            first: Features.
            second: Features to compare with; None takes the mean.
        """
        second = self.mean.astype(np.float64) if second is None else second
        squares = np.split((first - second) ** 2, _ENDS, axis=-1)
        return np.asarray(np.sqrt(np.stack([part.sum(-1) for part in squares], -1)) / self.scales)

    def features(self, codes: Sequence[StyleCode]) -> Array:
        """Return the `features` of several styles, ``(N, F)``.

        Raises:
            ModelError: As the function `features`; or a style of another model has a code of another size.
        """
        if not codes:
            return np.zeros((0, len(self.mean)))
        found = [features(code) for code in codes]
        if sizes := {len(one) for one in found} - {len(self.mean)}:
            raise ModelError(
                f"the style space needs {len(self.mean)} features, but a style has {sizes.pop()}; make the style with "
                "the model that ships with Sfumato"
            )
        return np.stack(found)

    def save(self, folder: str | os.PathLike[str]) -> str:
        """Write the space into a bundle's folder, whole or not at all, and return the file's SHA-256 in hex.

        Raises:
            OutputError: The file cannot be written.
        """
        data = tensor_bytes(vars(self))
        with atomic_file(Path(folder) / FILE) as file:
            file.write(data)
        return hashlib.sha256(data).hexdigest()

    @classmethod
    def load(cls, folder: str | os.PathLike[str] | None = None) -> Self:
        """Load the style space of the bundle in ``folder``; None loads that of the model that ships with Sfumato.

        Raises:
            ModelError: The bundle has no style space, or its file is damaged.
        """
        folder = Path(assets.weights_dir() if folder is None else folder)
        path = folder / FILE
        try:
            card = read_json(folder / "card.json")
            if (digest := card.get(CARD_KEY)) is None:
                raise ModelError(f"the model in {folder} has no style space; learn with the model that ships")
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
                raise ValueError("it needs other features")
            return space
        except (SafetensorError, TypeError, ValueError, IndexError) as problem:
            raise ModelError(f"{path} is no style space ({first_line(problem)}); install the model again") from problem


def features(code: StyleCode) -> Array:
    """Return the features of a style, ``(F,)``: channel statistics, measured part and learnt part of its code.

    `PARTS` lists the sizes of all but the last part.

    Raises:
        ModelError: The style has no channel statistics (style files of early versions), or another number of them.
    """
    if code.channel_stats is None:
        raise ModelError(
            "the style has no channel statistics, so it cannot be placed among others; make it again from its picture"
        )
    if len(code.channel_stats) != _ENDS[-1] - COLOUR_STATS_SIZE:
        raise ModelError(
            f"the style has {len(code.channel_stats)} channel statistics, but the style space needs "
            f"{_ENDS[-1] - COLOUR_STATS_SIZE}; make the style with the model that ships with Sfumato"
        )
    return np.concatenate(
        [code.channel_stats, code.vector[-COLOUR_STATS_SIZE:], code.vector[:-COLOUR_STATS_SIZE]]
    ).astype(np.float64)


def _fix_signs(vectors: Array) -> Array:
    """Flip columns to a sum of 0 or more, so that the sign does not depend on the solver."""
    return np.asarray(vectors * np.where(vectors.sum(0) < 0, -1.0, 1.0))
