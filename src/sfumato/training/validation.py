"""Validation: measures of the averaged model on pictures that are not trained on, and decisions from them.

A validation (`Validator.measure`) decides three things (`decide`): which checkpoint is the best, whether to stop early,
and the content weight (`controller.py`). It measures with the frozen VGG19 of the losses. EfficientNet-Lite0 is not
used: it evaluates finished models (`sfumato evaluate`), so training must not be selected by it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from sfumato.config import Config
from sfumato.data.folders import FolderReport
from sfumato.errors import UsageError
from sfumato.image import Picture, thumbnail
from sfumato.losses.config import LossWeights
from sfumato.losses.perceptual import CONTENT_LAYER
from sfumato.networks.model import StyleTransferModel
from sfumato.networks.perceptual import VGG19
from sfumato.quality.similarity import FeatureMap, content_distance
from sfumato.quality.style import StyleStatistics, luma_view, mean_distances, statistics_distance, texture_distance
from sfumato.training.config import TrainConfig
from sfumato.training.controller import next_weight


class Best(Config):
    """A validated checkpoint."""

    step: PositiveInt
    score: float  # lower is better
    values: dict[str, float]  # the measures from which the score was computed


class Record(Config):
    """The results of the validations so far; checkpoints store it, so that a resumed run decides as an unbroken one.

    Attributes:
        judged_by: key of everything that scores depend on; only scores with equal keys are compared.
        adversarial: whether the discriminator took part before the last validation.
        best: the checkpoint with the lowest score so far.
        to_beat: the score that must be improved on before `patience` ends.
        stale: consecutive validations that did not improve on it.
        content_weight: the controller's content weight; None: the config's.
    """

    judged_by: str = ""
    adversarial: bool = False
    best: Best | None = None
    to_beat: float | None = None
    stale: NonNegativeInt = 0
    content_weight: float | None = None


class PairValidator(Protocol):
    """A validator of one kind of model, as the trainer uses it.

    Attributes:
        key: hash of everything that the measures depend on besides the model.
        pairs: indices of photo and painting for each pair that is measured.
    """

    key: str
    pairs: list[tuple[int, int]]

    def measure(self, model: Any, pairs: int | None = None) -> dict[str, float]:
        """Return the means of measures over all pairs, or over the first `pairs`."""
        ...

    def score(self, values: Mapping[str, float], config: TrainConfig) -> float:
        """Combine the measures to a score; lower is better."""
        ...


def decide(
    record: Record,
    key: str,
    step: int,
    values: dict[str, float],
    config: TrainConfig,
    value: float | None = None,
) -> Record:
    """Return the record after a validation.

    Best checkpoint and patience start again if scores are not comparable: with other pairs, another form of the score,
    or when the discriminator joins. (The measures resemble the other losses and hardly reward what the discriminator
    adds, so a checkpoint from before it joined would win unduly.) Patience counts in the last phase only, so that no
    phase of the config is skipped.

    Args:
        record: the record before.
        key: the validator's key.
        step: number of steps done.
        values: the measures, from `PairValidator.measure`.
        config: the run's config.
        value: the score of the measures; None: computed by the function `score`.
    """
    if value is None:
        value = score(values, config.content_target, config.content_exchange)
    phase = config.phase(step - 1)
    judged_by = f"{key}, target {config.content_target:g}, exchange {config.content_exchange:g}"
    comparable = (record.judged_by, record.adversarial) == (judged_by, phase.adversarial)
    best, to_beat = (record.best, record.to_beat) if comparable else (None, None)
    this = Best(step=step, score=value, values=values)
    improved = to_beat is None or this.score < to_beat - config.min_improvement
    weight = None
    if config.content_target:
        weight = next_weight(
            loss_weights(record, config).content,
            values["content"],
            config.content_target,
            config.weights.content,
            config.controller_gain,
        )
    return Record(
        judged_by=judged_by,
        adversarial=phase.adversarial,
        best=this if best is None or this.score < best.score else best,
        to_beat=this.score if improved else to_beat,
        stale=0 if improved or phase is not config.phases[-1] else record.stale + 1,
        content_weight=weight,
    )


def score(values: Mapping[str, float], content_target: float, exchange: float) -> float:
    """Return style + texture + exchange·max(0, content - content_target); lower is better.

    Style and texture are relative distances (1: as far as another painting); content is in [0, 2]. Up to the target,
    content distance costs nothing; beyond it, a unit costs as much as `exchange` units of style.
    """
    return values["style"] + values["texture"] + exchange * max(0.0, values["content"] - content_target)


def loss_weights(record: Record, config: TrainConfig) -> LossWeights:
    """Return the current weights: the config's, with the controller's content weight if there is one."""
    if not config.content_target or record.content_weight is None:
        return config.weights
    return config.weights.model_copy(update={"content": record.content_weight})


def reason_to_stop(record: Record, config: TrainConfig) -> str:
    """Return the reason to stop before the last step, as a clause; empty if there is none."""
    if not config.patience or record.stale < config.patience or record.best is None:
        return ""
    return (
        f"in {record.stale} validations the score has not improved by more than {config.min_improvement:g} "
        f"(the best is {record.best.score:.3f}, at step {record.best.step})"
    )


def choose_pairs(photos: Sequence[str], paintings: Sequence[str], count: int, seed: int) -> list[tuple[int, int]]:
    """Choose `count` pairs (or all, if there are fewer) that use all photos and paintings as evenly as possible.

    The choice depends on the pictures' hashes and the seed, not on their order or names.

    Args:
        photos: hashes of the photos.
        paintings: hashes of the paintings.
        count: number of pairs.
        seed: seed of the choice.

    Returns:
        Indices of photo and painting for each pair.
    """
    if not photos or not paintings:
        return []
    rng = np.random.default_rng([seed, 2])  # random streams 0 and 1 are used by batches (data/batches.py)
    first, second = (np.argsort(some)[rng.permutation(len(some))].tolist() for some in (photos, paintings))
    # Both lists are cycled; when both end together, the second is shifted by one, so that no pair repeats.
    whole = math.lcm(len(first), len(second))
    places = range(min(count, len(first) * len(second)))
    return [(first[i % len(first)], second[(i + i // whole) % len(second)]) for i in places]


@dataclass(frozen=True)
class _Photo:
    picture: Tensor  # (1, 3, S, S)
    content: FeatureMap


@dataclass(frozen=True)
class _Painting:
    picture: Tensor  # (1, 3, h, w), not reduced
    statistics: StyleStatistics


class Validator:
    """A validator of models of the arbitrary kind on fixed pairs, without randomness.

    The middle squares of photos are painted, as in training; this is also cheaper than whole photos.

    Args:
        vgg: computes `STYLE_LAYERS`; models are measured on its device.
        photos: photos to choose from, at least one.
        paintings: paintings to choose from, at least two.
        count: largest number of pairs.
        side: short side at which pictures are painted and measured, in pixels.
        seed: seed of the choice.

    Raises:
        UsageError: there is no pair, or only one painting.
    """

    def __init__(
        self, vgg: VGG19, photos: FolderReport, paintings: FolderReport, *, count: int, side: int, seed: int
    ) -> None:
        self.vgg, self.device = vgg, next(vgg.parameters()).device
        hashes = [[picture.sha256 for picture in report.pictures] for report in (photos, paintings)]
        self.pairs = choose_pairs(hashes[0], hashes[1], count, seed)
        vgg_bytes = next(vgg.parameters()).detach().cpu().contiguous().numpy().tobytes()
        facts = "\n".join([str(side), *(f"{hashes[0][i]} {hashes[1][j]}" for i, j in self.pairs)])
        self.key = hashlib.sha256(facts.encode() + vgg_bytes).hexdigest()[:16]
        self._photos: dict[int, _Photo] = {}
        for i in sorted({i for i, _ in self.pairs}):
            square = self._reduced(_middle(photos.pictures[i].pixels), side)
            self._photos[i] = _Photo(square, self._vgg_features(square)[CONTENT_LAYER][0])
        self._paintings: dict[int, _Painting] = {}
        for j in sorted({j for _, j in self.pairs}):
            pixels = paintings.pictures[j].pixels
            statistics = self._statistics(self._reduced(pixels, side))
            self._paintings[j] = _Painting(self._reduced(pixels, None), statistics)
        self.scales = mean_distances([painting.statistics for painting in self._paintings.values()])
        self._descriptions: dict[int, Tensor] = {}

    @torch.no_grad()
    def measure(self, model: StyleTransferModel, pairs: int | None = None) -> dict[str, float]:
        """Measure a model on all pairs, or on the first `pairs` of them.

        Returns:
            Means over pairs. `content`: `content_distance` to the photo at relu4_1. `style` and `texture`:
            `statistics_distance` and `texture_distance` to the painting, relative to the mean distance between
            paintings. For a broken model they may not be finite.
        """
        with np.errstate(all="ignore"):
            rows = [self._measure(model, i, j) for i, j in self.pairs[:pairs]]
        return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}

    @staticmethod
    def score(values: Mapping[str, float], config: TrainConfig) -> float:
        """Return the score of the measures by the function `score`; lower is better."""
        return score(values, config.content_target, config.content_exchange)

    def _measure(self, model: StyleTransferModel, i: int, j: int) -> dict[str, float]:
        photo, painting = self._photos[i], self._paintings[j]
        if j not in self._descriptions:  # not trained, so computed once
            self._descriptions[j] = model.style_encoder.describe(painting.picture)
        code = model.style_encoder.code(self._descriptions[j])
        # The photo is its own thumbnail, so measuring paints it: bit-identical to `forward`, in half the time.
        painted = model.generator.measure_and_paint(photo.picture, code)[1].clamp(0, 1)
        features = self._features(painted)
        statistics = StyleStatistics.of("vgg19", *features)
        return {
            "content": content_distance(features[0][CONTENT_LAYER], photo.content),
            "style": statistics_distance(statistics, painting.statistics, self.scales[0]),
            "texture": texture_distance(statistics, painting.statistics, self.scales[1]),
        }

    def _statistics(self, x: Tensor) -> StyleStatistics:
        return StyleStatistics.of("vgg19", *self._features(x))

    def _features(self, x: Tensor) -> tuple[dict[str, FeatureMap], dict[str, FeatureMap]]:
        """Return the features by layer of a picture (1, 3, H, W) and of its `luma_view`."""
        view = torch.from_numpy(luma_view(x.cpu().numpy())).to(self.device)
        features = self._vgg_features(torch.cat([x, view]))
        return {layer: f[0] for layer, f in features.items()}, {layer: f[1] for layer, f in features.items()}

    @torch.no_grad()
    def _vgg_features(self, x: Tensor) -> dict[str, np.ndarray]:
        return {layer: f.cpu().numpy() for layer, f in self.vgg(x).items()}

    def _reduced(self, pixels: np.ndarray, side: int | None) -> Tensor:
        """Convert pixels (3, H, W) uint8 to (1, 3, h, w) in [0, 1], reduced to a short side of at most `side`."""
        x: Picture = (pixels[None] / 255).astype(np.float32)
        if side is not None:
            x = thumbnail(x, side)
        return torch.from_numpy(x).to(self.device)


def _middle(pixels: np.ndarray) -> np.ndarray:
    side = min(pixels.shape[1:])
    top, left = ((length - side) // 2 for length in pixels.shape[1:])
    return pixels[:, top : top + side, left : left + side]


def check_target(config: TrainConfig, validator: PairValidator | None) -> None:
    """Check that there is a validator if the config has a content target.

    Raises:
        UsageError: there is none.
    """
    if config.content_target and not validator:
        raise UsageError(
            "content_target needs pictures for validation; give --manifest a CSV with rows of split `validation`, "
            "or --set hold_out=0.05, or --set content_target=0"
        )
