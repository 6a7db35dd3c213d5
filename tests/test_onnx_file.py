from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from sfumato.assets import weights_dir
from sfumato.errors import ModelError
from sfumato.onnx_file import has_weights_outside

WEIGHTS = "model.safetensors"


def outside(location: str, offset: int = 0) -> TensorProto:
    """Four bytes of a file."""
    tensor = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", str(offset)), ("length", "4")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def graph(nodes: list[onnx.NodeProto], tensors: list[TensorProto]) -> onnx.GraphProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    return helper.make_graph(nodes, "g", [x], [y], tensors)


def model(nodes: list[onnx.NodeProto] = [], tensors: list[TensorProto] = []) -> onnx.ModelProto:  # noqa: B006
    same = helper.make_node("Identity", ["x"], ["y"])
    return helper.make_model(graph([same, *nodes], tensors), ir_version=8, opset_imports=[helper.make_opsetid("", 18)])


def sparse(tensor: TensorProto) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=tensor, indices=numpy_helper.from_array(np.arange(4)), dims=[9])


def in_attribute(**what: object) -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["c"])
    node.attribute.append(onnx.AttributeProto(name="a", **what))  # type: ignore[arg-type]
    return model([node])


def in_function(tensor: TensorProto) -> onnx.ModelProto:
    found = model()
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    found.functions.append(helper.make_function("own", "F", [], ["c"], [node], [helper.make_opsetid("", 18)]))
    return found


def in_default_of_function(tensor: TensorProto) -> onnx.ModelProto:
    found = model()
    function = onnx.FunctionProto(name="F", domain="own")
    function.attribute_proto.append(onnx.AttributeProto(name="a", type=onnx.AttributeProto.TENSOR, t=tensor))
    found.functions.append(function)
    return found


def in_training(tensor: TensorProto) -> onnx.ModelProto:
    found = model()
    found.training_info.append(onnx.TrainingInfoProto(algorithm=graph([], [tensor])))
    return found


def in_sparse_weight(tensor: TensorProto) -> onnx.ModelProto:
    found = model()
    found.graph.sparse_initializer.append(sparse(tensor))
    return found


PLACES: dict[str, Callable[[TensorProto], onnx.ModelProto]] = {
    "sparse weight": in_sparse_weight,
    "attribute": lambda tensor: in_attribute(t=tensor),
    "attributes": lambda tensor: in_attribute(tensors=[numpy_helper.from_array(np.arange(3)), tensor]),
    "sparse attribute": lambda tensor: in_attribute(sparse_tensor=sparse(tensor)),
    "sparse attributes": lambda tensor: in_attribute(sparse_tensors=[sparse(tensor)]),
    "subgraph": lambda tensor: in_attribute(g=graph([], [tensor])),
    "subgraphs": lambda tensor: in_attribute(graphs=[graph([], []), graph([], [tensor])]),
    "constant of a subgraph": lambda tensor: in_attribute(
        g=graph([helper.make_node("Constant", [], ["c"], value=tensor)], [])
    ),
    "function": in_function,
    "default of a function": in_default_of_function,
    "training": in_training,
}


def test_weights_beside_the_graph_are_admitted_and_no_others() -> None:
    plain = numpy_helper.from_array(np.zeros(4, np.uint8), "plain")
    assert not has_weights_outside(model([], [plain]).SerializeToString(), "g", WEIGHTS)
    mixed = model([], [plain, outside(WEIGHTS), outside(WEIGHTS, 4)]).SerializeToString()
    assert has_weights_outside(mixed, "g", WEIGHTS)
    with pytest.raises(ModelError, match=r"g would read the file 'model\.safetensors'"):
        has_weights_outside(mixed, "g")
    for location in ("/etc/passwd", "../secret", f"./{WEIGHTS}", f"a/{WEIGHTS}", "", "*/_ORT_MEM_ADDR_/*", "\x1b[2J"):
        with pytest.raises(ModelError, match="would read the file") as caught:
            has_weights_outside(model([], [outside(WEIGHTS), outside(location)]).SerializeToString(), "g", WEIGHTS)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("place", PLACES)
def test_weights_outside_are_found_wherever_a_tensor_may_stand(place: str) -> None:
    inside = PLACES[place](numpy_helper.from_array(np.zeros(4, np.uint8)))
    assert not has_weights_outside(inside.SerializeToString(), "g", WEIGHTS)
    for location in ("/etc/passwd", WEIGHTS):  # ONNX Runtime would look for either on the disk
        with pytest.raises(ModelError, match="would read the file"):
            has_weights_outside(PLACES[place](outside(location)).SerializeToString(), "g", WEIGHTS)


