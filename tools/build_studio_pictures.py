"""Take the pictures of Studio's page for README.md and docs/studio.md, into docs.

usage: build_studio_pictures.py [folder for the same pictures as PNG, to look at]

A Studio is started in a folder of its own, and photos of scikit-image (free of rights, see docs/gallery.md) are painted
in it; then Chromium opens its page. It takes some five minutes on two cores.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "tests")]
from demo import sample_photos  # noqa: E402

from browser import PAINTING, Desk, House, browser, expect  # noqa: E402
from running_studio import studio  # noqa: E402
from sfumato.assets import style_pictures  # noqa: E402
from sfumato.studio.client import Client  # noqa: E402

DOCS = ROOT / "docs"
#: The photos are small; at twice their size they fill a screen.
ENLARGED = 2
#: What the gallery shows, the newest last.
PAINTED = (
    ("coffee", "cezanne"),
    ("chelsea", "degas"),
    ("rocket", "fighting-temeraire"),
    ("astronaut", "klimt"),
    ("coffee", "great-wave"),
    ("chelsea", "van-gogh"),
    ("astronaut", "starry-night"),
    ("rocket", "impression-sunrise"),
    ("coffee", "munch"),
    ("chelsea", "the-scream"),
    ("astronaut", "kandinsky"),
    ("rocket", "red-fuji"),
    ("coffee", "monet"),
    ("chelsea", "cafe-terrace"),
)
STARRED = (("chelsea", "cafe-terrace"), ("coffee", "great-wave"), ("rocket", "fighting-temeraire"))
LIKED, DISLIKED = ("monet", "pissarro", "sisley"), ("red-blue-yellow", "vertumnus")


def upload_photos(client: Client, folder: Path) -> dict[str, str]:
    """Upload the photos, enlarged; their ids by name."""
    files = sample_photos()
    files["rocket"] = files["coffee"].with_name("rocket.jpg")
    ids = {}
    for name in ("rocket", "astronaut", "coffee", "chelsea"):
        with Image.open(files[name]) as file:
            size = (file.width * ENLARGED, file.height * ENLARGED)
            path = folder / f"{name}.png"
            file.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(path)
        ids[name] = client.upload(path).id
    return ids


def prepare(client: Client, folder: Path) -> dict[str, str]:
    """Paint the gallery and teach a taste; the ids of the photos by name."""
    photos = upload_photos(client, folder)
    for photo, style in PAINTED:
        made = client.paint(photos[photo], style, quality="draft")
        if (photo, style) in STARRED:
            client.request("PATCH", f"/pictures/{made.id}", json={"star": True})
    rated = {
        key: [client.upload(path, "style").id for style in styles for path in style_pictures(style)[:3]]
        for key, styles in (("liked", LIKED), ("disliked", DISLIKED))
    }
    client.wait(client.submit({"kind": "learn", "taste": "my-taste", **rated}).id)
    return photos


def paint(desk: Desk, photo: str, style: str) -> None:
    """Open a photo, choose a style, and paint it at full size."""
    desk.page.goto(f"/#/paint?photo={photo}")
    if desk.on_phone:
        desk.page.get_by_role("button", name=style, exact=True).click()
    else:
        shelf = desk.page.get_by_role("complementary", name=desk.t("paint.styles"))
        shelf.get_by_role("radio", name=style).first.click()
    expect(desk.page.get_by_text(desk.t("paint.label_draft"), exact=True).first).to_be_attached(timeout=PAINTING)
    desk.button("paint.paint_whole").click()
    done = desk.page.get_by_role("group", name=desk.t("paint.painting"), exact=True)
    expect(done).to_be_visible(timeout=5 * PAINTING)
    desk.button("paint.keep").click()
    desk.page.mouse.move(0, 0)


def keep(desk: Desk, name: str, most: int, pngs: Path | None, width: int = 0) -> None:
    """Store what the page shows as a WebP of at most so many bytes."""
    desk.settle()
    shot = desk.page.screenshot()
    if pngs is not None:
        (pngs / f"{name}.png").write_bytes(shot)
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    if width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    for quality in range(82, 20, -4):
        file = io.BytesIO()
        image.save(file, "WEBP", quality=quality, method=6)
        if file.tell() <= most:
            break
    (DOCS / f"{name}.webp").write_bytes(file.getvalue())
    print(f"docs/{name}.webp: {image.width} x {image.height}, quality {quality}, {file.tell()} bytes")


def shoot(house: House, photos: dict[str, str], pngs: Path | None) -> None:
    """Take all pictures."""
    with house.desk("desktop", "dark") as desk:
        paint(desk, photos["chelsea"], "The Starry Night")
        keep(desk, "studio", 120_000, pngs)
    with house.desk("phone", "light") as desk:
        paint(desk, photos["coffee"], "The Great Wave off Kanagawa")
        keep(desk, "studio-phone", 60_000, pngs, width=618)
    with house.desk("desktop", "light") as desk:
        desk.page.set_viewport_size({"width": 1200, "height": 720})
        desk.go("gallery")
        expect(desk.page.get_by_role("link", name="coffee").first).to_be_visible()
        desk.page.wait_for_timeout(1000)  # the rows are laid out by the size of the window
        keep(desk, "studio-gallery", 60_000, pngs, width=1000)
        desk.page.goto("/#/taste/my-taste")
        learnt = desk.page.get_by_role("region", name=desk.t("tas.learnt"))
        expect(learnt.get_by_role("img").first).to_be_visible(timeout=PAINTING)
        expect(desk.page.get_by_role("progressbar")).to_have_count(0, timeout=PAINTING)
        keep(desk, "studio-taste", 60_000, pngs, width=1000)


def main() -> None:
    if len(sys.argv) > 2 or sys.argv[1:] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    pngs = Path(sys.argv[1]) if len(sys.argv) == 2 else None
    if pngs is not None:
        pngs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browser() as chromium, studio() as running:
        house = House(chromium, running)
        with house.client() as client:
            photos = prepare(client, Path(folder))
        shoot(house, photos, pngs)


if __name__ == "__main__":
    main()
