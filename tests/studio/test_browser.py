"""The way of an artist in a real browser: from the link to a finished painting, and from that file back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator

from browser import PAINTING, Desk, House, Language, Size, Theme, expect
from sfumato.image import read_recipe, write_image
from support import scene

pytestmark = pytest.mark.slow
# The share of a canvas that is painted.
_COVERED = """canvas => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let i = 3; i < data.length; i += 4) sum += data[i];
  return sum / 255 / (data.length / 4);
}"""
WAVE, SUNRISE = "The Great Wave off Kanagawa", "Impression, Sunrise"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of 640 x 480 that no test has had before."""
    seed = int.from_bytes(tmp_path.name.encode()[-4:], "big")
    write_image(scene(480, 640, seed=seed), tmp_path / "harbour.png")
    return tmp_path / "harbour.png"


def painting(desk: Desk, words: str = "") -> Locator:
    """The draft or painting that is shown, where its description holds some words."""
    prefix = desk.t("paint.alt_painting", words="")
    return desk.page.get_by_role("img", name=re.compile(f"^{re.escape(prefix)}.*{re.escape(words)}"))


def address_of(picture: Locator) -> str:
    return str(picture.get_attribute("src"))


def wait_for_draft(desk: Desk, before: str = "", timeout: int = PAINTING) -> str:
    """Wait for a draft that is another picture than the one before; return its address."""
    expect(painting(desk)).not_to_have_attribute("src", before, timeout=timeout)
    expect(
        desk.page.get_by_role("region", name=desk.t("paint.picture"), exact=True).get_by_role("status")
    ).to_have_text(desk.t("paint.label_draft"), timeout=timeout)
    return address_of(painting(desk))


def start(desk: Desk, photo: Path) -> None:
    """Give the page a photo: dropped with a mouse, chosen on a phone."""
    desk.go("paint")
    if desk.on_phone:
        desk.choose(desk.page.get_by_role("button", name=desk.t("paint.welcome_touch")), photo)
    else:
        desk.drop(photo)
    expect(desk.page.get_by_role("img", name=desk.t("paint.alt_photo", name=photo.stem)).first).to_be_visible()


def choose_style(desk: Desk, title: str) -> None:
    """Choose a style by its picture."""
    if desk.on_phone:
        desk.page.get_by_role("button", name=title, exact=True).click()
    else:
        shelf = desk.page.get_by_role("complementary", name=desk.t("paint.styles"))
        shelf.get_by_role("radio", name=title).first.click()


def open_settings(desk: Desk) -> None:
    """On a phone the settings are in a sheet that is pulled up."""
    if desk.on_phone and (handle := desk.button("paint.sheet_more")).count():
        handle.click()


def close_settings(desk: Desk) -> None:
    if desk.on_phone and (handle := desk.button("paint.sheet_less")).count():
        handle.click()


def slider(desk: Desk, key: str) -> Locator:
    return desk.page.get_by_role("slider", name=desk.t(key), exact=True)


def colour(desk: Desk, key: str) -> Locator:
    group = desk.page.get_by_role("radiogroup", name=desk.t("paint.color"), exact=True)
    return group.get_by_role("radio", name=desk.t(f"paint.color_{key}"), exact=True)


def paint(desk: Desk, width: int, height: int) -> None:
    """Paint at full size, and watch it."""
    close_settings(desk)
    desk.button("paint.paint_whole").click()
    bar = desk.page.get_by_role("group", name=desk.t("paint.painting_now"))
    expect(bar.get_by_role("progressbar")).to_be_visible()
    desk.wait_for(
        "name => Number(document.querySelector(`[role=progressbar][aria-label='${name}']`)?.ariaValueNow) > 0",
        desk.t("paint.painting_now"),
        PAINTING,
    )
    wait_for_painting(desk, width, height)


def wait_for_painting(desk: Desk, width: int, height: int) -> None:
    label = desk.t("paint.label_painting", width=width, height=height)
    stage = desk.page.get_by_role("region", name=desk.t("paint.picture"), exact=True)
    expect(stage.get_by_role("status")).to_have_text(label, timeout=PAINTING)
    expect(desk.page.get_by_role("group", name=desk.t("paint.painting"))).to_be_visible()


