"""Files as disks, networks and attackers damage them, always the same ones, and what must hold when one is read."""

from __future__ import annotations

import faulthandler
import json
import resource
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from sfumato.errors import SfumatoError

SECONDS, BYTES = 20, 1e9  # that one file may take
_HANGS = 300  # seconds of wall time: the machine may be shared
FIELDS = [
    struct.pack(f, v)
    for v in (0, 1, 255, 32_768, 65_535, 2**31 - 1, 2**32 - 1)
    for f in ("<I", ">I", "<H", ">H")
    if v < 65_536 or f[1] == "I"
]
#: What stands in JSON where something else is due; as text, since some of it no writer gives.
VALUES = (
    *("null", "true", "-1", "0", "1.5", "1e400", "-1e-400", "NaN", "Infinity", "9" * 400, "9" * 5000, '""', '"1"'),
    *("[]", "{}", '[""]', '{"a":1}', "[[]]", '"\\ud800"', '"\\u001b]0;x\\u0007"', '"a\\u0000b"', '"\\n\\n"'),
    *('"[/red]"', '"../../x"', '"/dev/zero"', '"' + "x" * 100_000 + '"', "[" * 3000 + "]" * 3000),
    *('{"a":' * 3000 + "1" + "}" * 3000, "1000000", "4294967296", "18446744073709551616"),
)


def mutated_bytes(data: bytes, rng: np.random.Generator, other: bytes = b"") -> bytes:
    """One to three mistakes in a file, most of them in its header; ``other`` is a file whose end it may get."""
    found = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        if len(found) < 2:
            break
        end = min(len(found), 250) if rng.random() < 0.6 else len(found)
        start, span = int(rng.integers(0, end)), int(rng.integers(1, 64))
        match rng.integers(0, 9):
            case 0:
                for place in rng.integers(0, end, rng.integers(1, 20)):
                    found[place] ^= 1 << int(rng.integers(0, 8))
            case 1:
                found[start : start + span] = rng.bytes(span)
            case 2:
                del found[start:]
            case 3:
                found[start : start + span] = bytes(span)
            case 4:
                found[start:start] = found[start : start + span]
            case 5:
                del found[start : start + span]
            case 6:
                field = FIELDS[rng.integers(0, len(FIELDS))]
                found[start : start + len(field)] = field
            case 7 if other:
                found[start:] = other[len(other) // 2 :]
            case _:
                found[start:start] = rng.bytes(span)
    return bytes(found)


def mutated_json(value: Any, rng: np.random.Generator) -> str:
    """JSON of a value in which one or two parts are others: of another type, endless, absurd, gone, or there twice."""
    marks: list[str] = []
    for _ in range(rng.integers(1, 3)):
        places = [path for path in _paths(value) if path]
        if not places:
            break
        value = _changed(value, places[rng.integers(0, len(places))], rng, marks)
    text = json.dumps(value)
    for number, mark in enumerate(marks):
        text = text.replace(f'"@{number}@"', mark)
    return text


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in list(inner)[:40]:
        yield from _paths(each, (*path, key))


def _changed(value: Any, path: tuple[Any, ...], rng: np.random.Generator, marks: list[str]) -> Any:
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        copy[key] = _changed(copy[key], tuple(rest), rng, marks)
    elif rng.random() < 0.15:
        del copy[key]
    elif isinstance(copy, list) and rng.random() < 0.2:
        copy[key:key] = [copy[key]] * int(rng.choice([1, 70]))
    else:
        copy[key] = f"@{len(marks)}@"
        marks.append(VALUES[rng.integers(0, len(VALUES))])
    return copy


def mutated(files: Mapping[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """So many damaged files, of each kind as many, with their names."""
    names = sorted(files)
    for case in range(count):
        rng = np.random.default_rng([seed, case])
        name = names[case % len(names)]
        other = files[names[rng.integers(0, len(names))]]
        yield f"{name}, case {case}", mutated_bytes(files[name], rng, other)


class Watch:
    """Over what readers do with damaged files: they read one or say what is wrong in one sentence, soon and in little
    memory."""

    def __init__(self) -> None:
        self.outcomes = {"read": 0, "refused": 0}
        self._limit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + BYTES

    def read(self, name: str, *readers: Callable[[], object]) -> None:
        """Counts how the last reader ends; any other error than one of Sfumato's comes through.

        Raises:
            AssertionError: one took too much, or said more than a sentence.
        """
        began, message = time.process_time(), ""
        # A hang inside a library cannot be interrupted: the process ends, and its stack says where.
        faulthandler.dump_traceback_later(_HANGS, exit=True)
        try:
            for reader in readers:
                message = ""
                try:
                    reader()
                except SfumatoError as problem:
                    message = str(problem)
                except Exception as problem:
                    problem.add_note(f"while {name} was read")
                    raise
                assert "\n" not in message, f"{name}: {message}"
                assert len(message) < 2000, f"{name}: {message[:2000]}"
        finally:
            faulthandler.cancel_dump_traceback_later()
        self.outcomes["refused" if message else "read"] += 1
        assert time.process_time() - began < SECONDS, name
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < self._limit, name
