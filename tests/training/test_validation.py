from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sfumato.data.folders import FolderReport
from sfumato.errors import UsageError
from sfumato.image import resize
from sfumato.losses.config import LossWeights
from sfumato.networks.model import StyleTransferModel
from sfumato.networks.perceptual import VGG19
from sfumato.quality.similarity import content_distance
from sfumato.quality.style import StyleStatistics, luma_view, mean_distances, statistics_distance, texture_distance
from sfumato.training.config import Phase, TrainConfig
from sfumato.training.state import BEST, best_checkpoint
from sfumato.training.validation import (
    Record,
    Validator,
    choose_pairs,
    decide,
    loss_weights,
    reason_to_stop,
    score,
)
from support import NETWORK32

PHASES = (Phase(steps=10, adversarial=False), Phase(steps=10), Phase(steps=10, crop=64))


def settings(**changes: Any) -> TrainConfig:
    return TrainConfig(phases=PHASES, **changes)


def values(content: float = 1.0, style: float = 0.3, texture: float = 0.5) -> Any:
    return {"content": content, "style": style, "texture": texture}


def course(scores: Any, config: Any, *, first: int = 11, key: str = "k") -> Any:
    """Records after judgements with these scores, one a step from step `first` on."""
    record, records = Record(), []
    for step, value in enumerate(scores, first):
        record = decide(record, key, step, values(content=0.0, style=value, texture=0.0), config)
        records.append(record)
    return records


def test_the_score_is_style_and_texture_and_what_content_has_too_much() -> None:
    assert score(values(), 0.0, 0.5) == pytest.approx(0.3 + 0.5 + 0.5)
    assert score(values(), 0.8, 0.5) == pytest.approx(0.3 + 0.5 + 0.5 * 0.2)
    assert score(values(), 1.2, 0.5) == pytest.approx(0.8)  # keeping more than was asked for is worth nothing


def test_pairs_differ_and_use_every_picture_as_evenly_as_can_be() -> None:
    photos, paintings = [f"p{i}" for i in range(6)], [f"a{i}" for i in range(4)]
    for count in (1, 5, 12, 13, 24):
        pairs = choose_pairs(photos, paintings, count, 0)
        assert len(set(pairs)) == len(pairs) == count
        for side, size in ((0, 6), (1, 4)):
            often = Counter(pair[side] for pair in pairs)
            assert max(often.values()) - min(often.get(i, 0) for i in range(size)) <= 1
    assert set(choose_pairs(photos, paintings, 100, 0)) == {(i, j) for i in range(6) for j in range(4)}
    assert choose_pairs([], paintings, 5, 0) == choose_pairs(photos, [], 5, 0) == []


def test_the_choice_of_pairs_is_the_seed_s_and_the_pictures_and_not_the_order_s() -> None:
    photos, paintings = [f"p{i}" for i in range(9)], [f"a{i}" for i in range(7)]

    def named(some: Any, others: Any, seed: Any) -> Any:
        return [(some[i], others[j]) for i, j in choose_pairs(some, others, 5, seed)]

    assert named(photos, paintings, 0) == named(photos[::-1], paintings[3:] + paintings[:3], 0)
    assert named(photos, paintings, 0) != named(photos, paintings, 1)


def test_the_best_is_the_lowest_and_patience_waits_for_more_than_a_little() -> None:
    records = course([1.0, 0.8, 0.799, 0.798, 0.9], settings(min_improvement=0.01, patience=3), first=21)
    assert [record.best.step for record in records] == [21, 22, 23, 24, 24]
    assert [record.best.score for record in records] == [1.0, 0.8, 0.799, 0.798, 0.798]
    assert [record.stale for record in records] == [0, 0, 1, 2, 3]
    # Many small improvements are a large one in the end.
    records = course([1.0, 0.996, 0.992, 0.988], settings(min_improvement=0.01), first=21)
    assert [record.stale for record in records] == [0, 1, 2, 0]


