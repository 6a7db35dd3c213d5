"""Mutated files and option sets: what comes out is a whole picture, or one sentence and nothing.

`-m slow` runs 2,000 of them; without it a share does.
"""

from __future__ import annotations

import faulthandler
import io
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from typer.testing import CliRunner

from mutation import mutated_bytes
from sfumato.cli import app
from sfumato.image import Photo, read_photo, write_photo
from sfumato.inference import Style
from sfumato.metadata import Metadata

FILES, OPTION_SETS = 1400, 600
LONGEST = 60  # seconds
CODES = {0, 2, 3, 4, 5}  # of `sfumato.errors`; 1 would be a mistake without a class


def invoke(*arguments: Any) -> Any:
    """The command in this process: its result, after what holds for every run."""
    words = [str(argument) for argument in arguments]
    # A hang inside a decoder cannot be interrupted: the process ends, and its stack says where.
    faulthandler.dump_traceback_later(LONGEST, exit=True)
    began = time.perf_counter()
    try:
        result = CliRunner().invoke(app, words)
    finally:
        faulthandler.cancel_dump_traceback_later()
    took = time.perf_counter() - began
    assert result.exception is None or isinstance(result.exception, SystemExit), f"{words}: {result.exception!r}"
    assert result.exit_code in CODES, f"{words}: {result.exit_code}, {result.stderr}"
    assert took < LONGEST, f"{words} took {took:.0f} s"
    assert "Traceback" not in result.stderr, words
    assert "Warning" not in result.stderr, f"{words}: {result.stderr}"
    if result.exit_code > 2:
        message = result.stderr.splitlines()
        assert len(message) == 1 or "failed:" in message[0], f"{words}: {result.stderr}"
        assert message[0].startswith("sfumato: ") or len(message) > 1, f"{words}: {result.stderr}"
    return result


