"""ONNX Runtime: bundles of exported models, checked before use, and their graphs, ready to run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sfumato.errors import InputError, ModelError, UsageError, first_line, is_out_of_memory
from sfumato.files import digest, read_bytes, read_json
from sfumato.onnx_file import MAX_GRAPH_BYTES, has_weights_outside

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions

Ends: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]  # names of a graph's inputs and outputs
Shape: TypeAlias = tuple[int | None, ...]  # of an array; None where any number will do
#: The file of a bundle that its graphs' weights lie in.
WEIGHTS = "model.safetensors"
PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}  # fastest first
# Graphs of matched features keep their memory between runs, in one arena: 40 % of their time went into fresh pages.
_IN_ARENA = ("encoder.onnx", "entry.onnx", "decoder.onnx", "gradient.onnx")
# Run many times a picture: full optimisation of these graphs is worth what it takes.
_RUN_OFTEN = ("generator.onnx", *_IN_ARENA)


def read_card(folder: Path) -> dict[str, Any]:
    """What ``card.json`` in ``folder`` holds, of whatever kind the model is.

    Raises:
        ModelError: there is none, or it is not JSON.
    """
    path = folder / "card.json"
    try:
        found = read_json(path)
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise ModelError(f"{folder} is not an exported model: no card.json is in it; name another") from problem
    except (OSError, ValueError) as problem:
        message = getattr(problem, "strerror", None) or problem
        raise ModelError(f"cannot read {path}: {message}; export or install the model again") from problem
    if not isinstance(found, dict):
        raise ModelError(f"{path} is not a model card; export the model again")
    return found


def card_text(card: Mapping[str, Any], key: str, path: Path) -> str:
    """A name on a card, which is shown to people: printable, of 1 to 200 signs; ModelError where it is none."""
    text = card.get(key)
    if not isinstance(text, str) or not text.isprintable() or not 0 < len(text) <= 200:
        raise ModelError(f"{path} is not a model card: {key!r} is missing or wrong; export the model again")
    return text


def card_number(card: Mapping[str, Any], key: str, path: Path, minimum: int, maximum: int) -> int:
    """A whole number on a card, from ``minimum`` to ``maximum``; ModelError where it is none."""
    number = card.get(key)
    if type(number) is not int or not minimum <= number <= maximum:
        raise ModelError(
            f"{path} is not a model card: {key!r} is missing, or no number from {minimum} to {maximum}; export the "
            "model "
            "again"
        )
    return number


def card_files(card: Mapping[str, Any], path: Path, needed: Collection[str]) -> dict[str, str]:
    """SHA-256, in hex, of a bundle's files by name; ModelError where those ``needed`` are not all among them."""
    files = card.get("files")
    if not isinstance(files, dict):
        raise ModelError(f"{path} is not a model card: 'files' is missing or wrong; export the model again")
    for name, sha256 in files.items():
        if Path(name).name != name or not name.isprintable() or not _is_sha256(sha256):
            raise ModelError(f"{path} is not a model card: in 'files', {name!a} is wrong; export the model again")
    if missing := sorted(set(needed) - files.keys()):
        raise ModelError(f"{path} has no hash of {', '.join(missing)}; export the model again")
    return files


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


class Graph:
    """A graph that was checked and loaded. It may run in several threads at once."""

    def __init__(self, session: InferenceSession, path: Path) -> None:
        self._session, self._path = session, path

    def run(
        self, inputs: Mapping[str, npt.NDArray[Any]], shapes: Sequence[Shape], options: RunOptions | None = None
    ) -> list[npt.NDArray[np.float32]]:
        """Its outputs, float32 and finite, of ``shapes``.

        Raises:
            InputError: they do not fit into memory.
            ModelError: it cannot be run on these inputs, or gives something else.
        """
        again = "export or install the model again"
        try:
            outputs: list[npt.NDArray[np.float32]] = self._session.run(None, dict(inputs), options)
        except Exception as problem:  # onnxruntime raises a dozen unrelated types here
            if is_out_of_memory(problem):
                size = " x ".join(str(side) for side in max((a.shape for a in inputs.values()), key=np.prod))
                raise InputError(
                    f"what {self._path} needs for an input of {size} does not fit into memory; give smaller pictures, "
                    "or close other programs"
                ) from problem
            raise ModelError(f"{self._path} cannot be run: {first_line(problem)}; {again}") from problem
        for output, shape in zip(outputs, shapes, strict=True):
            if not isinstance(output, np.ndarray) or output.dtype != np.float32 or not _fits(output.shape, shape):
                found = getattr(output, "shape", "no array")
                wanted = f"({', '.join('any' if n is None else str(n) for n in shape)})"
                raise ModelError(f"{self._path} gave {found} where {wanted} of 32-bit floats is due; {again}")
            if not np.isfinite(output).all():
                raise ModelError(
                    f"{self._path} gave values that are not numbers: the style or the model is damaged; make the "
                    f"style, or {again}"
                )
        return outputs


