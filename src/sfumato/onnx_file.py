"""Check of the external files that an ONNX graph makes its runtime read, without the package onnx.

ONNX allows weights in another file, at any path (external data), so a malicious graph could read a private file and
paint its bytes into the picture. The only external file allowed here is the file of weights beside the graph, whose
hash is on the model's card.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from sfumato.errors import ModelError

#: Maximum size in bytes of a graph and of its file of weights; protobuf allows no more.
MAX_GRAPH_BYTES = 2**31 - 1
_MAX_DEPTH = 100  # nesting of messages, the limit of protobuf
# For each kind of message, the fields (by number, see onnx.proto) whose messages can contain tensors. "weight" is a
# tensor of the outermost graph.
_PARTS: dict[str, dict[int, str]] = {
    "model": {7: "outermost", 20: "training", 25: "function"},
    "outermost": {1: "node", 5: "weight", 15: "sparse"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "training": {1: "graph", 2: "graph"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "weight": {13: "entry"},  # an entry of its external data
    "tensor": {13: "entry"},
    "entry": {},
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def has_weights_outside(content: bytes, where: object, weights: str | None = None) -> bool:
    """Whether a graph reads the allowed file of weights beside it.

    Args:
        content: the bytes of the ONNX file.
        where: the name of the graph in errors.
        weights: the name of the only external file that it may read; ``None`` allows none.

    Raises:
        ModelError: the graph would read another file, has external data outside of its weights, or is not ONNX.
    """
    found = False
    for kind, location in _locations(content, where):
        if weights is None or location != weights or kind != "weight":
            named = location if location.isprintable() and len(location) < 200 else ascii(location)[:200]
            allowed = "no external file" if weights is None else f"only weights in {weights}"
            raise ModelError(f"{where} would read the file {named!r}, but may read {allowed}; do not use this model")
        found = True
    return found


def _locations(content: bytes, where: object) -> Iterator[tuple[str, str]]:
    """Yield the external file of each tensor that has one, after the tensor's kind, ``weight`` or ``tensor``."""
    if content[4:8] == b"ORTM":  # ONNX Runtime's own format
        _refuse(where)
    pending = [("model", "", 0, len(content), 0)]  # kind of a message, kind of its parent, start, end, depth
    while pending:
        kind, parent, start, end, depth = pending.pop()
        if kind == "entry":
            entry = {number: content[first:last] for number, first, last in _fields(content, start, end, where)}
            if entry.get(1) == b"location":
                yield parent, entry.get(2, b"").decode("utf-8", "backslashreplace")
            continue
        parts = _PARTS[kind]
        if depth > _MAX_DEPTH:
            _refuse(where)
        for number, first, last in _fields(content, start, end, where):
            if number in parts:
                pending.append((parts[number], kind, first, last, depth + 1))


def _fields(content: bytes, start: int, end: int, where: object) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each length-delimited field, such as strings and messages; skip other fields.

    Anything that protobuf parsers may interpret differently is refused. Otherwise the runtime's parser could see a
    field that this one missed.
    """
    at = start
    while at < end:
        tag = content[at]
        at += 1
        if tag >= 0x80:
            tag, at = _varint(content, at - 1, end, where)
            if tag >= 1 << 32:
                _refuse(where)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            _refuse(where)
        if wire == _BYTES:
            length, at = _varint(content, at, end, where)
            if length > end - at:
                _refuse(where)
            yield number, at, at + length
            at += length
        elif wire == _VARINT:
            _, at = _varint(content, at, end, where)
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:  # groups, which ONNX does not use
            _refuse(where)
    if at != end:
        _refuse(where)


def _varint(content: bytes, at: int, end: int, where: object) -> tuple[int, int]:
    """Return a variable-length integer of up to 64 bits, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            _refuse(where)
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    _refuse(where)


def _refuse(where: object) -> NoReturn:
    raise ModelError(f"{where} is damaged or not an ONNX graph; export the model again")
