"""Everybody can use the page: axe finds nothing, the keyboard reaches every control, nothing scrolls sideways."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

from browser import PAINTING, Desk, House, Size, Theme, expect
from sfumato.image import write_image
from support import save_works, scene

pytestmark = pytest.mark.slow
#: Best practices and WCAG 2.2 AA; the size of targets is off in axe unless it is asked for.
_AXE = "() => axe.run({ resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } })"
# Everything that takes a press and is shown, by a number that it is marked with. The Tab key need not stop at radio
# buttons beside the one that is checked, at items that the arrow keys reach, and at what lies under a dialog.
_CONTROLS = """() => {
  const root = [...document.querySelectorAll('dialog[open]')].at(-1) ?? document;
  const shown = element => element.checkVisibility({ visibilityProperty: true })
    && element.getBoundingClientRect().width > 1;
  const told = element => `<${element.localName} ${element.type ?? ''} class='${element.className}'> `
    + (element.ariaLabel ?? element.textContent.trim().slice(0, 40));
  const found = {};
  let count = 0;
  for (const old of document.querySelectorAll('[data-reach]')) delete old.dataset.reach;
  for (const element of root.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')) {
    if (!shown(element) || element.disabled || element.type === 'file') continue;
    if (element.tabIndex < 0) { // one stop for a group, which the arrows walk through
      const group = element.closest('[role=radiogroup], [role=menu], [role=tablist], [role=grid], [role=list], ul');
      const stop = group?.querySelector('[tabindex="0"], a:not([tabindex]), button:not([tabindex])');
      if (!stop) found[++count] = told(element);
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
  const drawn = each => {
    const style = getComputedStyle(each);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
  };
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
    page.wait_for_timeout(300)  # a dialog that was just opened takes the focus
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


class Prepared(NamedTuple):
    """What there is in the Studio before the page is opened."""

    photo: str
    painting: str
    batch: str


@pytest.fixture(scope="module")
def prepared(house: House, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A photo and its paintings, a painting in the trash, a cancelled job, a taste, a batch and an explanation."""
    folder = tmp_path_factory.mktemp("photos")
    write_image(scene(300, 400, seed=8), folder / "village.jpg")
    with house.client() as client:
        photo = client.upload(folder / "village.jpg")
        painting = client.paint(photo.id, "great-wave", quality="draft")
        client.paint(photo.id, "munch", quality="draft")
        rest = client.paint(photo.id, "monet", quality="draft")
        client.request("PATCH", f"/pictures/{rest.id}", json={"trashed": True})
        client.request("PATCH", f"/pictures/{painting.id}", json={"collection": "Villages", "star": True, "rating": 4})
        styles = [[{"style": style, "weight": 1}] for style in ("klimt", "degas")]
        batch = client.request("POST", "/batches", json={"photos": [photo.id], "styles": styles})
        liked = [client.upload(path, "style").id for path in save_works(folder, 0, 3)]
        disliked = [client.upload(path, "style").id for path in save_works(folder, 1, 2)]
        jobs = [job["id"] for job in batch["jobs"]]
        jobs.append(client.submit({"kind": "learn", "taste": "mine", "liked": liked, "disliked": disliked}).id)
        jobs.append(client.submit({"kind": "explain", "picture": painting.id}).id)
        for job in jobs:
            client.wait(job)
        best = {"quality": "best"}
        job = client.submit({"kind": "paint", "photo": photo.id, "styles": [{"style": "monet"}], "options": best}).id
        client.cancel(job)
    return Prepared(photo.id, painting.id, batch["batch"])


def states(desk: Desk, prepared: Prepared) -> Iterator[str]:
    """Bring the page into one state after the other; yield a name of each."""
    yield from painting_states(desk, prepared)
    yield from gallery_states(desk, prepared)
    yield from other_states(desk, prepared)


def painting_states(desk: Desk, prepared: Prepared) -> Iterator[str]:
    page = desk.page
    desk.go("paint")
    yield "welcome"
    page.goto(f"/#/paint?picture={prepared.painting}")
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


def gallery_states(desk: Desk, prepared: Prepared) -> Iterator[str]:
    page = desk.page
    desk.go("gallery")
    expect(page.get_by_role("link", name="village").first).to_be_visible()
    yield "gallery"
    page.get_by_role("checkbox", name=desk.t("gal.choose", name="village")).first.click(force=True)
    yield "selection"
    page.goto("/#/gallery?show=trash")
    expect(desk.button("gal.empty")).to_be_visible()
    yield "trash"
    page.goto(f"/#/gallery/{prepared.painting}")
    expect(page.get_by_role("dialog")).to_be_visible()
    yield "picture"
    if desk.on_phone:
        desk.button("pic.facts", page.get_by_role("dialog")).click()
        yield "facts"


def other_states(desk: Desk, prepared: Prepared) -> Iterator[str]:
    page = desk.page
    page.goto("/#/queue")
    expect(desk.button("que.retry").first).to_be_visible()
    yield "queue"
    desk.go("video")
    yield "video"
    page.goto("/#/batch")
    expect(page.get_by_role("heading", name=desk.t("bat.recent"))).to_be_visible()
    yield "batch form"
    page.goto(f"/#/batch/{prepared.batch}")
    expect(page.get_by_role("heading", name=desk.t("bat.of", n=2))).to_be_visible()
    yield "batch"
    page.goto("/#/taste")
    expect(page.get_by_role("link", name="mine")).to_be_visible()
    yield "tastes"
    page.goto("/#/taste/mine")
    learnt = page.get_by_role("region", name=desk.t("tas.learnt"))
    expect(learnt.get_by_role("img").first).to_be_visible(timeout=PAINTING)
    expect(page.get_by_role("progressbar")).to_have_count(0, timeout=PAINTING)
    yield "taste"
    page.goto("/#/taste/mine/ask")
    ready = page.locator("[aria-busy=false]").or_(page.get_by_role("heading", name=desk.t("tas.enough")))
    ready.first.wait_for(state="attached", timeout=PAINTING)
    yield "question"
    page.goto(f"/#/explain/{prepared.painting}")
    expect(page.get_by_role("heading", name=desk.t("exp.words"))).to_be_visible(timeout=PAINTING)
    yield "explanation"
    page.goto("/#/judge")
    expect(page.get_by_text(desk.t("jud.question")).first).to_be_visible()
    yield "judge"
    page.get_by_role("button", name=desk.t("jud.same")).click()
    expect(page.get_by_role("group", name=desk.t("jud.they_are"))).to_be_visible()
    yield "judged"
    page.goto("/#/account")
    expect(desk.button("acc.new_key")).to_be_visible()
    yield "account"
    for key in ("acc.new_key", "acc.delete"):
        desk.button(key).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        yield key
        desk.button("ui.close", page.get_by_role("dialog")).click()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    house: House, prepared: Prepared, size: Size, theme: Theme
) -> None:
    wrong: list[str] = []
    with house.desk(size, theme) as desk:
        for where in states(desk, prepared):
            for check in (check_axe, check_width):
                try:
                    check(desk, where)
                except AssertionError as problem:
                    wrong.append(str(problem))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_the_keyboard_reaches_everything(house: House, prepared: Prepared, size: Size) -> None:
    wrong: list[str] = []
    with house.desk(size) as desk:
        for where in states(desk, prepared):
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


def test_the_checks_find_what_is_wrong(house: House) -> None:
    with house.desk("phone") as desk:
        desk.go("queue")
        check_keyboard(desk.page, "queue")
        check_width(desk, "queue")
        check_axe(desk, "queue")
        desk.page.evaluate(
            "document.querySelector('main').insertAdjacentHTML('beforeend', '<a href=\"#x\" tabindex=-1>x</a>')"
        )
        with pytest.raises(AssertionError, match="not reached"):
            check_keyboard(desk.page, "queue")
        desk.page.reload()
        desk.page.evaluate(
            "const sheet = new CSSStyleSheet(); sheet.replaceSync('* { outline: none !important; min-width: 500px }');"
            " document.adoptedStyleSheets = [sheet];"
        )
        with pytest.raises(AssertionError, match="without an outline"):
            check_keyboard(desk.page, "queue")
        with pytest.raises(AssertionError, match="queue: "):
            check_width(desk, "queue")
        desk.page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<button></button>')")
        with pytest.raises(AssertionError, match="button-name"):
            check_axe(desk, "queue")
