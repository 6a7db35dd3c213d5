from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sfumato.errors import InputError, ModelError, UsageError
from sfumato.image import Photo, as_image, read_photo, shrink, to_uint8, write_photo
from sfumato.inference import Style, Stylizer
from sfumato.inference.changes import changes
from sfumato.inference.explain import explain
from sfumato.inference.explain_sheet import CELL, COLUMNS, explanation_sheet, write_sheet
from sfumato.inference.nearest import CARD_KEY, FILE, SAME, TrainingStyles, Work
from sfumato.inference.options import PaintOptions
from sfumato.inference.recipe import Recipe
from sfumato.inference.repaint import recipe_of
from sfumato.networks.statistics import BANDS, COLOUR_STATS_SIZE, SHARES, ColourStats
from sfumato.style_code import StyleCode, code_parts
from support import scene


@pytest.fixture(scope="module")
def stylizer(bundle: Path) -> Stylizer:
    return Stylizer(bundle)


@pytest.fixture(scope="module")
def style(stylizer: Stylizer) -> Any:
    return Style.from_image(scene(90, 120, seed=1), "waves", stylizer)


@pytest.fixture
def indexed(bundle: Path, tmp_path: Path) -> Any:
    """The tiny model with an index of six paintings; and these."""
    folder = shutil.copytree(bundle, tmp_path / "indexed")
    pictures = [scene(60, 80, seed) for seed in range(10, 16)]
    stylizer = Stylizer(folder)
    works = [Work("waves", f"no. {n}", f"github:waves/sea@12:{n}.jpg", "public domain") for n in range(len(pictures))]
    note(folder, TrainingStyles.of([stylizer.encode(picture) for picture in pictures], works).save(folder))
    return folder, pictures


def note(folder: Path, digest: Any) -> None:
    card = json.loads((folder / "card.json").read_text("utf-8"))
    (folder / "card.json").write_text(json.dumps({**card, CARD_KEY: digest}), "utf-8")


def keep(path: Path, picture: Any) -> Any:
    write_photo(Photo(to_uint8(picture)), path)
    return path


def paint(
    stylizer: Any,
    photo: Any,
    out: Any,
    styles: Any,
    masks: Any = (),
    max_size: int = 0,
    file_quality: int = 92,
    **options: Any,
) -> Any:
    """A picture with its recipe, as `sfumato stylize` leaves it."""
    read = read_photo(photo)
    painting = PaintOptions(**{"quality": "draft", **options})
    digests = ["00" * 32] * len(masks)
    recipe = Recipe.of(stylizer, styles, painting, masks=digests, max_size=max_size, file_quality=file_quality)
    if recipe.max_size:
        read = shrink(read, recipe.max_size)
    painted = stylizer.paint(read, styles, recipe.options, masks=masks)
    metadata = replace(painted.metadata, recipe=recipe.to_json())
    write_photo(replace(painted, metadata=metadata), out, quality=recipe.file_quality)
    return out


@pytest.fixture
def photo(tmp_path: Path) -> Any:
    return keep(tmp_path / "photo.png", scene(64, 80))


@pytest.fixture
def painted(stylizer: Stylizer, photo: Any, style: Any, tmp_path: Path) -> Any:
    return paint(stylizer, photo, tmp_path / "painted.png", [style])


# The parts of a code.


def test_parts_are_the_code_once() -> None:
    places = [list(range(138))[part.place] for part in code_parts(138)]
    assert [number for place in places for number in place] == list(range(138))
    assert all(places)
    assert len({part.name for part in code_parts(138)}) == len(places)


