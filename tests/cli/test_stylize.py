from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from typer.testing import CliRunner

import sfumato
from sfumato.assets import style_names, weights_dir
from sfumato.cli import app
from sfumato.cli.stylize import find_personal
from sfumato.image import to_uint8
from sfumato.inference import Style, Stylizer
from sfumato.inference.library import personal_path
from sfumato.inference.style import PersonalStyle
from support import assert_one_sentence, files, pixels, run

SFUMATO = [sys.executable, "-c", "from sfumato.cli import app; app(prog_name='sfumato')"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:48, 0:64]
    for name in ("cat.png", "dog.jpg", "sea.gif"):
        rgb = np.stack([4 * x, 5 * y, x + y], -1) * rng.uniform(0.3, 1, 3) + rng.normal(0, 9, (48, 64, 3))
        Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(folder / name)
    Image.new("RGB", (9, 40)).save(folder / "tiny.png")
    Image.new("RGB", (9, 8)).save(folder / "dot.png")
    mask = Image.new("L", (64, 48))
    mask.paste(255, (32, 0, 64, 48))
    mask.save(folder / "m.png")
    (folder / "text.jpg").write_text("This is no picture.", "utf-8")
    (folder / "text.safetensors").write_text("This is no style.", "utf-8")
    return folder


def test_a_photo_in_a_built_in_style(photos: Any, tmp_path: Path) -> None:
    result = run("stylize", photos / "cat.png", "--style", "great-wave", "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr
    assert "out.png  64 x 48" in result.stdout.replace("\n", "")
    assert files(tmp_path) == ["out.png"]
    expected = Stylizer()(photos / "cat.png", Style.named("great-wave"))
    assert np.array_equal(pixels(tmp_path / "out.png"), to_uint8(expected))


def test_a_draft_is_in_the_recipe_and_replayed(photos: Any, tmp_path: Path) -> None:
    options = ["--style", "monet", "--quality", "draft", "-o", tmp_path / "draft.png"]
    result = run("stylize", photos / "cat.png", *options)
    assert result.exit_code == 0, result.stderr
    assert "quality   draft" in run("show", tmp_path / "draft.png").stdout
    result = run("replay", tmp_path / "draft.png", photos / "cat.png", "-o", tmp_path / "again.png")
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(pixels(tmp_path / "again.png"), pixels(tmp_path / "draft.png"))


def test_any_picture_is_a_style(photos: Any, tmp_path: Path) -> None:
    result = run("stylize", photos / "cat.png", "--style", photos / "dog.jpg", "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr
    expected = Stylizer()(photos / "cat.png", Style.from_image(photos / "dog.jpg"))
    assert np.array_equal(pixels(tmp_path / "out.png"), to_uint8(expected))


def test_the_pictures_in_a_folder_are_one_style_and_replayed(photos: Any, tmp_path: Path) -> None:
    works = tmp_path / "works"
    works.mkdir()
    for name in ("cat.png", "dog.jpg"):
        shutil.copy(photos / name, works)
    result = run("stylize", photos / "cat.png", "--style", f"{works}/", "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr
    expected = Stylizer()(photos / "cat.png", Style.from_images([works / "cat.png", works / "dog.jpg"]))
    assert np.array_equal(pixels(tmp_path / "out.png"), to_uint8(expected))
    assert "works" in run("show", tmp_path / "out.png").stdout
    again = ["--style", works, "-o", tmp_path / "again.png"]
    result = run("replay", tmp_path / "out.png", photos / "cat.png", *again)
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(pixels(tmp_path / "again.png"), pixels(tmp_path / "out.png"))


def test_a_style_file_and_strength_and_a_model_of_ones_own(photos: Any, tmp_path: Path) -> None:
    Style.blend({"great-wave": 1, "starry-night": 1}).save(tmp_path / "mix.safetensors")
    model = shutil.copytree(weights_dir(), tmp_path / "model")
    options = ["--style", tmp_path / "mix.safetensors", "--strength", "0.4", "--model", model]
    result = run("stylize", photos / "cat.png", *options, "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr
    expected = Stylizer()(photos / "cat.png", Style.load(tmp_path / "mix.safetensors"), 0.4)
    assert np.array_equal(pixels(tmp_path / "out.png"), to_uint8(expected))


def test_strength_0_and_1_differ(photos: Any, tmp_path: Path) -> None:
    for strength in (0, 1):
        options = ["--style", "starry-night", "--strength", strength, "-o", tmp_path / f"{strength}.png"]
        assert run("stylize", photos / "cat.png", *options).exit_code == 0
    assert not np.array_equal(pixels(tmp_path / "0.png"), pixels(tmp_path / "1.png"))


def test_several_photos_go_to_a_folder(photos: Any, tmp_path: Path) -> None:
    out = tmp_path / "new"
    names = ("cat.png", "dog.jpg", "sea.gif")
    result = run("stylize", *(photos / name for name in names), "--style", "monet", "-o", out)
    assert result.exit_code == 0, result.stderr
    assert files(out) == ["cat.png", "dog.jpg", "sea.png"]
    magic = {"cat.png": b"\x89PNG", "dog.jpg": b"\xff\xd8\xff", "sea.png": b"\x89PNG"}
    assert all((out / name).read_bytes().startswith(start) for name, start in magic.items())
    assert [line.split()[1:4] for line in result.stdout.splitlines()] == [["64", "x", "48"]] * 3


def test_one_photo_goes_into_a_folder_that_is_there(photos: Any, tmp_path: Path) -> None:
    assert run("stylize", photos / "dog.jpg", "--style", "monet", "-o", tmp_path).exit_code == 0
    assert files(tmp_path) == ["dog.jpg"]


# Mistakes: one sentence, the documented code, nothing written. {p} is the folder of photos, {t} an empty one.


@pytest.mark.parametrize(
    ("code", "sentence", "arguments"),
    [
        (2, "strength must be between 0 and 1, but is 1.5", "{p}/cat.png --style monet --strength 1.5 -o {t}/x.png"),
        (2, "strength must be between 0 and 1, but is nan", "{p}/cat.png --style monet --strength nan -o {t}/x.png"),
        (2, "did you mean great-wave", "{p}/cat.png --style great-waev -o {t}/x.png"),
        (2, "one file {t}/x.png", "{p}/cat.png {p}/dog.jpg --style monet -o {t}/x.png"),
        (2, "refusing to replace the photo {p}/cat.png", "{p}/cat.png --style monet -o {p}/cat.png"),
        (2, "refusing to replace the photo {p}/cat.png", "{p}/cat.png {p}/dog.jpg --style monet -o {p}"),
        (2, "Invalid value for '--strength'", "{p}/cat.png --style monet --strength 50% -o {t}/x.png"),
        (2, "'blue' is not one of", "{p}/cat.png --style monet --color blue -o {t}/x.png"),
        (2, "weights of a blend", "{p}/cat.png --style monet:nan -o {t}/x.png"),
        (2, "--max-size must be between 16 and 1,000,000", "{p}/cat.png --style monet --max-size 10 -o {t}/x.png"),
        (2, "--max-pixels must be", "{p}/cat.png --style monet --max-pixels -1 -o {t}/x.png"),
        (3, "{p}/none.png", "{p}/none.png --style monet -o {t}/x.png"),
        (3, "https://x.org/a.jpg: it is a web address", "https://x.org/a.jpg --style monet -o {t}/x.png"),
        (3, "https://x.org/a.jpg: it is a web address", "{p}/cat.png --style https://x.org/a.jpg -o {t}/x.png"),
        (3, "{p}/text.jpg", "{p}/text.jpg --style monet -o {t}/x.png"),
        (2, "stroke must be between 0.5 and 2, but is 3", "{p}/cat.png --style monet --stroke 3 -o {t}/x.png"),
        (2, "quality must be between 1 and 100", "{p}/cat.png --style monet --file-quality 0 -o {t}/x.png"),
        (2, "no device 'tpu'", "{p}/cat.png --style monet --device tpu -o {t}/x.png"),
        (2, "weights of a blend", "{p}/cat.png --style monet:-1 --style degas:0 -o {t}/x.png"),
        (
            2,
            "1 style and 2 masks were given",
            "{p}/cat.png --style monet --mask {p}/m.png --mask {p}/m.png -o {t}/x.png",
        ),
        (2, "leave the weights out", "{p}/cat.png --style monet:0.5 --mask {p}/m.png -o {t}/x.png"),
        (
            3,
            "a mask has 9 x 40 pixels and {p}/cat.png 64 x 48",
            "{p}/cat.png --style monet --mask {p}/tiny.png -o {t}/x.png",
        ),
        (3, "{p}/text.jpg", "{p}/cat.png --style monet --mask {p}/text.jpg -o {t}/x.png"),
        (3, "--max-pixels", "{p}/cat.png --style monet --max-pixels 100 -o {t}/x.png"),
        (3, "no picture lies in the folder {t}", "{t} --style monet -o {p}/x"),
        (4, "the folder {t}/gone does not exist", "{p}/cat.png --style monet -o {t}/gone/x.png"),
        (3, "{p}/dot.png has 9 x 8 pixels", "{p}/dot.png --style monet -o {t}/x.png"),
        (3, "{p}/text.jpg", "{p}/cat.png --style {p}/text.jpg -o {t}/x.png"),
        (3, "{p}/none.jpg", "{p}/cat.png --style {p}/none.jpg -o {t}/x.png"),
        (3, "{p}/dot.png has 9 x 8 pixels", "{p}/cat.png --style {p}/dot.png -o {t}/x.png"),
        (3, "no picture lies in the folder {t}", "{p}/cat.png --style {t} -o {p}/x.png"),
        (4, "must end in one of .jpg", "{p}/cat.png --style monet -o {t}/x.psd"),
        (4, "must end in one of .jpg", "{p}/cat.png --style monet -o {t}/x"),
        (4, "{p}/dog.jpg/x.png", "{p}/cat.png --style monet -o {p}/dog.jpg/x.png"),
        (5, "{p}/text.safetensors is not a Sfumato style", "{p}/cat.png --style {p}/text.safetensors -o {t}/x.png"),
        (5, "{t} is not an exported model", "{p}/cat.png --style monet --model {t} -o {t}/x.png"),
    ],
)
def test_mistakes(photos: Any, tmp_path: Path, code: int, sentence: str, arguments: str) -> None:
    paths = {"p": photos.as_posix(), "n": photos.name, "t": tmp_path.as_posix()}
    before = files(photos)
    result = run("stylize", *arguments.format(**paths).split())
    assert_one_sentence(result, code, sentence.format(**paths))
    assert files(tmp_path) == []
    assert files(photos) == before


@pytest.mark.parametrize("arguments", [["--style", "monet", "-o", "x.png"], ["x.png", "-o", "y.png"], ["--abacus"]])
def test_wrong_usage(arguments: list[str]) -> None:
    assert run("stylize", *arguments).exit_code == 2


def test_a_damaged_model_is_refused(photos: Any, tmp_path: Path) -> None:
    model = shutil.copytree(weights_dir(), tmp_path / "model")
    graph = bytearray((model / "generator.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (model / "generator.onnx").write_bytes(graph)
    result = run("stylize", photos / "cat.png", "--style", "monet", "--model", model, "-o", tmp_path / "x.png")
    assert result.exit_code == 5
    assert "generator.onnx is damaged" in result.stderr
    assert not (tmp_path / "x.png").exists()


def test_a_failure_leaves_what_was_done_and_nothing_half_done(photos: Any, tmp_path: Path) -> None:
    shutil.copy(photos / "dog.jpg", tmp_path / "text.jpg")  # a result of yesterday
    result = run("stylize", *(photos / name for name in ("cat.png", "text.jpg")), "--style", "monet", "-o", tmp_path)
    assert result.exit_code == 4
    assert "text.jpg already exists and was made with other settings; add --overwrite" in result.stderr
    assert files(tmp_path) == ["cat.png", "text.jpg"]
    assert np.array_equal(pixels(tmp_path / "text.jpg"), pixels(photos / "dog.jpg"))


def test_a_mistake_in_a_real_process(photos: Any, tmp_path: Path) -> None:
    command = [*SFUMATO, "stylize", photos / "text.jpg", "--style", "monet", "-o", tmp_path / "x.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert files(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files, and leaves no place for temporary ones")
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_a_full_disk_leaves_nothing_and_no_temporary_folder_is_needed(photos: Any, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"x.{suffix}"
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)); "
    command = [sys.executable, "-c", code + SFUMATO[-1], "stylize", photos / "cat.png", "--style", "monet", "-o", out]
    # Not measured by `make coverage`, which would write a larger file at the end.
    usual = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=usual)
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert done.stderr == f"sfumato: cannot write {out}: File too large\n"
    assert files(tmp_path) == []
    nowhere = {**os.environ, "TMPDIR": "/proc/none", "TEMP": "/proc/none", "TMP": "/proc/none"}
    subprocess.run([*SFUMATO, *command[3:]], env=nowhere, check=True, capture_output=True)
    assert files(tmp_path) == [out.name]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_pipe(photos: Any) -> None:
    with open("/dev/full", "wb") as full:
        command = [*SFUMATO, "stylize", photos / "cat.png", "--style", "monet", "-o", "-"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr.splitlines() == ["sfumato: cannot write -: No space left on device"]


@pytest.mark.parametrize("asked", ["photo", "style", "out"])
def test_a_name_that_no_file_can_have(photos: Any, tmp_path: Path, asked: str) -> None:
    words = {"photo": photos / "cat.png", "style": photos / "dog.jpg", "out": tmp_path / "x.png"}
    words[asked] = words[asked].with_name("x" * 300 + ".png")
    result = run("stylize", words["photo"], "--style", words["style"], "-o", words["out"])
    assert result.exit_code == (4 if asked == "out" else 3)
    assert "File name too long" in result.stderr
    assert files(tmp_path) == []


def test_a_damaged_tiff_is_one_sentence(photos: Any, tmp_path: Path) -> None:
    Image.open(photos / "cat.png").save(tmp_path / "good.tif", compression="tiff_adobe_deflate")
    data = bytearray((tmp_path / "good.tif").read_bytes())
    data[200:260] = bytes(range(60))
    (tmp_path / "bad.tif").write_bytes(data)
    for words in ((tmp_path / "bad.tif", "--style", "monet"), (photos / "cat.png", "--style", tmp_path / "bad.tif")):
        command = [*SFUMATO, "stylize", *words, "-o", tmp_path / "x.png"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 3
        assert done.stderr.startswith(f"sfumato: cannot read {tmp_path / 'bad.tif'}")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["", "-o", "x.png"], ["cat.png", "-o", ""]])
def test_an_empty_name_is_not_the_folder_one_is_in(
    photos: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(photos)
    before = files(photos)
    result = run("stylize", *arguments, "--style", "monet")
    assert result.exit_code == 2
    assert "a name is empty" in result.stderr
    assert files(photos) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_an_interrupted_run_leaves_whole_pictures(photos: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    many = [shutil.copy(photos / "cat.png", tmp_path / "in" / f"{index:04}.png") for index in range(2000)]
    command = [*SFUMATO, "stylize", *many, "--style", "monet", "--quality", "draft", "-o", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert "0000.png" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, talk = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert talk.endswith("sfumato: interrupted\n")
    assert "run the same command again" in talk
    assert "Traceback" not in talk
    done = files(tmp_path / "out")
    assert 1 <= len(done) < len(many)
    for name in done:
        assert pixels(tmp_path / "out" / name).shape == (48, 64, 3)


# Folders.


def test_a_second_run_paints_what_is_missing_and_bad_photos_are_named_at_the_end(photos: Any, tmp_path: Path) -> None:
    command = ("stylize", photos, "--style", "monet", "-o", tmp_path / "out", "--json")
    first = run(*command)
    assert first.exit_code == 3
    lines = {Path(line["photo"]).name: line for line in map(json.loads, first.stdout.splitlines())}
    assert {name for name, line in lines.items() if line["status"] == "failed"} == {"dot.png", "text.jpg"}
    assert lines["cat.png"]["status"] == "done"
    assert (lines["cat.png"]["width"], lines["cat.png"]["height"]) == (64, 48)
    assert "text.jpg" in first.stderr
    assert files(tmp_path / "out") == ["cat.png", "dog.jpg", "m.png", "sea.png", "tiny.png"]
    before = (tmp_path / "out" / "cat.png").stat().st_mtime_ns
    (tmp_path / "out" / "sea.png").unlink()
    again = {Path(line["photo"]).name: line["status"] for line in map(json.loads, run(*command).stdout.splitlines())}
    assert again["cat.png"] == "skipped"
    assert again["sea.gif"] == "done"
    assert (tmp_path / "out" / "cat.png").stat().st_mtime_ns == before
    other = run(*command, "--strength", "0.5")  # other options: not what is there
    assert "cat.png already exists and was made with other settings" in other.stderr
    assert run(*command, "--strength", "0.5", "--overwrite").exit_code == 3
    assert (tmp_path / "out" / "cat.png").stat().st_mtime_ns != before


def test_a_folder_is_painted_as_each_photo_alone(photos: Any, tmp_path: Path) -> None:
    run(
        "stylize", photos / "cat.png", photos / "dog.jpg", "--style", "monet", "--format", "png", "-o", tmp_path / "all"
    )
    for name in ("cat.png", "dog.jpg"):
        run("stylize", photos / name, "--style", "monet", "-o", tmp_path / "one.png", "--overwrite")
        assert np.array_equal(pixels(tmp_path / "all" / f"{Path(name).stem}.png"), pixels(tmp_path / "one.png"))


def test_a_picture_that_is_there_stays(photos: Any, tmp_path: Path) -> None:
    target = tmp_path / "x.png"
    target.write_bytes(b"mine")
    command = ("stylize", photos / "cat.png", "--style", "monet", "-o", target)
    result = run(*command)
    assert result.exit_code == 4
    assert "--overwrite" in result.stderr
    assert target.read_bytes() == b"mine"
    assert run(*command, "--overwrite").exit_code == 0
    assert pixels(target).shape == (48, 64, 3)


def test_through_pipes(photos: Any) -> None:
    done = subprocess.run(
        [*SFUMATO, "stylize", "-", "--style", "monet", "--format", "jpg"],
        input=(photos / "cat.png").read_bytes(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.startswith(b"\xff\xd8\xff")
    assert Image.open(io.BytesIO(done.stdout)).size == (64, 48)


# Options.


def test_blends_by_weight(photos: Any, tmp_path: Path) -> None:
    options = ["--style", "monet:3", "--style", "great-wave", "-o", tmp_path / "x.png"]
    assert run("stylize", photos / "cat.png", *options).exit_code == 0
    expected = Stylizer()(photos / "cat.png", Style.blend({"monet": 3, "great-wave": 1}))
    assert np.array_equal(pixels(tmp_path / "x.png"), to_uint8(expected))


def test_a_mask_divides_a_picture(photos: Any, tmp_path: Path) -> None:
    base = ["stylize", photos / "cat.png", "--mask", photos / "m.png"]
    assert run(*base, "--style", "monet", "-o", tmp_path / "one.png").exit_code == 0
    assert run(*base, "--style", "monet", "--style", "great-wave", "-o", tmp_path / "two.png").exit_code == 0
    monet, wave = (to_uint8(Stylizer()(photos / "cat.png", name)) for name in ("monet", "great-wave"))
    one, two, photo = (pixels(p) for p in (tmp_path / "one.png", tmp_path / "two.png", photos / "cat.png"))
    left, right = np.s_[:, :28], np.s_[:, 36:]
    assert np.array_equal(one[left], photo[left])
    assert np.array_equal(one[right], monet[right])
    assert np.array_equal(two[left], wave[left])
    assert np.array_equal(two[right], monet[right])


def test_colour_modes(photos: Any, tmp_path: Path) -> None:
    results = {}
    for mode in ("style", "content", "luminance"):
        target = tmp_path / f"{mode}.png"
        assert run("stylize", photos / "cat.png", "--style", "great-wave", "--color", mode, "-o", target).exit_code == 0
        results[mode] = pixels(target).astype(float)
    photo = pixels(photos / "cat.png").astype(float)
    far = np.abs(results["style"].mean((0, 1)) - photo.mean((0, 1))).max()
    assert np.abs(results["content"].mean((0, 1)) - photo.mean((0, 1))).max() < 0.5 * far
    chroma = [x[..., 0] - x[..., 1] for x in (results["luminance"], photo)]
    inside = (results["luminance"].min(-1) > 0) & (results["luminance"].max(-1) < 255)
    assert np.abs(chroma[0] - chroma[1])[inside].max() <= 1.01


def test_a_largest_size(photos: Any, tmp_path: Path) -> None:
    run("stylize", photos / "cat.png", "--style", "monet", "--max-size", "32", "-o", tmp_path / "x.png")
    assert pixels(tmp_path / "x.png").shape == (24, 32, 3)


def test_alpha_is_kept_and_what_is_under_it_does_not_count(photos: Any, tmp_path: Path) -> None:
    rgba = np.dstack([pixels(photos / "cat.png"), np.full((48, 64), 255, np.uint8)])
    rgba[:, :20, 3] = 0
    outputs = []
    for hidden in (0, 255):
        rgba[:, :20, :3] = hidden
        Image.fromarray(rgba).save(tmp_path / "in.png")
        assert (
            run("stylize", tmp_path / "in.png", "--style", "monet", "-o", tmp_path / "x.png", "--overwrite").exit_code
            == 0
        )
        outputs.append(pixels(tmp_path / "x.png"))
    assert np.array_equal(outputs[0][..., 3], rgba[..., 3])
    assert np.array_equal(outputs[0][:, 20:], outputs[1][:, 20:])


def test_show_and_replay(photos: Any, tmp_path: Path) -> None:
    first, again = tmp_path / "first.png", tmp_path / "again.png"
    options = ["--style", "monet", "--style", "great-wave", "--mask", photos / "m.png", "--stroke", "0.7"]
    run("stylize", photos / "cat.png", *options, "-o", first)
    shown = run("show", first)
    assert shown.exit_code == 0
    assert "monet / great-wave" in shown.stdout
    assert json.loads(run("show", first, "--json").stdout)["stroke"] == 0.7
    assert run("replay", first, photos / "cat.png", "-o", again).exit_code == 2  # without its mask
    assert run("replay", first, photos / "cat.png", "--mask", photos / "m.png", "-o", again).exit_code == 0
    assert np.array_equal(pixels(first), pixels(again))
    mirrored = Image.open(photos / "m.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.save(tmp_path / "other.png")
    result = run("replay", first, photos / "cat.png", "--mask", tmp_path / "other.png", "-o", tmp_path / "third.png")
    assert result.exit_code == 0
    assert "are not the masks" in result.stderr
    assert not np.array_equal(pixels(first), pixels(tmp_path / "third.png"))
    assert run("show", photos / "cat.png").exit_code == 3


def test_a_jpeg_is_replayed_at_its_quality(photos: Any, tmp_path: Path) -> None:
    run("stylize", photos / "cat.png", "--style", "monet", "--file-quality", "30", "-o", tmp_path / "a.jpg")
    run("replay", tmp_path / "a.jpg", photos / "cat.png", "-o", tmp_path / "b.jpg")
    run("replay", tmp_path / "a.jpg", photos / "cat.png", "--file-quality", "95", "-o", tmp_path / "c.jpg")
    sizes = [(tmp_path / f"{name}.jpg").read_bytes() for name in "abc"]
    assert sizes[0] == sizes[1]
    assert len(sizes[2]) > len(sizes[0])


def test_masks_shrink_along_and_may_be_drawn_on_nothing(photos: Any, tmp_path: Path) -> None:
    """A mask of the photo's own size under --max-size; and white on transparent, as paint programs draw."""
    white = np.full((48, 64, 4), 255, np.uint8)
    white[:, :32, 3] = 0
    Image.fromarray(white).save(tmp_path / "drawn.png")
    results = []
    for mask in (photos / "m.png", tmp_path / "drawn.png"):
        out = tmp_path / f"{mask.stem}-out.png"
        result = run("stylize", photos / "cat.png", "--style", "monet", "--mask", mask, "--max-size", "32", "-o", out)
        assert result.exit_code == 0, result.stderr
        results.append(pixels(out))
    assert np.array_equal(*results)  # type: ignore[arg-type]
    plain = tmp_path / "plain.png"
    run("stylize", photos / "cat.png", "--style", "monet", "--strength", "1", "--max-size", "32", "-o", plain)
    assert np.array_equal(results[0][:, 20:], pixels(plain)[:, 20:])
    assert not np.array_equal(results[0][:, :12], pixels(plain)[:, :12])


@pytest.mark.parametrize(
    "command", [["stylize", "--style", "monet", "--quality", "draft"], ["finish", "--warmth", "0.2"]]
)
def test_another_photo_of_the_same_name_is_not_taken_for_done(photos: Any, tmp_path: Path, command: list[str]) -> None:
    one, other, out = tmp_path / "one", tmp_path / "other", tmp_path / "out"
    for folder in (one, other):
        folder.mkdir()
        shutil.copy(photos / "cat.png", folder / "cat.png")
    shutil.copy(photos / "dog.jpg", one / "dog.jpg")
    Image.open(photos / "cat.png").rotate(180).save(other / "cat.png")

    def done(folder: Any, *more: Any) -> Any:
        result = run(*command, folder, "-o", out, "--json", *more)
        told = [json.loads(line) for line in result.stdout.splitlines()]
        return result.exit_code, {Path(line["photo"]).name: line["status"] for line in told}, result.stderr

    assert done(one)[:2] == (0, {"cat.png": "done", "dog.jpg": "done"})
    first = (out / "cat.png").read_bytes()
    assert done(one)[:2] == (0, {"cat.png": "skipped", "dog.jpg": "skipped"})
    code, told, message = done(other)  # a camera's IMG_0001 of another day
    assert (code, told) == (4, {"cat.png": "failed"})
    assert "from another picture than" in message
    assert "add --overwrite to replace it, or give another -o" in message
    assert (out / "cat.png").read_bytes() == first
    Image.open(other / "cat.png").save(one / "cat.png")  # edited since
    assert done(one)[:2] == (4, {"cat.png": "failed", "dog.jpg": "skipped"})
    assert done(one, "--overwrite")[0] == 0
    assert (out / "cat.png").read_bytes() != first
    assert done(one)[:2] == (0, {"cat.png": "skipped", "dog.jpg": "skipped"})


def test_a_picture_that_appears_while_one_is_painted_is_not_replaced(
    photos: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, paint = tmp_path / "out.png", Stylizer.paint

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        target.write_bytes(b"another's")
        return paint(*arguments, **options)

    monkeypatch.setattr(Stylizer, "paint", meanwhile)
    result = run("stylize", photos / "cat.png", "--style", "monet", "--quality", "draft", "-o", target)
    assert_one_sentence(result, 4, "already exists; add --overwrite")
    assert target.read_bytes() == b"another's"


def test_a_folder_painted_into_itself_is_not_painted_again(photos: Any, tmp_path: Path) -> None:
    for name in ("cat.png", "dog.jpg"):
        shutil.copy(photos / name, tmp_path / name)
    assert run("stylize", tmp_path, "--style", "monet").exit_code == 0
    assert files(tmp_path) == ["cat-monet.png", "cat.png", "dog-monet.jpg", "dog.jpg"]
    again = run("stylize", tmp_path, "--style", "monet")
    assert again.exit_code == 0
    assert "2 already existed" in again.stderr
    assert run("stylize", tmp_path, "--style", "degas", "-o", tmp_path / "more").exit_code == 0
    assert files(tmp_path / "more") == ["cat.png", "dog.jpg"]
    (tmp_path / "cat.png").unlink()
    (tmp_path / "dog.jpg").unlink()
    result = run("stylize", tmp_path, "--style", "monet")
    assert result.exit_code == 3
    assert "all 4 pictures in the folder" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_an_interrupt_while_modules_load(photos: Any, tmp_path: Path) -> None:
    """Ctrl-C inside the start of an extension module comes out as an ImportError."""
    code = (
        "import builtins, sys; real = builtins.__import__\n"
        "def load(name, *rest, **more):\n"
        "    if name == 'onnxruntime':\n"
        "        try: raise KeyboardInterrupt\n"
        "        except KeyboardInterrupt as stop: raise ImportError('initialization failed') from stop\n"
        "    return real(name, *rest, **more)\n"
        "builtins.__import__ = load\n"
    )
    words = [sys.executable, "-c", code + SFUMATO[-1], "stylize", photos / "cat.png", "--style", "monet"]
    done = subprocess.run([*words, "-o", tmp_path / "x.png"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "sfumato: interrupted\n")


# The other commands.


def test_styles_of_ones_own(photos: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFUMATO_STYLES", str(tmp_path / "mine"))
    assert run("styles", "add", "my-cat", photos / "cat.png", photos / "dog.jpg").exit_code == 0
    assert run("styles", "blend", "mixed", "my-cat:1", "monet:2").exit_code == 0
    assert "my-cat" in json.dumps(json.loads(run("styles", "list", "--json").stdout))
    assert run("stylize", photos / "cat.png", "--style", "mixed", "-o", tmp_path / "x.png").exit_code == 0
    assert "my-cat" in run("styles", "show", "mixed").stdout
    shared = tmp_path / "shared.style.safetensors"
    assert run("styles", "export", "mixed", "-o", shared).exit_code == 0
    assert Style.load(shared).code == Style.named("mixed").code
    assert run("styles", "add", "my-cat", photos / "cat.png").exit_code == 2
    assert run("styles", "add", "monet", photos / "cat.png").exit_code == 2
    assert run("styles", "add", "No Good", photos / "cat.png").exit_code == 2
    assert run("styles", "show", "my-caat").stderr.count("did you mean my-cat") == 1
    (tmp_path / "mine" / "broken.safetensors").write_text("This is no style.", "utf-8")
    listed = run("styles", "--json")
    assert listed.exit_code == 5
    assert {"my-cat", "monet"} <= {style["name"] for style in json.loads(listed.stdout)}
    assert "broken.safetensors is not a Sfumato style" in listed.stderr
    assert "broken.safetensors" in run("doctor").stderr


def test_doctor(tmp_path: Path) -> None:
    result = run("doctor")
    assert result.exit_code == 0
    assert "no problems found" in result.stdout
    told = json.loads(run("doctor", "--json").stdout)
    assert told["problems"] == []
    assert re.fullmatch(r"\S.*, \d+ of \d+ cores", told["cpu"])
    assert re.fullmatch(r"512 x 512 in [\d.]+ s \(first: [\d.]+ s\)", told["paints on cpu"])
    devices = {name for name in told if name.startswith("paints on ")}
    assert devices <= {"paints on cpu", "paints on cuda"}  # and none that Sfumato does not paint on
    assert ("paints on cuda" in devices) == ("CUDAExecutionProvider" in onnxruntime.get_available_providers())
    assert told["trains on"]
    model = shutil.copytree(weights_dir(), tmp_path / "model")
    (model / "statistics.onnx").write_bytes(b"?")
    broken = run("doctor", "--model", model)
    assert broken.exit_code == 5
    assert "statistics.onnx is damaged" in broken.stderr


def test_doctor_without_a_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise FileNotFoundError

    monkeypatch.setattr("tempfile.gettempdir", none)
    result = run("doctor")
    assert result.exit_code == 0
    assert "no writable folder" in result.stdout


def test_the_table_of_styles() -> None:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["styles"])
    assert result.exit_code == 0
    words = result.stdout.split()
    assert all(name in words for name in style_names())
    assert Style.named("great-wave").about["title"] in result.stdout


def test_styles_as_json() -> None:
    found = json.loads(run("styles", "--json").stdout)
    assert [style["name"] for style in found] == style_names()
    assert all({"title", "artist", "kind", "source", "licence"} <= style.keys() for style in found)


def test_version() -> None:
    assert run("--version").stdout == f"sfumato {sfumato.__version__}\n"


def test_help_names_the_commands_and_every_option() -> None:
    assert all(word in run("--help").stdout for word in ("stylize", "styles", "--version"))
    shown = CliRunner(env={"COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}).invoke(app, ["stylize", "--help"]).stdout
    assert all(word in shown for word in ("PHOTO", "--style", "--out", "--strength", "--model"))


def test_help_starts_at_once() -> None:
    """In processor time, which unlike the clock's is the same on a busy machine; idle, the two are equal."""
    before = os.times()
    subprocess.run([*SFUMATO, "--help"], capture_output=True, check=True)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 1  # 0.2 s on an ordinary machine


def test_the_command_line_loads_nothing_heavy_before_it_must() -> None:
    heavy = {"onnxruntime", "torch", "PIL", "numpy", "safetensors", "pydantic", "skimage", "jinja2"}
    script = "import sys, sfumato.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "sfumato.cli.stylize" in loaded
    assert not heavy & set(loaded)


def test_painting_needs_no_torch(photos: Any, tmp_path: Path) -> None:
    """Torch is absent from the light install: here its import, if anything tried, would fail."""
    script = f"import sys; sys.modules['torch'] = None; {SFUMATO[2]}"
    out = tmp_path / "out.png"
    command = [sys.executable, "-c", script, "stylize", photos / "cat.png", "--style", photos / "dog.jpg", "-o", out]
    subprocess.run(command, capture_output=True, check=True)
    assert out.is_file()


@pytest.mark.slow
def test_examples_run(tmp_path: Path) -> None:
    """The demo, as `make demo` runs it."""
    demo = Path(__file__).parents[2] / "examples" / "demo.py"
    done = subprocess.run([sys.executable, demo, tmp_path], capture_output=True, text=True, check=True)
    pictures = files(tmp_path)
    assert len(pictures) == 19
    sheet = pixels(tmp_path / "contact-sheet.png")
    assert sheet.shape[1] > 7 * 256
    assert "Try next" in done.stdout
    assert all(name in done.stdout.replace("\n", "") for name in pictures)


def test_a_weight_on_the_only_style_leaves_photos_their_choice(store: Path) -> None:
    codes = Style.named("monet").code, Style.named("klimt").code
    PersonalStyle("anna", codes, (2.0, 1.0)).save(personal_path("anna"))
    for text in ("anna", "anna:1", personal_path("anna"), f"{personal_path('anna')}:0.5"):
        assert find_personal([str(text)], 0)[0].codes == codes
    assert find_personal(["anna/2"], 0) == find_personal(["anna/2:1"], 0) == {}
    assert find_personal(["anna:1", "monet:1"], 0) == {}
    assert list(find_personal(["monet", "anna"], 1)) == [1]


def test_a_name_with_a_space_and_without_quotes_is_what_the_error_names(photo: Path, tmp_path: Path) -> None:
    result = run("stylize", photo, "--style", "starry", "night", "-o", tmp_path / "x.png")
    assert result.exit_code == 3
    assert "cannot read night: it does not exist; check the name, and put names with spaces in quotes" in result.stderr
