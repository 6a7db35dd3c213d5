from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from sfumato.checkpoint import load_model
from sfumato.errors import ModelError, UsageError
from sfumato.export.onnx import TOLERANCE
from sfumato.image import Picture, resize
from sfumato.inference import Style, Stylizer
from sfumato.inference.adapter import MOST_BYTES, Adapter
from sfumato.inference.library import personal_path
from sfumato.inference.recipe import Recipe
from sfumato.inference.session import WEIGHTS
from sfumato.inference.taste import Taste
from support import scene

KERNEL, MATRIX, VECTOR = "generator.blocks.0.conv1.weight", "generator.enter.style.weight", "generator.style.0.bias"


def adapter_for(stylizer: Stylizer, seed: int = 0, size: float = 0.3) -> Adapter:
    """Random changes of a kernel and a matrix."""
    weights, rng = load_file(stylizer.folder / WEIGHTS), np.random.default_rng(seed)
    tensors = {}
    for name in (KERNEL, MATRIX):
        tensors[f"{name}.up"] = rng.normal(0, size, (weights[name].shape[0], 2))
        tensors[f"{name}.down"] = rng.normal(0, size, (2, weights[name][0].size))
    return Adapter(stylizer.card.model, tensors)


@pytest.fixture(scope="module")
def adapted(stylizer: Stylizer, style: Style) -> Style:
    return replace(style, adapter=adapter_for(stylizer))


@pytest.fixture(scope="module")
def photo() -> Picture:
    return scene(50, 70, 1)


def in_torch(stylizer: Stylizer, adapter: Adapter, style: Style, photo: Picture) -> np.ndarray:
    """What torch paints with the changed weights."""
    model, _ = load_model(stylizer.folder / WEIGHTS)
    state = model.state_dict()
    for name, values in adapter.applied(load_file(stylizer.folder / WEIGHTS)).items():
        state[name].copy_(torch.from_numpy(values.astype(np.float32)))
    with torch.no_grad():
        thumbnail = torch.from_numpy(resize(photo, *photo.shape[2:]))
        code = torch.from_numpy(style.code.vector.copy())[None]
        return model.generator(thumbnail, model.generator.measure(thumbnail, code)).clamp(0, 1).numpy()


def test_onnx_paints_with_an_adapter_as_torch_does(
    stylizer: Stylizer, adapted: Style, style: Style, photo: Picture
) -> None:
    assert adapted.adapter is not None
    painted = stylizer(photo, adapted)
    expected = in_torch(stylizer, adapted.adapter, style, photo)
    assert np.abs(painted - expected).max() < TOLERANCE
    assert np.abs(painted - stylizer(photo, style)).max() > 10 * TOLERANCE


def test_the_model_itself_stays_as_it_is(stylizer: Stylizer, adapted: Style, style: Style, photo: Picture) -> None:
    before = stylizer(photo, style)
    stylizer(photo, adapted)
    assert np.array_equal(stylizer(photo, style), before)
    assert stylizer.encode(photo) == Stylizer(stylizer.folder).encode(photo)


def test_nothing_is_changed_by_zeros(stylizer: Stylizer, style: Style, photo: Picture) -> None:
    zeros = {name: 0 * tensor for name, tensor in adapter_for(stylizer).tensors().items()}
    same = replace(style, adapter=Adapter(stylizer.card.model, zeros))
    assert np.abs(stylizer(photo, same) - stylizer(photo, style)).max() < 1e-5


def test_strength_0_gives_the_photo_back_as_without(
    stylizer: Stylizer, adapted: Style, style: Style, photo: Picture
) -> None:
    ours, plain = (np.abs(stylizer(photo, each, 0.0) - photo).mean() for each in (adapted, style))
    assert ours < plain + 0.005


def test_each_mask_is_painted_with_its_own_adapter(
    stylizer: Stylizer, adapted: Style, style: Style, photo: Picture
) -> None:
    other = replace(style, adapter=adapter_for(stylizer, 1))
    mask = np.zeros(photo.shape[2:], np.float32)
    mask[:, :35] = 1
    painted = stylizer(photo, [adapted, other], masks=[mask])
    left, right = (stylizer(photo, each) for each in (adapted, other))
    assert np.allclose(painted[..., :20], left[..., :20], atol=1e-5)
    assert np.allclose(painted[..., 50:], right[..., 50:], atol=1e-5)
    assert np.abs(left - right).mean() > 1e-3


def test_a_blend_mixes_adapters_by_their_shares(
    stylizer: Stylizer, adapted: Style, style: Style, photo: Picture
) -> None:
    assert adapted.adapter is not None
    weights = load_file(stylizer.folder / WEIGHTS)
    other = replace(style, name="other", adapter=adapter_for(stylizer, 1))
    blend = Style.blend({adapted: 3, other: 1})
    assert blend.adapter is not None
    assert other.adapter is not None
    adapters = blend.adapter, adapted.adapter, other.adapter
    mixed, one, two = (a.applied(weights)[KERNEL].astype(float) for a in adapters)
    assert np.abs(mixed - (0.75 * one + 0.25 * two)).max() < 2e-3 * np.abs(mixed).max()
    half = Style.blend({adapted: 1, replace(style, name="plain"): 1})
    assert half.adapter is not None
    base = weights[KERNEL].astype(float)
    halved = half.adapter.applied(weights)[KERNEL].astype(float)
    assert np.abs(halved - (one + base) / 2).max() < 2e-3 * np.abs(one).max()
    assert Style.blend({style: 1}).adapter is None


