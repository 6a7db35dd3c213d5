"""A builder of ONNX graphs: nodes and constants, named by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, helper, numpy_helper

OPSET = 18
Size = int | str


class Builder:
    """Nodes and constants of a graph under construction; a tensor is its name.

    Attributes:
        used: names of the weights that the graph refers to.
    """

    def __init__(self, weights: dict[str, npt.NDArray[Any]]) -> None:
        self.weights, self.used = weights, dict[str, str]()
        self.nodes: list[Any] = []
        self.constants: dict[tuple[Any, ...], str] = {}
        self.values: list[TensorProto] = []

    def op(self, kind: str, *inputs: str, outputs: int = 0, **attributes: Any) -> Any:
        """Add a node and return its output, or the list of its outputs where ``outputs`` says how many there are."""
        names = [f"t{len(self.nodes)}" + (f"_{i}" if outputs else "") for i in range(max(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names if outputs else names[0]

    def constant(self, values: Any, kind: Any = np.float32) -> str:
        """Return a constant; equal ones are stored once."""
        array = np.asarray(values, kind)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self.constants:
            self.constants[key] = f"c{len(self.constants)}"
            self.values.append(numpy_helper.from_array(array, self.constants[key]))
        return self.constants[key]

    def whole(self, *values: int) -> str:
        """Return a constant vector of integers."""
        return self.constant(values, np.int64)

    def weight(self, name: str) -> str:
        """Return a weight of the model; the file stores it in 16 bits."""
        if name not in self.used:
            self.used[name] = self.op("Cast", f"{name}.stored", to=TensorProto.FLOAT)
        return self.used[name]

    def sized(self, x: str, *shape: int) -> str:
        """Reshape to a fixed shape, in which one side may be -1."""
        return str(self.op("Reshape", x, self.whole(*shape)))

    def flat(self, x: str) -> str:
        """Reshape values of any shape to ``(1, n, 1, 1)``."""
        return self.sized(x, 1, -1, 1, 1)

    def split(self, x: str, axis: int, *sizes: int) -> list[str]:
        """Split along an axis."""
        found: list[str] = self.op("Split", x, self.whole(*sizes), outputs=len(sizes), axis=axis)
        return found

    def slice(self, x: str, starts: Sequence[int], stops: Sequence[int], axes: Sequence[int]) -> str:
        """Return part of a tensor."""
        return str(self.op("Slice", x, self.whole(*starts), self.whole(*stops), self.whole(*axes)))

    def mean(self, x: str, *axes: int) -> str:
        """Return the mean over axes, which are kept."""
        return str(self.op("ReduceMean", x, self.whole(*axes)))

    def squares(self, x: str, *axes: int) -> str:
        """Return the mean of the squares over axes, which are kept."""
        return self.mean(self.op("Mul", x, x), *axes)

    def add_scaled(self, base: str, x: str, factor: str) -> str:
        """Return base + x·factor."""
        return str(self.op("Add", self.op("Mul", x, factor), base))

    def model(
        self, inputs: dict[str, tuple[int, tuple[Size, ...]]], outputs: dict[str, tuple[Size, ...]]
    ) -> ModelProto:
        """Return the finished model, in which the weights still lie inside."""
        stored = [
            numpy_helper.from_array(self.weights[name].astype(np.float16), f"{name}.stored") for name in self.used
        ]
        graph = helper.make_graph(
            self.nodes,
            "sfumato",
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            [*self.values, *stored],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
