"""Validation: the averaged model paints pictures that training never sees, and what the measures say of them steers.

A judgement (`Validator.measure`) decides three things (`decide`): which checkpoint is the best, whether to stop early,
and the weight of content (`controller.py`). VGG19 judges, the frozen one of the losses. EfficientNet-Lite0 takes no
part: it judges finished models (`sfumato evaluate`), and must not have been trained towards.
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
    """A checkpoint and its judgement: its step, its score (lower is better), and the figures that the score is of."""

    step: PositiveInt
    score: float
    values: dict[str, float]


class Record(Config):
    """What the judgements so far have led to. Checkpoints hold it, so that a resumed run decides as an unbroken one.

    Attributes:
        judged_by: what scores depend on; others are not compared.
        adversarial: whether the discriminator took part before the last judgement.
        best: the lowest score so far.
        to_beat: score that patience waits to see improved.
        stale: judgements in a row that did not improve it.
        content_weight: as the controller has it; `None` is the config's.
    """

    judged_by: str = ""
    adversarial: bool = False
    best: Best | None = None
    to_beat: float | None = None
    stale: NonNegativeInt = 0
    content_weight: float | None = None


class PairValidator(Protocol):
    """What the trainer asks of a kind's validation.

    Attributes:
        key: of all that the figures depend on besides the model.
        pairs: indices of photo and painting, for each pair that is measured.
    """

    key: str
    pairs: list[tuple[int, int]]

    def measure(self, model: Any, pairs: int | None = None) -> dict[str, float]:
        """Means of figures over the pairs, or over the first so many."""
        ...

    def score(self, values: Mapping[str, float], config: TrainConfig) -> float:
        """One number of the figures: lower is better."""
        ...


def decide(
    record: Record,
    key: str,
    step: int,
    values: dict[str, float],
    config: TrainConfig,
    value: float | None = None,
) -> Record:
    """The record after a judgement.

    Best and patience begin anew where scores cannot be compared: other pairs, another form of the score, or the
    discriminator has joined. (The measures are near to what the other losses ask for and know little of what it adds:
    a checkpoint from before it would win by having tried less.) Patience is for the last phase: a stop before it would
    skip what the config asks for.

    Args:
        record: that before.
        key: the `Validator.key` of who judged.
        step: steps done.
        values: what `PairValidator.measure` gave.
        value: their score; None: `score` of them.
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
    """style + texture + exchange·max(0, content - content_target): lower is better.

    Style and texture are relative distances (1: as far as another painting), content is from 0 to 2. Up to the target
    content costs nothing; beyond it, `exchange` says how much style a unit of it is worth.
    """
    return values["style"] + values["texture"] + exchange * max(0.0, values["content"] - content_target)


def loss_weights(record: Record, config: TrainConfig) -> LossWeights:
    """The weights in use: the config's, but for that of content where the controller has it."""
    if not config.content_target or record.content_weight is None:
        return config.weights
    return config.weights.model_copy(update={"content": record.content_weight})


def reason_to_stop(record: Record, config: TrainConfig) -> str:
    """Why to stop before the last step, as a sentence; empty where there is no reason."""
    if not config.patience or record.stale < config.patience or record.best is None:
        return ""
    return (
        f"in {record.stale} validations the score has not improved by more than {config.min_improvement:g} "
        f"(the best is {record.best.score:.3f}, at step {record.best.step})"
    )


def choose_pairs(photos: Sequence[str], paintings: Sequence[str], count: int, seed: int) -> list[tuple[int, int]]:
    """Indices of `count` pairs, of all where there are fewer, in which each photo and painting is as seldom as can be.

    Args:
        photos, paintings: hashes of the pictures; on them and the seed the choice depends, not on order or names.
    """
    if not photos or not paintings:
        return []
    rng = np.random.default_rng([seed, 2])  # 0 and 1 are the batches' (data/batches.py)
    first, second = (np.argsort(some)[rng.permutation(len(some))].tolist() for some in (photos, paintings))
    # Both lists go round; where both end at once, the second moves on by one, or the same pairs would come again.
    whole = math.lcm(len(first), len(second))
    places = range(min(count, len(first) * len(second)))
    return [(first[i % len(first)], second[(i + i // whole) % len(second)]) for i in places]


@dataclass(frozen=True)
class _Photo:
    picture: Tensor  # (1, 3, S, S)
    content: FeatureMap


@dataclass(frozen=True)
class _Painting:
    picture: Tensor  # (1, 3, h, w), as held
    statistics: StyleStatistics


class Validator:
    """Judges models on fixed pairs; there is no randomness in it.

    Of a photo the middle square is painted, which is cheaper than the whole, and what training sees.

    Args:
        vgg: gives `STYLE_LAYERS`; models are judged on its device.
        photos, paintings: from which the pairs are chosen; one photo and two paintings at least.
        count: pairs at most.
        side: pixels, short side at which pictures are painted and judged.
        seed: of the choice.

    Raises:
        UsageError: there is no pair, or one painting only.
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
        """Means over the pairs, or over the first so many, of `content` (`content_distance` to the photo at relu4_1),
        `style` and `texture` (`statistics_distance` and `texture_distance` to the painting, relative to the spread of
        the paintings). What a broken model paints may have no finite ones."""
        with np.errstate(all="ignore"):
            rows = [self._measure(model, i, j) for i, j in self.pairs[:pairs]]
        return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}

    @staticmethod
    def score(values: Mapping[str, float], config: TrainConfig) -> float:
        """See `score`."""
        return score(values, config.content_target, config.content_exchange)

    def _measure(self, model: StyleTransferModel, i: int, j: int) -> dict[str, float]:
        photo, painting = self._photos[i], self._paintings[j]
        if j not in self._descriptions:  # nothing learnt is in it: once for all
            self._descriptions[j] = model.style_encoder.describe(painting.picture)
        code = model.style_encoder.code(self._descriptions[j])
        # The photo is its own thumbnail, so that measuring it has painted it: the same bits as by `forward`, in half
        # the time.
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
        """Features by layer of a picture (1, 3, H, W) and of its `luma_view`."""
        view = torch.from_numpy(luma_view(x.cpu().numpy())).to(self.device)
        features = self._vgg_features(torch.cat([x, view]))
        return {layer: f[0] for layer, f in features.items()}, {layer: f[1] for layer, f in features.items()}

    @torch.no_grad()
    def _vgg_features(self, x: Tensor) -> dict[str, np.ndarray]:
        return {layer: f.cpu().numpy() for layer, f in self.vgg(x).items()}

    def _reduced(self, pixels: np.ndarray, side: int | None) -> Tensor:
        """Held pixels (3, H, W) as (1, 3, h, w) in [0, 1], with that short side where theirs is larger."""
        x: Picture = (pixels[None] / 255).astype(np.float32)
        if side is not None:
            x = thumbnail(x, side)
        return torch.from_numpy(x).to(self.device)


def _middle(pixels: np.ndarray) -> np.ndarray:
    side = min(pixels.shape[1:])
    top, left = ((length - side) // 2 for length in pixels.shape[1:])
    return pixels[:, top : top + side, left : left + side]


def check_target(config: TrainConfig, validator: PairValidator | None) -> None:
    """UsageError where the config asks for a content distance, and there are no pictures to measure it on."""
    if config.content_target and not validator:
        raise UsageError(
            "content_target needs pictures to measure on; give --manifest a CSV with rows of split `validation`, "
            "or --set hold_out=0.05, or --set content_target=0"
        )
