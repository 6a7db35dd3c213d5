"""Jobs, batches, styles and votes over HTTP."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sfumato.quality.votes import read_votes
from sfumato.studio import queue
from studio_api import RECIPE, Service, do_job, drawn, jobs, paint, service, upload

NOBODY = "0" * 32


@pytest.fixture
def studio(tmp_path: Path, database_url: str) -> Iterator[Service]:
    with service(tmp_path / "data", database_url) as found:
        yield found


@pytest.fixture
def photo(studio: Service) -> str:
    return str(upload(studio.client)["id"])


def post(studio: Service, path: str, body: Any, **headers: str) -> Any:
    answer = studio.client.post(f"/api/v1{path}", json=body, headers=headers)
    assert answer.is_success, answer.text
    return answer.json()


def test_a_job_goes_from_the_queue_to_its_picture(studio: Service, photo: str) -> None:
    first, second = (post(studio, "/jobs", paint(photo)) for _ in range(2))
    assert (first["state"], first["position"], second["position"]) == ("queued", 1, 2)
    picture = do_job(studio.studio, drawn(1))
    assert picture is not None
    done = studio.client.get(f"/api/v1/jobs/{first['id']}").json()
    assert (done["state"], done["progress"], done["result"]) == ("done", 1.0, {"picture": picture.id})
    assert studio.client.get(f"/api/v1/jobs/{second['id']}").json()["position"] == 1
    listed = studio.client.get("/api/v1/jobs").json()["items"]
    assert [job["id"] for job in listed] == [second["id"], first["id"]]
    assert [job["id"] for job in studio.client.get("/api/v1/jobs", params={"state": "done"}).json()["items"]] == [
        first["id"]
    ]
    page = studio.client.get("/api/v1/jobs", params={"limit": 1}).json()
    page = studio.client.get("/api/v1/jobs", params={"limit": 1, "before": page["next"]}).json()
    assert ([job["id"] for job in page["items"]], page["next"]) == ([first["id"]], None)


def test_a_preview_is_small_and_quick_and_replaces_the_older_one(studio: Service, photo: str) -> None:
    slow = post(studio, "/jobs", paint(photo))
    old, new = (post(studio, "/jobs", paint(photo, preview=True, slot="a", max_size=4000)) for _ in range(2))
    assert (new["quick"], new["position"], slow["quick"]) == (True, 1, False)
    assert (new["asked"]["max_size"], new["asked"]["options"]["quality"], new["asked"]["format"]) == (
        1024,
        "draft",
        "webp",
    )
    assert studio.client.get(f"/api/v1/jobs/{old['id']}").json()["state"] == "cancelled"
    best = paint(photo, preview=True, options={"quality": "standard"}, max_size=300)
    assert post(studio, "/jobs", best)["asked"]["options"]["quality"] == "standard"


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"photo": NOBODY}, 404, f"there is no picture {NOBODY}"),
        ({"photo": "../../etc/passwd"}, 422, "photo must be an id"),
        ({"styles": [{"style": "monnet"}]}, 404, "there is no style monnet"),
        ({"styles": [{"style": f"own:{NOBODY}"}]}, 404, "there is no style own:"),
        ({"styles": [{"style": "taste:../x"}]}, 422, "styles.0.style has a form"),
        ({"styles": [{"style": "taste:me"}]}, 404, "there is no style taste:me"),
        ({"styles": []}, 422, "styles is empty"),
        ({"styles": [{"style": "monet", "weight": 0}]}, 422, "styles.0.weight must be greater than 0"),
        ({"styles": [{"style": "monet", "mask": NOBODY}, {"style": "klimt"}]}, 422, "styles must all have a mask"),
        ({"options": {"strength": 1.5}}, 422, "options.strength must be less than or equal to 1"),
        ({"options": {"quality": "great"}}, 422, "options.quality must be draft, standard or best"),
        ({"max_size": 5}, 422, "max_size must be 0 or at least 16"),
        ({"kind": "wish"}, 422, "kind"),
        ({"recipe_of": NOBODY}, 422, "styles and recipe_of exclude each other"),
        ({"surprise": 1}, 422, "surprise "),
    ],
)
def test_a_wrong_request_is_refused_in_one_sentence(
    studio: Service, photo: str, change: dict[str, Any], status: int, sentence: str
) -> None:
    answer = studio.client.post("/api/v1/jobs", json={**paint(photo), **change})
    assert (answer.status_code, answer.json()["detail"][: len(sentence)]) == (status, sentence)
    assert jobs(studio.studio) == []


def test_text_that_is_no_json_is_refused(studio: Service) -> None:
    cases = (("{", "application/json", 422), ("{}", "text/plain", 422), ("[" * 5000, "application/json", 400))
    for content, kind, status in cases:
        answer = studio.client.post("/api/v1/jobs", content=content, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert answer.json()["detail"].startswith("the request ")


def test_a_repeated_request_with_its_key_is_one_job(studio: Service, photo: str) -> None:
    first = post(studio, "/jobs", paint(photo), **{"Idempotency-Key": "a"})
    assert post(studio, "/jobs", paint(photo), **{"Idempotency-Key": "a"}) == first
    other = studio.client.post("/api/v1/jobs", json=paint(photo, best_of=2), headers={"Idempotency-Key": "a"})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert len(jobs(studio.studio)) == 1


def test_jobs_are_cancelled_and_tried_again(studio: Service, photo: str) -> None:
    one, two, three = (post(studio, "/jobs", paint(photo))["id"] for _ in range(3))
    claimed = queue.claim(studio.studio.sessions, "worker", 60)
    assert claimed is not None
    assert claimed.id == one
    running = post(studio, f"/jobs/{one}/cancel", None)
    assert running["state"] == "running"
    assert queue.is_cancelled(studio.studio.sessions, one)
    assert post(studio, f"/jobs/{two}/cancel", None)["state"] == "cancelled"
    assert post(studio, f"/jobs/{two}/cancel", None)["state"] == "cancelled"
    early = studio.client.post(f"/api/v1/jobs/{three}/retry")
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    again = post(studio, f"/jobs/{two}/retry", None)
    assert (again["state"], again["asked"]) == ("queued", running["asked"])
    assert again["id"] != two
    assert post(studio, "/jobs/cancel", {"except_running": True}) == {"count": 2}
    assert post(studio, "/jobs/cancel", {}) == {"count": 0}  # the running one was asked to stop before


def test_a_full_queue_says_so(tmp_path: Path, sqlite_url: str) -> None:
    with service(tmp_path / "data", sqlite_url, most_queued=2) as studio:
        photo = upload(studio.client)["id"]
        post(studio, "/jobs", paint(photo))
        batch = {"photos": [photo], "styles": [[{"style": "monet"}], [{"style": "klimt"}]]}
        for path, body in (("/batches", batch), ("/jobs", paint(photo)), ("/jobs", paint(photo))):
            last = studio.client.post(f"/api/v1{path}", json=body)
        assert (last.status_code, last.json()["code"]) == (429, "too_many")
        assert int(last.headers["retry-after"]) > 0
        assert len(jobs(studio.studio)) == 2


def test_a_batch_is_the_product_and_is_followed_and_packed(studio: Service, photo: str) -> None:
    other = upload(studio.client, 2, name="tree.png")["id"]
    styles = [[{"style": "monet"}], [{"style": "klimt"}, {"style": "monet", "weight": 2}]]
    made = post(studio, "/batches", {"photos": [photo, other], "styles": styles, "strengths": [0.4, 0.8]})
    assert len(made["jobs"]) == 8
    assert [job["position"] for job in made["jobs"]] == list(range(1, 9))
    assert {job["asked"]["options"]["strength"] for job in made["jobs"]} == {0.4, 0.8}
    for state in ("done", "failed", "done"):
        do_job(studio.studio, drawn(5), state)
    found = studio.client.get(f"/api/v1/batches/{made['batch']}").json()
    assert found["counts"] == {"queued": 5, "running": 0, "done": 2, "failed": 1, "cancelled": 0}
    assert found["progress"] == pytest.approx(3 / 8)
    again = post(studio, f"/batches/{made['batch']}/retry", None)
    assert len(again["jobs"]) == 1
    assert studio.client.get(f"/api/v1/batches/{made['batch']}").json()["counts"]["failed"] == 0
    assert post(studio, f"/batches/{made['batch']}/cancel", {"except_running": True}) == {"count": 6}
    assert post(studio, f"/batches/{made['batch']}/cancel", None) == {"count": 0}
    packed = studio.client.get(f"/api/v1/batches/{made['batch']}/zip")
    assert packed.headers["content-disposition"] == 'attachment; filename="sfumato.zip"'
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.namelist() == ["0001 garden.png", "0002 garden.png"]
        assert archive.read("0001 garden.png") == drawn(5)
    assert studio.client.get(f"/api/v1/batches/{NOBODY}").status_code == 404


def test_a_grid_of_variants_is_quick(studio: Service, photo: str) -> None:
    made = post(studio, "/batches", {"photos": [photo], "styles": [[{"style": "monet"}]], "quick": True})
    assert [job["quick"] for job in made["jobs"]] == [True]
    empty = studio.client.post("/api/v1/batches", json={"photos": [photo], "styles": [[]]})
    assert empty.json()["detail"] == "styles is empty; name a style, or a picture in recipe_of"


def test_a_recipe_is_used_again_only_where_there_is_one(studio: Service, photo: str) -> None:
    asked = {"kind": "paint", "photo": photo, "recipe_of": photo}
    without = studio.client.post("/api/v1/jobs", json=asked)
    assert (without.status_code, without.json()["detail"][:29]) == (422, "this picture holds no recipe:")
    post(studio, "/jobs", paint(photo))
    picture = do_job(studio.studio, drawn(1))
    assert picture is not None
    assert post(studio, "/jobs", {**asked, "recipe_of": picture.id})["state"] == "queued"
    assert post(studio, "/jobs", {"kind": "explain", "picture": picture.id})["kind"] == "explain"


def test_styles_are_listed_with_their_pictures(studio: Service) -> None:
    found = studio.client.get("/api/v1/styles").json()
    assert len(found["built_in"]) >= 30
    assert (found["own"], found["tastes"]) == ([], [])
    wave = next(style for style in found["built_in"] if style["ref"] == "great-wave")
    assert wave["artist"]
    picture = studio.client.get(wave["picture"])
    assert picture.headers["content-type"] == "image/webp"
    assert studio.client.get("/api/v1/styles/no-such/picture").status_code == 404


def test_a_style_of_pictures_is_made_used_and_deleted(studio: Service, photo: str) -> None:
    one, two = (upload(studio.client, i, "style")["id"] for i in (1, 2))
    made = post(studio, "/styles", {"name": "My garden", "pictures": [{"picture": one}, {"picture": two, "weight": 2}]})
    assert studio.client.get("/api/v1/styles").json()["own"] == [made]
    assert post(studio, "/jobs", paint(photo, styles=[{"style": made["ref"]}]))["state"] == "queued"
    studio.client.delete(f"/api/v1/pictures/{one}")
    assert studio.client.get("/api/v1/styles").json()["own"][0]["pictures"] == [two]
    assert studio.client.delete(f"/api/v1/styles/{made['id']}").status_code == 204
    assert studio.client.get("/api/v1/styles").json()["own"] == []
    twice = {"name": "x", "pictures": [{"picture": two}, {"picture": two}]}
    assert studio.client.post("/api/v1/styles", json=twice).status_code == 422


def test_votes_are_counted_and_read_by_evaluate(studio: Service, photo: str, tmp_path: Path) -> None:
    pictures = []
    for seed, quality in enumerate(("draft", "standard", "standard")):
        post(studio, "/jobs", paint(photo))
        picture = do_job(studio.studio, drawn(seed), recipe={**RECIPE, "quality": quality, "seed": seed})
        assert picture is not None
        pictures.append(picture.id)
    for left, right, choice in ((0, 1, "right"), (1, 0, "left"), (1, 2, "same")):
        vote = {"left": pictures[left], "right": pictures[right], "choice": choice, "seconds": 1.5}
        counted = post(studio, "/votes", vote)
    assert counted["count"] == 3
    assert counted["standings"][-1]["method"] == "draft, strength 0.8"
    assert studio.client.get("/api/v1/votes").json() == counted
    file = tmp_path / "votes.json"
    file.write_bytes(studio.client.get("/api/v1/votes/file").content)
    assert [vote.choice for vote in read_votes([file])] == ["right", "left", "same"]
    assert json.loads(file.read_text())["format"] == "sfumato-votes-1"
    studio.client.delete(f"/api/v1/pictures/{pictures[0]}")
    assert studio.client.get("/api/v1/votes").json()["count"] == 1
    same = {"left": pictures[1], "right": pictures[1], "choice": "left", "seconds": 1}
    assert studio.client.post("/api/v1/votes", json=same).status_code == 422
