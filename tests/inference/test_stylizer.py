from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sfumato.errors import InputError, ModelError, UsageError
from sfumato.image import resize, thumbnail_size
from sfumato.inference import Style, Stylizer
from sfumato.style_code import StyleCode
from support import FLOAT32, SUM32, scene

GRAPHS = ("style_encoder.onnx", "statistics.onnx", "generator.onnx")


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Any:
    return shutil.copytree(bundle, tmp_path / "copy")


@pytest.fixture(scope="session")
def stylizer(bundle: Path) -> Stylizer:
    return Stylizer(bundle)


@pytest.fixture(scope="session")
def style(stylizer: Stylizer) -> Any:
    return Style.from_image(scene(90, 120, seed=1), "waves", stylizer)


@pytest.fixture(scope="session")
def other(stylizer: Stylizer) -> Any:
    return Style.from_image(scene(120, 90, seed=2), "dunes", stylizer)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (16, 500), (301, 23), (64, 80), (16, 3000)])
def test_any_size_from_16_up_keeps_its_size(stylizer: Stylizer, style: Any, size: tuple[int, int]) -> None:
    painted = stylizer(scene(*size), style)
    assert painted.shape == (1, 3, *size)
    assert painted.dtype == np.float32
    assert np.isfinite(painted).all()
    assert painted.min() >= 0
    assert painted.max() <= 1


def test_the_same_call_gives_the_same_pixels(bundle: Path, stylizer: Stylizer, style: Any) -> None:
    photo = scene(70, 50)
    before = photo.copy()
    painted = stylizer(photo, style, 0.7)
    assert np.array_equal(painted, stylizer(photo, style, 0.7))
    assert np.array_equal(painted, Stylizer(bundle)(photo, style, 0.7))
    assert np.array_equal(photo, before)


def test_threads_change_no_more_than_rounding(bundle: Path, style: Any) -> None:
    photo = scene(70, 50)
    one, two = (Stylizer(bundle, threads=threads)(photo, style) for threads in (1, 2))
    assert np.abs(one - two).max() <= 1 / 255


def test_calls_at_the_same_time_are_like_calls_in_turn(stylizer: Stylizer, style: Any) -> None:
    photos = [scene(48, 64, seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda photo: stylizer(photo, style), photos))
    assert all(np.array_equal(a, stylizer(photo, style)) for a, photo in zip(together, photos, strict=True))


def test_strength_goes_from_the_photos_own_code_to_the_styles(stylizer: Stylizer, style: Any, other: Any) -> None:
    photo = scene(60, 60)
    none, half, full = (stylizer(photo, style, strength) for strength in (0, 0.5, 1))
    apart = np.abs(none - full).mean()
    assert np.abs(none - full).max() > 1 / 255
    assert all(0 < np.abs(half - end).mean() < apart for end in (none, full))
    assert np.array_equal(none, stylizer(photo, other, 0))  # nothing of the style is left in it
    own = Style.from_image(photo, stylizer=stylizer)
    assert np.abs(stylizer(photo, own, 1) - none).max() <= 1e-4
    assert np.abs(stylizer(photo, own, 1) - none).max() <= 1e-3  # a look has 16 bits


def test_strength_is_the_fusion_of_the_two_codes(stylizer: Stylizer, style: Any) -> None:
    photo = scene(60, 60)
    mixed = Style("mixed", StyleCode.blend([style.code, stylizer.encode(photo)], [0.3, 0.7]))
    assert np.abs(stylizer(photo, style, 0.3) - stylizer(photo, mixed)).max() <= 1e-4
    assert np.abs(stylizer(photo, style, 0.3) - stylizer(photo, mixed)).mean() <= 1e-3  # a look has 16 bits


def test_the_norm_params_of_a_picture_are_by_value(stylizer: Stylizer, style: Any, other: Any) -> None:
    photo = scene(64, 48)
    norm_params = stylizer.norm_params(photo, style.code)
    assert norm_params.shape == (1, stylizer.card.norm_params)
    assert norm_params.dtype == np.float32
    assert not np.array_equal(norm_params, stylizer.norm_params(photo, other.code))
    assert not np.array_equal(norm_params, stylizer.norm_params(photo, style.code, 0.5))


