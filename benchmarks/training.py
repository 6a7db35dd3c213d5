"""Measure the overhead of a training step on this machine.

usage: training.py [--recipe laptop] [--steps 3] [--rounds 5] [--processes]

step       seconds of `Trainer.step` (sampling, both updates, optimisers, average of the weights, reports), with
           cached targets, over those of its bare passes: forward and backward of the generator's and
           the discriminator's losses on one fixed batch. Both alternate in one run; medians of the rounds
laps       shares of the time of those steps
processes  (with --processes) pictures a second of two processes of one thread over those of one process of two threads
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from sfumato.data.folders import load_folder
from sfumato.image import write_image
from sfumato.training.config import load_recipe
from sfumato.training.loop import Trainer

PICTURES = 8  # a folder: so few that all their targets are soon known
SIZE = (480, 360)


def folders(root: Path) -> tuple[Path, Path]:
    """Write photos and paintings of coloured waves; their content does not affect the time."""
    for name, first in (("photos", 0), ("paintings", 100)):
        (root / name).mkdir()
        for i in range(PICTURES):
            rng = np.random.default_rng(first + i)
            y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]] / 40
            waves = np.stack([np.sin(a * x + b * y) for a, b in rng.uniform(0.5, 3, (3, 2))])
            noise = rng.normal(0, 0.05, waves.shape)
            write_image(np.clip(0.5 + 0.3 * waves + noise, 0, 1).astype(np.float32)[None], root / name / f"{i}.png")
    return root / "photos", root / "paintings"


def step_ratio(recipe: str, steps: int, rounds: int, root: Path) -> dict[str, object]:
    content, style = folders(root)
    config = load_recipe(recipe, ["phases=[{steps=100000,batch=2,crop=192,thumbnails=[192]}]", "crops_per_photo=1"])
    photos, paintings = (
        load_folder(folder, short=config.short_side, min_pictures=PICTURES) for folder in (content, style)
    )
    trainer = Trainer(config, photos, paintings, root / "run", cache=None, cpu=True)
    phase, task = config.phase(0), trainer.task
    model, discriminator = trainer.state.model, trainer.state.discriminator
    for index in range(PICTURES):  # all targets known
        for luma in (False, True):
            task.targets._painting(index, luma)
    for step in range(40):
        task.draw(step, phase, lambda name: None)
    batch = task.draw(0, phase, lambda name: None)

    def bare() -> None:
        discriminator.requires_grad_(False)
        output = task.generator_step(model, discriminator, batch, config.weights, config.adversarial, 1)
        output.loss.backward()
        discriminator.requires_grad_(True)
        loss, _ = task.discriminator_step(discriminator, batch, output, config.adversarial, 1)
        loss.backward()
        for network in (model, discriminator):
            network.zero_grad()

    def timed(once) -> float:
        began = time.perf_counter()
        for _ in range(steps):
            once()
        return (time.perf_counter() - began) / steps

    for once in (trainer.step, bare):
        timed(once)  # warm
    trainer.timer.restart()
    whole, passes = [], []
    for _ in range(rounds):
        whole.append(timed(trainer.step))
        trainer.timer.record("other")
        kept = dict(trainer.timer.all_seconds)
        passes.append(timed(bare))
        trainer.timer.restart()
        trainer.timer.all_seconds.update(kept)
    total = sum(trainer.timer.all_seconds.values())
    return {
        "recipe": recipe,
        "step_seconds": round(median(whole), 3),
        "bare_seconds": round(median(passes), 3),
        "ratio": round(median(a / b for a, b in zip(whole, passes, strict=True)), 3),
        "laps": {name: round(s / total, 3) for name, s in trainer.timer.all_seconds.items()},
    }


def pictures_per_second(processes: int, threads: int, root: Path) -> float:
    """Return the throughput of a short run, without its first steps, in which every picture is new."""
    out = root / f"of-{processes}"
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    sets = ["phases=[{steps=20,batch=4,crop=128,thumbnails=[128],large=2}]", "log_every=5", "crops_per_photo=1"]
    sets += ["identity=2", "probe_every=0", "sample_every=1000"]
    options = [f"--set={value}" for value in sets]
    command = [*start, "sfumato", "train", "--content", root / "photos", "--style", root / "paintings", "--out", out]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    subprocess.run([*map(str, command), "--device", "cpu", *options], check=True, capture_output=True, env=environment)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return median(line["pictures_per_second"] for line in lines[1:] if "pictures_per_second" in line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="laptop")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        found = step_ratio(arguments.recipe, arguments.steps, arguments.rounds, root)
        if arguments.processes:
            one, two = pictures_per_second(1, 2, root), pictures_per_second(2, 1, root)
            found["processes"] = {"one": round(one, 2), "two": round(two, 2), "speed_up": round(two / one, 2)}
    print(json.dumps({**found, "torch": torch.__version__}, indent=1))


if __name__ == "__main__":
    main()
