from __future__ import annotations

from typing import Any

import pytest
import torch

from sfumato.errors import UsageError
from sfumato.losses.config import LossWeights
from sfumato.losses.total_loss import total_loss


def test_the_articles_alpha_weighs_content_against_style() -> None:
    weights = LossWeights.from_alpha(0.3).model_dump()
    assert weights.pop("content") == pytest.approx(0.3)
    assert weights.pop("statistics") + weights.pop("gram") == pytest.approx(0.7)
    assert set(weights.values()) == {0.0}
    assert LossWeights.from_alpha(1).content == 1


def test_alpha_shares_out_content_and_style_and_leaves_the_rest() -> None:
    usual, set_ = LossWeights(), LossWeights(alpha=0.25)
    whole = usual.content + usual.statistics + usual.gram
    assert set_.content == pytest.approx(0.25 * whole)
    assert set_.statistics + set_.gram == pytest.approx(0.75 * whole)
    assert set_.statistics / set_.gram == pytest.approx(usual.statistics / usual.gram)
    shared = {"content", "statistics", "gram"}
    assert set_.model_dump(exclude=shared) == usual.model_dump(exclude=shared)
    terms = {"content": torch.tensor(2.0), "statistics": torch.tensor(0.5), "gram": torch.tensor(0.5)}
    total, _ = total_loss(terms, set_)
    assert float(total) == pytest.approx(whole * (0.25 * 2.0 + 0.75 * 0.5))
    # What is saved are the weights, and reading them again changes nothing.
    again = LossWeights(**set_.model_dump())
    assert again.alpha is None
    assert again.model_dump() == set_.model_dump()


def test_both_ends_of_alpha() -> None:
    assert (LossWeights(alpha=1).statistics, LossWeights(alpha=1).gram, LossWeights(alpha=0).content) == (0, 0, 0)


@pytest.mark.parametrize("values", [{"alpha": 1.5}, {"alpha": -0.1}, {"alpha": 0.5, "statistics": 0, "gram": 0}])
def test_an_alpha_that_cannot_be_is_one_sentence(values: Any) -> None:
    with pytest.raises(UsageError, match="alpha"):
        LossWeights(**values)


def test_the_total_is_the_weighted_sum_and_the_report_the_bare_terms() -> None:
    terms = {"content": torch.tensor(2.0, requires_grad=True), "leak": torch.tensor(0.5, requires_grad=True)}
    total, report = total_loss(terms, LossWeights(content=3.0, leak=4.0))
    assert float(total.detach()) == 8
    total.backward()
    assert [float(t.grad) for t in terms.values()] == [3, 4]
    assert {name: float(t) for name, t in report.items()} == {"content": 2, "leak": 0.5}
    assert not any(t.requires_grad for t in report.values())


def test_a_weight_of_zero_silences_a_term() -> None:
    broken, term = (torch.tensor(v, requires_grad=True) for v in (float("nan"), 2.0))
    loss, report = total_loss({"content": broken, "gram": term}, LossWeights(content=0.0, gram=1.0))
    loss.backward()
    assert loss.item() == 2
    assert broken.grad is None
    assert report.keys() == {"content", "gram"}  # reported all the same


def test_an_unknown_term_is_a_programming_error() -> None:
    with pytest.raises(KeyError, match="colour"):
        total_loss({"colour": torch.tensor(1.0)}, LossWeights())


def test_an_unknown_weight_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"styel.*statistics"):
        LossWeights(styel=1.0)  # type: ignore[call-arg]


def test_terms_that_came_later_are_off_until_asked_for() -> None:
    assert [getattr(LossWeights(), name) for name in ("content_raw", "laplacian", "sliced")] == [0, 0, 0]
