"""The store: what is in it, what is learnt, and that nothing is half done or left behind."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.errors import InputError, ModelError, OutputError, UsageError
from sfumato.inference import Style, Stylizer
from sfumato.inference.style import PersonalStyle
from sfumato.personal.gathering import Gathered, gather, recall
from sfumato.personal.learning import fit_model, nearest_pictures, odd_remark
from sfumato.personal.service import add, answer, create, delete, install, remove
from sfumato.personal.space import StyleSpace
from sfumato.personal.store import answered_codes, load_personal_style, load_record, missing_pictures, names
from sfumato.style_code import StyleCode
from support import files, save_works


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(threads=1)


@pytest.fixture(scope="module")
def likes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return save_works(tmp_path_factory.mktemp("likes"), 0, 5)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return save_works(tmp_path_factory.mktemp("others"), 1, 5)


def told(found: Any) -> Any:
    return [remark.kind for remark in found.remarks]


def more(name: str, liked: Any, disliked: Any, stylizer: Any, **options: Any) -> Any:
    before = load_record(name)
    inspected, _ = recall(before, stylizer)
    found = gather(liked, disliked, stylizer, before, inspected)
    return found, *add(name, found, stylizer, inspected=inspected, **options)


def test_a_style_is_painted_with_the_liked_pictures_near_it(
    store: Path, likes: Any, others: Any, stylizer: Stylizer, tmp_path: Path
) -> None:
    """With at most eight, by what the preference model thinks of them; a changed file is left out."""
    folder = tmp_path / "mine"
    folder.mkdir()
    mine = [Path(shutil.copy(path, folder / path.name)) for path in likes]
    create("anna", gather(mine, others, stylizer), stylizer)
    style = Style.named("anna")
    hashes = {hashlib.sha256(path.read_bytes()).hexdigest() for path in mine}
    assert {picture.sha256 for picture in style.pictures} == hashes
    assert all(0 < picture.weight < 1 for picture in style.pictures)
    assert stylizer.choose_quality(None, [style]) == "standard"
    unread = Style.named("anna")  # nobody paints with it yet
    mine[0].write_bytes(likes[1].read_bytes() + b" ")
    assert len(unread.pictures) == len(Style.named("anna").pictures) == 4
    shutil.rmtree(folder)
    assert not Style.named("anna").pictures
    assert stylizer.choose_quality(None, [Style.named("anna")]) == "draft"


def test_a_style_that_is_sent_to_somebody_has_no_pictures(
    store: Path, likes: Any, stylizer: Stylizer, tmp_path: Path
) -> None:
    _, personal_style = create("anna", gather(likes, [], stylizer), stylizer)
    assert all(style.pictures for style in PersonalStyle.load(store / "anna" / "anna.sfumato").styles)
    personal_style.save(tmp_path / "anna.sfumato")
    assert not any(style.pictures for style in PersonalStyle.load(tmp_path / "anna.sfumato").styles)
    assert str(likes[0]).encode() not in (tmp_path / "anna.sfumato").read_bytes()


def test_a_damaged_list_of_liked_pictures_paints_a_draft(store: Path, likes: Any, stylizer: Stylizer) -> None:
    create("anna", gather(likes, [], stylizer), stylizer)
    for text in ("[]", "{", '{"styles": [[{"path": 3}]]}', '{"styles": []}'):
        (store / "anna" / "pictures.json").write_text(text, "utf-8")
        assert not Style.named("anna").pictures


def test_a_new_personal_style_is_learnt_at_once_and_is_a_style(store: Path, likes: Any, stylizer: Stylizer) -> None:
    record, personal_style = create("anna", gather(likes, [], stylizer), stylizer, "own")
    assert names() == ["anna"]
    assert load_record("anna") == record
    assert [picture.path for picture in record.pictures] == [str(path) for path in likes]
    assert record.is_learnt(personal_style)
    assert (
        Style.named("anna").code
        == personal_style.style.code
        == PersonalStyle.load(store / "anna" / "anna.sfumato").style.code
    )
    assert personal_style.rights == {"own": 5}
    assert set(personal_style.liked) == {picture.sha256 for picture in record.pictures}
    assert len(files(store / "anna" / "codes")) == 5
    assert files(store / "anna") == sorted(
        [
            "anna.sfumato",
            "pictures.json",
            "record.json",
            *(f"codes/{picture.sha256}.safetensors" for picture in record.pictures),
        ]
    )
    assert json.loads((store / "anna" / "record.json").read_text("utf-8"))["pictures"][0]["name"] == likes[0].name
    assert store.stat().st_mode & 0o077 == 0


def test_one_picture_is_its_own_style(store: Path, likes: Any, stylizer: Stylizer) -> None:
    _, personal_style = create("anna", gather(likes[:1], [], stylizer), stylizer)
    assert personal_style.style.code == stylizer.encode(likes[0])
    assert personal_style.rights == {"unstated": 1}


def test_two_personal_styles_are_two_styles(store: Path, likes: Any, others: Any, stylizer: Stylizer) -> None:
    record, personal_style = create("anna", gather([*likes, *others[:4]], [], stylizer), stylizer)
    assert [style.name for style in personal_style.styles] == ["anna", "anna/2"]
    near = nearest_pictures(record, personal_style, {d: s.code for d, s in recall(record, stylizer)[0].items()})
    assert [{picture.name for picture in each} for each in near] == [
        {path.name for path in likes},
        {path.name for path in others[:4]},
    ]


def test_pictures_are_copied_where_that_is_asked_for(store: Path, tmp_path: Path, stylizer: Stylizer) -> None:
    paths = save_works(tmp_path / "likes", 0, 2)
    record, _ = create("anna", gather(paths, [], stylizer), stylizer, copy=True)
    data = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    assert [record.file(picture).read_bytes() for picture in record.pictures] == data
    assert missing_pictures(record) == []
    assert all(picture.is_copy for picture in record.pictures)


def test_all_duplicates_count_once(store: Path, tmp_path: Path, likes: Any, stylizer: Stylizer) -> None:
    copies = [tmp_path / f"{number}.png" for number in range(4)]
    for copy in copies:
        copy.write_bytes(likes[0].read_bytes())
    found = gather(copies, [], stylizer)
    assert told(found) == ["duplicate"] * 3
    record, personal_style = create("anna", found, stylizer)
    assert len(record.pictures) == 1
    assert personal_style.style.code == stylizer.encode(likes[0])


def test_all_disliked_is_kept_and_no_style(store: Path, likes: Any, others: Any, stylizer: Stylizer) -> None:
    record, personal_style = create("anna", gather([], others, stylizer), stylizer)
    assert personal_style is None
    assert record.is_learnt(None)
    assert len(record.disliked) == 5
    with pytest.raises(UsageError, match="has not been learnt yet"):
        Style.named("anna")
    _, _, personal_style = more("anna", likes, [], stylizer)
    assert Style.named("anna").code == personal_style.style.code


def test_nothing_usable_makes_nothing(store: Path, tmp_path: Path, stylizer: Stylizer) -> None:
    (tmp_path / "broken.png").write_text("?")
    found = gather([tmp_path / "broken.png"], [], stylizer)
    with pytest.raises(UsageError, match="anna was not made"):
        create("anna", found, stylizer)
    assert not store.exists()


def test_corrupt_among_good(store: Path, tmp_path: Path, likes: Any, stylizer: Stylizer) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(likes[0].read_bytes()[:200])
    found = gather([broken, *likes], [], stylizer)
    assert told(found) == ["unreadable"]
    record, personal_style = create("anna", found, stylizer)
    assert len(record.pictures) == len(personal_style.liked) == 5


def test_what_is_both_liked_and_disliked_is_neither(store: Path, likes: Any, stylizer: Stylizer) -> None:
    found = gather(likes, likes[:1], stylizer)
    assert told(found) == ["contradiction"]
    record, _ = create("anna", found, stylizer)
    assert {picture.name for picture in record.pictures} == {path.name for path in likes[1:]}


def test_the_logits_can_be_changed(store: Path, likes: Any, others: Any, stylizer: Stylizer) -> None:
    create("anna", gather(likes, others, stylizer), stylizer)
    found, record, personal_style = more("anna", others[:1], likes[:2], stylizer)
    assert told(found) == ["moved"] * 3
    assert {picture.name for picture in record.disliked} == {p.name for p in (*likes[:2], *others[1:])}
    assert len(personal_style.liked) == 4
    found, record, _ = more("anna", [], likes[:1], stylizer)
    assert told(found) == ["known"]
    assert len(record.pictures) == 10


def test_more_pictures_move_the_style_and_fewer_move_it_back(store: Path, likes: Any, stylizer: Stylizer) -> None:
    _, first = create("anna", gather(likes[:3], [], stylizer), stylizer)
    _, record, second = more("anna", likes[3:], [], stylizer, rights="licensed")
    assert second.rights == {"unstated": 3, "licensed": 2}
    assert second.style.code != first.style.code
    record, third = remove("anna", [record.find(path.name)[0].sha256 for path in likes[3:]], stylizer)
    assert third.style.code == first.style.code
    assert len(files(store / "anna" / "codes")) == 3
    record, none = remove("anna", [picture.sha256 for picture in record.pictures], stylizer)
    assert none is None
    assert files(store / "anna") == ["record.json"]


def test_a_removed_copy_is_gone_from_the_disk(store: Path, likes: Any, stylizer: Stylizer) -> None:
    record, _ = create("anna", gather(likes, [], stylizer), stylizer, copy=True)
    gone = record.pictures[0]
    data = record.file(gone).read_bytes()
    remove("anna", [gone.sha256], stylizer)
    assert not any(path.read_bytes() == data for path in store.rglob("*") if path.is_file())
    assert gone.sha256 not in " ".join(files(store))


def test_a_copy_that_has_vanished_is_still_known(store: Path, likes: Any, stylizer: Stylizer) -> None:
    record, first = create("anna", gather(likes[:3], [], stylizer), stylizer, copy=True)
    record.file(record.pictures[0]).unlink()
    _, again = add("anna", Gathered(), stylizer)
    assert again.style.code == first.style.code
    _, record, personal_style = more("anna", likes[3:], [], stylizer, copy=True)
    assert len(personal_style.liked) == 5
    assert [remark.kind for remark in missing_pictures(record)] == ["vanished"]


def test_what_a_person_puts_into_the_folder_stays(store: Path, likes: Any, stylizer: Stylizer) -> None:
    create("anna", gather(likes[:2], [], stylizer), stylizer, copy=True)
    mine = ["notes.txt", "pictures/cat.jpg", "pictures/more/cat.jpg", "codes/.keep"]
    left = ["question.png", "codes/.sfumato-0a1b.tmp", f"pictures/{'0' * 64}.jpg", f"codes/{'0' * 64}.safetensors"]
    before = files(store / "anna")
    for name in (*mine, *left):
        (store / "anna" / name).parent.mkdir(exist_ok=True)
        (store / "anna" / name).write_text("?")
    add("anna", Gathered(), stylizer)
    assert files(store / "anna") == sorted([*before, *mine])


def test_what_is_there_and_then_on_both_sides_is_said_to_stay(store: Path, likes: Any, stylizer: Stylizer) -> None:
    create("anna", gather(likes[:2], [], stylizer), stylizer)
    found, record, _ = more("anna", likes[:1], likes[:1], stylizer)
    assert [remark.text.partition(", ")[2] for remark in found.remarks] == ["and stays as it was"]
    assert len(record.liked) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="flock")
def test_a_disk_without_locks_is_one_sentence(
    store: Path, likes: Any, stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    def refuse(file: Any, how: Any) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OutputError, match=r"cannot lock .*: No locks available"):
        create("anna", gather(likes[:1], [], stylizer), stylizer)


def test_rights_can_be_stated_later(store: Path, likes: Any, stylizer: Stylizer) -> None:
    create("anna", gather(likes[:3], [], stylizer), stylizer)
    _, _, personal_style = more("anna", likes[:2], [], stylizer, rights="own")
    assert personal_style.rights == {"own": 2, "unstated": 1}
    _, _, personal_style = more("anna", likes[:3], [], stylizer)
    assert personal_style.rights == {"own": 2, "unstated": 1}


def test_a_picture_is_found_by_name_path_and_hash(store: Path, likes: Any, stylizer: Stylizer) -> None:
    record, _ = create("anna", gather(likes, [], stylizer), stylizer)
    first = record.pictures[0]
    assert record.find(likes[0].name) == record.find(str(likes[0])) == record.find(first.sha256[:12]) == [first]
    with pytest.raises(UsageError, match=r"anna has no picture work-0-0.pn; did you mean work-0-0.png"):
        record.find("work-0-0.pn")
    with pytest.raises(UsageError, match="`sfumato personal show anna` lists them"):
        record.find("zzzzzz")


def test_pictures_that_vanish_or_change_are_told_and_still_known(
    store: Path, tmp_path: Path, stylizer: Stylizer
) -> None:
    paths = save_works(tmp_path / "likes", 0, 3)
    record, first = create("anna", gather(paths, [], stylizer), stylizer)
    paths[0].unlink()
    paths[1].write_bytes(paths[2].read_bytes())
    assert [remark.kind for remark in missing_pictures(record)] == ["vanished", "changed"]
    _, again = add("anna", Gathered(), stylizer)
    assert again.style.code == first.style.code
    # Seen by another model, they would have to be looked at again.
    for picture in record.pictures:
        path = store / "anna" / "codes" / f"{picture.sha256}.safetensors"
        code, about = StyleCode.load(path)
        StyleCode(code.vector, "another", code.channel_stats).save(path, about)
    inspected, remarks = recall(record, stylizer)
    assert inspected.keys() == {record.pictures[2].sha256}
    assert [remark.kind for remark in remarks] == ["vanished"] * 2
    assert all("is left out" in remark.text for remark in remarks)
    _, last = add("anna", Gathered(), stylizer)
    assert last.liked == (record.pictures[2].sha256,)
    assert last.style.code == stylizer.encode(paths[2])


def test_one_odd_picture_is_remarked_on_and_kept(store: Path, tmp_path: Path, others: Any, stylizer: Stylizer) -> None:
    paths = [*save_works(tmp_path / "likes", 0, 8), others[0]]
    record, personal_style = create("anna", gather(paths, [], stylizer), stylizer)
    remark = odd_remark(record, {digest: one.code for digest, one in recall(record, stylizer)[0].items()})
    assert remark.text.startswith(f"{others[0].name} is unlike the other 8 liked pictures")
    assert len(personal_style.liked) == 9


def test_answers_are_learnt_from(store: Path, likes: Any, stylizer: Stylizer) -> None:
    create("anna", gather(likes, [], stylizer), stylizer)
    wave, monet = Style.named("great-wave"), Style.named("monet")
    space = StyleSpace.load()

    def chance() -> Any:
        record = load_record("anna")
        codes = {digest: one.code for digest, one in recall(record, stylizer)[0].items()}
        codes |= answered_codes(record, stylizer.card.model)
        return fit_model(record, codes, space).probability(wave.code, monet.code)

    before = chance()
    record, personal_style = answer("anna", wave, monet, "first", stylizer)
    told = chance()
    assert told > before
    assert personal_style.answers == 1
    assert record.is_learnt(personal_style)
    record, personal_style = answer("anna", monet, Style.named("anna"), "neither", stylizer)
    assert (len(record.answers), personal_style.answers) == (2, 1)
    answer("anna", monet, wave, "first", stylizer)  # the contrary
    assert chance() < told
    record, personal_style = remove("anna", [], stylizer, answers=True)
    assert record.answers == ()
    assert chance() == pytest.approx(before)
    assert len(files(store / "anna" / "codes")) == 5


def test_contradictory_answers_leave_doubt(store: Path, likes: Any, stylizer: Stylizer) -> None:
    create("anna", gather(likes, [], stylizer), stylizer)
    pair = Style.named("great-wave"), Style.named("monet")
    for number in range(6):
        record, personal_style = answer("anna", *pair, "first" if number % 2 else "second", stylizer)
    assert personal_style.answers == 6
    codes = {
        **{d: s.code for d, s in recall(record, stylizer)[0].items()},
        **answered_codes(record, personal_style.model),
    }
    assert 0.3 < fit_model(record, codes, StyleSpace.load()).probability(*(style.code for style in pair)) < 0.7


def test_a_damaged_personal_style_is_replaced_by_what_is_learnt(store: Path, likes: Any, stylizer: Stylizer) -> None:
    _, first = create("anna", gather(likes, [], stylizer), stylizer)
    (store / "anna" / "anna.sfumato").write_text("?")
    with pytest.raises(ModelError):
        Style.named("anna")
    (store / "anna" / "codes" / f"{first.liked[0]}.safetensors").write_text("?")  # seen again
    add("anna", Gathered(), stylizer)
    assert Style.named("anna").code == first.style.code


@pytest.mark.parametrize("name", ["Anna", "../anna", "anna b", "", ".", "a/b", "anna/2", "ä", "x" * 64, "monet", "-x"])
def test_names_that_cannot_be(store: Path, likes: Any, stylizer: Stylizer, name: str) -> None:
    with pytest.raises(UsageError):
        create(name, gather(likes[:1], [], stylizer), stylizer)
    for act in (load_record, delete):
        with pytest.raises(UsageError, match="was learnt"):
            act(name)
    assert [path for path in files(store) if path != ".lock"] == []


def test_a_name_is_taken_once(
    store: Path, tmp_path: Path, likes: Any, stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFUMATO_STYLES", str(tmp_path / "styles"))
    found = gather(likes[:1], [], stylizer)
    create("anna", found, stylizer)
    with pytest.raises(UsageError, match="anna already exists"):
        create("anna", found, stylizer)
    Style("mine", stylizer.encode(likes[0])).save(tmp_path / "styles" / "mine.safetensors")
    with pytest.raises(UsageError, match="the style mine already exists"):
        create("mine", found, stylizer)


def test_a_personal_style_that_came_as_a_file(store: Path, likes: Any, stylizer: Stylizer) -> None:
    _, personal_style = create("anna", gather(likes, [], stylizer), stylizer)
    install(personal_style, "bert")
    assert Style.named("bert").code == personal_style.style.code
    assert Style.named("bert").name == "bert"
    with pytest.raises(UsageError, match="bert already exists"):
        install(personal_style, "bert")
    for act in (
        lambda: add("bert", Gathered(), stylizer),
        lambda: answer("bert", Style.named("monet"), Style.named("degas"), "first", stylizer),
    ):
        with pytest.raises(UsageError, match="came as a file"):
            act()
    delete("bert")
    assert names() == ["anna"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("?", "is damaged"),
        ("[]", "is damaged"),
        ('{"format": 9}', "later version"),
        ('{"format": 1, "pictures": [{}], "answers": [], "imported": false}', "is damaged"),
        ('{"format": 1, "pictures": [], "answers": [{"first": 1}], "imported": false}', "is damaged"),
    ],
)
def test_a_damaged_store_is_one_sentence(store: Path, likes: Any, stylizer: Stylizer, text: str, message: str) -> None:
    create("anna", gather(likes[:1], [], stylizer), stylizer)
    (store / "anna" / "record.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load_record("anna")
    delete("anna")


def test_a_copy_cannot_be_said_to_lie_elsewhere(store: Path, likes: Any, stylizer: Stylizer) -> None:
    create("anna", gather(likes[:1], [], stylizer), stylizer, copy=True)
    path = store / "anna" / "record.json"
    path.write_text(path.read_text("utf-8").replace("pictures/", "pictures/../../"), "utf-8")
    with pytest.raises(InputError, match="lies elsewhere"):
        load_record("anna")


# ---- deletion --------------------------------------------------------------------------------------------------------


def needles(record: Any, personal_style: Any, paths: Any, stylizer: Any) -> Any:
    """What may not be found anywhere: by what it is of."""
    found = {}
    for path, picture in zip(paths, record.pictures, strict=True):
        data = path.read_bytes()
        for place in (100, len(data) // 2, len(data) - 40) if picture.is_copy else ():
            found[f"bytes of {path.name} at {place}"] = data[place : place + 32]
        found[f"name {path.name}"] = path.stem.encode()
        found[f"hash of {path.name}"] = picture.sha256.encode()
        code = stylizer.encode(path)
        found[f"code of {path.name}"] = code.vector.tobytes()[:64]
        found[f"look of {path.name}"] = code.channel_stats.astype(np.float16).tobytes()[:64]
    for number, code in enumerate(personal_style.codes):
        found[f"centre {number}"] = code.vector.tobytes()[:64]
    found["folder"] = str(paths[0].parent).encode()
    return found


def hits(root: Any, found: Any) -> Any:
    """Which of them lie in a file below a folder, or in its name."""
    hay = [str(path.relative_to(root)).encode() for path in root.rglob("*")]
    hay += [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    return {name for name, needle in found.items() if any(needle in straw for straw in hay)}


def test_after_deletion_nothing_is_found(tmp_path: Path, stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = save_works(tmp_path / "pictures-of-hers", 0, 5)
    home = tmp_path / "home"
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.delenv("SFUMATO_PERSONAL", raising=False)
    create("anna", gather(paths[:3], [], stylizer), stylizer, copy=True)
    more("anna", [], paths[3:], stylizer)
    record, personal_style = answer("anna", Style.named("anna", own=True), Style.named("monet"), "first", stylizer)
    found = needles(record, personal_style, paths, stylizer)
    assert hits(home, found) == found.keys()  # so that the search is worth something
    install(personal_style, "bert")
    delete("bert")
    assert hits(home, found) == found.keys()
    delete("anna")
    assert hits(home, {**found, "her name": b"anna"}) == set()
    assert [path.name for path in home.rglob("*") if path.is_file()] == [".lock"]
    assert (home / "data" / "sfumato" / "personal" / ".lock").read_bytes() == b""
    assert all(path.is_file() for path in paths)  # they were hers, elsewhere


def test_what_a_killed_deletion_left_is_removed_by_the_next_command(
    store: Path, likes: Any, stylizer: Stylizer
) -> None:
    create("anna", gather(likes[:1], [], stylizer), stylizer)
    os.rename(store / "anna", store / ".deleted-0123")  # as far as it came
    create("bert", gather(likes[:1], [], stylizer), stylizer)
    assert sorted(path.name for path in store.iterdir()) == [".lock", "bert"]


# ---- whole, whatever happens -----------------------------------------------------------------------------------------

ADD = """
import os, signal, sys
from pathlib import Path
from sfumato.inference import Stylizer
from sfumato.personal.gathering import gather, recall
from sfumato.personal.service import add, create
from sfumato.personal.store import load_record
replace, left = os.replace, [int(sys.argv[1])]
def dying(*places):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*places)
os.replace = dying
name, paths = sys.argv[2], [Path(path) for path in sys.argv[3:]]
stylizer = Stylizer(threads=1)
print("ready", flush=True)
sys.stdin.readline()
try:
    before = load_record(name)
