from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.checkpoint import load_model, save_model
from sfumato.errors import InputError, UsageError
from sfumato.networks.config import MatchingConfig
from sfumato.networks.decoder import Decoder
from sfumato.networks.hypercolumn import (
    CHANNELS,
    HYPERCOLUMN_LAYERS,
    LAYER_CHANNELS,
    hypercolumns,
    layer_scale,
)
from sfumato.networks.model import MatchingModel, build_matching_discriminator
from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from support import NETWORK32, SUM32

SMALL = MatchingConfig(widths=(16, 12, 8), blocks=1, discriminator_widths=(8, 8))


@pytest.fixture(scope="module")
def vgg() -> Any:
    return VGG19(load_vgg19_weights(), HYPERCOLUMN_LAYERS)


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder((16, 12, 8), 1)


def random_features(*size: Any) -> Any:
    return torch.randn(1, CHANNELS, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("height", "width"), [(4, 4), (16, 24), (17, 31), (35, 18)])
def test_a_hypercolumn_holds_all_layers_at_a_quarter_of_the_size(
    vgg: Any, natural: Callable[..., Tensor], height: int, width: int
) -> None:
    picture = natural(height, width)
    columns = hypercolumns(vgg, picture)
    assert columns.shape == (1, 640, height // 4, width // 4)
    assert columns.dtype == torch.float32
    features = vgg(picture)
    for name, part in zip(HYPERCOLUMN_LAYERS, columns.split(LAYER_CHANNELS, 1), strict=True):
        factor = {"1": 4, "2": 2, "3": 1}[name[4]]
        corner = features[name][:, :, :factor, :factor].mean((2, 3))
        assert torch.allclose(part[:, :, 0, 0], corner, rtol=NETWORK32, atol=1e-3)


def test_what_has_no_hypercolumn_is_refused(vgg: Any) -> None:
    with pytest.raises(InputError, match="at least 4 pixels"):
        hypercolumns(vgg, torch.rand(1, 3, 3, 8))
    with pytest.raises(InputError, match="pictures must have shape"):
        hypercolumns(vgg, torch.rand(1, 1, 8, 8))


def test_hypercolumns_in_16_bits_are_nearly_the_same(vgg: Any, natural: Callable[..., Tensor]) -> None:
    exact = hypercolumns(vgg, natural(32, 32))
    with torch.autocast("cpu", torch.bfloat16):
        rounded = hypercolumns(vgg, natural(32, 32))
    assert rounded.dtype == torch.float32
    assert F.cosine_similarity(exact, rounded, dim=1).min() > 0.999


def test_each_layer_has_one_weight() -> None:
    deviation = torch.rand(CHANNELS, generator=torch.Generator().manual_seed(0)) + 0.1
    parts = zip(layer_scale(deviation).split(LAYER_CHANNELS), deviation.split(LAYER_CHANNELS), strict=True)
    for scale, own in parts:
        assert torch.equal(scale, scale[:1].expand_as(scale))
        assert (own * scale).mean().item() == pytest.approx(1, rel=SUM32)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (5, 9)])
def test_a_picture_is_four_times_as_large_as_its_hypercolumns(decoder: Decoder, height: int, width: int) -> None:
    features = random_features(height, width).expand(2, -1, -1, -1)
    picture = decoder(features)
    assert picture.shape == (2, 3, 4 * height, 4 * width)
    assert torch.allclose(picture[:1], decoder(features[:1]), atol=SUM32)  # a picture does not depend on its batch


def test_the_decoder_is_named_and_shaped_as_its_first_weights_were() -> None:
    state = Decoder().state_dict()
    blocks = [f"body.{i}" for i in range(4)] + ["res1"]
    layers = ["enter", "low", "up1", "up2", "detail", "out", *(f"{block}.{part}" for block in blocks for part in "ab")]
    names = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    assert state.keys() == names | {"mean", "deviation", "scale"}
    shapes = {name: tuple(state[f"{name}.weight"].shape) for name in ("enter", "low", "up1", "up2", "detail", "out")}
    assert shapes == {
        "enter": (160, 640, 1, 1),
        "low": (3, 160, 1, 1),
        "up1": (64, 160, 1, 1),
        "up2": (32, 64, 1, 1),
        "detail": (32, 32, 3, 3),
        "out": (3, 32, 3, 3),
    }
    assert state["scale"].shape == (1, 640, 1, 1)


def test_gradients_reach_all_weights_and_the_features(decoder: Decoder) -> None:
    features = random_features(4, 4).requires_grad_()
    decoder(features).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in decoder.parameters())
    assert features.grad.abs().amax((0, 2, 3)).min() > 0