def _fits(shape: tuple[int, ...], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(b is None or a == b for a, b in zip(shape, wanted, strict=True))


# Every Stylizer of the process shares these: a session may run in several threads at once. The hash belongs to the key,
# so that a model exported again into the same folder is loaded again.
@lru_cache(maxsize=24)
def load_graph(
    path: Path,
    sha256: str,
    ends: Ends,
    threads: int | None = None,
    device: str = "auto",
    weights: str | None = None,
) -> Graph:
    """A graph, ready to run; ``weights`` is the hash of the file beside it that its weights may lie in.

    What is loaded are the bytes that were hashed, and a graph reads no file but its weights (`onnx_file`), whatever
    the version of ONNX Runtime. It is a program all the same: one that never ends runs for ever.

    Raises:
        ModelError: it is not there, has another hash, is damaged, reads other files, or has other inputs and outputs
            than ``ends``.
        UsageError: there is no such device, or ONNX Runtime is older than pyproject.toml admits.
    """
    content = _checked(path, sha256)
    has_weights = has_weights_outside(content, path, None if weights is None else WEIGHTS)

    import onnxruntime as ort

    installed = [name for name in PROVIDERS if PROVIDERS[name] in ort.get_available_providers()]
    if device != "auto" and device not in installed:
        raise UsageError(f"this build of onnxruntime has no device {device!r}; choose {' or '.join(installed)}")
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.load_model_format", "ONNX")  # what was looked through
    # Each graph has its own threads: waiting, those of one would take the cores from the next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if path.name in _IN_ARENA:
        _make_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.enable_mem_pattern = False  # it would keep a second copy of the memory that each size needs
    else:
        options.enable_cpu_mem_arena = False  # it would keep what the largest tile needed
        options.enable_mem_reuse = False  # planning it is quadratic in nodes: 1.2 s for the statistics
    if path.name not in _RUN_OFTEN:
        # Run once a picture: what more optimisation takes would not be won back.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    if has_weights:
        assert weights is not None, "otherwise none would have been admitted"
        if not hasattr(options, "add_external_initializers_from_files_in_memory"):
            raise UsageError(
                f"onnxruntime {ort.__version__} is too old, and would read any file that a model names; run: "
                "pip install 'onnxruntime>=1.24.1'"
            )
        stored = _weights(path.with_name(WEIGHTS), weights)  # alive until the session has its copies
        options.add_external_initializers_from_files_in_memory([WEIGHTS], [stored], [len(stored)])
    try:
        providers = [PROVIDERS[name] for name in (installed if device == "auto" else [device])]
        session = ort.InferenceSession(content, options, providers=providers)
    except Exception as problem:  # onnxruntime raises a dozen unrelated types here
        if is_out_of_memory(problem):
            raise InputError(f"{path} does not fit into memory; close other programs") from problem
        raise ModelError(f"onnxruntime {ort.__version__} cannot load {path}: {first_line(problem)}") from problem
    if device != "auto" and PROVIDERS[device] not in session.get_providers():  # it falls back to the CPU in silence
        raise UsageError(f"the device {device!r} did not start; check its drivers, or choose cpu")
    names = tuple(end.name for end in session.get_inputs()), tuple(end.name for end in session.get_outputs())
    if names != ends:
        raise ModelError(
            f"{path} is another program's model, or of another version: its inputs and outputs are not {ends}; export "
            "the model again"
        )
    return Graph(session, path)


@lru_cache(maxsize=1)
def _make_arena() -> None:
    """The process's arena, which graphs that do not run at once share."""
    import onnxruntime as ort

    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg({}))


@lru_cache(maxsize=2)
def _weights(path: Path, sha256: str) -> bytes:
    """Read once: all graphs of a bundle share them. (Two bundles paint together: a draft's and a decoder's.)"""
    return _checked(path, sha256)


def _checked(path: Path, sha256: str) -> bytes:
    """The content of a bundle's file, which has that hash."""
    try:
        content = read_bytes(path, MAX_GRAPH_BYTES)
    except OSError as problem:
        raise _cannot_read(path, problem) from problem
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _damaged(path)
    return content


def check_hash(path: Path, sha256: str) -> None:
    """Raises ModelError where a file of a bundle is missing, or its SHA-256, in hex, is another."""
    try:
        found = digest(path, MAX_GRAPH_BYTES)
    except OSError as problem:
        raise _cannot_read(path, problem) from problem
    if found != sha256:
        raise _damaged(path)


def _cannot_read(path: Path, problem: OSError) -> ModelError:
    return ModelError(f"cannot read {path}: {problem.strerror}; export or install the model again")


def _damaged(path: Path) -> ModelError:
    return ModelError(f"{path} is damaged: its hash is not the one on its card; export or install the model again")
