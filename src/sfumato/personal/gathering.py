"""Pictures that a command is given, inspected, and what is known of a person's pictures from before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sfumato.inference.stylizer import Stylizer
from sfumato.personal.inspection import InspectedPicture, Inspection, Remark, inspect_pictures
from sfumato.personal.learning import odd_remark
from sfumato.personal.records import PersonalRecord
from sfumato.personal.store import load_inspected
from sfumato.style_code import StyleCode

Tick = Callable[[int, int], None]


def recall(
    record: PersonalRecord, stylizer: Stylizer, tick: Tick | None = None
) -> tuple[dict[str, InspectedPicture], list[Remark]]:
    """The style code and sketch of each picture, by its hash. They are computed again if the model is another one.

    Returns:
        What was found, and a remark on each picture that could not be read again: nothing can be learnt from it now.
    """
    found: dict[str, InspectedPicture] = {}
    remarks: list[Remark] = []
    for done, picture in enumerate(record.pictures, 1):
        path = record.file(picture)
        inspected = load_inspected(record.folder, picture, path, stylizer.card.model)
        if inspected is None:
            again = inspect_pictures([path], stylizer)
            if again.pictures and again.pictures[0].sha256 == picture.sha256:
                inspected = again.pictures[0]
            else:
                message = (
                    f"{picture.name} is left out: it is no longer at {path} as it was, and has to be looked at again"
                )
                remarks.append(Remark(str(path), "vanished", message))
        if inspected is not None:
            found[picture.sha256] = inspected
        if tick:
            tick(done, len(record.pictures))
    return found, remarks


@dataclass
class Gathered:
    """The pictures that a command was given, after inspection.

    Attributes:
        liked, disliked: new pictures.
        moved: hashes of pictures that changed sides, and whether they are liked now.
        known: hashes of pictures that were there before.
        remarks: on any of the pictures.
    """

    liked: list[InspectedPicture] = field(default_factory=list)
    disliked: list[InspectedPicture] = field(default_factory=list)
    moved: dict[str, bool] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    remarks: list[Remark] = field(default_factory=list)


def gather(
    liked: Sequence[Path],
    disliked: Sequence[Path],
    stylizer: Stylizer,
    before: PersonalRecord | None = None,
    inspected: Mapping[str, InspectedPicture] | None = None,
    tick: Tick | None = None,
) -> Gathered:
    """Inspect pictures, and sort them into new, moved and known ones.

    Args:
        before: the record, and ``inspected`` the codes of its pictures (`recall`).
        tick: called with how many are done, and of how many.
    """
    total = len(liked) + len(disliked)
    known = list((inspected or {}).values())
    liked_before = {picture.sha256: picture.liked for picture in (before.pictures if before else ())}
    found = Gathered()

    def inspect(paths: Sequence[Path], others: Sequence[InspectedPicture], done: int) -> Inspection:
        return inspect_pictures(paths, stylizer, others, None if tick is None else lambda n, _: tick(done + n, total))

    likes = inspect(liked, known, 0)
    dislikes = inspect(disliked, [*known, *likes.pictures], len(liked))
    both = {one.sha256 for one in likes.pictures} & dislikes.known.keys()
    both |= likes.known.keys() & dislikes.known.keys()
    found.liked = [one for one in likes.pictures if one.sha256 not in both]
    found.disliked = dislikes.pictures
    found.remarks = [*likes.remarks, *dislikes.remarks]
    for is_liked, each in ((True, likes), (False, dislikes)):
        for digest, remark in each.known.items():
            name = Path(remark.path).name
            found.known |= {digest} & liked_before.keys()
            if digest in both:
                stays = "stays as it was" if digest in liked_before else "counts as neither"
                message = f"{name} is both among the liked and the disliked, and {stays}"
                if is_liked:
                    continue
                found.remarks.append(Remark(remark.path, "contradiction", message))
            elif liked_before.get(digest) == is_liked:
                found.remarks.append(replace(remark, kind="known", text=f"{name} is there already"))
            else:
                found.moved[digest] = is_liked
                was, now = ("disliked", "liked") if is_liked else ("liked", "disliked")
                found.remarks.append(Remark(remark.path, "moved", f"{name} was {was} and is {now} now", left_out=False))
    return found


def odd_remarks(record: PersonalRecord, codes: Mapping[str, StyleCode], found: Gathered | None = None) -> list[Remark]:
    """The remark on a liked picture that is unlike all others; with ``found``, only if that picture was gathered.

    Args:
        codes: of the pictures, by their hashes.
    """
    if record.imported:
        return []
    remark = odd_remark(record, codes)
    if remark is None:
        return []
    if found is None:
        return [remark]
    new = {one.sha256: str(one.path) for one in found.liked} | {
        digest: str(record.file(picture)) for picture in record.pictures if (digest := picture.sha256) in found.moved
    }
    # A copy's remark has the path that the person gave.
    given = {str(record.file(picture)): new[picture.sha256] for picture in record.pictures if picture.sha256 in new}
    return [replace(remark, path=given[remark.path])] if remark.path in given else []
