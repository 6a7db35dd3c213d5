"""The style space: a few directions along which artists differ, and in which a person's taste is learnt.

A place in it is made of a style's *look* (log statistics of VGG19's first layers) and the *measured* part of its code
(palette, contrast, tones), and not of the learnt part: it stays the same when the generator is trained again.

Probabilistic linear discriminant analysis (Ioffe 2006; Prince & Elder 2007): a work ``x`` of an artist is ``y + e``
with ``y ~ N(0, diag(between))`` for the artist and ``e ~ N(0, I)`` for the work. The linear map that makes it so is
learnt from works of many artists (`StyleSpace.of`); the directions kept are those with the greatest ``between``. So a
distance of 1 along any direction is one deviation between works of the same hand.

The space is a file of the bundle, ``style_space.safetensors``, whose hash stands on the card under ``style_space``.
``tools/build_assets.py DATA --only-space`` makes it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors

from sfumato import assets
from sfumato.errors import ModelError, UsageError
from sfumato.files import atomic_file
from sfumato.style_code import MEASURED, StyleCode

Array = npt.NDArray[np.float64]

#: The space's name in a bundle's folder.
FILE = "style_space.safetensors"
#: Its key on the card: the file's SHA-256.
CARD_KEY = "style_space"
#: Directions kept.
DIRECTIONS = 32
#: Principal components of looks and measured parts that the directions are sought among.
COMPONENTS = 160
#: How far the covariance within artists is shrunk towards a multiple of the identity (Ledoit & Wolf 2004).
SHRINKAGE = 0.1


@dataclass(frozen=True, eq=False)
class StyleSpace:
    """Places of styles, where what tells artists apart is far.

    Attributes:
        mean: ``(F,)`` float32 of looks and measured parts, one behind the other.
        directions: ``(F, d)`` float32: a place is ``(features - mean) @ directions``.
        between: ``(d,)`` float32, falling: variance between artists, where that within an artist is 1.
        works: ``(N, d)`` float16, the places of the paintings that it was learnt from.
        artists: ``(N,)`` int32: which of them are by one hand.
    """

    mean: npt.NDArray[np.float32]
    directions: npt.NDArray[np.float32]
    between: npt.NDArray[np.float32]
    works: npt.NDArray[np.float16]
    artists: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.between)

    @classmethod
    def of(cls, codes: Sequence[StyleCode], artists: Sequence[str], directions: int = DIRECTIONS) -> Self:
        """Learns the space from works and who made each.

        Artists weigh by the root of how many works they have: neither the few with a hundred nor the many with one
        decide alone.

        Raises:
            UsageError: another number of artists, or too few of them with two works or more.
            ModelError: a style without a look, or looks of several sizes.
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
        mean = raw.mean(0)
        # Singular vectors of the features: an orthonormal basis in which the rest is done.
        _, _, axes = np.linalg.svd(raw - mean, full_matrices=False)
        basis = axes[: min(COMPONENTS, len(axes))].T  # (F, P)
        x = (raw - mean) @ basis
        means = np.stack([x[hands == hand].mean(0) for hand in range(len(names))])
        rest = x - means[hands]
        many = counts > 1
        within = rest.T @ rest / (counts[many] - 1).sum()
        within = (1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
        # Of the artists' means, less what their works' scatter adds to it.
        weights = np.sqrt(counts) / np.sqrt(counts).sum()
        middle = weights @ means
        centred = means - middle
        spread = (centred * weights[:, None]).T @ centred - within * (weights / counts).sum()
        lower = np.linalg.inv(np.linalg.cholesky(within))  # whitens what lies within
        variances, vectors = np.linalg.eigh(lower @ spread @ lower.T)
        order = np.argsort(variances)[::-1][:directions]
        order = order[variances[order] > 0]
        found = basis @ (lower.T @ vectors[:, order])
        found *= np.where(found.sum(0) < 0, -1.0, 1.0)  # a sign of its own, whatever the solver's
        mean = mean + basis @ middle  # of artists
        return cls(
            mean.astype(np.float32),
            found.astype(np.float32),
            variances[order].astype(np.float32),
            ((raw - mean) @ found).astype(np.float16),
            hands,
        )

    def place(self, code: StyleCode) -> Array:
        """Where a style lies: ``(d,)``.

        Raises:
            ModelError: the style has no look (style files of early versions), or one of another size.
        """
        found = features(code)
        if len(found) != len(self.mean):
            raise ModelError(
                f"a style's look has {len(found) - MEASURED} numbers and the style space's "
                f"{len(self.mean) - MEASURED}; make the style again with the model that the space belongs to"
            )
        return np.asarray((found - self.mean) @ self.directions.astype(np.float64))

    def places(self, codes: Sequence[StyleCode]) -> Array:
        """Of several styles: ``(N, d)``."""
        return np.stack([self.place(code) for code in codes]) if codes else np.zeros((0, len(self)))

    def save(self, folder: str | os.PathLike[str]) -> str:
        """Writes the space into a bundle's folder, whole or not at all; returns the file's SHA-256, in hex.

        Raises:
            OutputError: it cannot be written.
        """
        data = to_safetensors(
            {
                "mean": self.mean,
                "directions": self.directions,
                "between": self.between,
                "works": self.works,
                "artists": self.artists,
            }
        )
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
            card = json.loads((folder / "card.json").read_bytes())
            if (digest := card.get(CARD_KEY)) is None:
                raise ModelError(f"the model in {folder} has no style space; learn with the one that ships")
            data = path.read_bytes()
        except (OSError, ValueError, AttributeError) as problem:
            raise ModelError(
                f"cannot read the style space of {folder}: {problem}; install the model again"
            ) from problem
        if hashlib.sha256(data).hexdigest() != digest:
            raise ModelError(f"{path} is damaged: its hash is not the one on its card; install the model again")
        try:
            tensors = from_safetensors(data)
            mean, directions, between = tensors["mean"], tensors["directions"], tensors["between"]
            works, artists = tensors["works"], tensors["artists"]
            if directions.shape != (*mean.shape, *between.shape) or works.shape != (*artists.shape, *between.shape):
                raise ValueError("its parts do not fit each other")
            return cls(mean, directions, between, works, artists)
        except (SafetensorError, KeyError, ValueError) as problem:
            raise ModelError(f"{path} is no style space ({problem}); install the model again") from problem


def features(code: StyleCode) -> Array:
    """Of a style, what its place is made of: ``(F,)``, its look and the measured part of its code.

    Raises:
        ModelError: it has no look.
    """
    if code.look is None:
        raise ModelError("the style has no look, so it cannot be placed among others; make it again from its picture")
    return np.concatenate([code.look, code.vector[-MEASURED:]]).astype(np.float64)
