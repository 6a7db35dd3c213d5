import json

import pytest

from sfumato.errors import InputError, ModelError
from sfumato.inference import Style, Stylizer
from sfumato.inference.recipe import Recipe


@pytest.fixture(scope="module")
def recipe():
    styles = [Style.named("great-wave"), Style.blend({"monet": 1, "starry-night": 2})]
    return Recipe.of(Stylizer(), styles, strength=0.7, color="content", masks=["ab" * 32])


def test_a_recipe_survives_json_and_gives_the_same_styles(recipe):
    again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())), "x.png")
    assert again.to_json() == recipe.to_json()
    assert [s.code for s in again.rebuild(Stylizer())] == [
        Style.named("great-wave").code,
        Style.blend({"monet": 1, "starry-night": 2}).code,
    ]


def test_another_model_is_refused(recipe):
    other = Recipe.from_json({**recipe.to_json(), "model_sha256": "0" * 64}, "x.png")
    with pytest.raises(ModelError, match="install what made it"):
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
    ],
)
def test_damaged_recipes_are_input_errors(recipe, change):
    with pytest.raises(InputError, match=r"x\.png"):
        Recipe.from_json({**recipe.to_json(), **change}, "x.png")
