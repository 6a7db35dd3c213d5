from __future__ import annotations

import json
from typing import Any

import pytest

from sfumato.errors import InputError, ModelError
from sfumato.inference import Style, Stylizer
from sfumato.inference.options import PaintOptions
from sfumato.inference.recipe import Recipe


@pytest.fixture(scope="module")
def recipe() -> Any:
    styles = [Style.named("great-wave"), Style.blend({"monet": 1, "starry-night": 2})]
    return Recipe.of(Stylizer(), styles, PaintOptions(0.7, color="content", quality="draft"), masks=["ab" * 32])


def test_a_recipe_survives_json_and_gives_the_same_styles(recipe: Any) -> None:
    again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())), "x.png")
    assert again.to_json() == recipe.to_json()
    assert [s.code for s in again.rebuild(Stylizer())] == [
        Style.named("great-wave").code,
        Style.blend({"monet": 1, "starry-night": 2}).code,
    ]


def test_another_model_is_refused(recipe: Any) -> None:
    other = Recipe.from_json({**recipe.to_json(), "model_sha256": "0" * 64}, "x.png")
    with pytest.raises(ModelError, match="install that version"):
        other.rebuild(Stylizer())


@pytest.mark.parametrize(
    "change",
    [
        {"styles": []},
        {"styles": "abc"},
        {"styles": [{"name": "x"}]},
        {"styles": [{"name": "x", "code": "###"}]},
        {"styles": [{"name": "x", "code": "AAA="}]},
        {"strength": "much"},
        {"strength": float("nan")},
        {"model": 3},
        {"version": "1\x1b[2J"},
        {"model_sha256": "\x1b[2J" * 16},
        {"extra": 1},
        {"masks": [1]},
        {"masks": "ab"},
        {"strength": "1"},
        {"strength": True},
        {"strength": 1.5},
        {"strength": 10**400},
        {"stroke": 0.1},
        {"stroke": float("inf")},
        {"max_size": "5"},
        {"max_size": 17.5},
        {"max_size": -5},
        {"max_size": 5},
        {"max_size": float("inf")},
        {"max_size": 10**400},
        {"file_quality": "92"},
        {"file_quality": 0},
        {"seed": -1},
        {"seed": 10**400},
        {"seed": 1.0},
        {"color": "\x1b[31m"},
        {"color": ["style"]},
        {"quality": "worst"},
        {"guidance": "why"},
        {"kind": {"a": 1}},
        {"styles": {"name": "x"}},
        {"styles": ["abc"]},
        {"finish": {"sharpen": 1}},
        {"finish": [{"sharpen": 1}] * 33},
        {"finish": [{"sharpen": 10**400}]},
        {"finish": [{"upscale": True}]},
        {"finish": [{"upscale": float("inf")}]},
    ],
)
def test_damaged_recipes_are_input_errors(recipe: Any, change: Any) -> None:
    with pytest.raises(InputError, match=r"x\.png"):
        Recipe.from_json({**recipe.to_json(), **change}, "x.png")


@pytest.mark.parametrize("weight", ["1", True, 0, -1, 10**400, float("nan"), None])
def test_pictures_of_a_recipe_have_weights_that_are_numbers(recipe: Any, weight: Any) -> None:
    [first, *rest] = recipe.to_json()["styles"]
    damaged = {**first, "pictures": [{"sha256": "ab" * 32, "weight": weight}]}
    with pytest.raises(InputError, match=r"x\.png"):
        Recipe.from_json({**recipe.to_json(), "styles": [damaged, *rest]}, "x.png")