def test_parts_lie_where_measured_packs_them() -> None:
    """`ColourStats.pack` needs torch, and explaining does without: the table says the same."""
    mean, bands, tones = (
        torch.tensor([[1.0, 2, 3]]),
        torch.arange(3.0 * BANDS)[None] + 20,
        torch.zeros(1, 3, len(SHARES)),
    )
    tones += torch.arange(3.0 * len(SHARES)).view(1, 3, -1) + 40
    root = torch.tensor([[[10.0, 11, 12], [11, 13, 14], [12, 14, 15]]])
    packed = torch.cat([torch.full((1, 16), -1.0), ColourStats(mean, root, bands, tones).pack()], 1)[0]
    assert len(packed) == 16 + COLOUR_STATS_SIZE
    found = {part.name: packed[part.place].tolist() for part in code_parts(len(packed))}
    assert found["texture"] == [-1.0] * 16
    assert found["mean_colour"] == [1, 2, 3]
    assert found["colour_spread"] == [10, 11, 12, 13, 14, 15]
    names = ("finest", "fine", "middle", "coarse")
    assert [found[f"contrast_{name}"] for name in names] == bands.view(BANDS, 3).tolist()
    assert found["tones"] == tones.flatten().tolist()


def test_grain_is_the_finest_contrast(stylizer: Stylizer) -> None:
    """The order of the bands, on pictures: pixel noise raises the first of them most."""
    y, x = np.mgrid[0:96, 0:96] / 20
    smooth = np.stack([np.sin(x), np.sin(y), np.sin(x + y)])[None] * 0.2 + 0.5
    noisy = smooth + np.random.default_rng(0).normal(0, 0.1, smooth.shape)
    plain, grainy = (stylizer.encode(np.clip(z, 0, 1).astype(np.float32)).vector for z in (smooth, noisy))
    rise = {part.name: (grainy[part.place] / plain[part.place]).mean() for part in code_parts(len(plain))}
    bands = [rise[name] for name in rise if name.startswith("contrast")]
    assert bands == sorted(bands, reverse=True)
    assert bands[0] > 2 * bands[-1]


def test_a_code_without_texture_has_no_parts() -> None:
    with pytest.raises(ModelError, match="at least one learnt"):
        code_parts(COLOUR_STATS_SIZE)


def test_a_model_with_another_layout_is_refused(bundle: Path, photo: Any, painted: Any, tmp_path: Path) -> None:
    folder = shutil.copytree(bundle, tmp_path / "other")
    card = json.loads((folder / "card.json").read_text("utf-8"))
    (folder / "card.json").write_text(json.dumps({**card, "palette": [3, 12]}), "utf-8")
    with pytest.raises(ModelError, match="have a layout that this version does not know"):
        explain(painted, photo, Stylizer(folder))


# What each part did.


def shares(explanation: Any) -> Any:
    return {swap.part.name: swap.share for swap in explanation.styles[0].swaps}


def test_all_parts_are_tried(stylizer: Stylizer, photo: Any, painted: Any) -> None:
    style = explain(painted, photo, stylizer).styles[0]
    assert [swap.part.name for swap in style.swaps] == [part.name for part in code_parts(stylizer.card.code_size)]
    assert sum(swap.share for swap in style.swaps) == pytest.approx(1)
    assert all(swap.colour > 0 or swap.features > 0 for swap in style.swaps)
    assert all(np.array_equal(swap.picture, style.painted) is False for swap in style.swaps)


def test_a_part_that_is_the_photos_own_did_nothing(stylizer: Stylizer, photo: Any, style: Any, tmp_path: Path) -> None:
    own = stylizer.encode(photo)
    mixed = style.code.vector.copy()
    palette = slice(*stylizer.card.palette)
    mixed[palette] = own.vector[palette]
    out = paint(stylizer, photo, tmp_path / "out.png", [Style("mixed", StyleCode(mixed, own.model))])
    found = explain(out, photo, stylizer).styles[0]
    by_name = {swap.part.name: swap for swap in found.swaps}
    for name in ("mean_colour", "colour_spread"):
        assert (by_name[name].colour, by_name[name].features, by_name[name].share, by_name[name].alone) == (0, 0, 0, 0)
        assert np.array_equal(by_name[name].picture, found.painted)
    assert by_name["tones"].share > 0


