"""The cost of a method: seconds, memory, multiply-accumulates and parameters."""

from __future__ import annotations

import math
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from sfumato.errors import InputError, ModelError, UsageError, needs_extra
from sfumato.files import read_bytes
from sfumato.image import Picture
from sfumato.onnx_file import MAX_GRAPH_BYTES, has_weights_outside

if TYPE_CHECKING:
    import onnx

#: Height and width of the pictures for which costs are reported.
SIZES: Mapping[str, tuple[int, int]] = {
    "512 x 512": (512, 512),
    "1920 x 1080": (1080, 1920),
    "3840 x 2160": (2160, 3840),
}
MIN_RUNS = 3  # minimum of timed runs, from which quartiles are computed
_EVERY = 0.002  # seconds between two samples of the memory
_STATM, _STATUS, _CLEAR = (Path("/proc/self") / name for name in ("statm", "status", "clear_refs"))

Shape = tuple[int, ...]


# ---- seconds and memory ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """The cost of a method for pictures of one size.

    Attributes:
        name: Name of the size.
        height: Height in pixels.
        width: Width in pixels.
        seconds: Median of the timed runs.
        low: Lower quartile of the timed runs, in seconds.
        high: Upper quartile of the timed runs, in seconds.
        repeats: Number of timed runs.
        peak_bytes: Rise of the process's resident memory; None where the system does not report it.
        threads: Number of threads of the method, as given by the caller.
    """

    name: str
    height: int
    width: int
    seconds: float
    low: float
    high: float
    repeats: int
    peak_bytes: int | None
    threads: int | None


def measure_cost(
    run: Callable[[Picture], Any],
    sizes: Mapping[str, tuple[int, int]] = SIZES,
    repeats: int = 10,
    warmup: int = 1,
    budget: float = 60.0,
    threads: int | None = None,
) -> list[Cost]:
    """Measure the time and the memory of a method on pictures of noise ``(1, 3, H, W)``.

    Memory is that of this process, without children and GPUs. On Linux it is the high-water mark, which is reset before
    the runs (``/proc/self/clear_refs``, proc(5)); where that is not possible, a thread samples `resident_bytes` every
    2 ms. The peak is the rise above the memory before the first run of all, minus the picture itself. Small sizes run
    first, and memory that a method keeps from them counts for the larger sizes too. Memory that the method holds from
    earlier work does not count: measure in a new process.

    Args:
        run: The method; it must return when the work is done (on a GPU, too).
        sizes: Height and width by name.
        repeats: Timed runs of each size, 1 or more.
        warmup: Runs before those, 1 or more, which are not timed. Memory is measured during these, so that it does not
            disturb the timing.
        budget: Seconds for the timed runs of a size; the runs end early after this time, but not before `MIN_RUNS`.
        threads: Number of threads of the method, only for the record.

    Returns:
        One `Cost` per size, in the order of ``sizes``.

    Raises:
        UsageError: There is no size, a side is below 1, or ``repeats``, ``warmup`` or ``budget`` is out of range.
    """
    if not sizes or min(min(size) for size in sizes.values()) < 1:
        raise UsageError("costs are measured at one or more sizes of at least 1 x 1 pixel; name some")
    if repeats < 1 or warmup < 1 or not budget >= 0:
        raise UsageError(
            f"costs need at least 1 timed run, 1 warm-up run and 0 seconds, not {repeats}, {warmup} and {budget:g}"
        )
    before = resident_bytes()
    found = {}
    for name, (height, width) in sorted(sizes.items(), key=lambda item: item[1][0] * item[1][1]):
        picture = np.random.default_rng([height, width]).random((1, 3, height, width), np.float32)
        with _Peak() as peak:
            for _ in range(warmup):
                run(picture)
        times: list[float] = []
        while len(times) < repeats and (len(times) < MIN_RUNS or sum(times) < budget):
            began = time.perf_counter()
            run(picture)
            times.append(time.perf_counter() - began)
        low, middle, high = (float(v) for v in np.quantile(times, [0.25, 0.5, 0.75]))
        above = None if before is None else max(0, peak.bytes - before - picture.nbytes)
        found[name] = Cost(name, height, width, middle, low, high, len(times), above, threads)
    return [found[name] for name in sizes]


def resident_bytes(statm: Path = _STATM) -> int | None:
    """Return the resident memory of this process in bytes; None where the system does not report it.

    The source is ``statm`` (proc(5)), else psutil where it is installed, else the high-water mark of ``resource``,
    which never falls.
    """
    try:
        return int(statm.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        pass
    try:
        import psutil

        return int(psutil.Process().memory_info().rss)
    except ImportError:
        pass
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class _Peak:
    """A context that measures memory; afterwards, `bytes` is the peak while the block ran."""

    def __init__(self) -> None:
        self.bytes = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> _Peak:
        try:
            _CLEAR.write_text("5")
            self._uses_high_water = _high_water() is not None
        except OSError:
            self._uses_high_water = False
        if not self._uses_high_water:
            self._sample()
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._uses_high_water:
            self.bytes = _high_water() or 0
        else:
            self._end.set()
            self._thread.join()
            self._sample()

    def _watch(self) -> None:
        while not self._end.wait(_EVERY):
            self._sample()

    def _sample(self) -> None:
        self.bytes = max(self.bytes, resident_bytes() or 0)


def _high_water() -> int | None:
    """Return Linux's peak of the resident memory since its last reset in bytes; None if the system has none."""
    found = re.search(rb"^VmHWM:\s+(\d+) kB", _STATUS.read_bytes(), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


# ---- multiply-accumulates and parameters -----------------------------------------------------------------------------


def macs_of_onnx(path: Path, shapes: Mapping[str, Shape]) -> int:
    """Count the multiply-accumulates of an ONNX graph: of Conv, ConvTranspose, Gemm, MatMul and Einsum.

    The count is exact for the graph as it is stored. Products with padded zeros count, as is usual; biases, resampling,
    element-wise operations and operators of quantised numbers do not. ONNX Runtime determines intermediate shapes by
    constant folding, without running a picture. For a tiled model, add up the counts at the shapes of the tiles with
    their overlaps.

    Args:
        path: The ONNX file.
        shapes: Shapes of all inputs, by name: ``{"picture": (1, 3, 512, 512)}``.

    Raises:
        InputError: The file is no ONNX graph, a product is inside a loop or a branch or has a shape that depends on
            the data, an Einsum does not have two operands, or the inputs are too small for the graph.
        UsageError: The names or shapes do not fit the graph's inputs.
        MissingExtraError: ``onnx``, of the extra ``train``, is not installed.
    """
    model = _load(path)
    graph = model.graph
    for node in graph.node:
        if any(_is_product(inner) for sub in _subgraphs(node) for inner in _nodes(sub)):
            raise InputError(
                f"{path}: {node.op_type} {node.name!r} holds products whose number depends on the data, so they cannot "
                "be counted; export a graph without control flow"
            )
    products = [node for node in graph.node if _is_product(node)]
    _fix_inputs(path, graph, shapes)
    wanted = {name for node in products for name in (*node.input[:2], node.output[0])}
    known = _shapes_of(path, model, wanted)
    return sum(_macs(path, node, known) for node in products)


def parameters_of_onnx(path: Path) -> int:
    """Count the values of the floating-point tensors that an ONNX graph stores (its initialisers).

    Fixed tables among the initialisers count too, since a graph does not distinguish them from weights; constant nodes
    do not. Do not add up graphs of one model that store the same weights, as Sfumato's encoder and generator do.

    Raises:
        InputError: The file is no ONNX graph.
        MissingExtraError: ``onnx``, of the extra ``train``, is not installed.
    """
    model = _load(path)
    from onnx import TensorProto

    floats = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
    graphs = [model.graph, *(sub for node in _nodes(model.graph) for sub in _subgraphs(node))]
    return sum(math.prod(t.dims) for graph in graphs for t in graph.initializer if t.data_type in floats)


def _load(path: Path) -> onnx.ModelProto:
    """Read an ONNX file with its weights, and inline its local functions."""
    with needs_extra("train", "Counting an ONNX graph's work"):
        import onnx
        import onnx.inliner
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        content = read_bytes(path, MAX_GRAPH_BYTES)
        model = onnx.load_model_from_string(content)
        # Bundles store their weights in this file; no other file is read.
        if has_weights_outside(content, path, "model.safetensors"):
            onnx.load_external_data_for_model(model, str(path.parent))
    except ModelError as problem:
        raise InputError(f"cannot read {path} as an ONNX graph: {problem}") from problem
    except (OSError, DecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is damaged or of another format"
        raise InputError(f"cannot read {path} as an ONNX graph: {reason}; name another file") from problem
    if not model.graph.node:
        raise InputError(f"cannot read {path} as an ONNX graph: it has no nodes; name another file")
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the subgraphs of a node: the branches of an If, the body of a Loop or a Scan."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield all nodes, including those of subgraphs."""
    for node in graph.node:
        yield node
        for sub in _subgraphs(node):
            yield from _nodes(sub)


def _is_product(node: onnx.NodeProto) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum")


def _fix_inputs(path: Path, graph: onnx.GraphProto, shapes: Mapping[str, Shape]) -> None:
    """Write the shapes into the graph's inputs, and delete the stored shapes of all other tensors."""
    import onnx

    stored = {tensor.name for tensor in graph.initializer}
    inputs = {each.name: each for each in graph.input if each.name not in stored}
    if inputs.keys() != shapes.keys():
        raise UsageError(
            f"{path} has the inputs {', '.join(inputs)}, but shapes are given for {', '.join(shapes) or 'none'}"
        )
    for name, each in inputs.items():
        own, given = each.type.tensor_type.shape.dim, shapes[name]
        if not each.type.tensor_type.HasField("shape"):
            own.extend(onnx.TensorShapeProto.Dimension() for _ in given)
        fits = len(own) == len(given) and min(given, default=1) > 0
        if not fits or any(dim.HasField("dim_value") and dim.dim_value != n for dim, n in zip(own, given, strict=True)):
            wanted = ", ".join(str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in own)
            raise UsageError(f"the input {name} of {path} has the shape ({wanted}), which {tuple(given)} does not fit")
        for dim, n in zip(own, given, strict=True):
            dim.dim_value = n
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")


def _shapes_of(path: Path, model: onnx.ModelProto, wanted: set[str]) -> dict[str, Shape]:
    """Return the shapes of all tensors that are known without running the graph, ``wanted`` ones among them."""
    import onnx
    import onnxruntime

    # As graph outputs, the tensors are not optimised away, and their shapes are stored.
    there = {each.name for each in (*model.graph.input, *model.graph.initializer, *model.graph.output)}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(wanted - there))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = os.path.join(folder, "folded.onnx")
        try:
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as problem:  # onnxruntime's exceptions have no other common base
            reason = str(problem).partition("\n")[0]
            raise InputError(f"ONNX Runtime cannot load {path} at these shapes: {reason}") from problem
        folded = onnx.load(options.optimized_model_filepath)
    graph = onnx.shape_inference.infer_shapes(folded, data_prop=True).graph
    found = {tensor.name: tuple(tensor.dims) for tensor in (*model.graph.initializer, *graph.initializer)}
    for each in (*graph.input, *graph.value_info, *graph.output):
        kind = each.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            found[each.name] = tuple(dim.dim_value for dim in kind.shape.dim)
    return found


def _macs(path: Path, node: onnx.NodeProto, known: Mapping[str, Shape]) -> int:
    """Return the multiply-accumulates of one product, from the known shapes of its tensors."""
    import onnx

    for name in (*node.input[:2], node.output[0]):
        where = f"{path}: the shape of {name}, at {node.op_type} {node.name!r},"
        if name not in known:
            raise InputError(f"{where} is not known before the graph is run, so its products cannot be counted")
        if min(known[name], default=1) < 1:
            raise InputError(f"{where} would be {known[name]}; give larger inputs")
    a, b, out = (known[name] for name in (*node.input[:2], node.output[0]))
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    if node.op_type == "Conv":  # weights (out, in / groups, k, k): each output is a sum over all but the first
        return math.prod(out) * math.prod(b[1:])
    if node.op_type == "ConvTranspose":  # weights (in, out / groups, k, k): each input goes to all but the first
        return math.prod(a) * math.prod(b[1:])
    if node.op_type == "Gemm":
        return math.prod(out) * a[0 if attributes.get("transA") else 1]
    if node.op_type == "MatMul":
        return math.prod(out) * a[-1]
    return _einsum(path, attributes["equation"].decode(), [a, b], len(node.input))


def _einsum(path: Path, equation: str, operands: Sequence[Shape], count: int) -> int:
    """Return the multiply-accumulates of an Einsum with ``count`` operands: the product of all index ranges."""
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    if count != 2 or "." in equation:
        raise InputError(f"{path}: the Einsum {equation!r} is not counted; it must have two operands and no ellipsis")
    sides: dict[str, int] = {}
    for term, shape in zip(terms, operands, strict=True):
        for letter, n in zip(term, shape, strict=True):
            sides[letter] = max(n, sides.get(letter, 1))
    return math.prod(sides.values())