def test_tensors_make_it_again(stylizer: Stylizer) -> None:
    adapter = adapter_for(stylizer)
    again = Adapter.of(adapter.tensors(), adapter.model)
    assert again == adapter
    assert hash(again) == hash(adapter)
    assert again != adapter_for(stylizer, 1)
    assert again != Adapter.of(adapter.tensors(), "another")
    assert again.changes == [KERNEL, MATRIX]


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({VECTOR: [np.nan]}, "finite"),
        ({VECTOR: [1e6]}, "finite"),  # beyond 16 bits
        ({VECTOR: np.zeros((2, 2))}, "no vector"),
        ({"finish.textureness": np.zeros(8)}, "of another version of Sfumato"),
        ({f"{KERNEL}.up": np.zeros((4, 2))}, "no other half"),
        ({f"{KERNEL}.up": np.zeros((4, 2)), f"{KERNEL}.down": np.zeros((3, 4))}, "no other half"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tensors: dict[str, np.ndarray], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        Adapter("tiny", tensors)


def test_a_file_holds_no_more_than_its_limit() -> None:
    with pytest.raises(ModelError, match="at most"):
        Adapter.of({VECTOR: np.zeros(MOST_BYTES // 2 + 1)}, "tiny")


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"generator.nothing.bias": np.zeros(300)}, "no large weight"),
        ({"generator.conv1.bias": np.zeros(12)}, "no large weight"),  # it lies in the graphs
        ({f"{MATRIX}.up": np.zeros((4, 2)), f"{MATRIX}.down": np.zeros((2, 4))}, "another shape"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(
    stylizer: Stylizer, style: Style, photo: Picture, tensors: dict[str, np.ndarray], sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        stylizer(photo, replace(style, adapter=Adapter(stylizer.card.model, tensors)))


def test_halves_of_a_huge_product_are_refused_before_they_are_multiplied(stylizer: Stylizer) -> None:
    weights = load_file(stylizer.folder / WEIGHTS)
    hostile = Adapter("tiny", {f"{MATRIX}.up": np.zeros((4000, 1)), f"{MATRIX}.down": np.zeros((1, 4000))})
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="another shape"):
            hostile.applied(weights)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000  # of 64 MB
    finally:
        tracemalloc.stop()


def test_another_models_adapter_is_refused(stylizer: Stylizer, style: Style, photo: Picture) -> None:
    foreign = Adapter("another", adapter_for(stylizer).tensors())
    with pytest.raises(ModelError, match="changes the model 'another'"):
        stylizer(photo, replace(style, adapter=foreign))


def test_an_adapter_is_part_of_what_a_style_is(stylizer: Stylizer, adapted: Style, style: Style) -> None:
    assert adapted != style
    assert adapted == replace(style, adapter=adapter_for(stylizer))
    assert adapted.adapter is not None
    half = Style.blend({style: 1.0, adapted: 1.0}).adapter  # of one name and code, and yet two
    assert half == Adapter.blend([(adapted.adapter, 0.5)])


def test_a_blend_with_a_picture_is_rebuilt(stylizer: Stylizer, adapted: Style, photo: Picture, store: Path) -> None:
    assert adapted.adapter is not None
    kept = Taste("anna", (adapted.code,), (1.0,), adapter=adapted.adapter.tensors())
    kept.save(personal_path("anna"))
    picture = Style.from_image(photo, "holiday", stylizer)
    blend = Style.blend({Style.named("anna"): 1 / 3, picture: 2})
    recipe = Recipe.from_json(json.loads(json.dumps(Recipe.of(stylizer, [blend]).to_json())), "a file")
    assert recipe.rebuild(stylizer) == [blend]
    assert Style.blend({picture: 0.5, Style.named("anna"): 2}).name == "holiday:0.5 + anna:2"


@pytest.mark.parametrize(
    "name", ["anna:0 + monet:0", "anna:nan", "anna:-1 + monet:2", "anna:inf", "anna", "anna:x", ""]
)
def test_a_recipe_with_weights_that_no_blend_has(stylizer: Stylizer, adapted: Style, store: Path, name: str) -> None:
    assert adapted.adapter is not None
    Taste("anna", (adapted.code,), (1.0,), adapter=adapter_for(stylizer, 1).tensors()).save(personal_path("anna"))
    recipe = Recipe.of(stylizer, [replace(adapted, name=name)])
    with pytest.raises(ModelError, match="which is not here now"):
        recipe.rebuild(stylizer)


def test_a_style_file_has_no_place_for_one(adapted: Style, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sfumato personal export"):
        adapted.save(tmp_path / "waves.safetensors")


def test_a_recipe_tells_of_it_and_does_not_paint_without(stylizer: Stylizer, adapted: Style, style: Style) -> None:
    assert adapted.adapter is not None
    recipe = Recipe.of(stylizer, [adapted])
    assert recipe.styles[0]["adapter"] == adapted.adapter.digest
    again = Recipe.from_json(recipe.to_json(), "a file")
    with pytest.raises(ModelError, match="an adapter of the style 'waves'"):
        again.rebuild(stylizer)
    assert Recipe.of(stylizer, [style]).rebuild(stylizer) == [style]
