import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import sfumato
from sfumato.assets import style_names, weights_dir
from sfumato.cli import app
from sfumato.image import to_uint8
from sfumato.inference import Style, Stylizer

SFUMATO = [sys.executable, "-c", "from sfumato.cli import app; app(prog_name='sfumato')"]


def run(*arguments):
    """The command in this process. An exception that the command lets through fails the test."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def pixels(path):
    return np.asarray(Image.open(path))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:48, 0:64]
    for name in ("cat.png", "dog.jpg", "sea.gif"):
        rgb = np.stack([4 * x, 5 * y, x + y], -1) * rng.uniform(0.3, 1, 3) + rng.normal(0, 9, (48, 64, 3))
        Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(folder / name)
    Image.new("RGB", (9, 40)).save(folder / "tiny.png")
    (folder / "text.jpg").write_text("This is no picture.", "utf-8")
    (folder / "text.safetensors").write_text("This is no style.", "utf-8")
    return folder


def test_a_photo_in_a_built_in_style(photos, tmp_path):
    result = run("stylize", photos / "cat.png", "--style", "great-wave", "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr
    assert "out.png  64 x 48" in result.stdout.replace("\n", "")
    assert files(tmp_path) == ["out.png"]
    expected = Stylizer()(photos / "cat.png", Style.named("great-wave"))
    assert np.array_equal(pixels(tmp_path / "out.png"), to_uint8(expected))


def test_any_picture_is_a_style(photos, tmp_path):
    result = run("stylize", photos / "cat.png", "--style", photos / "dog.jpg", "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr
    expected = Stylizer()(photos / "cat.png", Style.from_image(photos / "dog.jpg"))
    assert np.array_equal(pixels(tmp_path / "out.png"), to_uint8(expected))


def test_a_style_file_and_strength_and_a_model_of_ones_own(photos, tmp_path):
    Style.blend({"great-wave": 1, "starry-night": 1}).save(tmp_path / "mix.safetensors")
    model = shutil.copytree(weights_dir(), tmp_path / "model")
    options = ["--style", tmp_path / "mix.safetensors", "--strength", "0.4", "--model", model]
    result = run("stylize", photos / "cat.png", *options, "-o", tmp_path / "out.png")
    assert result.exit_code == 0, result.stderr
    expected = Stylizer()(photos / "cat.png", Style.load(tmp_path / "mix.safetensors"), 0.4)
    assert np.array_equal(pixels(tmp_path / "out.png"), to_uint8(expected))


def test_strength_0_and_1_differ(photos, tmp_path):
    for strength in (0, 1):
        options = ["--style", "starry-night", "--strength", strength, "-o", tmp_path / f"{strength}.png"]
        assert run("stylize", photos / "cat.png", *options).exit_code == 0
    assert not np.array_equal(pixels(tmp_path / "0.png"), pixels(tmp_path / "1.png"))


def test_several_photos_go_to_a_folder(photos, tmp_path):
    out = tmp_path / "new" / "folder"
    names = ("cat.png", "dog.jpg", "sea.gif")
    result = run("stylize", *(photos / name for name in names), "--style", "monet", "-o", out)
    assert result.exit_code == 0, result.stderr
    assert files(out) == ["cat.png", "dog.jpg", "sea.png"]
    magic = {"cat.png": b"\x89PNG", "dog.jpg": b"\xff\xd8\xff", "sea.png": b"\x89PNG"}
    assert all((out / name).read_bytes().startswith(start) for name, start in magic.items())
    assert [line.split()[1:4] for line in result.stdout.splitlines()] == [["64", "x", "48"]] * 3


def test_one_photo_goes_into_a_folder_that_is_there(photos, tmp_path):
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
        (2, "cat.png is one of the photos", "{p}/cat.png --style monet -o {p}/cat.png"),
        (2, "cat.png is one of the photos", "{p}/cat.png {p}/dog.jpg --style monet -o {p}"),
        (2, "both become {t}/cat.png", "{p}/cat.png {p}/../{n}/cat.png --style monet -o {t}"),
        (3, "{p}/none.png", "{p}/none.png --style monet -o {t}/x.png"),
        (3, "{p}/text.jpg", "{p}/text.jpg --style monet -o {t}/x.png"),
        (3, "{p}: it is a folder", "{p} --style monet -o {t}/x.png"),
        (3, "{p}/tiny.png has 9 x 40 pixels", "{p}/tiny.png --style monet -o {t}/x.png"),
        (3, "{p}/text.jpg", "{p}/cat.png --style {p}/text.jpg -o {t}/x.png"),
        (3, "{p}/none.jpg", "{p}/cat.png --style {p}/none.jpg -o {t}/x.png"),
        (3, "{p}/tiny.png has 9 x 40 pixels", "{p}/cat.png --style {p}/tiny.png -o {t}/x.png"),
        (4, "must end in one of .jpg", "{p}/cat.png --style monet -o {t}/x.psd"),
        (4, "must end in one of .jpg", "{p}/cat.png --style monet -o {t}/x"),
        (4, "{p}/dog.jpg/x.png", "{p}/cat.png --style monet -o {p}/dog.jpg/x.png"),
        (5, "{p}/text.safetensors is not a Sfumato style", "{p}/cat.png --style {p}/text.safetensors -o {t}/x.png"),
        (5, "{t} is not an exported model", "{p}/cat.png --style monet --model {t} -o {t}/x.png"),
    ],
)
def test_mistakes(photos, tmp_path, code, sentence, arguments):
    paths = {"p": photos.as_posix(), "n": photos.name, "t": tmp_path.as_posix()}
    before = files(photos)
    result = run("stylize", *arguments.format(**paths).split())
    assert result.exit_code == code
    assert sentence.format(**paths) in result.stderr
    assert result.stderr.startswith("sfumato: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert files(tmp_path) == []
    assert files(photos) == before


@pytest.mark.parametrize("arguments", [["--style", "monet", "-o", "x.png"], ["x.png", "-o", "y.png"], ["--abacus"]])
def test_wrong_usage(arguments):
    assert run("stylize", *arguments).exit_code == 2


def test_a_damaged_model_is_refused(photos, tmp_path):
    model = shutil.copytree(weights_dir(), tmp_path / "model")
    graph = bytearray((model / "generator.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (model / "generator.onnx").write_bytes(graph)
    result = run("stylize", photos / "cat.png", "--style", "monet", "--model", model, "-o", tmp_path / "x.png")
    assert result.exit_code == 5
    assert "generator.onnx is damaged" in result.stderr
    assert not (tmp_path / "x.png").exists()


def test_a_failure_leaves_what_was_done_and_nothing_half_done(photos, tmp_path):
    shutil.copy(photos / "dog.jpg", tmp_path / "text.jpg")  # a result of yesterday
    result = run("stylize", *(photos / name for name in ("cat.png", "text.jpg")), "--style", "monet", "-o", tmp_path)
    assert result.exit_code == 3
    assert files(tmp_path) == ["cat.png", "text.jpg"]
    assert np.array_equal(pixels(tmp_path / "text.jpg"), pixels(photos / "dog.jpg"))


def test_a_mistake_in_a_real_process(photos, tmp_path):
    command = [*SFUMATO, "stylize", photos / "text.jpg", "--style", "monet", "-o", tmp_path / "x.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert files(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_an_interrupted_run_leaves_whole_pictures(photos, tmp_path):
    (tmp_path / "in").mkdir()
    many = [shutil.copy(photos / "cat.png", tmp_path / "in" / f"{index:04}.png") for index in range(2000)]
    command = [*SFUMATO, "stylize", *many, "--style", "monet", "-o", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert "0000.png" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, talk = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert talk == "sfumato: interrupted\n"
    done = files(tmp_path / "out")
    assert 1 <= len(done) < len(many)
    for name in done:
        assert pixels(tmp_path / "out" / name).shape == (48, 64, 3)


# The other commands.


def test_the_table_of_styles():
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["styles"])
    assert result.exit_code == 0
    words = result.stdout.split()
    assert all(name in words for name in style_names())
    assert Style.named("great-wave").about["title"] in result.stdout


def test_styles_as_json():
    found = json.loads(run("styles", "--json").stdout)
    assert [style["name"] for style in found] == style_names()
    assert all({"title", "artist", "kind", "source", "licence"} <= style.keys() for style in found)


def test_version():
    assert run("--version").stdout == f"sfumato {sfumato.__version__}\n"


def test_help_names_the_commands_and_every_option():
    assert all(word in run("--help").stdout for word in ("stylize", "styles", "--version"))
    shown = CliRunner(env={"COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"}).invoke(app, ["stylize", "--help"]).stdout
    assert all(word in shown for word in ("PHOTO", "--style", "--out", "--strength", "--model"))


def test_help_starts_at_once():
    """In processor time, which unlike the clock's is the same on a busy machine; idle, the two are equal."""
    before = os.times()
    subprocess.run([*SFUMATO, "--help"], capture_output=True, check=True)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 1  # 0.2 s on an ordinary machine


