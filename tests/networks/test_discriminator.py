from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sfumato.networks.discriminator import READ, PatchDiscriminator, ProjectedDiscriminator
from sfumato.networks.model import (
    CollectionConfig,
    ModelConfig,
    NoiseConfig,
    build_collection_discriminator,
    build_discriminator,
    build_noise_discriminator,
)
from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from support import NETWORK32, SUM32

CODE = 25
BEFORE = (-0.0934298, -0.1148387)  # mean logits of seed 0, as they were when there was no other kind


@pytest.fixture
def discriminator() -> PatchDiscriminator:
    torch.manual_seed(0)
    return PatchDiscriminator((8, 12, 16), CODE, scales=2)


@pytest.mark.parametrize(("side", "maps"), [((64, 64), [(8, 8), (4, 4)]), ((50, 67), [(6, 8), (3, 4)])])
def test_one_map_of_logits_a_scale(
    discriminator: PatchDiscriminator, side: tuple[int, int], maps: list[tuple[int, int]]
) -> None:
    logits = discriminator(torch.rand(2, 3, *side), torch.randn(2, CODE))
    assert [tuple(x.shape) for x in logits] == [(2, 1, *size) for size in maps]


def test_built_from_the_config(config: ModelConfig) -> None:
    built = build_discriminator(config, CODE)
    assert len(built.scales) == config.discriminator_scales  # type: ignore[arg-type]
    assert [c.out_channels for c in built.scales[0].convs] == list(config.discriminator_widths)  # type: ignore[index, union-attr]


def test_the_code_enters_by_projection(discriminator: PatchDiscriminator) -> None:
    """Logits are linear in the code, with a slope that the picture sets (Miyato & Koyama 2018, eq. 3)."""
    discriminator.eval().requires_grad_(False)
    x, code = torch.rand(2, 3, 64, 64), torch.randn(2, CODE)
    for none, one, two in zip(*(discriminator(x, k * code) for k in (0, 1, 2)), strict=True):
        assert (one - none).abs().max() > 1e-4
        assert torch.allclose(two - none, 2 * (one - none), atol=SUM32)
    other = discriminator(1 - x, code)[0] - discriminator(1 - x, 0 * code)[0]
    own = discriminator(x, code)[0] - discriminator(x, 0 * code)[0]
    assert not torch.allclose(other, own, atol=SUM32)


def test_logits_belong_to_patches(discriminator: PatchDiscriminator) -> None:
    discriminator.eval().requires_grad_(False)
    x, code = torch.rand(1, 3, 128, 128), torch.zeros(1, CODE)
    changed = x.clone()
    changed[..., :32, :32] = 1 - changed[..., :32, :32]
    difference = (discriminator(x, code)[0] - discriminator(changed, code)[0]).abs()[0, 0]
    assert difference[:3, :3].min() > 0
    assert difference[7:, :].max() == difference[:, 7:].max() == 0


def test_spectral_norms_are_one(discriminator: PatchDiscriminator) -> None:
    x, code = torch.rand(1, 3, 32, 32), torch.zeros(1, CODE)
    for _ in range(60):
        discriminator(x, code)
    discriminator.eval()
    for scale in discriminator.scales:
        for layer in (*scale.convs, scale.logit, scale.project):  # type: ignore[misc]
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_gradients_reach_every_parameter_and_the_picture(discriminator: PatchDiscriminator) -> None:
    x = torch.rand(2, 3, 64, 64, requires_grad=True)
    sum(logits.square().sum() for logits in discriminator(x, torch.randn(2, CODE))).backward()
    assert x.grad is not None
    assert (x.grad != 0).float().mean() > 0.99
    for name, parameter in discriminator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_without_codes_it_is_unconditional() -> None:
    torch.manual_seed(0)
    free = PatchDiscriminator((8, 12, 16), 0)
    logits = free(torch.rand(2, 3, 64, 64))
    assert [tuple(x.shape) for x in logits] == [(2, 1, 8, 8), (2, 1, 4, 4)]
    assert not [name for name in free.state_dict() if "project" in name]
    sum(x.square().sum() for x in logits).backward()
    for name, parameter in free.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_its_logits_are_those_of_a_conditional_one_under_a_code_of_zeros(discriminator: PatchDiscriminator) -> None:
    free = PatchDiscriminator((8, 12, 16), 0)
    free.load_state_dict({key: t for key, t in discriminator.state_dict().items() if "project" not in key})
    x = torch.rand(2, 3, 64, 64)
    expected = discriminator.eval()(x, torch.zeros(2, CODE))
    assert all(torch.equal(a, b) for a, b in zip(free.eval()(x), expected, strict=True))


def test_a_conditional_one_needs_a_code(discriminator: PatchDiscriminator) -> None:
    with pytest.raises(AssertionError, match="a conditional discriminator needs a code"):
        discriminator(torch.rand(1, 3, 64, 64))


def test_names_and_numbers_of_the_state_are_those_of_earlier_runs(discriminator: PatchDiscriminator) -> None:
    state = discriminator.state_dict()
    layers = [f"scales.{scale}.{layer}" for scale in (0, 1) for layer in ("convs.0", "convs.1", "convs.2", "logit")]
    expected = {f"{layer}.bias" for layer in layers}
    for layer in (*layers, "scales.0.project", "scales.1.project"):
        parts = ("original", "0._u", "0._v")
        expected |= {f"{layer}.parametrizations.weight.{part}" for part in parts}
    assert set(state) == expected
    logits = discriminator.eval()(torch.full((1, 3, 32, 32), 0.25), torch.ones(1, CODE))
    found = [float(x.detach().mean()) for x in logits]
    assert found == pytest.approx(list(BEFORE), abs=SUM32)


