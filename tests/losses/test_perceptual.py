from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sfumato.losses.perceptual import (
    DIRECTIONS,
    GRAM_LAYERS,
    STYLE_LAYERS,
    alternate_views,
    consistency_loss,
    content_loss,
    directions,
    gram_distance,
    gram_loss,
    identity_loss,
    laplacian_loss,
    luma_view,
    normalise_features,
    range_loss,
    raw_content_loss,
    sliced_distance,
    sliced_loss,
    sorted_projections,
    statistics_distance,
    statistics_loss,
    style_target,
    total_variation_loss,
)
from support import FLOAT32, FLOAT64, NETWORK32, SUM32

CHANNELS = dict(zip(STYLE_LAYERS, (4, 6, 8, 8), strict=True))


def features(seed: int, batch: int = 2, scale: float = 1.0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    sides = dict(zip(STYLE_LAYERS, (12, 8, 6, 4), strict=True))
    return {
        n: scale * torch.randn(batch, c, sides[n], sides[n] + 1, generator=generator).relu()
        for n, c in CHANNELS.items()
    }


def pictures(seed: int, *shape: Any, dtype: Any = torch.float64) -> Any:
    return torch.rand(shape or (2, 3, 6, 7), generator=torch.Generator().manual_seed(seed), dtype=dtype)


def slope(f: Any, x: Any, direction: Any, step: int) -> tuple[float, float]:
    """Directional derivative by central differences, and by autograd."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(f(x), x)
    with torch.no_grad():
        numeric = (f(x + step * direction) - f(x - step * direction)) / (2 * step)
    return float(numeric), float((gradient * direction).sum())


def test_style_statistics_are_numpy_s() -> None:
    maps = features(0)
    target = style_target(maps)
    for layer in STYLE_LAYERS:
        for i in range(2):
            flat = maps[layer][i].flatten(1).double().numpy()
            assert np.allclose(target.mean[layer][i], flat.mean(1), atol=FLOAT32)
            assert np.allclose(target.deviation[layer][i], np.sqrt(flat.var(1) + 1e-4), atol=FLOAT32)
            if layer in GRAM_LAYERS:
                assert np.allclose(target.gram[layer][i], np.cov(flat, bias=True), atol=FLOAT32)
    assert set(target.gram) == set(GRAM_LAYERS)


def test_style_distances_are_their_formulas() -> None:
    a, b = style_target(features(0)), style_target(features(1))
    for layer in STYLE_LAYERS:
        c = CHANNELS[layer]
        squares = (a.mean[layer] - b.mean[layer]) ** 2 + (a.deviation[layer] - b.deviation[layer]) ** 2
        assert torch.allclose(statistics_distance(a, b, layer), squares.sum(1) / (2 * c))
    for layer in GRAM_LAYERS:
        c = CHANNELS[layer]
        assert torch.allclose(gram_distance(a, b, layer), ((a.gram[layer] - b.gram[layer]) ** 2).sum((1, 2)) / c**2)


def test_style_losses_are_means_in_units_of_the_energy_of_both() -> None:
    a, b = style_target(features(0)), style_target(features(1))
    sizes = [(a.deviation[n] ** 2 + b.deviation[n] ** 2).mean(1) for n in STYLE_LAYERS]
    statistics = [statistics_distance(a, b, n) / size for n, size in zip(STYLE_LAYERS, sizes, strict=True)]
    grams = [gram_distance(a, b, n) / (a.gram[n] ** 2 + b.gram[n] ** 2).mean((1, 2)) for n in GRAM_LAYERS]
    assert float(statistics_loss(a, b)) == pytest.approx(float(torch.stack(statistics).mean()))
    assert float(gram_loss(a, b)) == pytest.approx(float(torch.stack(grams).mean()))
    assert float(statistics_loss(a, a)) == float(gram_loss(a, a)) == 0


def test_faint_styles_count_as_strong_ones() -> None:
    maps, others = features(0), features(1)
    strong = [f(style_target(maps), style_target(others)) for f in (statistics_loss, gram_loss)]
    faint = [{n: h / 3 for n, h in m.items()} for m in (maps, others)]
    weak = [f(style_target(faint[0]), style_target(faint[1])) for f in (statistics_loss, gram_loss)]
    assert torch.allclose(torch.stack(strong), torch.stack(weak), rtol=1e-2)


def test_style_knows_no_layout() -> None:
    maps = features(0)
    moved = {n: h.flatten(2)[:, :, torch.randperm(h[0, 0].numel())].view_as(h) for n, h in maps.items()}
    a, b = style_target(maps), style_target(moved)
    assert float(statistics_loss(a, b)) < 1e-10
    assert float(gram_loss(a, b)) < 1e-10


def test_gram_sees_which_channels_fire_together_where_statistics_do_not() -> None:
    maps = features(0)
    apart = {n: torch.stack([h[:, c].roll(c, 2) for c in range(h.shape[1])], 1) for n, h in maps.items()}
    a, b = style_target(maps), style_target(apart)
    assert float(statistics_loss(a, b)) < 1e-10
    assert float(gram_loss(a, b)) > 1e-4


@pytest.mark.parametrize("loss", [statistics_loss, gram_loss])
@pytest.mark.parametrize("layer", GRAM_LAYERS)
def test_gradients_of_style_losses_are_finite_differences_of_the_distance_at_a_fixed_size(
    loss: Any, layer: Any
) -> None:
    maps, target = features(0), style_target(features(1))
    direction = torch.randn(maps[layer].shape, generator=torch.Generator().manual_seed(2))
    own = style_target(maps)
    distance, layers = (statistics_distance, 4) if loss is statistics_loss else (gram_distance, 3)
    parts = (own.deviation, target.deviation) if loss is statistics_loss else (own.gram, target.gram)
    size = sum(part[layer].square().flatten(1).mean(1) for part in parts)

    def relative(h: Any) -> Any:
        return (distance(style_target({**maps, layer: h}), target, layer) / size).mean() / layers

    numeric, _ = slope(relative, maps[layer], direction, 1e-2)  # type: ignore[arg-type]
    _, exact = slope(lambda h: loss(style_target({**maps, layer: h}), target), maps[layer], direction, 1e-2)  # type: ignore[arg-type]
    assert exact == pytest.approx(numeric, rel=2e-2, abs=SUM32)
    assert abs(exact) > 2e-5


def test_content_is_the_distance_of_normalised_features() -> None:
    a, b = features(0)["relu4_1"], features(1)["relu4_1"]

    def normalised(h: Any) -> Any:
        h = h.double().numpy()
        return (h - h.mean((2, 3), keepdims=True)) / np.sqrt(h.var((2, 3), keepdims=True) + 1e-4)

    assert np.allclose(normalise_features(a), normalised(a), atol=SUM32)
    expected = np.mean((normalised(a) - normalised(b)) ** 2)
    assert float(content_loss(a, normalise_features(b))) == pytest.approx(expected, rel=NETWORK32)
    assert float(content_loss(a, normalise_features(a))) == 0


def test_content_ignores_contrast_and_is_two_for_unrelated_features() -> None:
    a, b = (torch.randn(1, 16, 40, 40, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    assert float(content_loss(5 * a + 3, normalise_features(a))) < 1e-5
    assert float(content_loss(a, normalise_features(b))) == pytest.approx(2, abs=0.05)


def test_gradient_of_content_is_finite_differences() -> None:
    a, target = features(0)["relu4_1"], normalise_features(features(1)["relu4_1"])
    direction = torch.randn(a.shape, generator=torch.Generator().manual_seed(2))
    numeric, exact = slope(lambda h: content_loss(h, target), a, direction, 1e-2)  # type: ignore[arg-type]
    assert exact == pytest.approx(numeric, rel=2e-2, abs=NETWORK32)


def test_raw_content_is_gatys_s_in_units_of_the_target() -> None:
    a, b = features(0)["relu4_1"], features(1)["relu4_1"]
    f, p = a.double().numpy(), b.double().numpy()
    expected = np.mean([0.5 * ((x - y) ** 2).sum() / (0.5 * (y**2).sum()) for x, y in zip(f, p, strict=True)])
    assert float(raw_content_loss(a, b)) == pytest.approx(expected, rel=SUM32)
    assert float(raw_content_loss(a, a)) == 0
    assert float(raw_content_loss(0 * a, b)) == pytest.approx(1)
    assert float(raw_content_loss(1.5 * b, b)) == pytest.approx(
        0.25
    )  # contrast counts, as it does not in `content_loss`


def test_gradient_of_raw_content_is_finite_differences() -> None:
    a, b = (pictures(seed, 1, 4, 3, 5) for seed in (0, 1))
    assert torch.autograd.gradcheck(lambda h: raw_content_loss(h, b), (a.requires_grad_(),))


def test_laplacian_is_its_formula() -> None:
    """Li et al.: averages over p by p pixels, then 4 times the middle less its neighbours, summed over the channels."""
    a, b = pictures(0, 2, 3, 12, 16), pictures(1, 2, 3, 12, 16)
    losses = []
    for p in (2, 4):
        responses = []
        for x in (a.numpy(), b.numpy()):
            small = x.reshape(2, 3, 12 // p, p, 16 // p, p).mean((3, 5))
            edge = np.pad(small, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
            around = edge[:, :, :-2, 1:-1] + edge[:, :, 2:, 1:-1] + edge[:, :, 1:-1, :-2] + edge[:, :, 1:-1, 2:]
            responses.append((4 * small - around).sum(1))
        losses.append(np.mean((responses[0] - responses[1]) ** 2))
    assert float(laplacian_loss(a, b, pools=(2, 4))) == pytest.approx(np.mean(losses))
    assert float(laplacian_loss(a, a, pools=(2, 4))) == 0


def test_laplacian_sees_edges_and_neither_brightness_nor_what_is_finer_than_a_block() -> None:
    x = pictures(0, 1, 3, 32, 32)
    assert float(laplacian_loss(x + 0.2, x)) == pytest.approx(0, abs=1e-20)
    stripes = torch.tensor([0.1, -0.1], dtype=torch.float64).repeat(16)
    assert float(laplacian_loss(x + stripes, x)) == pytest.approx(0, abs=1e-20)
    assert float(laplacian_loss(x.flip(3), x)) > 1e-3


def test_directions_are_unit_vectors_drawn_by_their_key() -> None:
    drawn = directions(5, 3, 4)
    assert drawn.shape == (5, DIRECTIONS)
    assert torch.allclose(drawn.norm(dim=0), torch.ones(DIRECTIONS, dtype=torch.float64))
    assert torch.equal(drawn, directions(5, 3, 4))
    assert not torch.equal(drawn, directions(5, 3, 5))
    assert abs(float(directions(5, 0).mean())) < 0.2  # to all sides


def test_sliced_distance_is_that_of_numpy_s_sorted_projections() -> None:
    a, b = pictures(0, 2, 5, 4, 6), pictures(1, 2, 5, 6, 4)
    along = directions(5, 0)
    got = sliced_distance(*(sorted_projections(x, along) for x in (a, b)))
    for i in range(2):
        squares = []
        for v in along.numpy().T:
            p, q = (np.sort(v @ x[i].numpy().reshape(5, -1)) for x in (a, b))
            squares.append(np.mean((p - q) ** 2))
        assert float(got[i]) == pytest.approx(np.mean(squares))


def test_sliced_distance_between_different_numbers_of_positions_reads_quantiles() -> None:
    a, b = pictures(0, 1, 5, 4, 6), pictures(1, 1, 5, 3, 3)
    p, q = (sorted_projections(x, directions(5, 0)) for x in (a, b))
    ranks = [(np.arange(n) + 0.5) / n for n in (24, 9)]
    expected = np.mean(
        [(x - np.interp(ranks[0], ranks[1], y)) ** 2 for x, y in zip(p[0].numpy(), q[0].numpy(), strict=True)]
    )
    assert float(sliced_distance(p, q)) == pytest.approx(expected)
    # The same distribution with each point twice over is the same distribution, but for the ends of the steps.
    doubled = sliced_distance(p, p.repeat_interleave(2, 2))
    assert float(doubled) < 1e-3 * float(p.var())


def test_sliced_loss_is_relative_to_the_variances_of_both() -> None:
    a, b = features(0), features(1)
    terms = []
    for index, layer in enumerate(STYLE_LAYERS):
        p, q = (sorted_projections(m[layer], directions(CHANNELS[layer], 7, index)) for m in (a, b))
        size = p.var(2, correction=0).mean(1) + q.var(2, correction=0).mean(1)
        terms.append((sliced_distance(p, q) / size).mean())
    assert float(sliced_loss(a, b, 7)) == pytest.approx(float(torch.stack(terms).mean()), rel=1e-3)
    assert float(sliced_loss(a, a, 7)) == 0
    assert float(sliced_loss(a, b, 7)) == float(sliced_loss(a, b, 7))
    assert float(sliced_loss(a, b, 7)) != float(sliced_loss(a, b, 8))


def test_sliced_loss_knows_no_layout_and_sees_what_mean_deviation_and_gram_do_not() -> None:
    maps = features(0)
    moved = {n: h.flatten(2)[:, :, torch.randperm(h[0, 0].numel())].view_as(h) for n, h in maps.items()}
    assert float(sliced_loss(maps, moved, 0)) < 1e-10
    # Mirrored about its mean, a distribution keeps its first two moments and loses its skewness.
    mirrored = {n: 2 * h.mean((2, 3), keepdim=True) - h for n, h in maps.items()}
    a, b = style_target(maps), style_target(mirrored)
    assert float(statistics_loss(a, b)) < 1e-8
    assert float(gram_loss(a, b)) < 1e-8
    assert float(sliced_loss(maps, mirrored, 0)) > 1e-3


@pytest.mark.parametrize("shape", [(1, 4, 3, 5), (1, 4, 2, 3)])
def test_gradient_of_the_sliced_distance_is_finite_differences(shape: tuple[int, int, int, int]) -> None:
    along, target = directions(4, 0), sorted_projections(pictures(1, *shape), directions(4, 0))
    x = pictures(0, 1, 4, 3, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda h: sliced_distance(sorted_projections(h, along), target), (x,))


def test_gradient_of_the_sliced_loss_is_that_of_the_distance_at_a_fixed_size() -> None:
    maps, others, layer = features(0), features(1), "relu2_1"
    own = maps[layer].clone().requires_grad_()
    sliced_loss({**maps, layer: own}, others, 0).backward()
    along = directions(CHANNELS[layer], 0, STYLE_LAYERS.index(layer))
    twin = maps[layer].clone().requires_grad_()
    p, q = sorted_projections(twin, along), sorted_projections(others[layer], along)
    size = (p.var(2, correction=0) + q.var(2, correction=0)).mean(1).detach() + 1e-4
    ((sliced_distance(p, q) / size).mean() / len(STYLE_LAYERS)).backward()
    assert torch.allclose(own.grad, twin.grad, rtol=NETWORK32, atol=FLOAT64)
    assert own.grad.abs().max() > 0


def test_sixteen_bit_features_are_projected_in_thirty_two() -> None:
    maps = {n: (300 * h).half() for n, h in features(0).items()}
    with torch.autocast("cpu", torch.bfloat16):
        inside = sliced_loss(maps, features(1), 0), raw_content_loss(maps["relu4_1"], features(1)["relu4_1"])
    outside = sliced_loss(maps, features(1), 0), raw_content_loss(maps["relu4_1"], features(1)["relu4_1"])
    assert all(torch.equal(i, o) and i.dtype == torch.float32 for i, o in zip(inside, outside, strict=True))


def test_identity_is_the_error_and_the_error_of_differences() -> None:
    a, b = pictures(0), pictures(1)
    e = (a - b).numpy()
    expected = np.abs(e).mean() + np.abs(np.diff(e, axis=3)).mean() + np.abs(np.diff(e, axis=2)).mean()
    assert float(identity_loss(a, b)) == pytest.approx(expected)
    assert float(identity_loss(a, a)) == 0
    assert float(identity_loss(a + 0.1, a)) == pytest.approx(0.1)  # a shift of brightness blurs nothing


def test_total_variation_is_its_formula() -> None:
    x = pictures(0)
    expected = np.abs(np.diff(x.numpy(), axis=3)).mean() + np.abs(np.diff(x.numpy(), axis=2)).mean()
    assert float(total_variation_loss(x)) == pytest.approx(expected)
    assert float(total_variation_loss(torch.full((1, 3, 8, 8), 0.3))) == 0


def test_range_is_what_clipping_cuts() -> None:
    x = 3 * pictures(0) - 1
    assert float(range_loss(x)) == pytest.approx(np.mean((x.numpy() - np.clip(x.numpy(), 0, 1)) ** 2))
    assert float(range_loss(x.clamp(0, 1))) == 0


def test_consistency_compares_quarters_and_moves_only_the_crop() -> None:
    zoomed, region = pictures(0, 2, 3, 8, 8), pictures(1, 2, 3, 6, 6).requires_grad_()
    means = [x.detach().numpy().reshape(2, 3, 2, n, 2, n).mean((3, 5)) for x, n in ((zoomed, 4), (region, 3))]
    loss = consistency_loss(zoomed.requires_grad_(), region)
    assert float(loss.detach()) == pytest.approx(np.abs(means[0] - means[1]).mean())
    loss.backward()
    assert zoomed.grad is not None
    assert region.grad is None
    assert float(consistency_loss(zoomed.detach(), zoomed)) == 0


def test_gradients_of_picture_losses_are_finite_differences() -> None:
    x, y = (2 * pictures(0) - 0.5).requires_grad_(), pictures(1)
    assert torch.autograd.gradcheck(lambda a: identity_loss(a, y), (x,))
    assert torch.autograd.gradcheck(total_variation_loss, (x,))
    assert torch.autograd.gradcheck(range_loss, (x,))
    assert torch.autograd.gradcheck(lambda a: consistency_loss(a, y), (x,))
    assert torch.autograd.gradcheck(lambda a: laplacian_loss(a, y, pools=(1, 2)), (x,))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_features_and_pictures_have_finite_losses_and_gradients(value: float) -> None:
    maps = {n: torch.full((2, c, 4, 4), value).requires_grad_() for n, c in CHANNELS.items()}
    output, other = style_target(maps), style_target(features(1))
    flat = torch.full((2, 3, 8, 8), value).requires_grad_()
    losses = [
        statistics_loss(output, other),
        gram_loss(output, other),
        content_loss(maps["relu4_1"], normalise_features(torch.rand(2, 8, 4, 4))),
        identity_loss(flat, torch.zeros_like(flat)),
        total_variation_loss(flat),
        range_loss(flat),
        consistency_loss(flat, torch.rand(2, 3, 8, 8)),
        laplacian_loss(flat, torch.rand(2, 3, 8, 8), pools=(4, 8)),
        raw_content_loss(maps["relu4_1"], torch.zeros(2, 8, 4, 4)),
        sliced_loss(maps, features(1), 0),
        sliced_loss(maps, maps, 0),
    ]
    total = torch.stack(losses)
    assert total.isfinite().all()
    total.sum().backward()
    assert all(x.grad.isfinite().all() for x in (*maps.values(), flat))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_painting_without_any_texture_is_a_finite_target(value: float) -> None:
    """A sheet of one colour is among somebody's paintings."""
    maps = {n: h.requires_grad_() for n, h in features(0).items()}
    flat = style_target({n: torch.full((2, c, 4, 4), value) for n, c in CHANNELS.items()})
    losses = torch.stack([f(style_target(maps), flat) for f in (statistics_loss, gram_loss)])
    assert losses.isfinite().all()
    losses.sum().backward()
    assert all(h.grad.isfinite().all() for n, h in maps.items())


def test_the_luma_view_keeps_texture_alone() -> None:
    x = pictures(0, 2, 3, 20, 24)
    view = luma_view(x)
    weights = np.array([0.299, 0.587, 0.114]).reshape(3, 1, 1)
    for got, picture in zip(view.numpy(), x.numpy(), strict=True):
        luma = (weights * picture).sum(0)
        expected = (luma - luma.mean()) / np.sqrt(luma.var() + 1e-6) * 0.2 + 0.5
        assert np.allclose(got, expected)
    assert torch.allclose(luma_view(0.3 * x + 0.2), view, atol=1e-3)  # neither brightness nor contrast
    assert luma_view(torch.full((1, 3, 8, 8), 0.4)).sub(0.5).abs().max() < 1e-3


def test_views_alternate_over_samples() -> None:
    x = pictures(0, 3, 3, 8, 8)
    views = alternate_views(x)
    assert torch.equal(views[::2], x[::2])
    assert torch.equal(views[1], luma_view(x)[1])


def test_sixteen_bit_features_are_measured_in_thirty_two() -> None:
    maps = {n: (300 * h).half() for n, h in features(0).items()}  # squares of VGG's features leave float16's range
    target = style_target(maps)
    for part in (target.mean, target.deviation, target.gram):
        assert all(t.dtype == torch.float32 and t.isfinite().all() for t in part.values())
    assert normalise_features(maps["relu4_1"]).dtype == torch.float32