def test_what_the_location_says_does_not_depend_on_the_kind_of_place() -> None:
    """Fields of a message that comes twice are merged: the one may say where, and the other that it is outside."""
    tensor = outside("/etc/passwd")
    tensor.data_location = TensorProto.DEFAULT
    with pytest.raises(ModelError, match="/etc/passwd"):
        has_weights_outside(model([], [tensor]).SerializeToString(), "g", WEIGHTS)


def locations(graph: onnx.GraphProto) -> Iterator[str]:
    """As the package onnx reads them."""
    yield from (each.value for t in graph.initializer for each in t.external_data if each.key == "location")
    for sparse in graph.sparse_initializer:
        yield from (e.value for t in (sparse.values, sparse.indices) for e in t.external_data if e.key == "location")
    for node in graph.node:
        for attribute in node.attribute:
            for tensor in (attribute.t, *attribute.tensors):
                yield from (each.value for each in tensor.external_data if each.key == "location")
            for inner in (attribute.g, *attribute.graphs):
                yield from locations(inner)


@pytest.mark.parametrize(
    "path", sorted(weights_dir().parent.glob("*/*.onnx")), ids=lambda p: f"{p.parent.name}-{p.stem}"
)
def test_shipped_graphs_are_read_as_onnx_reads_them(path: Path) -> None:
    found = set(locations(onnx.load(path, load_external_data=False).graph))
    assert found <= {WEIGHTS}
    assert has_weights_outside(path.read_bytes(), path, WEIGHTS) == bool(found)


def varint(value: int, pad: int = 0) -> bytes:
    """With so many bytes more than it needs."""
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    if pad:
        digits[-1] |= 0x80
        digits += [0x80] * (pad - 1) + [0]
    return bytes(digits)


def field(number: int, content: bytes, pad: int = 0) -> bytes:
    return varint(number << 3 | 2, pad) + varint(len(content), pad) + content


def by_hand(pad: int = 0, key: bytes | None = None) -> bytes:
    """A model with one weight in /etc/passwd, its numbers written with more bytes than they need."""
    entry = key or field(1, b"location", pad)
    tensor = field(13, entry + field(2, b"/etc/passwd", pad), pad) + b"\x70\x01"
    return field(7, field(5, tensor, pad), pad)


@pytest.mark.parametrize(
    "content",
    [by_hand(), by_hand(1), by_hand(3), by_hand(key=field(1, b"offset") + field(1, b"location"))],
    ids=["plain", "long", "longer", "key twice"],
)
def test_odd_ways_to_write_the_same_are_read_as_onnx_reads_them(content: bytes) -> None:
    assert list(locations(onnx.ModelProto.FromString(content).graph)) == ["/etc/passwd"]
    with pytest.raises(ModelError, match="/etc/passwd"):
        has_weights_outside(content, "g", WEIGHTS)


GROUP = varint(7 << 3 | 3) + field(5, b"") + varint(7 << 3 | 4)
DEEP = b""
for _ in range(200):  # a graph in an attribute of a node of a graph
    DEEP = field(1, field(5, field(6, DEEP)))


@pytest.mark.parametrize(
    "content",
    [
        by_hand()[:-3],
        by_hand() + b"\x00",
        by_hand() + b"\x80",
        GROUP,
        varint((7 << 3 | 2) + (1 << 32)) + field(5, b"")[1:],
        b"\x3a" + varint(1 << 40),
        b"\x3a" + b"\x80" * 11 + b"\x01",
        field(7, DEEP),
        b"\x08\x08\x12\x00ORTM",
        b"\x09\x00",
        b"not a graph",
    ],
    ids=["cut", "field 0", "half a tag", "group", "tag of 33 bits", "long", "endless", "deep", "ort", "short", "text"],
)
def test_what_readers_may_take_in_different_ways_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="g is damaged or not an ONNX graph"):
        has_weights_outside(content, "g", WEIGHTS)


SEED = model([*in_attribute(t=outside(WEIGHTS)).graph.node], [outside(WEIGHTS), outside("/x")]).SerializeToString()


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), max_size=4), st.integers(0, len(SEED)))
def test_what_onnx_finds_outside_is_found_in_damaged_files_too(changes: list[tuple[int, int]], length: int) -> None:
    content = bytearray(SEED)
    for place, value in changes:
        content[place] = value
    content = content if length % 3 else content[:length]
    try:
        found = list(locations(onnx.ModelProto.FromString(bytes(content)).graph))
    except Exception:  # no ONNX to the package either
        found = []
    try:
        reads_weights = has_weights_outside(bytes(content), "g", WEIGHTS)
    except ModelError:
        found, reads_weights = [], False  # refused: nothing of it is read
    assert set(found) <= {WEIGHTS}
    assert found or not reads_weights
