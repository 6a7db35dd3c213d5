"""The install as a stranger gets it: a wheel from this tree, in a new environment, from the package index.

In the newest versions and in the lowest ones, light first, then with Studio, then with the extras of training and
judging. Torch is in both the one of constraints.txt: the index has other versions as builds with CUDA, of gigabytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import httpx2
import pytest

from running_studio import Running
from sfumato.errors import how_to_install
from sfumato.studio.client import Client
from support import save_scenes
from video_clips import write_clip

ROOT = Path(__file__).parents[1]
WHEEL_LIMIT = 20e6  # bytes
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
INSTALL_LIMIT = 255e6  # bytes of everything in site-packages, pip and compiled files included

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command away from the repository, so that nothing is imported out of it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("install")
    probe = run(sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder / "probe", "typer", cwd=folder)
    if probe.returncode:
        pytest.skip(f"pip reaches no package index here: {probe.stderr.strip().splitlines()[-1]}")
    return folder


@pytest.fixture(scope="module")
def wheel(folder: Path) -> Path:
    built = run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("sfumato-*.whl")
    return wheel


@pytest.fixture(scope="module")
def environment(folder: Path, wheel: Path) -> Path:
    """The folder of a new environment's commands, with the light install in it."""
    assert run(sys.executable, "-m", "venv", folder / "venv", cwd=folder).returncode == 0
    bin = folder / "venv" / "bin"
    done = run(bin / "python", "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    return bin


def floors(listed: list[str]) -> list[str]:
    """The lowest version of each."""
    return [entry.replace(">=", "==") for entry in listed]


@pytest.fixture(scope="module")
def lowest(folder: Path, wheel: Path) -> Path:
    """As `environment`, with the lowest versions that pyproject.toml admits."""
    assert run(sys.executable, "-m", "venv", folder / "lowest", cwd=folder).returncode == 0
    bin = folder / "lowest" / "bin"
    done = run(bin / "python", "-m", "pip", "install", "--quiet", wheel, *floors(PROJECT["dependencies"]), cwd=folder)
    assert done.returncode == 0, done.stderr
    return bin


def add_extras(bin: Path, wheel: Path, folder: Path, *versions: str) -> None:
    """Training and judging, into an environment that has the light install."""
    asked = "install", "--quiet", "-c", ROOT / "constraints.txt", f"{wheel}[quality,train]", *versions
    done = run(bin / "python", "-m", "pip", *asked, cwd=folder)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr


def trains_exports_and_judges(bin: Path, desk: Path) -> None:
    """That an environment's Sfumato trains a model, exports it, paints with it, and judges pictures."""
    for name, seed in (("photos", 0), ("paintings", 100)):
        save_scenes(desk / name, 3, seed)
    pictures = "--content", "photos", "--style", "paintings"
    short = "phases=[{steps=2,batch=2,crop=32,thumbnails=[32],zoom_crops=0}]"
    tiny = "--recipe", "tiny", "--device", "cpu", "--set", short, "--set", "log_every=1", "--set", "checkpoint_every=2"
    styled = "--style", "paintings/1.png", "-o", "painted.png"
    for command in (
        ("train", *pictures, *tiny, "--out", "run"),
        ("export", "run", "-o", "model"),
        ("stylize", "photos/0.png", "--model", "model", *styled),
        ("evaluate", *pictures, "--model", "shipped", "--suite", "full", "--short", "64", "--report", "report"),
    ):
        done = run(bin / "sfumato", *command, cwd=desk)
        assert done.returncode == 0, f"{command[0]}: {done.stderr}"
        assert "Traceback" not in done.stderr
    card = json.loads((desk / "model" / "card.json").read_text("utf-8"))
    assert max(card["parity"].values()) < 2e-3
    assert (desk / "painted.png").stat().st_size > 1000
    assert "Measures of pairs" in (desk / "report" / "report.html").read_text("utf-8")


def paints(bin: Path, folder: Path, photo: Path) -> None:
    """That an environment's Sfumato has help, knows its styles, paints in each quality, and paints the same again."""
    for command in ((), ("stylize",), ("styles", "list"), ("personal", "new"), ("evaluate",), ("train",), ("export",)):
        asked = run(bin / "sfumato", *command, "--help", cwd=folder)
        assert asked.returncode == 0, asked.stderr
        assert "--help" in asked.stdout
    checked = run(bin / "sfumato", "doctor", cwd=folder)
    assert checked.returncode == 0, checked.stderr
    for quality in ("draft", "standard", "best"):
        out = folder / f"{quality}.png"
        asked = "stylize", photo, "--style", "great-wave", "--quality", quality, "--overwrite", "-o", out  # type: ignore[assignment]
        painted = run(bin / "sfumato", *asked, cwd=folder)  # type: ignore[misc]
        assert painted.returncode == 0, painted.stderr
        assert out.stat().st_size > 1000


def test_the_newest_versions_paint(environment: Path, folder: Path, photo: Path) -> None:
    paints(environment, folder, photo)


def test_the_lowest_versions_paint(lowest: Path, folder: Path, photo: Path) -> None:
    wanted = floors(PROJECT["dependencies"])
    listed = run(lowest / "python", "-m", "pip", "list", "--format", "freeze", cwd=folder).stdout.lower()
    for entry in wanted:
        assert entry.lower() in listed, f"{entry} is not what was installed"
    paints(lowest, folder, photo)


def test_the_wheel_is_small_and_holds_the_package_data(wheel: Path) -> None:
    assert wheel.stat().st_size <= WHEEL_LIMIT
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "sfumato/py.typed",
        "sfumato/assets/weights/base/generator.onnx",
        "sfumato/assets/weights/base/card.json",
        "sfumato/assets/styles/great-wave.safetensors",
        "sfumato/training/recipes/tiny.toml",
        "sfumato/templates/base.html",
        "sfumato/templates/base.css",
        "sfumato/studio/pages/index.html",
        "sfumato/studio/pages/app.js",
    ):
        assert wanted in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)


