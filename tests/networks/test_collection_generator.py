from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.export.bundle import PARITY_SIZES
from sfumato.export.graph import export_graph
from sfumato.export.parity import TOLERANCE
from sfumato.inference.tiling import HALO, tiles
from sfumato.networks.collection_generator import MOMENTUM, CollectionGenerator, Norm
from sfumato.networks.statistics import EPSILON, RecordNorm, ReplayNorm
from sfumato.quality.artefacts import checkerboard, colour_inversion
from support import FLOAT32, NETWORK32, SUM32

KINDS = ("instance", "batch", "none")
WIDTHS = (8, 12, 16)


def new(kind: str = "instance", blocks: int = 4, seed: int = 0, paint: float = 20.0, noise: float = 0.2) -> Any:
    """A tiny generator that paints about as much as a trained one, noise included."""
    torch.manual_seed(seed)
    generator = CollectionGenerator(WIDTHS, blocks, kind)  # type: ignore[arg-type]
    with torch.no_grad():
        generator.paint.conv.weight.mul_(paint)
        for convolution in (generator.deep_noise, generator.fine_noise):
            convolution.weight.normal_(0, noise)
    return generator


@pytest.fixture(params=KINDS)
def painter(request: pytest.FixtureRequest, natural: Callable[..., Tensor]) -> Any:
    generator = new(request.param)
    with torch.no_grad():
        for top in (0, 100, 200):  # running statistics that are some pictures'
            generator.measure(natural(128, 128, top))
    return generator.eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (16, 41), (75, 93)])
def test_any_size_in_the_same_size_out(painter: Any, size: tuple[int, int]) -> None:
    photo = torch.rand(2, 3, *size)
    norm_params = painter.measure(photo)
    output = painter(photo, norm_params)
    assert norm_params.shape[0] == 2
    assert norm_params.dtype == output.dtype == torch.float32
    assert output.shape == photo.shape
    assert output.isfinite().all()
    assert -1 <= output.min() < output.max() <= 2


def test_norm_params_are_one_vector_of_the_same_length_for_all_kinds_and_sizes(natural: Callable[..., Tensor]) -> None:
    shapes = {new(kind).measure(natural(*size)).shape for kind in KINDS for size in ((32, 32), (47, 66))}
    assert len(shapes) == 1


@pytest.mark.parametrize("blocks", [4, 5, 6])
def test_weights_that_fit_into_four_megabytes(blocks: int) -> None:
    generator = CollectionGenerator(blocks=blocks)
    weights = sum(p.numel() for p in generator.parameters())
    noise = sum(table.numel() for table in generator.noise.buffers())
    assert weights > 0.6e6
    assert 4 * (weights + noise) < 3.8e6  # the graph's nodes take another 0.15 MB


def test_given_norm_params_paint_what_the_measuring_pass_painted(painter: Any, natural: Callable[..., Tensor]) -> None:
    photo = natural(51, 70)
    norm_params, painted = painter.measure_and_paint(photo)
    assert torch.allclose(painter(photo, norm_params), painted, atol=FLOAT32)
    assert (painted - photo).abs().mean() > 0.02


def test_a_batch_is_painted_as_each_picture_alone(painter: Any, natural: Callable[..., Tensor]) -> None:
    photos = torch.cat([natural(48, 64), natural(48, 64, 200, 30)])
    norm_params = painter.measure(photos)
    together = painter(photos, norm_params)
    for i in range(2):
        alone = painter.measure(photos[i : i + 1])
        assert torch.allclose(norm_params[i : i + 1], alone, atol=NETWORK32, rtol=NETWORK32)
        assert torch.allclose(together[i : i + 1], painter(photos[i : i + 1], alone), atol=NETWORK32)


def test_tiles_with_their_halos_are_the_whole(
    painter: Any, natural: Callable[..., Tensor], half: Callable[[Tensor], Tensor]
) -> None:
    photo = natural(400, 408)
    norm_params = painter.measure(half(photo))
    whole = painter(photo, norm_params)
    pieced = torch.full_like(whole, torch.nan)
    for tile in tiles(400, 408, tile=160):
        seen = photo[:, :, tile.padded_rows, tile.padded_columns]
        painted = painter(seen, norm_params, torch.tensor(tile.origin))
        pieced[:, :, tile.rows, tile.columns] = painted[:, :, *tile.inner]
    assert (pieced - whole).abs().max() < 1e-5
    # Elsewhere lies other noise, and without a halo a tile cannot know what lies beyond it.
    part = photo[:, :, 160:320, 160:320]
    assert (painter(part, norm_params) - painter(part, norm_params, torch.tensor([160, 160]))).abs().mean() > 1e-3
    cut = (painter(part, norm_params, torch.tensor([160, 160])) - whole[:, :, 160:320, 160:320]).abs()
    assert cut.max() > 1e-3


