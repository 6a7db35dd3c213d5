"""Which of the paintings that a model learnt from lie nearest to a style: an index of their codes beside the model.

The index is a file of the bundle, ``training_styles.safetensors``, whose hash stands on the card under
``training_styles``. A model of one's own has none. ``tools/build_assets.py --only-index`` makes it.
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

#: The index's name in a bundle's folder.
FILE = "training_styles.safetensors"
_MAX_BYTES = 2**30  # bytes; the shipped one, of a thousand paintings, has 441 thousand
#: Its key on the card: the file's SHA-256.
CARD_KEY = "training_styles"
#: A style nearer than this to a painting, in the unit of distances, is that painting: codes kept in 16 bits and read
#: on another machine differ by some 0.001, two paintings by far more.
SAME = 0.02

_KEY = "sfumato.training_styles"  # the one key of the metadata: several would be written in an order that changes


@dataclass(frozen=True)
class Work:
    """A painting as the manifest of the training pictures names it."""

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
        return {**asdict(self.work), "distance": self.distance, "is_the_same": self.is_the_same}


@dataclass(frozen=True, eq=False)
class TrainingStyles:
    """The codes of a model's training paintings, in the measure that they are compared by.

    Attributes:
        model: the id of the model whose codes they are.
        works: N paintings.
        codes: ``(N, D)`` float16: each number of a code less its mean, over its deviation, both over the paintings. Raw
            numbers have ranges of their own: the learnt ones go to tens, a mean colour only from 0 to 1.
        mean, deviation: ``(D,)`` float32.
        median: of the Euclidean distances between the rows, over all pairs: the unit of distances.
    """

    model: str
    works: Sequence[Work]
    codes: npt.NDArray[np.float16]
    mean: npt.NDArray[np.float32]
    deviation: npt.NDArray[np.float32]
    median: float

    @classmethod
    def of(cls, codes: Sequence[StyleCode], works: Sequence[Work]) -> Self:
        """The index of paintings and their codes.

        Raises:
            UsageError: less than three paintings, another number of codes, or all codes are equal.
            ModelError: codes of different models.
        """
        if len(codes) < 3 or len(codes) != len(works):
            raise UsageError(
                f"an index needs three paintings and a code of each, but has {len(works)} and {len(codes)}"
            )
        if len({(code.model, len(code)) for code in codes}) != 1:
            raise ModelError("an index holds codes of one model, and these are of several; encode all with one")
        raw = np.stack([code.vector for code in codes]).astype(np.float64)
        mean = raw.mean(0).astype(np.float32)
        deviation = raw.std(0).astype(np.float32)
        deviation[deviation < 1e-6] = 1.0  # what is the same in all paintings tells them not apart
        rounded = ((raw - mean) / deviation).astype(np.float16)
        median = float(np.median(_distances(rounded)))
        if not median > 0:
            raise UsageError("an index needs paintings that differ, and these are all alike")
        return cls(codes[0].model, tuple(works), rounded, mean, deviation, median)

    def nearest(self, code: StyleCode, count: int = 5) -> list[Neighbour]:
        """The paintings nearest to a style, the nearest first.

        Raises:
            ModelError: the code is another model's.
        """
        if (code.model, len(code)) != (self.model, len(self.mean)):
            raise ModelError(f"the style is of the model {code.model!r} and the index of {self.model!r}; use one model")
        place = (code.vector.astype(np.float64) - self.mean) / self.deviation
        distances = np.linalg.norm(self.codes.astype(np.float64) - place, axis=1) / self.median
        order = np.argsort(distances, kind="stable")[:count]
        return [Neighbour(self.works[i], float(distances[i])) for i in order]

    def save(self, folder: str | os.PathLike[str]) -> str:
        """Writes the index into a bundle's folder, whole or not at all; returns the file's SHA-256, in hex.

        Raises:
            OutputError: it cannot be written.
        """
        licences = sorted({work.licence for work in self.works})
        places = sorted({_place(work)[0] for work in self.works})  # some thousand characters once, not a hundred kB
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
        """The index of the bundle in ``folder``; ``None`` where its card names none.

        Raises:
            ModelError: the card, or the index that it names, is damaged.
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
                raise ValueError("its parts do not fit each other")
            return cls(about["model"], works, codes, mean, deviation, float(about["median"]))
        except (SafetensorError, KeyError, TypeError, ValueError, IndexError, RecursionError) as problem:
            raise ModelError(
                f"{path} is no index of paintings ({first_line(problem)}); install the model again"
            ) from problem


def _place(work: Work) -> tuple[str, str]:
    """``github:someone/paintings@1234:folder/one.jpg`` -> what many sources begin with, and the rest."""
    at = work.source.rfind(":") + 1
    return work.source[:at], work.source[at:]


def _metadata(data: bytes) -> dict[str, str]:
    """Of a safetensors file in memory: its header is JSON behind its length in eight bytes."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    found: dict[str, str] = header["__metadata__"]
    return found


def _distances(codes: npt.NDArray[np.float16]) -> npt.NDArray[np.float64]:
    """Of all pairs of rows of ``(N, D)``: ``(N·(N - 1)/2,)``."""
    x = codes.astype(np.float64)
    squares = (x * x).sum(1)
    gram = squares[:, None] + squares[None] - 2 * x @ x.T
    return np.asarray(np.sqrt(np.maximum(gram[np.triu_indices(len(x), 1)], 0.0)))