def brush(desk: Desk) -> None:
    """Paint a mask over the middle of the picture."""
    open_settings(desk)
    desk.button("paint.mask_begin").click()
    mask = desk.page.get_by_role("img", name=desk.t("paint.mask"), exact=True)
    expect(mask).to_be_visible()
    box = desk.page.get_by_role("region", name=desk.t("paint.picture"), exact=True).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.4
    desk.page.mouse.move(x - 60, y)
    desk.page.mouse.down()
    desk.page.mouse.move(x + 60, y, steps=12)
    desk.page.mouse.up()
    share = mask.evaluate(_COVERED)
    assert 0.01 < share < 0.5
    desk.button("paint.mask_done").click()
    expect(desk.page.get_by_text(desk.t("paint.mask_on"))).to_be_attached()


def slide(desk: Desk) -> None:
    """Move the line between before and after, by mouse and by keyboard."""
    line = slider(desk, "paint.split")
    expect(line).to_have_attribute("aria-valuenow", "50")
    box = line.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    desk.page.mouse.move(x, y)
    desk.page.mouse.down()
    desk.page.mouse.move(x + 80, y, steps=8)
    desk.page.mouse.up()
    moved = int(line.get_attribute("aria-valuenow") or 0)
    assert moved > 55
    line.focus()
    desk.page.keyboard.press("ArrowLeft")
    expect(line).to_have_attribute("aria-valuenow", re.compile(f"^{moved - 2}|{moved - 1}|{moved - 3}$"))
    desk.page.keyboard.press("Home")
    expect(line).to_have_attribute("aria-valuenow", "0")
    desk.page.keyboard.press("End")
    expect(line).to_have_attribute("aria-valuenow", "100")


def zoom(desk: Desk) -> None:
    """One pixel on one pixel, panned, and the whole picture again."""
    level = desk.page.get_by_role("group", name=desk.t("paint.picture_tools")).get_by_text(re.compile(r"^\d+\s?%$"))
    desk.page.get_by_role("button", name=f"1:1, {desk.t('paint.zoom_real')}").click()
    expect(level).to_have_text("100%")
    desk.button("paint.zoom_fit").click()
    expect(level).not_to_have_text("100%")


def look_at_variants(desk: Desk, first: str) -> None:
    """A table of strengths by styles; one variant is taken, and given back."""
    desk.button("paint.variants").click()
    dialog = desk.page.get_by_role("dialog", name=desk.t("paint.variants"))
    dialog.get_by_role("checkbox", name=SUNRISE).check()
    cells = dialog.get_by_role("table").get_by_role("button")
    expect(cells).to_have_count(6)
    taken = dialog.get_by_role("button", name=desk.t("paint.variant_take", name=f"{SUNRISE}, 40%"), exact=True)
    expect(taken).not_to_have_attribute("aria-disabled", "true", timeout=PAINTING)
    expect(dialog.locator("[aria-disabled=true]")).to_have_count(0, timeout=PAINTING)
    taken.click()
    expect(dialog).to_be_hidden()
    desk.says(desk.t("paint.variant_taken"))
    expect(painting(desk, SUNRISE)).to_be_visible(timeout=PAINTING)
    desk.button("ui.undo").click()
    expect(painting(desk, first)).to_be_visible(timeout=PAINTING)


def keep(desk: Desk) -> None:
    """Star and rate; both are there after a reload."""
    desk.button("paint.keep").click()
    desk.page.get_by_role("radio", name=desk.t("ui.stars", n=4), exact=True).check(force=True)
    expect(desk.button("paint.keep")).to_have_attribute("aria-pressed", "true")
    desk.page.reload()
    expect(desk.button("paint.keep")).to_have_attribute("aria-pressed", "true")
    expect(desk.page.get_by_role("radio", name=desk.t("ui.stars", n=4), exact=True)).to_be_checked()


def finish(desk: Desk) -> None:
    """Brighten the painting and enlarge it, without painting it again."""
    open_settings(desk)
    desk.page.get_by_text(desk.t("paint.finish"), exact=True).click()
    number = desk.page.get_by_role("textbox", name=desk.t("ui.number_of", name=desk.t("paint.brightness")))
    number.fill("20")
    number.press("Enter")
    desk.page.get_by_role("radio", name=desk.t("paint.size_double")).check(force=True)
    desk.button("paint.finish_apply").click()
    close_settings(desk)
    wait_for_painting(desk, 1280, 960)