def test_the_only_part_that_differs_did_all_of_it(stylizer: Stylizer, photo: Any, style: Any, tmp_path: Path) -> None:
    own = stylizer.encode(photo)
    mixed = own.vector.copy()
    mixed[: stylizer.card.palette[0]] = style.code.vector[: stylizer.card.palette[0]]
    out = paint(stylizer, photo, tmp_path / "out.png", [Style("texture", StyleCode(mixed, own.model))])
    found = explain(out, photo, stylizer)
    assert shares(found)["texture"] == 1
    texture = found.styles[0].swaps[0]
    assert np.array_equal(texture.picture, found.styles[0].plain)  # without it, nothing of the style is left
    assert texture.alone == pytest.approx(texture.colour)  # and with it, all of it


def test_a_kept_palette_is_no_part_of_the_style(stylizer: Stylizer, photo: Any, style: Any, tmp_path: Path) -> None:
    out = paint(stylizer, photo, tmp_path / "out.png", [style], color="content")
    found = shares(explain(out, photo, stylizer))
    assert found["mean_colour"] == found["colour_spread"] == 0
    assert found["tones"] > 0


def test_at_strength_0_nothing_did_anything(stylizer: Stylizer, photo: Any, style: Any, tmp_path: Path) -> None:
    out = paint(stylizer, photo, tmp_path / "out.png", [style], strength=0.0)
    assert set(shares(explain(out, photo, stylizer)).values()) == {0}


@pytest.mark.parametrize(("strength", "color"), [(1.0, "style"), (0.4, "style"), (1.0, "content"), (0.4, "content")])
def test_parts_are_those_of_the_code_that_painted(stylizer: Stylizer, style: Any, strength: float, color: str) -> None:
    small = scene(64, 80)
    used = stylizer.fuse(small, style.code, strength, color)  # type: ignore[arg-type]
    again = stylizer(small, Style("used", used), quality="draft")
    assert np.abs(again - stylizer(small, style, strength, color=color, quality="draft")).max() <= 1e-4  # type: ignore[arg-type, operator]


# Where it changed.


def test_equal_pictures_changed_nowhere() -> None:
    same = changes(scene(64, 80), scene(64, 80))
    assert (same.colour_mean, same.structure_mean, same.colour_area, same.structure_area) == (0, 0, 0, 0)
    assert same.colour.shape == same.structure.shape == (64, 80)


def test_a_tint_is_colour_and_no_structure() -> None:
    photo = 0.2 + 0.5 * scene(64, 80)
    tinted = photo + np.array([0.2, 0, -0.1], np.float32)[None, :, None, None]
    found = changes(tinted, photo)
    assert found.colour_area > 0.9
    assert found.structure_mean < 0.02
    assert found.colour_share > 0.9


def test_strokes_are_structure_and_no_colour() -> None:
    photo = np.full((1, 3, 128, 128), 0.5, np.float32)
    marks = np.indices((128, 128)).sum(0) % 2
    found = changes(photo + np.float32(0.1) * (marks * 2 - 1).astype(np.float32), photo)
    assert found.colour_mean < 0.5
    assert found.structure_area > 0.9
    assert found.structure_share > 0.9


def test_maps_show_where() -> None:
    photo = scene(128, 160)
    picture = photo.copy()
    picture[:, :, 64:, 80:] = 1 - photo[:, :, 64:, 80:]
    found = changes(picture, photo)
    for values in (found.colour, found.structure):
        assert values[72:, 88:].mean() > 20 * values[:56, :72].mean()


def test_what_is_transparent_does_not_count() -> None:
    photo, cover = scene(64, 64), np.ones((64, 64), np.float32)
    picture = photo.copy()
    picture[:, :, :, :32] = 0
    cover[:, :32] = 0
    found = changes(picture, photo, cover)
    assert found.colour[:, :30].max() == 0
    assert found.colour_area < 0.2 < changes(picture, photo).colour_area


def test_the_numbers_are_those_of_the_picture(stylizer: Stylizer, photo: Any, painted: Any) -> None:
    found = explain(painted, photo, stylizer)
    again = changes(as_image(painted), as_image(photo))
    assert found.change.to_json() == again.to_json()
    assert found.change.colour_share + found.change.structure_share == 1


