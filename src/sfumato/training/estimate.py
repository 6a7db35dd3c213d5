"""An estimate of a run's time and memory from trial steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import torch

from sfumato.parallel import is_main, wait_for_all
from sfumato.training.findings import Effects
from sfumato.training.stepper import Stepper


@dataclass(frozen=True)
class RunEstimate:
    """The estimated time and memory of a run."""

    seconds: float  # of the remaining steps and validations
    gigabytes: float  # memory in use
    memory: str  # which memory: "GPU" or "main"


def estimate_run(
    stepper: Stepper, effects: Effects, validate_pair: Callable[[], object] | None, pairs: int
) -> RunEstimate:
    """Time a step of each remaining phase, and estimate the rest of the run; the state is left unchanged.

    Args:
        stepper: the run's stepper.
        effects: the monitor's effects on the config.
        validate_pair: validates on one pair; None if there is no validation.
        pairs: number of pairs of a validation.
    """
    config, state, task = stepper.config, stepper.state, stepper.task
    networks, memory = (state.model, state.discriminator), task.tensors()
    buffers = [(buffer, buffer.clone()) for network in networks for buffer in network.buffers()]
    seconds, first = 0.0, 0
    for phase in config.phases:
        left = min(phase.steps, first + phase.steps - state.step)
        if left > 0:
            stepper.updates(first, phase, effects, apply=False)  # warm-up, and the targets of these pictures
            stepper.wait()
            began = time.perf_counter()
            stepper.updates(first, phase, effects, apply=False)
            stepper.wait()
            seconds += left * (time.perf_counter() - began)
        first += phase.steps
    with torch.no_grad():  # every forward pass changes spectral norm's vectors and running averages
        for buffer, before in buffers:
            buffer.copy_(before)
    task.restore(memory)
    if validate_pair:
        began, interval = time.perf_counter(), config.validation_interval
        if is_main():
            validate_pair()
        wait_for_all()
        left = math.ceil(config.steps / interval) - state.step // interval
        seconds += left * pairs * (time.perf_counter() - began)
    stepper.timer.restart()
    if torch.cuda.is_available() and stepper.accelerator.device.type == "cuda":
        return RunEstimate(seconds, torch.cuda.max_memory_allocated() / 1e9, "GPU")
    return RunEstimate(seconds, psutil.Process().memory_info().rss / 1e9, "main")
