"""What a person likes, on their disk: one folder to a name, which they can open, and which `delete` removes.

::

    $SFUMATO_PERSONAL, or sfumato/personal in the system's place for data
      NAME/
        pictures.json          where the liked pictures lie that each style is painted with
        taste.json             the truth: pictures (where, hash, liked or not, rights, when) and answers
        codes/HASH.safetensors what was seen of each picture, and of styles that questions were about
        pictures/HASH.jpg      copies, where they were asked for
        NAME.sfumato           what was learnt of it (`inference.taste`): the style
      .lock                    taken by whoever writes

Nothing about a person lies anywhere else. Whoever writes holds the lock, and each file is replaced as a whole, the
truth before what is learnt from it: a command that is killed leaves the store as it was, or as it was to be, and at
most an older ``NAME.sfumato``, until the next that writes, which `Preferences.is_learnt` tells. What such a command
left lying about is swept away by the next that writes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sfumato import assets
from sfumato.errors import InputError, OutputError, SfumatoError, UsageError, first_line
from sfumato.files import atomic_file, read_bytes, read_json
from sfumato.image import picture_digest
from sfumato.inference.library import PERSONAL, TASTE_SUFFIX, has_personal, is_name, new_personal_path, personal_folder
from sfumato.inference.style import Style
from sfumato.inference.style_pictures import LIKED, StylePicture, write_liked
from sfumato.inference.stylizer import Stylizer
from sfumato.inference.taste import RIGHTS, Taste
from sfumato.limits import max_pixels, most_bytes
from sfumato.locks import locked
from sfumato.personal.look import Look, Remark, Seen, look, odd_one
from sfumato.personal.profile import Centre, PreferenceModel, centres
from sfumato.personal.space import StyleSpace
from sfumato.style_code import StyleCode, from_text, to_text

_log = logging.getLogger(__name__)  # which tells warnings on stderr where nobody set it up otherwise
#: Of ``taste.json``.
FORMAT = 1
_FILE = "taste.json"
_MOST_BYTES = 256_000_000  # of it: a picture has some 400
#: The picture that `sfumato personal ask` shows while it asks.
QUESTION = "question.png"
_LEAST_CHANCE = 0.05  # that a liked picture is given
_PAINTED_WITH = 8  # pictures of a style, at most: more would have few vectors each in a bank
# What may be swept away: whatever else a person puts there is theirs.
_OURS = re.compile(
    rf"{re.escape(QUESTION)}|((codes|pictures)/)?\.sfumato-[0-9a-f]+\.tmp"
    r"|codes/([0-9a-f]{32}|[0-9a-f]{64})\.safetensors|pictures/[0-9a-f]{64}(\.[a-z]+)?"
)

Tick = Callable[[int, int], None]


# ---- what is known ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kept:
    """One picture that a person likes or dislikes.

    Attributes:
        name: of the file that it came as.
        path: where it lies: absolute, or, for a copy, from the person's folder.
        sha256: of the file, in hex.
        liked: or disliked.
        rights: one of `inference.taste.RIGHTS`.
        added: when.
    """

    name: str
    path: str
    sha256: str
    liked: bool
    rights: str
    added: str

    @property
    def is_copy(self) -> bool:
        return not os.path.isabs(self.path)


@dataclass(frozen=True)
class Answer:
    """To a question that showed two styles, each by its name and the `code_id` of what was shown.

    Attributes:
        preferred: ``"first"``, ``"second"`` or ``"neither"``, which teaches nothing and is not asked again.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    preferred: Literal["first", "second", "neither"]
    when: str

    @property
    def teaches(self) -> bool:
        return self.preferred != "neither"


