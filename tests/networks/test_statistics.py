from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sfumato.networks.layers import split_bands
from sfumato.networks.statistics import (
    BAND_FLOOR,
    BANDS,
    COLOUR_FLOOR,
    COLOUR_STATS_SIZE,
    EPSILON,
    FLAT,
    MIDDLE,
    SHARES,
    Affine,
    ColourStats,
    RecordNorm,
    ReplayNorm,
    ToneCurve,
    band_deviations,
    colour_statistics,
    map_colours,
    matrix_roots,
    tones,
)
from support import FLOAT32, NETWORK32, SUM32


def covariances(condition: Any, count: int = 8, size: int = 3, seed: int = 0) -> Any:
    """Random symmetric positive matrices of a condition number, as (count, size, size) float64."""
    rng = np.random.default_rng(seed)
    turns = np.linalg.qr(rng.normal(size=(count, size, size)))[0]
    values = np.geomspace(1, 1 / condition, size) * rng.uniform(0.01, 1, (count, 1))
    return turns @ (values[:, :, None] * turns.transpose(0, 2, 1))


@pytest.mark.parametrize(("condition", "tolerance"), [(1, 1e-5), (1e2, 1e-4), (1e3, 1e-3), (1e4, 1e-2)])
def test_matrix_roots_are_those_of_the_eigenvalues(condition: float, tolerance: float) -> None:
    a = covariances(condition)
    values, vectors = np.linalg.eigh(a)
    expected = [vectors @ (f(values)[:, :, None] * vectors.transpose(0, 2, 1)) for f in (np.sqrt, lambda v: v**-0.5)]
    for got, want in zip(matrix_roots(torch.from_numpy(a).float()), expected, strict=True):
        error = np.linalg.norm(got.numpy() - want, 2, (1, 2)) / np.linalg.norm(want, 2, (1, 2))
        assert error.max() < tolerance
        assert torch.allclose(got, got.transpose(1, 2), rtol=tolerance, atol=tolerance * float(got.abs().max()))


def test_matrix_roots_can_be_descended() -> None:
    a = torch.from_numpy(covariances(50, 2)).requires_grad_()
    # float64 exists nowhere in a training; here it makes finite differences sharp.
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.autograd.gradcheck(lambda m: matrix_roots((m + m.transpose(1, 2)) / 2), (a,), atol=NETWORK32)
    finally:
        torch.set_default_dtype(default)


def test_colour_statistics_are_numpy_s_with_a_floor() -> None:
    x = torch.rand(2, 3, 11, 13, generator=torch.Generator().manual_seed(0))
    mean, covariance = colour_statistics(x)
    for i in range(2):
        flat = x[i].flatten(1).double().numpy()
        assert np.allclose(mean[i], flat.mean(1), atol=FLOAT32)
        assert np.allclose(covariance[i], np.cov(flat, bias=True) + COLOUR_FLOOR * np.eye(3), atol=FLOAT32)


def test_what_is_measured_is_packed_and_unpacked() -> None:
    measured, white = ColourStats.of(torch.rand(2, 3, 40, 52, generator=torch.Generator().manual_seed(0)))
    code = torch.cat([torch.randn(2, 7), measured.pack()], 1)
    assert measured.pack().shape == (2, COLOUR_STATS_SIZE)
    again = ColourStats.unpack(code)
    assert torch.equal(again.mean, measured.mean)
    assert torch.allclose(again.root, measured.root, atol=FLOAT32)
    assert torch.equal(again.root, again.root.transpose(1, 2))
    assert torch.equal(again.bands, measured.bands)
    assert torch.equal(again.tones, measured.tones)
    assert white.mean((2, 3)).abs().max() < 1e-4
    covariance = torch.stack([torch.from_numpy(np.cov(w.flatten(1).numpy(), bias=True)) for w in white]).float()
    assert torch.allclose(covariance, torch.eye(3).expand(2, 3, 3), atol=0.02)  # but for the floor


def test_colours_are_mapped_pixel_by_pixel() -> None:
    matrix, x = torch.randn(2, 3, 3), torch.rand(2, 3, 5, 7)
    mapped = map_colours(matrix, x)
    assert mapped.shape == x.shape
    assert torch.allclose(mapped[1, :, 3, 4], matrix[1] @ x[1, :, 3, 4], atol=FLOAT32)


def test_band_deviations_are_those_of_the_octaves_and_tell_them_apart() -> None:
    x = torch.randn(1, 3, 64, 70, generator=torch.Generator().manual_seed(0))
    bands, _ = split_bands(x[..., :64], BANDS)
    expected = [(band.double().square().mean((2, 3)) + BAND_FLOOR).sqrt() for band in bands]
    assert torch.allclose(band_deviations(x).double(), torch.cat(expected, 1), atol=SUM32)
    at = torch.arange(64.0)
    loudest = []
    for period in (2, 4, 8, 16):
        wave = torch.cos(2 * torch.pi * (at + 0.5) / period + torch.pi / 4).expand(1, 3, 64, 64)
        loudest.append(int(band_deviations(wave).unflatten(1, (BANDS, 3)).mean(2).argmax()))
    assert loudest == sorted(loudest)
    assert loudest[0] == 0
    assert loudest[-1] >= 2


