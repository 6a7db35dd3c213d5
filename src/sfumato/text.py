"""Text from strangers (names of files, recipes, style files, votes), made safe to show and to keep."""

from __future__ import annotations

import unicodedata

#: Joiners, which hold letters and emoji together: they are no letters, and harmless.
_JOINERS = "\u200c\u200d"


def printable(text: str, keep: str = "") -> str:
    """The text with every sign that is not to be shown written out: ``\\x1b``, ``\\n``, ``\\u202e``, ``\\udce9``.

    Terminals obey escapes, whoever wrote them; direction marks turn lines round; a name that is no UTF-8 holds lone
    surrogates, which no stream can encode. What is left is printable signs and spaces of any script.

    Args:
        keep: signs that stay all the same, such as ``"\\n"``.
    """
    if text.isprintable():
        return text
    return "".join(sign if _is_shown(sign) or sign in keep else _written_out(sign) for sign in text)


def short(text: str, max_length: int = 200) -> str:
    """The text as a part of one sentence: printable, and of no more than ``max_length`` signs."""
    shown = printable(text[: max_length + 1])
    return shown if len(text) <= max_length else f"{shown[: max_length - 3]}..."


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, as in "1 mask" and "2 masks"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _is_shown(sign: str) -> bool:
    return sign.isprintable() or sign in _JOINERS or unicodedata.category(sign) == "Zs"


def _written_out(sign: str) -> str:
    return sign.encode("unicode_escape").decode()


def as_utf8(text: str) -> bytes:
    """Text in UTF-8 for a file that people read; lone surrogates, which UTF-8 has not, are written out."""
    return text.encode("utf-8", "backslashreplace")
