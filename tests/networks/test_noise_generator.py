from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from sfumato.errors import ModelError
from sfumato.export.graph import export_graph
from sfumato.export.parity import TOLERANCE
from sfumato.networks.noise_generator import NoiseGenerator, pixel_norm
from sfumato.quality.artefacts import checkerboard
from support import NETWORK32, SUM32

TINY = {64: (16, 16, 12, 10, 8), 128: (16, 16, 12, 10, 8, 8)}


def draw(*shape: Any, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def new(side: int = 64, seed: int = 0) -> NoiseGenerator:
    torch.manual_seed(seed)
    return NoiseGenerator(side=side, widths=TINY[side])


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize("batch", [1, 3])
def test_pictures_of_the_side_asked_for(side: int, batch: int) -> None:
    with torch.no_grad():
        pictures = new(side)(draw(batch, 100))
    assert pictures.shape == (batch, 3, side, side)
    assert pictures.dtype == torch.float32
    assert 0 < pictures.min() < pictures.max() < 1
    assert pictures.std() > 0.03


@pytest.mark.parametrize("side", [64, 128])
def test_about_a_million_weights(side: int) -> None:
    assert 0.8e6 < sum(p.numel() for p in NoiseGenerator(side=side).parameters()) < 1.05e6


def test_sides_and_widths_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ModelError, match="64 or 128, not 96"):
        NoiseGenerator(side=96)
    with pytest.raises(ModelError, match="must have 6 widths, not 5"):
        NoiseGenerator(side=128, widths=TINY[64])


def test_a_picture_does_not_depend_on_those_beside_it() -> None:
    generator, z = new().requires_grad_(False), draw(4, 100)
    alone = torch.cat([generator(z[i : i + 1]) for i in range(4)])
    assert torch.allclose(generator(z), alone, atol=SUM32)
    assert (alone[0] - alone[1]).abs().mean() > 0.01
    assert not list(generator.buffers())  # nothing that two processes would have to agree on


def test_pixels_are_normalised_each_by_itself() -> None:
    h = 5 * draw(2, 8, 3, 4)
    normed = pixel_norm(h)
    assert torch.allclose(normed.square().mean(1), torch.ones(2, 3, 4), atol=NETWORK32)
    assert torch.allclose(normed[1, :, 2, 3], h[1, :, 2, 3] / h[1, :, 2, 3].square().mean().sqrt(), atol=SUM32)
    assert pixel_norm(torch.zeros(1, 4, 2, 2)).abs().max() == 0
    assert pixel_norm(h.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize("seed", range(3))
def test_random_weights_leave_no_checkerboard(side: int, seed: int) -> None:
    generator = new(side, seed).requires_grad_(False)
    with torch.no_grad():
        generator.colour.weight.mul_(3)
    pictures = generator(draw(3, 100, seed=seed)).numpy()
    assert pictures.std() > 0.1
    assert max(checkerboard(picture[None]).value for picture in pictures) < 1


def test_gradients_reach_every_parameter_and_the_noise() -> None:
    generator, z = new(), draw(1, 100).requires_grad_()
    (generator(z) * draw(1, 3, 64, 64, seed=1)).sum().backward()
    gradients = {name: p.grad for name, p in generator.named_parameters()} | {"z": z.grad}
    largest = max(float(g.abs().max()) for g in gradients.values())
    assert [name for name, g in gradients.items() if not g.abs().max() > 1e-5 * largest] == []


def test_truncation_leads_to_one_picture() -> None:
    generator, z = new().requires_grad_(False), draw(6, 100)
    variety = [float(generator(psi * z).std(0).mean()) for psi in (0.0, 0.3, 0.6, 1.0)]
    assert variety[0] < 1e-6
    assert variety == sorted(variety)
    assert variety[1] < 0.75 * variety[3]


@pytest.mark.parametrize("side", [64, 128])
def test_the_exported_graph_agrees_with_torch_for_any_batch(tmp_path: Path, side: int) -> None:
    generator = new(side).requires_grad_(False).eval()
    for parameter in generator.parameters():  # stored so
        parameter.copy_(parameter.half().float())
    export_graph(generator, (draw(2, 100),), tmp_path / "noise.onnx", ["z"], ["pictures"])
    session = onnxruntime.InferenceSession(tmp_path / "noise.onnx")
    for batch in (1, 2, 5):
        z = draw(batch, 100, seed=batch)
        (got,) = session.run(None, {"z": z.numpy()})
        assert got.shape == (batch, 3, side, side)
        assert np.abs(got - generator(z).numpy()).max() <= TOLERANCE
