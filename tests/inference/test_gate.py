from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sfumato.errors import QualityError, UsageError
from sfumato.image import Photo, read_photo, to_uint8, write_image
from sfumato.inference import Style, Stylizer
from sfumato.inference.gate import TRIES, QualityGate, SelectionOptions, measure_defects, paint_selected
from sfumato.inference.options import PaintOptions
from sfumato.inference.recipe import Recipe
from support import scene


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("photos") / "scene.png"
    write_image(scene(100, 130), path)
    return read_photo(path)


@pytest.fixture
def painter(stylizer: Stylizer, style: Style, photo: Any) -> Any:
    """Paints as the command does, and counts."""
    calls = []

    def paint(recipe: Any, progress: Any = None) -> Any:
        calls.append(recipe)
        return stylizer.paint(photo, style, replace(recipe.options, quality="draft"))

    paint.calls = calls  # type: ignore[attr-defined]
    return paint


@pytest.fixture
def recipe(stylizer: Stylizer, style: Style) -> Any:
    return Recipe.of(stylizer, [style], PaintOptions(quality="draft"))


def test_a_gate_that_is_passed_costs_one_painting(
    stylizer: Stylizer, style: Style, photo: Any, painter: Any, recipe: Any
) -> None:
    selection = SelectionOptions(gates=(QualityGate.parse("artefacts<1000"),))
    painted, made = paint_selected(stylizer, photo, [style], recipe, selection, painter)
    assert len(painter.calls) == 1
    assert (painted.pixels == painter(made).pixels).all()
    assert made.guidance["measured"] == measure_defects(painted, photo)
    assert made.guidance["asked"]["gates"] == ["artefacts<1000"]


def test_a_gate_tries_weaker_and_then_refuses_in_one_sentence(
    stylizer: Stylizer, style: Style, photo: Any, painter: Any, recipe: Any
) -> None:
    selection = SelectionOptions(gates=(QualityGate.parse("clipping < 0.0"),))
    with pytest.raises(QualityError, match=r"scene did not pass the gate clipping<0 in 4 paintings") as refused:
        paint_selected(stylizer, photo, [style], recipe, selection, painter, "scene")
    assert len(painter.calls) == TRIES
    assert [call.strength for call in painter.calls] == sorted((c.strength for c in painter.calls), reverse=True)
    assert str(refused.value).count("\n") == 0
    assert refused.value.exit_code == 7


def test_a_weaker_painting_passes_where_the_full_one_does_not(
    stylizer: Stylizer, style: Style, photo: Any, recipe: Any
) -> None:
    """Painting by hand: a grid whose height is the strength, which is a real defect and really weaker."""
    grid = np.zeros((1, 3, 100, 130), np.float32)
    grid[:, :, ::2, ::2] = 0.12

    def paint(some: Any, progress: Any = None) -> Any:
        pixels = to_uint8(np.clip(photo.picture() + some.strength * grid, 0, 1))
        return replace(photo, pixels=pixels)

    full = measure_defects(paint(recipe), photo)["checkerboard"]
    weak = measure_defects(paint(replace(recipe, strength=0.75)), photo)["checkerboard"]
    assert weak < 0.97 * full
    selection = SelectionOptions(gates=(QualityGate("checkerboard", (weak + full) / 2),))
    _, made = paint_selected(stylizer, photo, [style], recipe, selection, paint)
    assert made.strength == 0.75
    assert [trial["strength"] for trial in made.guidance["candidates"]] == [1.0, 0.75]
    assert "best of 2 paintings" in made.guidance["why"]


def test_the_best_of_several_seeds(stylizer: Stylizer, style: Style, photo: Any, painter: Any, recipe: Any) -> None:
    painted, made = paint_selected(stylizer, photo, [style], recipe, SelectionOptions(best_of=3), painter)
    assert [call.seed for call in painter.calls] == [0, 1, 2]
    trials = made.guidance["candidates"]
    assert made.seed == min(trials, key=lambda trial: trial["score"])["seed"]
    assert len({painter(call).pixels.tobytes() for call in painter.calls[:3]}) == 3  # seeds paint differently
    assert (painter(made).pixels == painted.pixels).all()


def test_auto_goes_into_the_recipe_with_its_reason(
    stylizer: Stylizer, style: Style, photo: Any, painter: Any, recipe: Any
) -> None:
    painted, made = paint_selected(stylizer, photo, [style], recipe, SelectionOptions(auto=True, keep=0.6), painter)
    assert made.strength < 1
    assert f"(--strength {made.strength:g} --stroke {made.stroke:g})" in made.guidance["why"]
    assert (painter(replace(made, guidance=None)).pixels == painted.pixels).all()
    assert Recipe.from_json(made.to_json(), "here").to_json() == made.to_json()
    with pytest.raises(UsageError, match="leave the masks out"):
        paint_selected(stylizer, photo, [style, style], recipe, SelectionOptions(auto=True), painter)


@pytest.mark.parametrize("text", ["artefacts", "artefacts>2", "artefacts<", "artefacts<two", "mud<2", "<2", ""])
def test_what_is_no_gate(text: str) -> None:
    with pytest.raises(UsageError, match=r"a gate must be NAME<NUMBER|there is no detector"):
        QualityGate.parse(text)


def test_large_pictures_are_judged_reduced() -> None:
    x = scene(1500, 2000)
    large = Photo(to_uint8(x))
    assert measure_defects(large, large)["artefacts"] < 1.5
