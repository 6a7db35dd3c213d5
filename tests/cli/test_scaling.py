"""Training in several processes by the launchers that users have, and runs that are killed: by the command."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from support import save_scenes

KINDS = ("arbitrary", "collection", "noise")
PYTHON = [sys.executable, "-m"]
TORCHRUN = [*PYTHON, "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
ACCELERATE = [*PYTHON, "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]
# Four samples, of which three go through the generator twice and one is large: two processes share neither evenly.
SHARED = "phases=[{{steps={},batch=4,crop=32,thumbnails=[32,48],zoom_crops=1}}]"
SMALL = ["log_every=1", "warmup=1", "identity_samples=3", "checkpoint_every=1000", "sample_every=1000", "probe_every=4"]
OF_KIND = {
    "arbitrary": ["weights.style_contrast=0.5", "weights.sliced=0.5"],
    "collection": ["collection.cycle=false", "pool=5"],
    "noise": [
        "noise.generator=pixels",
        "noise.side=64",
        "weights.energy=0",
        "noise.widths=[8,8,8,8,8]",
        "noise.discriminator_widths=[8,16,16]",
    ],
}
#: Not losses but figures of each process's own part, which are then averaged.
OF_PARTS = {"logit_variance", "pictures_per_second", "time"}
OF_PAIRS = {"real_accuracy", "fake_accuracy", "sign_balance"}  # are too where the objective is relativistic, as noise's


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("pictures")
    for name, count, seed in (("photos", 6, 0), ("paintings", 6, 50)):
        save_scenes(root / name, count, seed)
    return root


@pytest.fixture(scope="module")
def train(folders: Any) -> Any:
    """The arguments of a small training of a kind, of so many steps."""

    def arguments(kind: Any, out: Any, steps: int = 4, *more: Any) -> Any:
        photos = [] if kind == "noise" else ["--content", folders / "photos"]
        sets = [SHARED.format(steps), *SMALL, *OF_KIND[kind], *more]
        options = [*photos, "--style", folders / "paintings", "--recipe", "tiny", "--device", "cpu", "--out", out]
        return ["train", "--kind", kind, *map(str, options), *(word for s in sets for word in ("--set", s))]

    return arguments


def start(launcher: Any, arguments: Any) -> Any:
    """A process group of its own, so that none of it outlives the test."""
    return subprocess.Popen(
        [*launcher, "sfumato", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "1000", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        text=True,
    )


def ended(process: Any, code: int = 0) -> Any:
    message, _ = process.communicate(timeout=240)
    assert process.returncode == code, message
    return message


def reports(out: Any) -> Any:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if "pictures_per_second" in line]


def wait_for(out: Any, step: int, process: Any) -> None:
    end = time.monotonic() + 240
    while not (out / "log.jsonl").is_file() or (out / "log.jsonl").read_text().count("pictures_per_second") < step:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


def written(out: Any) -> Any:
    """What lies in a run, by name; a tracker's file is named by the moment."""
    return sorted(re.sub(r"\.tfevents.*", "", p.relative_to(out).as_posix()) for p in out.rglob("*"))


def last_weights(out: Any) -> Any:
    newest = max(p for p in (out / "checkpoints").iterdir() if p.name.isdigit())
    return (newest / "state.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("kind", "launcher"),
    [
        ("arbitrary", TORCHRUN),
        ("collection", ACCELERATE),
        ("noise", TORCHRUN),
    ],
)
@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(train: Any, tmp_path: Path, kind: str, launcher: Any) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    ended(start([*PYTHON], train(kind, alone)))
    message = ended(start([*launcher, *(["-m"] if launcher is ACCELERATE else [])], train(kind, shared)))
    assert message.count("4 steps on cpu") == 1  # one speaks for both
    one, two = reports(alone), reports(shared)
    assert [r["step"] for r in two] == [r["step"] for r in one] == [1, 2, 3, 4]
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - OF_PARTS - (OF_PAIRS if kind == "noise" else set()):
            assert b[name] == pytest.approx(a[name], rel=2e-3, abs=2e-4), (a["step"], name)
    healths = [
        sum("health" in line for line in (out / "log.jsonl").read_text().splitlines()) for out in (alone, shared)
    ]
    assert healths[0] == healths[1] > 0
    assert written(shared) == written(alone)


@pytest.mark.slow
def test_a_killed_worker_ends_the_run_with_a_message_and_it_resumes(train: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(TORCHRUN, train("arbitrary", out, 100000, "checkpoint_every=2"))
    try:
        wait_for(out, 5, process)
        workers = [p for p in psutil.Process(process.pid).children(recursive=True) if "sfumato" in p.cmdline()]
        assert len(workers) == 2
        workers[-1].kill()
        message = process.communicate(timeout=120)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode != 0
    assert "another process of this run has ended" in message
    assert "--resume" in message
    saved = int(max(p.name for p in (out / "checkpoints").iterdir() if p.name.isdigit()))
    message = ended(start(TORCHRUN, [*train("arbitrary", out, saved + 2), "--resume"]))
    assert f"Continuing from step {saved} of {saved + 2}." in message
    assert [r["step"] for r in reports(out)] == list(range(1, saved + 3))


@pytest.mark.slow
def test_a_signal_to_one_of_two_stops_both_after_a_save(train: Any, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(TORCHRUN, train("arbitrary", out, 100000))
    try:
        wait_for(out, 3, process)
        workers = [p for p in psutil.Process(process.pid).children(recursive=True) if "sfumato" in p.cmdline()]
        workers[-1].terminate()
        message = process.communicate(timeout=120)[0]
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    (step,) = (int(p.name) for p in (out / "checkpoints").iterdir())
    assert f"Stopped and saved at step {step}" in message
    assert "torchrun --nproc-per-node=2" in message


@pytest.mark.parametrize(
    ("kind", "setting", "sentence"),
    [
        (
            "arbitrary",
            "phases=[{steps=2,batch=3,crop=32,thumbnails=[32]}]",
            "a batch of 3 cannot be divided evenly among 2",
        ),
        pytest.param(
            "collection",
            "collection.normalization=batch",
            "needs the whole batch in one process",
            marks=pytest.mark.slow,  # tests/training/test_config.py has it without processes
        ),
    ],
)
def test_what_cannot_be_shared_is_one_sentence(
    train: Any, tmp_path: Path, kind: str, setting: str, sentence: str
) -> None:
    message = ended(start(TORCHRUN, train(kind, tmp_path / "run", 4, setting)), code=1)  # torchrun's own code
    assert sentence in message
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_killed_at_any_moment_equals_an_unbroken_one_bit_for_bit(train: Any, tmp_path: Path, kind: str) -> None:
    whole, broken, steps = tmp_path / "whole", tmp_path / "broken", 12
    ended(start(PYTHON, train(kind, whole, steps, "checkpoint_every=2")))
    chance = random.Random(kind)
    for again in range(3):
        resume = ["--resume"] if again else []
        process = start(PYTHON, [*train(kind, broken, steps, "checkpoint_every=2"), *resume])
        done = len(reports(broken)) if (broken / "log.jsonl").is_file() else 0
        if process.poll() is None and done < steps:
            wait_for(broken, min(steps - 1, done + chance.randrange(1, 4)), process)
            time.sleep(chance.random() * 0.3)
        process.kill()
        process.communicate()
    ended(start(PYTHON, [*train(kind, broken, steps, "checkpoint_every=2"), "--resume"]))
    assert last_weights(broken) == last_weights(whole)
    figures = [[{k: v for k, v in r.items() if k not in OF_PARTS} for r in reports(out)] for out in (whole, broken)]
    assert figures[0] == figures[1]