@dataclass(frozen=True)
class Preferences:
    """What is known of one person's taste, as ``taste.json`` has it.

    Attributes:
        name: the style's.
        pictures: in the order in which they were added.
        answers: in the order in which they were given.
        imported: whether it came as a file; there is nothing to learn from then.
    """

    name: str
    pictures: tuple[Kept, ...] = ()
    answers: tuple[Answer, ...] = ()
    imported: bool = False

    @property
    def folder(self) -> Path:
        return personal_folder() / self.name

    @property
    def liked(self) -> tuple[Kept, ...]:
        return tuple(picture for picture in self.pictures if picture.liked)

    @property
    def disliked(self) -> tuple[Kept, ...]:
        return tuple(picture for picture in self.pictures if not picture.liked)

    @property
    def taste(self) -> Taste | None:
        """What was learnt; None where nothing is liked.

        Raises:
            ModelError: its file is damaged.
        """
        path = self.folder / f"{self.name}.sfumato"
        return Taste.load(path) if os.path.exists(path) else None

    def is_learnt(self, taste: Taste | None) -> bool:
        """Whether a taste is of these pictures and answers, but for those that could not be had."""
        if self.imported:
            return True
        if taste is None:
            return not self.liked
        liked, disliked = ({p.sha256 for p in of} for of in (self.liked, self.disliked))
        return (
            set(taste.liked) <= liked
            and set(taste.disliked) <= disliked
            and taste.answers == sum(answer.teaches for answer in self.answers)
            and taste.created >= max((picture.added for picture in self.pictures), default="")
        )

    def check_learnable(self) -> None:
        """Raises UsageError where it came as a file."""
        if self.imported:
            raise UsageError(
                f"{self.name} came as a file, and there is nothing to learn it again from; make one of your own"
            )

    def file(self, picture: Kept) -> Path:
        """Where a picture lies."""
        return self.folder / picture.path

    def missing(self) -> list[Remark]:
        """Which pictures have vanished, or changed, since they were added. What was seen of them is still known."""
        found = []
        for picture in self.pictures:
            path = self.file(picture)
            match self.state(picture):
                case "changed":
                    mend = f"add it again, and remove what it was: {picture.sha256[:12]}"
                    said = f"{picture.name} has changed since; what it was is still known ({mend})"
                    found.append(Remark(str(path), "changed", said, left_out=False))
                case "vanished":
                    said = f"{picture.name} is no longer at {path}; what it was is still known"
                    found.append(Remark(str(path), "vanished", said, left_out=False))
        return found

    def state(self, picture: Kept) -> Literal["there", "changed", "vanished"]:
        """Of its file, since it was added."""
        try:
            digest = picture_digest(self.file(picture))
        except InputError:
            return "vanished"
        return "there" if digest == picture.sha256 else "changed"

    def find(self, text: str) -> list[Kept]:
        """The pictures that a file's name, a path or the beginning of a hash means.

        Raises:
            UsageError: none.
        """
        if not text:
            raise UsageError("a name of a picture is empty; check it")
        path = os.path.abspath(text)
        found = [p for p in self.pictures if text == p.name or path == p.path or path == str(self.file(p))]
        if not found and len(text) >= 6:
            found = [p for p in self.pictures if p.sha256.startswith(text.lower())]
        if not found:
            near = assets.nearest(text, [p.name for p in self.pictures])
            hint = near if near.startswith("did") else f"`sfumato personal show {self.name}` lists them"
            raise UsageError(f"{self.name} has no picture {text}; {hint}")
        return found

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def load(cls, name: str) -> Preferences:
        """What is known under a name.

        Raises:
            UsageError: there is nothing of that name.
            InputError: the file cannot be read, or is damaged.
            OutputError: the store itself cannot be read.
        """
        if not has_personal(name):
            hint = assets.nearest(name, names())
            hint = hint if hint.startswith("did") else "`sfumato personal list` lists what there is"
            raise UsageError(f"no style {name!r} was learnt; {hint}")
        path = personal_folder() / name / _FILE
        try:
            found = read_json(path, _MOST_BYTES)
            if type(found["format"]) is int and found["format"] > FORMAT:
                raise InputError(f"{path} was written by a later version of Sfumato; install that")
            pictures = tuple(Kept(**picture) for picture in found["pictures"])
            answers = tuple(
                Answer(_shown(answer["first"]), _shown(answer["second"]), answer["preferred"], answer["when"])
                for answer in found["answers"]
            )
            for picture in pictures:
                texts = (picture.name, picture.path, picture.sha256, picture.added)
                if not all(isinstance(text, str) for text in texts) or picture.rights not in RIGHTS:
                    raise ValueError(f"the picture {picture.name} has parts of another type")
                if picture.is_copy and Path(picture.path).parts[:-1] != ("pictures",):
                    raise ValueError(f"{picture.path} lies elsewhere")
            return cls(name, pictures, answers, found["imported"] is True)
        except OSError as problem:
            raise InputError(f"cannot read {path}: {problem.strerror}; delete {name}, and begin again") from problem
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            raise InputError(
                f"{path} is damaged ({first_line(problem)}); mend it, or delete {name} and begin again"
            ) from problem


