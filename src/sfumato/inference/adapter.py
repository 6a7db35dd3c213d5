"""Small changes of a model's weights that make it paint one taste better: low-rank, by value, on top of the exported
graphs.

An :class:`Adapter` changes matrices and kernels by W + B A (LoRA, Hu et al. 2022) and vectors by a difference. It names
weights as ``model.safetensors`` of the bundle does, and changes only those that lie in that file for all graphs (ONNX
external data): ONNX Runtime takes other values for these when it loads a graph, so that no graph is exported again.
Weights of fewer numbers lie inside the graphs, and stay. Besides, it may hold how the style's features go together,
which refinement aims at (`inference.marks`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from sfumato.errors import ModelError
from sfumato.inference.marks import Marks

if TYPE_CHECKING:
    from onnxruntime import SessionOptions

#: Bytes of an adapter's numbers, at most.
MOST_BYTES = 2_000_000
#: Numbers of a weight, at least, that lies in the bundle's file and can be changed: smaller ones stay in their graph,
#: in 32 bits (`export.onnx`).
LEAST = 256
_FINISH = "finish."
#: The vector that is no change of a weight: numbers of `inference.marks`, which refinement aims at.
MARKS = f"{_FINISH}marks"
#: What follows a weight's name where graphs have it in 16 or 8 bits, before a Cast (`export.onnx`).
STORED = ".stored"
_MEND = "; learn the style again (sfumato personal learn), or ask whom it came from for another file"
UP, DOWN = ".up", ".down"

Array: TypeAlias = npt.NDArray[np.float16]
Weights: TypeAlias = Mapping[str, npt.NDArray[Any]]


class Adapter:
    """Changes of one model's weights; a plain value, that hashes and compares by its numbers.

    Args:
        model: the id of the model whose weights it changes.
        tensors: by name. Of a kernel or matrix (O, I, ...): ``NAME.up`` (O, R) and ``NAME.down`` (R, I·...), whose
            product is added; of a vector (O,): ``NAME``, which is added. `MARKS` is no weight: it says
            how what was painted is refined. Finite, kept in 16 bits.

    Raises:
        ModelError: numbers that are not finite, or parts that do not fit each other.
    """

    def __init__(self, model: str, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        self.model = model
        with np.errstate(over="ignore"):  # what 16 bits cannot hold is infinite, and said below
            kept = {name: np.array(tensor, np.float16) for name, tensor in sorted(tensors.items())}
        for name, tensor in kept.items():
            if not np.isfinite(tensor).all():
                raise ModelError(f"an adapter holds finite numbers, and {name!r} has others{_MEND}")
            other = kept.get(name.removesuffix(UP) + DOWN if name.endswith(UP) else name.removesuffix(DOWN) + UP)
            if name.endswith((UP, DOWN)):
                up, down = (tensor, other) if name.endswith(UP) else (other, tensor)
                if up is None or down is None or up.ndim != 2 or down.ndim != 2 or up.shape[1] != down.shape[0]:
                    raise ModelError(f"the adapter's part {name!r} has no other half that fits{_MEND}")
            elif name.startswith(_FINISH) and name != MARKS:
                raise ModelError(f"the adapter's part {name!r} is of another version of Sfumato{_MEND}")
            elif tensor.ndim != 1:
                raise ModelError(f"the adapter's part {name!r} is no vector, but {tensor.shape}{_MEND}")
            tensor.flags.writeable = False
        self._tensors = kept
        #: What refinement aims at besides the look, or ``None``.
        self.marks = Marks.of(kept[MARKS]) if MARKS in kept else None

    @classmethod
    def of(cls, tensors: Mapping[str, npt.NDArray[Any]], model: str) -> Adapter:
        """From what `tensors` gave, in a file.

        Raises:
            ModelError: as the class, and for more than `MOST_BYTES`.
        """
        found = cls(model, tensors)
        if found.size > MOST_BYTES:
            raise ModelError(f"an adapter has at most {MOST_BYTES} bytes, and this {found.size}{_MEND}")
        return found

    def tensors(self) -> dict[str, Array]:
        """All that it is, by name, in 16 bits; read-only."""
        return dict(self._tensors)

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the model's name and all numbers."""
        found = hashlib.sha256(self.model.encode())
        for name, tensor in self._tensors.items():
            found.update(f"\0{name}\0{tensor.shape}\0".encode() + tensor.astype("<f2").tobytes())
        return found.hexdigest()

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Adapter) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Adapter({len(self.changes)} weights of {self.model!r}, {self.digest[:12]})"

    @property
    def size(self) -> int:
        """Bytes of its numbers."""
        return sum(tensor.nbytes for tensor in self._tensors.values())

    @property
    def changes(self) -> list[str]:
        """The weights that it changes, sorted."""
        return sorted({name.removesuffix(UP).removesuffix(DOWN) for name in self._tensors} - {MARKS})

    @staticmethod
    def blend(parts: Sequence[tuple[Adapter | None, float]]) -> Adapter | None:
        """The sum of adapters times their shares, exactly: changes are linear. ``None`` has none, and adds nothing.

        Raises:
            ModelError: adapters of different models.
        """
        some = [(part, share) for part, share in parts if part is not None and share]
        if not some:
            return None
        if len(models := {part.model for part, _ in some}) > 1:
            raise ModelError(f"adapters of the models {' and '.join(sorted(models))} cannot be mixed")
        if len(some) == 1 and some[0][1] == 1:
            return some[0][0]
        found: dict[str, npt.NDArray[Any]] = {}
        for part, share in some:
            for name, tensor in part._tensors.items():
                # The ranks stand side by side, and the share is in one of the two factors.
                new = tensor.astype(np.float32) * (1.0 if name.endswith(DOWN) else share)
                if name not in found:
                    found[name] = new
                elif name.endswith((UP, DOWN)):
                    found[name] = np.concatenate([found[name], new], 1 if name.endswith(UP) else 0)
                else:
                    found[name] = found[name] + new
        return Adapter(some[0][0].model, found)

    def applied(self, weights: Weights) -> dict[str, Array]:
        """The changed weights, in the 16 bits that graphs store them in; of a bundle's ``weights``.

        Raises:
            ModelError: the bundle has no such weights, or of other shapes.
        """
        found = {}
        for name in self.changes:
            base = weights.get(name)
            if base is None or base.dtype != np.float16 or base.size < LEAST:
                raise ModelError(f"the adapter changes {name!r}, which is no large weight of this model{_MEND}")
            if name in self._tensors:
                change = self._tensors[name].astype(np.float32)
                fits = change.shape == base.shape
            else:
                up, down = (self._tensors[name + half].astype(np.float32) for half in (UP, DOWN))
                # Before they are multiplied: a stranger's halves of some kB may have a product of terabytes.
                fits = base.ndim >= 2 and (len(up), down.shape[1]) == (len(base), base[0].size)
                change = (up @ down).reshape(base.shape) if fits else up
            if not fits:
                raise ModelError(f"the adapter's change of {name!r} has another shape than the weight{_MEND}")
            with np.errstate(over="ignore"):
                found[name] = (base.astype(np.float32) + change).astype(np.float16)
            if not np.isfinite(found[name]).all():
                raise ModelError(f"the adapter's change of {name!r} is too large for 16 bits{_MEND}")
        return found

    def put_into(self, options: SessionOptions, weights: Path, graph: bytes) -> list[Any]:
        """Let a session read the changed weights instead of the file's; returns what must live until it is made.

        Args:
            weights: the bundle's file of weights.
            graph: the graph's bytes: which of the weights it reads.
        """
        import onnxruntime as ort

        changed = self.applied(_weights(weights, weights.stat().st_mtime_ns))
        read = {f"{name}{STORED}": values for name, values in changed.items() if f"{name}{STORED}".encode() in graph}
        values = [ort.OrtValue.ortvalue_from_numpy(value) for value in read.values()]
        if values:
            options.add_external_initializers(list(read), values)
        return values


@lru_cache(maxsize=2)
def _weights(path: Path, changed: int) -> Weights:
    """A bundle's weights; ``changed`` is when the file was written last, so that a new one is read again."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as problem:
        raise ModelError(f"cannot read {path}: {problem}; install the model again") from problem
