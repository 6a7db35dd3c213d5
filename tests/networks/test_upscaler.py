from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from sfumato.errors import ModelError
from sfumato.export.parity import TOLERANCE
from sfumato.export.upscaler import export_upscaler
from sfumato.networks.upscaler import Upscaler
from support import FLOAT32


def draw(*shape: Any, seed: int = 0) -> Any:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def trained(blocks: int = 1) -> Any:
    """A small one whose tail says something."""
    torch.manual_seed(0)
    model = Upscaler(width=8, blocks=blocks)
    torch.nn.init.normal_(model.tail.weight, std=0.05)
    return model.requires_grad_(False)


def test_a_new_network_repeats_pixels() -> None:
    x = draw(2, 3, 9, 7)
    with torch.no_grad():
        large = Upscaler()(x)
    assert torch.allclose(large, x.repeat_interleave(2, 2).repeat_interleave(2, 3), atol=FLOAT32)


def test_it_is_small() -> None:
    assert sum(p.numel() for p in Upscaler().parameters()) < 75_000


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_pixel_depends_on_those_within_reach(blocks: int) -> None:
    model = trained(blocks)
    x = draw(1, 3, 40, 40)
    changed = x.clone()
    changed[:, :, 20, 20] += 0.5
    differs = (model(changed) - model(x)).abs().amax((0, 1))
    rows = torch.nonzero(differs.amax(1))[:, 0] // 2
    assert rows.min() >= 20 - model.reach
    assert rows.max() <= 20 + model.reach


def test_it_learns_to_undo_a_reduction() -> None:
    target = draw(4, 3, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
    small = torch.nn.functional.interpolate(target, scale_factor=0.5, mode="bicubic", antialias=True)
    torch.manual_seed(0)
    model = Upscaler(width=8, blocks=1)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        loss = (model(small) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_exported_it_gives_the_same_for_any_size(tmp_path: Path) -> None:
    model = trained()
    assert export_upscaler(model, tmp_path / "up", {"training": {"steps": 0}}) <= TOLERANCE
    card = json.loads((tmp_path / "up" / "card.json").read_text())
    assert (card["kind"], card["reach"], card["scale"], card["training"]) == ("upscaler", 4, 2, {"steps": 0})
    session = onnxruntime.InferenceSession(tmp_path / "up" / "upscaler.onnx")
    for size in ((2, 2), (31, 17)):
        x = draw(1, 3, *size)
        found = session.run(None, {"picture": x.numpy()})[0]
        assert np.abs(found - model(x).numpy()).max() < TOLERANCE


def test_a_graph_that_differs_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="differ from torch"):
        export_upscaler(trained(), tmp_path / "up", tolerance=-1.0)
    assert not (tmp_path / "up").exists()
