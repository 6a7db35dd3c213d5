"""The file of a personal style, ``NAME.sfumato``.

It is one safetensors file of some kB. Its tensors are the cluster centres (style codes with their channel statistics),
their weights and, if there is one, the parameters of a preference model. Its metadata have one key,
``sfumato.personal_style``, which holds a card in JSON: format, name, model, rights, numbers and hashes of pictures,
date, and a hash of the card and the tensors, which detects damage. The file contains no picture, and no picture's name
or place, and loading it runs no code. Equal styles give equal files.

A private file (`style.PersonalStyle.private`) has no hashes of pictures, no date and no preference model. Instead it
has, for each centre, places to paint with: ``places.CENTRE.SHORT`` (``(N, 643)`` float16, `style_bank.thinned`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from sfumato.errors import ModelError
from sfumato.inference.matching import CHANNELS
from sfumato.inference.style_pictures import SparsePlaces, levels_of
from sfumato.style_code import StyleCode, Tensors, read_small, tensor_bytes

if TYPE_CHECKING:
    from sfumato.inference.style import PersonalStyle

#: Version of the file's format; a file of a later version is refused.
FORMAT = 1
#: Prefix of the names of a preference model's parameters.
PREFERENCE = "preference."
#: The same of the places of a private file, before the number of the centre and the short side in pixels.
PLACES = "places."
_KEY = "sfumato.personal_style"  # the only key, since safetensors writes several in an order that changes between runs
_MAX_BYTES = 16_000_000
_MAX_SHORT = 4096  # of a level of places, in pixels

_Made = TypeVar("_Made")


def style_bytes(style: PersonalStyle) -> bytes:
    """Return the content of a personal style's file."""
    channel_stats = [code.channel_stats for code in style.codes if code.channel_stats is not None]
    card = {
        "name": style.name,
        "model": style.model,
        "liked": sorted(style.liked),
        "disliked": sorted(style.disliked),
        "answers": style.answers,
        "rights": dict(style.rights),
        "created": style.created,
    }
    tensors: dict[str, npt.NDArray[Any]] = {
        "codes": np.stack([code.vector for code in style.codes]),
        "weights": np.array(style.weights, np.float32),
    }
    if channel_stats:
        tensors["channel_stats"] = np.stack(channel_stats).astype(np.float16)
    for key, values in sorted(style.preference.items()):
        tensors[f"{PREFERENCE}{key}"] = values
    for centre, pictures in enumerate(style.pictures):
        for short, places in sorted(levels_of(pictures).items()):
            tensors[f"{PLACES}{centre}.{short}"] = places
    return file_bytes(card, tensors)


def style_values(card: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Return the attributes of the `style.PersonalStyle` that a file holds, by name."""
    codes, channel_stats = tensors["codes"], tensors.get("channel_stats")
    levels: list[dict[int, npt.NDArray[Any]]] = [{} for _ in codes]
    for key, places in tensors.items():
        if key.startswith(PLACES):
            centre, short = key.removeprefix(PLACES).split(".")
            levels[int(centre)][int(short)] = places
    return {
        "name": card["name"],
        "codes": tuple(
            StyleCode(code, card["model"], None if channel_stats is None else channel_stats[i])
            for i, code in enumerate(codes)
        ),
        "weights": tuple(float(weight) for weight in tensors["weights"]),
        "liked": tuple(card["liked"]),
        "disliked": tuple(card["disliked"]),
        "answers": card["answers"],
        "rights": card["rights"],
        "created": card["created"],
        "preference": {key.removeprefix(PREFERENCE): v for key, v in tensors.items() if key.startswith(PREFERENCE)},
        "pictures": tuple((SparsePlaces.of_levels(each),) if each else () for each in levels),
    }


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
    others = tensors.keys() - {"codes", "weights", "channel_stats"}
    if not all(key.startswith((PREFERENCE, PLACES)) for key in others):
        raise ValueError("it has tensors that do not belong to a style")
    for key in others:
        if key.startswith(PLACES):
            _check_places(key.removeprefix(PLACES), tensors[key], len(codes))
    texts, numbers = (card["name"], card["model"], card["created"]), (card["answers"], *card["rights"].values())
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
        raise ValueError("the values of its card have other types")
    if not all(text.isprintable() for text in texts):  # they are shown on terminals
        raise ValueError("its card contains unprintable characters")


def _check_places(name: str, places: npt.NDArray[Any], centres: int) -> None:
    """Raise ValueError where places have another name, type or shape, or numbers that are not finite."""
    centre, _, short = name.partition(".")
    if not (_is_below(centre, centres) and _is_below(short, _MAX_SHORT + 1) and int(short) > 0):
        raise ValueError(f"its places are of no centre or size: {name[:40]}")
    if places.ndim != 2 or places.dtype != np.float16 or places.shape[1] != CHANNELS or not len(places):
        raise ValueError("its places have another shape or type")
    if not np.isfinite(places).all():
        raise ValueError("its places are not finite")


def _is_below(text: str, limit: int) -> bool:
    """Whether a text is a number in plain digits below a limit."""
    return text.isascii() and text.isdigit() and str(int(text[:9])) == text and int(text) < limit


def _digest(card: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """Return the SHA-256, in hex, of the card and the tensors."""
    found = hashlib.sha256(json.dumps(card, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for name, values in sorted(tensors.items()):
        found.update(f"{name} {values.dtype.str} {values.shape} ".encode())
        found.update(values.tobytes())
    return found.hexdigest()


class _LaterError(Exception):
    """The file is of a later format."""
