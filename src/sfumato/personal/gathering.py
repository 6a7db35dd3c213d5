"""The pictures given to a command: inspected, and sorted into new, moved and known ones."""

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
    """Load the inspected pictures of a record; inspect them again where nothing is stored for the current model.

    Args:
        record: The record of the person.
        stylizer: Encodes the pictures.
        tick: Called with the numbers of finished and of all pictures.

    Returns:
        The inspected pictures by hash, and a remark on each picture that has no stored code and cannot be read again.
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
                message = f"{picture.name} is left out: it must be encoded again, but has moved from {path} or changed"
                remarks.append(Remark(str(path), "vanished", message))
        if inspected is not None:
            found[picture.sha256] = inspected
        if tick:
            tick(done, len(record.pictures))
    return found, remarks


@dataclass
class Gathered:
    """The pictures given to a command, after inspection.

    Attributes:
        liked: New liked pictures.
        disliked: New disliked pictures.
        moved: Known pictures that changed between liked and disliked, by hash: whether they are liked now.
        known: Hashes of given pictures that the record has already.
        remarks: Remarks on the given pictures.
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
        liked: Files of liked pictures.
        disliked: Files of disliked pictures.
        stylizer: Encodes the pictures.
        before: The record so far; None for a new one.
        inspected: The inspected pictures of the record, by hash (`recall`).
        tick: Called with the numbers of finished and of all pictures.
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
                message = f"{name} was given as liked and as disliked, and {stays}"
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
    """Return the remark on a liked picture whose style is far from all others, as a list of at most one.

    Args:
        record: The record of the person.
        codes: Style codes of the pictures, by hash.
        found: Report the picture only if it is one of these; None reports any picture.
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
    # The remark shows the path that the person gave, not the path of a copy in the store.
    given = {str(record.file(picture)): new[picture.sha256] for picture in record.pictures if picture.sha256 in new}
    return [replace(remark, path=given[remark.path])] if remark.path in given else []
