from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sfumato.errors import UsageError
from sfumato.quality.classifier import balanced_accuracy, fresh_classifier_accuracy
from sfumato.quality.features import Features


def sets(shift: Any, n: int = 60, m: int = 120, width: int = 32, seed: int = 0) -> Any:
    """Real pictures, and outputs whose mean lies `shift` deviations off in every direction; 12 groups each."""
    rng = np.random.default_rng(seed)
    real, fake = rng.standard_normal((n, width)), rng.standard_normal((m, width)) + shift / np.sqrt(width)
    return (
        Features("backbone", real),
        Features("backbone", fake),
        [i % 12 for i in range(n)],
        [i % 12 for i in range(m)],
    )


def test_balanced_accuracy_by_hand() -> None:
    found = balanced_accuracy("d", [1, 1, -1, 2], [-1, -1, -1, 0, 3, 3], list("aabbcc"), "who")
    assert found.value == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert found.low < found.value < found.high
    assert (found.n, found.backbone) == (4, "who")
    assert balanced_accuracy("d", [1], [-1], ["a"], "who").value == 1
    with pytest.raises(UsageError, match="one of them has none"):
        balanced_accuracy("d", [], [1], ["a"], "who")
    with pytest.raises(UsageError, match="the group of every picture"):
        balanced_accuracy("d", [1], [1], [], "who")


def test_an_interval_knows_that_outputs_of_a_style_go_together() -> None:
    scores = np.where(np.arange(200) % 2 == 0, -1.0, 1.0)
    apart, together = (
        balanced_accuracy("d", scores, scores, groups, "who") for groups in (range(200), [i // 50 for i in range(200)])
    )
    assert together.high - together.low > 2 * (apart.high - apart.low)


@pytest.mark.parametrize(("shift", "low", "high"), [(0.0, 0.4, 0.6), (2.0, 0.75, 0.93), (8.0, 0.99, 1.0)])
def test_a_classifier_tells_what_can_be_told(shift: float, low: float, high: float) -> None:
    """Between two normal clouds `d` deviations apart the best possible accuracy is Φ(d/2): 0.84 at 2."""
    values = [fresh_classifier_accuracy(*sets(shift, seed=seed)).value for seed in range(5)]
    assert low <= np.mean(values) <= high


def test_no_more_than_chance_where_features_outnumber_pictures() -> None:
    """2,000 features and 150 pictures: fitted and judged on the same ones it would be right always."""
    values = [fresh_classifier_accuracy(*sets(0.0, 50, 100, 2000, seed)).value for seed in range(5)]
    assert 0.4 <= np.mean(values) <= 0.6


def test_unequal_numbers_do_not_make_it_say_the_larger_class_always() -> None:
    found = fresh_classifier_accuracy(*sets(0.0, 20, 400))
    assert 0.35 <= found.value <= 0.65


def test_channel_stats_are_no_way_to_tell() -> None:
    """Each style has a direction of its own, and real and fake differ within each style only by how it is signed:
    learnt on some styles it says nothing of others."""
    rng = np.random.default_rng(1)
    directions = 6 * rng.standard_normal((12, 64)) / 8
    real = np.concatenate([rng.standard_normal((8, 64)) / 4 + d for d in directions])
    fake = np.concatenate([rng.standard_normal((8, 64)) / 4 - d for d in directions])
    groups = [i // 8 for i in range(96)]
    sides = Features("backbone", real), Features("backbone", fake)
    assert fresh_classifier_accuracy(*sides, groups, groups).value <= 0.6
    assert fresh_classifier_accuracy(*sides, list(range(96)), list(range(96))).value >= 0.95  # what grouping is for


def test_what_it_refuses() -> None:
    real, fake, groups, others = sets(1.0)
    with pytest.raises(UsageError, match="cannot be compared"):
        fresh_classifier_accuracy(real, Features("other", fake.arrays), groups, others)
    with pytest.raises(UsageError, match="10 or more"):
        fresh_classifier_accuracy(Features("backbone", real.arrays[:9]), fake, groups[:9], others)
    with pytest.raises(UsageError, match="5 or more styles"):
        fresh_classifier_accuracy(real, fake, [0] * 60, [1] * 120)