# The photo is the one, or is refused.


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.jpg", {"file_quality": 92}),
        ("a.jpg", {"file_quality": 8}),
        ("a.webp", {"file_quality": 30}),
        ("a.tiff", {"stroke": 1.6, "seed": 9}),
        ("a.png", {"max_size": 50, "color": "luminance", "strength": 0.6}),
    ],
)
def test_the_right_photo_is_known(
    stylizer: Stylizer, photo: Any, style: Any, tmp_path: Path, name: str, options: Any
) -> None:
    out = paint(stylizer, photo, tmp_path / name, [style], **options)
    found = explain(out, photo, stylizer)
    assert found.photo.shape == found.picture.shape
    assert max(found.picture.shape) == options.get("max_size", 80)
    other = keep(tmp_path / "other.png", scene(64, 80, seed=5))
    with pytest.raises(InputError, match="does not give that picture"):
        explain(out, other, stylizer)


def test_a_photo_of_another_size_is_refused(stylizer: Stylizer, painted: Any, tmp_path: Path) -> None:
    other = keep(tmp_path / "tall.png", scene(80, 64))
    with pytest.raises(
        InputError, match=r"tall\.png is not the photo .* at 64 x 80 pixels, and the picture has 80 x 64"
    ):
        explain(painted, other, stylizer)


def retouched(picture: Any) -> None:
    """In one place, little of the whole."""
    picture[:, :, 100:104, 200:204] = 0.6


def grainier(picture: Any) -> None:
    """Everywhere a little, nowhere much: a photo saved again, say."""
    picture += np.random.default_rng(1).normal(0, 0.007, picture.shape).astype(np.float32)


@pytest.mark.parametrize("edit", [retouched, grainier])
def test_a_photo_that_was_edited_is_refused(edit: Any, tmp_path: Path) -> None:
    whole, stylizer, style = 0.1 + 0.8 * scene(240, 320, length=40), Stylizer(), Style.named("great-wave")
    out = paint(stylizer, keep(tmp_path / "a.png", whole), tmp_path / "out.png", [style])
    edit(whole)
    with pytest.raises(InputError, match="was edited or saved again since"):
        explain(out, keep(tmp_path / "b.png", np.clip(whole, 0, 1)), stylizer)


def test_a_transparent_photo(stylizer: Stylizer, style: Any, tmp_path: Path) -> None:
    pixels, alpha = to_uint8(scene(64, 80)), np.full((64, 80), 255, np.uint8)
    alpha[:, :40] = 0
    write_photo(Photo(pixels, alpha), tmp_path / "cut.png")
    for name in ("out.png", "out.jpg"):
        out = paint(stylizer, tmp_path / "cut.png", tmp_path / name, [style])
        found = explain(out, tmp_path / "cut.png", stylizer)
        assert found.change.colour[:, :36].max() == 0
        assert found.change.colour[:, 44:].max() > 0


def test_a_strip_narrower_than_the_networks_see(stylizer: Stylizer, style: Any, tmp_path: Path) -> None:
    strip = keep(tmp_path / "strip.png", scene(9, 60))
    found = explain(paint(stylizer, strip, tmp_path / "out.png", [style]), strip, stylizer)
    assert sum(shares(found).values()) == pytest.approx(1)
    assert explanation_sheet(found).shape[1] == 3


# Masks, of which a recipe has the hashes only.


@pytest.mark.parametrize("count", [1, 2])
def test_under_masks_each_style_is_explained_over_the_whole(
    stylizer: Stylizer, photo: Any, style: Any, tmp_path: Path, count: int
) -> None:
    other = Style.from_image(scene(70, 50, seed=3), "dunes", stylizer)
    mask = np.zeros((64, 80), np.float32)
    mask[:, 30:] = 1
    styles = [style, other][:count]
    out = paint(stylizer, photo, tmp_path / "out.jpg", styles, [mask])
    found = explain(out, photo, stylizer)
    assert [one.name for one in found.styles] == ["waves", "dunes"][:count]
    assert all(sum(swap.share for swap in one.swaps) == pytest.approx(1) for one in found.styles)
    assert any("masks" in sentence for sentence in found.left_out)
    with pytest.raises(InputError, match="does not give that picture"):
        explain(out, keep(tmp_path / "other.png", scene(64, 80, seed=5)), stylizer)