def test_patience_is_for_the_last_phase() -> None:
    config = settings(patience=2)
    assert [record.stale for record in course([1.0] * 4, config, first=11)] == [0] * 4
    records = course([1.0] * 5, config, first=19)  # 20 steps done are still the second phase's
    assert [record.stale for record in records] == [0, 0, 1, 2, 3]
    assert [bool(reason_to_stop(record, config)) for record in records] == [False] * 3 + [True] * 2
    assert not any(reason_to_stop(record, settings(patience=0)) for record in records)
    message = reason_to_stop(records[-1], config)
    assert "3 validations" in message
    assert "1.000, at step 19" in message


def test_where_the_discriminator_joins_the_best_begins_anew() -> None:
    records = course([0.5, 0.4, 0.9, 0.8], settings(), first=9)  # joins after step 10
    assert [record.best.step for record in records] == [9, 10, 11, 12]


@pytest.mark.parametrize("other", [{"key": "other pairs"}, {"content_exchange": 0.7}, {"content_target": 0.9}])
def test_scores_that_cannot_be_compared_are_forgotten(other: Any) -> None:
    *_, before = course([0.5, 0.6, 0.7], settings(), first=21)
    assert (before.best.step, before.stale) == (21, 2)
    key, changes = other.get("key", "k"), {k: v for k, v in other.items() if k != "key"}
    after = decide(before, key, 24, values(), settings(**changes))
    assert (after.best.step, after.stale) == (24, 0)
    assert decide(before, "k", 24, values(), settings()).best.step == 21


def test_a_record_survives_the_file_that_it_is_kept_in() -> None:
    *_, record = course([1 / 3, 0.1 + 0.2], settings(content_target=0.7), first=21)
    assert record.content_weight != settings().weights.content
    assert Record.parse(json.loads(json.dumps(record.model_dump()))) == record


def test_a_best_checkpoint_of_an_absurd_step_is_none_that_lies_there(tmp_path: Path) -> None:
    (tmp_path / BEST).write_text(json.dumps({"step": 10**400, "score": 1.0, "values": {}}))
    assert best_checkpoint(tmp_path) is None


def test_the_content_weight_is_the_controller_s_only_where_a_target_is_set() -> None:
    config = settings(content_target=0.5, weights=LossWeights(content=0.1).model_dump())
    record = decide(Record(), "k", 21, values(content=1.0), config)
    assert record.content_weight == pytest.approx(0.1 * np.exp(0.5))
    assert loss_weights(Record(), config) == config.weights
    assert loss_weights(record, config).content == record.content_weight
    assert loss_weights(record, config).gram == config.weights.gram
    again = decide(record, "k", 22, values(content=1.0), config)
    assert again.content_weight == pytest.approx(0.1 * np.exp(1.0))
    # Taken away, the config's counts again, and a later target begins with it.
    without = config.model_copy(update={"content_target": 0.0})
    assert loss_weights(again, without).content == 0.1
    assert decide(again, "k", 23, values(), without).content_weight is None


@pytest.fixture(scope="module")
def model(config: TrainConfig) -> Any:
    torch.manual_seed(3)
    return StyleTransferModel(config.model).eval()


def validator(vgg: Any, apart: Any, count: int = 5, side: int = 64, seed: int = 0) -> Validator:
    return Validator(vgg, *apart, count=count, side=side, seed=seed)


