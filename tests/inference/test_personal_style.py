"""One NAME.sfumato file: what goes in comes out, equal personal styles are equal files, and strangers' files do no
harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from sfumato.errors import InputError, ModelError, OutputError, UsageError
from sfumato.image import Photo, to_uint8
from sfumato.inference import Style, Stylizer
from sfumato.inference.library import (
    has_style,
    new_style_path,
    personal_names,
    personal_path,
    split_name,
    style_names,
    style_path,
)
from sfumato.inference.style import PersonalStyle
from sfumato.style_code import StyleCode
from support import scene, work

HASHES = tuple(f"{i:064x}" for i in range(3))


@pytest.fixture(scope="module")
def codes() -> Any:
    stylizer = Stylizer(threads=1)
    return tuple(stylizer.encode(work(hand, 0)) for hand in (0, 1))


@pytest.fixture
def personal_style(codes: Any) -> PersonalStyle:
    return PersonalStyle(
        "anna",
        codes,
        (0.75, 0.25),
        liked=HASHES[:2],
        disliked=HASHES[2:],
        answers=4,
        rights={"own": 2, "unstated": 1},
        created="2026-11-26T22:22:38Z",
        preference={"mean": np.arange(3, dtype=np.float32)},
    )


def rewritten(path: Path, change: Any = None, tensors: Any = None, key: str = "sfumato.personal_style") -> None:
    """The file with another card or other tensors, as a stranger could write it."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    card = json.loads(header["__metadata__"]["sfumato.personal_style"])
    del card["sha256"]
    if change:
        change(card)
    path.write_bytes(save({**load(data), **(tensors or {})}, {key: json.dumps(card)}))


def test_what_goes_in_comes_out(personal_style: PersonalStyle, tmp_path: Path) -> None:
    personal_style.save(tmp_path / "anna.sfumato")
    found = PersonalStyle.load(tmp_path / "anna.sfumato")
    for name in ("name", "codes", "weights", "liked", "disliked", "answers", "rights", "created", "model"):
        assert getattr(found, name) == getattr(personal_style, name), name
    assert np.array_equal(found.preference["mean"], [0, 1, 2])


def test_equal_personal_styles_are_equal_files(personal_style: PersonalStyle, tmp_path: Path) -> None:
    personal_style.save(tmp_path / "one.sfumato")
    PersonalStyle.load(tmp_path / "one.sfumato").save(tmp_path / "two.sfumato")
    assert (tmp_path / "one.sfumato").read_bytes() == (tmp_path / "two.sfumato").read_bytes()
    assert (tmp_path / "one.sfumato").stat().st_size < 12_000


def test_a_byte_that_changed_is_found(personal_style: PersonalStyle, tmp_path: Path) -> None:
    path = tmp_path / "anna.sfumato"
    personal_style.save(path)
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    places = [start + header[name]["data_offsets"][0] for name in ("codes", "channel_stats", "preference.mean")]
    places.append(data.index(HASHES[0].encode()))  # of the card
    for place in places:
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(ModelError, match="damaged: its content has changed since it was written; get it again"):
            PersonalStyle.load(path)
    path.write_bytes(data)
    rewritten(path)  # to one of before hashes
    assert PersonalStyle.load(path).codes == personal_style.codes


def test_its_styles_are_named_after_it(personal_style: PersonalStyle) -> None:
    assert [style.name for style in personal_style.styles] == ["anna", "anna/2"]
    assert personal_style.style.code == personal_style.codes[0]
    assert personal_style.style.about["kind"] == "personal"
    assert personal_style.style.about["rights"] == "own: 2, unstated: 1"
    assert personal_style.style_named("anna/2").code == personal_style.codes[1]
    assert personal_style.style_named("anna/1").code == personal_style.codes[0]
    for number in (0, 3):
        with pytest.raises(UsageError, match=r"anna has 2 \(anna, anna/2\)"):
            personal_style.style_named(f"anna/{number}")


def test_each_photo_takes_the_style_that_is_nearest_to_its_own_palette_and_tones(personal_style: PersonalStyle) -> None:
    stylizer = Stylizer(threads=1)
    for hand, name in ((0, "anna"), (1, "anna/2")):
        photo = work(hand, 7)
        assert personal_style.style_for(stylizer, photo).name == name
        assert personal_style.style_for(stylizer, Photo(to_uint8(photo))).name == name


def test_a_personal_style_of_another_model_says_so(personal_style: PersonalStyle, stylizer: Stylizer) -> None:
    with pytest.raises(ModelError, match=r"was made by the model 'base.* not by 'tiny'; learn it again"):
        personal_style.style_for(stylizer, scene(64, 64))
    with pytest.raises(ModelError, match="learn it again"):
        stylizer(scene(64, 64), personal_style.style)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": (1.0,)}, "one weight for each centre"),
        ({"weights": (1.0, 0.0)}, "above 0"),
        ({"weights": (1.0, float("nan"))}, "above 0"),
        ({"name": "../../etc"}, "small letters"),
        ({"liked": ("cat.jpg",)}, "SHA-256"),
        ({"rights": {"stolen": 1}}, "rights must be one of own"),
        ({"preference": {"mean": np.array([np.inf])}}, "finite"),
        ({"codes": ()}, "one weight for each centre"),
    ],
)
def test_parts_that_do_not_fit_are_refused(personal_style: PersonalStyle, change: Any, message: str) -> None:
    parts = {**vars(personal_style), **change}
    with pytest.raises(ModelError, match=message):
        PersonalStyle(**parts)