# Without the photo, without a recipe, without a discriminator.


def test_without_the_photo_it_says_what_is_missing(stylizer: Stylizer, painted: Any) -> None:
    found = explain(painted, None, stylizer)
    assert found.change is None
    assert found.photo is None
    assert found.styles[0].swaps == []
    assert "--photo" in found.left_out[0]
    assert json.loads(json.dumps(found.to_json()))["change"] is None
    assert explanation_sheet(found).shape[3] > CELL


def test_a_picture_without_a_recipe(stylizer: Stylizer, photo: Any) -> None:
    with pytest.raises(InputError, match=r"photo\.png holds no recipe"):
        explain(photo, photo, stylizer)


def test_another_model_is_refused(painted: Any) -> None:
    with pytest.raises(ModelError, match="install that version"):
        explain(painted, None, Stylizer())


def test_a_model_without_a_discriminator_has_no_logits(stylizer: Stylizer, photo: Any, painted: Any) -> None:
    found = explain(painted, photo, stylizer)
    assert found.styles[0].discriminator is None
    assert any("without its discriminator" in sentence for sentence in found.left_out)


def test_the_map_is_the_discriminator_s(photo: Any, tmp_path: Path) -> None:
    stylizer, style = Stylizer(), Style.named("monet")  # what ships has one
    out = paint(stylizer, photo, tmp_path / "out.png", [style])
    found = explain(out, photo, stylizer)
    discriminator = found.styles[0].discriminator
    logits = [stylizer.discriminator_logits(as_image(path), style.code) for path in (out, photo)]
    assert discriminator.map.shape == logits[0].shape[-2:]
    expected = [float((1 / (1 + np.exp(-x))).mean()) for x in logits]
    assert [discriminator.mean, discriminator.photo] == pytest.approx(expected)
    assert not any("discriminator" in sentence for sentence in found.left_out)


# The work, counted and laid out.


@pytest.mark.parametrize("with_photo", [True, False])
def test_work_is_counted_to_its_end(stylizer: Stylizer, photo: Any, painted: Any, with_photo: bool) -> None:
    seen = []
    explain(painted, photo if with_photo else None, stylizer, lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert {total for _, total in seen} == {len(seen)}


def test_the_sheet_has_a_place_for_everything(stylizer: Stylizer, photo: Any, painted: Any, tmp_path: Path) -> None:
    found = explain(painted, photo, stylizer)
    sheet = explanation_sheet(found)
    assert sheet.dtype == np.float32
    assert COLUMNS * CELL < sheet.shape[3] < 1.2 * COLUMNS * CELL
    assert 3 * 200 < sheet.shape[2] < 3 * CELL * 1.3
    write_sheet(found, tmp_path / "sheet.png", "painted.png")
    assert read_photo(tmp_path / "sheet.png").height == sheet.shape[2]
    with pytest.raises(InputError, match=r"sheet\.png is the explanation of painted\.png; name that picture"):
        recipe_of(tmp_path / "sheet.png")


# The nearest paintings.


def test_a_painting_is_nearest_to_itself(indexed: Any) -> None:
    folder, pictures = indexed
    stylizer = Stylizer(folder)
    index = TrainingStyles.load(folder)
    for number, picture in enumerate(pictures):
        first, second, *_ = index.nearest(stylizer.encode(picture), 6)
        assert first.work.title == f"no. {number}"
        assert first.is_the_same
        assert first.distance < SAME < second.distance
    assert not index.nearest(stylizer.encode(scene(60, 80, seed=99)))[0].is_the_same


def test_the_unit_is_the_usual_distance_between_paintings(indexed: Any) -> None:
    folder, pictures = indexed
    codes = [Stylizer(folder).encode(picture) for picture in pictures]
    index = TrainingStyles.load(folder)
    between = [n.distance for code in codes for n in index.nearest(code, 6) if not n.is_the_same]
    assert np.median(between) == pytest.approx(1, rel=0.01)


def test_each_number_counts_by_its_deviation() -> None:
    """A number with a thousand times the range of another has no more to say."""
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 1, (50, 8)) * np.array([1000, 1, 1, 1, 1, 1, 1, 0])
    codes = [StyleCode(row, "m") for row in raw]
    works = [Work("a", str(n), "s", "l") for n in range(50)]
    stretched = TrainingStyles.of(codes, works)
    plain = TrainingStyles.of([StyleCode(row / [1000, 1, 1, 1, 1, 1, 1, 1], "m") for row in raw], works)
    query = rng.normal(0, 1, 8)
    query[7] = 0
    names = [n.work.title for n in plain.nearest(StyleCode(query, "m"), 10)]  # type: ignore[arg-type]
    query[0] *= 1000
    assert [n.work.title for n in stretched.nearest(StyleCode(query, "m"), 10)] == names  # type: ignore[arg-type]


