from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.assets import (
    ledger,
    style_names,
    style_path,
    style_pictures,
    weights_dir,
    whole_ledger,
)
from sfumato.errors import ModelError, UsageError
from sfumato.inference import Style
from sfumato.inference.bundle import Card
from sfumato.inference.nearest import CARD_KEY, FILE, TrainingStyles


def test_the_shipped_bundle_is_whole() -> None:
    card = Card.read(weights_dir())
    assert card.training
    assert card.licence
    assert card.data


def test_weights_that_do_not_ship() -> None:
    with pytest.raises(ModelError, match="'no-such'"):
        weights_dir("no-such")


def test_enough_styles_ship_of_both_kinds() -> None:
    kinds = [Style.named(name).about["kind"] for name in style_names()]
    assert len(kinds) >= 20
    assert set(kinds) == {"work", "artist"}


@pytest.mark.parametrize("name", style_names())
def test_every_built_in_style_fits_the_shipped_model_and_says_where_it_comes_from(name: Any) -> None:
    style, card = Style.named(name), Card.read(weights_dir())
    assert style.name == name
    assert style.code.model == card.model
    assert style.code.vector.shape == (card.code_size,)
    for key in ("title", "artist", "source", "licence"):
        assert style.about[key].strip(), key
    assert style_path(name).stat().st_size < 20_000


def test_built_in_styles_differ() -> None:
    styles = [Style.named(name) for name in style_names()]
    for i, one in enumerate(styles):
        for other in styles[:i]:
            assert one.code.distance(other.code) > 0, f"{one.name} and {other.name}"


@pytest.mark.parametrize(
    ("asked", "offered"), [("great-waev", "great-wave"), ("Starry Night", "starry-night"), ("MONET", "monet")]
)
def test_an_unknown_style_offers_the_nearest_names(asked: str, offered: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean .*{offered}"):
        style_path(asked)


def test_a_name_like_nothing_points_at_the_list() -> None:
    with pytest.raises(UsageError, match="`sfumato styles` lists them"):
        style_path("zzzzzzzz")


@pytest.mark.parametrize("name", ["../base", "", "/etc/passwd", "great-wave.safetensors"])
def test_a_name_is_no_path(name: str) -> None:
    with pytest.raises(UsageError):
        style_path(name)


def test_every_picture_has_an_entry_of_the_ledger_and_every_entry_a_picture() -> None:
    folder = style_pictures("great-wave")[0].parent
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert {entry.file: entry.sha256 for entry in ledger()} == hashes
    assert len(ledger()) == len(hashes)


@pytest.mark.parametrize("entry", ledger(), ids=lambda entry: entry.file)
def test_a_shipped_picture_is_in_the_public_domain_small_and_without_metadata(entry: Any) -> None:
    for text in (entry.artist, entry.title, entry.year, entry.source, entry.original):
        assert text.strip()
    assert entry.licence.startswith("public domain")
    assert len(entry.crop) == 4
    assert min(entry.crop) >= 2  # scans often end in a line of the background, which would be painted as style
    path = next(path for path in style_pictures(entry.style) if path.name == entry.file)
    assert path.stat().st_size == entry.bytes <= (65_000 if len(style_pictures(entry.style)) > 1 else 110_000)
    with Image.open(path) as picture:
        assert (picture.format, picture.mode, picture.size) == ("WEBP", "RGB", (entry.width, entry.height))
        assert 300 <= min(picture.size) <= 768
        assert not {"exif", "icc_profile", "xmp"} & set(picture.info)
        picture.load()


@pytest.mark.parametrize("name", style_names())
def test_every_built_in_style_has_its_pictures(name: Any) -> None:
    kind = Style.named(name).about["kind"]
    paths = style_pictures(name)
    assert len(paths) == 1 if kind == "work" else 4 <= len(paths) <= 8
    assert all(path.is_file() for path in paths)
    assert {entry.style for entry in ledger()} == set(style_names())


def test_the_pictures_of_an_unknown_style() -> None:
    with pytest.raises(UsageError, match=r"did you mean .*great-wave"):
        style_pictures("great-waev")
    with pytest.raises(UsageError, match="no built-in style"):
        style_pictures("../pictures/monet-1")


def test_a_missing_ledger_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr("sfumato.assets._ROOT", tmp_path)
    whole_ledger.cache_clear()
    ledger.cache_clear()
    request.addfinalizer(whole_ledger.cache_clear)
    with pytest.raises(ModelError, match="install it again"):
        ledger()
    line = {"kind": "picture", "file": "a.webp", "author": "A", "crop": [0, 0, 0, 0]}
    (tmp_path / "ledger.json").write_text(json.dumps({"lines": [line], "models": {}, "artists": {}}))
    with pytest.raises(ModelError, match="install it again"):
        ledger()


def test_hashes_on_the_card_are_of_the_graphs() -> None:
    files = json.loads((weights_dir() / "card.json").read_text("utf-8"))["files"]
    names = ("style_encoder", "statistics", "generator", "discriminator")
    assert set(files) == {*(f"{name}.onnx" for name in names), "model.safetensors"}
    assert all(len(digest) == 64 for digest in files.values())


def test_the_index_of_training_paintings_is_of_the_shipped_model() -> None:
    card = json.loads((weights_dir() / "card.json").read_text("utf-8"))
    index = TrainingStyles.load(weights_dir())
    assert (weights_dir() / FILE).stat().st_size < 450_000
    assert len(card[CARD_KEY]) == 64
    assert FILE not in card["files"]  # it decides no pixel: recipes stay valid without it
    assert (index.model, index.codes.shape) == (card["model"], (card["data"]["paintings"], card["code_size"]))
    assert all(text.strip() for work in index.works for text in (work.artist, work.title, work.source, work.licence))
    assert len({work.source for work in index.works}) == len(index.works)


def test_the_index_lost_nothing_to_16_bits() -> None:
    index = TrainingStyles.load(weights_dir())
    x = index.codes.astype(np.float64)
    assert np.isfinite(x).all()
    assert np.abs(x.mean(0)).max() < 0.01
    assert np.abs(x.std(0) - 1).max() < 0.01
    few = x[::25]
    distances = np.linalg.norm(few[:, None] - few[None], axis=2)[np.triu_indices(len(few), 1)]
    assert np.median(distances) == pytest.approx(index.median, rel=0.05)


def test_the_works_behind_styles_were_not_trained_on() -> None:
    index = TrainingStyles.load(weights_dir())
    works = [Style.named(name) for name in style_names() if Style.named(name).about["kind"] == "work"]
    assert works
    for style in works:
        assert not index.nearest(style.code)[0].is_the_same, style.name
