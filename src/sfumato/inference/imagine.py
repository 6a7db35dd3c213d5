"""Generation of pictures from noise, by an exported model of the kind noise, and interpolation between them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from sfumato import __version__
from sfumato.assets import model_names, weights_dir
from sfumato.checks import check_range, check_whole
from sfumato.errors import InputError, ModelError, UsageError, first_line
from sfumato.image import Picture
from sfumato.inference.feature_networks import DECODER, DECODER_ENDS, STRIDE
from sfumato.inference.options import MAX_SEED
from sfumato.inference.session import Ends, Graph, card_files, card_number, card_text, load_graph, read_card

Z: TypeAlias = npt.NDArray[np.float32]

GRAPH = "generator.onnx"
#: The graph's input and output, by what it generates.
_ENDS: dict[str, Ends] = {"pixels": (("z",), ("pictures",)), "features": (("z",), ("generated",))}
SHIPPED = "noise"  # folder of the shipped model


@dataclass(frozen=True)
class Imagined:
    """The recipe of pictures that were generated from noise, stored inside them.

    Attributes:
        version: version of Sfumato.
        model: the model's id.
        model_sha256: of its graph; of a generator of features, of the hashes of its graph and its decoder.
        seed, truncation: as `Imaginer.z` takes them.
        index: of the picture, or of the first of several.
        count: number of pictures: 1, those of a grid, or the stations of a walk.
        walk: number of pictures from one station to the next; 0 where there is no walk.
    """

    version: str
    model: str
    model_sha256: str
    seed: int
    truncation: float = 1.0
    index: int = 0
    count: int = 1
    walk: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as JSON values."""
        return {"kind": "noise", **asdict(self)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any], where: str) -> Self:
        """Return the recipe that a file holds; ``where`` names the file in error messages.

        Raises:
            InputError: it is damaged, or not a recipe of this kind.
        """
        try:
            # `retouch.finishes` reads the finishing steps.
            recipe = cls(**{name: value for name, value in found.items() if name not in ("kind", "finish")})
            texts = (recipe.version, recipe.model, recipe.model_sha256)
            if not all(isinstance(text, str) for text in texts):
                raise ValueError("its values have other types")
            for name in ("seed", "index", "count", "walk"):
                check_whole(getattr(recipe, name), 0, MAX_SEED, f"its {name}")
            check_range(recipe.truncation, 0.0, 1.0, "its truncation")
        except (TypeError, ValueError, UsageError) as problem:
            raise InputError(
                f"the recipe inside {where} is damaged, or of another version ({first_line(problem)})"
            ) from problem
        return recipe

    @property
    def command(self) -> str:
        """The command that makes the pictures again, with placeholders for files."""
        words = f"--seed {self.seed} --index {self.index} --count {self.count} --truncation {self.truncation!r}"
        model = "" if self.model in model_names() else "--model MODEL "
        return f"sfumato imagine {model}{words}{f' --walk {self.walk}' * bool(self.walk)} -o OUT"


