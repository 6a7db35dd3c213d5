"""Painting and finishing in Studio give what the pipeline gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.errors import SfumatoError, UsageError
from sfumato.image import read_photo, read_recipe, to_uint8
from sfumato.inference.masks import as_mask, fit_mask
from sfumato.inference.options import PaintOptions
from sfumato.inference.pipeline import Pipeline
from sfumato.inference.retouch import Finish
from sfumato.inference.style import Style
from sfumato.studio.measures import measure
from sfumato.studio.work import KINDS, Inputs, Made, OwnStyleInput, Stored, warm
from support import pixels, scene

Steps = list[tuple[float, str]]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    warm.set_threads(1)


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    """A photo, two pictures of a style, and a mask of the left half, at half of the photo's size."""
    mask = np.zeros((36, 48), np.uint8)
    mask[:, :24] = 255
    images = {
        "photo": Image.fromarray(to_uint8(scene(72, 96, 1))),
        "first": Image.fromarray(to_uint8(scene(64, 64, 2))),
        "second": Image.fromarray(to_uint8(scene(64, 64, 3, 0.3))),
        "mask": Image.fromarray(mask),
    }
    found = {}
    for number, (name, image) in enumerate(images.items()):
        path = tmp_path / f"{number:064x}"
        image.save(path, "PNG")
        found[name] = Stored(name, path, None, f"{number:064x}", "f" * 64, f"my {name}", None, None)
    return Inputs(tmp_path / "personal", found, {"mine": OwnStyleInput("my style", [("first", 1.0), ("second", 3.0)])})


@pytest.fixture
def do(inputs: Inputs, tmp_path: Path) -> Callable[..., tuple[Any, list[Made], Steps]]:
    """Does a piece of work; its result, its pictures and its steps."""

    def work(kind: str, files: Inputs = inputs, **asked: Any) -> tuple[Any, list[Made], Steps]:
        folder = tmp_path / f"made-{len(list(tmp_path.glob('made-*')))}"
        folder.mkdir()
        steps: Steps = []
        result, made = KINDS[kind](asked, files, folder, lambda share, doing: steps.append((share, doing)))
        shares = [share for share, _ in steps]
        assert shares == sorted(shares)
        return result, made, steps

    return work


def with_made(inputs: Inputs, made: Made, name: str = "made") -> Inputs:
    """The inputs with a new picture, as the worker stores it."""
    stored = Stored(name, made.file, None, "e" * 64, None, made.title, made.recipe, made.photo)
    return replace(inputs, pictures={**inputs.pictures, name: stored})


def test_a_result_is_that_of_the_pipeline(do: Any, inputs: Inputs) -> None:
    result, [made], steps = do(
        "paint",
        photo="photo",
        styles=[{"style": "monet", "weight": 1, "mask": None}],
        options={"strength": 0.7, "stroke": 1.5, "color": "luminance", "quality": "draft", "seed": 5},
        max_size=64,
        finish=[{"contrast": 0.2}],
        format="png",
    )
    options = PaintOptions(0.7, 1.5, "luminance", "draft", 5)
    pipeline = Pipeline("monet", options, max_size=64, finish=[Finish(contrast=0.2)], stylizer=warm.stylizer())
    expected = pipeline(inputs.pictures["photo"].path, photo_sha256="f" * 64)
    np.testing.assert_array_equal(pixels(made.file), expected.picture.pixels)
    assert read_recipe(made.file) == expected.picture.metadata.recipe == made.recipe
    assert (result["picture"], made.kind, made.photo, made.title) == ({"$made": 0}, "result", "photo", "my photo")
    assert (made.width, made.height) == (64, 48)
    assert made.measures == measure(read_photo(made.file), read_photo(inputs.pictures["photo"].path))
    assert "saving" in [doing for _, doing in steps]


@pytest.mark.parametrize(("format", "media_type"), [("jpeg", "image/jpeg"), ("webp", "image/webp")])
def test_formats_hold_the_recipe(do: Any, format: str, media_type: str) -> None:
    _, [made], _ = do(
        "paint",
        photo="photo",
        styles=[{"style": "monet"}],
        options={"quality": "draft"},
        format=format,
        file_quality=70,
    )
    assert made.media_type == media_type
    recipe = read_recipe(made.file)
    assert recipe is not None
    assert recipe["file_quality"] == 70


def test_a_preview_is_a_small_draft(do: Any, inputs: Inputs, tmp_path: Path) -> None:
    photo = replace(inputs.pictures["photo"], sha256="d" * 64, small=tmp_path / "small.png")
    Image.fromarray(to_uint8(scene(24, 32, 1))).save(tmp_path / "small.png")
    files = replace(inputs, pictures={**inputs.pictures, "photo": photo})
    result, [made], _ = do(
        "paint",
        files,
        photo="photo",
        styles=[{"style": "monet"}],
        preview=True,
        finish=[{"upscale": 2, "contrast": 0.5}],
    )
    assert (made.kind, made.media_type, made.width, made.thumb) == ("preview", "image/webp", 32, made.file)
    assert made.measures is None
    assert made.recipe is not None
    assert made.recipe.get("quality", "draft") == "draft"
    assert result["seconds"] < 10


def test_several_styles_are_blended_by_weight(do: Any, inputs: Inputs) -> None:
    _, [made], _ = do(
        "paint",
        photo="photo",
        styles=[{"style": "monet", "weight": 1}, {"style": "klimt", "weight": 2}, {"style": "monet", "weight": 1}],
        options={"quality": "draft"},
    )
    blend = Style.blend({"monet": 2, "klimt": 2})
    expected = Pipeline(blend, PaintOptions(quality="draft"), stylizer=warm.stylizer())(inputs.pictures["photo"].path)
    np.testing.assert_array_equal(pixels(made.file), expected.picture.pixels)


