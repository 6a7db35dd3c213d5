"""Everybody can use the page: axe finds nothing, the keyboard reaches every control, nothing scrolls sideways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

from browser import PAINTING, Desk, House, Size, Theme, expect
from sfumato.image import write_image
from support import scene

pytestmark = pytest.mark.slow
VIEWS = ("paint", "gallery", "queue")
#: Best practices and WCAG 2.2 AA; the size of targets is off in axe unless it is asked for.
_AXE = "() => axe.run({ resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } })"
# Everything that takes a press and is shown, by a number that it is marked with. The Tab key need not stop at radio
# buttons beside the one that is checked, at items that the arrow keys reach, and at what lies under a dialog.
_CONTROLS = """() => {
  const root = [...document.querySelectorAll('dialog[open]')].at(-1) ?? document;
  const shown = element => element.checkVisibility({ visibilityProperty: true }) && element.getBoundingClientRect().width > 1;
  const told = element => `<${element.localName} ${element.type ?? ''} class='${element.className}'> `
    + (element.ariaLabel ?? element.textContent.trim().slice(0, 40));
  const found = {};
  let count = 0;
  for (const old of document.querySelectorAll('[data-reach]')) delete old.dataset.reach;
  for (const element of root.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')) {
    if (!shown(element) || element.disabled || element.type === 'file') continue;
    if (element.tabIndex < 0) { // one stop for a group, which the arrows walk through
      const group = element.closest('[role=radiogroup], [role=menu], [role=tablist], [role=grid], [role=list], ul');
      if (!group?.querySelector('[tabindex="0"], a:not([tabindex]), button:not([tabindex])')) found[++count] = told(element);
      continue;
    }
    if (element.type === 'radio') {
      const group = [...root.querySelectorAll('input[type=radio]')].filter(other => other.name === element.name);
      if (element !== (group.find(other => other.checked) ?? group[0])) continue;
    }
    element.dataset.reach = ++count;
    found[count] = told(element);
  }
  return found;
}"""
# The element with the focus, and whether one sees that it has it: an outline on it, or on what stands for it.
_FOCUSED = """() => {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  const drawn = each => { const style = getComputedStyle(each); return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1; };
  const stands = [element, element.closest('label'), element.nextElementSibling, element.parentElement].filter(Boolean);
  const box = element.getBoundingClientRect();
  const inside = box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight;
  const seen = !inside ? 'out of sight' : stands.some(drawn) ? '' : 'without an outline';
  return { reach: element.dataset.reach ?? null, wrong: seen && `${seen}: ${element.outerHTML.slice(0, 140)}` };
}"""


def check_axe(desk: Desk, where: str) -> None:
    """Assert that axe finds no violation on the page as it is."""
    desk.settle()
    desk.page.evaluate(AXE_SCRIPT)
    found: Any = desk.page.evaluate(_AXE)
    told = [
        f"{where}: {each['id']} ({each['impact']}): {each['help']}: "
        + "; ".join(f"{node['target']} {node['html'][:120]} {node['failureSummary']}" for node in each["nodes"][:3])
        for each in found["violations"]
    ]
    assert not told, "\n".join(told)


def check_width(desk: Desk, where: str) -> None:
    """Assert that the page does not scroll sideways."""
    wide, seen = desk.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide <= seen, f"{where}: {wide} > {seen}"


def check_keyboard(page: Page, where: str) -> None:
    """Assert that the Tab key reaches every control, and that one sees where it is."""
    controls: dict[str, str] = page.evaluate(_CONTROLS)
    reached: set[str] = set()
    wrong: set[str] = set()
    for _ in range(2 * len(controls) + 20):
        page.keyboard.press("Tab")
        now = page.evaluate(_FOCUSED)
        if now is None:  # between the last control and the first
            continue
        if now["wrong"]:
            wrong.add(now["wrong"])
        if now["reach"] is not None:
            reached.add(now["reach"])
        if len(reached) == len(controls):
            break
    wrong |= {f"not reached: {told}" for number, told in controls.items() if number not in reached}
    assert not wrong, "\n".join(f"{where}: {each}" for each in sorted(wrong))


@pytest.fixture(scope="module")
def painted(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The ids of a photo and of its painting; another painting is in the trash, and a job was cancelled."""
    path = tmp_path_factory.mktemp("photos") / "village.jpg"
    write_image(scene(300, 400, seed=8), path)
    with house.client() as client:
        photo = client.upload(path)
        result = client.paint(photo.id, "great-wave", quality="draft")
        rest = client.paint(photo.id, "monet", quality="draft")
        client.request("PATCH", f"/pictures/{rest.id}", json={"trashed": True})
        client.request("PATCH", f"/pictures/{result.id}", json={"collection": "Villages", "star": True, "rating": 4})
        job = client.submit(
            {"kind": "paint", "photo": photo.id, "styles": [{"style": "monet"}], "options": {"quality": "best"}}
        )
        client.cancel(job.id)
    yield photo.id, result.id


