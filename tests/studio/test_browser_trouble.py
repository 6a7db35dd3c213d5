"""What the page says when something goes wrong, and that nothing is lost by a reload or without a connection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import PAINTING, Desk, House, Language, Size, Theme, expect
from sfumato.image import write_image
from sfumato.studio.client import Client
from support import scene

pytestmark = pytest.mark.slow
LOOKS: list[tuple[Size, Theme, Language]] = [("desktop", "dark", "en"), ("phone", "light", "zh")]
both = pytest.mark.parametrize(("size", "theme", "language"), LOOKS, ids=["desktop-en", "phone-zh"])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    write_image(scene(360, 480, seed=len(str(tmp_path))), tmp_path / "quay.png")
    return tmp_path / "quay.png"


@pytest.fixture
def client(house: House) -> Iterator[Client]:
    with house.client() as found:
        yield found


def the_sentence(desk: Desk) -> str:
    """The one alert of the page, which is one sentence."""
    alert = desk.page.get_by_role("alert")
    expect(alert).to_have_count(1, timeout=PAINTING)
    text = (alert.locator("p, span").first.text_content() or "").strip()
    assert re.fullmatch(r"[^\n]{10,300}[.!?。！？]", text), text
    assert "Traceback" not in text
    assert "Error" not in text
    return text


@both
def test_broken_files_get_one_sentence(
    house: House, size: Size, theme: Theme, language: Language, photo: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(photo.read_bytes()[:2000])
    letter = tmp_path / "letter.txt"
    letter.write_text("No picture at all.")
    for path in (broken, letter):
        with house.desk(size, theme, language, expected=[r"status of 4\d\d .*api/v1/pictures"]) as desk:
            desk.go("paint")
            desk.drop(path)
            the_sentence(desk)
            desk.button("ui.dismiss").click()
            expect(desk.page.get_by_role("alert")).to_have_count(0)
            # And the page goes on working.
            desk.drop(photo)
            expect(desk.page.get_by_role("img", name=desk.t("paint.alt_photo", name="quay")).first).to_be_visible()


@both
def test_a_failed_job_gets_one_sentence_and_another_try(
    house: House, size: Size, theme: Theme, language: Language, photo: Path, client: Client
) -> None:
    """A style is deleted by somebody else while a painting in it waits."""
    picture = client.upload(photo)
    style = client.make_style("gone soon", [client.upload(photo, "style").id])
    with house.desk(size, theme, language, expected=[r"status of 4\d\d"]) as desk:
        desk.page.goto(f"/#/paint?photo={picture.id}")
        expect(desk.button("paint.paint_whole")).to_be_enabled()
        desk.page.evaluate(
            """style => { const all = JSON.parse(sessionStorage['sfumato.paint']);
            all.settings.styles = [{ style, weight: 1 }];
            for (const place of [sessionStorage, localStorage]) place['sfumato.paint'] = JSON.stringify(all); }""",
            style,
        )
        desk.page.reload()
        expect(desk.page.get_by_text("gone soon").first).to_be_attached()
        blocker = client.submit(
            {"kind": "paint", "photo": picture.id, "styles": [{"style": "monet"}], "options": {"quality": "best"}}
        )
        desk.button("paint.paint_whole").click()
        bar = desk.page.get_by_role("group", name=desk.t("paint.painting_now"))
        expect(bar).to_be_visible()
        client.request("DELETE", f"/styles/{style.removeprefix('own:')}")
        client.cancel(blocker.id)
        the_sentence(desk)
        desk.button("ui.again").click()
        the_sentence(desk)


@both
def test_a_reload_in_the_middle_of_a_job_loses_nothing(
    house: House, size: Size, theme: Theme, language: Language, photo: Path, client: Client
) -> None:
    picture = client.upload(photo)
    with house.desk(size, theme, language) as desk:
        desk.page.goto(f"/#/paint?photo={picture.id}")
        desk.button("paint.paint_whole").click()
        bar = desk.page.get_by_role("group", name=desk.t("paint.painting_now"))
        expect(bar).to_be_visible()
        desk.page.reload()
        expect(bar.or_(desk.page.get_by_role("group", name=desk.t("paint.painting")))).to_be_visible()
        done = desk.page.get_by_role("group", name=desk.t("paint.painting"), exact=True)
        expect(done).to_be_visible(timeout=PAINTING)
        made = [each for each in client.pictures(kind="result") if each.photo == picture.id]
        assert len(made) == 1
        desk.page.reload()
        expect(done).to_be_visible()


@both
def test_a_job_that_is_cancelled_leaves_the_photo(
    house: House, size: Size, theme: Theme, language: Language, photo: Path, client: Client
) -> None:
    picture = client.upload(photo)
    with house.desk(size, theme, language) as desk:
        desk.page.goto(f"/#/paint?photo={picture.id}")
        desk.button("paint.paint_whole").click()
        bar = desk.page.get_by_role("group", name=desk.t("paint.painting_now"))
        desk.button("ui.cancel", bar).click()
        expect(bar).to_be_hidden(timeout=PAINTING)
        expect(desk.button("paint.paint_whole")).to_be_enabled()
        assert [each for each in client.pictures(kind="result") if each.photo == picture.id] == []


@both
def test_without_a_connection_the_page_says_so_and_comes_back(
    house: House, size: Size, theme: Theme, language: Language, photo: Path, client: Client
) -> None:
    picture = client.upload(photo)
    with house.desk(size, theme, language, expected=[r"net::ERR_", r"Failed to load resource"]) as desk:
        desk.page.goto(f"/#/paint?photo={picture.id}")
        desk.button("paint.paint_whole").click()
        expect(desk.page.get_by_role("group", name=desk.t("paint.painting_now"))).to_be_visible()
        desk.context.set_offline(True)
        banner = desk.page.get_by_text(desk.t("app.lost"))
        expect(banner).to_be_visible(timeout=PAINTING)
        desk.context.set_offline(False)
        expect(banner).to_be_hidden(timeout=PAINTING)
        done = desk.page.get_by_role("group", name=desk.t("paint.painting"), exact=True)
        expect(done).to_be_visible(timeout=PAINTING)


def test_who_is_not_logged_in_is_told_how(house: House) -> None:
    with house.desk(logged_in=False, expected=[r"status of 401"]) as desk:
        desk.page.goto("/")
        expect(desk.page.get_by_role("heading", name="Sfumato Studio")).to_be_visible()
        desk.page.get_by_label(desk.t("app.name")).fill("nobody")
        desk.page.get_by_label(desk.t("app.password")).fill("nothing at all")
        desk.button("app.log_in").click()
        expect(desk.page.get_by_role("alert")).to_be_visible()
        # A link works once.
        desk.page.goto(f"/#token={house.running.token}")
        expect(desk.page.get_by_role("alert").first).to_be_visible()


def test_a_studio_that_is_started_again_is_found_again(house: House, photo: Path, client: Client) -> None:
    picture = client.upload(photo)
    with house.desk(expected=[r"net::ERR_", r"Failed to load resource"]) as desk:
        desk.page.goto(f"/#/paint?photo={picture.id}")
        desk.button("paint.paint_whole").click()
        expect(desk.page.get_by_role("group", name=desk.t("paint.painting_now"))).to_be_visible()
        house.running.stop()
        banner = desk.page.get_by_text(desk.t("app.lost"))
        expect(banner).to_be_visible(timeout=PAINTING)
        house.running.start()
        expect(banner).to_be_hidden(timeout=PAINTING)
        done = desk.page.get_by_role("group", name=desk.t("paint.painting"), exact=True)
        expect(done).to_be_visible(timeout=PAINTING)
