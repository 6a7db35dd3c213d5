"""ONNX Runtime sessions: the files of exported models are checked against their hashes, and graphs loaded and run."""

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
Shape: TypeAlias = tuple[int | None, ...]  # of an array; None allows any length
#: The file of a bundle that holds the weights of its graphs.
WEIGHTS = "model.safetensors"
PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}  # fastest first
# Graphs of matched features keep their memory between runs in a shared arena, since allocation took 40 % of their time.
_IN_ARENA = ("encoder.onnx", "entry.onnx", "decoder.onnx", "gradient.onnx")
# Graphs that run many times per picture, for which full optimisation at load time pays off.
_RUN_OFTEN = ("generator.onnx", *_IN_ARENA)


def read_card(folder: Path) -> dict[str, Any]:
    """Return the content of ``card.json`` in ``folder``, for any kind of model.

    Raises:
        ModelError: there is no card, or it is not a JSON object.
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
    """Return a text on a card, which is shown to users.

    Raises:
        ModelError: it is missing, or not of 1 to 200 printable characters.
    """
    text = card.get(key)
    if not isinstance(text, str) or not text.isprintable() or not 0 < len(text) <= 200:
        raise ModelError(f"{path} is not a model card: {key!r} is missing or wrong; export the model again")
    return text


def card_number(card: Mapping[str, Any], key: str, path: Path, minimum: int, maximum: int) -> int:
    """Return an integer on a card, from ``minimum`` to ``maximum``.

    Raises:
        ModelError: it is missing, of another type or outside the range.
    """
    number = card.get(key)
    if type(number) is not int or not minimum <= number <= maximum:
        raise ModelError(
            f"{path} is not a model card: {key!r} is missing, or not an integer from {minimum} to {maximum}; export "
            "the model again"
        )
    return number


def card_files(card: Mapping[str, Any], path: Path, needed: Collection[str]) -> dict[str, str]:
    """Return the SHA-256, in hex, of a bundle's files by name.

    Raises:
        ModelError: the list is missing or wrong, or lacks a file in ``needed``.
    """
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
    """A checked and loaded graph; it may run in several threads at once."""

    def __init__(self, session: InferenceSession, path: Path) -> None:
        self._session, self._path = session, path

    def run(
        self, inputs: Mapping[str, npt.NDArray[Any]], shapes: Sequence[Shape], options: RunOptions | None = None
    ) -> list[npt.NDArray[np.float32]]:
        """Run the graph and return its outputs, checked to be float32, finite and of the given shapes.

        Args:
            inputs: arrays by name.
            shapes: of the outputs.
            options: of ONNX Runtime, for this run.

        Raises:
            InputError: the memory does not suffice.
            ModelError: the graph cannot run on these inputs, or an output is not as expected.
        """
        again = "export or install the model again"
        try:
            outputs: list[npt.NDArray[np.float32]] = self._session.run(None, dict(inputs), options)
        except Exception as problem:  # onnxruntime raises a dozen unrelated types here
            if is_out_of_memory(problem):
                size = " x ".join(str(side) for side in max((a.shape for a in inputs.values()), key=np.prod))
                raise InputError(
                    f"an input of {size} to {self._path} does not fit into memory; give smaller pictures, or close "
                    "other programs"
                ) from problem
            raise ModelError(f"{self._path} cannot be run: {first_line(problem)}; {again}") from problem
        for output, shape in zip(outputs, shapes, strict=True):
            if not isinstance(output, np.ndarray) or output.dtype != np.float32 or not _fits(output.shape, shape):
                found = getattr(output, "shape", "no array")
                wanted = f"({', '.join('any' if n is None else str(n) for n in shape)})"
                raise ModelError(f"{self._path} gave {found} instead of {wanted} of 32-bit floats; {again}")
            if not np.isfinite(output).all():
                raise ModelError(
                    f"{self._path} gave values that are not finite: the style or the model is damaged; make the style "
                    f"again, or {again}"
                )
        return outputs


def _fits(shape: tuple[int, ...], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(b is None or a == b for a, b in zip(shape, wanted, strict=True))


# All Stylizers of the process share these sessions, which may run in several threads at once. The hash is part of the
# key, so that a model exported again into the same folder is loaded again.
@lru_cache(maxsize=24)
def load_graph(
    path: Path,
    sha256: str,
    ends: Ends,
    threads: int | None = None,
    device: str = "auto",
    weights: str | None = None,
) -> Graph:
    """Load a graph, checked against its hash.

    The bytes that are loaded are those that were hashed, and a graph reads no file but its weights (`onnx_file`), with
    every version of ONNX Runtime. A graph is nevertheless a program: it may run for ever.

    Args:
        path: of the graph.
        sha256: of the graph, in hex.
        ends: names of its inputs and outputs.
        threads: CPU threads; ``None``: one per core.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.
        weights: SHA-256, in hex, of the file `WEIGHTS` beside it; ``None`` where the graph has no external weights.

    Raises:
        ModelError: the graph is missing, has another hash, is damaged, reads other files, or has other inputs and
            outputs.
        UsageError: the device does not exist, or ONNX Runtime is older than pyproject.toml allows.
        InputError: the graph does not fit into memory.
    """
    content = _read_checked(path, sha256)
    has_weights = has_weights_outside(content, path, None if weights is None else WEIGHTS)

    import onnxruntime as ort

    installed = [name for name in PROVIDERS if PROVIDERS[name] in ort.get_available_providers()]
    if device != "auto" and device not in installed:
        raise UsageError(f"this build of onnxruntime has no device {device!r}; choose {' or '.join(installed)}")
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised, and need not be logged
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.load_model_format", "ONNX")  # the format that was checked
    # Each graph has its own threads: spinning threads of one would block the cores for the next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if path.name in _IN_ARENA:
        _make_arena()
        options.add_session_config_entry("session.use_env_allocators", "1")
        options.enable_mem_pattern = False  # it would hold a second copy of the memory for each input size
    else:
        options.enable_cpu_mem_arena = False  # it would hold the memory of the largest tile
        options.enable_mem_reuse = False  # its planning is quadratic in nodes: 1.2 s for the statistics network
    if path.name not in _RUN_OFTEN:
        # For a graph that runs once per picture, optimisation takes more time than it saves.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    if has_weights:
        assert weights is not None, "has_weights_outside refuses external weights otherwise"
        if not hasattr(options, "add_external_initializers_from_files_in_memory"):
            raise UsageError(
                f"onnxruntime {ort.__version__} is too old and would read any file that a model names; run "
                "pip install 'onnxruntime>=1.24.1'"
            )
        stored = _weights(path.with_name(WEIGHTS), weights)  # must stay alive until the session has copied it
        options.add_external_initializers_from_files_in_memory([WEIGHTS], [stored], [len(stored)])
    try:
        providers = [PROVIDERS[name] for name in (installed if device == "auto" else [device])]
        session = ort.InferenceSession(content, options, providers=providers)
    except Exception as problem:  # onnxruntime raises a dozen unrelated types here
        if is_out_of_memory(problem):
            raise InputError(f"{path} does not fit into memory; close other programs") from problem
        raise ModelError(f"onnxruntime {ort.__version__} cannot load {path}: {first_line(problem)}") from problem
    if device != "auto" and PROVIDERS[device] not in session.get_providers():  # silent fallback to the CPU
        raise UsageError(f"the device {device!r} did not start; check its drivers, or choose cpu")
    names = tuple(end.name for end in session.get_inputs()), tuple(end.name for end in session.get_outputs())
    if names != ends:
        raise ModelError(
            f"{path} is from another program or version: its inputs and outputs are not {ends}; export the model again"
        )
    return Graph(session, path)


@lru_cache(maxsize=1)
def _make_arena() -> None:
    """Create the process-wide memory arena that is shared by graphs that do not run at the same time."""
    import onnxruntime as ort

    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg({}))


@lru_cache(maxsize=2)
def _weights(path: Path, sha256: str) -> bytes:
    """Return the weights of a bundle; the cache shares them among its graphs.

    The cache holds two bundles, since two paint together: the model and the decoder.
    """
    return _read_checked(path, sha256)


def _read_checked(path: Path, sha256: str) -> bytes:
    """Return the content of a bundle's file; raise ModelError where it cannot be read or has another hash."""
    try:
        content = read_bytes(path, MAX_GRAPH_BYTES)
    except OSError as problem:
        raise _cannot_read(path, problem) from problem
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _damaged(path)
    return content


def check_hash(path: Path, sha256: str) -> None:
    """Raise ModelError where a file of a bundle is missing or has another SHA-256 (hex)."""
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
