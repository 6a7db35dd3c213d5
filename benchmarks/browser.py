"""Seconds of the page that paints in the browser: loading, first and second painting, with one thread and with all.

    python benchmarks/browser.py [SITE]

SITE is the built page; without it, it is built. Run it on idle cores.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]
from sfumato.assets import style_pictures  # noqa: E402
from web_site import WEB, run, serving  # noqa: E402

TIMES = 5
SIZES = {"512 x 512": (512, 512), "1,024 x 1,536": (1024, 1536), "2,000 x 3,000": (2000, 3000)}
_LOAD = """async ([threads]) => {
  const began = performance.now();
  const { Painter } = await import("/src/index.js");
  globalThis.painter = await Painter.load({ base: "/model/", threads, warm: false });
  return (performance.now() - began) / 1000;
}"""
_PAINT = """async ([height, width, strength]) => {
  const answer = await fetch("/bench.png", { cache: "no-store" });
  const bitmap = await createImageBitmap(await answer.blob(), { resizeWidth: width, resizeHeight: height });
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  const image = canvas.getContext("2d").getImageData(0, 0, width, height);
  const began = performance.now();
  await painter.paint(image, { style: "monet", strength });
  return (performance.now() - began) / 1000;
}"""


@contextmanager
def built() -> Iterator[Path]:
    if len(sys.argv) > 1:
        yield Path(sys.argv[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        if not (WEB / "node_modules").exists():
            run("npm", "ci", "--ignore-scripts")
        run("node", "build.mjs", "site", folder)
        yield Path(folder)


def measure(browser: Any, site: Path, threads: int) -> dict[str, float]:
    found = {}
    with serving(site, isolated=True) as url:
        page = browser.new_page(base_url=url)
        page.goto("/icon.svg")
        found["load"] = page.evaluate(_LOAD, [threads])
        found["first 512 x 512, with opening"] = page.evaluate(_PAINT, [512, 512, 1])
        for name, size in SIZES.items():
            for strength in (1, 0.8) if name == "512 x 512" else (1,):
                seconds = [page.evaluate(_PAINT, [*size, strength]) for _ in range(TIMES if size[0] < 1000 else 2)]
                found[f"{name}, strength {strength}"] = statistics.median(seconds)
        page.close()
        context = browser.new_context(base_url=url)
        page, began = context.new_page(), time.perf_counter()
        page.goto("/")
        page.wait_for_selector("html[data-threads]")
        found["page, first visit"] = time.perf_counter() - began
        context.close()
    return found


def main() -> None:
    chromium = subprocess.run(["which", "chromium"], capture_output=True, text=True, check=True).stdout.strip()
    with built() as site, sync_playwright() as playwright:
        with Image.open(style_pictures("grande-jatte")[0]) as image:
            pixels = np.asarray(image.convert("RGB"), int)
        noisy = pixels + np.random.default_rng(0).integers(-6, 7, pixels.shape)
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(site / "bench.png")
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        for threads in (1, 2):
            found = measure(browser, site, threads)
            rounded = {name: round(value, 2) for name, value in found.items()}
            print(json.dumps({"threads": threads, **rounded}, indent=1))
        (site / "bench.png").unlink()
        browser.close()


if __name__ == "__main__":
    main()
