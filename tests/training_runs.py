"""What is asked of a training run: its state, its log; and the config of a cheap one."""

from __future__ import annotations

import json
from typing import Any

import torch


def state(trainer: Any) -> Any:
    """Every tensor of a trainer's state, copied."""
    return {name: tensor.detach().clone() for name, tensor in trainer.state.tensors()}


def log(run: Any) -> Any:
    """Log lines apart from what depends on the clock, and from the monitor's."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "health" not in line and "decision" not in line]
    return [{k: v for k, v in line.items() if k not in ("time", "pictures_per_second")} for line in lines]


def ignore(progress: Any) -> None:
    pass


def short(steps: int) -> dict[str, Any]:
    """Changes of the config to a cheap run of so many steps, where what is learnt is not the point."""
    phase = {"steps": steps, "batch": 2, "crop": 32, "zoom_crops": 0, "thumbnails": [32], "adversarial": False}
    return {"phases": (phase,), "identity_samples": 0}


def same(a: Any, b: Any) -> Any:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
