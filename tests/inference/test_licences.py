from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sfumato.assets import weights_dir
from sfumato.cli import app
from sfumato.image import Photo, read_recipe, to_uint8, write_photo
from sfumato.inference import Style, Stylizer
from sfumato.inference.feature_networks import FeatureNetworks
from sfumato.inference.licences import (
    Dependency,
    OwnModel,
    dependencies,
    of_model,
    of_painting_in,
    of_style,
    shipped,
    verdict,
)
from sfumato.inference.options import PaintOptions
from sfumato.inference.pipeline import Pipeline
from sfumato.inference.recipe import Recipe
from sfumato.metadata import Metadata
from sfumato.video.recipe import VideoRecipe
from sfumato.video.schedule import Schedule
from support import assert_one_sentence, run, scene


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(threads=1)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(to_uint8(scene(40, 60))).save(path)
    return path


def recipe(stylizer: Stylizer, *styles: Style, quality: Any = "draft") -> dict[str, Any]:
    return dict(json.loads(json.dumps(Recipe.of(stylizer, styles, PaintOptions(quality=quality)).to_json())))


def by_kind(found: list[Dependency], kind: str) -> list[Dependency]:
    return [each for each in found if each.kind == kind]


def test_a_built_in_style_depends_on_the_weights_and_its_pictures(stylizer: Stylizer) -> None:
    draft = dependencies(recipe(stylizer, Style.named("great-wave")))
    assert [each.name for each in by_kind(draft, "picture")] == ["The Great Wave off Kanagawa (c. 1831)"]
    assert [each.name for each in by_kind(draft, "weights")] == ["weights base-3", "VGG19, first five convolutions"]
    standard = dependencies(recipe(stylizer, Style.named("monet"), quality="standard"))
    assert len(by_kind(standard, "picture")) == 4
    assert "weights matching-4" in {each.name for each in by_kind(standard, "weights")}


def test_research_photos_in_the_training_are_told(stylizer: Stylizer) -> None:
    found = dependencies(recipe(stylizer, Style.named("monet")))
    assert verdict(found) is False
    counts = {
        answer: sum(e.count for e in by_kind(found, "training") if e.commercial is answer)
        for answer in (True, False, None)
    }
    assert counts == {True: 1208, False: 1437, None: 363}


@pytest.mark.parametrize(
    ("rights", "commercial"), [("own", True), ("public-domain", True), ("licensed", None), ("unstated", None)]
)
def test_the_rights_in_a_foreign_picture_are_carried(
    stylizer: Stylizer, photo: Path, rights: str, commercial: bool | None
) -> None:
    # Its name is that of a built-in style, which it must not be taken for.
    style = Style.from_image(photo, "monet", stylizer).with_rights(rights)
    for quality in ("draft", "standard"):
        found = dependencies(recipe(stylizer, style, quality=quality))
        assert by_kind(found, "picture") == []
        [each] = by_kind(found, "style")
        assert (each.name, each.commercial) == ("monet", commercial)


def test_a_blend_depends_on_all_its_parts(stylizer: Stylizer, photo: Path) -> None:
    own = Style.from_image(photo, "mine", stylizer).with_rights("own")
    for quality in ("draft", "standard"):
        found = dependencies(recipe(stylizer, Style.blend({own: 1, "great-wave": 2}), quality=quality))
        assert [each.author for each in by_kind(found, "picture")] == ["Katsushika Hokusai"]
        assert [each.licence for each in by_kind(found, "style")] == ["the maker of the style states: own work"]
    found = dependencies(recipe(stylizer, Style.blend({"great-wave": 1, "starry-night": 1})))
    assert len(by_kind(found, "picture")) == 2
    assert by_kind(found, "style") == []


def test_weights_of_another_version_are_not_known(stylizer: Stylizer) -> None:
    made = recipe(stylizer, Style.named("monet")) | {"model_sha256": "0" * 64}
    [weights] = by_kind(dependencies(made), "weights")
    assert (weights.name, weights.commercial) == ("weights base-3", None)
    assert of_model("my-own")[0].commercial is None


def test_the_card_of_an_own_model_answers_for_its_weights(stylizer: Stylizer) -> None:
    card = OwnModel("mine", "0" * 64, {}, {}, has_encoder=True)
    made = recipe(stylizer, Style.named("monet")) | {"model": "mine", "model_sha256": card.digest}
    free, research = {"CC0": 7, "public domain": 2}, {"CC0": 1, "ImageNet terms (research)": 4}
    began = {"started_from": "0" * 64}
    for data, training, answer in (
        ({"licences": free}, {}, True),
        ({"licences": free}, began, None),
        ({"licences": research}, {}, False),
        ({"licences": {**free, "licence unknown": 1}}, {}, None),
        ({"licences": {"CC0": "many"}}, {}, None),
        ({}, {}, None),
    ):
        assert verdict(dependencies(made, replace(card, data=data, training=training))) is answer
    assert (
        sum(each.count for each in by_kind(dependencies(made, replace(card, data={"licences": free})), "training")) == 9
    )
    assert verdict(dependencies(made, replace(card, data={"licences": free}, digest="1" * 64))) is None  # another