def test_the_light_install_is_small_and_has_no_torch(environment: Path, folder: Path) -> None:
    files = [path for path in (environment.parent / "lib").rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    assert size <= INSTALL_LIMIT, f"{size / 1e6:.0f} MB"
    probe = "import importlib.util as u; print([n for n in ('torch', 'accelerate', 'onnx', 'scipy') if u.find_spec(n)])"
    assert run(environment / "python", "-c", probe, cwd=folder).stdout.strip() == "[]"


def test_the_light_install_lists_its_styles_and_paints(environment: Path, folder: Path, photo: Path) -> None:
    styles = run(environment / "sfumato", "styles", cwd=folder)
    assert styles.returncode == 0, styles.stderr
    assert "great-wave" in styles.stdout
    painted = run(environment / "sfumato", "stylize", photo, "--style", "great-wave", "-o", "painted.png", cwd=folder)
    assert painted.returncode == 0, painted.stderr
    assert (folder / "painted.png").stat().st_size > 1000


def test_what_needs_an_extra_says_how_to_install_it(environment: Path, folder: Path) -> None:
    for name in ("photos", "paintings"):
        (folder / name).mkdir()
    train = ("train", "--recipe", "tiny", "--content", "photos", "--style", "paintings", "--out", "run")
    asked = run(environment / "sfumato", *train, cwd=folder)
    assert asked.returncode == 2
    assert how_to_install("train") in " ".join(asked.stderr.split())
    assert "Traceback" not in asked.stderr


def serves(bin: Path, desk: Path, photo: Path) -> None:
    """That an environment's Studio starts, serves its page, takes a photo and makes a draft of it."""
    running = Running(desk / "data", python=bin / "python")
    try:
        assert "<script" in httpx2.get(running.url).text
        with Client(running.url, running.log_in()["Authorization"].removeprefix("Bearer ")) as client:
            assert client.paint(client.upload(photo).id, "great-wave", quality="draft").width == 64
    finally:
        running.stop()
    assert "Traceback" not in (desk / "log").read_text("utf-8")


def test_the_newest_versions_serve(environment: Path, wheel: Path, folder: Path, tmp_path: Path, photo: Path) -> None:
    done = run(environment / "python", "-m", "pip", "install", "--quiet", f"{wheel}[studio]", cwd=folder)
    assert done.returncode == 0, done.stderr
    serves(environment, tmp_path, photo)


def test_the_lowest_versions_serve(lowest: Path, wheel: Path, folder: Path, tmp_path: Path, photo: Path) -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = floors([*PROJECT["dependencies"], *extras["studio"], *extras["postgresql"]])
    done = run(lowest / "python", "-m", "pip", "install", "--quiet", f"{wheel}[studio]", *wanted, cwd=folder)
    assert done.returncode == 0, done.stderr
    serves(lowest, tmp_path, photo)


def films_and_batches(bin: Path, desk: Path) -> None:
    """That an environment's Sfumato paints a video, and a folder by workers of Dask."""
    write_clip(desk / "clip.mp4", times=range(3), sounds=["aac"])
    save_scenes(desk / "photos", 3, 0)
    for command in (
        ("video", "clip.mp4", "--style", "great-wave", "-o", "painted.webm"),
        ("batch", "photos", "painted", "--style", "great-wave", "--quality", "draft", "--engine", "dask"),
    ):
        done = run(bin / "sfumato", *command, cwd=desk)
        assert done.returncode == 0, f"{command[0]}: {done.stderr}"
        assert "Traceback" not in done.stderr
    assert (desk / "painted.webm").stat().st_size > 1000
    assert len(list((desk / "painted").glob("*.png"))) == 3


def test_the_newest_versions_paint_videos_and_batches(
    environment: Path, wheel: Path, folder: Path, tmp_path: Path
) -> None:
    done = run(environment / "python", "-m", "pip", "install", "--quiet", f"{wheel}[scale,video]", cwd=folder)
    assert done.returncode == 0, done.stderr
    films_and_batches(environment, tmp_path)


def test_the_lowest_versions_paint_videos_and_batches(lowest: Path, wheel: Path, folder: Path, tmp_path: Path) -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = floors([*PROJECT["dependencies"], *extras["scale"], *extras["video"]])
    done = run(lowest / "python", "-m", "pip", "install", "--quiet", f"{wheel}[scale,video]", *wanted, cwd=folder)
    assert done.returncode == 0, done.stderr
    films_and_batches(lowest, tmp_path)


# What follows puts torch into the environments of the tests above, and so comes last.


def test_the_newest_versions_train_export_and_judge(
    environment: Path, wheel: Path, folder: Path, tmp_path: Path
) -> None:
    add_extras(environment, wheel, folder)
    trains_exports_and_judges(environment, tmp_path)


def test_the_lowest_versions_train_export_and_judge(lowest: Path, wheel: Path, folder: Path, tmp_path: Path) -> None:
    extras = PROJECT["optional-dependencies"]
    listed = {each for name in ("train", "quality") for each in extras[name] if not each.startswith("torch>=")}
    wanted = floors([*PROJECT["dependencies"], *sorted(listed)])
    add_extras(lowest, wheel, folder, *wanted)
    has = run(lowest / "python", "-m", "pip", "list", "--format", "freeze", cwd=folder).stdout.lower()
    for entry in wanted:
        name, _, version = entry.lower().partition("==")
        assert f"{name}=={version}" in has.replace("_", "-"), f"{entry} is not what was installed"
    trains_exports_and_judges(lowest, tmp_path)
