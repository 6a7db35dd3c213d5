"""kill -9 at 200 moments: nothing is half written, every store opens, the same command goes on, and nothing is left.

A process that has imported everything forks one for each run, so that moments fall into the work and not into imports.
Half of them are moments of time, and half file operations, which time would seldom hit.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from sfumato.checkpoint import load_model, save_model
from sfumato.image import read_recipe, to_uint8
from sfumato.inference import Style, Stylizer
from sfumato.networks.config import NoiseConfig
from sfumato.networks.model import NoiseModel
from sfumato.personal.gathering import Gathered
from sfumato.personal.service import add
from sfumato.personal.store import load_personal_style, load_record, missing_pictures, names
from sfumato.training.state import checkpoints
from support import scene

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals")]

DRIVER = """
import importlib, json, os, signal, sys, time, traceback
from sfumato.cli import app
for module in json.loads(sys.argv[1]):
    importlib.import_module(module)
# Below the folder of a run, what writes, and no reading.
PATHS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree", "os.chmod"}

def run(job, result):
    os.setsid()
    said = os.open(job["message"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(said, 1)
    os.dup2(said, 2)
    done = 0
    def count(event, values):
        nonlocal done
        if event == "open":
            path, _, flags = values
            if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
                return
        elif event in PATHS:
            path = values[0]
        else:
            return
        if isinstance(path, (str, bytes, os.PathLike)) and os.path.abspath(os.fsdecode(path)).startswith(job["below"]):
            done += 1
            if done == job["operation"]:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    sys.argv = ["sfumato", *job["words"]]
    code = 0
    try:
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except BaseException:
        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(result, str(done).encode())
    os._exit(code)

print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    reading, writing = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if not child:
        run(job, writing)
    os.close(writing)
    status = None
    while status is None:
        ended, found = os.waitpid(child, os.WNOHANG)
        if ended:
            status = found
        elif job["seconds"] and time.monotonic() - began > job["seconds"]:
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
        else:
            time.sleep(0.002)
    seconds = time.monotonic() - began
    operations = int(os.read(reading, 20) or 0)
    os.close(reading)
    code = os.waitstatus_to_exitcode(status)
    print(json.dumps({"code": code, "seconds": seconds, "operations": operations}), flush=True)
"""


class Killer:
    """Runs commands whole, or kills them at random moments; ``below`` is the folder that they write into."""

    def __init__(self, below: Any, modules: Any, seed: Any) -> None:
        self.below, self.random = below, random.Random(seed)
        self.kills = 0
        self.message = below.parent / f"{below.name}.txt"
        words = [sys.executable, "-c", DRIVER, json.dumps(modules)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
        self.process = subprocess.Popen(words, **pipes)  # type: ignore[call-overload]
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *problem: Any) -> None:
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def run(self, *words: Any, seconds: int = 0, operation: int = 0) -> Any:
        job = {"words": [str(word) for word in words], "seconds": seconds, "operation": operation}
        job |= {"below": str(self.below), "message": str(self.message)}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def whole(self, *words: Any) -> Any:
        """What a run took that is not killed."""
        found = self.run(*words)
        assert found["code"] == 0, (words, self.message.read_text())
        return found

    def kill(self, count: Any, whole: Any, *words: Any) -> Iterator[Any]:
        """So many runs that are killed, now at a moment, now at a file operation, each of what a `whole` one took."""
        for _ in range(count):
            self.kills += 1
            if self.kills % 2:
                moment = {"operation": self.random.randint(1, whole["operations"])}
            else:
                moment = {"seconds": self.random.uniform(0, whole["seconds"])}  # type: ignore[dict-item]
            found = self.run(*words, **moment)
            # It may be done before its moment comes; nothing else than death ends it otherwise.
            assert found["code"] in (0, -9), (words, moment, self.message.read_text())
            yield moment


def litter(folder: Path) -> Any:
    """What killed runs left, which the next sweeps away."""
    return [path.name for path in folder.rglob(".*") if path.name != ".lock"]


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(threads=1)


@pytest.fixture
def pictures(tmp_path: Path) -> Any:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(to_uint8(scene(96, 112, number))).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The folder that all lies in, with the stores."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv("SFUMATO_STYLES", str(folder / "styles"))
    monkeypatch.setenv("SFUMATO_PERSONAL", str(folder / "personal"))
    return folder


PAINTING = ["sfumato.inference.stylizer", "sfumato.image", "sfumato.inference.jobs", "sfumato.inference.recipe"]


def test_folders_of_pictures(own: Any, pictures: Any) -> None:
    out = own / "out"
    words = ["stylize", pictures, "--style", "monet", "--quality", "draft", "--threads", "1", "-o", out]
    with Killer(own, PAINTING, 1) as killer:
        whole = killer.whole(*words)
        wanted = {path.name: np.asarray(Image.open(path)) for path in out.iterdir()}
        assert len(wanted) == 4
        for _ in killer.kill(66, whole, *words):
            found = [path for path in out.iterdir() if not path.name.startswith(".")] if out.exists() else []
            for path in found:
                assert np.array_equal(np.asarray(Image.open(path)), wanted[path.name])
                assert read_recipe(path)["photo_sha256"]
            if len(found) == 4:  # it was done; from here on there is work again
                for path in found[:3]:
                    path.unlink()
        killer.whole(*words)
        assert sorted(path.name for path in out.iterdir()) == sorted(wanted)


def test_styles(own: Any, pictures: Any) -> None:
    words = ["styles", "add", "mine", "--overwrite"]
    with Killer(own, PAINTING, 2) as killer:
        codes = []
        for number in (0, 1):
            whole = killer.whole(*words, pictures / f"{number}.png")
            codes.append(Style.named("mine").code)
        for number in (0, 1):
            for _ in killer.kill(24, whole, *words, pictures / f"{number}.png"):
                assert Style.named("mine").code in codes
        killer.whole(*words, pictures / "0.png")
        assert [path.name for path in (own / "styles").iterdir()] == ["mine.safetensors"]


def test_personal_styles(own: Any, pictures: Any, stylizer: Stylizer) -> None:
    new = ["personal", "new", "anna", "--like", pictures / "0.png", pictures / "1.png", "--copy"]
    more = ["personal", "add", "anna", "--like", pictures / "2.png", "--dislike", pictures / "3.png", "--copy"]
    less = ["personal", "remove", "anna", "2.png", "3.png"]
    gone = ["personal", "delete", "anna", "--yes"]

    def check() -> None:
        for name in names():
            record = load_record(name)
            assert missing_pictures(record) == []
            assert len(record.pictures) in (2, 4)
            Style.named(name)
            add(name, Gathered(), stylizer)
            record = load_record(name)
            assert record.is_learnt(load_personal_style(record))

    with Killer(own, [*PAINTING, "sfumato.personal.service", "sfumato.inference.style"], 3) as killer:
        whole = [killer.whole(*words) for words in (new, more, less, gone)]
        for _ in range(15):
            for took, words in zip(whole, (new, more, less, gone), strict=True):
                if words is not new and not names():
                    killer.whole(*new)
                if (words is new and names()) or (words is less and len(load_record("anna").pictures) == 2):
                    continue
                list(killer.kill(1, took, *words))
                check()
        if names():
            killer.whole(*gone)
        killer.whole(*new)
        assert litter(own) == []


def save_run(folder: Path, seed: int) -> Any:
    import torch

    torch.manual_seed(seed)
    model = NoiseModel(NoiseConfig(generator="pixels", side=64, z_size=8, widths=(8, 8, 8, 8, 8)))
    path = folder / f"{seed}.safetensors"
    save_model(path, model, {"step": "1"}, model.state_dict())
    return path


def test_exports(own: Any, tmp_path: Path) -> None:
    out = own / "model"
    runs = [save_run(tmp_path, seed) for seed in (1, 2)]
    with Killer(own, ["sfumato.export.onnx"], 4) as killer:
        cards = []
        for run in runs:
            whole = killer.whole("export", run, "-o", out, "--overwrite")
            cards.append(json.loads((out / "card.json").read_text()))
        for run in runs:
            for _ in killer.kill(10, whole, "export", run, "-o", out, "--overwrite"):
                card = json.loads((out / "card.json").read_text())
                assert card["model"] in [each["model"] for each in cards]
                for name, digest in card["files"].items():
                    assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
        killer.whole("export", runs[0], "-o", out, "--overwrite")
        assert [path.name for path in own.iterdir()] == ["model"]


def test_evaluations(own: Any, pictures: Any) -> None:
    report = own / "report"
    words = ["evaluate", "--content", pictures, "--style", pictures, "--model", "shipped", "--workers", "1"]
    with Killer(own, ["sfumato.quality.evaluator", "sfumato.quality.report"], 5) as killer:
        whole = killer.whole(*words, "--report", report)
        wanted = (report / "report.html").read_bytes()
        for _ in killer.kill(6, whole, *words, "--report", report):
            assert (report / "report.html").read_bytes() == wanted
        killer.whole(*words, "--report", report)
        assert (report / "report.html").read_bytes() == wanted
        assert litter(report) == []


def test_trainings(own: Any, pictures: Any, tmp_path: Path) -> None:
    settings = ["phases=[{steps=4,batch=2,crop=32}]", "checkpoint_every=1", "sample_every=2", "log_every=2"]
    settings += ["probe_every=0", "noise.z_size=8", "noise.widths=[8]", "noise.discriminator_widths=[8,8,8]"]
    words = ["train", "--kind", "noise", "--style", pictures, "--recipe", "tiny", "--device", "cpu"]
    sets = [word for setting in settings for word in ("--set", setting)]

    def model(run: Any) -> Any:
        return (checkpoints(run)[-1] / "model.safetensors").read_bytes()

    with Killer(own, ["sfumato.training.loop", "sfumato.data.folders", "torch.utils.tensorboard"], 6) as killer:
        whole = killer.whole(*words, *sets, "--out", own / "unbroken")
        for number in range(4):
            out = own / f"run{number}"
            for _ in range(3):  # each goes on with the one before
                start = ["--resume"] if (out / "config.json").is_file() else sets
                list(killer.kill(1, whole, *words, *start, "--out", out))
                for path in checkpoints(out):
                    load_model(path / "model.safetensors")
                    load_file(path / "state.safetensors")
                    json.loads((path / "state.json").read_text())
            start = ["--resume"] if (out / "config.json").is_file() else sets
            killer.whole(*words, *start, "--out", out)
            assert model(out) == model(own / "unbroken")
            assert litter(out) == []
