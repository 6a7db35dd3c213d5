"""Refinement of what was painted: `Stylizer.refine` and the option `refine`."""

import base64

import numpy as np
import pytest

from sfumato.errors import ModelError, UsageError
from sfumato.inference import Style, Stylizer
from sfumato.inference import stylizer as module
from sfumato.inference.recipe import Recipe
from sfumato.style_code import StyleCode
from support import scene


def look_distance(stylizer, picture, look):
    return float(np.mean((stylizer.look(picture)[0].look - look) ** 2))


@pytest.fixture(scope="module")
def shipped():
    return Stylizer()


def test_each_step_brings_the_shipped_model_s_painting_nearer_to_the_style(shipped):
    photo, style = scene(96, 128), Style.named("great-wave")
    painted = [shipped(photo, style, refine=steps) for steps in (0, 2, 6)]
    distances = [look_distance(shipped, picture, style.code.look) for picture in painted]
    assert distances[0] > 1.3 * distances[1] > 1.3 * distances[2]
    assert 0 <= painted[-1].min() < painted[-1].max() <= 1


def test_refinement_is_the_default_and_repeats(stylizer, style):
    photo = scene(61, 83)
    assert np.array_equal(stylizer(photo, style), stylizer(photo, style, refine=module.REFINE))
    assert not np.array_equal(stylizer(photo, style), stylizer(photo, style, refine=0))


def test_at_strength_0_there_is_nothing_to_refine(stylizer, style):
    photo = scene(61, 83)
    plain = stylizer(photo, style, 0.0, refine=0)
    assert np.array_equal(stylizer(photo, style, 0.0), plain)
    assert np.array_equal(stylizer.refine(photo, photo, style.code.look, 0.0), photo)
    little, full = (np.abs(stylizer.refine(photo, photo, style.code.look, s) - photo).mean() for s in (0.01, 1.0))
    assert 0 < little < 0.6 * full


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (16, 90), (45, 64)])
def test_any_size_is_refined_at_its_own(stylizer, style, size):
    picture = scene(*size)
    assert stylizer.refine(picture, picture, style.code.look).shape == picture.shape
    assert stylizer(picture, style).shape == picture.shape


@pytest.mark.parametrize("natural", [512, 64, 32])
def test_a_large_picture_is_refined_as_a_whole(stylizer, style, monkeypatch, natural):
    """In a small copy, whether it is painted at its own size, enlarged or painted again; the change is smooth."""
    monkeypatch.setattr(module, "REFINED", 48)
    monkeypatch.setattr(module, "NATURAL", natural)
    photo = scene(100, 150)
    plain, refined = (stylizer(photo, style, refine=steps) for steps in (0, 4))
    change = (refined - plain)[0].mean(0)
    assert 0.002 < np.abs(change).mean() < 0.1
    steps = np.abs(np.diff(change, axis=1))
    assert steps.max() < 8 * steps.mean() + 0.02  # of an enlarged picture: smooth


def test_the_photo_s_own_palette_is_not_refined_away(stylizer, style):
    photo = scene(60, 80)
    plain, refined = (stylizer(photo, style, color="content", refine=steps) for steps in (0, 4))
    inside = (np.minimum(plain, refined) > 0.01) & (np.maximum(plain, refined) < 0.99)
    change = (refined - plain)[:, :, inside[0].all(0)]
    assert np.abs(change).max() > 1e-3
    assert np.abs(change - change.mean(1, keepdims=True)).max() < 1e-5


def test_a_style_without_a_look_is_painted_unrefined(stylizer, style):
    photo = scene(60, 80)
    bare = Style("bare", StyleCode(style.code.vector, style.code.model))
    assert np.array_equal(stylizer(photo, bare), stylizer(photo, style, refine=0))


def test_a_look_of_another_size_is_refused(stylizer, style):
    wrong = Style("wrong", StyleCode(style.code.vector, style.code.model, style.code.look[:512]))
    with pytest.raises(ModelError, match="'wrong' is damaged or of another version"):
        stylizer(scene(60, 80), wrong)


@pytest.mark.parametrize("steps", [-1, 65])
def test_steps_outside_their_range(stylizer, style, steps):
    with pytest.raises(UsageError, match="refine must be"):
        stylizer(scene(60, 80), style, refine=steps)


def test_a_recipe_keeps_the_look_and_the_steps(stylizer, style):
    photo = scene(60, 80)
    recipe = Recipe.of(stylizer, [style], refine=3)
    again = Recipe.from_json(recipe.to_json(), "x")
    styles = again.rebuild(stylizer)
    assert styles[0].code == style.code
    assert np.array_equal(stylizer(photo, styles, **again.options), stylizer(photo, style, refine=3))
    assert len(base64.b64decode(recipe.styles[0]["look"])) == 2 * stylizer.card.look_size


def test_a_recipe_from_before_refinement_is_painted_without(stylizer, style):
    found = Recipe.of(stylizer, [style], refine=4).to_json()
    del found["refine"]
    assert Recipe.from_json(found, "x").options["refine"] == 0


def test_a_style_file_holds_the_look_as_it_is(style, tmp_path):
    style.save(tmp_path / "a.safetensors")
    loaded = Style.load(tmp_path / "a.safetensors")
    assert loaded.code == style.code
    assert loaded.code != StyleCode(style.code.vector, style.code.model)
    assert hash(loaded.code) == hash(style.code)