def test_the_command_line_loads_nothing_heavy_before_it_must():
    heavy = {"onnxruntime", "torch", "PIL", "numpy", "safetensors", "pydantic", "skimage"}
    script = "import sys, sfumato.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "sfumato.cli.stylize" in loaded
    assert not heavy & set(loaded)


def test_painting_needs_no_torch(photos, tmp_path):
    """Torch is absent from the light install: here its import, if anything tried, would fail."""
    script = f"import sys; sys.modules['torch'] = None; {SFUMATO[2]}"
    out = tmp_path / "out.png"
    command = [sys.executable, "-c", script, "stylize", photos / "cat.png", "--style", photos / "dog.jpg", "-o", out]
    subprocess.run(command, capture_output=True, check=True)
    assert out.is_file()


def test_examples_run(tmp_path):
    """The demo, as `make demo` runs it."""
    demo = Path(__file__).parents[2] / "examples" / "demo.py"
    done = subprocess.run([sys.executable, demo, tmp_path], capture_output=True, text=True, check=True)
    pictures = files(tmp_path)
    assert len(pictures) == 19
    sheet = pixels(tmp_path / "contact-sheet.png")
    assert sheet.shape[1] > 7 * 256
    assert "Try next" in done.stdout
    assert all(name in done.stdout.replace("\n", "") for name in pictures)
