"""Differentiable augmentation of the discriminator's input (DiffAugment, Zhao et al. 2020).

A discriminator with few paintings memorises them. Both paintings and outputs are therefore augmented, in the
generator's loss too, so that the generator does not learn to reproduce the augmentation.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.losses.config import Augment
from sfumato.parallel import WHOLE, Rows

REAL, FAKE = 0, 1  # last part of a random key: paintings and outputs of one step are augmented independently
_KEY = 0xA06  # first part of every random key: keeps these draws independent of those that make up batches
_GREY = 0.5  # fill value of a cutout; the discriminator scales it to 0


def augment_pictures(how: Augment, x: Tensor, *key: int, rows: Rows = WHOLE) -> Tensor:
    """Augment pictures (B, 3, H, W) in [0, 1] by colour, translation and cutout, in the paper's order.

    Each of the three is applied to a picture with probability `how.p`. Three choices differ from the paper. The
    discriminator judges patches, so translation fills the uncovered border by reflection: zeros would be an edge that
    no painting has, and their patches would add uninformative logits to the mean. For the same reason the hole is a
    quarter of the side, not half: every patch that overlaps it is lost. Colour changes are weak, because colour is
    part of a style, and the generator may get wrong whatever the augmentation varies.

    Equal keys give equal results on every device, and the draws for picture i do not depend on the batch size.

    Args:
        how: strengths and probability.
        x: pictures.
        key: integers ≥ 0: the seed, the step, and REAL or FAKE.
        rows: which samples of the global batch these are.

    Returns:
        Pictures of the same shape; colours may leave [0, 1] slightly.
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
    """Change brightness by ±0.25, saturation by a factor of 1 ± 1, contrast by 1 ± ½, all scaled by `colour`."""
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
    moves = np.where(chosen[:, None], np.floor(draws * (2 * far + 1)).astype(int), far)  # in [0, 2·far]; far: unmoved
    padded = F.pad(x, (far[1], far[1], far[0], far[0]), mode="reflect")
    pairs = zip(padded, moves.tolist(), strict=True)
    return torch.stack([picture[:, top : top + height, left : left + width] for picture, (top, left) in pairs])


def _cut_out(x: Tensor, cutout: float, chosen: np.ndarray, draws: np.ndarray) -> Tensor:
    """Grey out one square; its centre may be anywhere in the picture, so part of it may lie outside."""
    inside = []
    for axis, side in enumerate(x.shape[2:]):
        hole = round(cutout * side)
        first = torch.from_numpy(np.floor(draws[:, axis] * (side + 1 - hole % 2)) - hole // 2).to(x.device)[:, None]
        at = torch.arange(side, device=x.device)
        inside.append((at >= first) & (at < first + hole))
    holes = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(holes & torch.from_numpy(chosen).to(x.device)[:, None, None, None], _GREY, x)