def test_a_picture_is_encoded_through_its_thumbnail(stylizer: Stylizer) -> None:
    large = scene(400, 700)
    code = stylizer.encode(large)
    assert code == stylizer.encode(resize(large, *thumbnail_size(400, 700, stylizer.card.thumbnail, 1024)))
    assert code.model == stylizer.card.model
    assert code.vector.shape == (stylizer.card.code_size,)


def test_an_array_of_pixels_is_a_photo_too(stylizer: Stylizer, style: Any) -> None:
    pixels = (scene(40, 30)[0].transpose(1, 2, 0) * 255).round().astype(np.uint8)
    contract = pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255
    assert np.abs(stylizer(pixels, style) - stylizer(contract, style)).max() <= 1e-5


# What cannot work says so in one sentence.


@pytest.mark.parametrize("strength", [-0.01, 1.5, float("nan"), float("inf")])
def test_strength_outside_0_to_1(stylizer: Stylizer, style: Any, strength: float) -> None:
    with pytest.raises(UsageError, match="strength"):
        stylizer(scene(20, 20), style, strength)


@pytest.mark.parametrize("size", [(1, 400), (400, 15), (1, 5000)])
def test_strips_are_painted_at_their_own_size(stylizer: Stylizer, style: Any, size: tuple[int, int]) -> None:
    painted = stylizer(scene(*size), style)
    assert painted.shape == (1, 3, *size)
    assert np.isfinite(painted).all()


