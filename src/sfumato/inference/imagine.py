"""Pictures out of noise, by an exported model of the kind noise, and the ways between them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from sfumato import __version__
from sfumato.checks import check_range, check_whole
from sfumato.errors import InputError, ModelError, UsageError, first_line
from sfumato.image import Picture
from sfumato.inference.options import MAX_SEED
from sfumato.inference.session import Ends, card_files, card_number, card_text, load_graph, read_card

Z: TypeAlias = npt.NDArray[np.float32]

GRAPH = "generator.onnx"
_ENDS: Ends = (("z",), ("pictures",))


@dataclass(frozen=True)
class Imagined:
    """What made a picture out of noise, kept inside it.

    Attributes:
        version: of Sfumato.
        model: the model's id.
        model_sha256: of its graph.
        seed, truncation: as `Imaginer.z` takes them.
        index: of the picture, or of the first of several.
        count: of pictures: 1, those of a grid, or those that a walk leads to.
        walk: pictures from one to the next; 0 where there is no walk.
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
        return {"kind": "noise", **asdict(self)}

    @classmethod
    def from_json(cls, found: Mapping[str, Any], where: str) -> Self:
        """From what a file had embedded.

        Raises:
            InputError: it is no recipe of this kind.
        """
        try:
            # A finishing after it is `retouch.finishes`' to read.
            recipe = cls(**{name: value for name, value in found.items() if name not in ("kind", "finish")})
            texts = (recipe.version, recipe.model, recipe.model_sha256)
            if not all(isinstance(text, str) for text in texts):
                raise ValueError("its parts have other types")
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
        """What makes it again, but for the names of files."""
        words = f"--seed {self.seed} --index {self.index} --count {self.count} --truncation {self.truncation!r}"
        return f"sfumato imagine --model MODEL {words}{f' --walk {self.walk}' * bool(self.walk)} -o OUT"


class Imaginer:
    """Paints out of noise with one exported model of that kind.

    ::

        imagine = Imaginer("my-model/")
        write_image(imagine(imagine.z(seed=0, index=3)), "painted.png")

    Args:
        model: folder of the exported model (``sfumato export``).
        threads: CPU threads; ``None`` lets ONNX Runtime take one for each core.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for the fastest that works here.

    Raises:
        ModelError: the folder holds no model of this kind.
    """

    def __init__(self, model: str | os.PathLike[str], threads: int | None = None, device: str = "auto") -> None:
        self.folder = Path(model).resolve()
        path, card = self.folder / "card.json", read_card(self.folder)
        if (kind := card.get("kind", "arbitrary")) != "noise":
            raise ModelError(
                f"{model} is a model of the kind {str(kind)[:40]!r}, and pictures come out of noise by one of the "
                "kind noise only; train one with sfumato train --kind noise"
            )
        self.model = card_text(card, "model", path)
        self.z_size = card_number(card, "z_size", path, 1, 2**16)
        self.side = card_number(card, "side", path, 1, 2**12)
        self.digest = card_files(card, path, {GRAPH})[GRAPH]
        self._threads, self._device = threads, device

    def z(self, seed: int, index: int = 0, truncation: float = 1.0) -> Z:
        """What picture ``index`` of a seed is made of, ``(Z,)``: N(0, I), truncated. It depends on nothing else."""
        drawn = np.random.default_rng([seed, index]).standard_normal(self.z_size, np.float32)
        return truncate(drawn, truncation)

    def __call__(self, z: Z) -> Picture:
        """z ``(Z,)`` -> ``(1, 3, side, side)`` float32 in ``[0, 1]``.

        One at a time: how many there are together may change the last bits, and the same z is to give the same pixels.
        """
        graph = load_graph(self.folder / GRAPH, self.digest, _ENDS, self._threads, self._device)
        if z.shape != (self.z_size,):
            raise UsageError(f"the model {self.model!r} paints of {self.z_size} values, but z has shape {z.shape}")
        return graph.run({"z": z.astype(np.float32)[None]}, [(1, 3, self.side, self.side)])[0]

    def recipe(self, seed: int, truncation: float, index: int, count: int = 1, walk: int = 0) -> Imagined:
        return Imagined(__version__, self.model, self.digest, seed, truncation, index, count, walk)

    def walk(self, stations: list[Z], steps: int) -> Iterator[Picture]:
        """Pictures from each z to the next, and from the last to the first, ``steps`` each: shown again and again, they
        never jump."""
        for z, following in zip(stations, [*stations[1:], stations[0]], strict=True):
            for between in slerp(z, following, steps + 1)[:-1]:
                yield self(between)


def truncate(z: Z, psi: float) -> Z:
    """z (..., Z) pulled towards 0, the mean of all: psi·z. 1 leaves it; less is safer and less various.

    Raises:
        UsageError: psi is not in [0, 1].
    """
    return np.asarray(np.float32(check_range(psi, 0.0, 1.0, "truncation")) * z, z.dtype)


def slerp(z0: npt.NDArray[Any], z1: npt.NDArray[Any], steps: int) -> npt.NDArray[Any]:
    """From z0 to z1, both (..., Z), along the sphere: (steps, ..., Z), the ends included (slerp, White 2016).

    A straight line would pass nearer to 0 than any z that was drawn. Only where the two point the same way is the way
    straight; where they are opposite, so that every way round is as near, it is straight too, through 0; and so it is
    where one of them is 0 and points nowhere.

    Raises:
        UsageError: fewer than 2 steps.
    """
    if steps < 2:
        raise UsageError(f"a walk has at least 2 steps, its ends, not {steps}")
    a, b = z0.astype(np.float64), z1.astype(np.float64)
    t = np.linspace(0, 1, steps).reshape(-1, *[1] * a.ndim)
    lengths = np.linalg.norm(a, axis=-1, keepdims=True) * np.linalg.norm(b, axis=-1, keepdims=True)
    somewhere = lengths > 0
    cosine = (a * b).sum(-1, keepdims=True) / np.where(somewhere, lengths, 1)
    angle = np.arccos(np.clip(cosine, -1, 1))
    curved = somewhere & (np.sin(angle) > 1e-3)  # elsewhere 0 over 0
    sine = np.where(curved, np.sin(angle), 1)
    first = np.where(curved, np.sin((1 - t) * angle) / sine, 1 - t)
    second = np.where(curved, np.sin(t * angle) / sine, t)
    return np.asarray(first * a + second * b, z0.dtype)
