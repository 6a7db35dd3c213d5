"""Pictures that a browser paints have the pixels that Python paints."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from sfumato.assets import style_pictures
from sfumato.image import Photo, shrink
from sfumato.inference.options import PaintOptions
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer
from web_site import serving

pytestmark = pytest.mark.slow
#: Heights and widths before and after resizing.
SHAPES = [(700, 467, 480, 320), (1500, 1003, 240, 160), (37, 2500, 16, 1024), (90, 80, 233, 211)]
#: Largest difference of a pixel, in levels.
LEVELS = 2
_PAINT = """async ([name, height, width, options, own]) => {
  const pixels = async (file, high, wide) =>
    new ImageData(new Uint8ClampedArray(await (await fetch(file, { cache: "no-store" })).arrayBuffer()), wide, high);
  const text = async data => new Promise(done => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.split(",")[1]);
    reader.readAsDataURL(new Blob([data]));
  });
  const style = own ? await painter.encode(await pixels(...own), "own") : options.style;
  const { image, recipe } = await painter.paint(await pixels(name, height, width), { ...options, style });
  return [image.width, image.height, await text(image.data), recipe];
}"""


@pytest.fixture(scope="module")
def desk(folder: Path, window: Browser) -> Iterator[tuple[Page, Path]]:
    """A page with a painter, and the folder that its server serves."""
    (folder / "empty.html").touch()
    with serving(folder, isolated=True) as url:
        page = window.new_page(base_url=url)
        page.goto("/empty.html")
        page.evaluate(
            """async () => {
              const { Painter } = await import("/src/index.js");
              globalThis.painter = await Painter.load({ base: "/sfumato/" });
            }"""
        )
        yield page, folder
        page.close()


def picture(height: int, width: int, gray: bool = False, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A photo-like picture: part of a painting, with the grain of a camera."""
    with Image.open(style_pictures("grande-jatte")[0]) as image:
        whole = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS), int)
    grainy = whole + np.random.default_rng(seed).integers(-6, 7, whole.shape)
    if gray:
        grainy[:] = grainy.mean(2, keepdims=True).astype(int)
    return np.clip(grainy, 0, 255).astype(np.uint8)


def hole(height: int, width: int) -> npt.NDArray[np.uint8]:
    """An alpha channel: a soft disc on nothing."""
    rows, columns = np.mgrid[:height, :width]
    far = np.hypot(rows / height - 0.5, columns / width - 0.5)
    return np.asarray(np.clip((0.45 - far) * 2000, 0, 255), np.uint8)


def store(folder: Path, name: str, photo: Photo) -> tuple[str, int, int]:
    """Write the pixels for the page, and return what it reads."""
    alpha = np.full(photo.pixels.shape[:2], 255, np.uint8) if photo.alpha is None else photo.alpha
    (folder / name).write_bytes(np.dstack([photo.pixels, alpha]).tobytes())
    return f"/{name}", photo.height, photo.width


def painted(
    desk: tuple[Page, Path], photo: Photo, options: dict[str, Any], own: Photo | None = None
) -> tuple[npt.NDArray[np.uint8], dict[str, Any]]:
    """The pixels (H, W, 4) that the browser paints, and the recipe."""
    page, folder = desk
    style = store(folder, "style.rgba", own) if own else None
    asked = [*store(folder, "photo.rgba", photo), options, style]
    width, height, text, recipe = page.evaluate(_PAINT, asked)
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4), recipe


CASES: dict[str, tuple[Photo, dict[str, Any]]] = {
    "base size": (Photo(picture(512, 512)), {}),
    "enlarged, half": (Photo(picture(700, 467)), {"strength": 0.5}),
    "twice the base": (Photo(picture(1024, 1100)), {"stroke": 1.0}),
    "odd, the photo's palette, seed": (Photo(picture(333, 517)), {"color": "content", "seed": 7}),
    "gray, transparent": (Photo(picture(400, 301, gray=True), hole(400, 301)), {"color": "luminance", "strength": 0.8}),
    "large strokes": (Photo(picture(600, 801)), {"stroke": 1.7}),
    "small strokes": (Photo(picture(300, 257)), {"stroke": 0.6, "strength": 0.0}),
    "narrow": (Photo(picture(12, 300)), {}),
    "long": (Photo(picture(90, 1400)), {}),
    "repainted, in tiles": (Photo(picture(1100, 1500)), {"seed": 2**40 + 5}),
}