def test_the_figures_are_those_of_the_measures_on_what_the_model_paints(
    vgg: VGG19, apart: tuple[FolderReport, FolderReport], model: Any
) -> None:
    """The same by the long way: whole `forward`, each picture's features alone, and means over the pairs."""
    judge = validator(vgg, apart)
    photos, paintings = ([p.pixels[None].astype(np.float32) / 255 for p in report.pictures] for report in apart)
    small = [resize(x, 64, 64) for x in photos], [resize(x, 64, 64) for x in paintings]  # type: ignore[arg-type]

    def seen(x: Any) -> Any:
        with torch.no_grad():
            return {layer: f[0].numpy() for layer, f in vgg(torch.from_numpy(x)).items()}

    def statistics(x: Any) -> Any:
        return StyleStatistics.of("vgg19", seen(x), seen(luma_view(x)))

    styles = {j: statistics(small[1][j]) for j in {j for _, j in judge.pairs}}
    scale, texture_scale = mean_distances(list(styles.values()))
    rows = []
    for i, j in judge.pairs:
        x, style = torch.from_numpy(small[0][i]), torch.from_numpy(paintings[j])
        with torch.no_grad():
            painted = model(x, x, style).numpy()
        own = statistics(painted)
        rows.append(
            (
                content_distance(seen(painted)["relu4_1"], seen(small[0][i])["relu4_1"]),
                statistics_distance(own, styles[j], scale),
                texture_distance(own, styles[j], texture_scale),
            )
        )
    assert len({j for _, j in judge.pairs}) == 4
    got = judge.measure(model)
    assert [got[name] for name in ("content", "style", "texture")] == pytest.approx(np.mean(rows, 0), rel=NETWORK32)
    assert judge.measure(model, pairs=1)["content"] == pytest.approx(rows[0][0], rel=NETWORK32)


def test_judging_is_the_same_every_time_and_leaves_no_trace(
    vgg: VGG19, apart: tuple[FolderReport, FolderReport], model: Any
) -> None:
    before, random = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    judge = validator(vgg, apart)
    first = judge.measure(model)
    assert judge.measure(model) == first == validator(vgg, apart).measure(model)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.slow
def test_another_model_has_other_figures(
    vgg: VGG19, apart: tuple[FolderReport, FolderReport], model: Any, config: TrainConfig
) -> None:
    torch.manual_seed(4)
    judge = validator(vgg, apart)
    assert judge.measure(StyleTransferModel(config.model).eval()) != judge.measure(model)


def test_the_key_is_that_of_the_pairs_the_side_and_vgg(
    vgg: VGG19, apart: tuple[FolderReport, FolderReport], config: TrainConfig
) -> None:
    key = validator(vgg, apart).key
    photos, paintings = (FolderReport(report.folder, report.pictures[::-1]) for report in apart)
    assert validator(vgg, (photos, paintings)).key == key
    other_vgg = vgg.__class__(
        {f"{n}.{k}": v + 1 for n, c in vgg.convs.items() for k, v in c.state_dict().items()}, vgg.layers
    )
    others = [validator(vgg, apart, seed=1), validator(vgg, apart, side=48), validator(vgg, apart, count=4)]
    assert key not in {other.key for other in (*others, validator(other_vgg, apart))}


def test_the_middle_square_of_a_photo_is_judged(
    vgg: VGG19, apart: tuple[FolderReport, FolderReport], model: Any
) -> None:
    """A photo that is wider by a margin on each side has the same figures."""
    photos, paintings = apart
    square = photos.pictures[0]
    wide = np.pad(square.pixels, ((0, 0), (0, 0), (10, 10)))
    both = [FolderReport(photos.folder, [square.__class__(square.path, "", "0", p)]) for p in (square.pixels, wide)]
    first, second = (validator(vgg, (one, paintings), count=2).measure(model) for one in both)
    assert first == second


def test_what_is_not_finite_is_told_as_it_is(
    vgg: VGG19, apart: tuple[FolderReport, FolderReport], config: TrainConfig
) -> None:
    broken = StyleTransferModel(config.model).eval()
    with torch.no_grad():
        broken.generator.paint.conv.weight.fill_(float("inf"))
    assert not np.isfinite(list(validator(vgg, apart).measure(broken).values())).any()


def test_one_painting_alone_has_no_spread_to_be_measured_by(
    vgg: VGG19, apart: tuple[FolderReport, FolderReport]
) -> None:
    photos, paintings = apart
    with pytest.raises(UsageError, match="two or more paintings"):
        validator(vgg, (photos, FolderReport(paintings.folder, paintings.pictures[:1])))
