"""The gallery and the queue in a real browser: find, star, sort out, delete and take back; cancel and repeat."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator

from browser import PAINTING, Desk, House, Language, Size, Theme, expect
from sfumato.image import write_image
from sfumato.studio.client import Client
from sfumato.studio.schemas import PictureView
from support import scene

pytestmark = pytest.mark.slow
LOOKS: list[tuple[Size, Theme, Language]] = [("desktop", "light", "en"), ("phone", "dark", "zh")]
both = pytest.mark.parametrize(("size", "theme", "language"), LOOKS, ids=["desktop-en", "phone-zh"])
BEST = {"quality": "best"}


@pytest.fixture
def client(house: House) -> Iterator[Client]:
    """A client of an account that holds nothing."""
    with house.client() as found:
        found.request("POST", "/jobs/cancel", json={"except_running": False})
        for trash in ("false", "true"):
            for each in found.pictures(trash=trash):
                found.delete(each.id)
        yield found


@pytest.fixture
def photo(client: Client, tmp_path: Path) -> PictureView:
    """A photo with a name of its own: jobs of other tests are in the queue too."""
    return uploaded(client, tmp_path, 180, 240)


def uploaded(client: Client, folder: Path, height: int, width: int) -> PictureView:
    path = folder / f"mill {secrets.token_hex(3)}.png"
    write_image(scene(height, width, seed=5), path)
    return client.upload(path)


@pytest.fixture
def paintings(client: Client, photo: PictureView) -> list[PictureView]:
    """Three paintings: of the wave, of the sunrise, and of the scream."""
    found = []
    for style, title in (
        ("great-wave", "mill by the sea"),
        ("impression-sunrise", "mill at dawn"),
        ("the-scream", "mill at night"),
    ):
        made = client.paint(photo.id, style, quality="draft")
        client.request("PATCH", f"/pictures/{made.id}", json={"title": title})
        found.append(made)
    return found


def link(desk: Desk, title: str) -> Locator:
    return desk.page.get_by_role("main").get_by_role("link", name=title, exact=True)


def choose(desk: Desk, title: str) -> None:
    """Choose a picture in the gallery."""
    desk.page.get_by_role("checkbox", name=desk.t("gal.choose", name=title)).click(force=True)


@both
def test_pictures_are_found_and_sorted_out(
    house: House, paintings: list[PictureView], size: Size, theme: Theme, language: Language
) -> None:
    with house.desk(size, theme, language) as desk:
        desk.go("gallery")
        for title in ("mill by the sea", "mill at dawn", "mill at night"):
            expect(link(desk, title)).to_be_visible()
        search = desk.page.get_by_role("searchbox", name=desk.t("gal.search"))
        search.fill("dawn")
        expect(link(desk, "mill by the sea")).to_be_hidden()
        expect(link(desk, "mill at dawn")).to_be_visible()
        search.fill("nothing like this")
        expect(desk.page.get_by_role("heading", name=desk.t("gal.none_found"))).to_be_visible()
        desk.button("gal.show_all").click()
        expect(link(desk, "mill by the sea")).to_be_visible()

        desk.page.get_by_role("button", name=desk.t("gal.star_one", name="mill at night")).click(force=True)
        desk.button("gal.starred").click()
        expect(link(desk, "mill at dawn")).to_be_hidden()
        expect(link(desk, "mill at night")).to_be_visible()
        desk.button("gal.starred").click()

        choose(desk, "mill by the sea")
        choose(desk, "mill at dawn")
        expect(desk.page.get_by_text(desk.t("gal.chosen", n=2))).to_be_visible()
        desk.button("gal.to_collection").click()
        dialog = desk.page.get_by_role("dialog", name=desk.t("gal.to_collection"))
        dialog.get_by_role("textbox", name=desk.t("gal.collection_name")).fill("Mornings")
        desk.button("gal.put_in", dialog).click()
        desk.says(desk.t("gal.put", n=2, name="Mornings"))
        desk.page.get_by_role("combobox", name=desk.t("gal.collection")).select_option("Mornings")
        expect(link(desk, "mill at night")).to_be_hidden()
        expect(link(desk, "mill at dawn")).to_be_visible()
        desk.page.reload()
        expect(link(desk, "mill at dawn")).to_be_visible()
        expect(link(desk, "mill at night")).to_be_hidden()


@both
def test_deleted_pictures_are_taken_back_until_the_trash_is_emptied(
    house: House, client: Client, paintings: list[PictureView], size: Size, theme: Theme, language: Language
) -> None:
    with house.desk(size, theme, language) as desk:
        desk.go("gallery")
        choose(desk, "mill at dawn")
        desk.button("gal.delete").click()
        expect(link(desk, "mill at dawn")).to_be_hidden()
        desk.says(desk.t("gal.trashed", n=1))
        desk.button("ui.undo").click()
        expect(link(desk, "mill at dawn")).to_be_visible()

        desk.settle()  # the pictures make room for the one that came back
        choose(desk, "mill at dawn")
        choose(desk, "mill at night")
        desk.button("gal.delete").click()
        expect(link(desk, "mill at night")).to_be_hidden()
        desk.page.get_by_role("radio", name=desk.t("gal.trash")).check(force=True)
        expect(link(desk, "mill at night")).to_be_visible()
        choose(desk, "mill at night")
        desk.button("gal.restore").click()
        expect(link(desk, "mill at night")).to_be_hidden()
        assert {each.title for each in client.pictures(kind="result")} == {"mill by the sea", "mill at night"}

        desk.button("gal.empty").click()
        dialog = desk.page.get_by_role("dialog", name=desk.t("gal.empty_title"))
        desk.button("ui.cancel", dialog).click()
        expect(link(desk, "mill at dawn")).to_be_visible()
        desk.button("gal.empty").click()
        desk.button("gal.empty", dialog).click()
        expect(desk.page.get_by_role("heading", name=desk.t("gal.trash_empty"))).to_be_visible()
        assert client.pictures(trash="true") == []


@both
def test_a_picture_is_looked_at_rated_and_used_again(
    house: House, client: Client, paintings: list[PictureView], size: Size, theme: Theme, language: Language
) -> None:
    with house.desk(size, theme, language) as desk:
        desk.go("gallery")
        link(desk, "mill at dawn").click()
        dialog = desk.page.get_by_role("dialog")
        expect(dialog.get_by_role("img").first).to_be_visible()
        if desk.on_phone:
            desk.button("pic.facts", dialog).click()
        expect(dialog.get_by_text(re.compile("Impression, Sunrise")).first).to_be_visible()
        dialog.get_by_role("radio", name=desk.t("ui.stars", n=5), exact=True).check(force=True)
        title = dialog.get_by_role("textbox", name=desk.t("pic.title"))
        expect(title).to_have_value("mill at dawn")
        title.fill("first light")
        # What arrives meanwhile does not take away what is typed.
        client.request("PATCH", f"/pictures/{paintings[1].id}", json={"star": True})
        desk.button("gal.star", dialog).click()
        expect(title).to_have_value("first light")
        title.press("Enter")
        desk.page.keyboard.press("Escape")
        expect(link(desk, "first light")).to_be_visible()
        found = {each.title: each for each in client.pictures(kind="result")}
        assert found["first light"].rating == 5

        link(desk, "first light").click()
        if desk.on_phone and not dialog.get_by_role("textbox", name=desk.t("pic.title")).count():
            desk.button("pic.facts", dialog).click()
        dialog.get_by_role("link", name=desk.t("pic.use")).click()
        expect(desk.page.get_by_role("img", name=re.compile("Impression, Sunrise")).first).to_be_visible(
            timeout=PAINTING
        )


@both
def test_the_queue_cancels_and_repeats(
    house: House, client: Client, tmp_path: Path, size: Size, theme: Theme, language: Language
) -> None:
    photo = uploaded(client, tmp_path, 900, 1200)  # large: what is painted must not end before it is cancelled
    with house.desk(
        size, theme, language, expected=["status of 404 .*/pictures/"]
    ) as desk:  # of photos that other tests deleted
        desk.go("queue")
        for style in ("monet", "van-gogh", "klimt"):
            client.submit({"kind": "paint", "photo": photo.id, "styles": [{"style": style}], "options": BEST})
        rows = desk.page.get_by_role("listitem").filter(has_text=photo.title)
        cancelled = rows.filter(has_text=desk.t("que.cancelled"))
        expect(rows).to_have_count(3)
        expect(rows.get_by_role("progressbar").first).to_be_visible(timeout=PAINTING)
        waiting = rows.filter(has_text="Gustav Klimt")
        waiting.get_by_role("button").click()
        expect(cancelled).to_have_count(1)
        desk.button("que.cancel_rest").click()
        expect(cancelled).to_have_count(2)
        desk.button("que.cancel_all").click()
        dialog = desk.page.get_by_role("dialog", name=desk.t("que.cancel_all"))
        desk.button("que.cancel_all", dialog).click()
        expect(cancelled).to_have_count(3, timeout=PAINTING)
        desk.button("que.retry", cancelled.first).click()
        expect(rows).to_have_count(4)
        desk.page.reload()
        expect(rows).to_have_count(4)
        client.request("POST", "/jobs/cancel", json={"except_running": False})
        expect(cancelled).to_have_count(4, timeout=PAINTING)


def test_the_gallery_shows_what_another_tab_has_made(house: House, client: Client, photo: PictureView) -> None:
    with house.desk() as desk:
        desk.go("gallery")
        expect(desk.page.get_by_role("heading", name=desk.t("gal.none"))).to_be_visible()
        client.paint(photo.id, "monet", quality="draft")
        expect(link(desk, photo.title)).to_be_visible(timeout=PAINTING)
