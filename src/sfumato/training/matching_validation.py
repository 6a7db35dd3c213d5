"""Validation of the matching kind: measures of the averaged decoder on pictures that are not trained on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sfumato.data.batches import BatchSource
from sfumato.data.folders import FolderReport
from sfumato.image import Picture
from sfumato.losses.matching import matched_loss
from sfumato.networks.decoder import Decoder
from sfumato.networks.hypercolumn import STRIDE, hypercolumns
from sfumato.networks.matching import match
from sfumato.networks.model import MatchingModel
from sfumato.networks.perceptual import VGG19
from sfumato.quality.similarity import psnr
from sfumato.training.config import TrainConfig
from sfumato.training.validation import choose_pairs


@dataclass(frozen=True)
class _Pair:
    photo: Tensor  # (1, 3, S, S), the middle square, reduced to S pixels
    painting: Tensor  # (1, 3, s, s), a middle square without resizing, at most S pixels a side


class MatchingValidator:
    """A validator of decoders on fixed pairs, without randomness.

    Args:
        vgg: computes at least the layers of hypercolumns; models are measured on its device.
        photos: photos to choose from, at least one.
        paintings: paintings to choose from, at least one.
        config: gives number and side of the pairs, the seed of their choice, the balance of matching, and precision.

    Attributes:
        pairs: indices of photo and painting.
        key: hash of everything that the measures depend on besides the model. Measures with other keys are not
            comparable.
    """

    def __init__(self, vgg: VGG19, photos: FolderReport, paintings: FolderReport, config: TrainConfig) -> None:
        self.vgg, self.device = vgg, next(vgg.parameters()).device
        self.balance, self.mixed = config.balance, config.mixed_precision == "bf16"
        side = config.validation_side // STRIDE * STRIDE
        hashes = [[picture.sha256 for picture in report.pictures] for report in (photos, paintings)]
        self.pairs = choose_pairs(hashes[0], hashes[1], config.validation_pairs, config.seed)
        facts = [f"matching {side} {self.balance:g} {self.mixed}"]
        facts += [f"{hashes[0][i]} {hashes[1][j]}" for i, j in self.pairs]
        self.key = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
        self._pictures = [
            _Pair(
                BatchSource.centre(self._held(photos.pictures[i].pixels), side)[None],
                _middle(self._held(paintings.pictures[j].pixels), side),
            )
            for i, j in self.pairs
        ]

    @torch.no_grad()
    def measure(self, model: MatchingModel, pairs: int | None = None) -> dict[str, float]:
        """Measure a model on all pairs, or on the first `pairs` of them.

        Returns:
            Means over pairs. `matched`: `losses.matching.matched_loss` between the hypercolumns of decoded matches and
            those they were decoded from, at least 0. `psnr`: PSNR of photos and paintings decoded from their own
            hypercolumns, in decibels.
        """
        rows = [self._measure(model.decoder, pair) for pair in self._pictures[:pairs]]
        return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}

    @staticmethod
    def score(values: Mapping[str, float], _config: TrainConfig) -> float:
        """Return `matched` plus the root mean square error that corresponds to `psnr`; lower is better."""
        return values["matched"] + math.pow(10, -values["psnr"] / 20)

    def _measure(self, decoder: Decoder, pair: _Pair) -> dict[str, float]:
        scale = decoder.scale
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
            content, style = (hypercolumns(self.vgg, x) for x in (pair.photo, pair.painting))
            target = match(content * scale, style * scale, self.balance)
            found = hypercolumns(self.vgg, decoder(target / scale).float().clamp(0, 1)) * scale
            rebuilt = [decoder(features).float().clamp(0, 1) for features in (content, style)]
        errors = [psnr(_array(x), _array(y)) for x, y in zip(rebuilt, (pair.photo, pair.painting), strict=True)]
        return {"matched": float(matched_loss(found, target)), "psnr": float(np.mean(errors))}

    def _held(self, pixels: np.ndarray) -> Tensor:
        return torch.from_numpy(pixels).to(self.device)


def _middle(picture: Tensor, side: int) -> Tensor:
    """Cut the middle of a picture (3, h, w) uint8 as (1, 3, s, s) in [0, 1], s ≤ `side` and a multiple of 4."""
    side = min(side, *picture.shape[1:]) // STRIDE * STRIDE
    top, left = ((length - side) // 2 for length in picture.shape[1:])
    return picture[None, :, top : top + side, left : left + side].float() / 255


def _array(x: Tensor) -> Picture:
    picture: Picture = x.cpu().numpy()
    return picture
