"""Deletion: no byte of a picture, an account or a taste stays in the store or in the database's files."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from sfumato.inference.library import personal_in
from sfumato.inference.stylizer import Stylizer
from sfumato.personal import service
from sfumato.personal.gathering import gather
from sfumato.personal.store import load_personal_style, load_record
from sfumato.studio.database import Sessions, writing
from sfumato.studio.deletion import delete_account, delete_pictures, sweep
from sfumato.studio.files import FileStore
from sfumato.studio.folders import sweep_folders, work_folder
from sfumato.studio.storing import add_pictures, put_files, with_ids
from sfumato.studio.tables import Account, Job, OwnStyle, Picture, new_id
from sfumato.studio.work import Made
from studio_data import Desk
from support import files, save_works


@pytest.fixture
def desk(sessions: Sessions, account: str, database_url: str, tmp_path: Path) -> Desk:
    return Desk(sessions, account, database_url, tmp_path / "data")


def row(desk: Desk, id_: str) -> Picture:
    with desk.sessions() as session:
        found = session.get(Picture, id_)
        assert found is not None
        return found


def delete(desk: Desk, *ids: str) -> list[str]:
    with writing(desk.sessions) as session:
        return delete_pictures(session, desk.files, desk.settings, desk.account, ids)


def learn(desk: Desk, name: str, liked: list[str], disliked: list[str]) -> None:
    """Make a taste of stored pictures, as a worker does."""

    def paths(ids: list[str]) -> list[Path]:
        return [desk.files.fetch(desk.account, row(desk, id_).sha256, desk.settings.data) for id_ in ids]

    stylizer = Stylizer(threads=1)
    with personal_in(desk.settings.personal(desk.account)):
        service.create(name, gather(paths(liked), paths(disliked), stylizer), stylizer, copy=True)


def everything(folder: Path) -> Iterator[bytes]:
    for path in folder.rglob("*"):
        yield path.name.encode()
        if path.is_file():
            yield path.read_bytes()


def test_no_byte_of_a_deleted_picture_is_left(desk: Desk, tmp_path: Path) -> None:
    gone, kept = desk.upload(1, 200, 300), desk.upload(2, 200, 300)
    with writing(desk.sessions) as session:
        found = session.get(Picture, gone)
        assert found is not None
        found.title = "a title of its own"
    sha256 = row(desk, gone).sha256
    content = desk.files.read(desk.account, sha256)
    learn(desk, "me", [gone, kept], [])
    assert delete(desk, gone) == ["me"]
    left = list(everything(tmp_path))
    for part in (content[1000:1100], content[-200:-100], sha256.encode(), gone.encode()):
        assert not any(part in each for each in left)
    if "sqlite" in desk.settings.database:  # PostgreSQL's own files are overwritten later, by its vacuum
        assert not any(b"a title of its own" in each for each in left)
    assert desk.files.read(desk.account, row(desk, kept).sha256)
    with personal_in(desk.settings.personal(desk.account)):
        record = load_record("me")
        assert [picture.sha256 for picture in record.pictures] == [row(desk, kept).sha256]
        assert load_personal_style(record) is None  # it is learnt again by a job
        assert not record.is_learnt(None)


def test_a_large_trash_is_emptied(desk: Desk) -> None:
    photo = row(desk, desk.upload())
    values = {"account": desk.account, "kind": "result", "media_type": "image/png", "width": 1, "height": 1, "bytes": 1}
    hashes = {"sha256": photo.sha256, "thumb": photo.thumb}
    with writing(desk.sessions) as session:
        session.execute(insert(Picture), [{**values, **hashes, "id": new_id()} for _ in range(1200)])
    with desk.sessions() as session:
        ids = list(session.scalars(select(Picture.id)))
    assert delete(desk, *ids) == []
    with desk.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Picture)) == 0
    assert list(desk.files.names(desk.account)) == []


def test_a_file_that_another_picture_names_stays(desk: Desk) -> None:
    one, same = desk.upload(1), desk.upload(1)
    sha256 = row(desk, one).sha256
    learn(desk, "me", [one], [])
    assert delete(desk, one) == []
    assert desk.files.exists(desk.account, sha256)
    assert delete(desk, same) == ["me"]
    assert not desk.files.exists(desk.account, sha256)


def test_what_was_made_of_a_deleted_picture(desk: Desk) -> None:
    """Previews and explanations show it, and go too; a painting stays, and is deleted by itself."""
    photo, ids = desk.upload(1), {}
    for seed, kind in enumerate(("preview", "sheet", "result"), 2):
        ids[kind] = desk.upload(seed, kind=kind)
        with writing(desk.sessions) as session:
            found = session.get(Picture, ids[kind])
            assert found is not None
            found.photo = photo
    explained = desk.upload(9, kind="sheet")
    failed = desk.paint(photo)
    with writing(desk.sessions) as session:
        session.get_one(Picture, explained).photo = ids["result"]
        session.get_one(Job, failed).error = "photo 1 cannot be painted"
    delete(desk, photo)
    assert desk.job(failed).error == "the picture has been deleted"
    with desk.sessions() as session:
        assert list(session.scalars(select(Picture.id))) == [ids["result"]]
    assert list(desk.files.names(desk.account)) == [row(desk, ids["result"]).sha256]


def test_styles_lose_the_picture(desk: Desk) -> None:
    one, two = desk.upload(1, kind="style"), desk.upload(2, kind="style")
    with writing(desk.sessions) as session:
        session.add_all(
            [
                OwnStyle(account=desk.account, name="both", pictures=[[one, 1.0], [two, 2.0]]),
                OwnStyle(account=desk.account, name="one", pictures=[[one, 1.0]]),
            ]
        )
    delete(desk, one)
    with desk.sessions() as session:
        assert [(each.name, each.pictures) for each in session.scalars(select(OwnStyle))] == [("both", [[two, 2.0]])]


def test_pictures_of_others_stay(desk: Desk) -> None:
    photo = desk.upload()
    with writing(desk.sessions) as session:
        other = Account(name="ben")
        session.add(other)
        session.flush()
        assert delete_pictures(session, desk.files, desk.settings, other.id, [photo]) == []
    assert desk.files.exists(desk.account, row(desk, photo).sha256)


def test_no_byte_of_a_deleted_account_is_left(desk: Desk, tmp_path: Path) -> None:
    liked = [desk.upload(seed) for seed in range(2)]
    learn(desk, "secret-taste", liked, [])
    job = desk.paint(liked[0])
    content = desk.files.read(desk.account, row(desk, liked[0]).sha256)
    with writing(desk.sessions) as session:
        assert delete_account(session, desk.files, desk.settings, desk.account)
        assert not delete_account(session, desk.files, desk.settings, new_id())
    with desk.sessions() as session:
        assert [
            *session.scalars(select(Account)),
            *session.scalars(select(Picture)),
            *session.scalars(select(Job)),
        ] == []
    left = list(everything(tmp_path))
    for part in (content[300:400], desk.account.encode(), job.encode(), b"secret-taste", b"anna"):
        assert not any(part in each for each in left), part


def test_the_sweep_takes_only_what_nobody_names(desk: Desk) -> None:
    photo = desk.upload()
    left, young, stranger = desk.files.put(desk.account, b"left"), desk.files.put(desk.account, b"young"), new_id()
    desk.files.put(stranger, b"of an account that was deleted")
    path = desk.files.path(desk.account, left)
    assert path is not None
    os.utime(path, (0, 0))
    assert sweep(desk.sessions, desk.files) == 1
    assert set(desk.files.names(desk.account)) == {row(desk, photo).sha256, young}
    assert stranger not in desk.files.accounts()


def test_deleting_and_adding_one_content_at_once(desk: Desk) -> None:
    """A picture is added while another of the same content is deleted: the file of the new row is always there."""
    path = desk.settings.data / "one.png"
    desk.upload()
    path.write_bytes(b"content")
    made = [Made("photo", path, path, 1, 1, "image/png")]
    sha256 = hashlib.sha256(b"content").hexdigest()
    problems: list[Exception] = []

    def add_and_delete() -> None:
        try:
            for _ in range(15):
                put = put_files(desk.files, desk.account, made)
                with writing(desk.sessions) as session:
                    [added] = add_pictures(session, desk.files, desk.account, made, put)
                    assert desk.files.exists(desk.account, sha256)
                delete(desk, added.id)
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=add_and_delete) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    assert not desk.files.exists(desk.account, sha256)


def test_ids_in_a_result() -> None:
    result = {"picture": {"$made": 1}, "several": [{"ref": "a", "picture": {"$made": 0}}], "n": 3, "none": None}
    assert with_ids(result, ["x", "y"]) == {
        "picture": "y",
        "several": [{"ref": "a", "picture": "x"}],
        "n": 3,
        "none": None,
    }
    assert json.dumps(with_ids(result, ["x", "y"]))


def test_folders_of_killed_processes_are_removed(desk: Desk) -> None:
    left = desk.settings.data / "work" / "left" / "files"
    left.mkdir(parents=True)
    (left / "picture.png").touch()
    os.utime(left.parent, (0, 0))
    with work_folder(desk.settings) as folder:
        (folder / "mine.png").touch()
        os.utime(folder.parent, (0, 0))
        sweep_folders(desk.settings)
        assert [path.rpartition("/")[2] for path in files(desk.settings.data / "work")] == [".lock", "mine.png"]
    assert files(desk.settings.data / "work") == []


def test_a_store_at_a_url(desk: Desk, tmp_path: Path) -> None:
    desk.files = FileStore(f"memory://{tmp_path.name}")
    photo = desk.upload()
    assert list(desk.files.names(desk.account)) == [row(desk, photo).sha256]
    delete(desk, photo)
    assert list(desk.files.names(desk.account)) == []


def test_the_learnt_style_comes_back_from_the_rest(desk: Desk, tmp_path: Path) -> None:
    """What `forget` leaves is learnt again without the forgotten picture."""
    likes = save_works(tmp_path / "likes", 0, 3)
    stylizer = Stylizer(threads=1)
    with personal_in(tmp_path / "personal"):
        service.create("me", gather(likes, [], stylizer), stylizer, copy=True)
        first = load_record("me").pictures[0]
        left = tmp_path / "personal/me/pictures" / f"{'0' * 64}.png"
        left.touch()  # by a command that was killed before it wrote the record
        assert not service.forget("me", ["0" * 64])
        assert not left.exists()
        assert load_personal_style(load_record("me")) is not None
        assert service.forget("me", [first.sha256])
        assert not any(first.sha256 in name for name in files(tmp_path / "personal"))
        _, learnt = service.add("me", gather([], [], stylizer, load_record("me")), stylizer)
        assert learnt is not None
        assert first.sha256 not in learnt.liked
        assert len(learnt.liked) == 2