def download(desk: Desk, folder: Path) -> Path:
    with desk.page.expect_download() as found:
        desk.menu(desk.t("paint.download"), desk.t("paint.download_png"))
    path = folder / found.value.suggested_filename
    found.value.save_as(path)
    return path


def settings_now(desk: Desk) -> dict[str, Any]:
    open_settings(desk)
    found: dict[str, Any] = {
        key: slider(desk, f"paint.{key}").input_value() for key in ("strength", "stroke", "brightness")
    }
    found["colour"] = [key for key in ("style", "content", "luminance") if colour(desk, key).is_checked()]
    close_settings(desk)
    return found


WANTED = {"strength": "80", "stroke": "1.2", "brightness": "20", "colour": ["content"]}


@pytest.mark.parametrize(
    ("size", "theme", "language"), [("desktop", "light", "en"), ("phone", "dark", "zh")], ids=["desktop-en", "phone-zh"]
)
def test_the_way_of_an_artist(
    house: House, size: Size, theme: Theme, language: Language, photo: Path, tmp_path: Path, record_property: Any
) -> None:
    assert house.link_seconds < 10  # 3 on an idle machine
    with house.desk(size, theme, language) as desk:
        start(desk, photo)
        choose_style(desk, WAVE)
        expect(painting(desk, WAVE)).to_be_visible(timeout=PAINTING)
        draft = wait_for_draft(desk)

        open_settings(desk)
        strength = slider(desk, "paint.strength")
        strength.focus()
        for _ in range(2):
            desk.page.keyboard.press("PageDown")
        expect(strength).to_have_value("80")
        stroke = desk.page.get_by_role("textbox", name=desk.t("ui.number_of", name=desk.t("paint.stroke")))
        stroke.fill("1.2")
        stroke.press("Enter")
        colour(desk, "content").check(force=True)
        draft = wait_for_draft(desk, draft)
        brush(desk)
        close_settings(desk)
        wait_for_draft(desk, draft)
        paint(desk, 640, 480)
        slide(desk)
        zoom(desk)
        look_at_variants(desk, WAVE)
        wait_for_painting(desk, 640, 480)
        keep(desk)
        finish(desk)

        path = download(desk, tmp_path)
        recipe: Any = read_recipe(path)
        assert recipe["styles"][0]["name"] == "great-wave"
        assert (recipe["strength"], recipe["stroke"], recipe["color"]) == (0.8, 1.2, "content")
        assert [(step["brightness"], step["upscale"]) for step in recipe["finish"]] == [(0.2, 2)]
        with Image.open(path) as file:
            assert file.size == (1280, 960)

        # The recipe as a text, taken back after everything was changed.
        desk.button("paint.share").first.click()
        dialog = desk.page.get_by_role("dialog", name=desk.t("paint.share"))
        desk.button("paint.copy", dialog).click()
        desk.says(desk.t("paint.copied"))
        text = desk.page.evaluate("navigator.clipboard.readText()")
        assert "great-wave" in text
        desk.button("ui.close", dialog).click()
        choose_style(desk, SUNRISE)
        change_everything(desk)
        desk.page.evaluate(
            "text => { const data = new DataTransfer(); data.setData('text', text);"
            " document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true })); }",
            text,
        )
        assert settings_now(desk) == WANTED

        # The file itself gives its settings back.
        choose_style(desk, SUNRISE)
        change_everything(desk)
        desk.drop(path)
        desk.button("paint.offer_use").click(timeout=PAINTING)
        assert settings_now(desk) == WANTED
        expect(painting(desk, WAVE)).to_be_visible(timeout=PAINTING)


def change_everything(desk: Desk) -> None:
    open_settings(desk)
    for key, value in (("strength", "50"), ("stroke", "0.7"), ("brightness", "-10")):
        number = desk.page.get_by_role("textbox", name=desk.t("ui.number_of", name=desk.t(f"paint.{key}")))
        number.fill(value)
        number.press("Enter")
    colour(desk, "luminance").check(force=True)
    close_settings(desk)
    assert settings_now(desk) != WANTED