def states(desk: Desk, painted: tuple[str, str]) -> Iterator[str]:
    """Bring the page into one state after the other; yield a name of each."""
    photo, result = painted
    page = desk.page
    desk.go("paint")
    yield "welcome"
    page.goto(f"/#/paint?picture={result}")
    expect(page.get_by_role("group", name=desk.t("paint.painting"), exact=True)).to_be_visible(timeout=PAINTING)
    yield "painting"
    if desk.on_phone:
        desk.button("paint.sheet_more").click()
        page.wait_for_timeout(400)
        yield "settings"
    for key in ("paint.finish", "paint.details"):
        page.get_by_text(desk.t(key), exact=True).click()
    desk.button("paint.mask_begin").click()
    yield "mask"
    desk.button("paint.mask_done").click()
    for key, name in (("paint.variants", "variants"), ("paint.share", "recipe")):
        if desk.on_phone and desk.button("paint.sheet_less").count():
            desk.button("paint.sheet_less").click()
        desk.button(key).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        yield name
        desk.button("ui.close", page.get_by_role("dialog")).click()
    desk.button("app.help").click()
    yield "help"
    desk.button("ui.close", page.get_by_role("dialog")).click()
    desk.button("app.theme").click()
    yield "menu"
    page.keyboard.press("Escape")
    desk.go("gallery")
    expect(page.get_by_role("link", name="village").first).to_be_visible()
    yield "gallery"
    page.goto("/#/gallery?show=trash")
    expect(desk.button("gal.empty")).to_be_visible()
    yield "trash"
    page.goto(f"/#/gallery/{result}")
    expect(page.get_by_role("dialog")).to_be_visible()
    yield "picture"
    page.goto("/#/queue")
    expect(desk.button("que.retry").first).to_be_visible()
    yield "queue"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    house: House, painted: tuple[str, str], size: Size, theme: Theme
) -> None:
    wrong: list[str] = []
    with house.desk(size, theme) as desk:
        for where in states(desk, painted):
            for check in (check_axe, check_width):
                try:
                    check(desk, where)
                except AssertionError as problem:
                    wrong.append(str(problem))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_the_keyboard_reaches_everything(house: House, painted: tuple[str, str], size: Size) -> None:
    wrong: list[str] = []
    with house.desk(size) as desk:
        for where in states(desk, painted):
            if where == "menu":  # its items are walked through by the arrows
                continue
            try:
                check_keyboard(desk.page, where)
            except AssertionError as problem:
                wrong.append(str(problem))
    assert not wrong, "\n".join(wrong)


def test_the_log_in_is_for_everybody(house: House) -> None:
    for theme in ("light", "dark"):
        with house.desk("phone", theme, logged_in=False, expected=["status of 401"]) as desk:
            desk.page.goto("/")
            expect(desk.button("app.log_in")).to_be_visible()
            check_axe(desk, "log-in")
            check_width(desk, "log-in")
            check_keyboard(desk.page, "log-in")
