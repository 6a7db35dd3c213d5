"""On a graphics processor, here a software one, the browser paints the same picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, TimeoutError, sync_playwright

from browser import program
from web_site import run, serving

pytestmark = pytest.mark.slow
#: Largest difference of a pixel to the processor's, in levels.
LEVELS = 2
#: For a software adapter on a busy machine, in milliseconds. Some machines emulate too slowly, or never answer.
PATIENCE = 180_000
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--use-vulkan=swiftshader",
    "--ignore-gpu-blocklist",
    "--enable-features=Vulkan,WebGPU",
)
_HAS_ADAPTER = "async () => [Boolean(await navigator.gpu?.requestAdapter())]"
_PAINT_ON_BOTH = """async () => {
  const { Painter } = await import("/src/index.js");
  const levels = { length: 64 * 64 * 4 };
  const data = Uint8ClampedArray.from(levels, (_, i) => i % 4 === 3 ? 255 : 128 + 100 * Math.sin(i / 77));
  const paint = async device => {
    const painter = await Painter.load({ base: "/sfumato/", device });
    const { image } = await painter.paint(new ImageData(data.slice(), 64, 64), { style: "monet" });
    await painter.encode(new ImageData(data.slice(), 64, 64)); // by now what was opened in the background is known
    painter.close();
    return [painter.device, image.data];
  };
  const [[first, plain], [second, drawn]] = [await paint("wasm"), await paint("webgpu")];
  return [first, second, Math.max(...plain.map((level, i) => Math.abs(level - drawn[i])))];
}"""


def test_a_graphics_processor_paints_the_same(npm: str, site: Path, tmp_path: Path) -> None:
    run("node", "bin/sfumato-web.mjs", "copy", tmp_path / "sfumato", "--webgpu")
    (tmp_path / "src").symlink_to(site / "src")
    (tmp_path / "empty.html").touch()
    chromium = program()
    with serving(tmp_path, isolated=True) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(url + "empty.html")
        if not _result(page, _HAS_ADAPTER)[0]:
            browser.close()
            pytest.skip("this Chromium has no software adapter for WebGPU")
        first, second, most = _result(page, _PAINT_ON_BOTH)
        browser.close()
    assert (first, second) == ("wasm", "webgpu")
    assert most <= LEVELS


def _result(page: Page, function: str) -> Any:
    """Return what an asynchronous function of the page gives; the test is skipped where it never ends.

    The wait is outside the page, since a page whose adapter hangs does not even run its own timers.
    """
    page.evaluate(
        f"""() => {{
          delete window.found;
          ({function})().catch(problem => [`${{problem}}`, "", 0]).then(found => {{ window.found = found; }});
        }}"""
    )
    try:
        page.wait_for_function("() => window.found")
    except TimeoutError:
        pytest.skip(f"the software adapter does not answer within {PATIENCE // 1000} s here")
    return page.evaluate("() => window.found")
