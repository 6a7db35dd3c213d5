"""A batch, an explanation, a blind comparison and an account, each in a real browser."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import PAINTING, House, Language, Size, Theme, expect
from running_studio import studio
from sfumato.image import write_image
from sfumato.studio.client import Client
from support import scene
from video_clips import write_clip

pytestmark = pytest.mark.slow
LOOKS: list[tuple[Size, Theme, Language]] = [("desktop", "light", "en"), ("phone", "dark", "zh")]
both = pytest.mark.parametrize(("size", "theme", "language"), LOOKS, ids=["desktop-en", "phone-zh"])


@pytest.fixture
def client(house: House) -> Iterator[Client]:
    with house.client() as found:
        yield found


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Three small photos."""
    paths = [tmp_path / f"street {number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        write_image(scene(96, 128, seed=[number, len(tmp_path.name)]), path)
    return paths


@both
def test_a_video_is_painted(house: House, tmp_path: Path, size: Size, theme: Theme, language: Language) -> None:
    clip = write_clip(tmp_path / f"walk {size}.mp4", times=range(100))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clip.read_bytes()[:300])
    with house.desk(size, theme, language, expected=[r"status of 4\d\d .*api/v1/videos"]) as desk:
        page = desk.page
        desk.go("video")
        desk.choose(page.get_by_role("button", name=desk.t("vid.drop")), broken)
        expect(page.get_by_role("alert")).to_contain_text("broken.mp4")
        desk.choose(page.get_by_role("button", name=desk.t("vid.drop")), clip)
        expect(page.get_by_role("figure")).to_contain_text(f"walk {size}")
        expect(page.get_by_role("figure")).to_contain_text("0:04")
        expect(page.get_by_role("alert")).to_have_count(0)
        desk.button("vid.try", n=3).click()
        film = page.get_by_role("listitem").filter(has=page.locator("video")).filter(has_text=f"walk {size}")
        expect(film).to_be_visible(timeout=PAINTING)
        video = film.locator("video")
        video.evaluate("video => video.play()")
        desk.wait_for("video => video.currentTime > 0.2 && video.videoWidth === 96", video.element_handle())
        assert video.evaluate("video => video.duration") == pytest.approx(3, abs=0.2)
        with page.expect_download() as saved:
            film.get_by_role("button").nth(0).click()
        assert saved.value.suggested_filename == f"walk {size}-great-wave.webm"
        page.reload()
        expect(page.get_by_role("figure")).to_contain_text(f"walk {size}")
        expect(film).to_be_visible()
        film.get_by_role("button").nth(1).click()
        expect(film).to_have_count(0)
        page.goto("/#/gallery?show=trash")
        expect(page.get_by_role("link", name=f"walk {size}")).to_be_visible()
        desk.go("video")
        desk.button("ui.undo").click()
        expect(film).to_be_visible()
        desk.button("vid.delete", within=page.get_by_role("figure"), name=f"walk {size}").click()
        expect(page.get_by_role("figure")).to_have_count(0)
        desk.go("queue")
        expect(page.get_by_text(f"walk {size}").first).to_be_visible()