def test_codes_of_two_models_are_refused(personal_style: PersonalStyle) -> None:
    other = StyleCode(personal_style.codes[1].vector, "another", personal_style.codes[1].channel_stats)
    with pytest.raises(ModelError, match="of several"):
        PersonalStyle("anna", (personal_style.codes[0], other), (1.0, 1.0))


def test_files_that_are_no_personal_styles_are_one_sentence(personal_style: PersonalStyle, tmp_path: Path) -> None:
    path = tmp_path / "anna.sfumato"
    with pytest.raises(InputError, match=r"No such file.*check the name"):
        PersonalStyle.load(path)
    with pytest.raises(InputError, match="not a file"):
        PersonalStyle.load(tmp_path)
    path.write_text("This is no personal style.")
    with pytest.raises(ModelError, match="is not a style file"):
        PersonalStyle.load(path)
    Style.named("monet").save(path)
    with pytest.raises(ModelError, match="has no card"):
        PersonalStyle.load(path)
    with path.open("wb") as file:
        file.truncate(17_000_000)
    with pytest.raises(ModelError, match="has 17000000 bytes"):
        PersonalStyle.load(path)
    personal_style.save(path)
    whole = path.read_bytes()
    for size in (4, 200, len(whole) - 5):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelError, match="damaged"):
            PersonalStyle.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card.update(name="../anna"),
        lambda card: card.update(name=3),
        lambda card: card.update(liked=[1, 2]),
        lambda card: card.update(answers="many"),
        lambda card: card.update(rights=[]),
        lambda card: card.update(rights={"own": 1.5}),
        lambda card: card.pop("created"),
        lambda card: card.update(created="\x1b[2J2026"),
        lambda card: card.update(model="base\n"),
        lambda card: card.pop("format"),
    ],
)
def test_a_card_with_other_types_is_damaged(personal_style: PersonalStyle, tmp_path: Path, change: Any) -> None:
    path = tmp_path / "anna.sfumato"
    personal_style.save(path)
    rewritten(path, change)
    with pytest.raises(ModelError, match="is not a style file"):
        PersonalStyle.load(path)


@pytest.mark.parametrize(
    "tensors",
    [
        {"codes": np.zeros(138, np.float32)},
        {"codes": np.zeros((2, 138))},
        {"codes": np.full((2, 138), np.nan, np.float32)},
        {"channel_stats": np.zeros((1, 896), np.float16)},
        {"weights": np.zeros(3, np.float32)},
        {"more": np.zeros(1)},
    ],
)
def test_tensors_of_another_shape_are_damaged(personal_style: PersonalStyle, tmp_path: Path, tensors: Any) -> None:
    path = tmp_path / "anna.sfumato"
    personal_style.save(path)
    rewritten(path, tensors=tensors)
    with pytest.raises(ModelError, match="is not a style file"):
        PersonalStyle.load(path)


def test_a_file_of_a_later_version_says_so(personal_style: PersonalStyle, tmp_path: Path) -> None:
    path = tmp_path / "anna.sfumato"
    personal_style.save(path)
    rewritten(path, lambda card: card.update(format=2))
    with pytest.raises(ModelError, match="later version of Sfumato; install that"):
        PersonalStyle.load(path)


def test_it_cannot_be_written_where_a_folder_is(personal_style: PersonalStyle, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="a folder has that name"):
        personal_style.save(tmp_path)


def test_a_personal_style_is_a_style_by_its_name(personal_style: PersonalStyle, store: Path) -> None:
    assert personal_names() == []  # the store is not there
    personal_style.save(personal_path("anna"))
    assert personal_names() == ["anna"]
    assert style_names()[-1] == "anna"
    assert style_path("anna/2") == style_path("anna") == store / "anna" / "anna.sfumato"
    assert has_style("anna/2")
    assert not has_style("monet/2")
    assert Style.named("anna").code == personal_style.codes[0]
    assert Style.named("anna/2").code == personal_style.codes[1]
    assert Style.load(personal_path("anna")).code == personal_style.codes[0]
    with pytest.raises(UsageError, match="did you mean anna"):
        Style.named("ana")
    with pytest.raises(UsageError, match="anna is a personal style"):
        new_style_path("anna")


def test_files_that_lie_in_the_store_by_chance_are_no_styles(personal_style: PersonalStyle, store: Path) -> None:
    for place in ("anna/bert.sfumato", "Anna B/Anna B.sfumato", "anna.sfumato"):
        personal_style.save(store / place)
    assert personal_names() == []


def test_a_folder_without_a_personal_style_says_what_is_missing(store: Path) -> None:
    (store / "anna").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"has not been learnt yet; `sfumato personal show anna` says"):
        style_path("anna")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("anna", ("anna", 1)),
        ("anna/2", ("anna", 2)),
        ("anna/x", ("anna/x", 1)),
        ("anna/", ("anna/", 1)),
        ("anna/²", ("anna/²", 1)),
        ("a/b/2", ("a/b/2", 1)),
        ("anna/99999999999999999999", ("anna/99999999999999999999", 1)),
    ],
)
def test_a_name_and_which_of_its_styles(name: str, parts: tuple[str, int]) -> None:
    assert split_name(name) == parts


def test_a_style_by_its_name_and_by_its_file_gives_the_same_pixels(
    personal_style: PersonalStyle, store: Path, tmp_path: Path
) -> None:
    personal_style.save(personal_path("anna"))
    personal_style.save(tmp_path / "given.sfumato")
    stylizer, photo = Stylizer(threads=1), scene(64, 80)
    painted = stylizer(photo, "anna", quality="draft")
    assert np.array_equal(painted, stylizer(photo, Style.load(tmp_path / "given.sfumato"), quality="draft"))
    assert not np.array_equal(painted, stylizer(photo, "anna/2", quality="draft"))
