"""A model of one collection: exported, and painted with."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from sfumato.errors import InputError, ModelError, UsageError
from sfumato.export.bundle import PARITY_SIZES
from sfumato.export.onnx import export_model, export_run
from sfumato.export.parity import TOLERANCE
from sfumato.image import Photo, to_levels
from sfumato.inference import Style, Stylizer
from sfumato.inference.gate import QualityGate, SelectionOptions, paint_selected
from sfumato.inference.guide import choose
from sfumato.inference.inputs import SMALLEST_SIDE
from sfumato.inference.options import PaintOptions
from sfumato.inference.pixel_readers import ArrayReader
from sfumato.inference.recipe import Recipe
from sfumato.inference.tiling import tiles
from sfumato.metadata import Metadata
from sfumato.networks.config import CollectionConfig
from sfumato.networks.model import CollectionModel, build_collection_discriminator
from support import FLOAT32, save_run, scene

SHAPES = {"widths": (8, 12, 16), "blocks": 2, "discriminator_widths": (8, 8, 8)}
KINDS = ("instance", "batch", "none")


def new_model(**shapes: Any) -> Any:
    """A tiny generator that paints about as much as a trained one, noise included."""
    torch.manual_seed(0)
    model = CollectionModel(CollectionConfig(**{**SHAPES, **shapes}))
    with torch.no_grad():
        model.generator.paint.conv.weight.mul_(20)
        for convolution in (model.generator.deep_noise, model.generator.fine_noise):
            convolution.weight.normal_(0, 0.2)
        for seed in range(3):  # running averages that are some pictures'
            model.generator.measure(torch.from_numpy(scene(48, 64, seed)))
    return model.eval()


@pytest.fixture(scope="module")
def model() -> Any:
    return new_model()


@pytest.fixture(scope="module")
def bundle(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("models") / "painter"
    torch.manual_seed(1)
    export_model(model, folder, "painter", None, build_collection_discriminator(model.config))
    return folder


@pytest.fixture(scope="module")
def stylizer(bundle: Any) -> Stylizer:
    return Stylizer(bundle, threads=1)


@pytest.fixture(scope="module")
def photo() -> Any:
    return scene(90, 120, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_graphs_agree_with_torch_and_depend_on_what_they_should(kind: str, tmp_path: Path) -> None:
    model = new_model(normalization=kind)
    parity = export_model(model, tmp_path / "bundle", "painter")
    assert parity.keys() == {"statistics", "generator"}
    assert max(parity.values()) <= TOLERANCE
    statistics, generator = (
        onnxruntime.InferenceSession(tmp_path / "bundle" / f"{name}.onnx") for name in ("statistics", "generator")
    )
    origin = np.array([16, 400])
    found = []
    for size in (*PARITY_SIZES, (33, 50)):
        x = scene(*size)
        (norm_params,) = statistics.run(None, {"thumbnail": x})
        (painted,) = generator.run(None, {"picture": x, "norm_params": norm_params, "origin": origin})
        with torch.no_grad():
            own = model.generator.measure(torch.from_numpy(x))
            expected = model.generator(torch.from_numpy(x), own, torch.from_numpy(origin)).clamp(0, 1).numpy()
        assert np.abs(norm_params - own.numpy()).max() <= TOLERANCE * max(1, np.abs(norm_params).max())
        assert np.abs(painted - expected).max() < 3 * TOLERANCE
        assert np.abs(painted - x).mean() > 0.01
        found.append(norm_params)
    assert np.allclose(found[0], found[-1]) == (kind != "instance")


def test_a_card_says_its_kind_and_what_there_is(bundle: Any, model: Any) -> None:
    card = json.loads((bundle / "card.json").read_text())
    assert (card["kind"], card["code_size"], card["palette"]) == ("collection", 0, [])
    assert set(card["files"]) == {"statistics.onnx", "generator.onnx", "discriminator.onnx", "model.safetensors"}
    assert card["parameters"] == sum(p.numel() for p in model.generator.parameters())  # and none of the heads
    assert card["config"]["blocks"] == 2
    assert card["parity"]["discriminator"] <= TOLERANCE


@pytest.mark.parametrize("cycle", [False, True])
def test_a_run_is_exported_with_the_discriminator_of_paintings(tmp_path: Path, cycle: bool) -> None:
    model = new_model(cycle=cycle)
    judge = build_collection_discriminator(model.config).eval()
    save_run(tmp_path / "run", model, judge)
    export_run(tmp_path / "run", tmp_path / "bundle")
    stylizer, picture = Stylizer(tmp_path / "bundle"), scene(64, 96)
    assert stylizer.card.training["step"] == "7"
    with torch.no_grad():
        fine, coarse = judge(torch.from_numpy(picture))
        coarse = torch.nn.functional.interpolate(coarse, fine.shape[2:], mode="bilinear")
    discriminator = stylizer.discriminator_logits(picture)
    assert np.abs(discriminator - ((fine + coarse) / 2)[0, 0].numpy()).max() < 0.02  # its weights were rounded


def test_a_photo_is_painted_without_a_style(stylizer: Stylizer, model: Any, photo: Any) -> None:
    painted = stylizer(photo)
    with torch.no_grad():  # it is smaller than a thumbnail, and so its own
        expected = model(torch.from_numpy(photo), torch.from_numpy(photo)).numpy()
    assert np.abs(painted - expected).max() < 3e-3
    assert np.abs(painted - photo).mean() > 0.02
    assert np.array_equal(stylizer(photo), painted)
    assert not np.array_equal(stylizer(photo, seed=1), painted)


def test_kernels_are_stored_in_bytes(bundle: Any) -> None:
    for name in ("statistics", "generator"):
        weights = onnx.load(bundle / f"{name}.onnx").graph.initializer
        kernels = [tensor for tensor in weights if len(tensor.dims) == 4 and np.prod(tensor.dims) >= 256]
        assert {tensor.data_type for tensor in kernels if tensor.dims[2] == 3} == {onnx.TensorProto.INT8}


def test_strength_mixes_with_the_photo_which_is_exact_at_zero(stylizer: Stylizer, photo: Any) -> None:
    full = stylizer(photo)
    assert np.array_equal(stylizer(photo, strength=0), photo)
    assert np.allclose(stylizer(photo, strength=0.25), 0.75 * photo + 0.25 * full, atol=FLOAT32)


@pytest.mark.parametrize("size", [(90, 120), (10, 60), (1100, 40)])
def test_strength_zero_is_the_photo_at_any_size(stylizer: Stylizer, size: tuple[int, int]) -> None:
    x = scene(*size)
    assert np.array_equal(stylizer(x, strength=0), x)


def test_a_photo_at_its_own_depth_with_transparency(stylizer: Stylizer, rng: np.random.Generator) -> None:
    levels = rng.integers(0, 2**16, (48, 64, 3), dtype=np.uint16)
    alpha = np.full((48, 64), 2**16 - 1, np.uint16)
    alpha[:, 40:] = 0
    photo = Photo(levels, alpha, Metadata())
    painted = stylizer.paint(photo)
    assert painted.pixels.dtype == np.uint16
    assert np.array_equal(painted.alpha, alpha)
    assert np.abs(painted.pixels[:, :40].astype(int) - levels[:, :40]).mean() > 300
    same = stylizer.paint(photo, options=PaintOptions(strength=0))
    assert np.array_equal(same.pixels, levels)


def test_tiles_are_the_whole(stylizer: Stylizer, bundle: Any) -> None:
    x = scene(300, 420, 4)
    whole = stylizer.decode(x, stylizer.norm_params(x))
    assert len(list(tiles(300, 420, 64))) > 4
    assert np.abs(Stylizer(bundle, threads=1, tile=64)(x) - whole).max() < 1e-4
    assert np.abs(whole - x).mean() > 0.02


def test_a_large_photo_is_painted_and_strokes_can_be_larger(stylizer: Stylizer) -> None:
    x = np.tile(scene(128, 160, 3), (1, 1, 9, 9))
    painted = stylizer(x)
    assert painted.shape == x.shape
    assert np.isfinite(painted).all()
    assert np.abs(painted - x).mean() > 0.01
    small = scene(96, 128)
    assert not np.allclose(stylizer(small, stroke=2), stylizer(small))


def test_a_mask_keeps_the_photo_outside_and_luminance_its_colours(stylizer: Stylizer, photo: Any) -> None:
    mask = np.zeros(photo.shape[2:], np.float32)
    mask[:, 60:] = 1
    masked, full = stylizer(photo, masks=[mask]), stylizer(photo)
    assert np.allclose(masked[..., :40], photo[..., :40], atol=FLOAT32)
    assert np.allclose(masked[..., 90:], full[..., 90:], atol=FLOAT32)
    light = stylizer(photo, color="luminance")
    assert not np.allclose(light, full)


def test_what_needs_a_style_code_is_refused_in_one_sentence(stylizer: Stylizer, photo: Any) -> None:
    mask = np.ones(photo.shape[2:], np.float32)
    style = Style.named("monet")
    for call, message in (
        (lambda: stylizer(photo, "monet"), "leave the style out"),
        (lambda: stylizer(photo, style), "leave the style out"),
        (lambda: stylizer(photo, color="content"), "luminance"),
        (lambda: stylizer(photo, masks=[mask, mask]), "give at most one mask, not 2"),
        (lambda: stylizer.encode(photo), "no style codes"),
        (lambda: Style.from_image(photo, "x", stylizer), "no style codes"),
        (lambda: choose(stylizer, photo, style), "no style codes"),
    ):
        with pytest.raises(UsageError, match=message) as problem:
            call()
        assert "painter" in str(problem.value)
        assert "\n" not in str(problem.value)
    with pytest.raises(InputError, match="same size"):
        stylizer(photo, masks=[mask[1:]])


def test_it_has_drafts_only(stylizer: Stylizer, photo: Any) -> None:
    assert stylizer.choose_quality(None, []) == "draft"
    with pytest.raises(UsageError, match="in draft quality only"):
        stylizer(photo, quality="standard")


def test_a_model_of_any_style_still_needs_one(photo: Any) -> None:
    with pytest.raises(UsageError, match="needs a style"):
        Stylizer()(photo)


def test_a_recipe_without_styles_paints_the_same_again(stylizer: Stylizer, photo: Any) -> None:
    recipe = Recipe.of(stylizer, [], PaintOptions(strength=0.5, stroke=1.2, seed=3))
    again = Recipe.from_json(json.loads(json.dumps(recipe.to_json())), "x.png")
    assert again.to_json() == recipe.to_json()
    assert again.rebuild(stylizer) == []
    assert np.array_equal(
        stylizer(photo, [], **asdict(again.options)), stylizer(photo, strength=0.5, stroke=1.2, seed=3)
    )
    with pytest.raises(ModelError, match="install that version"):
        again.rebuild(Stylizer())
    for change in ({"kind": "arbitrary"}, {"kind": 3}, {"styles": [{"name": "x", "code": "AAAA"}]}):
        with pytest.raises(InputError, match=r"x\.png"):
            Recipe.from_json({**recipe.to_json(), **change}, "x.png")


def test_gates_need_no_code_and_choices_do(stylizer: Stylizer, photo: Any) -> None:
    levels = to_levels(photo, np.dtype(np.uint8))
    held = Photo(levels, None, Metadata())
    recipe = Recipe.of(stylizer, [])

    def paint(one: Any, progress: Any = None) -> Any:
        return stylizer.paint(held, [], one.options)

    painted, chosen = paint_selected(
        stylizer, held, [], recipe, SelectionOptions(gates=(QualityGate("clipping", 1e6),)), paint
    )
    assert np.array_equal(painted.pixels, paint(recipe).pixels)
    assert chosen.guidance["measured"].keys() >= {"clipping", "artefacts"}
    for selection in (SelectionOptions(auto=True), SelectionOptions(best_of=2)):
        with pytest.raises(UsageError, match="--best-of"):
            paint_selected(stylizer, held, [], recipe, selection, paint)


def test_a_card_of_an_unknown_kind_or_with_a_graph_missing_is_refused(bundle: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(bundle, tmp_path / "model")
    card = json.loads((folder / "card.json").read_text())
    files = {name: digest for name, digest in card["files"].items() if name != "statistics.onnx"}
    for change, message in (
        ({"kind": "cubist"}, "'cubist'"),
        ({"files": files}, r"statistics\.onnx"),
        ({"kind": 1}, "kind"),
    ):
        (folder / "card.json").write_text(json.dumps({**card, **change}))
        with pytest.raises(ModelError, match=message):
            Stylizer(folder)
    (folder / "card.json").write_text(json.dumps({**card, "kind": "arbitrary"}))
    with pytest.raises(ModelError, match="style_encoder"):
        Stylizer(folder)


def test_a_thumbnail_of_a_strip_is_wide_enough(stylizer: Stylizer) -> None:
    small = stylizer.thumbnail(ArrayReader(scene(20, 500)))
    assert min(small.shape[2:]) >= SMALLEST_SIDE