def test_regions(do: Any, inputs: Inputs) -> None:
    """A mask may be drawn on a smaller copy of the photo; the style without a mask takes the rest."""
    photo = read_photo(inputs.pictures["photo"].path)
    mask = fit_mask(as_mask(inputs.pictures["mask"].path), photo)
    assert mask.shape == (72, 96)
    _, [made], _ = do(
        "paint",
        photo="photo",
        styles=[{"style": "klimt"}, {"style": "monet", "mask": "mask"}],
        options={"quality": "draft"},
    )
    expected = Pipeline(["monet", "klimt"], PaintOptions(quality="draft"), masks=[mask], stylizer=warm.stylizer())(
        photo
    )
    np.testing.assert_array_equal(pixels(made.file), expected.picture.pixels)
    assert made.recipe is not None
    assert len(made.recipe["masks"]) == 1
    _, [again], _ = do(
        "paint",
        with_made(inputs, made),
        photo="photo",
        recipe_of="made",
        styles=[{"style": "monet", "mask": "mask"}],
    )
    np.testing.assert_array_equal(pixels(again.file), pixels(made.file))


def test_a_style_of_uploaded_pictures(do: Any, inputs: Inputs) -> None:
    _, [made], _ = do("paint", photo="photo", styles=[{"style": "own:mine"}], options={"quality": "standard"})
    first, second = (
        Style.from_image(inputs.pictures[name].path, stylizer=warm.stylizer()) for name in ("first", "second")
    )
    pipeline = Pipeline(Style.blend({first: 1, second: 3}), PaintOptions(quality="standard"), stylizer=warm.stylizer())
    expected = pipeline(inputs.pictures["photo"].path)
    np.testing.assert_array_equal(pixels(made.file), expected.picture.pixels)
    # Its recipe is painted again from the account's own pictures.
    files = with_made(inputs, made)
    _, [again], _ = do("paint", files, photo="photo", recipe_of="made")
    np.testing.assert_array_equal(pixels(again.file), pixels(made.file))
    with pytest.raises(UsageError, match="was not found"):
        do("paint", replace(files, own_styles={}), photo="photo", recipe_of="made")
    _, [preview], _ = do("paint", files, photo="photo", recipe_of="made", preview=True)
    assert preview.recipe is not None
    assert preview.recipe.get("quality", "draft") == "draft"


def test_choices_left_to_sfumato(do: Any) -> None:
    _, [made], _ = do(
        "paint", photo="photo", styles=[{"style": "monet"}], options={"quality": "draft"}, best_of=2, auto=True
    )
    assert made.recipe is not None
    assert made.recipe["guidance"]["why"]


def test_finishing_adds_a_step(do: Any, inputs: Inputs) -> None:
    _, [painted], _ = do("paint", photo="photo", styles=[{"style": "monet"}], options={"quality": "draft"})
    files = with_made(inputs, painted)
    _, [made], _ = do("finish", files, picture="made", saturation=-1.0, upscale=2, format="jpeg")
    assert (made.width, made.height, made.media_type, made.photo) == (192, 144, "image/jpeg", "photo")
    assert made.recipe is not None
    assert made.recipe["finish"][0]["upscale"] == 2
    assert made.recipe["finish"][0]["picture"] == "e" * 64
    assert made.measures is not None
    assert np.ptp(pixels(made.file).astype(int), axis=2).max() < 12  # grey, but for the compression
    with pytest.raises(UsageError, match="nothing to change"):
        do("finish", files, picture="made")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"styles": []}, "a picture needs a style; choose one"),
        ({"styles": [{"style": "own:gone"}]}, "the style has been deleted; choose another one"),
        ({"styles": [{"style": "taste:me"}]}, "the taste me has learnt no style yet; like some pictures first"),
        ({"styles": [{"style": "taste:../../me"}]}, "there is no taste '../../me'; choose another style"),
        ({"styles": [{"style": "/etc/passwd"}]}, "there is no style '/etc/passwd'"),
        ({"photo": "gone", "styles": [{"style": "monet"}]}, "a picture that the job needs has been deleted"),
        ({"recipe_of": "photo"}, "my photo holds no recipe, so its settings are unknown"),
        (
            {"styles": [{"style": "monet", "mask": "mask"}, {"style": "klimt"}, {"style": "hokusai"}]},
            "2 styles have no region, but only one style can take the rest of the photo",
        ),
        ({"styles": [{"style": "monet"}], "options": {"strength": 2.0}}, "strength must be between 0 and 1"),
    ],
)
def test_mistakes_are_one_sentence(do: Any, asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SfumatoError) as told:
        do("paint", **{"photo": "photo", **asked})
    assert sentence in str(told.value)


def test_a_cancelled_painting_reaches_the_painter(inputs: Inputs, tmp_path: Path) -> None:
    def cancel(share: float, doing: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        KINDS["paint"]({"photo": "photo", "styles": [{"style": "monet"}]}, inputs, tmp_path, cancel)


def test_recent_values_are_kept() -> None:
    made = []

    def make(key: str) -> str:
        made.append(key)
        return key.upper()

    recent: warm.Recent[str] = warm.Recent(2)
    for key in ("a", "b", "a", "c", "a", "b"):
        assert recent.get(key, lambda key=key: make(key)) == key.upper()  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"]
