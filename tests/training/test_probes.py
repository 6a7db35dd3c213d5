from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sfumato.errors import UsageError
from sfumato.losses.adversarial import discriminator_signals
from sfumato.networks.perceptual import VGG19
from sfumato.training.monitor import Monitor
from sfumato.training.probes import Probes, gradient_norm, weight_size
from sfumato.training.signals import SIGNALS
from support import NETWORK32

SIDE = 48


def pictures(count: int, seed: int, detail: Any) -> Any:
    """Coloured waves (N, 3, 48, 48) in [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    waves = [np.sin(a * x + b * y + c) for a, b, c in rng.uniform(detail, 3 * detail, (3 * count, 3))]
    return torch.from_numpy(np.stack(waves).reshape(count, 3, SIDE, SIDE).astype(np.float32)) * 0.45 + 0.5


@pytest.fixture(scope="module")
def photos() -> Any:
    return pictures(4, 0, 3)


@pytest.fixture(scope="module")
def paintings() -> Any:
    return pictures(3, 1, 12)


def test_photos_as_they_are_differ_as_photos_do(vgg: VGG19, photos: Any, paintings: Any) -> None:
    got = Probes(vgg, photos=photos, paintings=paintings, styles=2).measure(lambda style: photos)
    for name in ("diversity", "response", "rank", "dependence", "recognition"):
        assert got[name] == pytest.approx(1, abs=NETWORK32)
    assert got["change"] == got["style_sensitivity"] == got["colour_inversion"] == got["broken"] == 0


def test_paintings_under_every_photo_are_as_far_as_paintings_are(vgg: VGG19, photos: Any, paintings: Any) -> None:
    got = Probes(vgg, photos=photos, paintings=paintings, styles=3).measure(lambda k: paintings[k].expand_as(photos))
    assert got["style_sensitivity"] == pytest.approx(1, abs=NETWORK32)
    assert got["change"] == pytest.approx(1, abs=NETWORK32)
    assert got["diversity"] == got["response"] == got["dependence"] == 0
    assert got["recognition"] == 0.5
    assert got["rank"] < 0.9


def test_half_the_contrast_is_half_the_response(vgg: VGG19, photos: Any, paintings: Any) -> None:
    got = Probes(vgg, photos=photos, paintings=paintings).measure(lambda style: 0.5 * photos + 0.25)
    assert got["response"] == pytest.approx(0.5, abs=NETWORK32)
    assert 0.3 < got["diversity"] < 0.9
    assert got["recognition"] == 1


def test_outputs_of_the_wrong_photos_are_not_recognised(vgg: VGG19, photos: Any, paintings: Any) -> None:
    probes = Probes(vgg, photos=photos, paintings=paintings)
    right, wrong = probes.measure(lambda style: photos), probes.measure(lambda style: photos.roll(1, 0))
    assert wrong["recognition"] < 0.7
    assert wrong["dependence"] < right["dependence"] - 0.5
    assert wrong["diversity"] == pytest.approx(right["diversity"])  # as many different pictures


def test_rank_is_of_things_and_not_of_grain(vgg: VGG19, photos: Any) -> None:
    probes = Probes(vgg, photos=photos)
    grey = torch.full_like(photos, 0.5)
    noise = 1e-4 * torch.randn(photos.shape, generator=torch.Generator().manual_seed(0))
    constant, nearly, one = (
        probes.measure(lambda style, x=x: x)["rank"]  # type: ignore[misc]
        for x in (grey, grey + noise, photos[:1] + 0 * photos)
    )
    assert nearly == pytest.approx(constant, rel=0.01)
    assert constant < 0.35
    assert constant < one < 0.9


def test_each_kind_of_gan_has_the_signals_that_apply_to_it(vgg: VGG19, photos: Any, paintings: Any) -> None:
    kinds = {
        "style": Probes(vgg, photos=photos, paintings=paintings, styles=2),
        "collection": Probes(vgg, photos=photos, paintings=paintings),
        "photos alone": Probes(vgg, photos=photos),
        "noise": Probes(vgg, paintings=paintings),
    }
    got = {name: set(probes.measure(lambda style: pictures(4, 2, 5))) for name, probes in kinds.items()}
    assert got["style"] == {name for name, signal in SIGNALS.items() if signal.group == "pictures"}
    assert got["style"] - got["collection"] == {"style_sensitivity"}
    assert got["collection"] == got["photos alone"]
    assert got["collection"] - got["noise"] == {"dependence", "recognition", "change", "colour_inversion"}


def test_defects_that_the_paintings_have_are_not_the_generator_s(vgg: VGG19, photos: Any) -> None:
    grid = ((torch.arange(SIDE)[:, None] + torch.arange(SIDE)) % 2 - 0.5) * 0.3
    spoilt = (photos + grid).clamp(0, 1)
    found = Probes(vgg, photos=photos, paintings=photos.flip(3)).measure(lambda style: spoilt)["checkerboard"]
    excused = Probes(vgg, photos=photos, paintings=spoilt.flip(3)).measure(lambda style: spoilt)["checkerboard"]
    assert found > 2
    assert excused < 0.5


def test_the_side_at_which_vgg_measures_hardly_matters(vgg: VGG19) -> None:
    large = torch.nn.functional.interpolate(pictures(8, 0, 3), scale_factor=4, mode="bicubic").clamp(0, 1)
    small = torch.nn.functional.interpolate(large, (64, 64), mode="area")
    a, b = (Probes(vgg, photos=x[:4]).measure(lambda style, x=x: x[4:]) for x in (large, small))  # type: ignore[misc]
    for name in ("diversity", "dependence", "recognition", "rank"):
        assert a[name] == pytest.approx(b[name], abs=0.02)


def test_looking_is_the_same_every_time_and_needs_no_gradient(vgg: VGG19, photos: Any, paintings: Any) -> None:
    probes = Probes(vgg, photos=photos, paintings=paintings)
    weight = torch.tensor(0.7, requires_grad=True)
    first, second = (probes.measure(lambda style: weight * photos) for _ in range(2))
    assert first == second
    assert weight.grad is None
    assert all(type(value) is float for value in first.values())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_no_number_is_told_and_nothing_else(vgg: VGG19, photos: Any, bad: float) -> None:
    spoilt = photos.clone()
    spoilt[0, 0, :24] = bad
    assert Probes(vgg, photos=photos).measure(lambda style: spoilt) == {"broken": pytest.approx(1 / 24)}


def test_probes_that_cannot_be_compared_are_refused(vgg: VGG19, photos: Any, paintings: Any) -> None:
    with pytest.raises(UsageError, match="two or more"):
        Probes(vgg)
    with pytest.raises(UsageError, match="two or more"):
        Probes(vgg, photos=photos[:1])
    with pytest.raises(UsageError, match="one size"):
        Probes(vgg, photos=photos, paintings=paintings[..., :40])
    with pytest.raises(UsageError, match=r"gave \(3, 3, 48, 48\) for photos \(4, 3, 48, 48\)"):
        Probes(vgg, photos=photos).measure(lambda style: photos[:3])
    with pytest.raises(UsageError, match="for probes of"):
        Probes(vgg, paintings=paintings).measure(lambda style: photos[..., :40])


def test_the_discriminator_s_signals_are_those_of_its_logits() -> None:
    real = [torch.tensor([1.0, 2.0, -1.0, 3.0]).view(4, 1, 1, 1), torch.full((4, 1, 2, 2), 0.5)]
    fake = [torch.tensor([-1.0, 2.0, 1.0, 3.0]).view(4, 1, 1, 1), torch.full((4, 1, 2, 2), -0.5)]
    got = {name: float(value) for name, value in discriminator_signals(real, fake).items()}
    first = torch.cat([real[0], fake[0]]).flatten().numpy().var()
    assert got == pytest.approx(
        {
            "real_accuracy": (0.75 + 1) / 2,
            "fake_accuracy": (0.25 + 1) / 2,
            "sign_balance": (0.5 + 1) / 2,
            "logit_variance": (first + 0.25) / 2,
        }
    )
    assert set(got) <= set(SIGNALS)


def test_a_relativistic_discriminator_s_offset_means_nothing() -> None:
    torch.manual_seed(0)
    real, fake = [torch.randn(4, 1, 3, 3) + 0.5], [torch.randn(4, 1, 3, 3) - 0.5]
    moved = [real[0] + 7], [fake[0] + 7]
    first, second = (discriminator_signals(*pair, relative=True) for pair in ((real, fake), moved))
    assert all(float(first[name]) == pytest.approx(float(second[name]), rel=NETWORK32) for name in first)
    assert float(discriminator_signals(*moved)["fake_accuracy"]) < 0.1 < float(second["fake_accuracy"])


def test_gradients_are_measured_and_the_graph_is_left() -> None:
    weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    loss = 2 * (weight * weight).sum()
    assert float(gradient_norm([weight])) == 0
    loss.backward()
    assert float(gradient_norm([weight, torch.nn.Parameter(torch.ones(1))])) == pytest.approx(20)


@pytest.mark.parametrize(("factor", "found"), [(1.0, []), (100.0, ["steps_too_large"])])
def test_a_learning_rate_100_times_too_high_is_seen_by_the_weights(factor: float, found: Any) -> None:
    """Adam, warmed up over 50 steps, on a normalised network whose loss is bounded: no loss could diverge."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 16, 3), torch.nn.InstanceNorm2d(16), torch.nn.LeakyReLU(0.2)]
    net = torch.nn.Sequential(*layers, torch.nn.Conv2d(16, 3, 3), torch.nn.InstanceNorm2d(3))
    optimizer = torch.optim.Adam(net.parameters(), betas=(0.9, 0.99))
    monitor, seen = Monitor(), []
    for step in range(50):
        if step % 10 == 0:
            seen += [f.rule for f in monitor.see(step, {"weight_size": float(weight_size(net.parameters()))})]
        optimizer.param_groups[0]["lr"] = 1e-3 * factor * (step + 1) / 50
        x = pictures(2, step, 3)
        optimizer.zero_grad()
        (net(x) - torch.nn.functional.instance_norm(x[..., 2:-2, 2:-2])).square().mean().backward()
        optimizer.step()
    assert sorted(set(seen)) == found


def test_the_size_of_weights_is_of_all_together() -> None:
    weights = [torch.nn.Parameter(torch.tensor([3.0])), torch.nn.Parameter(torch.tensor([[0.0, 4.0]]))]
    assert float(weight_size(weights)) == pytest.approx(5)
