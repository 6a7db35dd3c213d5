from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sfumato.networks.config import ModelConfig
from sfumato.networks.generator import GATES, NOISE_PERIODS, WHITEN, Noise, _equalise
from sfumato.networks.layers import split_bands, upsample
from sfumato.networks.model import StyleTransferModel, fuse
from sfumato.networks.statistics import (
    BAND_FLOOR,
    BANDS,
    COLOUR_FLOOR,
    ColourStats,
    band_deviations,
    colour_statistics,
    map_colours,
)
from support import FLOAT32, NETWORK32, SUM32


def first_values(norm_params: Any) -> Any:
    """Whitening map and offset, and gains of the bands, of the photo: the first of the norm_params."""
    whiten, offset, gains = norm_params[:, : WHITEN + 3 * BANDS].split([9, 3, 3 * BANDS], 1)
    return whiten.unflatten(1, (3, 3)), offset, gains


@pytest.fixture
def painter(model: StyleTransferModel) -> Any:
    """The tiny model, whose painting is about as strong as its recolouring (it starts weaker)."""
    with torch.no_grad():
        model.generator.paint.conv.weight.mul_(3)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (16, 41), (75, 93)])
def test_any_size_in_the_same_size_out(painter: Any, painting: Tensor, size: tuple[int, int]) -> None:
    photo = torch.rand(2, 3, *size)
    norm_params = painter.generator.measure(photo, painter.style_encoder(painting).expand(2, -1))
    output = painter.generator(photo, norm_params)
    assert output.shape == photo.shape
    assert output.dtype == torch.float32
    assert output.isfinite().all()


def test_norm_params_are_one_vector_whose_length_the_thumbnail_does_not_change(
    painter: Any, natural: Callable[..., Tensor], painting: Tensor
) -> None:
    code = painter.style_encoder(painting)
    lengths = {painter.generator.measure(natural(*size), code).shape for size in ((32, 32), (47, 66))}
    assert len(lengths) == 1


@pytest.mark.parametrize("size", [(64, 48), (51, 70)])
def test_given_norm_params_paint_what_the_measuring_pass_painted(
    painter: Any, natural: Callable[..., Tensor], painting: Tensor, size: tuple[int, int]
) -> None:
    photo = natural(*size)
    norm_params, painted = painter.generator.measure_and_paint(photo, painter.style_encoder(painting))
    assert torch.allclose(painter.generator(photo, norm_params), painted, atol=FLOAT32)


def test_every_affine_is_used(painter: Any, natural: Callable[..., Tensor], painting: Tensor) -> None:
    photo, code = natural(64, 64), painter.style_encoder(painting)
    norm_params = painter.generator.measure(photo, code).requires_grad_()
    (painter.generator(photo, norm_params) * torch.randn(photo.shape)).sum().backward()
    assert norm_params.grad is not None
    assert (norm_params.grad != 0).float().mean() > 0.95  # a channel that a ReLU keeps at zero may be idle


def test_a_batch_is_painted_as_each_picture_alone(
    painter: Any, natural: Callable[..., Tensor], painting: Tensor
) -> None:
    photos = torch.cat([natural(48, 64), natural(48, 64, 200, 30)])
    codes = torch.cat([painter.style_encoder(painting), painter.style_encoder(natural(64, 64, 300, 300))])
    together = painter.generator(photos, painter.generator.measure(photos, codes))
    for i in range(2):
        alone = painter.generator(photos[i : i + 1], painter.generator.measure(photos[i : i + 1], codes[i : i + 1]))
        assert torch.allclose(together[i : i + 1], alone, atol=NETWORK32)


def test_a_crop_painted_with_the_thumbnail_s_norm_params_is_that_region_of_the_whole(
    painter: Any, natural: Callable[..., Tensor], painting: Tensor, half: Callable[[Tensor], Tensor]
) -> None:
    photo = natural(400, 392)
    norm_params = painter.generator.measure(half(photo), painter.style_encoder(painting))
    whole = painter.generator(photo, norm_params)
    top, left, side, reach = 48, 32, 320, 120
    part = photo[:, :, top : top + side, left : left + side]
    crop = painter.generator(part, norm_params, torch.tensor([top, left]))
    difference = (whole[:, :, top : top + side, left : left + side] - crop).abs()
    assert difference[:, :, reach:-reach, reach:-reach].max() < 1e-5
    assert difference.max() > 1e-3  # nearer to the cut the crop cannot know what lies beyond: tiles must overlap
    elsewhere = painter.generator(part, norm_params)  # other noise: a crop must say where it lies
    assert (elsewhere - crop).abs().mean() > 1e-3


