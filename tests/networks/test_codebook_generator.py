import numpy as np
import pytest
import torch

from sfumato.networks.codebook_generator import PALETTE, CodebookGenerator
from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from sfumato.networks.statistics import Measured
from sfumato.networks.style_encoder import LOOK, StyleEncoder
from sfumato.style_code import MEASURED

TEXTURE = 8


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    encoder = StyleEncoder(TEXTURE)
    encoder.look_with(VGG19(load_vgg19_weights(), ("relu3_1",)))
    return encoder


@pytest.fixture(scope="module")
def works(natural):
    """A dark, a middling and a light one."""
    return [natural(96, 80, 50, 120) * share + offset for share, offset in ((0.2, 0), (0.4, 0.3), (0.3, 0.7))]


@pytest.fixture(scope="module")
def photos(natural):
    """Photos are lighter than the works, and in a narrower range."""
    whole = natural(96, 120, 50, 120)
    return [whole * share + offset for share, offset in ((0.3, 0.4), (0.3, 0.5), (0.3, 0.6), (0.3, 0.65))]


@pytest.fixture(scope="module")
def book(encoder, works, photos):
    torch.manual_seed(0)
    book = CodebookGenerator((8, 8, 8), 1, TEXTURE + MEASURED, 8, 3)
    book.fit(encoder, works, photos)
    return book.requires_grad_(False)


def test_it_takes_the_codes_and_looks_of_the_works(book, encoder, works):
    for i, work in enumerate(works):
        code, _, look = encoder.look(work)
        assert torch.equal(book.codes[i], code[0])
        assert torch.equal(book.looks[i], look[0])
    assert book.looks.shape == (3, LOOK)


def test_the_darkest_photo_takes_the_darkest_work_though_it_is_lighter_than_that(book, photos):
    """Palettes are compared by where they lie among their like, and not as they are."""
    chosen = [int(book.choose(photo)) for photo in photos]
    assert chosen[0] == 0
    assert chosen[-1] == 2
    assert chosen == sorted(chosen)


def test_the_choice_is_that_of_the_nearest_place(book, photos, works):
    def palette(x):
        return Measured.of(x)[0].pack()[0, :PALETTE].double().numpy()

    of_works, of_photos = np.stack([palette(x) for x in works]), np.stack([palette(x) for x in photos])
    places = (of_works - of_works.mean(0)) / (of_works.std(0) + 0.005)
    for photo in photos:
        at = (palette(photo) - of_photos.mean(0)) / (of_photos.std(0) + 0.005)
        assert int(book.choose(photo)) == ((at - places) ** 2).sum(1).argmin()


def test_a_batch_is_painted_each_under_its_own_code(book, photos):
    x = torch.cat([photos[0], photos[-1]])
    affines, painted = book.measure_and_paint(x)
    for i, code in enumerate(book.codes[[0, 2]]):
        own = book.generator.measure(x[i : i + 1], code[None])
        assert torch.allclose(affines[i], own[0], atol=1e-4)
        assert torch.allclose(painted[i], book(x[i : i + 1], own)[0], atol=1e-3)
        assert torch.equal(book.look(x)[i], book.looks[0 if i == 0 else 2])


def test_the_code_may_be_that_of_another_picture(book, photos, works):
    light, dark = photos[-1], photos[0]
    assert torch.equal(book.measure(light), book.measure(light, light))
    assert torch.equal(book.measure(light, dark), book.generator.measure(light, book.codes[:1]))


def test_chosen_codes_train_and_no_others(book, photos):
    codes = book.codes.requires_grad_()
    _, painted = book.measure_and_paint(photos[0])
    painted.square().mean().backward()
    touched = codes.grad.abs().sum(1)
    codes.requires_grad_(False)
    assert touched[0] > 0
    assert touched[1:].max() == 0


def test_features_are_of_places_and_free_of_tint_and_noise(book, natural):
    x = natural(64, 96)
    levels = book.features(x)
    assert [tuple(h.shape[2:]) for h in levels] == [(32, 48), (16, 24), (8, 12)]
    for mine, tinted in zip(levels, book.features(0.5 * x + 0.2), strict=True):
        assert (mine - tinted).abs().mean() < 0.3 * mine.abs().mean()
