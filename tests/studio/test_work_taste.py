"""Tastes and explanations in Studio: the same as `sfumato personal` and `sfumato explain` give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato import assets
from sfumato.errors import UsageError
from sfumato.image import read_recipe, to_uint8
from sfumato.inference.library import personal_in
from sfumato.personal.store import load_personal_style, load_record
from sfumato.studio.work import KINDS, Inputs, Made, Stored, warm
from support import files as listed
from support import pixels, save_works, scene

Do = Callable[..., tuple[Any, list[Made]]]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    warm.set_threads(1)


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    """A photo, four works by one hand and two by another, as files that are named by hash."""
    Image.fromarray(to_uint8(scene(72, 96, 1))).save(tmp_path / "photo.png")
    paths = [*save_works(tmp_path / "a", 0, 4), *save_works(tmp_path / "b", 1, 2), tmp_path / "photo.png"]
    found = {}
    for number, path in enumerate(paths):
        stored = path.rename(tmp_path / f"{number:064x}")
        name = path.stem
        found[name] = Stored(name, stored, None, f"{number:064x}", None, f"My {name}", None, None)
    return Inputs(tmp_path / "account/personal", found)


@pytest.fixture
def do(inputs: Inputs, tmp_path: Path) -> Do:
    def work(kind: str, files: Inputs = inputs, **asked: Any) -> tuple[Any, list[Made]]:
        folder = tmp_path / f"made-{len(list(tmp_path.glob('made-*')))}"
        folder.mkdir()
        return KINDS[kind](asked, files, folder, lambda share, doing: None)

    return work


LIKED, DISLIKED = [f"work-0-{i}" for i in range(3)], ["work-1-0"]


def test_a_taste_is_learnt_and_changed(do: Do, inputs: Inputs) -> None:
    result, made = do("learn", taste="me", liked=LIKED, disliked=DISLIKED, removed=[])
    assert (result, made) == ({"taste": "me", "learnt": True, "remarks": []}, [])
    with personal_in(inputs.personal):
        record = load_record("me")
    assert [(each.name, each.is_copy, each.liked) for each in record.pictures] == [
        *((f"My work-0-{i}.png", True, True) for i in range(3)),
        ("My work-1-0.png", True, False),
    ]
    first = record.pictures[0].sha256
    result, _ = do("learn", taste="me", liked=["work-0-3", "work-0-1"], disliked=["work-0-2"], removed=[first])
    assert sorted(result["remarks"]) == [
        "My work-0-1.png is there already",
        "My work-0-2.png was liked and is disliked now",
    ]
    with personal_in(inputs.personal):
        record = load_record("me")
        assert load_personal_style(record) is not None
    assert [each.name for each in record.liked] == ["My work-0-1.png", "My work-0-3.png"]
    assert not any(first in name for name in listed(inputs.personal))
    rest = [each.sha256 for each in record.pictures]
    result, _ = do("learn", taste="me", removed=rest)
    assert result["learnt"] is False


def test_a_photo_is_painted_in_a_taste(do: Do) -> None:
    do("learn", taste="me", liked=LIKED)
    _, [made] = do("paint", photo="photo", styles=[{"style": "taste:me"}], options={"quality": "draft"})
    assert made.recipe is not None
    assert made.recipe["styles"][0]["name"] == "me"
    blended = [{"style": "taste:me/1"}, {"style": "monet"}]
    _, [made] = do("paint", photo="photo", styles=blended, options={"quality": "draft"})
    assert made.recipe is not None
    assert made.recipe["styles"][0]["name"] == "me:1 + monet:1"
    with pytest.raises(UsageError, match="there is no style 'me/7'"):
        do("paint", photo="photo", styles=[{"style": "taste:me/7"}])


def test_a_taste_belongs_to_its_account(do: Do, inputs: Inputs, tmp_path: Path) -> None:
    do("learn", taste="me", liked=LIKED)
    others = replace(inputs, personal=tmp_path / "other/personal")
    with pytest.raises(UsageError, match="has learnt no style yet"):
        do("paint", others, photo="photo", styles=[{"style": "taste:me"}])
    with pytest.raises(UsageError, match="no style 'me' was learnt"):
        do("question", others, taste="me")


def test_questions_and_answers(do: Do, inputs: Inputs) -> None:
    do("learn", taste="me", liked=LIKED)
    result, made = do("question", taste="me", photo="photo")
    assert (result["answered"], result["sentence"]) == (0, "Which of the two do you like better?")
    question = result["question"]
    assert question["pictures"] == [{"$made": 0}, {"$made": 1}]
    assert [each.kind for each in made] == ["preview", "preview"]
    again, _ = do("question", taste="me", photo="photo")
    assert again["question"] == question
    pair = {"first": question["first"], "second": question["second"]}
    for _ in range(2):  # a job that was begun twice stores the answer once
        result, _ = do("answer", taste="me", photo="photo", choice="second", **pair)
        assert result["answered"] == 1
    assert {result["question"]["first"], result["question"]["second"]} != set(pair.values())
    with personal_in(inputs.personal):
        record = load_record("me")
        assert record.is_learnt(load_personal_style(record))
    assert record.answers[0].preferred == "second"


def test_what_was_learnt_in_pictures(do: Do) -> None:
    do("learn", taste="me", liked=[*LIKED, "work-1-0", "work-1-1"])
    result, made = do("taste_sheet", taste="me", photo="photo")
    assert result["centres"][0]["ref"] == "taste:me"
    assert sum(each["weight"] for each in result["centres"]) == pytest.approx(1)
    assert [each["picture"]["$made"] for each in result["centres"]] == list(range(len(made)))
    assert (made[0].width, made[0].height, made[0].photo) == (96, 72, "photo")
    _, drawn = do("taste_sheet", taste="me", photo=None)
    assert drawn[0].photo is None


def test_mistakes(do: Do) -> None:
    with pytest.raises(UsageError, match="no usable picture"):
        do("learn", taste="me")
    with pytest.raises(UsageError, match="a style's name must be"):
        do("learn", taste="Not A Name", liked=LIKED)
    with pytest.raises(UsageError, match="monet is a built-in style"):
        do("learn", taste="monet", liked=LIKED)


def stored(made: Made, name: str = "made") -> dict[str, Stored]:
    return {name: Stored(name, made.file, None, "e" * 64, None, "My picture", made.recipe, made.photo)}


@pytest.mark.parametrize("quality", ["draft", "standard"])
def test_a_picture_is_explained(do: Do, inputs: Inputs, quality: str) -> None:
    _, [painted] = do("paint", photo="photo", styles=[{"style": "monet"}], options={"quality": quality})
    files = replace(inputs, pictures={**inputs.pictures, **stored(painted)})
    result, [sheet] = do("explain", files, picture="made")
    assert (sheet.kind, sheet.recipe, sheet.photo, result["sheet"]) == ("sheet", None, "made", {"$made": 0})
    assert read_recipe(sheet.file) is None
    assert np.ptp(pixels(sheet.file)) > 100
    sentences = result["sentences"]
    assert all(sentence[-1] in ".:)" and "--" not in sentence for sentence in sentences)
    if quality == "draft":
        assert sentences[0] == "Painted in the style monet at strength 1, by the model base-3."
        assert any(sentence.startswith("Colour moved by ") for sentence in sentences)
        assert result["sources"] == []
    else:
        assert sentences[0] == "Painted with features of paintings, quality standard, strength 1."
        shares = [each["share"] for each in result["sources"]]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1)
        assert all("Monet" in each["title"] for each in result["sources"])
        assert {each["work"] for each in result["sources"]} <= {entry.sha256 for entry in assets.ledger()}
    assert result["measures"] == painted.measures


def test_what_cannot_be_explained(do: Do, inputs: Inputs) -> None:
    with pytest.raises(UsageError, match="My photo holds no recipe"):
        do("explain", picture="photo")
    _, [painted] = do("paint", photo="photo", styles=[{"style": "monet"}], options={"quality": "standard"})
    alone = replace(inputs, pictures=stored(painted))
    with pytest.raises(UsageError, match="the photo of My picture has been deleted"):
        do("explain", alone, picture="made")
    files = replace(inputs, pictures={**inputs.pictures, **stored(painted)})
    _, [finished] = do("finish", files, picture="made", contrast=0.5)
    files = replace(inputs, pictures={**inputs.pictures, **stored(finished)})
    with pytest.raises(UsageError, match="was finished after painting"):
        do("explain", files, picture="made")


def test_a_draft_without_its_photo_is_explained_in_part(do: Do, inputs: Inputs) -> None:
    _, [painted] = do("paint", photo="photo", styles=[{"style": "monet"}], options={"quality": "draft"})
    result, _ = do("explain", replace(inputs, pictures=stored(painted)), picture="made")
    assert result["measures"] is None
    assert result["sentences"][-1] == (
        "Where the picture changed, and what each part of the style did, need the photo, which no recipe holds."
    )