def test_cards_of_models_of_all_kinds_are_read(stylizer: Stylizer) -> None:
    for folder, digest in ((weights_dir(), stylizer.card.digest), (weights_dir("matching"), FeatureNetworks().digest)):
        own = OwnModel.read(folder)
        assert own.digest == digest
        assert sum(own.data["licences"].values()) > 1000


def test_a_model_answers_only_for_what_it_painted(photo: Path, tmp_path: Path) -> None:
    painted = tmp_path / "painted.png"
    assert run("stylize", photo, "--style", "monet", "--quality", "draft", "-o", painted).exit_code == 0
    assert run("licences", painted, "--model", weights_dir()).exit_code == 0
    for words, why in (
        ([painted, "--model", weights_dir("matching")], "was not painted by the model"),
        (["monet", "--model", weights_dir()], "monet is a style"),
        (["--model", weights_dir()], "name the pictures"),
    ):
        result = run("licences", *words)
        assert result.exit_code == 2
        assert why in result.stderr


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"kind": "video"},
        {"kind": "video", "painting": 3},
        {"kind": "photo"},
        {"kind": "photo", "finish": [3]},
        {"kind": ["x"], "junk": 1},
        {"model": "base-3", "styles": []},
        {"finish": [{"contrast": 0.5}]},
        {"styles": 3, "finish": "x", "model": None},
        {"styles": [3, {"name": ["x"], "rights": 4, "pictures": [{"sha256": None}, 5]}], "model": "\x1b[2J" * 999},
        {"styles": [{"name": " + " * 9999, "rights": "own: 1, stolen: 2"}], "finish": [{"upscaler": []}]},
    ],
)
def test_damaged_recipes_give_an_answer(damaged: dict[str, Any]) -> None:
    found = dependencies(damaged)
    assert found[0].name == "Sfumato"
    assert verdict(found) is not True
    assert verdict(found) is None or by_kind(found, "training")  # known weights may still forbid it
    assert all(each.name.isprintable() and len(each.name) < 300 for each in found)


def test_a_video_depends_on_what_a_picture_does(stylizer: Stylizer) -> None:
    style = Style.named("monet")
    made = VideoRecipe.of(
        stylizer,
        Schedule.of(style),
        PaintOptions(quality="draft"),
        steady=0.5,
        begin=0.0,
        end=None,
        codec="av1",
        max_size=0,
        source_sha256="0" * 64,
    )
    found = dependencies(json.loads(json.dumps(made.to_json())))
    assert found == dependencies(recipe(stylizer, style))
    assert verdict(found) is False


def test_the_command_does_not_clear_a_damaged_recipe(photo: Path, tmp_path: Path) -> None:
    picture = tmp_path / "damaged.png"
    write_photo(Photo(np.zeros((8, 8, 3), np.uint8), metadata=Metadata(recipe={"kind": "video"})), picture)
    told = run("licences", picture)
    assert "Commercial use: not known. It depends on 1 part that the damaged recipe does not name" in told.stdout


def test_a_sheet_of_all_styles_depends_on_all(photo: Path, tmp_path: Path) -> None:
    assert run("styles", "--sheet", photo, "-o", tmp_path / "sheet.png").exit_code == 0
    found = dependencies(read_recipe(tmp_path / "sheet.png") or {})
    assert len(by_kind(found, "picture")) == 76
    assert by_kind(found, "weights")
    assert verdict(found) is False


def test_a_picture_that_was_only_finished(photo: Path, tmp_path: Path) -> None:
    assert run("finish", photo, "--contrast", 0.5, "-o", tmp_path / "plain.png").exit_code == 0
    assert verdict(dependencies(read_recipe(tmp_path / "plain.png") or {})) is True
    assert run("finish", photo, "--upscale", 2, "-o", tmp_path / "large.png").exit_code == 0
    found = dependencies(read_recipe(tmp_path / "large.png") or {})
    assert [each.name for each in by_kind(found, "weights")] == ["weights upscaler"]
    assert verdict(found) is False


