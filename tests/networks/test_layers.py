from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.networks.layers import SubPixel, conv, space_to_depth, split_bands, upsample
from support import FLOAT32, SUM32


def planted(picture: Any, period: Any, amplitude: Any, axes: Any) -> Any:
    """The picture plus a square wave of a period along axes: "down", "across" or "both" (a checkerboard)."""
    y, x = torch.meshgrid(torch.arange(picture.shape[2]), torch.arange(picture.shape[3]), indexing="ij")
    at = {"down": y, "across": x}
    waves = [1 - 2.0 * (at[axis] // (period // 2) % 2) for axis in ({"both": ("down", "across")}.get(axes, (axes,)))]
    return picture + amplitude * torch.stack(waves).prod(0)


@pytest.mark.parametrize("axes", ["down", "across", "both"])
@pytest.mark.parametrize("period", [2, 4])
def test_planted_checkerboards_of_a_few_grey_levels_are_found(
    natural: Callable[..., Tensor], added_grid: Callable[[Tensor, Tensor], float], period: int, axes: str
) -> None:
    photo = natural(256, 320)
    by_level = [added_grid(planted(photo, period, level / 255, axes), photo) for level in (1, 2, 4)]
    assert by_level[0] > 0.2  # one grey level, in one of six places of the spectrum
    assert by_level == sorted(by_level)
    assert by_level[2] > 0.4
    assert added_grid(photo, photo) == 0


def test_a_checkerboard_in_every_direction_is_ten_times_over_the_limit(
    natural: Callable[..., Tensor], added_grid: Callable[[Tensor, Tensor], float]
) -> None:
    photo = natural(256, 320)
    everywhere = photo
    for period in (2, 4):
        for axes in ("down", "across", "both"):
            everywhere = planted(everywhere, period, 2 / 255, axes)
    assert added_grid(everywhere, photo) > 1.3  # log10 of energy: the limit is 0.3


def test_brightness_noise_and_blur_are_no_checkerboard(
    natural: Callable[..., Tensor], added_grid: Callable[[Tensor, Tensor], float]
) -> None:
    photo = natural(256, 320)
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    assert abs(added_grid(0.7 * photo + 0.1, photo)) < 0.05
    assert abs(added_grid(photo + 0.03 * noise, photo)) < 0.3
    assert abs(added_grid(F.avg_pool2d(photo, 3, 1, 1), photo)) < 0.3


@pytest.mark.parametrize("seed", range(3))
def test_sub_pixel_leaves_no_grid_where_a_plain_pixel_shuffle_does(
    natural: Callable[..., Tensor], added_grid: Callable[[Tensor, Tensor], float], seed: int
) -> None:
    photo = natural(256, 320)
    torch.manual_seed(seed)
    layer = SubPixel(12, 3)
    features = space_to_depth(photo)
    with torch.no_grad():
        plain, blurred = F.pixel_shuffle(layer.conv(features), 2), layer(features)
    assert blurred.shape == photo.shape
    assert added_grid(plain, photo) > 0.8
    assert added_grid(blurred, photo) < 0.3


@pytest.mark.parametrize("seed", range(3))
def test_flat_features_stay_flat(seed: int) -> None:
    torch.manual_seed(seed)
    layer, flat = SubPixel(5, 3), torch.randn(2, 5, 1, 1).expand(2, 5, 7, 9)
    with torch.no_grad():
        painted = layer(flat)
    assert painted.shape == (2, 3, 14, 18)
    assert painted.flatten(2).std(2).max() < 1e-6
    assert F.pixel_shuffle(layer.conv(flat), 2).flatten(2).std(2).min() > 1e-2  # the blur is what makes it flat
    assert torch.allclose(upsample(flat), flat[:, :, :1, :1].expand(2, 5, 14, 18), atol=FLOAT32)


def test_sub_pixel_is_a_convolution_a_shuffle_and_a_binomial_blur() -> None:
    torch.manual_seed(0)
    layer, x = SubPixel(3, 2), torch.randn(1, 3, 5, 6)
    with torch.no_grad():
        y = F.pixel_shuffle(layer.conv(x), 2)
        blurred = layer(x)
    for i, j in ((3, 4), (6, 9), (1, 1)):
        around = y[0, :, i - 1 : i + 2, j - 1 : j + 2]
        weights = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
        assert torch.allclose(blurred[0, :, i, j], (around * weights).sum((1, 2)), atol=FLOAT32)
    assert "kernel" not in layer.state_dict()


def test_space_to_depth_is_pixel_unshuffle() -> None:
    x = torch.randn(2, 5, 6, 8)
    assert torch.equal(space_to_depth(x), F.pixel_unshuffle(x, 2))


@pytest.mark.parametrize("levels", [1, 3, 4])
def test_bands_join_to_the_picture_and_hold_nothing_of_flat_ones(levels: int) -> None:
    x = torch.rand(2, 3, 48, 80)
    bands, low = split_bands(x, levels)
    assert [band.shape[2:] for band in bands] == [(48 >> i, 80 >> i) for i in range(levels)]
    assert low.shape == (2, 3, 48 >> levels, 80 >> levels)
    for band in reversed(bands):
        low = upsample(low) + band
    assert torch.allclose(low, x, atol=SUM32)
    flat = torch.rand(1, 3, 1, 1).expand(1, 3, 48, 80)
    assert all(band.abs().max() < 1e-6 for band in split_bands(flat, levels)[0])
    ramp = torch.linspace(0, 1, 128).expand(1, 1, 16, 128)
    assert split_bands(ramp, 1)[0][0][..., 2:-2].abs().max() < 1e-6  # a ramp is all low band


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2)])
def test_convolutions_keep_the_size_and_see_no_dark_border(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = conv(3, 4, kernel, stride)
    flat = torch.full((1, 3, 12, 16), 0.7)
    with torch.no_grad():
        out = layer(flat)
    assert out.shape == (1, 4, 12 // stride, 16 // stride)
    assert out.flatten(2).std(2).max() < 1e-6
