"""What a job may read, collected from the database and the store: a painter knows neither."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from sfumato.errors import InputError
from sfumato.studio.files import FileStore
from sfumato.studio.settings import Settings
from sfumato.studio.tables import Job, OwnStyle, Picture
from sfumato.studio.work.parts import Inputs, OwnStyleInput, Stored

_OWN = "own:"
_BY_ID = ("photo", "picture", "recipe_of", "video")


def collect(session: Session, files: FileStore, settings: Settings, job: Job, folder: Path) -> Inputs:
    """Return the inputs of a job.

    Args:
        session: of the database.
        files: the store.
        settings: name the folder of tastes.
        job: the job.
        folder: where files of a store at a URL are copied to.

    Raises:
        InputError: a picture that the job needs has been deleted, or its file is gone.
    """
    asked = job.asked
    parts = asked.get("styles") or ()
    needed = {asked[key] for key in _BY_ID if asked.get(key)}
    needed |= {part["mask"] for part in parts if part.get("mask")}
    needed |= {*(asked.get("liked") or ()), *(asked.get("disliked") or ())}
    rows = _rows(session, job.account, needed)
    if len(rows) < len(needed):
        raise InputError("a picture that the job needs has been deleted; choose another one")
    painted = [rows[asked[key]] for key in ("picture", "recipe_of") if asked.get(key)]
    photos = {row.photo for row in painted if row.photo}
    styles = _own_styles(session, job.account, parts, [row.recipe for row in painted])
    of_styles = {id_ for style in styles.values() for id_, _ in style.pictures}
    rows |= _rows(session, job.account, (photos | of_styles) - rows.keys())
    known: dict[str, Stored] = {}
    for id_, row in rows.items():
        try:
            known[id_] = _stored(files, row, folder)
        except InputError:
            if id_ in needed or id_ in of_styles:  # the photo of a picture is not always needed
                raise
    return Inputs(settings.personal(job.account), known, styles, settings.parts(job.id))


def _rows(session: Session, account: str, ids: Collection[str]) -> dict[str, Picture]:
    found = select(Picture).where(Picture.account == account, Picture.id.in_(ids))
    return {row.id: row for row in session.scalars(found)} if ids else {}


def _own_styles(
    session: Session, account: str, parts: Iterable[Mapping[str, Any]], recipes: Iterable[Mapping[str, Any] | None]
) -> dict[str, OwnStyleInput]:
    """Return the account's styles that the parts of a style refer to, or that a recipe may have been painted in."""
    wanted = {part["style"].removeprefix(_OWN) for part in parts if part["style"].startswith(_OWN)}
    names = {name for recipe in recipes for name in _style_names(recipe)}
    mine = session.scalars(select(OwnStyle).where(OwnStyle.account == account))
    return {
        style.id: OwnStyleInput(style.name, [(id_, float(weight)) for id_, weight in style.pictures])
        for style in mine
        if style.id in wanted or any(style.name in name for name in names)
    }


def _style_names(recipe: Mapping[str, Any] | None) -> list[str]:
    """Return the names of a recipe's styles. It comes from an upload, so any part of it may be something else."""
    styles = (recipe or {}).get("styles")
    return [str(each.get("name")) for each in styles if isinstance(each, dict)] if isinstance(styles, list) else []


def _stored(files: FileStore, row: Picture, folder: Path) -> Stored:
    path = files.fetch(row.account, row.sha256, folder)
    small = files.fetch_small(row.account, row.sha256, folder)
    return Stored(row.id, path, small, row.sha256, row.original, row.title, row.recipe, row.photo)