@both
def test_a_folder_is_painted(
    house: House, photos: list[Path], tmp_path: Path, size: Size, theme: Theme, language: Language
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(photos[0].read_bytes()[:300])
    with house.desk(size, theme, language, expected=[r"status of 4\d\d .*api/v1/pictures"]) as desk:
        desk.go("batch")
        desk.choose(desk.page.get_by_role("button", name=desk.t("bat.drop")), *photos, broken)
        expect(desk.page.get_by_role("heading", name=desk.t("bat.photos", n=3))).to_be_visible()
        expect(desk.page.get_by_role("alert").get_by_text("broken")).to_be_visible()
        desk.button("bat.take_out", name="broken.png").click()
        expect(desk.page.get_by_role("alert")).to_have_count(0)
        desk.page.get_by_role("button", name=re.compile(re.escape(desk.t("paint.style_change")))).click()
        shelf = desk.page.get_by_role("dialog", name=desk.t("paint.style_choose"))
        shelf.get_by_role("radio", name="The Great Wave off Kanagawa").first.click()
        expect(shelf).to_be_hidden()
        desk.page.get_by_role("radio", name=desk.t("paint.quality_draft"), exact=True).check(force=True)
        desk.page.get_by_role("radio", name="JPEG", exact=True).check(force=True)
        desk.button("bat.paint", n=3).click()
        expect(desk.page.get_by_role("heading", name=desk.t("bat.of", n=3))).to_be_visible()
        desk.page.reload()
        expect(desk.page.get_by_text(desk.t("bat.counts", done=3, count=3))).to_be_visible(timeout=PAINTING)
        with desk.page.expect_download() as download:
            desk.button("bat.zip", n=3).click()
        download.value.save_as(tmp_path / "batch.zip")
        with zipfile.ZipFile(tmp_path / "batch.zip") as file:
            assert file.testzip() is None
            assert len([name for name in file.namelist() if name.endswith(".jpg")]) == 3


@both
def test_a_painting_is_explained(
    house: House, client: Client, photos: list[Path], size: Size, theme: Theme, language: Language
) -> None:
    made = client.paint(client.upload(photos[0]).id, "monet", quality="standard")  # its strokes come from paintings
    with house.desk(size, theme, language) as desk:
        desk.page.goto(f"/#/paint?picture={made.id}")
        desk.page.get_by_role("link", name=desk.t("paint.explain")).click()
        expect(desk.page.get_by_role("heading", name=desk.t("exp.title"))).to_be_visible()
        sheet = desk.page.get_by_role("img", name=desk.t("exp.sheet_alt"))
        expect(sheet).to_be_visible(timeout=PAINTING)
        expect(desk.page.get_by_role("heading", name=desk.t("exp.words"))).to_be_visible()
        expect(desk.page.get_by_role("heading", name=desk.t("exp.sources"))).to_be_visible()
        desk.button("exp.zoom").first.click()
        desk.page.reload()  # it is not explained twice
        expect(sheet).to_be_visible(timeout=PAINTING)
        jobs: Any = client.request("GET", "/jobs", params={"limit": 100})["items"]
        assert len([job for job in jobs if job["kind"] == "explain" and job["asked"]["picture"] == made.id]) == 1


@both
def test_two_paintings_are_judged_blindly(
    house: House, client: Client, photos: list[Path], tmp_path: Path, size: Size, theme: Theme, language: Language
) -> None:
    for each in client.pictures(kind="result"):
        client.delete(each.id)
    photo = client.upload(photos[0])
    for style in ("monet", "munch"):
        client.paint(photo.id, style, quality="draft")
    before = client.request("GET", "/votes")["count"]
    with house.desk(size, theme, language) as desk:
        desk.go("judge")
        stacked = desk.on_phone
        expect(
            desk.page.get_by_role("img", name=desk.t("jud.upper_alt" if stacked else "jud.left_alt"))
        ).to_be_visible()
        expect(desk.page.get_by_text("Edvard Munch")).to_have_count(0)
        if stacked:
            desk.page.get_by_role("button", name=re.compile(re.escape(desk.t("jud.choose_upper")))).click()
        else:
            desk.page.keyboard.press("ArrowLeft")
        expect(desk.page.get_by_role("group", name=desk.t("jud.they_are"))).to_be_visible()
        expect(desk.page.get_by_text("Edvard Munch").first).to_be_visible()
        expect(desk.page.get_by_text(desk.t("jud.count", n=before + 1))).to_be_visible()
        assert client.request("GET", "/votes")["count"] == before + 1
        with desk.page.expect_download() as download:
            desk.button("jud.download").click()
        download.value.save_as(tmp_path / "votes.json")
        assert json.loads((tmp_path / "votes.json").read_text("utf-8"))["format"] == "sfumato-votes-1"
        desk.page.get_by_role("button", name=re.compile(re.escape(desk.t("jud.next")))).click()
        expect(desk.page.get_by_role("heading", name=desk.t("jud.all_seen"))).to_be_visible()


@both
def test_a_key_is_made_and_revoked(house: House, size: Size, theme: Theme, language: Language) -> None:
    with house.desk(size, theme, language) as desk:
        desk.go("account")
        desk.button("acc.new_key").click()
        dialog = desk.page.get_by_role("dialog", name=desk.t("acc.new_key"))
        dialog.get_by_role("textbox", name=desk.t("acc.key_label")).fill(f"shop {size}")
        dialog.get_by_role("checkbox", name=desk.t("acc.scope_write")).check()
        desk.button("acc.make_key", dialog).click()
        made = desk.page.get_by_role("dialog", name=f"shop {size}")
        desk.button("acc.key_copy", made).click()
        key = desk.page.evaluate("navigator.clipboard.readText()")
        assert re.fullmatch(r"sfu_\S+", key)
        with Client(house.running.url, key) as client:
            assert client.styles().built_in
        desk.button("acc.key_kept", made).click()
        expect(desk.page.get_by_text(key)).to_have_count(0)
        desk.button("acc.revoke_one", name=f"shop {size}").click()
        question = desk.page.get_by_role("dialog", name=desk.t("acc.revoke_title", name=f"shop {size}"))
        desk.button("acc.revoke", question).click()
        expect(desk.page.get_by_text(f"shop {size}")).to_have_count(0)


def test_everything_is_deleted_at_once(house: House, photos: list[Path]) -> None:
    with studio() as running:
        own = House(house.browser, running)
        with own.client() as client:
            client.paint(client.upload(photos[0]).id, "monet", quality="draft")
        with own.desk(expected=[r"status of 40[14]"]) as desk:
            desk.go("account")
            desk.button("acc.delete").click()
            dialog = desk.page.get_by_role("dialog", name=desk.t("acc.delete_ask"))
            expect(desk.button("acc.delete", dialog)).to_be_disabled()
            dialog.get_by_role("textbox").fill(desk.t("acc.delete_word"))
            desk.button("acc.delete", dialog).click()
            expect(desk.page.get_by_role("button", name=desk.t("paint.welcome"))).to_be_visible(timeout=PAINTING)
            desk.go("gallery")
            expect(desk.page.get_by_role("heading", name=desk.t("gal.none"))).to_be_visible()
        assert not [path for path in (running.data / "files").rglob("*") if path.is_file()]