def _shown(found: Any) -> tuple[str, str]:
    name, code = found
    if not (isinstance(name, str) and isinstance(code, str) and code.isalnum()):
        raise ValueError("an answer has another form")
    return name, code


def names() -> list[str]:
    """Of whom something is known, sorted.

    Raises:
        OutputError: the store cannot be read: it is a file, say.
    """
    try:
        root = personal_folder()
    except OutputError:  # nobody who has no home has learnt anything
        return []
    try:
        found = os.listdir(root)
    except FileNotFoundError:  # nothing was learnt yet
        return []
    except OSError as problem:
        raise OutputError(f"cannot read {root}: {problem.strerror or problem}; see SFUMATO_PERSONAL") from problem
    return sorted(name for name in found if is_name(name) and os.path.isfile(root / name / _FILE))


def code_id(code: StyleCode) -> str:
    """A name for what a question showed: 32 hex digits of a hash of the code."""
    look = b"" if code.look is None else code.look.tobytes()
    return hashlib.sha256(code.model.encode() + code.vector.tobytes() + look).hexdigest()[:32]


# ---- what was seen ---------------------------------------------------------------------------------------------------


def recall(kept: Preferences, stylizer: Stylizer, tick: Tick | None = None) -> tuple[dict[str, Seen], list[Remark]]:
    """What was seen of each picture, by its hash; with another model than before each is looked at again.

    Returns:
        What was seen, and which pictures could not be looked at again: nothing can be learnt from those now.
    """
    found: dict[str, Seen] = {}
    remarks: list[Remark] = []
    for done, picture in enumerate(kept.pictures, 1):
        path = kept.file(picture)
        seen = _cached(kept.folder, picture, path, stylizer.card.model)
        if seen is None:
            again = look([path], stylizer)
            if again.pictures and again.pictures[0].sha256 == picture.sha256:
                seen = again.pictures[0]
            else:
                said = f"{picture.name} is left out: it is no longer at {path} as it was, and has to be looked at again"
                remarks.append(Remark(str(path), "vanished", said))
        if seen is not None:
            found[picture.sha256] = seen
        if tick:
            tick(done, len(kept.pictures))
    return found, remarks


def _cached(folder: Path, picture: Kept, path: Path, model: str) -> Seen | None:
    try:
        code, about = StyleCode.load(folder / "codes" / f"{picture.sha256}.safetensors")
        if code.model != model:
            return None
        return Seen(path.with_name(picture.name), picture.sha256, code, from_text(about["sketch"], "<f2"))
    except (SfumatoError, KeyError, ValueError):
        return None  # it is looked at again


# ---- what is done ----------------------------------------------------------------------------------------------------


@dataclass
class Gathered:
    """Pictures as a command was given them, and looked over.

    Attributes:
        liked, disliked: that are new.
        moved: hashes of pictures that were there, and now are liked or not.
        known: hashes of all that were there.
        remarks: on any of them.
    """

    liked: list[Seen] = field(default_factory=list)
    disliked: list[Seen] = field(default_factory=list)
    moved: dict[str, bool] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    remarks: list[Remark] = field(default_factory=list)


