"""ONNX Runtime: bundles of exported models, checked before use, and their graphs, ready to run."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sfumato.errors import ModelError, UsageError

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Ends: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]  # names of a graph's inputs and outputs
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
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as problem:
        raise ModelError(f"{folder} is not an exported model: no card.json is in it; name another") from problem
    except (OSError, ValueError) as problem:
        raise ModelError(f"cannot read {path}: {problem}; export or install the model again") from problem
    if not isinstance(found, dict):
        raise ModelError(f"{path} is not a model card; export the model again")
    return found


# Every Stylizer of the process shares these: a session may run in several threads at once. The hash belongs to the key,
# so that a model exported again into the same folder is loaded again.
@lru_cache(maxsize=24)
def load_graph(
    path: Path,
    sha256: str,
    ends: Ends,
    threads: int | None = None,
    device: str = "auto",
    weights: str = "",
) -> InferenceSession:
    """A graph, ready to run; ``weights`` is the hash of the file beside it that its weights may lie in.

    Raises:
        ModelError: it is not there, has another hash, is damaged, or has other inputs and outputs than ``ends``.
        UsageError: there is no such device.
    """
    check_hash(path, sha256)
    if weights:
        check_hash(path.with_name(WEIGHTS), weights)

    import onnxruntime as ort

    installed = [name for name in PROVIDERS if PROVIDERS[name] in ort.get_available_providers()]
    if device != "auto" and device not in installed:
        raise UsageError(f"this build of onnxruntime has no device {device!r}; choose {' or '.join(installed)}")
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = threads or 0
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
    try:
        providers = [PROVIDERS[name] for name in (installed if device == "auto" else [device])]
        session = ort.InferenceSession(path, options, providers=providers)
    except Exception as problem:  # onnxruntime raises a dozen unrelated types here
        reason = str(problem).partition("\n")[0]
        raise ModelError(f"onnxruntime {ort.__version__} cannot load {path}: {reason}") from problem
    if device != "auto" and PROVIDERS[device] not in session.get_providers():  # it falls back to the CPU in silence
        raise UsageError(f"the device {device!r} did not start; check its drivers, or choose cpu")
    names = tuple(end.name for end in session.get_inputs()), tuple(end.name for end in session.get_outputs())
    if names != ends:
        raise ModelError(
            f"{path} is another program's model, or of another version: its inputs and outputs are {names}; export the "
            "model again"
        )
    return session


@lru_cache(maxsize=1)
def _make_arena() -> None:
    """The process's arena, which graphs that do not run at once share."""
    import onnxruntime as ort

    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg({}))


@lru_cache(maxsize=24)
def _hash(path: Path, changed: int, size: int) -> str:
    """SHA-256 of a file as it was then: all graphs of a bundle read the same weights."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_hash(path: Path, sha256: str) -> None:
    """Raises ModelError where a file of a bundle is missing, or its SHA-256, in hex, is another."""
    try:
        state = path.stat()
        found = _hash(path, state.st_mtime_ns, state.st_size)
    except OSError as problem:
        raise ModelError(f"cannot read {path}: {problem.strerror}; export or install the model again") from problem
    if found != sha256:
        raise ModelError(f"{path} is damaged: its hash is not the one on its card; export or install the model again")