def test_six_blocks_see_no_farther_than_the_halo() -> None:
    generator = new("none", blocks=6).eval().requires_grad_(False)
    photo = torch.full((1, 3, 256, 16), 0.5)
    changed = photo.clone()
    changed[:, :, 128] = 1
    norm_params = generator.measure(photo)
    difference = (generator(changed, norm_params) - generator(photo, norm_params)).abs().amax((0, 1, 3))
    reached = difference.nonzero()[:, 0]
    assert 128 - HALO - 8 <= reached.min() < 100
    assert 156 < reached.max() <= 128 + HALO + 8
    assert difference[: 128 - HALO].max() < 1e-5
    assert difference[128 + HALO :].max() < 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2))
def test_a_fresh_generator_gives_nearly_the_photo_and_never_its_negative(
    natural: Callable[..., Tensor], half: Callable[[Tensor], Tensor], kind: str, seed: int
) -> None:
    torch.manual_seed(seed)
    generator, photo = CollectionGenerator(normalization=kind).requires_grad_(False), natural(192, 224)  # type: ignore[arg-type]
    painted = generator(photo, generator.measure(half(photo)))
    assert 1e-3 < (painted - photo).abs().mean() < 0.03
    assert colour_inversion(painted.clamp(0, 1).numpy(), photo.numpy()).value < 0.1
    assert torch.equal(painted, generator(photo, generator.measure(half(photo)), torch.tensor([8, 16])))  # no noise yet


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_a_random_generator_leaves_no_checkerboard(
    natural: Callable[..., Tensor],
    half: Callable[[Tensor], Tensor],
    added_grid: Callable[[Tensor, Tensor], float],
    kind: str,
    seed: int,
) -> None:
    generator, photo = new(kind, seed=seed, noise=0.0).requires_grad_(False), natural(192, 224)
    painted = generator(photo, generator.measure(half(photo)))
    assert (painted - photo).abs().mean() > 0.02
    assert checkerboard(painted.clamp(0, 1).numpy()).value < 1
    assert added_grid(painted, photo) < 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter_also_in_a_batch_of_one(
    natural: Callable[..., Tensor], half: Callable[[Tensor], Tensor], kind: str
) -> None:
    torch.manual_seed(0)
    generator, photo = CollectionGenerator(WIDTHS, 4, kind), natural(64, 80).requires_grad_()  # type: ignore[arg-type]
    painted = generator(photo, generator.measure(half(photo)))
    (painted * torch.randn(painted.shape)).sum().backward()
    gradients = {name: p.grad for name, p in generator.named_parameters()}
    assert [name for name, g in gradients.items() if g is None or not g.isfinite().all()] == []
    largest = max(float(g.abs().max()) for g in gradients.values())
    idle = {name for name, g in gradients.items() if g.abs().max() < 1e-5 * largest}
    # What a block adds everywhere is taken out again by the next normalisation.
    blocks = ("read.0", "read.1", "blocks.0", "blocks.1")
    assert idle == (set() if kind == "none" else {f"{block}.norm.beta" for block in blocks})
    assert photo.grad is not None


def test_instance_normalisation_is_pytorch_s() -> None:
    torch.manual_seed(0)
    norm, h = Norm(4, "instance"), torch.randn(3, 4, 9, 7) * 3 + 1
    with torch.no_grad():
        norm.gamma.normal_()
        norm.beta.normal_()
    expected = F.instance_norm(h, weight=norm.gamma, bias=norm.beta, eps=EPSILON)
    assert torch.allclose(norm(h, RecordNorm(torch.empty(3, 0))), expected, atol=SUM32)


def test_batch_normalisation_is_pytorch_s_in_training_and_afterwards() -> None:
    torch.manual_seed(0)
    norm, peer = Norm(4, "batch"), nn.BatchNorm2d(4, eps=EPSILON, momentum=MOMENTUM)
    with torch.no_grad():
        norm.gamma.normal_()
        norm.beta.normal_()
        peer.weight.copy_(norm.gamma)
        peer.bias.copy_(norm.beta)
    for seed in range(3):
        h = torch.randn(3, 4, 5, 7, generator=torch.Generator().manual_seed(seed)) * (seed + 1) + 2
        source = RecordNorm(torch.empty(3, 0))
        expected = peer(h)
        assert torch.allclose(norm(h, source), expected, atol=SUM32)
        assert torch.allclose(norm(h, ReplayNorm(source.norm_params())), expected, atol=SUM32)
        assert torch.allclose(norm.mean, peer.running_mean, atol=SUM32)
        assert torch.allclose(norm.variance, peer.running_var, atol=SUM32)
    norm.eval()
    peer.eval()
    assert torch.allclose(norm(h, RecordNorm(torch.empty(3, 0))), peer(h), atol=SUM32)
    assert torch.allclose(norm.mean, peer.running_mean, atol=SUM32)  # looked at, not moved


