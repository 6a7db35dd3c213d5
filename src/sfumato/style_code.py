"""Style codes: small vectors that the style encoder of a model computes from pictures.

A code stands for one picture, for several or for a blend. It can be compared, blended, and saved as a file of a few kB.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from sfumato.checks import check_range
from sfumato.errors import InputError, ModelError, UsageError, first_line
from sfumato.files import atomic_file
from sfumato.public import public

#: The only metadata key of a style file. safetensors writes several keys in an order that changes from run to run, but
#: equal styles should give equal files.
_KEY = "sfumato.style"
_MAX_BYTES = 1_000_000
#: Octave bands of detail whose contrast is part of the colour statistics.
BANDS = 4
#: Quantile levels of the histogram of each colour channel.
SHARES = (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)
#: Size of the colour statistics, the last part of a code, which are measured; see `networks.statistics.ColourStats`.
COLOUR_STATS_SIZE = 9 + 3 * BANDS + 3 * len(SHARES)

#: A function that reads all tensors of a file, by name.
Tensors: TypeAlias = Callable[[], dict[str, npt.NDArray[Any]]]
_Made = TypeVar("_Made")


def to_text(values: npt.NDArray[np.float32], kind: str) -> str:
    """Encode numbers as base64, for cards and recipes; ``kind`` is the NumPy type, ``"<f4"`` or ``"<f2"``."""
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def from_text(text: str, kind: str) -> npt.NDArray[np.float32]:
    """Decode numbers that :func:`to_text` encoded with the same ``kind``.

    Raises:
        ValueError: the text is not base64 of such numbers.
    """
    return np.frombuffer(base64.b64decode(text, validate=True), kind).astype(np.float32)


def tensor_bytes(tensors: Mapping[str, npt.NDArray[Any]], metadata: dict[str, str] | None = None) -> bytes:
    """Return arrays as the bytes of a safetensors file.

    The arrays may have any memory layout. safetensors writes raw memory, so they are made C-contiguous first.
    """
    return to_safetensors({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, metadata)


def read_small(
    path: str | os.PathLike[str], kind: str, key: str, max_bytes: int, make: Callable[[Any, Tensors], _Made]
) -> _Made:
    """Read a small safetensors file whose metadata contain a card in JSON.

    The file may come from an untrusted source: reading it runs no code.

    Args:
        path: the file.
        kind: the name of such files in errors, such as "Sfumato style".
        key: the metadata key of the card.
        max_bytes: the maximum size of the file.
        make: builds the result from the card and a function that reads all tensors. If it raises a KeyError, a
            TypeError or the like, the file is damaged.

    Raises:
        InputError: the file cannot be read.
        ModelError: it is damaged, too large, or of another kind.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"cannot read the {kind} {path}: it is not a file")
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise InputError(f"cannot read the {kind} {path}: {reason}; check the name") from problem
    if size > max_bytes:
        raise ModelError(f"{path} is not a {kind}: it has {size} bytes, but such files have at most {max_bytes}")
    try:
        with safe_open(path, framework="np") as file:
            card = (file.metadata() or {}).get(key)
            if card is None:
                raise ValueError("it has no card")
            return make(json.loads(card), lambda: {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except OSError as problem:
        raise InputError(f"cannot read the {kind} {path}: {problem.strerror or problem}") from problem
    except SafetensorError as problem:  # its message would not help a user
        raise ModelError(f"{path} is not a {kind}, or is cut short or damaged") from problem
    except (
        ModelError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ) as problem:
        raise ModelError(f"{path} is not a {kind}, or is damaged: {first_line(problem)}") from problem


@public
@dataclass(frozen=True, eq=False, repr=False)
class StyleCode:
    """A style as a vector, computed by the style encoder of a model.

    Attributes:
        vector: ``(D,)`` float32, finite, read-only.
        model: the id of the model whose encoder computed it. Codes of different models cannot be compared; mixing
            them raises ``ModelError``.
        channel_stats: ``(2·C,)`` float32 rounded to 16 bits, or ``None``: statistics of the style encoder's features,
            log(1 + mean) and log(1 + deviation) of each channel, layer by layer. Guidance compares pictures with them.
    """

    vector: npt.NDArray[np.float32]
    model: str
    channel_stats: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        vector = np.array(self.vector, dtype=np.float32)
        if vector.ndim != 1 or vector.size == 0 or not np.isfinite(vector).all():
            raise ModelError(f"a style code must be a vector of finite numbers, not an array of shape {vector.shape}")
        vector += 0.0  # turns -0.0 into 0.0, so that equal codes have equal hashes
        vector.flags.writeable = False
        object.__setattr__(self, "vector", vector)
        if self.channel_stats is not None:
            channel_stats = np.array(self.channel_stats, dtype=np.float16).astype(
                np.float32
            )  # the precision of style files
            if channel_stats.ndim != 1 or channel_stats.size % 2 or not np.isfinite(channel_stats).all():
                raise ModelError(
                    f"a style's channel_stats must be a vector of pairs of finite numbers, not {channel_stats.shape}"
                )
            channel_stats += 0.0
            channel_stats.flags.writeable = False
            object.__setattr__(self, "channel_stats", channel_stats)

    def __len__(self) -> int:
        return len(self.vector)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StyleCode):
            return NotImplemented
        return self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[str, bytes, bytes | None]:
        return self.model, self.vector.tobytes(), None if self.channel_stats is None else self.channel_stats.tobytes()

    def __repr__(self) -> str:
        return f"StyleCode({len(self)} numbers, model={self.model!r})"

    @staticmethod
    def blend(codes: Sequence[StyleCode], weights: Sequence[float]) -> StyleCode:
        """Return the weighted mean of codes; the weights are divided by their sum.

        Raises:
            UsageError: there is no code, the number of weights differs, or the weights are not finite, negative or
                all zero.
            ModelError: codes of different models.
        """
        if not codes or len(codes) != len(weights):
            raise UsageError(f"a blend needs styles and as many weights, but has {len(codes)} and {len(weights)}")
        shares = np.asarray(weights, dtype=np.float64)
        if not np.isfinite(shares).all() or shares.min() < 0 or shares.max() == 0:
            raise UsageError(f"weights of a blend must be 0 or more and not all 0, but are {list(weights)}")
        for code in codes[1:]:
            codes[0]._check_same_model(code)
        shares /= shares.max()  # first, so that the sum of tiny or huge weights neither underflows nor overflows
        shares /= shares.sum()
        vectors = np.stack([code.vector for code in codes]).astype(np.float64)  # (K, D)
        stats = [code.channel_stats for code in codes if code.channel_stats is not None]
        channel_stats = None
        if len(stats) == len(codes) and len({x.shape for x in stats}) == 1:
            channel_stats = (shares @ np.stack(stats).astype(np.float64)).astype(np.float32)
        return StyleCode((shares @ vectors).astype(np.float32), codes[0].model, channel_stats)

    @staticmethod
    def mean(codes: Sequence[StyleCode]) -> StyleCode:
        """Return the mean of codes, such as the style of a collection or an artist."""
        return StyleCode.blend(codes, [1.0] * len(codes))

    def fuse(self, content: StyleCode, strength: float) -> StyleCode:
        """Return the code with which a picture is decoded: ``strength * self + (1 - strength) * content``.

        Args:
            content: the code of the picture itself.
            strength: the share of this style, from 0 (only the picture's own) to 1. (``alpha`` in articles is the
                weight of the *content* in the loss instead.)

        Raises:
            UsageError: the strength is outside [0, 1].
            ModelError: the codes are of different models.
        """
        check_range(strength, 0.0, 1.0, "strength")
        return StyleCode.blend([self, content], [strength, 1.0 - strength])

    def distance(self, other: StyleCode) -> float:
        """Return the Euclidean distance to another code of the same model."""
        self._check_same_model(other)
        return float(np.linalg.norm(self.vector.astype(np.float64) - other.vector))

    def save(
        self, path: str | os.PathLike[str], about: Mapping[str, str] | None = None, overwrite: bool = True
    ) -> None:
        """Write a style file (safetensors) atomically; equal styles give equal bytes.

        Args:
            path: the file, by convention ``NAME.safetensors``.
            about: facts for people: ``title``, ``artist``, ``year``, ``source``, ``licence``, ...
            overwrite: whether to replace an existing file.

        Raises:
            OutputError: the file cannot be written, or exists and may not be replaced.
        """
        card = json.dumps(
            {"model": self.model, "about": dict(about or {})}, sort_keys=True
        )  # in ASCII, which holds any name
        tensors: dict[str, npt.NDArray[np.floating]] = {"code": self.vector}
        if self.channel_stats is not None:
            tensors["channel_stats"] = self.channel_stats.astype(np.float16)
        data = tensor_bytes(tensors, {_KEY: card})
        with atomic_file(path, overwrite) as file:
            file.write(data)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> tuple[StyleCode, dict[str, str]]:
        """Read a style file that :meth:`save` wrote. Reading it runs no code.

        Returns:
            The code, and the facts that were saved as ``about``.

        Raises:
            InputError: the file cannot be read.
            ModelError: it is damaged or not a style file.
        """

        def make(card: Any, tensors: Tensors) -> tuple[StyleCode, dict[str, str]]:
            found, model, about = tensors(), card["model"], card["about"]
            if not isinstance(model, str) or not isinstance(about, dict) or found["code"].dtype != np.float32:
                raise ValueError("its parts have other types")
            return StyleCode(found["code"], model, found.get("channel_stats")), {
                str(k): str(v) for k, v in about.items()
            }

        return read_small(path, "Sfumato style", _KEY, _MAX_BYTES, make)

    def _check_same_model(self, other: StyleCode) -> None:
        if self.model != other.model:
            raise ModelError(
                f"style codes of the models {self.model!r} and {other.model!r} cannot be mixed; "
                "make both with one model"
            )
        if len(self) != len(other):
            raise ModelError(f"style codes of {len(self)} and {len(other)} numbers cannot be mixed; one is damaged")


@dataclass(frozen=True)
class Part:
    """A part of a style code with one meaning.

    Attributes:
        name: the name in programs and JSON.
        label: the name for people.
        about: its effect on a picture.
        place: its slice of the code.
    """

    name: str
    label: str
    about: str
    place: slice


def code_parts(code_size: int) -> tuple[Part, ...]:
    """Return the parts of a style code in order; together they cover it without overlap.

    Raises:
        ModelError: a code of that size has no room for learnt texture.
    """
    texture = code_size - COLOUR_STATS_SIZE
    if texture < 1:
        raise ModelError(
            f"a style code has {COLOUR_STATS_SIZE} measured and at least one learnt number, but this one has "
            f"{code_size} in all"
        )
    sizes = [
        ("texture", "learnt texture", "brush strokes, grain, hatching", texture),
        ("mean_colour", "mean colour", "the tint of the whole", 3),
        ("colour_spread", "range of colours", "how many colours, how strong, how light and dark", 6),
        ("contrast_finest", "finest contrast", "of grain and the thinnest lines", 3),
        ("contrast_fine", "fine contrast", "of thin strokes", 3),
        ("contrast_middle", "middling contrast", "of broad strokes", 3),
        ("contrast_coarse", "coarse contrast", "of small shapes", 3),
        ("tones", "tone curve", "how much is dark, middling, light", 3 * len(SHARES)),
    ]
    parts, at = [], 0
    for name, label, about, size in sizes:
        parts.append(Part(name, label, about, slice(at, at + size)))
        at += size
    return tuple(parts)