def test_statistics_of_the_crop_itself_would_paint_another_picture(
    painter: Any, natural: Callable[..., Tensor], painting: Tensor
) -> None:
    photo = natural(256, 256)
    crop, code = photo[:, :, 64:192, 64:192], painter.style_encoder(painting)
    own = painter.generator(crop, painter.generator.measure(crop, code))
    shared = painter.generator(crop, painter.generator.measure(photo, code))
    assert (own - shared).abs().mean() > 0.02


def test_strength_zero_leaves_the_photo_s_bands_as_they_are(painter: Any, natural: Callable[..., Tensor]) -> None:
    photo = natural(96, 128)
    whiten, offset, gains = first_values(painter.generator.measure(photo, painter.style_encoder(photo)))
    mean, covariance = colour_statistics(photo)
    assert torch.allclose((whiten @ covariance @ whiten.transpose(1, 2))[0], torch.eye(3), atol=2e-3)
    assert ((whiten @ mean[:, :, None])[:, :, 0] + offset).abs().max() < 1e-3
    assert torch.allclose(gains, torch.ones_like(gains), atol=2e-3)


def test_strength_zero_gives_the_photo_back_whatever_the_networks_paint(
    painter: Any, natural: Callable[..., Tensor], painting: Tensor, half: Callable[[Tensor], Tensor]
) -> None:
    photo = natural(192, 256)
    small = half(photo)
    codes = [painter.style_encoder(x) for x in (small, painting)]
    errors = []
    for strength in (0.0, 0.25, 1.0):
        norm_params = painter.generator.measure(small, fuse(codes[1], codes[0], strength))
        errors.append(float((painter.generator(photo, norm_params) - photo).abs().mean()))
    assert errors[0] < 0.02
    assert errors[0] < errors[1] / 2 < errors[2] / 2


def test_whatever_is_painted_has_the_painting_s_palette_tones_and_contrast(
    painter: Any, natural: Callable[..., Tensor], painting: Tensor
) -> None:
    code = painter.style_encoder(painting)
    target = ColourStats.unpack(code)
    outputs = []
    for seed in range(3):  # the first of a kind that learnt nothing
        with torch.no_grad():
            painter.generator.paint.conv.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(seed))
        _, painted = painter.generator.measure_and_paint(natural(96, 128), code)
        mean, covariance = colour_statistics(painted)
        assert (mean - target.mean).abs().max() < 0.05
        ratio = covariance.diagonal(dim1=1, dim2=2) / (target.root @ target.root).diagonal(dim1=1, dim2=2)
        assert 0.6 < ratio.min() <= ratio.max() < 1.6
        whiten = torch.linalg.inv(target.root)
        bands = band_deviations(map_colours(whiten, painted - target.mean[:, :, None, None]))
        assert (bands / target.bands).log().abs().median() < 0.5  # chroma bands of a low tone curve bend most
        outputs.append(painted)
    assert (outputs[0] - outputs[1]).abs().mean() > 0.03  # and they are different pictures


def test_equalising_multiplies_the_bands() -> None:
    x, gains = torch.randn(2, 3, 48, 64), 2 * torch.rand(2, 3 * BANDS)
    bands, expected = split_bands(x, BANDS)
    for band, gain in zip(reversed(bands), reversed(gains.chunk(BANDS, 1)), strict=True):
        expected = upsample(expected) + band * gain[:, :, None, None]
    assert torch.allclose(_equalise(x, gains), expected, atol=SUM32)


def test_noise_is_one_field_that_any_crop_is_cut_from() -> None:
    noise = Noise()
    whole = noise(torch.empty(2, 3, 300, 280), torch.tensor([0, 0]))
    assert torch.equal(noise(torch.empty(1, 3, 40, 50), torch.tensor([240, 216])), whole[:1, :, 240:280, 216:266])
    assert whole.std() == pytest.approx(1, abs=0.03)
    for period in NOISE_PERIODS:
        assert period % 8 == 0
        assert (whole[:, :, period:] - whole[:, :, :-period]).abs().mean() > 0.5


