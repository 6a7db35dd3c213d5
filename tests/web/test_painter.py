"""A painter, and the page that has one, go on after an error or say that they cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from browser import PAINTING
from web_site import serving

pytestmark = pytest.mark.slow
_OUT_OF_MEMORY = 'if (request.kind === "paint") throw new RangeError("out of memory");\n  '
_ASK = """async () => {
  const told = promise => Promise.race([
    promise.then(() => "done", problem => `${problem.code}: ${problem.message}`),
    new Promise(resolve => setTimeout(() => resolve("never answered"), 5000)),
  ]);
  const picture = new ImageData(16, 16);
  return {
    paint: await told(painter.paint(picture, { style: "monet" })),
    encode: await told(painter.encode(picture)),
    png: await told(painter.png({ image: picture, recipe: {} })),
  };
}"""


@pytest.fixture
def desk(folder: Path, window: Browser) -> Iterator[Page]:
    """A page with a painter and its worker."""
    (folder / "empty.html").touch()
    with serving(folder, isolated=True) as url, window.new_page(base_url=url) as page:
        page.set_default_timeout(PAINTING)
        page.goto("/empty.html")
        page.evaluate(
            """async () => {
              globalThis.Worker = class extends Worker {
                constructor(...options) {
                  super(...options);
                  globalThis.worker = this;
                }
              };
              const { Painter } = await import("/src/index.js");
              globalThis.painter = await Painter.load({ base: "/sfumato/", warm: false });
            }"""
        )
        yield page


def test_a_photo_that_could_not_be_sent_is_sent_again(desk: Page) -> None:
    wrong, width = desk.evaluate(
        """async () => {
          await painter.paint(new ImageData(32, 32), { style: "monet" });
          const other = new ImageData(48, 32);
          const wrong = await painter.paint(other, { style: "monet", seed: () => 3 }).catch(problem => problem.name);
          return [wrong, (await painter.paint(other, { style: "monet" })).image.width];
        }"""
    )
    assert wrong == "DataCloneError"
    assert width == 48


def test_a_closed_painter_refuses(desk: Page) -> None:
    desk.evaluate("painter.close()")
    assert set(desk.evaluate(_ASK).values()) == {"cancelled: The painter was closed; load another."}


def test_a_painter_refuses_once_its_worker_failed(desk: Page) -> None:
    desk.evaluate(
        """() => new Promise(resolve => {
          worker.addEventListener("error", resolve);
          worker.postMessage(null); // its listener throws
        })"""
    )
    for told in desk.evaluate(_ASK).values():
        assert told.startswith("model: The painter stopped: ")


class Short:
    """The built page on a device whose memory does not suffice for the first painting.

    Attributes:
        later: requests for the weights after the first, which wait for an answer.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.later = page, list[Route]()
        self._workers = self._weights = 0
        page.set_default_timeout(PAINTING)
        page.route("**/src/worker.js", self._worker)
        page.route("**/weights.bin", self._weight)
        page.goto(url)
        page.wait_for_selector("html[data-threads]")
        page.locator(".sample").first.click()
        page.wait_for_selector("text=does not suffice")
        for _ in range(PAINTING // 50):
            if self.later:
                break
            page.wait_for_timeout(50)

    def _worker(self, route: Route) -> None:
        self._workers += 1
        answer = route.fetch()
        body = answer.text()
        assert "if (!networks)" in body
        if self._workers == 1:
            body = body.replace("if (!networks)", _OUT_OF_MEMORY + "if (!networks)")
        route.fulfill(response=answer, body=body)

    def _weight(self, route: Route) -> None:
        self._weights += 1
        if self._weights == 1:
            route.continue_()
        else:
            self.later.append(route)


@pytest.fixture
def short(site: Path, window: Browser) -> Iterator[Short]:
    with serving(site) as url, window.new_context(locale="en-GB", service_workers="block") as context:
        yield Short(context.new_page(), url)


def test_what_was_chosen_while_the_painter_starts_again_is_painted(short: Short) -> None:
    expect(short.page.locator(".working")).to_be_visible()
    short.page.locator(".tile").filter(has_text="The Kiss").click()
    short.later.pop().continue_()
    expect(short.page.locator(".painted canvas")).to_be_visible(timeout=PAINTING)
    expect(short.page.get_by_role("alert")).to_be_empty()


def test_a_painter_that_cannot_start_again_is_told(short: Short) -> None:
    short.later.pop().abort()
    expect(short.page.get_by_role("button", name="Load again")).to_be_visible()
    expect(short.page.locator(".working")).to_have_count(0)
    short.page.locator(".tile").filter(has_text="The Kiss").click()
    short.page.wait_for_timeout(300)
    expect(short.page.locator(".working")).to_have_count(0)
    expect(short.page.get_by_role("button", name="Load again")).to_be_visible()