@pytest.mark.parametrize("name", CASES)
def test_pixels_are_those_of_python(desk: tuple[Page, Path], name: str) -> None:
    photo, options = CASES[name]
    found, _ = painted(desk, photo, {"style": "monet", **options})
    wanted = Stylizer().paint(photo, Style.named("monet"), PaintOptions(quality="draft", **options))
    assert np.abs(found[..., :3].astype(int) - wanted.pixels).max() <= LEVELS
    assert np.abs(found[..., :3].astype(int) - photo.pixels).mean() > (1 if options.get("strength") != 0 else 0)
    assert (found[..., 3] == (255 if photo.alpha is None else photo.alpha)).all()


@pytest.mark.parametrize("alpha", [False, True])
def test_a_photo_is_shrunk_as_in_python(desk: tuple[Page, Path], alpha: bool) -> None:
    photo = Photo(picture(500, 731), hole(500, 731) if alpha else None)
    found, recipe = painted(desk, photo, {"style": "klimt", "maxSize": 400, "strength": 0.7})
    small = shrink(photo, 400)
    wanted = Stylizer().paint(small, Style.named("klimt"), PaintOptions(quality="draft", strength=0.7))
    assert np.abs(found[..., :3].astype(int) - wanted.pixels)[found[..., 3] > 0].max() <= LEVELS
    assert recipe["max_size"] == 400


def test_the_style_of_a_picture_is_that_of_python(desk: tuple[Page, Path]) -> None:
    photo, own = Photo(picture(300, 400)), Photo(np.ascontiguousarray(picture(420, 333, seed=3)[::-1, :, ::-1]))
    found, _ = painted(desk, photo, {}, own)
    style = Style.from_image(own.picture(), "own")
    wanted = Stylizer().paint(photo, style, PaintOptions(quality="draft"))
    assert np.abs(found[..., :3].astype(int) - wanted.pixels).max() <= LEVELS


def test_the_recipe_is_that_of_python(desk: tuple[Page, Path]) -> None:
    from sfumato.inference.recipe import Recipe

    options: dict[str, Any] = {"strength": 0.25, "stroke": 1.5, "seed": 3, "color": "luminance"}
    _, recipe = painted(desk, Photo(picture(64, 96)), {"style": "monet", **options})
    wanted = Recipe.of(Stylizer(), [Style.named("monet")], PaintOptions(quality="draft", **options)).to_json()
    del wanted["styles"][0]["channel_stats"]  # only choices of strength need them
    assert recipe == wanted


def test_each_painting_is_of_its_own_photo(desk: tuple[Page, Path]) -> None:
    page, _ = desk
    found = page.evaluate(
        """async () => {
          const plain = (level, size) => new ImageData(new Uint8ClampedArray(size * size * 4).fill(level), size, size);
          const [dark, light] = [plain(40, 20), plain(200, 30)];
          const signal = AbortSignal.abort();
          const asked = [
            painter.paint(dark, { style: "monet" }),
            painter.paint(light, { style: "monet", signal }).catch(problem => problem.code),
            painter.paint(light, { style: "klimt" }),
            painter.paint(dark, { style: "klimt" }),
            painter.paint(dark, { style: "no such style" }).catch(problem => problem.code),
            painter.paint(dark, { style: "monet", strength: 2 }).catch(problem => problem.message),
            painter.paint(null, { style: "monet" }).catch(problem => problem.code),
          ];
          return (await Promise.all(asked)).map(each => each.image?.width ?? each);
        }"""
    )
    assert found == [
        20,
        "cancelled",
        30,
        20,
        "no-style",
        "strength must be a number from 0 to 1, but is 2.",
        "no-picture",
    ]


def test_resizing_is_that_of_pillow(desk: tuple[Page, Path]) -> None:
    page, folder = desk
    for height, width, high, wide in SHAPES:
        levels = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
        (folder / "levels").write_bytes(levels.tobytes())
        found = page.evaluate(
            """async ([height, width, high, wide]) => {
              const { resizeLevels } = await import("/src/resample.js");
              const data = new Uint8Array(await (await fetch("/levels", { cache: "no-store" })).arrayBuffer());
              return Array.from(resizeLevels({ data, channels: 3, height, width }, high, wide).data);
            }""",
            [height, width, high, wide],
        )
        resized = Image.fromarray(levels).resize((wide, high), Image.Resampling.LANCZOS, reducing_gap=3.0)
        assert (np.array(found, np.uint8) == np.asarray(resized).ravel()).all()


def test_seeds_place_strokes_as_numpy_does(desk: tuple[Page, Path]) -> None:
    page, _ = desk
    seeds = [1, 2, 12345, 2**31, 2**32 + 1, 2**53]
    found = page.evaluate(
        """async seeds => {
          const { integers } = await import("/src/random.js");
          return seeds.map(seed => integers(seed, 429, 20));
        }""",
        seeds,
    )
    assert found == [np.random.default_rng(seed).integers(0, 429, 20).tolist() for seed in seeds]
