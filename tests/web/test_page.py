"""The static page in a real browser: it paints, offline, on this device only."""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from browser import LOCALES, PAINTING, SIZES
from sfumato.image import read_photo, read_recipe, write_image
from sfumato.inference.recipe import Recipe
from sfumato.inference.stylizer import Stylizer
from web_site import WEB, run, serving

TEXTS = WEB / "site" / "shared" / "texts"
EN, ZH = (json.loads((TEXTS / f"{language}.json").read_text("utf-8")) for language in ("en", "zh"))
#: Bytes of the page, as any server sends it.
LIMIT = 10_000_000
#: Seconds for a draft of 512 x 512 pixels, once the page is ready.
SECONDS = 4
slow = pytest.mark.slow
_PAINTED = "() => document.querySelector('.painted canvas').toDataURL()"


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    with serving(site) as found:
        yield found


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return make_photo(tmp_path / "cat.png", 512, 512)


def make_photo(path: Path, height: int, width: int) -> Path:
    """Write a soft picture with some grain."""
    rng = np.random.default_rng(height)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    grainy = np.clip(np.asarray(coarse, int) + rng.integers(-9, 10, (height, width, 3)), 0, 255)
    write_image((grainy.transpose(2, 0, 1)[None] / 255).astype(np.float32), path)
    return path


