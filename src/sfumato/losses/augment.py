"""Differentiable augmentation of what the discriminator sees (DiffAugment, Zhao et al. 2020).

With few paintings a discriminator learns them by heart. It is therefore shown both paintings and outputs augmented, and
the generator is judged through the same augmentation, so that it learns to paint and not to augment.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.losses.config import Augment
from sfumato.parallel import WHOLE, Rows

REAL, FAKE = 0, 1  # the end of a key: paintings and outputs of one step are augmented independently
_KEY = 0xA06  # the start of every key: no draw is one that a batch was made of
_GREY = 0.5  # what a cutout leaves; a discriminator reads it as 0


def augment_pictures(how: Augment, x: Tensor, *key: int, rows: Rows = WHOLE) -> Tensor:
    """Pictures (B, 3, H, W) in [0, 1] -> the same, augmented; colours may leave [0, 1] by a little.

    Colour, translation and cutout, each given to a picture with probability `how.p`, in the order of the paper. Two
    choices are not the paper's, as this discriminator judges patches. What translation uncovers is filled by
    reflection and not with zeros: a dead band would be an edge that no painting has, and its patches would count in the
    mean of logits and say nothing. And the hole is a quarter of the side, not half, because every patch that touches it
    is lost. Colour is weak, for colour is part of a style: what varies here the generator may get wrong.

    Equal keys draw equally, on every device, and picture i's draws do not depend on how many there are. A key is whole
    numbers from 0 up: the seed, the step, and REAL or FAKE. `rows` says which of the whole batch's pictures these are.
    """
    if not how.p:
        return x
    draws = np.random.default_rng([_KEY, *key]).random((len(x) * rows.of, 10))[rows.process :: rows.of]
    chosen, rest = draws[:, :3] < how.p, draws[:, 3:]
    if how.colour:
        x = _tint(x, how.colour, chosen[:, 0], rest[:, :3])
    if how.translation:
        x = _translate(x, how.translation, chosen[:, 1], rest[:, 3:5])
    if how.cutout:
        x = _cut_out(x, how.cutout, chosen[:, 2], rest[:, 5:7])
    return x


def _tint(x: Tensor, colour: float, chosen: np.ndarray, draws: np.ndarray) -> Tensor:
    """Brightness ±0.25, saturation and contrast by factors of 1 ± 1 and 1 ± ½, all times `colour`."""
    jitter = torch.from_numpy((2 * draws - 1) * colour).to(x)[:, :, None, None, None]
    brightness, saturation, contrast = jitter.unbind(1)
    y = x + brightness / 4
    grey = y.mean(1, keepdim=True)
    y = grey + (y - grey) * (1 + saturation)
    mean = y.mean((1, 2, 3), keepdim=True)
    y = mean + (y - mean) * (1 + contrast / 2)
    return torch.where(torch.from_numpy(chosen).to(x.device)[:, None, None, None], y, x)


def _translate(x: Tensor, translation: float, chosen: np.ndarray, draws: np.ndarray) -> Tensor:
    height, width = x.shape[2:]
    far = np.round(translation * np.array([height, width])).astype(int)
    moves = np.where(chosen[:, None], np.floor(draws * (2 * far + 1)).astype(int), far)  # 0 to twice as far
    padded = F.pad(x, (far[1], far[1], far[0], far[0]), mode="reflect")
    pairs = zip(padded, moves.tolist(), strict=True)
    return torch.stack([picture[:, top : top + height, left : left + width] for picture, (top, left) in pairs])


def _cut_out(x: Tensor, cutout: float, chosen: np.ndarray, draws: np.ndarray) -> Tensor:
    """The hole's middle may be anywhere, so its edge may lie outside."""
    inside = []
    for axis, side in enumerate(x.shape[2:]):
        hole = round(cutout * side)
        first = torch.from_numpy(np.floor(draws[:, axis] * (side + 1 - hole % 2)) - hole // 2).to(x.device)[:, None]
        at = torch.arange(side, device=x.device)
        inside.append((at >= first) & (at < first + hole))
    holes = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(holes & torch.from_numpy(chosen).to(x.device)[:, None, None, None], _GREY, x)