def gather(
    liked: Sequence[Path],
    disliked: Sequence[Path],
    stylizer: Stylizer,
    before: Preferences | None = None,
    seen: Mapping[str, Seen] | None = None,
    tick: Tick | None = None,
) -> Gathered:
    """Looks pictures over.

    Args:
        before: what is known already, and ``seen`` what was seen of it (`recall`).
        tick: called with how many are done, and of how many.
    """
    total = len(liked) + len(disliked)
    known = list((seen or {}).values())
    opinions = {picture.sha256: picture.liked for picture in (before.pictures if before else ())}
    found = Gathered()

    def over(paths: Sequence[Path], others: Sequence[Seen], done: int) -> Look:
        return look(paths, stylizer, others, None if tick is None else lambda n, _: tick(done + n, total))

    likes = over(liked, known, 0)
    dislikes = over(disliked, [*known, *likes.pictures], len(liked))
    both = {one.sha256 for one in likes.pictures} & dislikes.known.keys()
    both |= likes.known.keys() & dislikes.known.keys()
    found.liked = [one for one in likes.pictures if one.sha256 not in both]
    found.disliked = dislikes.pictures
    found.remarks = [*likes.remarks, *dislikes.remarks]
    for opinion, each in ((True, likes), (False, dislikes)):
        for digest, remark in each.known.items():
            name = Path(remark.path).name
            found.known |= {digest} & opinions.keys()
            if digest in both:
                stays = "stays as it was" if digest in opinions else "counts as neither"
                said = f"{name} is both among the liked and the disliked, and {stays}"
                if opinion:
                    continue
                found.remarks.append(Remark(remark.path, "contradiction", said))
            elif opinions.get(digest) == opinion:
                found.remarks.append(replace(remark, kind="known", text=f"{name} is there already"))
            else:
                found.moved[digest] = opinion
                was, now = ("disliked", "liked") if opinion else ("liked", "disliked")
                found.remarks.append(Remark(remark.path, "moved", f"{name} was {was} and is {now} now", left_out=False))
    return found


def create(
    name: str, found: Gathered, stylizer: Stylizer, rights: str = "unstated", copy: bool = False
) -> tuple[Preferences, Taste | None]:
    """A new name, and what is learnt of its pictures.

    Raises:
        UsageError: the name is taken or cannot be one, or there is no picture.
        OutputError: the store cannot be written.
    """
    if not found.liked and not found.disliked:
        raise UsageError(f"no usable picture was given, so there is nothing to learn; {name} was not made")
    with _writing():
        path = new_personal_path(name)
        kept = _with(Preferences(name), found, rights, copy)
        new = None
        try:
            new = _new_folder()
            taste = _write(new, kept, Preferences(name), _seen_of(found), stylizer)
            os.rename(new, path.parent)
        except OSError as problem:
            raise OutputError(f"cannot write {path.parent}: {problem.strerror or problem}") from problem
        finally:
            if new is not None:
                shutil.rmtree(new, ignore_errors=True)
    return kept, taste


def add(
    name: str,
    found: Gathered,
    stylizer: Stylizer,
    rights: str = "unstated",
    copy: bool = False,
    seen: Mapping[str, Seen] | None = None,
) -> tuple[Preferences, Taste | None]:
    """More pictures, or other opinions of those that are there; with nothing gathered, only learns again.

    Args:
        seen: of the pictures that are there (`recall`), so that they need not be looked at once more.

    Raises:
        UsageError: there is no such name, or it came as a file.
        InputError: a picture that was to be copied has changed since it was looked at.
        OutputError: the store cannot be written.
    """

    def edit(kept: Preferences) -> Preferences:
        return _with(kept, found, rights, copy)

    return _edit(name, edit, stylizer, {**(seen or {}), **_seen_of(found)})


def remove(
    name: str, hashes: Sequence[str], stylizer: Stylizer, answers: bool = False
) -> tuple[Preferences, Taste | None]:
    """Forgets pictures by their hashes, with all that was seen of them, and all answers where that is asked for.

    Raises:
        UsageError, OutputError: as `add`.
    """

    def edit(kept: Preferences) -> Preferences:
        left = tuple(picture for picture in kept.pictures if picture.sha256 not in hashes)
        return replace(kept, pictures=left, answers=() if answers else kept.answers)

    return _edit(name, edit, stylizer, {})


def answer(
    name: str,
    first: Style,
    second: Style,
    preferred: Literal["first", "second", "neither"],
    stylizer: Stylizer,
) -> tuple[Preferences, Taste | None]:
    """One more answer, learnt from at once.

    Raises:
        UsageError, OutputError: as `add`.
    """
    ids = [(style.name, code_id(style.code)) for style in (first, second)]

    def edit(kept: Preferences) -> Preferences:
        return replace(kept, answers=(*kept.answers, Answer(ids[0], ids[1], preferred, _now())))

    return _edit(name, edit, stylizer, {}, {ids[0][1]: first.code, ids[1][1]: second.code})


