from __future__ import annotations

import pytest

from sfumato.assets import whole_ledger
from sfumato.rights import (
    SHARED_SURNAMES,
    is_free,
    is_protected,
    joined_rights,
    may_sell,
    names_artist,
    rights_counts,
    rights_text,
)


@pytest.mark.parametrize(
    ("licence", "sells", "free"),
    [
        ("public domain (artist died 1926)", True, True),
        ("public domain (artist died 1849); Met Open Access, cropped from MetBrewer figure", True, True),
        ("CC0", True, True),
        ("CC-BY-4.0 (Aitzol Berasategi, 2018)", True, True),
        ("CC BY 4.0", True, True),
        ("CC-BY-SA-4.0 (Peter Nerlich, 2018)", True, False),
        ("CC-BY-NC-4.0", False, False),
        ("CC BY-NC-SA 4.0", False, False),
        ("CC-BY-ND-4.0", True, False),
        ("CC BY SA 3.0", True, False),
        ("https://creativecommons.org/licenses/by/4.0/", True, True),
        ("https://creativecommons.org/licenses/by-nc-sa/4.0/", False, False),
        ("https://creativecommons.org/licenses/by-sa/4.0/", True, False),
        ("https://creativecommons.org/publicdomain/zero/1.0/", True, True),
        ("Creative Commons Attribution 4.0 International", True, True),
        ("Creative Commons Attribution-NonCommercial 4.0", False, False),
        ("Creative Commons Attribution-ShareAlike 4.0", True, False),
        ("LGPL-3.0-only", True, False),
        ("GPL-3+ (2010; Debian gcompris-qt-data copyright file)", True, False),
        ("public domain (artist died 1890); photo GPL-3 (2000, 2008 Bruno Coudoin)", True, False),
        ("ImageNet terms (research)", False, False),
        ("BSDS500: non-commercial research/education", False, False),
        ("COCO: Flickr images, mixed CC licences (Flickr terms)", None, False),
        ("jetson-inference sample images (repo MIT; image licence unknown)", None, False),
        ("licence unknown", None, False),
        ("unknown (example photos, research)", None, False),
        ("all rights reserved", None, False),
        ("", None, False),
        ("Creative Commons Attribution-Non Commercial 4.0", False, False),
        ("CC BY 4.0, no commercial use", False, False),
        ("CC BY, not for commercial use", False, False),
        ("CC BY 4.0 (commercial use prohibited)", False, False),
        ("CC0 for personal use only", False, False),
        ("Public domain in the US only", None, False),
        ("public domain in the United States", None, False),
        ("Public domain (US)", None, False),
        ("CC0 except where noted", None, False),
        ("CC BY 4.0 for educational use", None, False),
        ("not public domain", None, False),
        ("Copyright MIT Museum, all rights reserved", None, False),
        ("Copyright MIT Museum", None, False),
        ("MIT-CMU", True, False),
        ("BSD-3-Clause", True, False),
    ],
)
def test_what_a_licence_allows(licence: str, sells: bool | None, free: bool) -> None:
    assert may_sell(licence) is sells
    assert is_free(licence) is free


def test_works_are_protected_to_the_end_of_the_seventieth_year() -> None:
    assert is_protected(1955, 2025)
    assert not is_protected(1955, 2026)


def test_rights_are_counted_and_strangers_texts_are_dropped() -> None:
    assert rights_text({"unstated": 1, "own": 3, "licensed": 0}) == "own: 3, unstated: 1"
    assert rights_counts("own: 3, unstated: 1") == {"own": 3, "unstated": 1}
    assert rights_counts("stolen: 3, own: -1, own: 99999999999, \x1b[2J, own: 2") == {"own": 2}
    assert joined_rights(["own: 3", "", "own: 1, public-domain: 2"]) == "own: 4, public-domain: 2"


def named(text: str) -> dict[str, bool | None]:
    """The artists of the ledger that a text names."""
    artists: list[str] = list(whole_ledger()["artists"])
    return {each: says for each in artists if (says := names_artist(text, each)) is not False}


@pytest.mark.parametrize(
    ("text", "artist", "answer"),
    [
        ("SalvadorDali", "Salvador Dalí", True),
        ("salvadordali2", "Salvador Dalí", True),
        ("SALVADOR_DALÍ-clocks", "Salvador Dalí", True),
        ("Dalí, Salvador", "Salvador Dalí", True),
        ("dali", "Salvador Dalí", None),
        ("dali_persistence", "Salvador Dalí", None),
        ("Dalí’s clocks", "Salvador Dalí", None),
        ("myPicasso3", "Pablo Picasso", None),
        ("mcescher-hands", "M. C. Escher", True),
        ("deKooning", "Willem de Kooning", None),
        ("Georgia O'Keeffe", "Georgia O'Keeffe", True),
        ("o_keeffe", "Georgia O'Keeffe", None),
        ("qi baishi", "Qi Baishi", True),
        ("herge 1", "Hergé", None),
        ("hopper", "Edward Hopper", None),
        ("e-hopper-diner", "Edward Hopper", True),
    ],
)
def test_names_of_artists_are_found(text: str, artist: str, answer: bool | None) -> None:
    assert named(text) == {artist: answer}


# Artists whose works are free, and words that contain a short name.
FREE = (
    *("van_gogh", "franz_marc", "max_liebermann", "francis_picabia", "ernst_ludwig_kirchner", "giovanni_giacometti"),
    *("georges_seurat", "rene_lalique", "Paul Klee", "roger_van_der_weyden", "ElGreco", "Fernand Khnopff", "monet2"),
    *("medali", "sandalia", "dalila", "mirror", "casimiro", "grasshopper", "grass_hopper", "bacon_and_eggs", "rosso"),
    *("kleinigkeiten", "chagallery", "bobrossi", "legerdemain", "da_li_garden", "max", "salvador", "sigmund_freud"),
)


@pytest.mark.parametrize("text", FREE)
def test_others_are_not_taken_for_them(text: str) -> None:
    assert named(text) == {}


def test_nothing_that_ships_is_taken_for_a_protected_artist() -> None:
    lines = whole_ledger()["lines"]
    assert not [text for line in lines for text in (line["author"], line.get("title")) if text and named(text)]
    assert all(named(each) for each in SHARED_SURNAMES)  # none is left of an artist who is no longer listed
