"""Rights in pictures: what users state about theirs, and what the text of a licence allows.

This is no legal advice. Where a text is not clear, the answer is that nothing is known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

#: Rights that users may state for their pictures; ``unstated`` where nobody did.
RIGHTS = ("own", "licensed", "public-domain", "unstated")
#: Years after an artist's death that the work stays protected, as in the European Union (Directive 2006/116/EC).
PROTECTED_YEARS = 70

_CC = r"public ?domain|cc0|cc[- ]by\b|creative commons (?:zero|attribution)|creativecommons\.org/"
_FREE = re.compile(rf"(?:https?://)?(?:{_CC})")
_NOT_ONLY_FREE = re.compile(r"gpl|[- ](?:sa|nd)\b|share-?alike|no-?deriv")
_KNOWN = re.compile(
    rf"{_CC}|\ba?l?gpl|\bmit\b|mit-cmu|apache|\bbsd\b|\b0bsd\b|\bisc\b|hpnd|zlib|psf|python software|mpl|mozilla"
)
_FORBIDS = re.compile(
    r"non\W*commercial|\bnot?\b[^.;]*\bcommercial|\bcommercial use (?:is )?(?:not|prohibited|forbidden)|"
    r"\b(?:personal|private) use|\bnc\b|research"
)
# The word "only" limits a licence, except in names such as LGPL-3.0-only.
_UNCLEAR = re.compile(
    r"unknown|mixed|flickr|unstated|\bnot\b|(?<!\d-)\bonly\b|\b(?:us|usa|united states)\b|\bexcept\b|educational|"
    r"all rights reserved|^\s*(?:copyright|©|\(c\))"
)


def may_sell(licence: str) -> bool | None:
    """Return whether a licence allows commercial use: True, False, or None where its text does not tell."""
    text = licence.casefold()
    if _FORBIDS.search(text):
        return False
    return True if _KNOWN.search(text) and not _UNCLEAR.search(text) else None


def is_free(licence: str) -> bool:
    """Return whether a licence is CC0, CC BY or public domain, which allow all uses, and no other one beside it."""
    text = licence.casefold()
    return may_sell(text) is True and bool(_FREE.match(text)) and not _NOT_ONLY_FREE.search(text)


#: The choices of ``sfumato train --licences``, and what each lets through.
LICENCE_FILTERS: dict[str, Callable[[str], bool]] = {
    "free": is_free,
    "commercial": lambda licence: may_sell(licence) is True,
}


def is_protected(died: int, year: int) -> bool:
    """Return whether the works of an artist who died in that year are protected in ``year``, to its last day."""
    return year <= died + PROTECTED_YEARS


def rights_text(counts: Mapping[str, int]) -> str:
    """Return numbers of pictures by right as text, as in ``own: 3, unstated: 1``; `rights_counts` reads it."""
    return ", ".join(f"{right}: {count}" for right, count in sorted(counts.items()) if count)


def rights_counts(text: str) -> dict[str, int]:
    """Return the numbers in a text of `rights_text`; other parts, as strangers may write, are dropped."""
    found: Counter[str] = Counter()
    for part in text.split(","):
        right, _, count = part.strip().partition(": ")
        if right in RIGHTS and count.isdecimal() and len(count) < 10:
            found[right] += int(count)
    return dict(found)


def joined_rights(texts: Iterable[str]) -> str:
    """Return the rights of several styles as one text."""
    total: Counter[str] = Counter()
    for text in texts:
        total.update(rights_counts(text))
    return rights_text(total)
