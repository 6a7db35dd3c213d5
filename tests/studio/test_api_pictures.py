"""Pictures over HTTP: upload, find, change, download, delete."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato import assets
from sfumato.image import Photo, read_recipe, write_photo
from sfumato.metadata import Metadata
from sfumato.studio.database import writing
from sfumato.studio.tables import Picture
from studio_api import Service, do_job, drawn, paint, service, upload


@pytest.fixture
def studio(tmp_path: Path, database_url: str) -> Iterator[Service]:
    with service(tmp_path / "data", database_url) as found:
        yield found


def test_an_upload_keeps_its_pixels_and_is_found(studio: Service) -> None:
    photo = upload(studio.client, 1, name="C:\\Users\\Anna\\my garden.png")
    assert (photo["width"], photo["height"], photo["kind"], photo["title"]) == (48, 32, "photo", "my garden")
    file = studio.client.get(photo["file"])
    assert file.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(Image.open(io.BytesIO(file.content)), Image.open(io.BytesIO(drawn(1))))
    assert Image.open(io.BytesIO(studio.client.get(photo["thumb"]).content)).format == "WEBP"
    assert studio.client.get("/api/v1/pictures").json()["items"] == [photo]
    assert studio.client.get(f"/api/v1/pictures/{photo['id']}").json() == photo
    used = studio.client.get("/api/v1/me").json()["used"]
    assert used == photo["bytes"] > 0


def test_a_stored_file_is_cached_for_ever_by_its_owner_alone(studio: Service) -> None:
    photo = upload(studio.client)
    file = studio.client.get(photo["file"])
    assert file.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert file.headers["etag"] == f'"{hashlib.sha256(file.content).hexdigest()}"'
    again = studio.client.get(photo["file"], headers={"If-None-Match": file.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("title", "plain"),
    [
        ("garden", 'filename="garden.png"'),
        ('a"b\\c/d\r\nX: y', 'filename="a_b_c_d_X_ y.png"'),
        ("花园", "filename*=UTF-8''%E8%8A%B1%E5%9B%AD.png"),
        ("..", 'filename="picture.png"'),
    ],
)
def test_a_download_has_a_safe_name(studio: Service, title: str, plain: str) -> None:
    photo = upload(studio.client)
    with writing(studio.studio.sessions) as session:
        session.get_one(Picture, photo["id"]).title = title
    header = studio.client.get(photo["file"], params={"download": True}).headers["content-disposition"]
    assert header.startswith("attachment; ")
    assert plain in header
    assert "\r" not in header


@pytest.mark.parametrize(("format", "kind"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_a_picture_is_downloaded_in_another_format_with_its_recipe(studio: Service, format: str, kind: str) -> None:
    file = io.BytesIO()
    recipe: dict[str, object] = {"version": "0.1.0", "styles": [{"name": "great-wave"}]}
    write_photo(Photo(np.full((32, 48, 3), 90, np.uint8), metadata=Metadata(recipe=recipe)), file, "png")
    uploaded = studio.client.post("/api/v1/pictures", files={"file": ("wave.png", file.getvalue())}).json()
    found = studio.client.get(uploaded["file"], params={"download": True, "format": format})
    assert found.status_code == 200, found.text
    assert Image.open(io.BytesIO(found.content)).format == kind
    assert f"wave.{'jpg' if format == 'jpeg' else format}" in found.headers["content-disposition"]
    assert read_recipe(io.BytesIO(found.content)) == recipe
    assert "sfumato-remark" not in found.headers


def test_another_format_of_a_sealed_picture_says_that_it_is_not_sealed(studio: Service) -> None:
    pytest.importorskip("c2pa")
    pytest.importorskip("cryptography")
    from sfumato.provenance.seal import Seal

    uploaded = upload(studio.client)
    recipe: dict[str, object] = {"version": "0.1.0"}
    photo = Photo(np.full((32, 48, 3), 90, np.uint8), metadata=Metadata(recipe=recipe))
    with writing(studio.studio.sessions) as session:
        row = session.get_one(Picture, uploaded["id"])
        row.sha256 = studio.studio.files.put(row.account, Seal.open().seal_photo(photo, "png").content)
    made = studio.client.get(uploaded["file"], params={"format": "webp"})
    assert "no content credentials" in made.headers["sfumato-remark"]
    assert "sfumato-remark" not in studio.client.get(uploaded["file"], params={"format": "png"}).headers


def test_the_gallery_goes_page_by_page(studio: Service) -> None:
    ids = [upload(studio.client, i)["id"] for i in range(5)]
    first = studio.client.get("/api/v1/pictures", params={"limit": 3}).json()
    second = studio.client.get("/api/v1/pictures", params={"limit": 3, "before": first["next"]}).json()
    assert [each["id"] for each in first["items"] + second["items"]] == ids[::-1]
    assert second["next"] is None
    wrong = studio.client.get("/api/v1/pictures", params={"before": "yesterday"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid")


def test_the_gallery_is_searched(studio: Service) -> None:
    plain = upload(studio.client, 1, name="Rose 100%.png")["id"]
    other = upload(studio.client, 2, name="tree.png")["id"]
    studio.client.patch(f"/api/v1/pictures/{other}", json={"star": True, "collection": "Spring 花"})
    studio.client.post("/api/v1/jobs", json=paint(plain)).raise_for_status()
    painted = do_job(studio.studio, drawn(3))
    assert painted is not None

    def found(**query: object) -> list[str]:
        answer = studio.client.get("/api/v1/pictures", params=query)  # type: ignore[arg-type]
        return [each["id"] for each in answer.json()["items"]]

    assert found(query="rose") == [plain]
    assert found(query="100%") == [plain]
    assert found(query="_") == []
    assert found(query="花") == [other]
    assert found(query="wave") == [painted.id]
    assert found(query="draft") == []
    assert found(query="(") == []
    assert studio.client.get("/api/v1/pictures", params={"query": "a\0b"}).status_code in (200, 422)
    assert found(star=True) == [other]
    assert found(kind="result") == [painted.id]
    assert found(collection="Spring 花") == [other]
    assert studio.client.get("/api/v1/collections").json() == [{"name": "Spring 花", "count": 1}]


def test_a_picture_is_changed(studio: Service) -> None:
    path = f"/api/v1/pictures/{upload(studio.client)['id']}"
    changed = studio.client.patch(path, json={"star": True, "rating": 5, "collection": " A ", "title": "New"}).json()
    assert (changed["star"], changed["rating"], changed["collection"], changed["title"]) == (True, 5, "A", "New")
    changed = studio.client.patch(path, json={"rating": None, "collection": None}).json()
    assert (changed["star"], changed["rating"], changed["collection"]) == (True, None, None)
    assert studio.client.patch(path, json={"star": None}).status_code == 422
    assert studio.client.patch(path, json={"rating": 6}).json()["detail"].startswith("rating must be")
    assert studio.client.patch(path, json={"owner": "x"}).json()["detail"].startswith("owner ")


def test_the_trash_gives_back_until_it_is_emptied(studio: Service) -> None:
    kept, gone = (f"/api/v1/pictures/{upload(studio.client, i)['id']}" for i in (1, 2))
    for path in (kept, gone):
        assert studio.client.patch(path, json={"trashed": True}).json()["trashed"] is not None
    assert studio.client.get("/api/v1/pictures").json()["items"] == []
    assert len(studio.client.get("/api/v1/pictures", params={"trash": True}).json()["items"]) == 2
    assert studio.client.patch(kept, json={"trashed": False}).json()["trashed"] is None
    assert studio.client.delete("/api/v1/trash").json() == {"count": 1}
    assert studio.client.get(gone).status_code == 404
    assert studio.client.get(kept).status_code == 200


def test_a_deleted_picture_leaves_no_byte(studio: Service, tmp_path: Path) -> None:
    one, twin = (upload(studio.client, 1, name=name) for name in ("one.png", "twin.png"))
    files = tmp_path / "data" / "files"

    def stored() -> int:
        return sum(path.is_file() for path in files.rglob("*"))

    before = stored()
    assert studio.client.delete(f"/api/v1/pictures/{one['id']}").status_code == 204
    assert stored() == before  # the twin has the same content
    assert studio.client.get(twin["file"]).status_code == 200
    assert studio.client.delete(f"/api/v1/pictures/{twin['id']}").status_code == 204
    assert stored() == 0
    assert studio.client.get(one["file"]).status_code == 404
    assert studio.client.delete(f"/api/v1/pictures/{one['id']}").status_code == 404


def test_a_vanished_file_is_told(studio: Service) -> None:
    photo = upload(studio.client)
    studio.studio.files.delete(studio.client.get("/api/v1/me").json()["id"], photo_sha(studio, photo["id"]))
    assert studio.client.get(f"/api/v1/pictures/{photo['id']}").json()["gone"] is True
    assert studio.client.get(photo["file"]).json()["detail"].startswith("the file has vanished")


def photo_sha(studio: Service, picture: str) -> str:
    with studio.studio.sessions() as session:
        return session.get_one(Picture, picture).sha256


def test_what_is_no_picture_is_refused_in_one_sentence(studio: Service) -> None:
    for content in (b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", drawn()[:200], b"MZ" * 1000):
        answer = studio.client.post("/api/v1/pictures", files={"file": ("x.png", content)})
        assert answer.status_code == 422, content
        assert answer.json()["code"] == "invalid"
        assert str(studio.studio.settings.data) not in answer.text
    assert studio.client.get("/api/v1/pictures").json()["items"] == []
    assert studio.client.post("/api/v1/pictures", data={"kind": "photo"}).json()["detail"] == "file is missing"


def test_uploads_beyond_the_limits_are_refused(tmp_path: Path, sqlite_url: str) -> None:
    with service(tmp_path / "data", sqlite_url, upload_bytes=5000, pixels=2000) as studio:
        small = studio.client.post("/api/v1/pictures", files={"file": ("x.png", drawn(0, 20, 20))})
        assert small.status_code == 201
        for size in (6_000, 200_000):
            large = studio.client.post("/api/v1/pictures", files={"file": ("x.png", b"\x89PNG" + bytes(size))})
            assert (large.status_code, large.json()["code"]) == (413, "too_large")
        wide = studio.client.post("/api/v1/pictures", files={"file": ("x.png", drawn(0, 2001, 1)[:4000])})
        assert wide.status_code in (413, 422)


def test_the_quota_holds(tmp_path: Path, sqlite_url: str) -> None:
    with service(tmp_path / "data", sqlite_url, "studio.example.org") as studio:
        anna = studio.person("anna", quota=12_000)
        upload(anna, 1)
        full = anna.post("/api/v1/pictures", files={"file": ("x.png", drawn(2))})
        assert (full.status_code, full.json()["code"]) == (507, "full")
        assert "quota" in full.json()["detail"]
        me = anna.get("/api/v1/me").json()
        assert me["used"] <= me["quota"] == 12_000
        stored = sum(path.stat().st_size for path in (tmp_path / "data" / "files").rglob("*") if path.is_file())
        assert stored == me["used"]


def test_a_repeated_upload_with_its_key_is_one_picture(studio: Service) -> None:
    def send(seed: int, key: str) -> tuple[int, str]:
        files = {"file": ("x.png", drawn(seed))}
        answer = studio.client.post("/api/v1/pictures", files=files, headers={"Idempotency-Key": key})
        return answer.status_code, answer.json().get("id", answer.json().get("code"))

    first = send(1, "a")
    assert send(1, "a") == first
    assert send(2, "a") == (409, "conflict")
    assert send(1, "b")[1] != first[1]
    assert len(studio.client.get("/api/v1/pictures").json()["items"]) == 2


def test_a_work_that_explanations_name_is_served(studio: Service) -> None:
    entry = assets.ledger()[0]
    found = studio.client.get(f"/api/v1/works/{entry.sha256}")
    assert hashlib.sha256(found.content).hexdigest() == entry.sha256
    assert studio.client.get(f"/api/v1/works/{'0' * 64}").status_code == 404


def test_results_are_found_by_the_title_and_artist_of_their_style(studio: Service) -> None:
    photo = upload(studio.client)["id"]
    studio.client.post("/api/v1/jobs", json=paint(photo)).raise_for_status()
    result = do_job(studio.studio, drawn(9))  # in great-wave
    assert result is not None
    for query in ("kanagawa", "Wave Great", "hokusai", "great-wave"):
        found = studio.client.get("/api/v1/pictures", params={"query": query}).json()["items"]
        assert [each["id"] for each in found] == [result.id], query
    assert studio.client.get("/api/v1/pictures", params={"query": "vermeer"}).json()["items"] == []
    header = studio.client.get(f"/api/v1/pictures/{result.id}/file", params={"download": True}).headers
    assert 'filename="garden-great-wave.png"' in header["content-disposition"]
