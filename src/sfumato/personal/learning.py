"""Learning from pictures and answers: a personal style, a preference model, and the pictures of each centre."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sfumato.errors import ModelError
from sfumato.inference.style import PersonalStyle
from sfumato.inference.style_pictures import StylePicture
from sfumato.personal.centres import Centre, centres
from sfumato.personal.inspection import Remark, odd_one
from sfumato.personal.preference_model import PreferenceModel, suggestions
from sfumato.personal.records import PersonalRecord, RatedPicture, now
from sfumato.personal.space import StyleSpace
from sfumato.rights import RIGHTS
from sfumato.style_code import StyleCode

_MIN_WEIGHT = 0.05  # minimum weight of a liked picture
_MAX_PICTURES = 8  # maximum of pictures that a style is painted with: each of more would have few vectors in the bank


def learn(record: PersonalRecord, codes: Mapping[str, StyleCode]) -> PersonalStyle | None:
    """Learn a personal style from pictures and answers; return None where no picture is liked.

    Args:
        record: The rated pictures and answers.
        codes: Style codes of pictures by their hashes, and of styles in questions by their `code_id`. Pictures and
            answers without a code are left out.
    """
    liked, disliked = ([p for p in of if p.sha256 in codes] for of in (record.liked, record.disliked))
    if not liked:
        return None
    space = StyleSpace.load()
    found = centres([codes[p.sha256] for p in liked], [codes[p.sha256] for p in disliked], space)
    model = fit_model(record, codes, space, found)
    counts = {right: sum(p.rights == right for p in (*liked, *disliked)) for right in RIGHTS}
    hashes = [tuple(sorted(p.sha256 for p in of)) for of in (liked, disliked)]
    return PersonalStyle(
        record.name,
        tuple(centre.code for centre in found),
        tuple(centre.weight for centre in found),
        hashes[0],
        hashes[1],
        sum(answer.teaches for answer in record.answers),
        {right: count for right, count in counts.items() if count},
        created=now(),
        preference=model.tensors(),
    )


def fit_model(
    record: PersonalRecord, codes: Mapping[str, StyleCode], space: StyleSpace, found: Sequence[Centre] | None = None
) -> PreferenceModel:
    """Fit a preference model to likes, dislikes and answers.

    Args:
        record: The rated pictures and answers.
        codes: Style codes, as for `learn`.
        space: The style space.
        found: Centres of the liked pictures, if they are known; None computes them.
    """
    liked, disliked = ([codes[p.sha256] for p in of if p.sha256 in codes] for of in (record.liked, record.disliked))
    pairs = []
    for each in record.answers:
        if each.teaches and each.first[1] in codes and each.second[1] in codes:
            pair = codes[each.first[1]], codes[each.second[1]]
            pairs.append(pair if each.preferred == "first" else pair[::-1])
    return PreferenceModel.fit(space, liked, disliked, pairs, found)


def odd_remark(record: PersonalRecord, codes: Mapping[str, StyleCode]) -> Remark | None:
    """Return the remark on a liked picture whose style is far from all others; None if there is no such picture."""
    liked = [picture for picture in record.liked if picture.sha256 in codes]
    place = odd_one([codes[picture.sha256] for picture in liked], StyleSpace.load())
    if place is None:
        return None
    odd = liked[place]
    message = f"{odd.name} is unlike the other {len(liked) - 1} liked pictures; if it is there by mistake, remove it"
    return Remark(str(record.file(odd)), "odd", message, left_out=False)


def nearest_pictures(
    record: PersonalRecord, personal_style: PersonalStyle, codes: Mapping[str, StyleCode]
) -> list[list[RatedPicture]]:
    """Return the liked pictures of each centre of a personal style, nearest first.

    A picture belongs to its nearest centre.
    """
    if record.imported:
        return [[] for _ in personal_style.codes]
    space = StyleSpace.load()
    middles = space.places(personal_style.codes)
    found: list[list[tuple[float, RatedPicture]]] = [[] for _ in personal_style.codes]
    for picture in record.liked:
        if picture.sha256 in codes:
            apart = ((middles - space.place(codes[picture.sha256])) ** 2).sum(1)
            found[int(apart.argmin())].append((float(apart.min()), picture))
    return [[picture for _, picture in sorted(each, key=lambda one: one[0])] for each in found]


def painting_pictures(
    record: PersonalRecord, personal_style: PersonalStyle, codes: Mapping[str, StyleCode]
) -> list[list[StylePicture]]:
    """Return the liked pictures with which each centre of a personal style is painted: the nearest few.

    The weight of a picture is the probability, by the preference model, that the person prefers it to a painting of
    average distance.
    """
    model = PreferenceModel.of(personal_style.preference, StyleSpace.load())
    found = []
    for near in nearest_pictures(record, personal_style, codes):
        shown = near[:_MAX_PICTURES]
        utilities = [model.score(codes[picture.sha256])[0] for picture in shown]
        chances = [max(_MIN_WEIGHT, 1 / (1 + math.exp(-utility))) for utility in utilities]
        found.append([StylePicture(p.sha256, c, record.file(p)) for p, c in zip(shown, chances, strict=True)])
    return found


def suggested_styles(personal_style: PersonalStyle) -> list[str]:
    """Return the three built-in styles that the person is expected to like most.

    The list is empty where the personal style holds no preference model of this version.
    """
    if not personal_style.preference:
        return []
    try:
        model = PreferenceModel.of(personal_style.preference, StyleSpace.load())
    except ModelError:
        return []
    return [name for name, _, _ in suggestions(model, 3)]
