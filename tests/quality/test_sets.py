from __future__ import annotations

import numpy as np
import pytest

from sfumato.errors import UsageError
from sfumato.quality.backbones import Pooled
from sfumato.quality.features import Features
from sfumato.quality.sets import as_set, diversity, set_estimates


def test_members_make_a_set() -> None:
    members = [Pooled(np.full(3, v, np.float32), np.array([v, 1 - v], np.float32)) for v in (0.25, 0.5)]
    features, probabilities = as_set("backbone", members)
    assert features.backbone == "backbone"
    assert features.arrays.tolist() == [[0.25] * 3, [0.5] * 3]
    assert probabilities.tolist() == [[0.25, 0.75], [0.5, 0.5]]
    assert as_set("backbone", [Pooled(np.ones(2, np.float32), None)])[1] is None


def test_large_sets_have_all_figures_and_small_ones_say_what_they_lack() -> None:
    rng = np.random.default_rng(0)
    one, other = (Features("backbone", rng.normal(size=(300, 5))) for _ in "12")
    found = {estimate.name: estimate for estimate in set_estimates(one, other, rng.dirichlet([1, 1], 300))}  # type: ignore[arg-type]
    assert not [name for name, estimate in found.items() if np.isnan(estimate.value)]
    assert {"kid", "fid", "fid_infinity", "recall", "coverage", "inception_score"} <= found.keys()
    assert found["kid"].low < 0 < found["kid"].high
    few = Features("backbone", one.arrays[:4])
    for estimate in set_estimates(one, few):
        if estimate.name in ("kid", "fid_infinity", "nearest_neighbour_accuracy"):
            assert np.isnan(estimate.value)
            assert estimate.note.startswith("refused: ")
        if estimate.name == "fid":
            assert "prefer KID" in estimate.note


def test_diversity_is_within_groups() -> None:
    x = np.array([[1, 0], [1, 0], [0, 1], [0, 2], [1, 0], [0, 1]], float)
    assert diversity(Features("backbone", x), ["a", "a", "b", "b", "c", "c"]) == pytest.approx((0 + 0 + 1) / 3)
    assert diversity(Features("backbone", x), [0] * 6) == pytest.approx(9 / 15)  # pairs at right angles among all
    assert np.isnan(diversity(Features("backbone", x), list("abcdef")))
    with pytest.raises(UsageError, match="as many groups"):
        diversity(Features("backbone", x), ["a"])
