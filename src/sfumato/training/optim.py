"""Exponential moving average of weights, and the learning-rate schedule."""

from __future__ import annotations

import math

import torch
from torch import nn


class EMA:
    """Averages a module's parameters with a half-life in pictures (Karras et al. 2020, `ema_kimg`), ramped from 0."""

    def __init__(self, module: nn.Module, half_life: float) -> None:
        self.half_life = half_life
        self.pictures = 0
        self.values = {name: p.detach().clone().float() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module, pictures: int) -> None:
        """Move the average towards the module after `pictures` more were seen."""
        self.pictures += pictures
        # Early on the average spans a tenth of what was seen, or it would hold on to the first noise.
        decay = 0.5 ** (pictures / min(self.half_life, max(self.pictures / 10, 1e-8)))
        names, values = zip(*((n, p.detach()) for n, p in module.named_parameters()), strict=True)
        torch._foreach_lerp_([self.values[n] for n in names], list(values), 1 - decay)

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Put the averaged weights into a module of the same shape."""
        for name, parameter in module.named_parameters():
            parameter.copy_(self.values[name])


def learning_rate(step: int, steps: int, warmup: int, final: float) -> float:
    """Factor on the base rate at a step: linear warm-up, then a cosine from 1 to `final`."""
    if step < warmup:
        return (step + 1) / warmup
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
