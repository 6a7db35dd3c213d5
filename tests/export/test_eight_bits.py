"""The decoder's body in 8-bit integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from sfumato.export.eight_bits import MAX_CHANGE, calibration_pictures, quantise
from sfumato.export.graph import export_graph
from sfumato.export.networks import DecoderGraph
from sfumato.networks.config import MatchingConfig
from sfumato.networks.model import MatchingModel

WIDTH = 24


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = MatchingModel(MatchingConfig(widths=(WIDTH, 16, 8), blocks=2)).eval()
    path = tmp_path_factory.mktemp("graph") / "decoder.onnx"
    export_graph(DecoderGraph(model), (torch.randn(1, WIDTH, 9, 11),), path, ["entered"], ["painted"])
    return path


@pytest.fixture
def copy(graph: Path, tmp_path: Path) -> Path:
    path = tmp_path / "decoder.onnx"
    path.write_bytes(graph.read_bytes())
    return path


def inputs(seed: int = 0) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [{"entered": rng.normal(size=(1, WIDTH, 12, 20)).astype(np.float32)} for _ in range(3)]


def test_the_body_alone_is_quantised_and_hardly_changes_the_picture(copy: Path) -> None:
    change = quantise(copy, inputs())
    assert 0 < change < MAX_CHANGE
    proto = onnx.load(copy)
    stored = [numpy_helper.to_array(each) for each in proto.graph.initializer]
    eight = [each for each in stored if each.dtype == np.int8 and each.ndim == 4]
    assert [each.shape for each in eight] == [(WIDTH, WIDTH, 3, 3)] * 4  # two blocks of two
    assert max(int(np.abs(each.astype(int)).max()) for each in eight) <= 64  # pairs of products fit in 16 bits


def test_a_change_that_would_be_seen_is_not_made(copy: Path) -> None:
    before = copy.read_bytes()
    assert quantise(copy, inputs(), max_change=1e-9) == 0
    assert copy.read_bytes() == before


def test_quantising_twice_gives_the_same_file(graph: Path, copy: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(graph.read_bytes())
    assert quantise(copy, inputs()) == quantise(other, inputs())
    assert copy.read_bytes() == other.read_bytes()


def test_ranges_come_from_paintings_of_several_styles() -> None:
    pictures = calibration_pictures()
    assert len(pictures) >= 12
    assert {picture.shape for picture in pictures} == {(1, 3, 192, 192)}
    assert np.std([picture.mean() for picture in pictures]) > 0.05