class Imaginer:
    """Generates pictures from noise with one exported model of the kind noise.

    ::

        imagine = Imaginer("my-model/")
        write_image(imagine(imagine.z(seed=0, index=3)), "painted.png")

    Args:
        model: folder of an exported model (``sfumato export``); ``None`` takes the one that ships with Sfumato, if
            there is one.
        threads: CPU threads; ``None`` lets ONNX Runtime use one per core.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for the fastest device that works.

    Raises:
        ModelError: the folder holds no model of this kind.
    """

    def __init__(
        self, model: str | os.PathLike[str] | None = None, threads: int | None = None, device: str = "auto"
    ) -> None:
        self.folder = (_shipped() if model is None else Path(model)).resolve()
        path, card = self.folder / "card.json", read_card(self.folder)
        if (kind := card.get("kind", "arbitrary")) != "noise":
            raise ModelError(
                f"{model} is a model of the kind {str(kind)[:40]!r}, and only the kind noise generates pictures from "
                "noise; train one with sfumato train --kind noise"
            )
        self.model = card_text(card, "model", path)
        self.z_size = card_number(card, "z_size", path, 1, 2**16)
        self.side = card_number(card, "side", path, 1, 2**12)
        self._generates = str(card.get("generator", "pixels"))
        if self._generates not in _ENDS:
            raise ModelError(f"{path} is not a model card: 'generator' is wrong; export the model again")
        self._files = card_files(card, path, {GRAPH} if self._generates == "pixels" else {GRAPH, DECODER})
        self.digest = self._files[GRAPH]
        if self._generates == "features":
            self.digest = hashlib.sha256((self._files[GRAPH] + self._files[DECODER]).encode()).hexdigest()
        self._threads, self._device = threads, device

    def z(self, seed: int, index: int = 0, truncation: float = 1.0) -> Z:
        """Return the latent vector ``(Z,)`` of picture ``index`` of a seed: N(0, I), then truncated.

        It depends on the arguments only, not on other pictures.
        """
        sample = np.random.default_rng([seed, index]).standard_normal(self.z_size, np.float32)
        return truncate(sample, truncation)

    def __call__(self, z: Z) -> Picture:
        """Generate the picture of a latent vector: ``(Z,)`` -> ``(1, 3, side, side)`` float32 in ``[0, 1]``.

        Pictures are generated one at a time, since the batch size could change the last bits of the result.

        Raises:
            UsageError: ``z`` has another shape.
        """
        if z.shape != (self.z_size,):
            raise UsageError(f"the model {self.model!r} needs z of shape ({self.z_size},), but it has {z.shape}")
        inputs, size = {"z": z.astype(np.float32)[None]}, (1, 3, self.side, self.side)
        if self._generates == "pixels":
            return self._graph(GRAPH, _ENDS["pixels"]).run(inputs, [size])[0]
        cells = self.side // STRIDE
        (entered,) = self._graph(GRAPH, _ENDS["features"]).run(inputs, [(1, None, cells, cells)])
        (painted,) = self._graph(DECODER, DECODER_ENDS).run({"entered": entered}, [size])
        return np.clip(painted, 0, 1)

    def _graph(self, name: str, ends: Ends) -> Graph:
        path = self.folder / name
        if name == DECODER and not path.exists():  # the shipped model shares the shipped decoder
            path = weights_dir("matching") / name
        return load_graph(path, self._files[name], ends, self._threads, self._device)

    def recipe(self, seed: int, truncation: float, index: int, count: int = 1, walk: int = 0) -> Imagined:
        """Return the recipe of the picture with that index, or of ``count`` pictures from it on."""
        return Imagined(__version__, self.model, self.digest, seed, truncation, index, count, walk)

    def walk(self, stations: list[Z], steps: int) -> Iterator[Picture]:
        """Yield ``steps`` pictures from each station to the next, and from the last to the first: a seamless loop."""
        for z, following in zip(stations, [*stations[1:], stations[0]], strict=True):
            for between in slerp(z, following, steps + 1)[:-1]:
                yield self(between)


def _shipped() -> Path:
    """Return the folder of the shipped model of the kind noise.

    Raises:
        UsageError: this version has none.
    """
    try:
        return weights_dir(SHIPPED)
    except ModelError as problem:
        raise UsageError(
            "no model of the kind noise ships with this version; train one with sfumato train --kind noise, export it, "
            "and name it with --model"
        ) from problem


def truncate(z: Z, psi: float) -> Z:
    """Return latent vectors (..., Z) scaled towards 0, the mean: psi·z (truncation trick).

    A psi of 1 changes nothing; smaller values give more typical and less varied pictures.

    Raises:
        UsageError: psi is not in [0, 1].
    """
    return np.asarray(np.float32(check_range(psi, 0.0, 1.0, "truncation")) * z, z.dtype)


def slerp(z0: npt.NDArray[Any], z1: npt.NDArray[Any], steps: int) -> npt.NDArray[Any]:
    """Interpolate from z0 to z1, both (..., Z), along the sphere: (steps, ..., Z), both ends included (White 2016).

    A straight line would pass through vectors shorter than any that is drawn from N(0, I). The interpolation is linear
    where it has no unique arc: where both point in the same direction, where they are opposite, or where one of them is
    0.

    Raises:
        UsageError: there are fewer than 2 steps.
    """
    if steps < 2:
        raise UsageError(f"steps of a walk must be at least 2, but is {steps}")
    a, b = z0.astype(np.float64), z1.astype(np.float64)
    t = np.linspace(0, 1, steps).reshape(-1, *[1] * a.ndim)
    lengths = np.linalg.norm(a, axis=-1, keepdims=True) * np.linalg.norm(b, axis=-1, keepdims=True)
    nonzero = lengths > 0
    cosine = (a * b).sum(-1, keepdims=True) / np.where(nonzero, lengths, 1)
    angle = np.arccos(np.clip(cosine, -1, 1))
    curved = nonzero & (np.sin(angle) > 1e-3)  # elsewhere the formula is 0 / 0
    sine = np.where(curved, np.sin(angle), 1)
    first = np.where(curved, np.sin((1 - t) * angle) / sine, 1 - t)
    second = np.where(curved, np.sin(t * angle) / sine, t)
    return np.asarray(first * a + second * b, z0.dtype)
