"""What pictures and answers teach: a taste, a score over styles, and which picture belongs to which centre."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sfumato.errors import ModelError
from sfumato.inference.style import RIGHTS, PersonalStyle
from sfumato.inference.style_pictures import StylePicture
from sfumato.personal.centres import Centre, centres
from sfumato.personal.look import Remark, odd_one
from sfumato.personal.preference_model import PreferenceModel, suggestions
from sfumato.personal.records import Preferences, RatedPicture, now
from sfumato.personal.space import StyleSpace
from sfumato.style_code import StyleCode

_LEAST_CHANCE = 0.05  # that a liked picture is given
_PAINTED_WITH = 8  # pictures of a style, at most: more would have few vectors each in a bank


def learn(prefs: Preferences, codes: Mapping[str, StyleCode]) -> PersonalStyle | None:
    """Learn a taste from pictures and answers; None where nothing is liked.

    Args:
        codes: of pictures by their hashes, and of styles that questions were about by their `code_id`. Pictures and
            styles without a code are left out.
    """
    liked, disliked = ([p for p in of if p.sha256 in codes] for of in (prefs.liked, prefs.disliked))
    if not liked:
        return None
    space = StyleSpace.load()
    found = centres([codes[p.sha256] for p in liked], [codes[p.sha256] for p in disliked], space)
    model = fit_model(prefs, codes, space, found)
    counts = {right: sum(p.rights == right for p in (*liked, *disliked)) for right in RIGHTS}
    hashes = [tuple(sorted(p.sha256 for p in of)) for of in (liked, disliked)]
    return PersonalStyle(
        prefs.name,
        tuple(centre.code for centre in found),
        tuple(centre.weight for centre in found),
        hashes[0],
        hashes[1],
        sum(answer.teaches for answer in prefs.answers),
        {right: count for right, count in counts.items() if count},
        created=now(),
        preference=model.tensors(),
    )


def fit_model(
    prefs: Preferences, codes: Mapping[str, StyleCode], space: StyleSpace, found: Sequence[Centre] | None = None
) -> PreferenceModel:
    """Fit a score over styles to likes, dislikes and answers; ``codes`` as for `learn`, ``found`` the centres that are
    known already."""
    liked, disliked = ([codes[p.sha256] for p in of if p.sha256 in codes] for of in (prefs.liked, prefs.disliked))
    pairs = []
    for each in prefs.answers:
        if each.teaches and each.first[1] in codes and each.second[1] in codes:
            pair = codes[each.first[1]], codes[each.second[1]]
            pairs.append(pair if each.preferred == "first" else pair[::-1])
    return PreferenceModel.fit(space, liked, disliked, pairs, found)


def odd_remark(prefs: Preferences, codes: Mapping[str, StyleCode]) -> Remark | None:
    """The remark that one liked picture is unlike all others; None where none is."""
    liked = [picture for picture in prefs.liked if picture.sha256 in codes]
    place = odd_one([codes[picture.sha256] for picture in liked], StyleSpace.load())
    if place is None:
        return None
    odd = liked[place]
    said = f"{odd.name} is unlike the other {len(liked) - 1} liked pictures; if it is there by mistake, remove it"
    return Remark(str(prefs.file(odd)), "odd", said, left_out=False)


def nearest_pictures(
    prefs: Preferences, taste: PersonalStyle, codes: Mapping[str, StyleCode]
) -> list[list[RatedPicture]]:
    """For each centre of a taste the liked pictures that are nearer to it than to the others, the nearest first."""
    if prefs.imported:
        return [[] for _ in taste.codes]
    space = StyleSpace.load()
    middles = space.places(taste.codes)
    found: list[list[tuple[float, RatedPicture]]] = [[] for _ in taste.codes]
    for picture in prefs.liked:
        if picture.sha256 in codes:
            apart = ((middles - space.place(codes[picture.sha256])) ** 2).sum(1)
            found[int(apart.argmin())].append((float(apart.min()), picture))
    return [[picture for _, picture in sorted(each, key=lambda one: one[0])] for each in found]


def painting_pictures(
    prefs: Preferences, taste: PersonalStyle, codes: Mapping[str, StyleCode]
) -> list[list[StylePicture]]:
    """For each centre of a taste the liked pictures that it is painted with: the nearest few, each with the chance, as
    the preference model has it, that the person prefers it to any painting."""
    model = PreferenceModel.of(taste.preference, StyleSpace.load())
    found = []
    for near in nearest_pictures(prefs, taste, codes):
        shown = near[:_PAINTED_WITH]
        utilities = [model.score(codes[picture.sha256])[0] for picture in shown]
        chances = [max(_LEAST_CHANCE, 1 / (1 + math.exp(-utility))) for utility in utilities]
        found.append([StylePicture(p.sha256, c, prefs.file(p)) for p, c in zip(shown, chances, strict=True)])
    return found


def suggested_styles(taste: PersonalStyle) -> list[str]:
    """The three built-in styles that a taste would choose; none where it holds no preference model of this version."""
    if not taste.preference:
        return []
    try:
        model = PreferenceModel.of(taste.preference, StyleSpace.load())
    except ModelError:
        return []
    return [name for name, _, _ in suggestions(model, 3)]
