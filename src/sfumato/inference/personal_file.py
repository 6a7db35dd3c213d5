"""The file of a personal style, ``NAME.sfumato``.

It is one safetensors file of some kB: the centres of what is liked (style codes with their channel statistics), their
weights, and the parameters of a preference model where there is one. Its one key of metadata,
``sfumato.personal_style``, holds a card in
JSON: format, name, model, rights, how many pictures and their hashes, the date, and a hash of all of that and of the
numbers, by which damage is found. No picture is in it, no name or place of one, and no code runs on load. Equal styles
are equal files.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sfumato.errors import ModelError
from sfumato.style_code import Tensors, read_small, tensor_bytes

#: Of the file; a file of a higher one is refused.
FORMAT = 1
#: What the names of a preference model's parameters begin with.
PREFERENCE = "preference."
_KEY = "sfumato.personal_style"  # one, because safetensors writes several in an order that changes from run to run
_MAX_BYTES = 8_000_000

_Made = TypeVar("_Made")


def file_bytes(card: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the bytes of the file that holds a card and its tensors."""
    whole = {"format": FORMAT, **card}
    whole["sha256"] = _digest(whole, tensors)
    return tensor_bytes(dict(tensors), {_KEY: json.dumps(whole, sort_keys=True)})


def read_file(
    path: str | os.PathLike[str], make: Callable[[dict[str, Any], dict[str, npt.NDArray[Any]]], _Made]
) -> _Made:
    """Read a file that may come from anybody.

    Args:
        path: of the file.
        make: is given the card and the tensors, whose types are checked, and returns what is read.

    Raises:
        InputError: the file cannot be read.
        ModelError: it is damaged, no such file, too large for one, or of a later version of Sfumato.
    """

    def checked(card: Any, tensors: Tensors) -> _Made:
        if type(card["format"]) is int and card["format"] > FORMAT:
            raise _LaterError
        read = tensors()
        digest = card.pop("sha256", None)  # which files of before 2026-11-27 do not have
        if digest not in (None, _digest(card, read)):
            raise ValueError("something in it is not as it was written; get it again, or learn it again")
        _check(card, read)
        return make(card, read)

    try:
        return read_small(path, "style file", _KEY, _MAX_BYTES, checked)
    except _LaterError as problem:
        raise ModelError(f"{path} was written by a later version of Sfumato; install that") from problem


def _check(card: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]) -> None:
    codes, weights, channel_stats = tensors["codes"], tensors["weights"], tensors.get("channel_stats")
    if codes.ndim != 2 or codes.dtype != np.float32 or weights.shape != codes.shape[:1]:
        raise ValueError("its centres have another shape or type")
    if channel_stats is not None and (
        channel_stats.ndim != 2 or channel_stats.dtype != np.float16 or len(channel_stats) != len(codes)
    ):
        raise ValueError("its channel_stats have another shape or type")
    if not all(key.startswith(PREFERENCE) for key in tensors.keys() - {"codes", "weights", "channel_stats"}):
        raise ValueError("it has numbers that no style has")
    texts, numbers = (card["name"], card["model"], card["created"]), (card["answers"], *card["rights"].values())
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        raise ValueError("its card has other types")
    if not all(text.isprintable() for text in texts):  # they are shown on terminals
        raise ValueError("its card has signs that cannot be shown")


def _digest(card: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256, in hex, of all that a file holds."""
    found = hashlib.sha256(json.dumps(card, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for name, values in sorted(tensors.items()):
        found.update(f"{name} {values.dtype.str} {values.shape} ".encode())
        found.update(values.tobytes())
    return found.hexdigest()


class _LaterError(Exception):
    """The file is of a later format."""