def test_inputs_are_normalised_by_the_channels_statistics(decoder: Decoder) -> None:
    features = random_features(6, 6)
    before = decoder(features)
    mean, deviation = torch.linspace(-3, 3, CHANNELS), torch.linspace(0.5, 4, CHANNELS)
    decoder.set_statistics(mean, deviation)
    moved = features * decoder.deviation + decoder.mean
    assert torch.equal(decoder.deviation.flatten(), deviation)
    assert torch.allclose(decoder(moved), before, atol=NETWORK32)


def test_a_channel_that_never_fires_is_not_divided_by_0(decoder: Decoder) -> None:
    deviation = torch.ones(CHANNELS)
    deviation[3] = 0
    decoder.set_statistics(torch.zeros(CHANNELS), deviation)
    assert 0.04 < decoder.deviation[0, 3] < 0.06
    decoder.set_statistics(torch.zeros(CHANNELS), torch.zeros(CHANNELS))
    assert decoder.scale.isfinite().all()


def test_a_flat_input_gives_a_picture_without_a_lattice(decoder: Decoder) -> None:
    edge = 4 * decoder.halo  # nearer to the border the decoder sees zeros
    picture = decoder(random_features(1, 1).expand(-1, -1, 14, 14))[:, :, edge:-edge, edge:-edge]
    assert picture.shape[2] == 16
    assert (picture - picture.mean((2, 3), keepdim=True)).abs().max() < 1e-5


@pytest.mark.parametrize("blocks", [1, 3])
def test_a_tile_with_its_halo_equals_the_whole(blocks: int) -> None:
    torch.manual_seed(0)
    decoder = Decoder((16, 12, 8), blocks)
    halo, side = decoder.halo, 4
    assert halo == 2 * blocks + 3
    features = random_features(2 * halo + side + 5, 2 * halo + side + 3)
    with torch.no_grad():
        whole = decoder(features)
        top, left = 3, 2  # of the tile with its halo
        tile = decoder(features[:, :, top : top + 2 * halo + side, left : left + 2 * halo + side])
    inner = tile[:, :, 4 * halo : -4 * halo, 4 * halo : -4 * halo]
    y, x = 4 * (top + halo), 4 * (left + halo)
    assert torch.allclose(inner, whole[:, :, y : y + 4 * side, x : x + 4 * side], atol=SUM32)
    # A smaller halo would not do: the decoder sees as far as that.
    touched = features.clone()
    touched[:, :, top : top + 2] += 10
    with torch.no_grad():
        assert not torch.allclose(decoder(touched)[:, :, y - 8 : y], whole[:, :, y - 8 : y], atol=SUM32)


def test_some_steps_on_one_picture_lower_its_reconstruction(
    vgg: Any, natural: Callable[..., Tensor], decoder: Decoder
) -> None:
    picture = natural(24, 24)
    columns = hypercolumns(vgg, picture)
    flat = columns[0].flatten(1)
    decoder.set_statistics(flat.mean(1), flat.std(1))
    optimizer = torch.optim.Adam(decoder.parameters(), 1e-2)
    errors = []
    for _ in range(40):
        error = (decoder(columns) - picture).abs().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.2 * errors[0]


def test_a_model_is_saved_with_its_statistics_and_rebuilds_itself(tmp_path: Path, decoder: Decoder) -> None:
    torch.manual_seed(3)
    model = MatchingModel(SMALL)
    model.decoder.set_statistics(torch.rand(CHANNELS), torch.rand(CHANNELS) + 0.1)
    save_model(tmp_path / "model.safetensors", model, {"step": "3"}, model.state_dict())
    found, about = load_model(tmp_path / "model.safetensors")
    assert isinstance(found, MatchingModel)
    assert (found.config, about["kind"], about["step"]) == (SMALL, "matching", "3")
    features = random_features(3, 4)
    with torch.no_grad():
        assert torch.equal(found(features), model(features))
    assert found(features).min() >= 0
    assert found(features).max() <= 1


def test_discriminators_by_name(vgg: Any) -> None:
    pictures = torch.rand(2, 3, 32, 32)
    shapes = {}
    for name in ("patch", "projected", "both"):
        config = SMALL.model_copy(update={"discriminator": name})
        discriminator = build_matching_discriminator(config, vgg)
        shapes[name] = [tuple(logits.shape) for logits in discriminator(pictures)]
    assert shapes["patch"] == [(2, 1, 8, 8), (2, 1, 4, 4)]
    assert shapes["projected"] == [(2, 1, 8, 8), (2, 1, 4, 4)]
    assert shapes["both"] == shapes["patch"] + shapes["projected"]
    with pytest.raises(UsageError, match="discriminator"):
        MatchingConfig(discriminator="none")  # type: ignore[arg-type]