def install(taste: Taste, name: str) -> Preferences:
    """A taste that came as a file, under a name.

    Raises:
        UsageError: the name is taken or cannot be one.
        OutputError: the store cannot be written.
    """
    with _writing():
        path = new_personal_path(name)
        kept = Preferences(name, imported=True)
        new = None
        try:
            new = _new_folder()
            _write_json(new / _FILE, kept.to_json())
            replace(taste, name=name).save(new / path.name)
            _keep_private(new)
            os.rename(new, path.parent)
        except OSError as problem:
            raise OutputError(f"cannot write {path.parent}: {problem.strerror or problem}") from problem
        finally:
            if new is not None:
                shutil.rmtree(new, ignore_errors=True)
    return kept


def delete(name: str) -> None:
    """Removes a name and everything that is known under it.

    Raises:
        UsageError: there is none.
        OutputError: it cannot be removed, or not wholly.
    """
    with _writing():
        folder = personal_folder() / name
        if not is_name(name) or not os.path.isdir(folder):
            Preferences.load(name)  # says so
        gone = folder.with_name(f".deleted-{secrets.token_hex(6)}")
        try:
            os.rename(folder, gone)  # at once: nobody finds half of it
            shutil.rmtree(gone)
        except OSError as problem:
            left = gone if os.path.isdir(gone) else folder
            raise OutputError(f"cannot remove all of {left}: {problem.strerror or problem}; remove it") from problem


# ---- learning --------------------------------------------------------------------------------------------------------


def learn(kept: Preferences, codes: Mapping[str, StyleCode]) -> Taste | None:
    """What pictures and answers teach, at once; None where nothing is liked.

    Args:
        codes: of pictures by their hashes, and of styles that questions were about by their `code_id`; what is not
            among them is not learnt from.
    """
    liked, disliked = ([p for p in of if p.sha256 in codes] for of in (kept.liked, kept.disliked))
    if not liked:
        return None
    space = StyleSpace.load()
    found = centres([codes[p.sha256] for p in liked], [codes[p.sha256] for p in disliked], space)
    model = preference(kept, codes, space, found)
    counts = {right: sum(p.rights == right for p in (*liked, *disliked)) for right in RIGHTS}
    hashes = [tuple(sorted(p.sha256 for p in of)) for of in (liked, disliked)]
    return Taste(
        kept.name,
        tuple(centre.code for centre in found),
        tuple(centre.weight for centre in found),
        hashes[0],
        hashes[1],
        sum(answer.teaches for answer in kept.answers),
        {right: count for right, count in counts.items() if count},
        created=_now(),
        preference=model.tensors(),
    )


def preference(
    kept: Preferences, codes: Mapping[str, StyleCode], space: StyleSpace, found: Sequence[Centre] | None = None
) -> PreferenceModel:
    """A score over styles, from likes, dislikes and answers; ``codes`` as for `learn`, ``found`` the centres that are
    known already."""
    liked, disliked = ([codes[p.sha256] for p in of if p.sha256 in codes] for of in (kept.liked, kept.disliked))
    pairs = []
    for each in kept.answers:
        if each.teaches and each.first[1] in codes and each.second[1] in codes:
            pair = codes[each.first[1]], codes[each.second[1]]
            pairs.append(pair if each.preferred == "first" else pair[::-1])
    return PreferenceModel.fit(space, liked, disliked, pairs, found)


def answered_codes(kept: Preferences, model: str) -> dict[str, StyleCode]:
    """The codes that questions were about, by their `code_id`, as far as they are that model's.

    A built-in style is that of this version, whatever it was when the question was asked.
    """
    found = {}
    built_in = assets.style_names()
    for name, code in {shown for each in kept.answers for shown in (each.first, each.second)}:
        with suppress(SfumatoError):  # a style that is gone teaches nothing
            if name in built_in:
                found[code] = Style.named(name).code
            else:
                found[code] = StyleCode.load(kept.folder / "codes" / f"{code}.safetensors")[0]
    return {key: code for key, code in found.items() if code.model == model}


def odd_remark(kept: Preferences, codes: Mapping[str, StyleCode]) -> Remark | None:
    """That one liked picture is unlike all others; None where none is."""
    liked = [picture for picture in kept.liked if picture.sha256 in codes]
    place = odd_one([codes[picture.sha256] for picture in liked], StyleSpace.load())
    if place is None:
        return None
    odd = liked[place]
    said = f"{odd.name} is unlike the other {len(liked) - 1} liked pictures; if it is there by mistake, remove it"
    return Remark(str(kept.file(odd)), "odd", said, left_out=False)


