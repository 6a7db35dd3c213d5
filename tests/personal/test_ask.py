"""Questions to a person, in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.assets import style_names
from sfumato.errors import ModelError, UsageError
from sfumato.image import write_image
from sfumato.inference import Style, Stylizer
from sfumato.personal.ask import Questions, sample_photo, side_by_side
from sfumato.personal.gathering import gather
from sfumato.personal.service import create, install
from sfumato.personal.store import load_personal_style, load_record
from support import save_works, scene


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(threads=1)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    write_image(scene(48, 64), path)
    return path


@pytest.fixture
def anna(store: Path, tmp_path: Path, stylizer: Stylizer) -> Any:
    _, personal_style = create("anna", gather(save_works(tmp_path / "likes", 0, 4), [], stylizer), stylizer)
    return personal_style


def ask(stylizer: Any, photo: Any) -> Questions:
    return Questions("anna", stylizer, photo)


def test_a_question_shows_the_photo_in_two_styles(anna: Any, stylizer: Stylizer, photo: Any) -> None:
    questions = ask(stylizer, photo)
    assert [style.name for style in questions.candidates] == [*style_names(), "anna"]
    question = questions.next()
    assert question.first.code != question.second.code
    for style, picture in zip((question.first, question.second), question.pictures, strict=True):
        assert np.array_equal(picture, stylizer(photo, style, quality="draft"))
    assert side_by_side(question).shape == (1, 3, 48, 136)
    again = questions.next()  # it stays until it is answered
    assert (again.first, again.second) == (question.first, question.second)


def test_answers_are_kept_learnt_from_and_not_asked_again(anna: Any, stylizer: Stylizer, photo: Any) -> None:
    questions = ask(stylizer, photo)
    pairs = []
    for choice in ("first", "second", "neither"):
        question = questions.next()
        pairs.append({question.first.name, question.second.name})
        before = questions.model().probability(question.first.code, question.second.code)
        questions.answer(question, choice)
        after = questions.model().probability(question.first.code, question.second.code)
        assert (after > before) == (choice == "first")
        assert (after < before) == (choice == "second")
    question = ask(stylizer, photo).next()  # at another sitting
    pairs.append({question.first.name, question.second.name})
    assert len({frozenset(pair) for pair in pairs}) == 4
    record = load_record("anna")
    assert [answer.preferred for answer in record.answers] == ["first", "second", "neither"]
    assert load_personal_style(record).answers == 2


def test_a_question_is_answered_once(anna: Any, stylizer: Stylizer, photo: Any) -> None:
    questions = ask(stylizer, photo)
    question = questions.next()
    questions.answer(question, "first")
    with pytest.raises(UsageError, match="answered already"):
        questions.answer(question, "second")
    assert len(load_record("anna").answers) == 1


def test_a_person_who_knows_what_they_like_is_learnt(anna: Any, stylizer: Stylizer, photo: Any) -> None:
    """They prefer what is nearer to one picture's mean colour: dark ones."""
    questions = ask(stylizer, photo)

    def darkness(style: Any) -> float:
        return -float(style.code.vector[-42:-39].mean())

    asked = 0
    while asked < 40 and (question := questions.next()) is not None:
        questions.answer(question, "first" if darkness(question.first) > darkness(question.second) else "second")
        asked += 1
    model = questions.model()
    styles = [Style.named(name) for name in style_names()]
    scores = [model.score(style.code)[0] for style in styles]
    assert np.corrcoef(scores, [darkness(style) for style in styles])[0, 1] > 0.6


def test_who_came_as_a_file_is_not_asked(anna: Any, stylizer: Stylizer, photo: Any) -> None:
    install(anna, "bert")
    with pytest.raises(UsageError, match="came as a file, so it cannot learn from answers"):
        Questions("bert", stylizer, photo)


def test_styles_of_another_model_are_not_asked_about(anna: Any, photo: Any, store: Path) -> None:
    from dataclasses import replace

    from sfumato.style_code import StyleCode

    code = anna.codes[0]
    replace(anna, codes=(StyleCode(code.vector, "another", code.channel_stats),)).save(store / "anna" / "anna.sfumato")
    with pytest.raises(ModelError, match="learn it again"):
        Questions("anna", Stylizer(threads=1), photo)


def test_the_sample_photo_is_a_picture_and_the_same_each_time() -> None:
    picture = sample_photo()
    assert picture.shape == (1, 3, 240, 320)
    assert picture.dtype == np.float32
    assert 0 <= picture.min() < 0.2
    assert 0.8 < picture.max() <= 1
    assert np.array_equal(picture, sample_photo())
