"""A private file: what it holds, that it paints, and that what it holds cannot be put in order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from sfumato.errors import ModelError
from sfumato.image import write_image
from sfumato.inference import Style, Stylizer
from sfumato.inference.feature_networks import FeatureNetworks
from sfumato.inference.matching import CHANNELS
from sfumato.inference.pixel_readers import ArrayReader
from sfumato.inference.places import as_rows, encode_region
from sfumato.inference.style import PersonalStyle
from sfumato.inference.style_bank import GAP, LEVELS, make_bank, thinned
from sfumato.inference.style_pictures import SparsePlaces, StylePicture, levels_of
from support import assert_one_sentence, pixels, run, save_works, scene

KEY = "sfumato.personal_style"


@pytest.fixture
def liked(tmp_path: Path) -> list[Path]:
    return save_works(tmp_path / "liked", 0, 3)


@pytest.fixture
def exported(store: Path, liked: list[Path], tmp_path: Path) -> Path:
    assert run("personal", "new", "anna", "--like", *liked, "--rights", "own").exit_code == 0
    done = run("personal", "export", "anna", "--private", "-o", tmp_path / "anna.sfumato")
    assert done.exit_code == 0, done.stderr
    assert "small spots of the pictures" in done.stdout
    return tmp_path / "anna.sfumato"


def card_of(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    found: dict[str, Any] = json.loads(header["__metadata__"][KEY])
    return found


def test_what_a_person_did_is_not_in_it(exported: Path) -> None:
    card = card_of(exported)
    assert (card["liked"], card["disliked"], card["answers"], card["created"]) == ([], [], 0, "")
    assert card["rights"] == {"own": 3}
    names = set(load(exported.read_bytes()))
    assert names == {"codes", "channel_stats", "weights", *(f"places.0.{short}" for short in LEVELS)}
    style = PersonalStyle.load(exported)
    assert style.is_private
    assert style.style.about["title"] == "learnt from 3 pictures"


def test_it_paints_as_the_pictures_do_elsewhere(
    exported: Path, liked: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, out = liked[0].with_name("photo.png"), tmp_path / "out.png"
    write_image(scene(64, 80, 5), photo)
    monkeypatch.setenv("SFUMATO_PERSONAL", str(tmp_path / "elsewhere"))
    assert run("personal", "import", exported, "--name", "friend").exit_code == 0
    assert run("stylize", photo, "--style", "friend", "-o", out).exit_code == 0
    assert "quality   standard" in run("show", out).stdout
    assert run("replay", out, photo, "-o", tmp_path / "again.png").exit_code == 0
    assert np.array_equal(pixels(out), pixels(tmp_path / "again.png"))
    by_file = run("stylize", photo, "--style", exported, "-o", tmp_path / "file.png")
    assert by_file.exit_code == 0
    assert np.array_equal(pixels(out), pixels(tmp_path / "file.png"))
    said = run("stylize", photo, "--style", "friend", "--color", "content", "-o", tmp_path / "no.png")
    assert_one_sentence(said, 2, "was exported with --private")
    assert_one_sentence(
        run("personal", "export", "friend", "--private", "-o", tmp_path / "b.sfumato"), 2, "a private file"
    )
    assert run("personal", "export", "friend", "-o", tmp_path / "b.sfumato").exit_code == 0
    assert PersonalStyle.load(tmp_path / "b.sfumato").is_private


def test_without_the_pictures_there_is_nothing_to_paint_with(store: Path, liked: list[Path], tmp_path: Path) -> None:
    assert run("personal", "new", "anna", "--like", *liked).exit_code == 0
    for path in liked:
        path.unlink()
    said = run("personal", "export", "anna", "--private", "-o", tmp_path / "a.sfumato")
    assert_one_sentence(said, 2, "none of the pictures that anna paints with is there")
    assert not (tmp_path / "a.sfumato").exists()


def test_places_have_no_neighbour_and_no_order() -> None:
    networks = FeatureNetworks(threads=1)
    picture = scene(256, 320, 3)
    places = thinned(networks, [StylePicture.of(picture)], noise=0)
    whole = encode_region(networks, ArrayReader(picture), slice(0, 256), slice(0, 320))
    rows = as_rows(whole)
    kept = places.places(256)
    assert len(kept) <= -(-whole.shape[1] // GAP) * -(-whole.shape[2] // GAP)
    gaps = np.square(rows).sum(1) - 2 * kept @ rows.T
    at = np.stack(np.unravel_index(gaps.argmin(1), whole.shape[1:]), 1)
    assert len({tuple(each) for each in at}) == len(at)
    apart = np.abs(at[:, None] - at[None]).max(2)
    assert apart[~np.eye(len(at), dtype=bool)].min() == GAP
    turns = np.sign(np.diff(at[:, 0] * whole.shape[2] + at[:, 1]))
    assert 0.3 < (turns > 0).mean() < 0.7  # in the picture's order all would be above 0


def test_noise_is_added() -> None:
    networks = FeatureNetworks(threads=1)
    pictures = [StylePicture.of(scene(256, 256, 3))]
    plain, noisy = (thinned(networks, pictures, noise=noise).levels[256].astype(np.float32) for noise in (0.0, 0.25))
    varied = plain.std(0) > 0.01
    shares = (noisy - plain).std(0)[varied] / plain.std(0)[varied]
    assert shares == pytest.approx(np.full(len(shares), 0.25), rel=0.3)


def test_several_exports_do_not_add_up() -> None:
    networks = FeatureNetworks(threads=1)
    first, second = (StylePicture.of(scene(128, 128, seed)) for seed in (3, 4))
    alone, again, both = (thinned(networks, each) for each in ([first], [first], [first, second.weighted(3)]))
    assert alone.sha256 == again.sha256
    for short in LEVELS:
        mine = {row.tobytes() for row in alone.levels[short]}
        theirs = {row.tobytes() for row in thinned(networks, [second]).levels[short]}
        assert {row.tobytes() for row in both.levels[short]} <= mine | theirs


def test_a_bank_of_places_and_a_blend_with_a_picture() -> None:
    networks = FeatureNetworks(threads=1)
    pictures = [StylePicture.of(scene(128, 160, seed)) for seed in (1, 2)]
    places = thinned(networks, pictures[:1])
    bank = make_bank(networks, (places,), 100, 0, 20)
    assert bank.vectors.shape == (20, CHANNELS)
    both = make_bank(networks, (places.weighted(1.0), pictures[1]), 128, 0, 100)
    assert isinstance(places.weighted(2.0), SparsePlaces)
    assert len(both.vectors) > 50


Change = Callable[[dict[str, Any], dict[str, Any]], object]


@pytest.mark.parametrize(
    "change",
    [
        lambda _, t: t.update({"places.1.256": t["places.0.256"]}),
        lambda _, t: t.update({"places.0.0": t["places.0.256"]}),
        lambda _, t: t.update({"places.0.99999": t["places.0.256"]}),
        lambda _, t: t.update({"places.00.256": t["places.0.256"]}),
        lambda _, t: t.update({"places.0.٣": t["places.0.256"]}),
        lambda _, t: t.update({"places.x": t["places.0.256"]}),
        lambda _, t: t.update({"places.0.256": t["places.0.256"].astype(np.float32)}),
        lambda _, t: t.update({"places.0.256": t["places.0.256"][:, :9]}),
        lambda _, t: t.update({"places.0.256": t["places.0.256"][:0]}),
        lambda _, t: t.update({"places.0.256": np.full((3, CHANNELS), np.nan, np.float16)}),
    ],
)
def test_files_of_strangers(exported: Path, change: Change) -> None:
    card, tensors = card_of(exported), dict(load(exported.read_bytes()))
    del card["sha256"]
    change(card, tensors)
    exported.write_bytes(save(tensors, {KEY: json.dumps(card)}))
    with pytest.raises(ModelError, match="damaged"):
        PersonalStyle.load(exported)


def test_a_style_that_is_not_private_is_written_without_places(exported: Path) -> None:
    style = Style.named("anna", own=True)
    assert Stylizer().choose_quality(None, [style]) == "standard"
    whole = PersonalStyle.load(exported)
    assert levels_of(whole.pictures[0])
    assert not any(map(levels_of, PersonalStyle(whole.name, whole.codes, whole.weights).pictures))