except Exception:
    create(name, gather(paths, [], stylizer), stylizer, copy=True)
else:
    inspected, _ = recall(before, stylizer)
    add(name, gather(paths, [], stylizer, before, inspected), stylizer, copy=True, inspected=inspected)
"""


def start(kill: Any, name: str, *paths: Any, prepare: str = "") -> Any:
    words = [sys.executable, "-c", prepare + ADD, str(kill), name, *map(str, paths)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(words, **pipes)  # type: ignore[call-overload]


def check_whole(stylizer: Any, before: Any, after: Any) -> None:
    """The store is as it was or as it was to be; learning again makes the style fit it."""
    for name in names():
        record = load_record(name)
        assert {picture.name for picture in record.pictures} in (before, after)
        assert missing_pictures(record) == []
        Style.named(name)
        _, personal_style = add(name, Gathered(), stylizer)
        assert set(personal_style.liked) == {picture.sha256 for picture in record.pictures}
        wanted = {"record.json", "pictures.json", f"{name}.sfumato", *(picture.path for picture in record.pictures)}
        wanted |= {f"codes/{picture.sha256}.safetensors" for picture in record.pictures}
        assert set(files(record.folder)) == wanted


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("kill", [1, 4, 5, 6, 7])  # two codes, two copies, record.json, two files of the style
def test_a_command_that_is_killed_leaves_a_whole_store(store: Path, likes: Any, stylizer: Stylizer, kill: int) -> None:
    create("anna", gather(likes[:2], [], stylizer), stylizer, copy=True)
    process = start(kill, "anna", *likes[2:4])
    process.communicate("\n", timeout=120)
    assert process.returncode == -signal.SIGKILL
    before, after = ({path.name for path in likes[:count]} for count in (2, 4))
    record = load_record("anna")
    assert {picture.name for picture in record.pictures} == (after if kill > 5 else before)
    assert record.is_learnt(load_personal_style(record)) == (kill < 6)
    check_whole(stylizer, before, after)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_first_command_that_is_killed_leaves_nothing(store: Path, likes: Any, stylizer: Stylizer) -> None:
    process = start(6, "anna", *likes[:2])
    process.communicate("\n", timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert names() == []
    assert len(list(store.glob(".new-*"))) == 1
    create("bert", gather(likes[:1], [], stylizer), stylizer)
    assert list(store.glob(".new-*")) == []


def test_the_store_is_its_owners_alone_whatever_its_folder_is(
    store: Path, likes: Any, others: Any, stylizer: Stylizer
) -> None:
    before = os.umask(0o022)
    try:
        store.mkdir(mode=0o755)
        create("anna", gather(likes[:2], [], stylizer), stylizer, copy=True)
        install(load_personal_style(load_record("anna")), "bert")
        for path in (store / "anna").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # as older versions left them
        (store / "anna").chmod(0o755)
        hers = store / "anna" / "diary.txt"
        hers.write_text("what a person puts there is theirs")
        add("anna", gather(others[:1], [], stylizer), stylizer)
        answer("anna", Style.named("anna", own=True), Style.named("monet"), "first", stylizer)
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in store.rglob("*")}
    assert modes.pop(hers) == 0o644
    assert len(modes) > 12
    assert modes == {path: 0o700 if path.is_dir() else 0o600 for path in modes}
    assert stat.S_IMODE(store.stat().st_mode) == 0o755


def test_whoever_waits_for_another_command_is_told_why(
    store: Path, likes: Any, stylizer: Stylizer, caplog: pytest.LogCaptureFixture
) -> None:
    create("anna", gather(likes[:1], [], stylizer), stylizer)
    code = "import sys\nfrom pathlib import Path\nfrom sfumato.locks import locked\n"
    code += "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.readline()"
    words = [sys.executable, "-c", code, str(store / ".lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        timer = threading.Timer(2, lambda: process.communicate("\n"))
        timer.start()
        delete("anna")
        timer.join()  # before the pipes that it reads are closed
    assert caplog.messages == [f"sfumato: another command writes into {store}; waiting for it to finish"]
    assert names() == []
    create("anna", gather(likes[:1], [], stylizer), stylizer)  # and without waiting nothing is said
    assert len(caplog.messages) == 1


def test_two_commands_at_once_both_count(store: Path, likes: Any, stylizer: Stylizer) -> None:
    create("anna", gather(likes[:1], [], stylizer), stylizer)
    both = [start(0, "anna", *likes[1:3]), start(0, "anna", *likes[3:5])]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        _, message = process.communicate(timeout=120)
        assert process.returncode == 0, message
    record = load_record("anna")
    assert {picture.name for picture in record.pictures} == {path.name for path in likes}
    assert record.is_learnt(load_personal_style(record))


@pytest.mark.skipif(sys.platform == "win32", reason="limits")
def test_a_full_disk_is_told_and_leaves_what_was(store: Path, likes: Any, stylizer: Stylizer) -> None:
    create("anna", gather(likes[:1], [], stylizer), stylizer)
    before = {path: (store / path).read_bytes() for path in files(store)}
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"  # bytes to a file
    process = start(0, "anna", *likes[1:3], prepare=limit)
    _, message = process.communicate("\n", timeout=120)
    assert process.returncode == 1
    assert "OutputError: cannot write" in message
    assert {path: (store / path).read_bytes() for path in files(store)} == before


def test_a_store_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, likes: Any, stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SFUMATO_PERSONAL", str(tmp_path / "file" / "store"))
    with pytest.raises(OutputError, match=r"cannot write into .*: Not a directory; see SFUMATO_PERSONAL"):
        create("anna", gather(likes[:1], [], stylizer), stylizer)


@pytest.mark.slow
def test_five_hundred_pictures(store: Path, tmp_path: Path, stylizer: Stylizer) -> None:
    from time import process_time

    paths = [*save_works(tmp_path / "likes", 0, 300), *save_works(tmp_path / "others", 1, 200)]
    began = process_time()
    found = gather(paths, [], stylizer)
    record, personal_style = create("anna", found, stylizer)
    assert process_time() - began < 500
    assert found.remarks == []
    assert len(record.pictures) == len(personal_style.liked) == 500
    assert len(personal_style.codes) > 1
    assert Path(store / "anna" / "anna.sfumato").stat().st_size < 200_000
