"""A taste in a real browser: made, taught, asked, shown, painted with, carried to another name, and deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator

from browser import PAINTING, Desk, House, Language, Size, Theme, expect
from sfumato.image import write_image
from sfumato.studio.client import Client
from support import save_works, scene

pytestmark = pytest.mark.slow
LOOKS: list[tuple[Size, Theme, Language]] = [("desktop", "dark", "en"), ("phone", "light", "zh")]
both = pytest.mark.parametrize(("size", "theme", "language"), LOOKS, ids=["desktop-en", "phone-zh"])


@pytest.fixture
def client(house: House) -> Iterator[Client]:
    with house.client() as found:
        yield found


def add(desk: Desk, key: str, paths: list[Path]) -> None:
    """Add pictures to a row of the taste, and wait until they are learnt."""
    desk.choose(desk.page.get_by_role("button", name=desk.t(key)), *paths)
    row = desk.page.get_by_role("region", name=desk.t(key.replace("drop_", "")))
    expect(row.get_by_role("img")).to_have_count(len(paths), timeout=PAINTING)
    expect(desk.page.get_by_role("progressbar", name=desk.t("tas.learning"))).to_have_count(0, timeout=PAINTING)


def choices(desk: Desk) -> tuple[Locator, Locator]:
    first, second = (desk.button(key) for key in ("tas.first_better", "tas.second_better"))
    return first, second


def wait_for_question(desk: Desk) -> None:
    """Wait until two pictures can be chosen from, or enough is learnt."""
    first, _ = choices(desk)
    enough = desk.page.get_by_role("heading", name=desk.t("tas.enough"))
    desk.page.locator("[aria-busy=false]").or_(enough).first.wait_for(state="attached", timeout=PAINTING)
    if not enough.count():
        expect(first.get_by_role("presentation").or_(first.locator("img")).first).to_be_visible()


@both
def test_the_way_of_a_taste(
    house: House, client: Client, tmp_path: Path, size: Size, theme: Theme, language: Language
) -> None:
    write_image(scene(240, 320, seed=2), tmp_path / "garden.png")
    client.upload(tmp_path / "garden.png")
    name = f"mine-{size}"
    liked, disliked = save_works(tmp_path / "liked", 0, 4), save_works(tmp_path / "disliked", 1, 2)
    with house.desk(size, theme, language) as desk:
        desk.go("taste")
        desk.page.get_by_role("textbox").first.fill(name)
        desk.button("tas.create").click()
        expect(desk.page.get_by_role("heading", name=name, level=1)).to_be_visible()
        add(desk, "tas.drop_liked", liked)
        add(desk, "tas.drop_disliked", disliked)

        # What was learnt, as pictures.
        learnt = desk.page.get_by_role("region", name=desk.t("tas.learnt"))
        expect(learnt.get_by_role("img").first).to_be_visible(timeout=PAINTING)
        expect(desk.page.get_by_role("progressbar")).to_have_count(0, timeout=PAINTING)

        # Questions: by the mouse, and by a key.
        desk.page.get_by_role("link", name=desk.t("tas.ask")).click()
        expect(desk.page.get_by_role("heading", name=desk.t("tas.question"))).to_be_visible()
        wait_for_question(desk)
        first, _ = choices(desk)
        answered = 0
        if first.count():
            first.click()
            answered += 1
            wait_for_question(desk)
            if first.count():
                desk.page.keyboard.press("2")
                answered += 1
                wait_for_question(desk)
        found = client.request("GET", f"/tastes/{name}")
        assert answered >= 1
        assert found["answers"] >= answered - 1
        assert (len(found["liked"]), len(found["disliked"])) == (4, 2)
        desk.page.goto(f"/#/taste/{name}")

        # Used: the shelf offers it, and the draft is painted with it.
        desk.button("tas.paint").click()
        desk.choose(
            desk.page.get_by_role("button", name=desk.t("paint.welcome_touch" if desk.on_phone else "paint.welcome")),
            tmp_path / "garden.png",
        )
        words = re.compile(re.escape(desk.t("paint.taste_of", name=name)))
        expect(desk.page.get_by_role("img", name=words).first).to_be_visible(timeout=PAINTING)

        # Exported, imported under another name, and deleted.
        desk.page.goto(f"/#/taste/{name}")
        with desk.page.expect_download() as download:
            desk.menu(desk.t("tas.more"), desk.t("tas.export"))
        file = tmp_path / "taste.sfumato"
        download.value.save_as(file)
        desk.go("taste")
        desk.choose(desk.button("tas.import"), file)
        dialog = desk.page.get_by_role("dialog")
        dialog.get_by_role("textbox").fill(f"{name}-again")
        desk.button("tas.import_do", dialog).click()
        expect(desk.page.get_by_text(desk.t("tas.imported_hint"))).to_be_visible(timeout=PAINTING)
        for each in (f"{name}-again", name):
            desk.page.goto(f"/#/taste/{each}")
            desk.menu(desk.t("tas.more"), desk.t("tas.delete"))
            desk.button("tas.delete", desk.page.get_by_role("dialog")).click()
            desk.says(desk.t("tas.deleted", name=each))
        assert not any(taste["name"].startswith(name) for taste in client.request("GET", "/styles")["tastes"])


def test_a_picture_is_moved_and_taken_out_of_a_taste(house: House, client: Client, tmp_path: Path) -> None:
    with house.desk() as desk:
        desk.go("taste/moved")
        add(desk, "tas.drop_liked", save_works(tmp_path, 0, 3))
        desk.button("tas.to_disliked", name="work-0-1").click()
        disliked = desk.page.get_by_role("region", name=desk.t("tas.disliked"))
        expect(disliked.get_by_role("img", name="work-0-1")).to_be_visible()
        expect(desk.page.get_by_role("progressbar", name=desk.t("tas.learning"))).to_have_count(0, timeout=PAINTING)
        desk.button("tas.remove", name="work-0-2").click()
        expect(desk.page.get_by_role("img", name="work-0-2")).to_have_count(0)
        expect(desk.page.get_by_role("progressbar", name=desk.t("tas.learning"))).to_have_count(0, timeout=PAINTING)
        found = client.request("GET", "/tastes/moved")
        assert [each["name"] for each in found["liked"]] == ["work-0-0"]
        assert [each["name"] for each in found["disliked"]] == ["work-0-1"]


def test_a_picture_that_is_none_is_told_by_its_name(house: House, tmp_path: Path) -> None:
    (tmp_path / "letter.png").write_text("No picture at all.")
    with house.desk(expected=[r"status of 4\d\d .*api/v1/pictures"]) as desk:
        desk.go("taste/letters")
        desk.choose(desk.page.get_by_role("button", name=desk.t("tas.drop_liked")), tmp_path / "letter.png")
        expect(desk.page.get_by_role("alert").get_by_text("letter.png")).to_be_visible()
