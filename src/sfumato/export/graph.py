"""Export of one graph: torch's exporter, and passes that make the file small and readable by ONNX Runtime."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from sfumato.checkpoint import is_weight, to_levels
from sfumato.networks.hypercolumn_gradient import HypercolumnGradient

OPSET = 18
#: Least number of values of a weight that is stored in the bundle's file. Smaller ones stay in their graph, in 32 bits.
MIN_STORED = 256
#: Suffix of the names of weights that graphs hold in 16 or 8 bits, before a Cast.
STORED = ".stored"
_DTYPES = {"F16": TensorProto.FLOAT16, "I8": TensorProto.INT8}  # names in safetensors, and ONNX's types
_SIZE, _COUNT = {2: "height", 3: "width"}, {0: "batch"}
_FREE = {  # dynamic axes by the name of an input or output; codes and norm_params have none
    **dict.fromkeys(("picture", "thumbnail", "stylized", "features", "logits", "painted"), _SIZE),
    **dict.fromkeys(("upscaled", "gradient", "places", "entered"), _SIZE),
    **dict.fromkeys(("z", "pictures", "generated"), _COUNT),
}


def export_graph(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    names: list[str],
    outputs: list[str],
    in_bytes: bool = False,
    stored: StoredWeights | None = None,
) -> None:
    """Write a module as an ONNX graph.

    Args:
        module: in the mode in which it is exported.
        inputs: inputs for tracing.
        path: the graph's file.
        names: names of the inputs.
        outputs: names of the outputs.
        in_bytes: store kernels and matrices in 8 bits instead of 16.
        stored: a file of weights, to which the graph then refers instead of holding them.
    """
    with warnings.catch_warnings(), torch.no_grad():
        # This exporter is deprecated, and warns where it traces sizes. The parity check verifies its output.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            inputs,
            str(path),
            input_names=names,
            output_names=outputs,
            dynamic_axes={name: _FREE[name] for name in (*names, *outputs) if name in _FREE},
            opset_version=OPSET,
            # Constant folding would store each kernel of the gradient twice; ONNX Runtime folds when loading the graph.
            do_constant_folding=not isinstance(module, HypercolumnGradient),
            dynamo=False,
        )
    proto = onnx.load(path)
    _join_aliases(proto)
    _hoist_constants(proto)
    _store_small(proto, in_bytes)
    _shorten_names(proto)
    onnx.checker.check_model(proto, full_check=True)
    if stored is not None:
        stored.share(proto)
    onnx.save(proto, path)


def _join_aliases(proto: onnx.ModelProto) -> None:
    """Replace aliases of equal weights by the weight itself.

    The exporter stores one of several equal weights and makes the others an Identity of it, on which ONNX Runtime's
    optimiser can fail ("is not a graph input, initializer, or output of a previous node").
    """
    graph = proto.graph
    weights, ends = {tensor.name for tensor in graph.initializer}, {end.name for end in graph.output}
    aliases = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Identity" and node.input[0] in weights and node.output[0] not in ends
    }
    nodes = [node for node in graph.node if node.output[0] not in aliases]
    for node in nodes:
        for i, name in enumerate(node.input):
            node.input[i] = aliases.get(name, name)
    del graph.node[:]
    graph.node.extend(nodes)


def _hoist_constants(proto: onnx.ModelProto) -> None:
    """Turn large constants (the noise field) into initialisers, which are then stored as weights are."""
    graph, nodes = proto.graph, []
    for node in graph.node:
        value = node.attribute[0].t if node.op_type == "Constant" and node.attribute[0].name == "value" else None
        if value is not None and value.data_type == TensorProto.FLOAT and np.prod(value.dims) >= MIN_STORED:
            graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(value), node.output[0]))
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _shorten_names(proto: onnx.ModelProto) -> None:
    """Replace the names of intermediate tensors, which are module paths, by numbers.

    The names were a fifth of a small model's file.
    """
    ends = (*proto.graph.input, *proto.graph.output, *proto.graph.initializer)
    short = {"": "", **{each.name: each.name for each in ends}}

    def number(graph: onnx.GraphProto) -> None:
        for node in graph.node:
            node.name = ""
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    names[i] = short.setdefault(name, f"t{len(short)}")
            for attribute in node.attribute:  # the branches of an If, which use tensors of the outer graph
                if attribute.HasField("g"):
                    number(attribute.g)
        for each in (*graph.output, *graph.initializer):
            each.name = short.setdefault(each.name, f"t{len(short)}")
        del graph.value_info[:]

    number(proto.graph)


def _store_small(proto: onnx.ModelProto, in_bytes: bool) -> None:
    """Store large weights as float16, or kernels and matrices as int8 with a scale for each output channel.

    Nodes behind each weight convert it to float32. ONNX Runtime folds them when it loads the graph.
    """
    graph, before = proto.graph, []
    for tensor in list(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < MIN_STORED:
            continue
        full, stored, values = tensor.name, f"{tensor.name}{STORED}", numpy_helper.to_array(tensor)
        weight = torch.from_numpy(values.copy())
        if in_bytes and is_weight(full, weight):
            levels, scale = (part.numpy() for part in to_levels(weight))
            whole, factor = f"{full}.levels", f"{full}.scale"
            graph.initializer.append(numpy_helper.from_array(scale, factor))
            before.append(helper.make_node("Cast", [stored], [whole], to=TensorProto.FLOAT))
            before.append(helper.make_node("Mul", [whole, factor], [full]))
        else:
            levels = values.astype(np.float16)
            before.append(helper.make_node("Cast", [stored], [full], to=TensorProto.FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(levels, stored))
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


class StoredWeights:
    """An index of the tensors in a safetensors file, so that an ONNX graph can refer to them (`share`)."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")  # the data follow the header and its length
        self._name, self._places = path.name, {}
        for name, entry in json.loads(content[8:start]).items():
            if name != "__metadata__":
                first, last = (start + offset for offset in entry["data_offsets"])
                key = _DTYPES.get(entry["dtype"]), tuple(entry["shape"]), content[first:last]
                self._places[key] = (first, last - first)

    def share(self, proto: onnx.ModelProto) -> None:
        """Replace the graph's large weights that the file holds by references to it (ONNX external data)."""
        for tensor in proto.graph.initializer:
            values = numpy_helper.to_array(tensor)
            place = self._places.get((tensor.data_type, tuple(tensor.dims), values.tobytes()))
            if place is None or values.size < MIN_STORED:
                continue
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in zip(("location", "offset", "length"), (self._name, *place), strict=True):
                tensor.external_data.add(key=key, value=str(value))
