"""A real browser at a real Studio: one person's page, and everything that went wrong on it."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Locator, Page, expect, sync_playwright

from running_studio import Running
from sfumato.studio.client import Client

Size: TypeAlias = Literal["desktop", "phone"]
Theme: TypeAlias = Literal["light", "dark"]
Language: TypeAlias = Literal["en", "zh"]

PAGES = Path(__file__).parents[1] / "src" / "sfumato" / "studio" / "pages"
SIZES: dict[Size, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1440, "height": 900}},
    "phone": {
        "viewport": {"width": 412, "height": 915},
        "is_mobile": True,
        "has_touch": True,
        "device_scale_factor": 2,
    },
}
LOCALES: dict[Language, str] = {"en": "en-GB", "zh": "zh-CN"}
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
#: Milliseconds after which something that shall appear is missing: two cores may be shared with other tests.
PATIENCE = 30_000
#: For what a painter makes.
PAINTING = 120_000
expect.set_options(timeout=PATIENCE)
_TELL_OF_POLICY = """
addEventListener("securitypolicyviolation", event =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""
_DROP = """([name, type, text]) => {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  return transfer;
}"""
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".txt": "text/plain"}


def program() -> str:
    """Return the Chromium of this machine. The test is skipped where none is installed."""
    found = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if found is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium without a window."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program(), args=_ARGUMENTS)
        try:
            yield chromium
        finally:
            chromium.close()


class House:
    """A browser and a Studio, with the session of the person who opened its link.

    Attributes:
        link_seconds: from opening the link to a page that can be used.
    """

    def __init__(self, browser: Browser, running: Running) -> None:
        self.browser, self.running = browser, running
        context = browser.new_context(base_url=running.url, locale="en-GB")
        try:
            page = context.new_page()
            began = time.perf_counter()
            page.goto(f"/#token={running.token}")
            expect(page.get_by_role("navigation")).to_be_visible(timeout=PATIENCE)
            self.link_seconds = time.perf_counter() - began
            assert running.token not in page.url
            cookies = context.cookies()
            self.state: Any = {"cookies": cookies, "origins": []}
            assert [cookie["httpOnly"] for cookie in cookies] == [True]
            made = context.request.post("/api/v1/keys", data={"label": "test", "scopes": ["read", "write"]})
            self.key: str = made.json()["key"]
        finally:
            context.close()

    def client(self) -> Client:
        """A client that does by the service what a test does not do on the page."""
        return Client(self.running.url, self.key)

    @contextmanager
    def desk(
        self,
        size: Size = "desktop",
        theme: Theme = "light",
        language: Language = "en",
        expected: Sequence[str] = (),
        logged_in: bool = True,
        motion: bool = False,
        base: str = "",
    ) -> Iterator[Desk]:
        """Open the page, and check at the end that nothing went wrong on it but what is expected.

        Args:
            size: of the window.
            theme: what the system prefers.
            language: of the browser.
            expected: patterns of messages that belong to the test, such as a request that is refused.
            logged_in: whether the person is.
            motion: whether things may move; without it pictures of the page are the same each time.
            base: address of another Studio.
        """
        context = self.browser.new_context(
            base_url=base or self.running.url,
            locale=LOCALES[language],
            color_scheme=theme,
            reduced_motion="no-preference" if motion else "reduce",
            storage_state=self.state if logged_in else None,
            permissions=["clipboard-read", "clipboard-write"],
            **SIZES[size],
        )
        context.set_default_timeout(PATIENCE)
        context.add_init_script(_TELL_OF_POLICY)
        desk = Desk(context, size, language)
        try:
            yield desk
            wrong = [each for each in desk.messages if not any(re.search(pattern, each) for pattern in expected)]
            assert not wrong, wrong
        finally:
            context.close()


class Desk:
    """A page of Studio before a person."""

    def __init__(self, context: BrowserContext, size: Size, language: Language) -> None:
        self.context, self.size, self.language = context, size, language
        self.texts: dict[str, Any] = json.loads((PAGES / "texts" / f"{language}.json").read_text("utf-8"))
        self.messages: list[str] = []
        self.page = context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda problem: self.messages.append(f"page error: {problem.stack or problem}"))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.messages.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    @property
    def on_phone(self) -> bool:
        return self.size == "phone"

    def t(self, key: str, **values: object) -> str:
        """The page's text of a key in the reader's language."""
        text = self.texts[key]
        if isinstance(text, dict):
            text = text["one"] if values.get("n") == 1 and "one" in text else text["other"]
        shown = {name: f"{value:,}" if isinstance(value, int) else str(value) for name, value in values.items()}
        return re.sub(r"\{(\w+)\}", lambda found: shown[found[1]], text)

    def go(self, view: str) -> None:
        """Open a view by its address, and wait for its heading."""
        self.page.goto(f"/#/{view}")
        expect(self.page.get_by_role("heading", level=1).first).to_be_attached(timeout=PATIENCE)

    def button(self, key: str, within: Locator | None = None, **values: object) -> Locator:
        """The button with the text of a key."""
        return (within or self.page).get_by_role("button", name=self.t(key, **values), exact=True)

    def wait_for(self, condition: str, argument: object = None, timeout: int = PATIENCE) -> None:
        """Wait for a condition of the page that no locator can express."""
        self.page.wait_for_function(condition, arg=argument, timeout=timeout)

    def drop(self, *paths: Path) -> None:
        """Drop files onto the page, one after the other."""
        for path in paths:
            text = base64.b64encode(path.read_bytes()).decode()
            transfer = self.page.evaluate_handle(_DROP, [path.name, _TYPES[path.suffix], text])
            for event in ("dragenter", "dragover", "drop"):
                self.page.dispatch_event("body", event, {"dataTransfer": transfer})

    def choose(self, button: Locator, *paths: Path) -> None:
        """Choose files by a button that opens the system's dialog."""
        with self.page.expect_file_chooser() as chooser:
            button.click()
        chooser.value.set_files(paths)

    def menu(self, name: str, item: str) -> None:
        """Take an item of a menu."""
        self.page.get_by_role("button", name=name, exact=True).click()
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def says(self, text: str) -> None:
        """Wait for a note at the foot of the page or an alert that says something."""
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=PATIENCE)

    def settle(self) -> None:
        """Wait until pictures are loaded and nothing moves."""
        self.wait_for("() => [...document.images].every(image => image.complete || image.loading === 'lazy')")
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def shoot(self, path: Path) -> None:
        """Keep a picture of the page, to look at."""
        self.settle()
        self.page.screenshot(path=path)


__all__ = ["PAGES", "PAINTING", "PATIENCE", "Desk", "Error", "House", "Page", "browser", "expect"]