def test_without_spectral_norm_weights_are_plain() -> None:
    torch.manual_seed(0)
    plain = PatchDiscriminator((8, 12, 16), CODE, spectral=False)
    assert not [name for name in plain.state_dict() if "parametrizations" in name]
    x, code = torch.rand(1, 3, 64, 64), torch.randn(1, CODE)
    before = plain(x, code)[0]
    with torch.no_grad():
        plain.scales[0].logit.weight.mul_(5)  # type: ignore[operator, union-attr]
        plain.scales[0].logit.bias.mul_(5)  # type: ignore[operator, union-attr]
        plain.scales[0].project.weight.mul_(5)  # type: ignore[operator, union-attr]
    assert torch.allclose(plain(x, code)[0], 5 * before, atol=NETWORK32)  # nothing holds its slope


# On VGG19's features.


@pytest.fixture(scope="module")
def vgg() -> Any:
    return VGG19(load_vgg19_weights(), READ)


@pytest.fixture
def projected(vgg: Any) -> ProjectedDiscriminator:
    torch.manual_seed(0)
    return ProjectedDiscriminator(vgg, CODE, width=8)


def test_one_map_of_logits_a_layer_read(projected: ProjectedDiscriminator) -> None:
    logits = projected(torch.rand(2, 3, 64, 96), torch.randn(2, CODE))
    assert [tuple(x.shape) for x in logits] == [(2, 1, 16, 24), (2, 1, 8, 12)]


def test_its_vgg_is_neither_trained_nor_saved_nor_moved(projected: ProjectedDiscriminator, vgg: Any) -> None:
    assert not [name for name in projected.state_dict() if "conv1" in name or "eye" in name]
    before = {name: tensor.clone() for name, tensor in vgg.state_dict().items()}
    optimizer = torch.optim.Adam(projected.parameters(), 0.1)
    sum(x.square().sum() for x in projected(torch.rand(2, 3, 64, 64), torch.randn(2, CODE))).backward()
    for name, parameter in projected.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    optimizer.step()
    projected.train()
    assert all(torch.equal(tensor, before[name]) for name, tensor in vgg.state_dict().items())
    assert not vgg.training


def test_a_picture_gets_a_gradient_through_its_vgg(projected: ProjectedDiscriminator) -> None:
    projected.requires_grad_(False)
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    sum(logits.sum() for logits in projected(x, torch.randn(1, CODE))).backward()
    assert x.grad is not None
    assert (x.grad != 0).float().mean() > 0.9


def test_all_that_it_knows_of_a_picture_is_what_vgg_sees(projected: ProjectedDiscriminator, vgg: Any) -> None:
    """Heads over log(1 + h): the same as by hand."""
    projected.eval()
    x, code = torch.rand(1, 3, 64, 64), torch.randn(1, CODE)
    features = vgg(x)
    for name, logits in zip(READ, projected(x, code), strict=True):
        assert torch.allclose(logits, projected.heads[name]((1 + features[name]).log(), code), atol=SUM32)


@pytest.mark.parametrize(
    ("config", "build", "layers"),
    [
        (ModelConfig(discriminator="projected", discriminator_conditional=False), build_discriminator, READ),
        (CollectionConfig(discriminator="projected"), build_collection_discriminator, READ),
        (NoiseConfig(generator="pixels", discriminator="projected"), build_noise_discriminator, READ),
    ],
)
def test_each_kind_may_have_one(config: Any, build: Any, layers: Any, vgg: Any) -> None:
    built = build(config, CODE, vgg) if build is build_discriminator else build(config, vgg)
    assert tuple(built.heads) == layers  # type: ignore[arg-type]
    assert len(built(torch.rand(1, 3, 64, 64))) == len(layers)  # none is told a code


def test_it_learns_in_some_steps_what_takes_others_hundreds(vgg: Any, natural: Callable[..., Tensor]) -> None:
    """A photo's crops against the same, a little blurred: ten steps."""
    found = {}
    for name in ("patch", "projected"):
        torch.manual_seed(0)
        judge = ProjectedDiscriminator(vgg, 0) if name == "projected" else PatchDiscriminator((32, 64, 128), 0)
        optimizer = torch.optim.Adam(judge.parameters(), 4e-4, betas=(0.0, 0.99))
        for step in range(11):
            real = torch.cat([natural(64, 64, top, left) for top, left in torch.randint(0, 440, (4, 2)).tolist()])
            fake = torch.nn.functional.avg_pool2d(real, 3, 1, 1)
            on_real, on_fake = judge(real), judge(fake)
            if step == 10:
                pairs = zip(on_real, on_fake, strict=True)
                found[name] = sum(float((a.mean() - b.mean()).detach()) for a, b in pairs)
            loss = sum((1 - a).relu().mean() + (1 + b).relu().mean() for a, b in zip(on_real, on_fake, strict=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert found["projected"] > 0.2
    assert found["projected"] > 3 * found["patch"]
