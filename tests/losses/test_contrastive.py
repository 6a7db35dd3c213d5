from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sfumato.losses.contrastive import patch_nce, style_contrast
from support import NETWORK32, SUM32


def vectors(*shape: Any, seed: int = 0) -> Any:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(x, dim=-1)


def entropy(positive: Any, candidates: Any, temperature: Any) -> Any:
    """-log of the share that the positive has among the candidates (Park et al. 2020, eq. 2)."""
    return -np.log(np.exp(positive / temperature) / np.exp(candidates / temperature).sum())


def test_patch_nce_is_its_formula() -> None:
    query, key = vectors(2, 5, 6), vectors(2, 5, 6, seed=1)
    q, k = query.numpy(), key.numpy()
    expected = np.mean([entropy(q[b, i] @ k[b, i], k[b] @ q[b, i], 0.07) for b in range(2) for i in range(5)])
    assert float(patch_nce(query, key)) == pytest.approx(expected)
    expected = np.mean([entropy(q[b, i] @ k[b, i], k[b] @ q[b, i], 0.5) for b in range(2) for i in range(5)])
    assert float(patch_nce(query, key, temperature=0.5)) == pytest.approx(expected)


def test_patch_nce_s_negatives_are_the_photo_s_own() -> None:
    query, key = vectors(2, 5, 6), vectors(2, 5, 6, seed=1)
    alone = [float(patch_nce(query[i : i + 1], key[i : i + 1])) for i in range(2)]
    assert float(patch_nce(query, key)) == pytest.approx(np.mean(alone))


def test_patch_nce_is_low_for_pairs_and_log_p_where_all_are_alike() -> None:
    query = torch.eye(8)[None]
    assert patch_nce(query, query) < 1e-4
    assert patch_nce(query, query.roll(1, 1)) > 10
    same = torch.ones(1, 8, 4) / 2
    assert float(patch_nce(same, same)) == pytest.approx(np.log(8), rel=SUM32)


def test_one_patch_has_no_negatives() -> None:
    query = vectors(1, 1, 6).requires_grad_()
    loss = patch_nce(query, vectors(1, 1, 6, seed=1))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(query.grad, torch.zeros_like(query))


def test_half_precision_is_computed_in_full_and_stays_finite() -> None:
    query, key = vectors(1, 64, 16).bfloat16(), vectors(1, 64, 16, seed=1).bfloat16()
    assert patch_nce(query, key).dtype == torch.float32
    assert float(patch_nce(query, key)) == pytest.approx(float(patch_nce(query.double(), key.double())), rel=NETWORK32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = patch_nce(query.float(), key.float())
    assert torch.equal(inside, patch_nce(query.float(), key.float()))
    assert patch_nce(-30 * query, 30 * query).isfinite()


def test_gradients_are_finite_differences_and_keys_get_none() -> None:
    query, key = vectors(2, 4, 3).requires_grad_(), vectors(2, 4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda q: patch_nce(q, key.detach(), 0.3), query)
    patch_nce(query, key).backward()
    assert key.grad is None
    codes, styles, others = (
        vectors(3, 4).requires_grad_(),
        vectors(3, 4, seed=1).requires_grad_(),
        vectors(2, 4, seed=2),
    )
    assert torch.autograd.gradcheck(lambda c: style_contrast(c, styles.detach(), 0.3, others), codes)
    style_contrast(codes, styles).backward()
    assert styles.grad is None


def test_style_contrast_is_its_formula_over_cosines() -> None:
    codes, styles, others = 3 * vectors(3, 6), 0.5 * vectors(3, 6, seed=1), 2 * vectors(4, 6, seed=2)
    o, s, n = (F.normalize(x, dim=1).numpy() for x in (codes, styles, others))
    expected = np.mean([entropy(o[i] @ s[i], s @ o[i], 0.2) for i in range(3)])
    assert float(style_contrast(codes, styles, 0.2)) == pytest.approx(expected)
    both = np.concatenate([s, n])
    more = np.mean([entropy(o[i] @ s[i], both @ o[i], 0.2) for i in range(3)])
    assert float(style_contrast(codes, styles, 0.2, others)) == pytest.approx(more)
    assert more > expected


def test_a_batch_of_one_has_no_negatives_but_those_gathered() -> None:
    code, style, others = (vectors(n, 6, seed=n) for n in (1, 2, 3))
    code.requires_grad_()
    loss = style_contrast(code, style[:1], 0.2)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(code.grad, torch.zeros_like(code))
    style_contrast(code, style[:1], 0.2, others).backward()
    assert code.grad.abs().max() > 0


def test_gathered_negatives_make_two_processes_one() -> None:
    codes, styles = vectors(4, 6), vectors(4, 6, seed=1)
    halves = [
        style_contrast(codes[here], styles[here], 0.2, styles[there])
        for here, there in ((slice(0, 2), slice(2, 4)), (slice(2, 4), slice(0, 2)))
    ]
    assert float(torch.stack(halves).mean()) == pytest.approx(float(style_contrast(codes, styles, 0.2)))


def test_a_code_of_zeros_is_finite() -> None:
    code = torch.zeros(2, 6, requires_grad=True)
    style_contrast(code, torch.zeros(2, 6), 0.2).backward()
    assert code.grad.isfinite().all()
