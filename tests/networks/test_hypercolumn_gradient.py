"""The written-out gradient is that of autograd, and walking down it lowers the loss."""

from __future__ import annotations

import pytest
import torch

from sfumato.networks.hypercolumn import CHANNELS, HYPERCOLUMN_LAYERS, hypercolumns
from sfumato.networks.hypercolumn_gradient import HypercolumnGradient, neighbour_loss
from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from support import scene


@pytest.fixture(scope="module")
def vgg() -> VGG19:
    return VGG19(load_vgg19_weights(), HYPERCOLUMN_LAYERS)


def pictures(*seeds: int) -> torch.Tensor:
    return torch.cat([torch.from_numpy(scene(32, 48, seed)) for seed in seeds])


def test_it_is_the_gradient_of_autograd(vgg: VGG19) -> None:
    scale = torch.rand(1, CHANNELS, 1, 1, generator=torch.Generator().manual_seed(0)) * 0.02
    target = hypercolumns(vgg, pictures(3, 4)) * scale
    picture = pictures(1, 2).requires_grad_()
    (wanted,) = torch.autograd.grad(neighbour_loss(hypercolumns(vgg, picture) * scale, target).sum(), picture)
    found = HypercolumnGradient(vgg, scale)(picture.detach(), target)
    assert wanted.abs().max() > 0
    assert (found - wanted).abs().max() < 1e-3 * wanted.abs().max()


def test_a_picture_that_has_the_features_has_no_gradient(vgg: VGG19) -> None:
    scale = torch.full((1, CHANNELS, 1, 1), 0.01)
    target = hypercolumns(vgg, pictures(1)) * scale
    module = HypercolumnGradient(vgg, scale)
    away = module(pictures(1).flip(3), target).abs().mean()
    assert module(pictures(1), target).abs().mean() < 1e-3 * away