class Visit:
    """A person's visit to the page."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.messages = context, list[str]()
        self.requests: list[str] = []
        context.on("request", lambda request: self.requests.append(request.url))
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PAINTING)
        self.page.on("console", lambda m: self.messages.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda problem: self.messages.append(str(problem)))
        self.page.goto(url)
        self.wait()

    def wait(self) -> None:
        """Wait for the painter."""
        self.page.wait_for_selector("html[data-threads]")

    @property
    def threads(self) -> int:
        return int(self.page.get_attribute("html", "data-threads") or 0)

    def choose(self, path: Path) -> None:
        """Choose a photo by the button, or by the one that replaces it."""
        self.page.locator("main .middle input[type=file]").set_input_files(path)

    def painted(self) -> None:
        """Wait for the painting."""
        expect(self.page.locator(".painted canvas")).to_be_visible(timeout=PAINTING)
        expect(self.page.locator(".working")).to_have_count(0, timeout=PAINTING)

    def tile(self, name: str) -> Any:
        return self.page.locator(".tile").filter(has_text=name).first


@contextmanager
def visit(window: Browser, url: str, expected: str = "", **options: Any) -> Iterator[Visit]:
    """Visit the page in a fresh profile; at the end, nothing went wrong but what is expected."""
    context = window.new_context(**{"locale": "en-GB", "reduced_motion": "reduce", **SIZES["desktop"], **options})
    try:
        visit = Visit(context, url)
        yield visit
        wrong = [message for message in visit.messages if not (expected and re.search(expected, message))]
        assert not wrong, wrong
    finally:
        context.close()


@slow
def test_a_dropped_photo_is_painted_and_saved_with_its_recipe(
    window: Browser, url: str, photo: Path, tmp_path: Path
) -> None:
    with visit(window, url) as at:
        at.choose(photo)
        at.painted()
        at.tile("The Kiss").click()
        expect(at.tile("The Kiss")).to_have_attribute("aria-pressed", "true")
        at.painted()
        with at.page.expect_download() as saved:
            at.page.get_by_role("button", name=EN["stage.save"]).click()
        assert saved.value.suggested_filename == "cat-the-kiss.png"
        png = tmp_path / saved.value.suggested_filename
        saved.value.save_as(png)
        recipe = Recipe.from_json(read_recipe(png), "the picture")
        assert recipe.styles[0]["name"] == "the-kiss"
        assert recipe.strength == 1
        stylizer = Stylizer()
        again = stylizer.paint(photo, recipe.rebuild(stylizer), recipe.options)
        found = read_photo(png)
        assert found.alpha is None
        assert np.abs(found.pixels.astype(int) - again.pixels).max() <= 2
        with at.page.expect_download() as saved:
            at.page.get_by_role("button", name="JPEG").click()
        saved.value.save_as(tmp_path / "cat.jpg")
        assert np.abs(read_photo(tmp_path / "cat.jpg").pixels.astype(int) - again.pixels).mean() < 8


@slow
def test_it_works_offline_and_asks_nobody(window: Browser, site: Path, photo: Path) -> None:
    server = ExitStack()
    url = server.enter_context(serving(site.parent)) + f"{site.name}/"  # not at the root of its server
    with server, visit(window, url, expected="ERR_CONNECTION_REFUSED") as at:
        expect(at.page.get_by_text(EN["header.offline"])).to_be_visible(timeout=PAINTING)
        assert at.page.evaluate("crossOriginIsolated"), "the service worker isolates the page"
        assert at.threads == at.page.evaluate("Math.min(4, navigator.hardwareConcurrency)")
        server.close()
        at.page.reload()
        at.wait()
        at.choose(photo)
        at.painted()
        at.page.locator("#strength").press("ArrowLeft")  # the style encoder is there too
        at.painted()
        at.page.get_by_role("button", name=EN["stage.other"]).wait_for()
        hosts = {urlsplit(each).netloc for each in at.requests if not each.startswith("blob:")}
        assert hosts == {urlsplit(url).netloc}
        refused = at.page.evaluate(
            """() => new Promise(done => {
              addEventListener("securitypolicyviolation", event => done(event.violatedDirective));
              fetch("https://example.org/").catch(() => setTimeout(() => done("none"), 1000));
            })"""
        )
        assert refused == "connect-src"
        at.messages.clear()  # of the request that was refused


@slow
def test_it_works_without_isolation(window: Browser, url: str, photo: Path) -> None:
    with visit(window, url, "registration blocked", service_workers="block") as at:
        assert at.threads == 1
        assert not at.page.evaluate("crossOriginIsolated")
        at.choose(photo)
        at.painted()


@slow
def test_a_draft_takes_seconds(window: Browser, url: str, photo: Path) -> None:
    with visit(window, url) as at:
        at.choose(photo)
        at.painted()
        seconds = []
        for name in ("Dance", "The Kiss", "The Scream"):  # the quickest: other tests may share the cores
            before = at.page.evaluate(_PAINTED)
            began = time.perf_counter()
            at.tile(name).click()
            at.page.wait_for_function(f"before => ({_PAINTED})() !== before", arg=before, polling=100)
            seconds.append(time.perf_counter() - began)
        assert min(seconds) < SECONDS, seconds


@slow
def test_a_painting_is_stopped(window: Browser, url: str, tmp_path: Path) -> None:
    with visit(window, url) as at:
        at.page.locator("#size").select_option("0")
        at.choose(make_photo(tmp_path / "large.png", 1600, 2200))
        stop = at.page.get_by_role("button", name=EN["working.stop"])
        stop.click()
        expect(stop).to_have_count(0)
        expect(at.page.locator(".painted")).to_have_count(0)
        at.page.locator("#size").select_option("1024")
        at.painted()
        assert at.page.locator(".painted canvas").get_attribute("width") == "1024"


@slow
def test_a_style_of_your_own_picture(window: Browser, url: str, photo: Path, tmp_path: Path) -> None:
    with visit(window, url) as at:
        at.choose(photo)
        at.painted()
        at.page.locator(".styles input[type=file]").set_input_files(make_photo(tmp_path / "my style.png", 200, 300))
        expect(at.tile("my style")).to_have_attribute("aria-pressed", "true")
        at.painted()


@slow
def test_wrong_files_are_told(window: Browser, url: str, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    cut = tmp_path / "cut.png"
    cut.write_bytes(photo.read_bytes()[:20_000])
    make_photo(tmp_path / "small.png", 9, 9)
    head = (9_000).to_bytes(4, "big") * 2 + bytes((1, 0, 0, 0, 0))  # of a picture of 81 million pixels
    large = b"\x89PNG\r\n\x1a\n"
    for kind, content in ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")):
        large += len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
    (tmp_path / "large.png").write_bytes(large)
    sentences = {
        "empty": EN["error.empty"],
        "text": EN["error.no-picture"],
        "cut": EN["error.no-picture"],
        "small": EN["error.too-small"].format(width=9, height=9),
        "large": EN["error.too-large"].format(width="9,000", height="9,000", most=60),
    }
    with visit(window, url) as at:
        for name, sentence in sentences.items():
            at.choose(tmp_path / f"{name}.png")
            expect(at.page.get_by_role("alert")).to_contain_text(sentence)
        at.choose(photo)
        at.painted()
        expect(at.page.get_by_role("alert")).to_be_empty()


@slow
def test_a_damaged_model_is_told(window: Browser, url: str) -> None:
    def damage(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.body()[:-1] + b"?")

    context = window.new_context(service_workers="block")
    context.route("**/weights.bin", damage)
    page = context.new_page()
    page.goto(url)
    expect(page.get_by_role("alert")).to_contain_text("weights.bin of the model is damaged", timeout=PAINTING)
    context.close()


@slow
def test_it_works_by_keyboard(window: Browser, url: str, photo: Path) -> None:
    with visit(window, url) as at:
        at.choose(photo)
        at.painted()
        at.page.get_by_role("radio", name=EN["view.painting"]).focus()
        at.page.keyboard.press("ArrowRight")
        split = at.page.get_by_role("slider", name=EN["stage.split"])
        expect(split).to_have_value("50")
        split.focus()
        at.page.keyboard.press("ArrowLeft")
        expect(split).to_have_value("49")
        at.tile("Rembrandt").focus()
        at.page.keyboard.press("Enter")
        expect(at.tile("Rembrandt")).to_have_attribute("aria-pressed", "true")
        at.painted()


@slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("theme", "language"), [("light", "en"), ("dark", "zh")])
def test_it_is_accessible(window: Browser, url: str, photo: Path, size: Any, theme: Any, language: Any) -> None:
    options = {**SIZES[size], "color_scheme": theme, "locale": LOCALES[language]}
    with visit(window, url, **options) as at:
        texts = EN if language == "en" else ZH
        expect(at.page.get_by_text(texts["welcome.title"])).to_be_visible()
        assert not problems(at.page)
        at.choose(photo)
        at.painted()
        at.page.get_by_role("radio", name=texts["view.compare"]).check()
        assert not problems(at.page)
        assert at.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the page"


def problems(page: Page) -> list[str]:
    """What axe finds on the page."""
    page.evaluate(AXE_SCRIPT)
    found = page.evaluate("() => axe.run({ rules: { 'target-size': { enabled: true } } })")
    return [f"{each['id']}: {[node['html'][:200] for node in each['nodes']]}" for each in found["violations"]]


@slow
def test_the_example_of_the_docs_runs(window: Browser, folder: Path, photo: Path) -> None:
    (code,) = re.findall(r"```js\n(.*?)```", (WEB.parent / "docs" / "browser.md").read_text("utf-8"), re.DOTALL)
    imports = '<script type="importmap">{"imports": {"sfumato-web": "/src/index.js"}}</script>'
    (folder / "example.html").write_text(
        f'<!doctype html>{imports}<input type="file"><canvas></canvas><script type="module">{code}</script>'
    )
    with serving(folder) as url, window.new_page() as page:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(url + "example.html")
        page.wait_for_load_state("networkidle")
        page.locator("input").set_input_files(photo)
        expect(page.locator("canvas")).to_have_attribute("width", "512", timeout=PAINTING)
        shares = [float(text) for text in said if re.fullmatch(r"[\d.]+", text)]
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0, 1)


@slow
def test_the_page_is_small(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LIMIT
    told = json.loads(re.search(r"const FILES = (\{.*?\});", (site / "sw.js").read_text(), re.DOTALL)[1])
    assert set(told) == {path.relative_to(site).as_posix() for path in files} - {"sw.js"}


@slow
def test_the_package_has_types_that_hold(npm: str) -> None:
    run(npm, "run", "check")


@slow
def test_the_package_copies_its_files(npm: str, tmp_path: Path) -> None:
    run("node", "bin/sfumato-web.mjs", "copy", tmp_path / "model")
    names = {
        path.relative_to(tmp_path / "model").as_posix() for path in (tmp_path / "model").rglob("*") if path.is_file()
    }
    assert {"model.json", "weights.bin", "generator.onnx", "ort/ort.wasm.min.mjs"} <= names
    packed = json.loads(run(npm, "pack", "--dry-run", "--json", "--ignore-scripts"))
    listed = packed[0] if isinstance(packed, list) else next(iter(packed.values()))
    files = {each["path"] for each in listed["files"]}
    assert {"src/index.js", "src/worker.js", "model/weights.bin", "types/index.d.ts", "bin/sfumato-web.mjs"} <= files
    assert not any(path.startswith(("site/", "node_modules/", "test/")) for path in files)


def test_the_texts_have_the_same_keys() -> None:
    extra = {key for key in ZH if key.startswith(("style.", "artist."))} | {"error.model", "error.no-style"}
    assert set(EN) == set(ZH) - extra  # the names of English are on the cards of the styles
    for key in EN:
        assert set(re.findall(r"\{\w+\}", EN[key])) == set(re.findall(r"\{\w+\}", ZH[key])), key
    from sfumato.assets import style_names

    assert {f"style.{name}" for name in style_names()} == {key for key in ZH if key.startswith("style.")}


def test_modules_are_short() -> None:
    for path in [*WEB.glob("src/*.js"), *WEB.glob("site/**/*.js"), *WEB.glob("bin/*.mjs"), *WEB.glob("tools/*.py")]:
        assert len(path.read_text("utf-8").splitlines()) <= 400, path
