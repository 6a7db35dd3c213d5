from __future__ import annotations

from typing import Any

import pytest
import torch

from sfumato.errors import UsageError
from sfumato.networks.config import NoiseConfig
from sfumato.networks.model import DECODER_WIDTH, FeatureNoiseModel, build_noise_discriminator, build_noise_model
from sfumato.networks.noise_features import FeatureGenerator, FeatureSpace
from support import NETWORK32, SUM32

SMALL = NoiseConfig(side=64, z_size=6, components=5, widths=(8,), discriminator_widths=(8, 8, 8))


def draw(*shape: Any, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def moments(rows: Any) -> Any:
    mean = rows.double().mean(0)
    centred = rows.double() - mean
    return mean, centred.T @ centred / len(rows)


def test_a_space_of_all_components_restores_features() -> None:
    rows = draw(400, 6) @ draw(6, 6, seed=1) + 3
    space = FeatureSpace(6, 6)
    assert space.fit(*moments(rows)) == pytest.approx(1)
    features = rows[:12].T.reshape(1, 6, 3, 4)
    assert torch.allclose(space.restore(space.project(features)), features, atol=NETWORK32)


def test_a_space_keeps_the_directions_of_most_variance_and_says_how_much() -> None:
    rows = draw(4000, 3) * torch.tensor([1.0, 4.0, 0.1])
    space = FeatureSpace(3, 2)
    assert space.fit(*moments(rows)) == pytest.approx(17 / 17.01, abs=1e-3)
    components = space.project(rows.T.reshape(1, 3, 40, 100))[0].flatten(1)
    # Divided by the geometric mean of its own deviation and the first: 4/4 and 1/sqrt(4).
    assert components.std(1).tolist() == pytest.approx([1.0, 0.5], rel=0.05)
    restored = space.restore(components.reshape(1, 2, 40, 100))[0].flatten(1).T
    assert torch.allclose(restored[:, :2], rows[:, :2], atol=0.05)
    assert (restored[:, 2] - rows[:, 2].mean()).abs().max() < 0.05


@pytest.mark.parametrize("side", [64, 128, 256])
def test_maps_and_logits_have_the_shapes_of_their_side(side: Any) -> None:
    octaves = {64: 3, 128: 4, 256: 5}[side]
    config = NoiseConfig(side=side, components=5, widths=(8,), discriminator_widths=(8,) * octaves)
    model = build_noise_model(config)
    assert isinstance(model, FeatureNoiseModel)
    with torch.no_grad():
        maps = model.generator(draw(2, 100))
        logits = build_noise_discriminator(config)(maps)
        assert model(draw(2, 100)).shape == (2, DECODER_WIDTH, side // 4, side // 4)
    assert maps.shape == (2, 5, side // 4, side // 4)
    assert [tuple(scale.shape[2:]) for scale in logits][-2:] == [(8, 8), (1, 1)]
    assert len(logits) == octaves - 1


def test_a_map_depends_on_its_z_and_not_on_those_beside_it() -> None:
    torch.manual_seed(0)
    generator = FeatureGenerator(6, 5, 32, 8).requires_grad_(False)
    generator.fit(torch.randn(9, 5, 32, 32))
    z = draw(4, 6)
    alone = torch.cat([generator(z[i : i + 1]) for i in range(4)])
    assert torch.allclose(generator(z), alone, atol=SUM32)
    assert (alone[0] - alone[1]).abs().mean() > 0.01


def test_the_layout_has_mean_and_covariance_of_the_maps() -> None:
    torch.manual_seed(0)
    maps = torch.randn(5, 2, 16, 16) + torch.randn(2, 16, 16)
    generator = FeatureGenerator(8, maps.shape[1], 16, 4).requires_grad_(False)
    assert generator.fit(maps) == pytest.approx(1)
    rows, layout = maps.flatten(1), generator.layout.flatten(1)
    assert torch.allclose(generator.mean.flatten(), rows.mean(0), atol=1e-5)
    assert torch.allclose(layout.T @ layout, torch.cov(rows.T, correction=0), atol=1e-3)
    assert not layout[4:].any()  # five maps differ in four directions
    generator.leave.weight.zero_()
    z = draw(3, 8)
    assert torch.allclose(generator(z).flatten(1), rows.mean(0) + z @ layout, atol=1e-4)


def test_the_usual_generator_is_small() -> None:
    weights = sum(p.numel() for p in build_noise_model(NoiseConfig()).parameters())
    assert 0.5e6 < weights < 0.8e6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widths": (8, 8)}, "one number for features"),
        ({"side": 128}, "4 numbers for a side of 128"),
        ({"discriminator_widths": (8, 8)}, "discriminator_widths must be 3 numbers"),
        ({"discriminator": "projected"}, "leave noise.discriminator out"),
        ({"components": 161}, "components"),
    ],
)
def test_shapes_that_do_not_go_together_are_refused(values: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        NoiseConfig(**{**SMALL.model_dump(), **values})