@pytest.mark.parametrize("size", [(15, 15), (3, 9), (1, 1)])
def test_pictures_under_16_pixels(stylizer: Stylizer, style: Any, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{size[1]} x {size[0]} pixels; Sfumato needs 16"):
        stylizer(scene(*size), style)
    with pytest.raises(InputError, match="needs 16"):
        stylizer.encode(scene(*size))


def test_a_batch_is_not_a_photo(stylizer: Stylizer, style: Any) -> None:
    with pytest.raises(InputError, match="batch of 2"):
        stylizer(np.concatenate([scene(20, 20)] * 2), style)


@pytest.mark.parametrize(("options", "word"), [({"threads": 0}, "threads"), ({"device": "abacus"}, "abacus")])
def test_options_that_do_not_exist(bundle: Path, options: Any, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        Stylizer(bundle, **options)


def test_a_style_of_another_model(stylizer: Stylizer, style: Any) -> None:
    foreign = Style("foreign", StyleCode(style.code.vector, "another-model"))
    with pytest.raises(ModelError, match="'foreign' was made by the model 'another-model'"):
        stylizer(scene(20, 20), foreign)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("harm", ["one bit", "cut short", "gone"])
def test_a_damaged_graph_is_refused(copy: Any, style: Any, graph: str, harm: str) -> None:
    path = copy / graph
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(content if harm == "one bit" else path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=graph):
        Stylizer(copy)(scene(20, 20), style, 0.5)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": "m"}', b"\xff\xfe"])
def test_a_card_that_is_none(copy: Any, content: bytes) -> None:
    (copy / "card.json").write_bytes(content)
    with pytest.raises(ModelError, match="card"):
        Stylizer(copy)


@pytest.mark.parametrize("key", ["model", "thumbnail", "code_size", "norm_params", "files"])
def test_a_card_without_a_key(copy: Any, key: str) -> None:
    card = json.loads((copy / "card.json").read_text("utf-8"))
    del card[key]
    (copy / "card.json").write_text(json.dumps(card), "utf-8")
    with pytest.raises(ModelError, match=key):
        Stylizer(copy)


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no card\.json"):
        Stylizer(tmp_path)


def replace_graph(folder: Path, graph: Any, content: Any) -> None:
    """A graph of somebody's own making, with a card that vouches for it."""
    (folder / graph).write_bytes(content)
    card = json.loads((folder / "card.json").read_text("utf-8"))
    card["files"][graph] = hashlib.sha256(content).hexdigest()
    (folder / "card.json").write_text(json.dumps(card), "utf-8")


def test_another_programs_model_is_refused(copy: Any) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, None, None]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    replace_graph(copy, "style_encoder.onnx", model.SerializeToString())
    with pytest.raises(ModelError, match="is from another program or version"):
        Stylizer(copy).encode(scene(20, 20))


def test_a_graph_that_onnxruntime_cannot_load(copy: Any) -> None:
    replace_graph(copy, "style_encoder.onnx", b"not a graph at all")
    with pytest.raises(ModelError, match="damaged or not an ONNX graph"):
        Stylizer(copy).encode(scene(20, 20))


def test_a_model_exported_again_into_its_folder_is_loaded_again(copy: Any) -> None:
    before = Stylizer(copy).encode(scene(20, 20))
    model = onnx.load(copy / "style_encoder.onnx")
    (last,) = (node for node in model.graph.node if "code" in node.output)
    last.output[list(last.output).index("code")] = "inner"
    model.graph.node.append(helper.make_node("Neg", ["inner"], ["code"]))
    replace_graph(copy, "style_encoder.onnx", model.SerializeToString())
    np.testing.assert_array_equal(Stylizer(copy).encode(scene(20, 20)).vector, -before.vector)


def test_graphs_are_loaded_once_per_process_and_thread_count(copy: Any) -> None:
    photo = scene(20, 20)
    code = Stylizer(copy, threads=1).encode(photo)
    (copy / "style_encoder.onnx").write_bytes(b"damaged after it was loaded")
    assert Stylizer(copy, threads=1).encode(photo) == code
    with pytest.raises(ModelError, match="damaged"):
        Stylizer(copy, threads=2).encode(photo)


# Styles.


def test_a_style_survives_its_file(style: Any, tmp_path: Path) -> None:
    told = Style("my waves", style.code, {"title": "Waves", "artist": "a test"})
    told.save(tmp_path / "saved.style.safetensors")
    found = Style.load(tmp_path / "saved.style.safetensors")
    assert found == told
    assert found.name == "my waves"
    assert {**found.about, "name": ""} == {**told.about, "name": ""}
    assert (tmp_path / "saved.style.safetensors").stat().st_size < 20_000


def test_a_file_without_a_name_lends_its_own(style: Any, tmp_path: Path) -> None:
    style.code.save(tmp_path / "dusk.style.safetensors", {})
    assert Style.load(tmp_path / "dusk.style.safetensors").name == "dusk"


def test_a_picture_is_no_style_file(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(ModelError, match=r"x\.safetensors"):
        Style.load(tmp_path / "x.safetensors")


def test_blend_weighs_by_proportion(style: Any, other: Any) -> None:
    quarter = Style.blend({style: 1, other: 3})
    expected = 0.25 * style.code.vector + 0.75 * other.code.vector
    np.testing.assert_allclose(quarter.code.vector, expected, atol=FLOAT32)
    np.testing.assert_allclose(Style.blend({style: 0.2, other: 0.6}).code.vector, expected, atol=FLOAT32)
    np.testing.assert_allclose(Style.blend({style: 1, other: 0}).code.vector, style.code.vector, atol=FLOAT32)
    assert quarter.name == "waves:1 + dunes:3"
    assert Style.blend({style: 1}, name="mine").name == "mine"


def test_a_blend_lies_between_its_parts(stylizer: Stylizer, style: Any, other: Any) -> None:
    photo = scene(60, 60)
    ends = [stylizer(photo, end) for end in (style, other)]
    between = stylizer(photo, Style.blend({style: 1, other: 1}))
    apart = np.abs(ends[0] - ends[1]).mean()
    assert apart > 1e-4
    assert all(np.abs(between - end).mean() < apart for end in ends)


@pytest.mark.parametrize("weights", [(), (-1, 2), (0, 0), (float("nan"), 1)])
def test_blends_without_a_meaning(style: Any, other: Any, weights: Any) -> None:
    with pytest.raises(UsageError):
        Style.blend(dict(zip((style, other), weights, strict=False)))


def test_styles_of_two_models_do_not_blend(style: Any) -> None:
    with pytest.raises(ModelError):
        Style.blend({style: 1, Style("foreign", StyleCode(style.code.vector, "another-model")): 1})


def test_several_pictures_give_their_mean(stylizer: Stylizer, style: Any, other: Any) -> None:
    both = Style.from_images([scene(90, 120, seed=1), scene(120, 90, seed=2)], "both", stylizer)
    np.testing.assert_allclose(both.code.vector, (style.code.vector + other.code.vector) / 2, atol=FLOAT32)
    assert both.about["pictures"] == "2"


def test_no_pictures_are_no_style(stylizer: Stylizer) -> None:
    with pytest.raises(UsageError, match="at least one"):
        Style.from_images([], stylizer=stylizer)


# What ships.


def test_built_in_styles_blend_by_name() -> None:
    blend = Style.blend({"great-wave": 0.5, "starry-night": 0.5})
    parts = [Style.named(name).code.vector for name in ("great-wave", "starry-night")]
    np.testing.assert_allclose(blend.code.vector, sum(parts) / 2, atol=SUM32)


def test_the_shipped_model_paints_and_gives_the_photo_back() -> None:
    photo, stylizer = scene(128, 160), Stylizer()
    full, none = (stylizer(photo, Style.named("great-wave"), strength) for strength in (1, 0))
    assert np.abs(none - photo).mean() < np.abs(full - photo).mean() / 2
    assert np.abs(none - photo).mean() < 0.05


def test_an_unknown_style_offers_the_nearest_names() -> None:
    with pytest.raises(UsageError, match=r"did you mean .*great-wave"):
        Style.named("great-wav")


# Masks, and what is no style.


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, bool, np.float64])
def test_masks_of_any_kind_of_number(stylizer: Stylizer, style: Any, kind: Any) -> None:
    photo = scene(40, 60)
    share = np.zeros((40, 60), np.float32)
    share[:, 30:] = 1
    top = np.iinfo(kind).max if np.issubdtype(kind, np.integer) else 1
    expected = stylizer(photo, style, masks=[share])
    assert not np.array_equal(expected, photo)
    assert np.array_equal(stylizer(photo, style, masks=[(share * top).astype(kind)]), expected)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((40, 60), 255.0), r"float in \[0, 1\]"),
        (np.full((40, 60), np.nan), r"float in \[0, 1\]"),
        (np.full((40, 60), -0.1), r"float in \[0, 1\]"),
        (np.full((40, 60), 1, np.int64), "int64"),
        (np.zeros((40, 60, 3), np.uint8), r"must have shape \(H, W\)"),
        ("mask.png", "cannot read mask.png"),
        (None, r"must have shape \(H, W\)"),
    ],
)
def test_masks_that_are_none(stylizer: Stylizer, style: Any, mask: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        stylizer(scene(40, 60), style, masks=[mask])
    with pytest.raises(UsageError, match="in brackets"):
        stylizer(scene(40, 60), style, masks=np.zeros((40, 60), np.uint8))  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [None, 7, b"monet", {"monet": 1}, ["monet", 3]])
def test_what_is_no_style_is_said(stylizer: Stylizer, wrong: Any) -> None:
    with pytest.raises(UsageError, match="a style must be a Style or a name"):
        stylizer(scene(40, 60), wrong)


def test_other_kinds_than_asked_for(stylizer: Stylizer, style: Any) -> None:
    with pytest.raises(UsageError, match=r"strength must be a number, but is '0\.5'"):
        stylizer(scene(40, 60), style, "0.5")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a style's name must be a string"):
        Style.named(b"monet")  # type: ignore[arg-type]
    for weights in (["monet"], {"monet": "a"}):
        with pytest.raises(UsageError, match="must map styles to numbers"):
            Style.blend(weights)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="threads must be a number"):
        Stylizer(threads="2")  # type: ignore[arg-type]
