import pytest
import torch

from sfumato.networks.refiner import STRIDE, GramRefiner, Refiner, correlations_of, refinement_loss
from sfumato.networks.style_encoder import LOOK, LOOKED, StyleEncoder, look_of, trunk_features

PLACES = (((32, 48), 0), ((32, 48), 130), ((40, 24), 260))


@pytest.fixture
def trunk():
    """As many channels as VGG19's, untrained, its features about as large."""
    torch.manual_seed(0)
    trunk = StyleEncoder(4).trunk.double()
    for convolution in trunk:
        torch.nn.init.kaiming_normal_(convolution.weight)
    return trunk


@pytest.fixture
def pictures(natural):
    """Painting, photo and style, (2, 3, h, w) float64."""
    return [torch.cat([natural(*size, top=top + 90 * i) for i in range(2)]).double() for size, top in PLACES]


def test_the_gradient_is_autograd_s(trunk, pictures):
    painting, photo, style = pictures
    features, look = trunk_features(trunk, photo)[-1], look_of(trunk_features(trunk, style))
    painting.requires_grad_(True)
    loss = refinement_loss(trunk, painting, features, look)
    assert loss.shape == (2,)
    (want,) = torch.autograd.grad(loss.sum(), painting)
    with torch.no_grad():
        got = Refiner(trunk).gradient(painting, features, look) / (32 * 48)
    assert torch.allclose(got, want, rtol=1e-9, atol=1e-12 * float(want.abs().max()))


def test_so_it_is_with_the_gram_loss(trunk, pictures):
    painting, photo, style = pictures
    features, look = trunk_features(trunk, photo)[-1], look_of(trunk_features(trunk, style))
    correlations = correlations_of(trunk, style, look)
    painting.requires_grad_(True)
    loss = refinement_loss(trunk, painting, features, look, 0.2, correlations)
    assert (loss > refinement_loss(trunk, painting, features, look, 0.2)).all()
    (want,) = torch.autograd.grad(loss.sum(), painting)
    with torch.no_grad():
        one, content = torch.ones(1).double(), torch.full((1,), 0.2, dtype=torch.double)
        got = GramRefiner(trunk)(painting, features, look, *correlations, one, content) / (32 * 48)
        none = GramRefiner(trunk)(painting, features, look, *correlations, 0 * one, content)
        plain = Refiner(trunk).gradient(painting, features, look, content)
    assert torch.allclose(got, want, rtol=1e-9, atol=1e-12 * float(want.abs().max()))
    assert torch.allclose(none, plain)


def test_the_gram_loss_is_0_at_the_picture_that_it_was_measured_on(trunk, pictures):
    painting, photo, _ = pictures
    own, other = look_of(trunk_features(trunk, painting)), look_of(trunk_features(trunk, photo))
    features = trunk_features(trunk, painting)[-1]
    at_home = refinement_loss(trunk, painting, features, own, correlations=correlations_of(trunk, painting, own))
    assert float(at_home.max()) < 1e-12
    # Relative to another look, they are the same covariances as soon as that look is aimed at.
    moved = correlations_of(trunk, painting, other)
    with_gram, without = (refinement_loss(trunk, painting, features, other, correlations=c) for c in (moved, ()))
    assert torch.allclose(with_gram, without)


def test_each_part_of_the_loss_is_0_where_it_is_met(trunk, pictures):
    painting, photo, _ = pictures
    own, of_photo = trunk_features(trunk, painting), trunk_features(trunk, photo)
    assert float(refinement_loss(trunk, painting, own[-1], look_of(own)).max()) < 1e-12
    style_alone = refinement_loss(trunk, painting, own[-1], look_of(of_photo))
    content_alone = refinement_loss(trunk, painting, of_photo[-1], look_of(own))
    both = refinement_loss(trunk, painting, of_photo[-1], look_of(of_photo))
    assert (style_alone > 0).all()
    assert (content_alone > 0).all()
    assert torch.allclose(both, style_alone + content_alone)


def test_steps_go_down_and_each_moves_about_the_rate(trunk, pictures):
    painting, photo, style = pictures
    features, look = trunk_features(trunk, photo)[-1], look_of(trunk_features(trunk, style))
    refiner, velocity = Refiner(trunk), torch.zeros_like(painting)
    losses = [refinement_loss(trunk, painting, features, look)]
    with torch.no_grad():
        for rate in (0.02, 0.015, 0.01, 0.005):
            before = painting
            painting, velocity = refiner(painting, features, look, velocity, torch.tensor([rate]).double())
            moved = (painting - before).abs()
            assert 0.2 * rate < float(moved.mean()) < float(moved.max()) <= 1.01 * rate
            assert 0 <= float(painting.min()) <= float(painting.max()) <= 1
            losses.append(refinement_loss(trunk, painting, features, look))
    assert (losses[1] < losses[0]).all()
    assert (losses[-1] < 0.9 * losses[0]).all()


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_picture_of_one_colour_is_refined_without_a_nan(trunk, pictures, level):
    plain = torch.full((2, 3, 4 * STRIDE, 4 * STRIDE), level).double()
    look = look_of(trunk_features(trunk, pictures[2]))
    features = trunk_features(trunk, plain)[-1]
    for aim in (look, torch.zeros_like(look)):
        got, velocity = Refiner(trunk)(plain, features, aim, torch.zeros_like(plain), torch.tensor([0.03]).double())
        assert got.isfinite().all()
        assert velocity.isfinite().all()


def test_a_look_has_means_and_deviations_of_three_layers(trunk, pictures):
    features = trunk_features(trunk, pictures[2])
    look = look_of(features)
    assert look.shape == (2, LOOK)
    sizes = [features[i].shape[1] for i in LOOKED for _ in range(2)]
    for i, (mean, deviation) in zip(LOOKED, zip(*[iter(look.expm1().split(sizes, 1))] * 2, strict=True), strict=True):
        assert torch.allclose(mean, features[i].mean((2, 3)))
        assert torch.allclose(deviation, features[i].std((2, 3), correction=0))


def test_the_look_of_a_picture_does_not_know_its_batch(trunk, natural):
    first, second = natural(32, 32).double(), natural(32, 32, top=200).double()
    both = look_of(trunk_features(trunk, torch.cat([first, second])))
    assert torch.allclose(both[:1], look_of(trunk_features(trunk, first)))
