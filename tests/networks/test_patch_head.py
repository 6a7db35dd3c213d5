from __future__ import annotations

from typing import Any

import pytest
import torch

from sfumato.losses.contrastive import patch_nce
from sfumato.networks.patch_head import PatchSampler, draw_positions
from support import FLOAT32, SUM32


def keyed(seed: int = 0) -> Any:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def features() -> Any:
    return [torch.randn(2, c, h, w, generator=keyed(c)) for c, h, w in ((8, 6, 10), (12, 3, 5), (16, 1, 1))]


@pytest.fixture
def sampler() -> PatchSampler:
    torch.manual_seed(0)
    return PatchSampler((8, 12, 16), 10)


def test_positions_are_different_places_keyed_by_the_generator(features: Any) -> None:
    positions = draw_positions(features, 20, keyed())
    assert [len(p) for p in positions] == [20, 15, 1]  # as many as there are
    for h, at in zip(features, positions, strict=True):
        assert len(set(at.tolist())) == len(at)
        assert 0 <= at.min() <= at.max() < h.shape[2] * h.shape[3]
    again, other = draw_positions(features, 20, keyed()), draw_positions(features, 20, keyed(1))
    assert all(torch.equal(a, b) for a, b in zip(positions, again, strict=True))
    assert not torch.equal(positions[0], other[0])


def test_vectors_are_of_unit_length_and_of_their_places(features: Any, sampler: PatchSampler) -> None:
    positions = draw_positions(features, 7, keyed())
    vectors = sampler(features, positions)
    assert [tuple(v.shape) for v in vectors] == [(2, 7, 10), (2, 7, 10), (2, 1, 10)]
    for v in vectors:
        assert torch.allclose(v.norm(dim=2), torch.ones(v.shape[:2]), atol=SUM32)
    place = int(positions[0][3])
    raw = sampler.heads[0](features[0][1, :, place // 10, place % 10])
    assert torch.allclose(vectors[0][1, 3], raw / raw.norm(), atol=FLOAT32)


def test_heads_learn_to_tell_patches_apart(features: Any, sampler: PatchSampler) -> None:
    outputs = [h + 0.3 * torch.randn(h.shape, generator=keyed(9)) for h in features]
    positions = draw_positions(features, 12, keyed())
    optimizer, losses = torch.optim.Adam(sampler.parameters(), 1e-2), []
    for _ in range(60):
        pairs = zip(sampler(outputs, positions), sampler(features, positions), strict=True)
        loss = torch.stack([patch_nce(*pair) for pair in pairs]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
    grads = {name: float(p.grad.abs().max()) for name, p in sampler.named_parameters()}
    # The last layer has one place, hence no negatives and nothing to learn.
    assert all((value > 0) != name.startswith("heads.2") for name, value in grads.items())


def test_gradients_reach_the_features(features: Any, sampler: PatchSampler) -> None:
    h = [x.clone().requires_grad_() for x in features]
    positions = draw_positions(h, 5, keyed())
    torch.stack([v.square().sum(2).sqrt().sum() + v.sum() for v in sampler(h, positions)]).sum().backward()
    reached = h[0].grad[0].abs().sum(0).flatten().nonzero()[:, 0]
    assert set(reached.tolist()) == set(positions[0].tolist())