def test_tones_are_rising_quantiles() -> None:
    x = torch.randn(2, 3, 160, 120, generator=torch.Generator().manual_seed(0))
    got = tones(x)
    assert got.shape == (2, 3, len(SHARES))
    assert (got[:, :, 1:] > got[:, :, :-1]).all()
    expected = np.quantile(x[:, :, ::4, ::4].flatten(2).numpy(), SHARES, axis=2).transpose(1, 2, 0)
    assert np.allclose(got.numpy(), expected, atol=0.1)


def test_a_tone_curve_between_equal_tones_changes_nothing() -> None:
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(ToneCurve.between(tones(x), tones(x))(x), x, atol=SUM32)


def test_a_tone_curve_rises_and_brings_the_quantiles_over() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(1, 3, 96, 96, generator=generator), torch.randn(1, 3, 96, 96, generator=generator).exp()
    curve = ToneCurve.between(tones(x), tones(y))
    ramp = torch.linspace(-4, 4, 200).expand(1, 3, 1, 200)
    assert (curve(ramp).diff(dim=3) > 0).all()
    moved, own, target = tones(curve(x)), tones(x), tones(y)
    assert torch.allclose(moved[:, :, MIDDLE], target[:, :, MIDDLE], atol=SUM32)
    # Not all the way: `FLAT` holds steep parts of the curve back.
    assert (moved - target).abs().mean() < 0.4 * (own - target).abs().mean()
    assert all(
        torch.equal(a, b)
        for a, b in zip(vars(ToneCurve.unpack(curve.pack())).values(), vars(curve).values(), strict=True)
    )


def test_a_plain_photo_bounds_the_slope_of_its_tone_curve() -> None:
    plain, y = torch.zeros(1, 3, len(SHARES)), torch.linspace(-2, 2, len(SHARES)).expand(1, 3, -1)
    ramp = torch.linspace(-3, 3, 100).expand(1, 3, 1, 100)
    steepest = ToneCurve.between(plain, y)(ramp).diff(dim=3).max() / (6 / 99)
    assert steepest <= 1.01 * (4 / 6 + FLAT) / FLAT


def test_measuring_without_style_standardises_each_channel_of_each_picture() -> None:
    h = torch.randn(2, 4, 9, 7) * torch.tensor([0.5, 1, 5, 100]).view(1, 4, 1, 1) + 3
    source = RecordNorm(torch.zeros(2, 1))
    out = Affine(4)(h, source)
    assert torch.allclose(out.mean((2, 3)), torch.zeros(2, 4), atol=NETWORK32)
    variance = h.var((2, 3), unbiased=False)
    assert torch.allclose(out.var((2, 3), unbiased=False), variance / (variance + EPSILON), atol=NETWORK32)
    assert source.norm_params().shape == (2, 8)


def test_measuring_under_a_style_is_adaptive_instance_normalisation() -> None:
    torch.manual_seed(0)
    layer, h, style = Affine(4, 6), torch.randn(2, 4, 9, 7) * 3 + 1, torch.randn(2, 6)
    out = layer(h, RecordNorm(style))
    gamma, beta = layer.style(style).chunk(2, 1)
    mean, deviation = h.mean((2, 3), keepdim=True), (h.var((2, 3), unbiased=False, keepdim=True) + EPSILON).sqrt()
    expected = gamma[:, :, None, None] * (h - mean) / deviation + beta[:, :, None, None]
    assert torch.allclose(out, expected, atol=SUM32)


def test_given_replays_values_in_the_order_of_asking() -> None:
    layers = [Affine(2), Affine(3)]
    hs = [torch.randn(1, 2, 4, 4), torch.randn(1, 3, 4, 4)]
    measured = RecordNorm(torch.zeros(1, 1))
    measured.value(2, lambda: torch.tensor([[7.0, 8.0]]))
    outs = [layer(h, measured) for layer, h in zip(layers, hs, strict=True)]
    given = ReplayNorm(measured.norm_params())
    assert given.value(2, lambda: pytest.fail("computed again")).tolist() == [[7, 8]]
    assert all(torch.equal(layer(h, given), out) for layer, h, out in zip(layers, hs, outs, strict=True))
    assert given.at == measured.norm_params().shape[1] == 12


def test_flat_features_are_not_amplified_without_bound() -> None:
    noise = torch.randn(1, 2, 8, 8) * 1e-4
    out = Affine(2)(noise, RecordNorm(torch.zeros(1, 1)))
    assert out.abs().max() <= noise.sub(noise.mean((2, 3), keepdim=True)).abs().max() / EPSILON**0.5 * 1.01
