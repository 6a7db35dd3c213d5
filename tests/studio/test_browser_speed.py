"""The page is light and moves smoothly: its weight, its first seconds, and the frames of a slide over 12 megapixels."""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Request
from sqlalchemy import select

from browser import PAINTING, Desk, House, Size, expect
from sfumato.image import to_uint8, write_image
from sfumato.studio.database import open_database, writing
from sfumato.studio.files import FileStore
from sfumato.studio.storing import add_pictures, put_files
from sfumato.studio.tables import Account
from sfumato.studio.work import Made
from support import scene

pytestmark = pytest.mark.slow
_FRAMES = """() => new Promise(done => {
  const times = [];
  const tick = now => { times.push(now); if (times.length < 181) requestAnimationFrame(tick); else done(times); };
  requestAnimationFrame(tick);
})"""
# The drag is scripted on the page, one move in a frame, so that the browser is measured and not the wire.
_SLIDE = """pane => new Promise(done => {
  const box = pane.getBoundingClientRect();
  const y = box.top + box.height / 2;
  const say = (kind, x) => pane.dispatchEvent(new PointerEvent(kind, {
    clientX: x, clientY: y, pointerId: 1, button: 0, buttons: 1, bubbles: true, cancelable: true, isPrimary: true }));
  pane.setPointerCapture = () => {}; // no pointer of the system is pressed
  const times = [];
  say("pointerdown", box.left + box.width / 2);
  const tick = now => {
    times.push(now);
    say("pointermove", box.left + box.width * (0.5 + 0.4 * Math.sin(times.length / 14)));
    if (times.length < 181) requestAnimationFrame(tick);
    else { say("pointerup", box.left); done(times); }
  };
  requestAnimationFrame(tick);
})"""


def store_large(house: House, folder: Path) -> str:
    """Store a photo and a painting of 4000 x 3000; the painting's id."""
    running = house.running
    sessions = open_database(f"sqlite:///{running.data / 'studio.db'}")
    files = FileStore(str(running.data / "files"))
    small = to_uint8(scene(750, 1000, seed=3))
    large = np.asarray(Image.fromarray(small).resize((4000, 3000), Image.Resampling.BICUBIC))
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 12, (3000, 4000, 1), np.uint8)
    made = []
    for kind, pixels in (("photo", large), ("result", 255 - large)):
        path, thumb = folder / f"{kind}.png", folder / f"{kind}.webp"
        Image.fromarray(np.maximum(pixels, 12) - noise).save(path, compress_level=1)
        Image.fromarray(small).resize((512, 384)).save(thumb)
        made.append((kind, path, thumb))
    try:
        with sessions() as session:
            account = session.scalars(select(Account.id)).one()
        ids: list[str] = []
        for kind, path, thumb in made:
            one = [Made(kind, path, thumb, 4000, 3000, "image/png", title="large")]
            if ids:
                recipe = {"styles": [{"name": "great-wave"}], "strength": 1.0, "quality": "draft"}
                one = [replace(one[0], recipe=recipe, photo=ids[0])]
            put = put_files(files, account, one)
            with writing(sessions) as session:
                ids.append(add_pictures(session, files, account, one, put)[0].id)
    finally:
        sessions.kw["bind"].dispose()
    return ids[1]


def tell(capsys: pytest.CaptureFixture[str], figures: str) -> None:
    """Show what was measured, also where the test passes."""
    with capsys.disabled():
        sys.stdout.write(f"\n{figures}\n")


def frames(times: list[float]) -> tuple[float, float]:
    """The median and the 95th percentile of the milliseconds between frames."""
    gaps = sorted(np.diff(times).tolist())
    return statistics.median(gaps), gaps[int(0.95 * len(gaps))]


@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_sliding_over_twelve_megapixels_is_smooth(
    house: House, size: Size, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    painting = store_large(house, tmp_path)
    with house.desk(size, "dark", motion=True) as desk:
        desk.page.goto(f"/#/paint?picture={painting}")
        line = desk.page.get_by_role("slider", name=desk.t("paint.split"), exact=True)
        expect(line).to_be_visible(timeout=PAINTING)
        desk.settle()
        desk.page.wait_for_timeout(1500)  # the large pictures are decoded and drawn
        still = frames(desk.page.evaluate(_FRAMES))
        pane = line.locator("xpath=ancestor::*[contains(@class, 'pane')][1]")
        at_start = line.get_attribute("aria-valuenow")
        moving = frames(pane.evaluate(_SLIDE))
        assert line.get_attribute("aria-valuenow") != at_start
        told = f"{size}: median {moving[0]:.1f} ms, p95 {moving[1]:.1f} ms; at rest {still[0]:.1f}, {still[1]:.1f} ms"
        tell(capsys, told)
        # 16.7 ms on an idle machine. Where other tests hold the cores, frames at rest are late as well.
        assert moving[0] <= max(34.0, 2 * still[0]), told
        assert moving[1] <= max(100.0, 3 * still[1]), told


VIEWS = ("paint", "gallery", "video", "batch", "taste", "judge", "queue", "account", "explain")


def test_the_page_weighs_little_and_loads_nothing_from_elsewhere(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded: dict[str, Request] = {}
    weights = []
    with house.desk() as desk:

        def note(request: Request) -> None:
            loaded.setdefault(request.url, request)

        desk.page.on("requestfinished", note)
        for view in VIEWS:
            desk.go(view)
            desk.settle()
            if view in (VIEWS[0], VIEWS[-1]):
                own = [request for url, request in loaded.items() if "/api/" not in url]
                weights.append(sum(request.sizes()["responseBodySize"] for request in own))
    tell(capsys, f"first view {weights[0] / 1000:.1f} kB, all views {weights[1] / 1000:.1f} kB as they are sent")
    assert 20_000 < weights[0] < weights[1] <= 150_000
    assert {urlsplit(url).netloc for url in loaded} == {urlsplit(house.running.url).netloc}


def test_a_draft_comes_in_seconds(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image(scene(1200, 1600, seed=21), tmp_path / "first.jpg")
    with house.desk() as desk:
        desk.go("paint")
        seconds = seconds_to_draft(desk, tmp_path / "first.jpg")
    told = f"page after {house.link_seconds:.1f} s, draft {seconds:.1f} s after the drop"
    tell(capsys, told)
    assert house.link_seconds < 12  # 3 s and 2 s where nothing else holds the cores
    assert seconds < 20


def seconds_to_draft(desk: Desk, photo: Path) -> float:
    """Drop a photo, and count the seconds until its draft is shown."""
    began = time.perf_counter()
    desk.drop(photo)
    expect(desk.page.get_by_text(desk.t("paint.label_draft"), exact=True).first).to_be_visible(timeout=PAINTING)
    return time.perf_counter() - began
