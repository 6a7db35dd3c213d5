"""Rights in pictures: what users state about theirs, and what the text of a licence allows.

This is no legal advice. Where a text is not clear, the answer is that nothing is known.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
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
    if text.lstrip().startswith("unknown"):  # what follows says where the picture was found, not what its owner says
        return None
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


#: Surnames in the ledger that are also words, given names, or names of artists who died long ago. One of them names the
#: artist only beside the given name or its initial, or where it is the whole text.
SHARED_SURNAMES = frozenset(
    ("bacon", "calder", "ernst", "freud", "giacometti", "hopper", "klein", "leger", "newman", "ross")
)
_MIN_JOINED = 8  # letters of a name that is found inside a longer word


def names_artist(text: str, artist: str) -> bool | None:
    """Return whether a text names an artist: True by the full name, None perhaps, by the surname alone, False not.

    Capitals, accents, digits and signs between words do not matter, and words may be joined: "SalvadorDali",
    "salvadordali2" and "Dalí, Salvador" are the full name, "dali_clocks" is the surname. "pradalis" is neither.

    Args:
        text: such as the name of a file.
        artist: given names first, as in the ledger.
    """
    words, name = _words(text), _words(artist)
    surname, joined = name[-1], "".join(name)
    if len(name) > 1:
        padded = f" {' '.join(words)} "
        ways = (" ".join(name), f"{surname} {' '.join(name[:-1])}", f"{name[0][0]} {surname}", f"{name[0]} {surname}")
        pairs = {"".join(words[i : i + count]) for count in range(1, len(name) + 2) for i in range(len(words))}
        if any(f" {way} " in padded for way in ways) or joined in pairs:
            return True
        if len(joined) >= _MIN_JOINED and any(joined in word for word in words):
            return True
    if surname in SHARED_SURNAMES:
        return None if words == [surname] else False
    # A long surname in two words is one that has lost its apostrophe, as in "o keeffe".
    halves = {first + second for first, second in itertools.pairwise(words)} if len(surname) > 6 else set()
    return None if surname in words or surname in halves else False


def _words(text: str) -> list[str]:
    """Return a text as words of small letters without accents, so that "SALVADOR_DALÍ2" is "salvador", "dali"."""
    plain = unicodedata.normalize("NFKD", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    plain = re.sub("'[sS](?![A-Za-z])|'", "", plain.encode("ascii", "ignore").decode())
    return re.findall("[a-z]+", re.sub("(?<=[a-z])(?=[A-Z])", " ", plain).lower())


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