def test_which_values_depend_on_the_thumbnail(natural: Callable[..., Tensor]) -> None:
    one, two = natural(64, 64), natural(48, 80, 300)
    for kind in KINDS:
        generator = new(kind).requires_grad_(False)
        before = {key: tensor.clone() for key, tensor in generator.state_dict().items()}
        differ = not torch.equal(generator.measure(one), generator.measure(two))
        moved = any(not torch.equal(t, before[key]) for key, t in generator.state_dict().items())
        assert (differ, moved) == {"instance": (True, False), "batch": (True, True), "none": (False, False)}[kind]
        generator.eval()
        assert torch.equal(generator.measure(one), generator.measure(two)) == (kind != "instance")


def test_forward_under_given_values_moves_no_running_statistics(natural: Callable[..., Tensor]) -> None:
    generator, photo = new("batch"), natural(64, 64)
    norm_params = generator.measure(photo)
    before = {key: tensor.clone() for key, tensor in generator.state_dict().items()}
    generator(photo, norm_params)
    generator.features(photo, norm_params)
    assert all(torch.equal(tensor, before[key]) for key, tensor in generator.state_dict().items())


def test_features_are_the_encoder_s_at_strides_2_4_8_and_8(painter: Any, natural: Callable[..., Tensor]) -> None:
    photo = natural(64, 80)
    norm_params = painter.measure(photo)
    features = painter.features(photo, norm_params)
    assert [tuple(h.shape) for h in features] == [(1, 8, 32, 40), (1, 12, 16, 20), (1, 16, 8, 10), (1, 16, 8, 10)]
    assert not torch.equal(features[2], features[3])
    assert all(torch.allclose(a, b, atol=SUM32) for a, b in zip(features, painter.features(photo), strict=True))
    # Where the photo repeats, so do they: they know of no noise, and of no place. (Read away from the borders.)
    twice = natural(128, 128)[:, :, :, :64].repeat(1, 1, 1, 8)
    first, second = painter.features(twice)[3].split(32, 3)
    assert torch.allclose(first[..., 16:24], second[..., 8:16], atol=NETWORK32)


def largest_difference(session: Any, module: Any, *inputs: Any) -> Any:
    feeds = {end.name: tensor.numpy() for end, tensor in zip(session.get_inputs(), inputs, strict=True)}
    expected = module(*inputs).numpy()
    (got,) = session.run(None, feeds)
    assert got.shape == expected.shape
    return np.abs(got - expected).max() / max(1, np.abs(expected).max())


class Statistics(nn.Module):
    def __init__(self, generator: Any) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, thumbnail: Any) -> Any:
        return self.generator.measure(thumbnail)


@pytest.mark.parametrize("kind", KINDS)
def test_exported_graphs_agree_with_torch_at_any_size(
    natural: Callable[..., Tensor], tmp_path: Path, kind: str
) -> None:
    generator = new(kind)
    generator.measure(natural(96, 96))
    generator.eval().requires_grad_(False)
    for parameter in generator.parameters():  # stored so
        parameter.copy_(parameter.half().float())
    # `eval`: the exporter gives each part back in the mode of the whole, and the mode decides what is measured.
    photo, statistics = natural(75, 93), Statistics(generator).eval()
    inputs = (photo, generator.measure(photo), torch.tensor([16, 32]))
    export_graph(statistics, (photo,), tmp_path / "statistics.onnx", ["thumbnail"], ["norm_params"])
    names = ["picture", "norm_params", "origin"]
    export_graph(generator, inputs, tmp_path / "generator.onnx", names, ["stylized"])
    sessions = [onnxruntime.InferenceSession(tmp_path / f"{name}.onnx") for name in ("statistics", "generator")]
    for size in PARITY_SIZES:
        other = natural(*size, top=120)
        norm_params = generator.measure(other)
        assert largest_difference(sessions[0], statistics, other) <= TOLERANCE
        assert largest_difference(sessions[1], generator, other, norm_params, torch.tensor([4096, 272])) <= TOLERANCE
        assert (generator(other, norm_params) - other).abs().mean() > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_trains_with_statistics_in_full(natural: Callable[..., Tensor], kind: str) -> None:
    generator, photo = new(kind), natural(64, 64)
    expected = generator(photo, generator.measure(photo))
    with torch.autocast("cpu", torch.bfloat16):
        norm_params = generator.measure(photo)
        painted = generator(photo, norm_params)
    assert norm_params.dtype == painted.dtype == torch.float32
    assert (painted - expected).abs().mean() < 0.02 < (painted - photo).abs().mean()
    painted.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in generator.parameters())
