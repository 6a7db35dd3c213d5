from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from sfumato.networks.statistics import (
    BAND_FLOOR,
    COLOUR_FLOOR,
    COLOUR_STATS_SIZE,
    SHARES,
    ColourStats,
    colour_statistics,
)
from sfumato.networks.style_encoder import StyleEncoder
from support import FLOAT32, NETWORK32, SUM32

TONES = 3 * len(SHARES)
PALETTE = slice(-COLOUR_STATS_SIZE, 9 - COLOUR_STATS_SIZE)


@pytest.fixture
def encoder() -> Any:
    torch.manual_seed(0)
    return StyleEncoder(16).eval().requires_grad_(False)


def shuffled(picture: Any, block: int = 16) -> Any:
    """The picture's blocks in another order: the same pixels, another layout."""
    height, width = picture.shape[2:]
    blocks = picture.unfold(2, block, block).unfold(3, block, block).flatten(2, 3)
    blocks = blocks[:, :, torch.randperm(blocks.shape[2], generator=torch.Generator().manual_seed(0))]
    rows = blocks.unflatten(2, (height // block, width // block))
    return rows.permute(0, 1, 2, 4, 3, 5).reshape(picture.shape)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (64, 48)])
def test_a_code_of_any_size(encoder: Any, size: tuple[int, int]) -> None:
    code = encoder(torch.rand(2, 3, *size))
    assert code.shape == (2, encoder.code_size) == (2, 16 + COLOUR_STATS_SIZE)
    assert code.dtype == torch.float32
    assert code.isfinite().all()


def test_the_end_of_a_code_is_measured_and_not_learnt(encoder: Any, natural: Callable[..., Tensor]) -> None:
    photo = natural(96, 128)
    measured = ColourStats.unpack(encoder(photo))
    mean, covariance = colour_statistics(photo)
    assert torch.allclose(measured.mean, mean, atol=FLOAT32)
    assert torch.allclose(measured.root @ measured.root, covariance, atol=SUM32)
    assert torch.allclose(measured.bands, ColourStats.of(photo)[0].bands, atol=FLOAT32)


def test_mirroring_changes_nothing_that_is_measured_and_shuffling_blocks_nothing_of_the_palette(
    encoder: Any, natural: Callable[..., Tensor]
) -> None:
    photo = natural(96, 128)
    code = encoder(photo)
    for other in (photo.flip(3), photo.flip(2)):
        measured = encoder(other)[:, -COLOUR_STATS_SIZE:] - code[:, -COLOUR_STATS_SIZE:]
        assert measured[:, :-TONES].abs().max() < 1e-4
        assert measured[:, -TONES:].abs().mean() < 0.1  # read off every fourth pixel: other ones in a mirror
    assert not torch.equal(shuffled(photo), photo)
    assert torch.allclose(encoder(shuffled(photo))[:, PALETTE], code[:, PALETTE], atol=NETWORK32)


def test_layout_moves_a_code_less_than_another_picture_does(
    encoder: Any, natural: Callable[..., Tensor], painting: Tensor
) -> None:
    photo = natural(96, 128)
    code = encoder(photo)
    moved = [(encoder(other) - code).norm() for other in (photo.roll(32, 3), shuffled(photo, 32))]
    assert max(moved) < 0.5 * (encoder(painting) - code).norm()


def test_learnt_part_sees_texture_and_not_colour_alone(encoder: Any, natural: Callable[..., Tensor]) -> None:
    photo = natural(96, 128)
    smooth = torch.nn.functional.avg_pool2d(photo, 5, 1, 2, count_include_pad=False)
    assert (encoder(smooth) - encoder(photo))[:, :-COLOUR_STATS_SIZE].norm() > 1e-3


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_picture_has_a_finite_code_with_the_floors_as_its_measures(encoder: Any, value: float) -> None:
    code = encoder(torch.full((1, 3, 32, 32), value))
    assert code.isfinite().all()
    measured = ColourStats.unpack(code)
    assert torch.allclose(measured.mean, torch.full((1, 3), value), atol=FLOAT32)
    assert torch.allclose(measured.root[0], COLOUR_FLOOR**0.5 * torch.eye(3), atol=SUM32)
    assert torch.allclose(measured.bands, torch.full_like(measured.bands, BAND_FLOOR**0.5), atol=1e-3)


def test_codes_in_a_batch_are_those_of_each_alone(
    encoder: Any, natural: Callable[..., Tensor], painting: Tensor
) -> None:
    pictures = torch.cat([natural(96, 80), painting])
    each = torch.cat([encoder(p[None]) for p in pictures])
    assert torch.allclose(encoder(pictures), each, atol=SUM32)


def test_descriptions_are_kept_and_coded_as_pictures_are(
    encoder: Any, natural: Callable[..., Tensor], painting: Tensor
) -> None:
    for picture in (natural(96, 128), painting):
        assert torch.equal(encoder.code(encoder.describe(picture)), encoder(picture))


def test_the_trunk_is_vgg19_s_beginning_and_does_not_train(encoder: Any, natural: Callable[..., Tensor]) -> None:
    vgg = VGG19(load_vgg19_weights(), ("relu3_1",))
    encoder.load_vgg_weights(vgg)
    x = natural(64, 64)
    h = x.flip(1) * 255 - vgg.mean
    for i, convolution in enumerate(encoder.trunk):
        h = torch.relu(convolution(torch.nn.functional.max_pool2d(h, 2) if i in (2, 4) else h))
    assert torch.allclose(h, vgg(x)["relu3_1"], rtol=NETWORK32, atol=1e-2)
    assert not any(p.requires_grad for p in StyleEncoder(16).trunk.parameters())


def test_fitted_codes_are_principal_components(encoder: Any, natural: Callable[..., Tensor]) -> None:
    pictures = [natural(64, 64, top, left) for top in (0, 130, 260, 390) for left in (0, 120, 240, 360)]
    descriptions = [encoder.describe(p) for p in pictures]
    encoder.fit(descriptions)
    codes = torch.cat([encoder.code(d) for d in descriptions])[:, :-COLOUR_STATS_SIZE]
    assert codes.mean(0).abs().max() < 1e-3
    deviations = codes.std(0, correction=0)
    assert deviations[0] == pytest.approx(1, abs=0.01)
    assert (deviations[:15].diff() <= 1e-4).all()  # 16 pictures span 15 directions
    covariance = codes[:, :15].T @ codes[:, :15] / len(codes)
    assert (covariance - torch.diag(covariance.diagonal())).abs().max() < 1e-3


def test_of_few_pictures_no_rounding_is_magnified(encoder: Any, natural: Callable[..., Tensor]) -> None:
    """Three pictures differ in two directions; the third component is noise, at which export found codes to differ."""
    descriptions = [encoder.describe(natural(64, 64, top, 0)) for top in (0, 130, 260)]
    encoder.fit(descriptions)
    assert (encoder.head.weight.abs().sum(1) > 0).tolist() == [True] * 2 + [False] * 14
    encoder.fit(descriptions[:1] * 3)  # and the same picture in none
    assert not encoder.head.weight.any()
