"""An index of the style codes of a model's training paintings, and the search for those nearest to a style.

The index is a file of the bundle, ``training_styles.safetensors``, whose hash is on the card under ``training_styles``.
A model that a user trained has none. ``tools/build_assets.py --only-index`` makes it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as from_safetensors

from sfumato.errors import ModelError, UsageError, first_line
from sfumato.files import atomic_file, read_bytes, read_json
from sfumato.style_code import StyleCode, tensor_bytes

#: File name of the index in a bundle.
FILE = "training_styles.safetensors"
_MAX_BYTES = 2**30  # bytes; the shipped one, of a thousand paintings, has 441 thousand
#: Key of the file's SHA-256 on the card.
CARD_KEY = "training_styles"
#: Distance, in medians, below which a style is that painting itself. Codes that were rounded to 16 bits or computed on
#: another machine differ by some 0.001, those of two paintings by far more.
SAME = 0.02

_KEY = "sfumato.training_styles"  # the only key of the metadata, since safetensors writes several in a random order


@dataclass(frozen=True)
class Work:
    """A painting as listed in the manifest of the training pictures."""

    artist: str
    title: str
    source: str
    licence: str


@dataclass(frozen=True)
class Neighbour:
    """A painting and its distance from a style, in medians of the distances between training paintings."""

    work: Work
    distance: float

    @property
    def is_the_same(self) -> bool:
        """Whether the style is this painting itself."""
        return self.distance < SAME

    def to_json(self) -> dict[str, object]:
        """Return the painting's fields, ``distance`` and ``is_the_same``."""
        return {**asdict(self.work), "distance": self.distance, "is_the_same": self.is_the_same}


@dataclass(frozen=True, eq=False)
class TrainingStyles:
    """The style codes of a model's training paintings, normalised for comparison.

    Attributes:
        model: id of the model that made the codes.
        works: the N paintings.
        codes: ``(N, D)`` float16: standardised with ``mean`` and ``deviation``, since raw components have different
            ranges: the learnt ones reach tens, a mean colour is in [0, 1].
        mean, deviation: ``(D,)`` float32, of each component over the paintings.
        median: of the Euclidean distances between all pairs of rows; the unit of distances.
    """

    model: str
    works: Sequence[Work]
    codes: npt.NDArray[np.float16]
    mean: npt.NDArray[np.float32]
    deviation: npt.NDArray[np.float32]
    median: float

    @classmethod
    def of(cls, codes: Sequence[StyleCode], works: Sequence[Work]) -> Self:
        """Return the index of paintings and their codes.

        Raises:
            UsageError: there are fewer than three paintings, the numbers differ, or all codes are equal.
            ModelError: the codes belong to different models.
        """
        if len(codes) < 3 or len(codes) != len(works):
            raise UsageError(
                f"an index needs at least three paintings and one code for each, but got {len(works)} paintings and "
                f"{len(codes)} codes"
            )
        if len({(code.model, len(code)) for code in codes}) != 1:
            raise ModelError("all codes of an index must be of one model; encode all paintings with the same model")
        raw = np.stack([code.vector for code in codes]).astype(np.float64)
        mean = raw.mean(0).astype(np.float32)
        deviation = raw.std(0).astype(np.float32)
        deviation[deviation < 1e-6] = 1.0  # a constant component does not distinguish paintings
        rounded = ((raw - mean) / deviation).astype(np.float16)
        median = float(np.median(_distances(rounded)))
        if not median > 0:
            raise UsageError("an index needs paintings that differ, but the codes of these are equal")
        return cls(codes[0].model, tuple(works), rounded, mean, deviation, median)

    def nearest(self, code: StyleCode, count: int = 5) -> list[Neighbour]:
        """Return the ``count`` paintings nearest to a style, the nearest first.

        Raises:
            ModelError: the code belongs to another model.
        """
        if (code.model, len(code)) != (self.model, len(self.mean)):
            raise ModelError(f"the style is of the model {code.model!r}, the index of {self.model!r}; use one model")
        place = (code.vector.astype(np.float64) - self.mean) / self.deviation
        distances = np.linalg.norm(self.codes.astype(np.float64) - place, axis=1) / self.median
        order = np.argsort(distances, kind="stable")[:count]
        return [Neighbour(self.works[i], float(distances[i])) for i in order]

    def save(self, folder: str | os.PathLike[str]) -> str:
        """Write the index into a bundle's folder, whole or not at all, and return the file's SHA-256, in hex.

        Raises:
            OutputError: it cannot be written.
        """
        licences = sorted({work.licence for work in self.works})
        places = sorted({_place(work)[0] for work in self.works})  # stored once: a few kB instead of a hundred
        rows = [
            [work.artist, work.title, places.index(_place(work)[0]), _place(work)[1], licences.index(work.licence)]
            for work in self.works
        ]
        about = {"model": self.model, "median": self.median, "licences": licences, "places": places, "works": rows}
        tensors: dict[str, npt.NDArray[Any]] = {"codes": self.codes, "mean": self.mean, "deviation": self.deviation}
        data = tensor_bytes(tensors, {_KEY: json.dumps(about, ensure_ascii=False, separators=(",", ":"))})
        with atomic_file(Path(folder) / FILE) as file:
            file.write(data)
        return hashlib.sha256(data).hexdigest()

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self | None:
        """Return the index of the bundle in ``folder``; ``None`` where its card names none.

        Raises:
            ModelError: the card or the index is damaged.
        """
        folder = Path(folder)
        path = folder / FILE
        try:
            card = read_json(folder / "card.json")
            digest = card.get(CARD_KEY)
            if digest is None:
                return None
            data = read_bytes(path, _MAX_BYTES)
        except (OSError, ValueError, AttributeError) as problem:
            raise ModelError(f"cannot read the index of {folder}: {problem}; install the model again") from problem
        if hashlib.sha256(data).hexdigest() != digest:
            raise ModelError(f"{path} is damaged: its hash is not the one on its card; install the model again")
        try:
            about = json.loads(_metadata(data)[_KEY])
            tensors = from_safetensors(data)
            codes, mean, deviation = tensors["codes"], tensors["mean"], tensors["deviation"]
            works = [
                Work(artist, title, about["places"][place] + rest, about["licences"][licence])
                for artist, title, place, rest, licence in about["works"]
            ]
            if codes.shape != (len(works), *mean.shape) or mean.shape != deviation.shape:
                raise ValueError("its tensors have shapes that do not match")
            return cls(about["model"], works, codes, mean, deviation, float(about["median"]))
        except (SafetensorError, KeyError, TypeError, ValueError, IndexError, RecursionError) as problem:
            raise ModelError(
                f"{path} is not an index of paintings ({first_line(problem)}); install the model again"
            ) from problem


def _place(work: Work) -> tuple[str, str]:
    """Split a source into the prefix that many sources share, up to the last colon, and the rest."""
    at = work.source.rfind(":") + 1
    return work.source[:at], work.source[at:]


def _metadata(data: bytes) -> dict[str, str]:
    """Return the metadata of a safetensors file in memory: its JSON header follows its length in eight bytes."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    found: dict[str, str] = header["__metadata__"]
    return found


def _distances(codes: npt.NDArray[np.float16]) -> npt.NDArray[np.float64]:
    """Return the Euclidean distances of all pairs of rows of ``(N, D)``: ``(N·(N - 1)/2,)``."""
    x = codes.astype(np.float64)
    squares = (x * x).sum(1)
    gram = squares[:, None] + squares[None] - 2 * x @ x.T
    return np.asarray(np.sqrt(np.maximum(gram[np.triu_indices(len(x), 1)], 0.0)))