def test_styles_by_themselves() -> None:
    assert verdict(of_style("starry-night", {})) is True
    assert verdict(of_painting_in("starry-night", {})) is False
    assert verdict(of_style("anna", {"rights": "own: 3, unstated: 1"})) is None


def test_all_that_ships() -> None:
    found = shipped()
    assert {each.kind for each in found} == {"picture", "style", "weights", "script", "package", "training"}
    assert all(each.sha256 for each in found if each.kind in ("picture", "style", "script"))


def test_the_command(photo: Path, tmp_path: Path) -> None:
    picture = tmp_path / "out.png"
    options = ("--quality", "draft", "--rights", "own", "-o", picture)
    assert run("stylize", photo, "--style", photo, *options).exit_code == 0
    found = read_recipe(picture)
    assert found is not None
    assert found["styles"][0]["rights"] == "own: 1"  # type: ignore[index]
    assert "rights    own: 1" in run("show", picture).stdout
    told = run("licences", picture)
    assert "style     commercial use: yes        photo: the maker of the style states: own work" in told.stdout
    assert "Commercial use: not cleared. It depends on 1437 pictures in the training of the weights" in told.stdout
    [as_json] = json.loads(run("licences", picture, "--json").stdout)
    assert as_json["commercial"] is False
    assert as_json["depends_on"][0]["name"] == "Sfumato"
    assert "all that ships depends on:" in run("licences").stdout
    assert "Vincent van Gogh, The Starry Night (1889)" in run("licences", "starry-night").stdout
    assert_one_sentence(run("licences", "no-such-style"), 2, "there is no style 'no-such-style'")
    assert_one_sentence(run("licences", photo), 3, "contains no recipe")
    assert_one_sentence(run("licences", tmp_path / "gone.png"), 3, "gone.png")


def test_rights_of_a_stored_style(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFUMATO_STYLES", str(tmp_path / "styles"))
    assert run("styles", "add", "mine", photo, "--rights", "licensed").exit_code == 0
    assert Style.named("mine").about["rights"] == "licensed: 1"
    assert "licensed to them" in run("licences", "mine").stdout
    assert run("styles", "add", "other", photo).exit_code == 0
    assert Style.named("other").about["rights"] == "unstated: 1"


def test_works_of_artists_who_died_recently_need_a_statement(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFUMATO_STYLES", str(tmp_path / "styles"))
    named = tmp_path / "dali_clocks.png"
    named.write_bytes(photo.read_bytes())
    tagged = tmp_path / "scan.jpg"
    exif = Image.Exif()
    exif[0x013B] = "Pablo Picasso"
    with Image.open(photo) as opened:
        opened.save(tagged, exif=exif)
    for path, artist in ((named, "Salvador Dalí, who died in 1989"), (tagged, "Pablo Picasso, who died in 1973")):
        for words in ((), ("--rights", "public-domain"), ("--rights", "unstated")):
            assert_one_sentence(run("styles", "add", "his", path, *words), 2, artist)
        assert run("styles", "add", path.stem.lower()[:4], path, "--rights", "licensed").exit_code == 0
        out = tmp_path / f"{path.stem}-out.png"
        once = run("stylize", photo, "--style", path, "--quality", "draft", "-o", out)
        assert (once.exit_code, artist in once.stderr) == (0, True)
        claim = ("--rights", "public-domain", "--overwrite", "-o", out)
        assert_one_sentence(run("stylize", photo, "--style", path, "--quality", "draft", *claim), 2, artist)


@pytest.mark.parametrize(
    ("file", "answers", "rights"),
    [
        ("garden.png", "\n", "unstated: 1"),
        ("garden.png", "stolen\np\n", "public-domain: 1"),
        ("pablo picasso.png", "\np\nlicensed\n", "licensed: 1"),  # Enter and public domain are no statement
    ],
)
def test_the_question_in_a_terminal(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, answers: str, rights: str
) -> None:
    monkeypatch.setenv("SFUMATO_STYLES", str(tmp_path / "styles"))
    monkeypatch.setattr("sfumato.cli.rights.in_terminal", lambda: True)
    (tmp_path / file).write_bytes(photo.read_bytes())
    result = CliRunner().invoke(app, ["styles", "add", "mine", str(tmp_path / file)], input=answers)
    assert result.exit_code == 0, result.output
    assert Style.named("mine").about["rights"] == rights


def test_a_replay_carries_the_rights(stylizer: Stylizer, photo: Path, tmp_path: Path) -> None:
    style = Style.from_image(photo, "mine", stylizer).with_rights("own")
    made = Pipeline([style], stylizer=stylizer).recipe
    again = Pipeline.of_recipe(made, known=[style], stylizer=stylizer)
    assert again.recipe.styles[0]["rights"] == "own: 1"
