"""What an ONNX file would have its runtime read besides itself, found in its bytes without the package onnx.

A weight may lie in another file, at any path, whose bytes a graph can paint into the picture (ONNX external data). Of
a graph that strangers made, only one such file is admitted: the weights beside it, which its model's card vouches for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from sfumato.errors import ModelError

#: Bytes of the largest graph, and of the largest file of weights, that are read: protobuf allows no more.
MAX_GRAPH_BYTES = 2**31 - 1
_DEEPEST = 100  # messages inside each other, as protobuf has it
# Which messages, by their fields' numbers (onnx.proto), a message can hold tensors in. A weight is a tensor that the
# outermost graph holds.
_PARTS: dict[str, dict[int, str]] = {
    "model": {7: "outermost", 20: "training", 25: "function"},
    "outermost": {1: "node", 5: "weight", 15: "sparse"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "training": {1: "graph", 2: "graph"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "weight": {13: "entry"},  # of its external data
    "tensor": {13: "entry"},
    "entry": {},
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def has_weights_outside(content: bytes, where: object, weights: str | None = None) -> bool:
    """Whether a graph reads the file of weights beside it.

    Args:
        content: of the ONNX file.
        where: what errors call it.
        weights: the only file, beside it, that it may read; ``None`` admits none.

    Raises:
        ModelError: it would read any other, or has such weights in places where none are expected, or is no ONNX.
    """
    found = False
    for kind, location in _locations(content, where):
        if weights is None or location != weights or kind != "weight":
            named = location if location.isprintable() and len(location) < 200 else ascii(location)[:200]
            admitted = "weights of a graph in its own file" if weights is None else f"none but weights in {weights}"
            raise ModelError(f"{where} would read the file {named!r}, and {admitted} are read; do not use this model")
        found = True
    return found


def _locations(content: bytes, where: object) -> Iterator[tuple[str, str]]:
    """Each place outside that a tensor lies in, and whether that is a ``weight`` or another ``tensor``."""
    if content[4:8] == b"ORTM":  # ONNX Runtime's own format
        _refuse(where)
    left = [("model", "", 0, len(content), 0)]  # the message's kind, that of the one around it, its span, its depth
    while left:
        kind, around, start, end, depth = left.pop()
        if kind == "entry":
            entry = {number: content[first:last] for number, first, last in _fields(content, start, end, where)}
            if entry.get(1) == b"location":
                yield around, entry.get(2, b"").decode("utf-8", "backslashreplace")
            continue
        parts = _PARTS[kind]
        if depth > _DEEPEST:
            _refuse(where)
        for number, first, last in _fields(content, start, end, where):
            if number in parts:
                left.append((parts[number], kind, first, last, depth + 1))


def _fields(content: bytes, start: int, end: int, where: object) -> Iterator[tuple[int, int, int]]:
    """The number and span of each field that has a length, as strings and messages have; others are passed over.

    Of what protobuf readers do not agree on, nothing is admitted: a reader that saw other fields than this one would
    read what this one did not see.
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
        else:  # groups, which ONNX has none of
            _refuse(where)
    if at != end:
        _refuse(where)


def _varint(content: bytes, at: int, end: int, where: object) -> tuple[int, int]:
    """A whole number of up to 64 bits, and where the next field begins."""
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
    raise ModelError(f"{where} is no ONNX graph, or is damaged; give another")
