"""What a painter keeps between its jobs: the stylizer with its loaded graphs, recent styles and recent photos."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np

from sfumato.errors import InputError, OutputError, UsageError
from sfumato.image import Photo, picture_digest, read_photo, shrink
from sfumato.inference.library import is_name, personal_in, personal_path, split_name
from sfumato.inference.options import PaintOptions
from sfumato.inference.pipeline import Pipeline
from sfumato.inference.style import PersonalStyle, Style, load_style_or_person
from sfumato.inference.stylizer import Stylizer
from sfumato.provenance.keys import Keys
from sfumato.provenance.seal import Seal
from sfumato.studio.work.parts import Inputs, OwnStyleInput, Stored
from sfumato.studio.work.sealing import GentleSeal

_log = logging.getLogger(__name__)
V = TypeVar("V")
#: Prefixes of references to styles made from uploaded pictures, and to personal styles.
OWN, TASTE = "own:", "taste:"


class Recent(Generic[V]):
    """The values that were made last, by key."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """Return the value of a key, made if it is not among the last."""
        if key not in self._held:
            self._held[key] = make()
            while len(self._held) > self._most:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]


_styles: Recent[Style | PersonalStyle] = Recent(16)
_small: Recent[Photo] = Recent(8)


class _Held:
    """The painter's stylizer, its CPU threads (None takes one per core), its seal, and whether results are sealed."""

    stylizer: Stylizer | None = None
    threads: int | None = None
    seal: Seal | None = None
    seals: bool = False


def set_threads(threads: int | None) -> None:
    """Paint with so many CPU threads; None takes one per core."""
    _Held.stylizer, _Held.threads = Stylizer(threads=threads), threads


def threads() -> int | None:
    """Return the number of CPU threads."""
    return _Held.threads


def set_seals(wanted: bool) -> None:
    """Seal results, or not."""
    _Held.seals = wanted


def seal() -> Seal | None:
    """Return what seals results; None where they are not sealed."""
    if _Held.seals and _Held.seal is None:
        keys = None
        try:
            keys = Keys.open()
        except (InputError, OutputError) as problem:  # no reason to lose what is painted
            _log.warning("results are not sealed: %s", problem)
        _Held.seal = GentleSeal(keys)
    return _Held.seal if _Held.seals else None


def stylizer() -> Stylizer:
    """Return the painter's stylizer."""
    if _Held.stylizer is None:
        set_threads(None)
    assert _Held.stylizer is not None, "it was just made"
    return _Held.stylizer


def warm_up() -> None:
    """Load the graphs of drafts, so that the first draft is as quick as the next ones."""
    blank = Photo(np.full((64, 64, 3), 128, np.uint8))
    Pipeline("monet", PaintOptions(strength=0.5, quality="draft"), stylizer=stylizer())(blank)


def style(reference: str, files: Inputs) -> Style | PersonalStyle:
    """Return the style of a reference.

    Args:
        reference: the name of a built-in style, ``own:ID``, ``taste:NAME``, whose most suitable centre is chosen for
            each photo, or ``taste:NAME/2``.
        files: the account's styles.

    Raises:
        UsageError: there is no such style, or it has not been learnt yet.
        InputError: a picture of it cannot be used.
    """
    if reference.startswith(OWN):
        return _own_style(reference, files)
    if not reference.startswith(TASTE):
        return _styles.get(reference, lambda: Style.named(reference))
    name = reference.removeprefix(TASTE)
    person, _ = split_name(name)
    if not is_name(person):
        raise UsageError(f"there is no taste {name!r:.80}; choose another style")
    with personal_in(files.personal):
        path = personal_path(person)
        if not path.is_file():
            raise UsageError(f"the taste {person} has learnt no style yet; like some pictures first")
        key = (reference, picture_digest(path))
        return _styles.get(key, lambda: load_style_or_person(name))


def reference_of(each: Style) -> str:
    """Return the reference of a built-in style, or of a centre of a personal style."""
    return f"{TASTE}{each.name}" if each.about.get("kind") == "personal" else each.name


def _own_style(reference: str, files: Inputs) -> Style:
    found = files.own_styles.get(reference.removeprefix(OWN))
    if found is None:
        raise UsageError("the style has been deleted; choose another one")
    parts = [(files.picture(id_), weight) for id_, weight in found.pictures]
    key = (found.name, *((stored.sha256, weight) for stored, weight in parts))
    made = _styles.get(key, lambda: _encoded(found, files))
    assert isinstance(made, Style), "it was stored under this key"
    return made


def _encoded(found: OwnStyleInput, files: Inputs) -> Style:
    """Return the style that uploaded pictures have in common, by their weights."""
    weights = {weight for _, weight in found.pictures}
    paths = [(files.picture(id_).path, weight) for id_, weight in found.pictures]
    if len(weights) == 1:
        return Style.from_images([path for path, _ in paths], found.name, stylizer())
    singles = [(Style.from_image(path, f"{found.name} {i}", stylizer()), w) for i, (path, w) in enumerate(paths, 1)]
    return Style.blend(dict(singles), found.name)


def known_styles(files: Inputs) -> list[Style]:
    """Return the account's own styles among the inputs, whose pictures a recipe may name."""
    return [_own_style(f"{OWN}{id_}", files) for id_ in files.own_styles]


def read(stored: Stored) -> Photo:
    """Read a picture at its full size.

    Raises:
        InputError: its file is gone or damaged.
    """
    try:
        return read_photo(stored.path)
    except InputError as problem:
        raise InputError(str(problem).replace(str(stored.path), stored.name)) from problem


def read_small(stored: Stored, max_size: int) -> Photo:
    """Read a picture for a preview, with a longer side of at most ``max_size`` pixels; recent ones are kept."""

    def make() -> Photo:
        return shrink(read(stored) if stored.small is None else read_photo(stored.small), max_size)

    return _small.get((stored.sha256, max_size), make)