def saved(image: Any, format: Any, **options: Any) -> Any:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def originals() -> Any:
    """Small real files of every kind that is read, by name."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:28, 0:40]
    levels = np.stack([6 * x, 9 * y, 3 * (x + y)], -1) + rng.normal(0, 9, (28, 40, 3))
    rgb = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    alpha = rgb.copy()
    alpha.putalpha(Image.fromarray((6 * x).astype(np.uint8)))
    grey16 = Image.fromarray((levels[:, :, 0].clip(0, 255) * 257).astype(np.uint16))
    exif = Image.Exif()
    exif[0x0112], exif[0x8298], exif[0x010F] = 6, "A. Painter", "Camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    files = {
        "a.jpg": saved(rgb, "JPEG", exif=exif, icc_profile=profile),
        "progressive.jpg": saved(rgb, "JPEG", progressive=True),
        "cmyk.jpg": saved(rgb.convert("CMYK"), "JPEG"),
        "grey.jpg": saved(rgb.convert("L"), "JPEG"),
        "rgb.png": saved(rgb, "PNG", exif=exif),
        "palette.png": saved(rgb.quantize(16), "PNG", transparency=3),
        "alpha.png": saved(alpha, "PNG", icc_profile=profile),
        "deep.png": saved(grey16, "PNG"),
        "one.png": saved(rgb.convert("1"), "PNG"),
        "lossy.webp": saved(rgb, "WEBP", quality=80),
        "alpha.webp": saved(alpha, "WEBP", lossless=True),
        "raw.tif": saved(rgb, "TIFF"),
        "lzw.tif": saved(alpha, "TIFF", compression="tiff_lzw"),
        "deep.tif": saved(grey16, "TIFF", compression="tiff_adobe_deflate"),
        "a.gif": saved(rgb.quantize(32), "GIF", save_all=True, append_images=[rgb.rotate(180).quantize(32)]),
        "a.bmp": saved(rgb, "BMP"),
    }
    for suffix in ("png", "jpg", "webp", "tiff"):  # results, whose recipes `replay` reads
        recipe = {"version": "1", "model": "m", "model_sha256": "0", "styles": [{"name": "s", "code": "AAAA"}]}
        photo = read_photo(files["rgb.png"])
        file = io.BytesIO()
        write_photo(Photo(photo.pixels, None, Metadata(recipe=recipe)), file, suffix)  # type: ignore[arg-type]
        files[f"result.{suffix}"] = file.getvalue()
    return files


def run_mutated(count: int, originals: Any, folder: Path) -> None:
    style = folder / "good.safetensors"
    Style.blend({"great-wave": 1, "monet": 2}).save(style)
    good = folder / "good.png"
    good.write_bytes(originals["rgb.png"])
    names = sorted(originals)
    tally = dict.fromkeys(CODES, 0)
    for case in range(count):
        rng = np.random.default_rng([7, case])
        name = names[rng.integers(0, len(names))]
        role = rng.choice(["photo", "photo", "photo", "style", "mask", "style file", "recipe"])
        source = style.read_bytes() if role == "style file" else originals[name]
        bad = folder / ("bad.safetensors" if role == "style file" else f"bad-{name}")
        bad.write_bytes(mutated_bytes(source, rng, originals[names[rng.integers(0, len(names))]]))
        out = folder / f"out.{rng.choice(['png', 'jpg', 'webp', 'tiff'])}"
        arguments = {
            "photo": ["stylize", bad, "--style", "monet"],
            "style": ["stylize", good, "--style", bad],
            "mask": ["stylize", good, "--style", "monet", "--mask", bad],
            "style file": ["stylize", good, "--style", bad],
            "recipe": ["replay", bad, good] if rng.random() < 0.5 else ["replay", bad, bad],
        }[role]
        before = bad.read_bytes()
        result = invoke(*arguments, "-o", out)
        tally[result.exit_code] += 1
        assert bad.read_bytes() == before
        if result.exit_code == 0:
            with Image.open(out) as picture:
                picture.load()
            out.unlink()
        bad.unlink()
        left = sorted(path.name for path in folder.iterdir())
        assert left == ["good.png", "good.safetensors"], f"case {case}, {role} {name}: {left}"
    # Of both kinds enough that the test says something.
    assert tally[0] > count / 20, tally
    assert tally[3] > count / 4, tally


def test_some_mutated_files(originals: Any, tmp_path: Path) -> None:
    run_mutated(100, originals, tmp_path)


@pytest.mark.slow
def test_many_mutated_files(originals: Any, tmp_path: Path) -> None:
    run_mutated(FILES, originals, tmp_path)


numbers = st.one_of(
    st.floats(-0.2, 1.2).map(lambda v: f"{v:.3f}"),
    st.integers(-3, 3).map(str),
    st.sampled_from(["nan", "inf", "-inf", "1e309", "", "x", "٣", "0x1", "1_0"]),
)


def usually(*good: Any) -> Any:
    """Mostly a good value: sets of options that are all wrong only ever meet the first check."""
    return st.one_of(st.sampled_from(good), st.sampled_from(good), st.sampled_from(good), numbers)


styles = st.sampled_from(
    ["monet", "great-wave:0.4", "monet:0", "monet:-1", "monet:nan", "monet:1e400", "nope", "", ":", ":1", "a.jpg",
     "a.jpg:2", "good.safetensors", "good.safetensors:0.5", "folder", "text.jpg", "alpha.png", "missing.png",
     "\N{SNOWMAN}"]
)  # fmt: skip
options = st.fixed_dictionaries(
    {},
    optional={
        "--strength": usually("0", "0.5", "1"),
        "--stroke": usually("0.5", "1", "2"),
        "--color": st.sampled_from(["style", "content", "luminance", "blue", ""]),
        "--max-size": usually("0", "16", "33", "100000"),
        "--format": st.sampled_from(["png", "jpg", "webp", "tiff", "gif", ""]),
        "--file-quality": usually("1", "80", "100"),
        "--threads": usually("1", "2"),
        "--device": st.sampled_from(["auto", "cpu", "cuda", "tpu", ""]),
        "--max-pixels": usually("2000", "200000000", "1"),
        "--model": st.sampled_from(["folder", "missing", "a.jpg"]),
    },
)
photos = st.sampled_from(
    ["rgb.png", "a.jpg", "cmyk.jpg", "alpha.png", "a.gif", "missing.png", "text.jpg", "folder", "*.gif", "*.none", "-",
     "", "folder/../rgb.png", "deep.tif", "a" * 300 + ".png", "a" * 200 + ".png"]
)  # fmt: skip
outs = st.sampled_from(
    [None, "out.png", "out.JPG", "out.webp", "out.tif", "out.gif", "out", "new/", "new/a.png", "folder", "rgb.png", "-",
     "", "a" * 300 + ".png", "text.jpg/x.png"]
)  # fmt: skip
flags = st.lists(st.sampled_from(["--json", "--overwrite"]), unique=True)
sets = st.tuples(
    st.lists(photos, min_size=1, max_size=2),
    st.lists(styles, min_size=1, max_size=3),
    st.lists(st.sampled_from(["grey.jpg", "rgb.png", "a.gif", "text.jpg", "missing.png", "folder", ""]), max_size=2),
    options,
    outs,
    flags,
)


@pytest.fixture(scope="module")
def desk(originals: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder of good and bad inputs, that commands name relative to it."""
    folder = tmp_path_factory.mktemp("desk")
    for name, data in originals.items():
        (folder / name).write_bytes(data)
    Style.blend({"great-wave": 1, "monet": 2}).save(folder / "good.safetensors")
    (folder / "text.jpg").write_text("no picture", "utf-8")
    (folder / "folder").mkdir()
    return folder


def check_options(desk: Any, case: Any) -> None:
    photo, style, mask, chosen, out, more = case
    words = [*photo, *(w for s in style for w in ("--style", s)), *(w for m in mask for w in ("--mask", m))]
    words += [w for pair in chosen.items() for w in pair]
    before = {path: path.read_bytes() for path in desk.rglob("*") if path.is_file()}
    result = invoke("stylize", *words, *([] if out is None else ["-o", out]), *more)
    after = {path: path.read_bytes() for path in desk.rglob("*") if path.is_file()}
    new = {path: data for path, data in after.items() if before.get(path) != data}
    assert before.keys() <= after.keys(), words
    for path, data in new.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data)) as picture:
                picture.load()
        path.unlink()
        if path in before:
            assert "--overwrite" in more, words
            assert path.name == out, words
            path.write_bytes(before[path])
    if result.exit_code and len(photo) == 1 and "*" not in photo[0] and photo[0] != "folder":
        assert not new, f"{words}: {sorted(new)}"
    for path in sorted(desk.rglob("*"), reverse=True):
        if path.is_dir() and path.name != "folder":
            path.rmdir()


def fuzz_options(count: int) -> Any:
    @settings(max_examples=count, suppress_health_check=list(HealthCheck), database=None)
    @given(case=sets)
    def test(desk: Any, monkeypatch_module: Any, case: Any) -> None:
        monkeypatch_module.chdir(desk)
        check_options(desk, case)

    return test


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


test_some_option_sets = fuzz_options(60)
test_many_option_sets = pytest.mark.slow(fuzz_options(OPTION_SETS))