def nearest_pictures(kept: Preferences, taste: Taste, codes: Mapping[str, StyleCode]) -> list[list[Kept]]:
    """For each centre of a taste the liked pictures that are nearer to it than to the others, the nearest first."""
    if kept.imported:
        return [[] for _ in taste.codes]
    space = StyleSpace.load()
    middles = space.places(taste.codes)
    found: list[list[tuple[float, Kept]]] = [[] for _ in taste.codes]
    for picture in kept.liked:
        if picture.sha256 in codes:
            apart = ((middles - space.place(codes[picture.sha256])) ** 2).sum(1)
            found[int(apart.argmin())].append((float(apart.min()), picture))
    return [[picture for _, picture in sorted(each, key=lambda one: one[0])] for each in found]


# ---- the disk --------------------------------------------------------------------------------------------------------


def _with(kept: Preferences, found: Gathered, rights: str, copy: bool) -> Preferences:
    """Preferences with what was gathered; what another command added meanwhile counts once.

    ``rights`` that are stated are those of pictures that were there and were given again, too.
    """
    there = {picture.sha256 for picture in kept.pictures}
    pictures = [replace(picture, liked=found.moved.get(picture.sha256, picture.liked)) for picture in kept.pictures]
    if rights != "unstated":
        pictures = [replace(p, rights=rights) if p.sha256 in found.known else p for p in pictures]
    for liked, several in ((True, found.liked), (False, found.disliked)):
        for one in several:
            if one.sha256 not in there:
                path = f"pictures/{one.sha256}{one.path.suffix.lower()}" if copy else str(one.path)
                pictures.append(Kept(one.path.name, path, one.sha256, liked, rights, _now()))
    return replace(kept, pictures=tuple(pictures))


def _seen_of(found: Gathered) -> dict[str, Seen]:
    return {one.sha256: one for one in (*found.liked, *found.disliked)}


def _edit(
    name: str,
    edit: Callable[[Preferences], Preferences],
    stylizer: Stylizer,
    seen: Mapping[str, Seen],
    shown: Mapping[str, StyleCode] | None = None,
) -> tuple[Preferences, Taste | None]:
    with _writing():
        before = Preferences.load(name)
        before.check_learnable()
        kept = edit(before)
        _keep_private(before.folder)  # older versions left that to the umask
        return kept, _write(before.folder, kept, before, seen, stylizer, shown)


def _write(
    folder: Path,
    kept: Preferences,
    was: Preferences,
    seen: Mapping[str, Seen],
    stylizer: Stylizer,
    shown: Mapping[str, StyleCode] | None = None,
) -> Taste | None:
    """Writes all of a person's folder that is not there as it should be, and returns what was learnt.

    ``was`` is what was kept until now, ``seen`` what is known of pictures already, ``shown`` the styles of a new
    question.
    """
    model = stylizer.card.model
    there = {p.sha256 for p in kept.pictures if _cached(folder, p, kept.file(p), model)}
    known, _ = recall(replace(kept, pictures=tuple(p for p in kept.pictures if p.sha256 not in seen)), stylizer)
    known |= {picture.sha256: seen[picture.sha256] for picture in kept.pictures if picture.sha256 in seen}
    for digest in known.keys() - there:
        about = {"sketch": to_text(known[digest].sketch, "<f2")}
        known[digest].code.save(folder / "codes" / f"{digest}.safetensors", about)
    for digest, code in (shown or {}).items():
        code.save(folder / "codes" / f"{digest}.safetensors")
    old = {picture.sha256 for picture in was.pictures}  # of a copy that has vanished there is nothing to copy
    for picture in kept.pictures:
        if picture.is_copy and picture.sha256 not in old and not os.path.exists(folder / picture.path):
            _copy(seen[picture.sha256], folder / picture.path)
    codes = {digest: one.code for digest, one in known.items()}
    taste = learn(kept, {**codes, **answered_codes(kept, model), **(shown or {})})
    _write_json(folder / _FILE, kept.to_json())
    path = folder / f"{kept.name}.sfumato"
    if taste is None:
        path.unlink(missing_ok=True)
        (folder / LIKED).unlink(missing_ok=True)
    else:
        write_liked(folder, _painted_with(kept, taste, codes))
        taste.save(path)  # last: a style that does not fit what is kept is learnt again
    _sweep(folder, kept)
    _keep_private(folder)
    return taste


