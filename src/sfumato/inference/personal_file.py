"""The file of a personal style, ``NAME.sfumato``.

It is one safetensors file of some kB. Its tensors are the cluster centres (style codes with their channel statistics),
their weights and, if there is one, the parameters of a preference model. Its metadata have one key,
``sfumato.personal_style``, which holds a card in JSON: format, name, model, rights, numbers and hashes of pictures,
date, and a hash of the card and the tensors, which detects damage. The file contains no picture, and no picture's name
or place, and loading it runs no code. Equal styles give equal files.
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

#: Version of the file's format; a file of a later version is refused.
FORMAT = 1
#: Prefix of the names of a preference model's parameters.
PREFERENCE = "preference."
_KEY = "sfumato.personal_style"  # the only key, since safetensors writes several in an order that changes between runs
_MAX_BYTES = 8_000_000

_Made = TypeVar("_Made")


def file_bytes(card: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the content of the file for a card and its tensors."""
    whole = {"format": FORMAT, **card}
    whole["sha256"] = _digest(whole, tensors)
    return tensor_bytes(dict(tensors), {_KEY: json.dumps(whole, sort_keys=True)})


def read_file(
    path: str | os.PathLike[str], make: Callable[[dict[str, Any], dict[str, npt.NDArray[Any]]], _Made]
) -> _Made:
    """Read a file, which may come from an untrusted source.

    Args:
        path: of the file.
        make: makes the result from the card and the tensors, whose types have been checked.

    Raises:
        InputError: the file cannot be read.
        ModelError: it is damaged, not such a file, too large, or of a later version of Sfumato.
    """

    def checked(card: Any, tensors: Tensors) -> _Made:
        if type(card["format"]) is int and card["format"] > FORMAT:
            raise _LaterError
        read = tensors()
        digest = card.pop("sha256", None)  # files from before 2026-11-27 have none
        if digest not in (None, _digest(card, read)):
            raise ValueError("its content has changed since it was written; get it again, or learn it again")
        _check(card, read)
        return make(card, read)

    try:
        return read_small(path, "style file", _KEY, _MAX_BYTES, checked)
    except _LaterError as problem:
        raise ModelError(f"{path} was written by a later version of Sfumato; install that") from problem


def _check(card: dict[str, Any], tensors: dict[str, npt.NDArray[Any]]) -> None:
    """Raise ValueError where the card or the tensors have wrong types or shapes."""
    codes, weights, channel_stats = tensors["codes"], tensors["weights"], tensors.get("channel_stats")
    if codes.ndim != 2 or codes.dtype != np.float32 or weights.shape != codes.shape[:1]:
        raise ValueError("its centres have another shape or type")
    if channel_stats is not None and (
        channel_stats.ndim != 2 or channel_stats.dtype != np.float16 or len(channel_stats) != len(codes)
    ):
        raise ValueError("its channel_stats have another shape or type")
    if not all(key.startswith(PREFERENCE) for key in tensors.keys() - {"codes", "weights", "channel_stats"}):
        raise ValueError("it has tensors that do not belong to a style")
    texts, numbers = (card["name"], card["model"], card["created"]), (card["answers"], *card["rights"].values())
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        raise ValueError("the values of its card have other types")
    if not all(text.isprintable() for text in texts):  # they are shown on terminals
        raise ValueError("its card contains unprintable characters")


def _digest(card: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """Return the SHA-256, in hex, of the card and the tensors."""
    found = hashlib.sha256(json.dumps(card, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for name, values in sorted(tensors.items()):
        found.update(f"{name} {values.dtype.str} {values.shape} ".encode())
        found.update(values.tobytes())
    return found.hexdigest()


class _LaterError(Exception):
    """The file is of a later format."""