def test_a_grey_photo_s_noise_is_amplified_no_more_than_the_floors_allow(
    painter: Any, natural: Callable[..., Tensor], painting: Tensor
) -> None:
    grey = natural(96, 96).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    noisy = (grey + 2e-3 * torch.randn(grey.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    code = painter.style_encoder(painting)
    whiten, _, gains = first_values(painter.generator.measure(noisy, code))
    target = ColourStats.unpack(code)
    assert torch.linalg.matrix_norm(whiten, 2) <= 1.001 / COLOUR_FLOOR**0.5
    assert (gains <= 1.001 * target.bands / BAND_FLOOR**0.5).all()


def test_gates_are_shares(painter: Any, natural: Callable[..., Tensor], painting: Tensor) -> None:
    gates = painter.generator.measure(natural(64, 64), painter.style_encoder(painting))[:, GATES]
    assert gates.shape == (1, 3 * BANDS)
    assert 0 < gates.min() <= gates.max() < 1


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_a_flat_photo_is_painted_from_noise(painter: Any, painting: Tensor, value: float) -> None:
    flat = torch.full((1, 3, 64, 64), value)
    output = painter.generator(flat, painter.generator.measure(flat, painter.style_encoder(painting)))
    assert output.isfinite().all()
    assert output.abs().max() < 3
    assert output.flatten(2).std(2).min() > 0.01


@pytest.mark.parametrize("paint", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_a_random_generator_leaves_no_checkerboard(
    config: ModelConfig,
    natural: Callable[..., Tensor],
    painting: Tensor,
    half: Callable[[Tensor], Tensor],
    added_grid: Callable[[Tensor, Tensor], float],
    seed: int,
    paint: int,
) -> None:
    torch.manual_seed(seed)
    model = StyleTransferModel(config).eval()
    photo = natural(256, 320)
    with torch.no_grad():
        model.generator.paint.conv.weight.mul_(paint)
        output = model(photo, half(photo), painting)
        assert (output - photo).abs().mean() > 0.02
    assert added_grid(output, photo) < 0.3


def test_the_model_is_its_parts(
    painter: Any, natural: Callable[..., Tensor], painting: Tensor, half: Callable[[Tensor], Tensor]
) -> None:
    photo = natural(64, 96)
    small = half(photo)
    for strength in (0.0, 0.3, 1.0):
        code = strength * painter.style_encoder(painting) + (1 - strength) * painter.style_encoder(small)
        expected = painter.generator(photo, painter.generator.measure(small, code)).clamp(0, 1)
        assert torch.allclose(painter(photo, small, painting, strength), expected, atol=SUM32)
    assert torch.equal(fuse(torch.ones(2, 3), torch.zeros(2, 3), 0.25), torch.full((2, 3), 0.25))


def test_gradients_reach_every_parameter(
    model: StyleTransferModel, natural: Callable[..., Tensor], painting: Tensor
) -> None:
    """All but convolution biases that an affine follows: measured statistics cancel those exactly."""
    torch.manual_seed(1)
    crop, thumbnail = natural(64, 64, 40, 140), natural(96, 96)
    output = model.generator(crop, model.generator.measure(thumbnail, model.style_encoder(painting)))
    (output * torch.randn(output.shape)).sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, g in gradients.items() if g is None] == []
    largest = max(float(g.abs().max()) for g in gradients.values())
    idle = {name for name, g in gradients.items() if g.abs().max() < 1e-6 * largest}
    convolutions = {n for n, m in model.generator.named_modules() if isinstance(m, torch.nn.Conv2d)}
    assert idle <= {f"generator.{name}.bias" for name in convolutions}  # what is painted is centred, too


def test_a_bias_before_an_affine_changes_nothing(
    model: StyleTransferModel, natural: Callable[..., Tensor], painting: Tensor
) -> None:
    model.requires_grad_(False)
    before = model(natural(64, 64), natural(96, 96), painting)
    model.generator.reduce1.bias.add_(3.0)
    assert torch.allclose(model(natural(64, 64), natural(96, 96), painting), before, atol=SUM32)
