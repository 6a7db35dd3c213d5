"""Where each place of a picture came from: banks know it, paintings keep it, `sfumato explain` shows it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sfumato.errors import InputError, UsageError
from sfumato.image import read_image, write_image
from sfumato.inference import Style
from sfumato.inference.feature_networks import STRIDE, FeatureNetworks
from sfumato.inference.matching import CHANNELS
from sfumato.inference.origins import find_origins, origins_sheet, position_colours
from sfumato.inference.pixel_readers import ArrayReader
from sfumato.inference.places import encode_region
from sfumato.inference.style_bank import make_bank
from sfumato.inference.style_pictures import StylePicture
from support import assert_one_sentence, run, scene


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    write_image(scene(64, 96, 1), folder / "photo.png")
    write_image(scene(64, 96, 2), folder / "other.png")
    write_image(scene(80, 72, 3), folder / "painting.png")
    done = run("stylize", folder / "photo.png", "--style", folder / "painting.png", "-o", folder / "own.png")
    assert done.exit_code == 0
    assert run("stylize", folder / "photo.png", "--style", "klimt", "-o", folder / "klimt.png").exit_code == 0
    return folder


@pytest.mark.parametrize("count", [10**6, 300])
def test_a_bank_knows_where_its_vectors_were_seen(count: int) -> None:
    networks = FeatureNetworks(threads=1)
    pictures = tuple(StylePicture.of(scene(60, 100, seed)) for seed in (1, 2))
    bank = make_bank(networks, pictures, 60, 0, count)
    whole = [encode_region(networks, ArrayReader(p.picture), slice(0, 60), slice(0, 100)) for p in pictures]
    assert bank.origins.shape == (len(bank.vectors), 3)
    assert set(bank.origins[:, 0]) == {0, 1}
    for vector, (picture, across, down) in zip(bank.vectors[::37], bank.origins[::37], strict=True):
        there = whole[int(picture)][:, int(down * 60 / STRIDE), int(across * 100 / STRIDE)]
        assert there.shape == (CHANNELS,)
        assert np.abs(there - vector).max() < 1e-4


def test_a_painting_painted_as_itself_comes_from_its_own_places(tmp_path: Path) -> None:
    write_image(scene(64, 96, 5), tmp_path / "one.png")
    style = Style.from_image(tmp_path / "one.png")
    assert (
        run("stylize", tmp_path / "one.png", "--style", tmp_path / "one.png", "-o", tmp_path / "out.png").exit_code == 0
    )
    (found,) = find_origins(tmp_path / "out.png", tmp_path / "one.png", known=[style]).styles
    down, across = (np.indices((16, 24)) + 0.5) / np.array([16, 24])[:, None, None]
    here = np.stack([across, down], 2)
    assert np.mean(np.abs(found.places[:, :, 1:] - here).max(2) < 0.01) > 0.6
    assert found.together > 0.6
    assert [source.share for source in found.sources] == [1.0]


def test_explaining_names_the_works_and_their_shares(desk: Path, tmp_path: Path) -> None:
    asked = ("explain", desk / "klimt.png", "--photo", desk / "photo.png", "-o", tmp_path / "why.png")
    found = run(*asked)
    assert found.exit_code == 0
    assert "Gustav Klimt, The Kiss (1908)" in found.stdout
    sheet = read_image(tmp_path / "why.png")
    assert sheet.shape[2] > 3 * 156
    assert_one_sentence(run(*asked), 4, "already exists")
    (style,) = json.loads(run(*asked, "--overwrite", "--json").stdout)["styles"]
    assert sum(picture["share"] for picture in style["pictures"]) == pytest.approx(1)
    assert 0 < style["used"] <= 1


def test_a_picture_in_a_style_of_ones_own_needs_its_pictures(desk: Path, tmp_path: Path) -> None:
    asked = ("explain", desk / "own.png", "--photo", desk / "photo.png", "-o", tmp_path / "why.png")
    assert_one_sentence(run(*asked), 2, "name its file with --style")
    assert run(*asked, "--style", desk / "painting.png").exit_code == 0


def test_mistakes(desk: Path) -> None:
    assert_one_sentence(run("explain", desk / "klimt.png"), 2, "name the photo with --photo")
    with pytest.raises(InputError, match="another photo"):
        find_origins(desk / "klimt.png", desk / "other.png")
    with pytest.raises(UsageError, match="that was not found"):
        find_origins(desk / "own.png", desk / "photo.png")


def test_each_corner_has_a_colour_of_its_own() -> None:
    across, down = np.meshgrid(np.float32([0, 1]), np.float32([0, 1]))  # type: ignore[arg-type]
    colours = position_colours(across, down).reshape(4, 3)
    apart = np.abs(colours[:, None] - colours[None]).max(2) + np.eye(4)
    assert apart.min() > 0.3


def test_the_sheet_shows_several_styles(desk: Path, tmp_path: Path) -> None:
    out = tmp_path / "two.png"
    mask = tmp_path / "mask.png"
    write_image(np.repeat((np.indices((64, 96))[1] > 48).astype(np.float32)[None, None], 3, 1), mask)
    styles = ("--style", "klimt", "--style", "great-wave")
    assert run("stylize", desk / "photo.png", *styles, "--mask", mask, "-o", out).exit_code == 0
    found = find_origins(out, desk / "photo.png")
    assert [each.style for each in found.styles] == ["klimt", "great-wave"]
    one = replace(found, styles=found.styles[:1])
    assert origins_sheet(found).shape[2] > 1.8 * origins_sheet(one).shape[2]
