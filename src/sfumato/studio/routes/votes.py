"""Votes: two results are compared without names, and the ways of painting are ranked."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from sfumato.studio.access import Reader, Who, Writer, audit
from sfumato.studio.asking import check_pictures
from sfumato.studio.database import writing
from sfumato.studio.problems import PRIVATE, RefusedError, documented
from sfumato.studio.schemas import NewVote, Votes, VoteStanding
from sfumato.studio.state import studio_of
from sfumato.studio.tables import BlindVote, Picture
from sfumato.studio.views import style_names_in

router = APIRouter(prefix="/api/v1", tags=["votes"])
_MOST = 10_000  # votes of an account; `sfumato evaluate` takes no more


@router.post("/votes", status_code=201, responses=PRIVATE | documented(404))
def create_vote(asked: NewVote, who: Writer, request: Request) -> Votes:
    """Vote between two results; the answer counts all votes."""
    if asked.left == asked.right:
        raise RefusedError(422, "left and right are the same picture; compare two")
    with writing(studio_of(request).sessions) as session:
        check_pictures(session, who, [asked.left, asked.right])
        if (session.scalar(select(func.count()).where(BlindVote.account == who.account)) or 0) >= _MOST:
            raise RefusedError(422, f"there are {_MOST} votes already; download them, and evaluate them")
        session.add(BlindVote(account=who.account, **asked.model_dump()))
    return count_votes(who, request)  # after the transaction, for which all others that write wait


@router.get("/votes", responses=PRIVATE)
def count_votes(who: Reader, request: Request) -> Votes:
    """Rank the ways of painting, strongest first, with 95 % intervals.

    Where groups were never compared with each other, the group with the most votes is ranked.
    """
    with studio_of(request).sessions() as session:
        return _count(_votes(session, who))


@router.get("/votes/file", responses=PRIVATE)
def export_votes(who: Reader, request: Request) -> JSONResponse:
    """Return all votes as a file for `sfumato evaluate`."""
    from sfumato.quality.blind import QUESTION
    from sfumato.quality.votes import FORMAT

    with writing(studio_of(request).sessions) as session:
        votes = _votes(session, who)
        audit(session, who.account, "export", None)
    body = {"format": FORMAT, "page": who.account[:12], "question": QUESTION, "voter": None, "votes": votes}
    return JSONResponse(body, headers={"Content-Disposition": 'attachment; filename="votes-studio.json"'})


def _votes(session: Session, who: Who) -> list[dict[str, Any]]:
    """Return the votes whose pictures still exist, in the form of `quality.votes`."""
    cast = list(session.scalars(select(BlindVote).where(BlindVote.account == who.account).order_by(BlindVote.created)))
    ids = {side for vote in cast for side in (vote.left, vote.right)}
    found = session.scalars(select(Picture).where(Picture.account == who.account, Picture.id.in_(ids)))
    pictures = {picture.id: picture for picture in found}
    votes = []
    for vote in cast:
        left, right = pictures.get(vote.left), pictures.get(vote.right)
        if left is None or right is None:
            continue
        names = _names(left, right)
        votes.append(
            {
                "content": left.title,
                "style": _style(left),
                "left": names[0],
                "right": names[1],
                "choice": vote.choice,
                "seconds": vote.seconds,
            }
        )
    return votes


def _count(votes: list[dict[str, Any]]) -> Votes:
    from sfumato.quality.votes import MAX_METHODS, MAX_VOTES, Vote, tally

    connected = _connected(votes)
    methods = {vote[side] for vote in connected for side in ("left", "right")}
    if not connected or len(connected) > MAX_VOTES or len(methods) > MAX_METHODS:
        return Votes(count=len(votes), same=None, standings=[])
    counted = tally([Vote(**vote, page="studio", question="") for vote in connected])
    standings = [
        VoteStanding(
            method=each.method,
            strength=each.strength.value,
            low=each.strength.low,
            high=each.strength.high,
            win_rate=each.win_rate,
            votes=each.votes,
        )
        for each in counted.standings
    ]
    return Votes(count=len(votes), same=counted.same, standings=standings)


def _style(picture: Picture) -> str:
    return " + ".join(style_names_in(picture.recipe)) or "unknown"


def _names(left: Picture, right: Picture) -> tuple[str, str]:
    """Return names for the ways in which two pictures were made: by the options, and by more where they are equal."""
    first, second = _options(left), _options(right)
    for describe in (_style, _seed, lambda picture: picture.id[:8]):
        if first != second:
            break
        first, second = f"{first}, {describe(left)}", f"{second}, {describe(right)}"
    return first, second


def _options(picture: Picture) -> str:
    recipe = picture.recipe or {}
    parts = [str(recipe.get("quality") or "draft")]
    parts += [f"{name} {recipe[name]}" for name in ("strength", "stroke", "color") if recipe.get(name) is not None]
    return ", ".join(parts) + (", finished" if recipe.get("finish") else "")


def _seed(picture: Picture) -> str:
    return f"seed {(picture.recipe or {}).get('seed', 0)}"


def _connected(votes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the votes of the largest group of methods that were compared: only within a group there is one scale."""
    group: dict[str, str] = {}

    def root(method: str) -> str:
        while group.setdefault(method, method) != method:
            method = group[method]
        return method

    for vote in votes:
        group[root(vote["left"])] = root(vote["right"])
    sizes = Counter(root(vote["left"]) for vote in votes)
    return [vote for vote in votes if root(vote["left"]) == sizes.most_common(1)[0][0]]
