"""Exponential moving average of weights, and the learning-rate schedule."""

from __future__ import annotations

import math

import torch
from torch import nn


class EMA:
    """The moving average of a module's parameters, with a half-life in pictures (Karras et al. 2020, `ema_kimg`)."""

    def __init__(self, module: nn.Module, half_life: float) -> None:
        self.half_life = half_life
        self.pictures = 0
        self.values = {name: p.detach().clone().float() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module, pictures: int) -> None:
        """Update the average with the module's parameters after a step of `pictures` samples."""
        self.pictures += pictures
        # Early in training the half-life is a tenth of the pictures so far; otherwise initial weights would remain.
        decay = 0.5 ** (pictures / min(self.half_life, max(self.pictures / 10, 1e-8)))
        names, values = zip(*((n, p.detach()) for n, p in module.named_parameters()), strict=True)
        torch._foreach_lerp_([self.values[n] for n in names], list(values), 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Copy the averaged parameters to a module of the same shape."""
        for name, parameter in module.named_parameters():
            parameter.copy_(self.values[name])


def learning_rate(step: int, steps: int, warmup: int, final: float) -> float:
    """Return the factor on the base learning rate at a step: linear warm-up, then a cosine from 1 to `final`."""
    if step < warmup:
        return (step + 1) / warmup
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