def _painted_with(kept: Preferences, taste: Taste, codes: Mapping[str, StyleCode]) -> list[list[StylePicture]]:
    """For each centre of a taste the liked pictures that it is painted with: the nearest few, each with the chance, as
    the preference model has it, that the person prefers it to any painting."""
    model = PreferenceModel.of(taste.preference, StyleSpace.load())
    found = []
    for near in nearest_pictures(kept, taste, codes):
        shown = near[:_PAINTED_WITH]
        utilities = [model.score(codes[picture.sha256])[0] for picture in shown]
        chances = [max(_LEAST_CHANCE, 1 / (1 + math.exp(-utility))) for utility in utilities]
        found.append([StylePicture(p.sha256, c, kept.file(p)) for p, c in zip(shown, chances, strict=True)])
    return found


def _copy(one: Seen, path: Path) -> None:
    try:
        data = read_bytes(one.path, most_bytes(max_pixels()))
    except OSError as problem:
        raise InputError(f"cannot copy {one.path}: {problem.strerror}") from problem
    if hashlib.sha256(data).hexdigest() != one.sha256:
        raise InputError(f"{one.path} has changed while it was looked at; run the command again")
    with atomic_file(path) as file:
        file.write(data)


def _write_json(path: Path, found: Mapping[str, Any]) -> None:
    with atomic_file(path) as file:
        file.write(json.dumps(found, indent=1).encode() + b"\n")


def _sweep(folder: Path, kept: Preferences) -> None:
    """Removes what ``taste.json`` no longer names, and what killed commands left; nothing that has another's name."""
    codes = {picture.sha256 for picture in kept.pictures}
    codes |= {code for each in kept.answers for _, code in (each.first, each.second)}
    wanted = {folder / "codes" / f"{code}.safetensors" for code in codes}
    wanted |= {folder / picture.path for picture in kept.pictures if picture.is_copy}
    for path in (*folder.glob("*"), *folder.glob("codes/*"), *folder.glob("pictures/*")):
        name = path.relative_to(folder).as_posix()
        if path not in wanted and _OURS.fullmatch(name) and not path.is_dir():
            with suppress(OSError):
                path.unlink()


@contextmanager
def _writing() -> Iterator[None]:
    """One at a time writes into the store; what killed commands left there is removed."""
    root = personal_folder()
    try:
        if not os.path.isdir(root):
            root.mkdir(0o700, parents=True, exist_ok=True)  # nobody else's business
    except OSError as problem:
        raise OutputError(f"cannot write into {root}: {problem.strerror or problem}; see {PERSONAL}") from problem

    def waiting() -> None:
        _log.warning("sfumato: another command writes into %s; waiting for its end", root)

    with ExitStack() as held:
        try:
            held.enter_context(locked(root / ".lock", waiting))
            _keep_private(root / ".lock")
        except OSError as problem:
            raise OutputError(f"cannot lock {root}: {problem.strerror or problem}; see {PERSONAL}") from problem
        for left in (*root.glob(".new-*"), *root.glob(".deleted-*")):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _new_folder() -> Path:
    """Where a new name is made ready, for nobody else to see."""
    new = personal_folder() / f".new-{secrets.token_hex(6)}"
    new.mkdir(0o700)
    return new


def _keep_private(path: Path) -> None:
    """Has the owner alone read what is kept of a person, whatever the folder of the store and the umask let others do.
    What lies there and is not ours stays as it is."""
    ours = [path]
    if path.is_dir():
        named = {_FILE, LIKED, "codes", "pictures", *(each.name for each in path.glob(f"*{TASTE_SUFFIX}"))}
        inside = (*path.glob("*"), *path.glob("codes/*"), *path.glob("pictures/*"))
        names = {each: each.relative_to(path).as_posix() for each in inside if not each.is_symlink()}
        ours += [each for each, name in names.items() if name in named or _OURS.fullmatch(name)]
    for each in ours:
        with suppress(OSError):  # another user's, say
            each.chmod(0o700 if each.is_dir() else 0o600)


def _now() -> str:
    """The time, fine enough for `Preferences.is_learnt` to tell what came first."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
