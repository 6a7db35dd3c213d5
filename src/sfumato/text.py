"""Cleaning of text from untrusted sources (file names, recipes, style files, votes) for display and storage."""

from __future__ import annotations

import unicodedata

#: Zero-width (non-)joiners, which connect letters and emoji: not printable by themselves, but harmless.
_JOINERS = "\u200c\u200d"


def printable(text: str, keep: str = "") -> str:
    r"""Escape every unprintable character of a text, as in ``\x1b``, ``\n``, ``\u202e`` and ``\udce9``.

    Terminals execute escape sequences, direction marks reverse lines, and a file name that is not UTF-8 contains lone
    surrogates, which no stream can encode. Printable characters and spaces of any script are unchanged.

    Args:
        text: the text.
        keep: characters that are not escaped, such as ``"\n"``.
    """
    if text.isprintable():
        return text
    return "".join(sign if _is_printable(sign) or sign in keep else _escape(sign) for sign in text)


def short(text: str, max_length: int = 200) -> str:
    """Return the text for use in a sentence: printable, and cut to ``max_length`` characters."""
    shown = printable(text[: max_length + 1])
    return shown if len(text) <= max_length else f"{shown[: max_length - 3]}..."


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, as in "1 mask" and "2 masks"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _is_printable(sign: str) -> bool:
    return sign.isprintable() or sign in _JOINERS or unicodedata.category(sign) == "Zs"


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape").decode()


def as_utf8(text: str) -> bytes:
    """Encode text as UTF-8 for a file that people read; lone surrogates, which UTF-8 cannot encode, are escaped."""
    return text.encode("utf-8", "backslashreplace")