def test_an_index_comes_back_as_it_was(indexed: Any, tmp_path: Path) -> None:
    folder, _ = indexed
    index = TrainingStyles.load(folder)
    (tmp_path / "again").mkdir()
    assert index.save(tmp_path / "again") == json.loads((folder / "card.json").read_text("utf-8"))[CARD_KEY]
    assert (tmp_path / "again" / FILE).read_bytes() == (folder / FILE).read_bytes()
    assert index.works[2] == Work("waves", "no. 2", "github:waves/sea@12:2.jpg", "public domain")


def test_an_explanation_names_the_nearest(indexed: Any, photo: Any, tmp_path: Path) -> None:
    folder, pictures = indexed
    stylizer = Stylizer(folder)
    out = paint(stylizer, photo, tmp_path / "out.png", [Style.from_image(pictures[3], "three", stylizer)])
    nearest = explain(out, None, stylizer).styles[0].nearest
    assert nearest[0].work.title == "no. 3"
    assert nearest[0].is_the_same
    assert [n.distance for n in nearest] == sorted(n.distance for n in nearest)


def test_a_model_of_ones_own_has_no_index(bundle: Path, stylizer: Stylizer, painted: Any) -> None:
    assert TrainingStyles.load(bundle) is None
    found = explain(painted, None, stylizer)
    assert found.styles[0].nearest == []
    assert any("no index" in sentence for sentence in found.left_out)


def test_damaged_indices_are_refused(indexed: Any) -> None:
    folder, _ = indexed
    data = bytearray((folder / FILE).read_bytes())
    data[-1] ^= 1
    (folder / FILE).write_bytes(data)
    with pytest.raises(ModelError, match="is damaged"):
        TrainingStyles.load(folder)
    (folder / FILE).unlink()
    with pytest.raises(ModelError, match="cannot read the index"):
        TrainingStyles.load(folder)
    os.mkfifo(folder / FILE)
    with pytest.raises(ModelError, match=r"cannot read the index .*not a regular file"):
        TrainingStyles.load(folder)


def test_what_is_no_index_is_refused(indexed: Any, style: Any) -> None:
    folder, _ = indexed
    style.save(folder / FILE)
    note(folder, hashlib.sha256((folder / FILE).read_bytes()).hexdigest())
    with pytest.raises(ModelError, match="is not an index of paintings"):
        TrainingStyles.load(folder)


def test_an_index_is_of_one_model(indexed: Any) -> None:
    folder, _ = indexed
    with pytest.raises(ModelError, match="use one model"):
        TrainingStyles.load(folder).nearest(StyleCode(np.zeros(58), "other"))  # type: ignore[arg-type]
    works = [Work("a", "t", "s", "l")] * 3
    with pytest.raises(ModelError, match="one model"):
        TrainingStyles.of([StyleCode(np.arange(4.0) + n, f"m{n}") for n in range(3)], works)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="the codes of these are equal"):
        TrainingStyles.of([StyleCode(np.arange(4.0), "m")] * 3, works)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="one code for each"):
        TrainingStyles.of([StyleCode(np.arange(4.0), "m")] * 2, works)  # type: ignore[arg-type]
