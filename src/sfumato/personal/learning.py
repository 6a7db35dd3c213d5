"""What pictures and answers teach: a personal style, a score over styles, and which picture belongs to which centre."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sfumato.errors import ModelError
from sfumato.inference.style import RIGHTS, PersonalStyle
from sfumato.inference.style_pictures import StylePicture
from sfumato.personal.centres import Centre, centres
from sfumato.personal.inspection import Remark, odd_one
from sfumato.personal.preference_model import PreferenceModel, suggestions
from sfumato.personal.records import PersonalRecord, RatedPicture, now
from sfumato.personal.space import StyleSpace
from sfumato.style_code import StyleCode

_MIN_CHANCE = 0.05  # that a liked picture is given
_PAINTED_WITH = 8  # pictures of a style, at most: more would have few vectors each in a bank


def learn(record: PersonalRecord, codes: Mapping[str, StyleCode]) -> PersonalStyle | None:
    """Learn a personal style from pictures and answers; None where nothing is liked.

    Args:
        codes: of pictures by their hashes, and of styles that questions were about by their `code_id`. Pictures and
            styles without a code are left out.
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
    """Fit a score over styles to likes, dislikes and answers; ``codes`` as for `learn`, ``found`` the centres that are
    known already."""
    liked, disliked = ([codes[p.sha256] for p in of if p.sha256 in codes] for of in (record.liked, record.disliked))
    pairs = []
    for each in record.answers:
        if each.teaches and each.first[1] in codes and each.second[1] in codes:
            pair = codes[each.first[1]], codes[each.second[1]]
            pairs.append(pair if each.preferred == "first" else pair[::-1])
    return PreferenceModel.fit(space, liked, disliked, pairs, found)


def odd_remark(record: PersonalRecord, codes: Mapping[str, StyleCode]) -> Remark | None:
    """The remark that one liked picture is unlike all others; None where none is."""
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
    """For each centre of a personal style the liked pictures that are nearer to it than to the others, the nearest
    first."""
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
    """For each centre of a personal style the liked pictures that it is painted with: the nearest few, each with the
    chance, as the preference model has it, that the person prefers it to any painting."""
    model = PreferenceModel.of(personal_style.preference, StyleSpace.load())
    found = []
    for near in nearest_pictures(record, personal_style, codes):
        shown = near[:_PAINTED_WITH]
        utilities = [model.score(codes[picture.sha256])[0] for picture in shown]
        chances = [max(_MIN_CHANCE, 1 / (1 + math.exp(-utility))) for utility in utilities]
        found.append([StylePicture(p.sha256, c, record.file(p)) for p, c in zip(shown, chances, strict=True)])
    return found


def suggested_styles(personal_style: PersonalStyle) -> list[str]:
    """The three built-in styles that a personal style would choose; none where it holds no preference model of this
    version."""
    if not personal_style.preference:
        return []
    try:
        model = PreferenceModel.of(personal_style.preference, StyleSpace.load())
    except ModelError:
        return []
    return [name for name, _, _ in suggestions(model, 3)]
