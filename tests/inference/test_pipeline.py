"""The pipeline: what `sfumato stylize` does, for everybody else."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato import (
    Finish,
    InputError,
    OutputError,
    PaintOptions,
    Photo,
    Pipeline,
    QualityError,
    Recipe,
    Result,
    Style,
    Stylizer,
    UsageError,
    read_photo,
    write_image,
)
from sfumato.image import picture_digest, read_recipe, shrink
from support import scene

DRAFT = PaintOptions(quality="draft")


@pytest.fixture(scope="module")
def photo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "scene.png"
    write_image(scene(60, 80), path)
    return path


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(threads=1)


def test_a_result_is_a_painting_with_its_recipe(photo_file: Path, stylizer: Stylizer, tmp_path: Path) -> None:
    result = Pipeline("monet", replace(DRAFT, strength=0.5), stylizer=stylizer)(photo_file)
    wanted = stylizer.paint(read_photo(photo_file), "monet", replace(DRAFT, strength=0.5))
    assert np.array_equal(result.picture.pixels, wanted.pixels)
    assert result.recipe.options == replace(DRAFT, strength=0.5)
    assert result.recipe.photo_sha256 == picture_digest(photo_file)
    assert result.report == {}
    result.save(tmp_path / "painted.png")
    assert read_recipe(tmp_path / "painted.png") == result.recipe.to_json()
    with pytest.raises(OutputError, match="already exists"):
        result.save(tmp_path / "painted.png", overwrite=False)
    with Image.open(tmp_path / "painted.png") as stored:
        assert np.array_equal(stored, result.image)  # type: ignore[arg-type]


def test_masks_shrink_with_the_photo(photo_file: Path, stylizer: Stylizer) -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[:, :40] = 255
    pipeline = Pipeline("monet", DRAFT, masks=[Image.fromarray(mask)], max_size=40, stylizer=stylizer)
    picture = pipeline(photo_file).picture
    small = shrink(read_photo(photo_file), 40)
    assert picture.pixels.shape == (30, 40, 3)
    assert np.array_equal(picture.pixels[:, 25:], small.pixels[:, 25:])
    assert not np.array_equal(picture.pixels[:, :15], small.pixels[:, :15])


def test_what_is_left_to_it_is_chosen_and_reported(photo_file: Path, stylizer: Stylizer) -> None:
    told: list[tuple[float, str]] = []
    pipeline = Pipeline("monet", DRAFT, auto=True, best_of=2, gates=["artefacts<1000"], stylizer=stylizer)
    result = pipeline(photo_file, progress=lambda share, doing: told.append((share, doing)))
    assert result.report["asked"]["best_of"] == 2
    assert len(result.report["candidates"]) == 2
    assert result.recipe.strength == result.report["candidates"][0]["strength"]
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], told[-1]) == (0.0, (1.0, "done"))
    assert any(doing.startswith("strength and stroke") for _, doing in told)
    assert pipeline.would_make(result.recipe.to_json(), picture_digest(photo_file))
    assert not pipeline.would_make(result.recipe.to_json(), "0" * 64)
    other = Pipeline("klimt", DRAFT, auto=True, best_of=2, gates=["artefacts<1000"], stylizer=stylizer)
    assert not other.would_make(result.recipe.to_json(), picture_digest(photo_file))


@pytest.mark.parametrize("after", [0, 3])
def test_an_exception_of_progress_cancels(photo_file: Path, stylizer: Stylizer, after: int) -> None:
    class Cancelled(Exception):  # noqa: N818
        pass

    calls = []

    def progress(share: float, doing: str) -> None:
        calls.append(doing)
        if len(calls) > after:
            raise Cancelled

    pipeline = Pipeline("monet", DRAFT, auto=True, stylizer=stylizer)
    with pytest.raises(Cancelled):
        pipeline(photo_file, progress=progress)
    assert len(calls) == after + 1


def test_a_gate_that_nothing_passes_is_an_error(photo_file: Path, stylizer: Stylizer) -> None:
    pipeline = Pipeline("monet", DRAFT, gates=["artefacts<.0001"], stylizer=stylizer)
    with pytest.raises(QualityError, match=rf"{photo_file.name} did not pass the gate"):
        pipeline(photo_file)


def test_finishing_is_part_of_the_recipe_and_of_its_replay(photo_file: Path, stylizer: Stylizer) -> None:
    finish = [Finish(sharpen=0.5)]
    told: list[float] = []
    pipeline = Pipeline("monet", DRAFT, finish=[*finish, Finish(upscale=2)], stylizer=stylizer)
    large = pipeline(photo_file, progress=lambda share, doing: told.append(share))
    assert told == sorted(told)
    assert any(0.8 < share < 1 for share in told)
    result = Pipeline("monet", DRAFT, finish=finish, stylizer=stylizer)(photo_file)
    assert large.picture.pixels.shape == (120, 160, 3)
    plain = Pipeline("monet", DRAFT, stylizer=stylizer)(photo_file)
    assert not np.array_equal(result.picture.pixels, plain.picture.pixels)
    assert [each["sharpen"] for each in result.recipe.finish] == [0.5]
    stored = result.picture.metadata.recipe
    assert stored == result.recipe.to_json()
    again = Pipeline.of_recipe(Recipe.from_json(stored, "it"), stylizer=stylizer)(photo_file)
    assert np.array_equal(again.picture.pixels, result.picture.pixels)


def test_a_recipe_is_replayed_on_as_many_masks(photo_file: Path, stylizer: Stylizer) -> None:
    mask = scene(60, 80)[0, 0]
    result = Pipeline("monet", DRAFT, masks=[mask], stylizer=stylizer)(photo_file)
    again = Pipeline.of_recipe(result.recipe, masks=[mask], stylizer=stylizer)(photo_file)
    assert np.array_equal(again.picture.pixels, result.picture.pixels)
    assert again.recipe == result.recipe
    with pytest.raises(UsageError, match="made with 1 mask, and 0 were given"):
        Pipeline.of_recipe(result.recipe, stylizer=stylizer)


def test_one_pipeline_serves_several_threads(photo_file: Path, stylizer: Stylizer) -> None:
    pipeline = Pipeline("monet", DRAFT, stylizer=stylizer)
    photos = [Photo(np.roll(read_photo(photo_file).pixels, 7 * i, 1)) for i in range(4)]
    alone = [pipeline(photo).picture.pixels for photo in photos]
    barrier = threading.Barrier(4)

    def paint(photo: Photo) -> Result:
        barrier.wait()
        return pipeline(photo)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(paint, photos))
    assert all(np.array_equal(one.picture.pixels, other) for one, other in zip(together, alone, strict=True))


def test_a_result_has_an_image_of_8_bits(stylizer: Stylizer) -> None:
    pixels = np.full((20, 24, 3), 40_000, np.uint16)
    alpha = np.full((20, 24), 65535, np.uint16)
    result = Result(Photo(pixels, alpha), Pipeline("monet", DRAFT, stylizer=stylizer).recipe)
    assert (result.image.mode, result.image.size) == ("RGBA", (24, 20))
    assert result.image.getpixel((0, 0)) == (156, 156, 156, 255)


def test_home_is_looked_into_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stylizer: Stylizer
) -> None:
    for name in ("SFUMATO_STYLES", "SFUMATO_PERSONAL", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sfumato.inference.library.data_folder", lambda: tmp_path)
    (tmp_path / "styles").mkdir()
    Style.named("monet").save(tmp_path / "styles" / "mine.safetensors")
    with pytest.raises(UsageError, match="there is no style 'mine'"):
        Pipeline("mine", DRAFT, stylizer=stylizer)
    assert Pipeline("mine", DRAFT, stylizer=stylizer, own=True).recipe.styles[0]["name"] == "mine"


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (UsageError, "max_size must be between 16", {"max_size": 3}),
        (UsageError, "file_quality must be between 1 and 100", {"file_quality": 0}),
        (UsageError, "masks must be a list", {"masks": "mask.png"}),
        (UsageError, "there is no detector 'beauty'", {"gates": ["beauty<1"]}),
        (InputError, "nowhere.png", {"masks": ["nowhere.png"]}),
    ],
)
def test_wrong_arguments_are_told_before_any_painting(
    stylizer: Stylizer, error: type[Exception], message: str, arguments: dict[str, object]
) -> None:
    with pytest.raises(error, match=message):
        Pipeline("monet", DRAFT, stylizer=stylizer, **arguments)  # type: ignore[arg-type]


def test_the_image_of_a_result_has_8_bits_and_its_alpha(photo_file: Path, stylizer: Stylizer) -> None:
    result = Pipeline("monet", DRAFT, stylizer=stylizer)(photo_file)
    levels = result.picture.pixels
    alpha = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80) * 13
    deep = replace(result.picture, pixels=levels.astype(np.uint16) * 257, alpha=alpha)
    image = np.asarray(replace(result, picture=deep).image)
    assert np.array_equal(image[:, :, :3], levels)
    assert np.array_equal(image[:, :, 3], np.rint(alpha / 257))


def test_a_result_is_named_in_one_line(photo_file: Path, stylizer: Stylizer) -> None:
    result = Pipeline("monet", DRAFT, stylizer=stylizer)(photo_file)
    assert repr(result) == "<Result: 80 x 60 pixels, monet>"


def test_a_picture_given_as_a_style_s_name_says_what_makes_a_style_of_it(photo_file: Path) -> None:
    with pytest.raises(UsageError, match=r"is a file, not the name of a style; use Style\.from_image"):
        Pipeline(str(photo_file))
    with pytest.raises(UsageError, match=r"'nowhere\.jpg' is a file, not the name of a style"):  # there or not
        Pipeline("nowhere.jpg")
