"""The training task of the noise kind on features: maps of a frozen decoder's entry features, from z.

Samples of both sides are feature maps. A step therefore needs no pass through VGG19 or the decoder: the features of the
paintings' crops are computed once each and kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sfumato.assets import weights_dir
from sfumato.checkpoint import load_model
from sfumato.data.batches import PaintingSource
from sfumato.data.folders import FolderReport
from sfumato.errors import ModelError, UsageError
from sfumato.files import digest
from sfumato.networks.decoder import Decoder
from sfumato.networks.hypercolumn import HYPERCOLUMN_LAYERS, hypercolumns
from sfumato.networks.model import DECODER_WIDTH, FeatureNoiseModel, MatchingModel
from sfumato.onnx_file import MAX_GRAPH_BYTES
from sfumato.training.config import TrainConfig
from sfumato.training.noise import NoiseTask
from sfumato.training.tasks import load_vgg, to_device

FITTED = 256  # number of paintings from which the space of features is computed
LAYOUTS = 4096  # largest number of maps from which the generator's layout is computed
_CHOICE = 7  # random stream of a step's crops; others are in data/batches.py
_DECODED = 8  # maps that are decoded at once


def load_decoder() -> Decoder:
    """Load the shipped decoder, frozen."""
    path = weights_dir("matching") / "model.safetensors"
    model, _ = load_model(path)
    if not isinstance(model, MatchingModel):
        raise ModelError(f"{path} is not a decoder; install Sfumato again")
    return model.decoder.requires_grad_(False)


def decoder_digest() -> str:
    """Return the SHA-256 of the shipped decoder's weights, in hex."""
    return digest(weights_dir("matching") / "model.safetensors", MAX_GRAPH_BYTES)


def check_decoder(model: FeatureNoiseModel, sha256: str, name: str) -> None:
    """Check that a model was trained with the decoder of that hash; `name` is the model's, for the message.

    Raises:
        UsageError: it was not.
    """
    found = bytes(model.decoder_digest.to(torch.uint8).tolist()).hex()
    if found != sha256:
        raise UsageError(f"{name} was trained with another decoder than this Sfumato has; train it again")


class FeatureSource:
    """The feature maps of paintings' crops, each computed at its first use and kept in 16 bits."""

    def __init__(
        self, pictures: PaintingSource, config: TrainConfig, device: torch.device, vgg_file: Path | None
    ) -> None:
        """Load VGG19 and the decoder; `space` of the model must be fitted before `maps`."""
        self.pictures, self.config, self.device = pictures, config, device
        self.vgg = load_vgg(vgg_file, device, HYPERCOLUMN_LAYERS)
        self.decoder, self.sha256 = to_device(load_decoder(), device), decoder_digest()
        self.kept: dict[tuple[int, int], Tensor] = {}

    @torch.no_grad()
    def entered(self, painting: int, crop: int) -> Tensor:
        """Return the decoder's entry features (1, C, side/4, side/4) of a painting's crop of that number."""
        picture = self.pictures.crop(painting, crop, self.config.noise.side)[None]
        # One at a time, so that they do not depend on the other samples of a step.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.mixed_precision == "bf16"):
            columns = hypercolumns(self.vgg, picture)
        return self.decoder.entered(columns)

    def fit(self, model: FeatureNoiseModel) -> float:
        """Fit the model's space to about `FITTED` crops, and the layout to `LAYOUTS`; return the layout's share."""
        count = len(self.pictures.style)
        total = torch.zeros(DECODER_WIDTH, dtype=torch.float64)
        square = torch.zeros(DECODER_WIDTH, DECODER_WIDTH, dtype=torch.float64)
        places = 0
        for painting in range(0, count, max(1, count // FITTED)):
            rows = self.entered(painting, 0)[0].flatten(1).T.cpu().double()
            total += rows.sum(0)
            square += rows.T @ rows
            places += len(rows)
        mean = total / places
        digits = torch.frombuffer(bytearray.fromhex(self.sha256), dtype=torch.uint8)
        model.decoder_digest.copy_(digits.float())
        model.space.fit(mean, square / places - mean[:, None] * mean)
        crops = max(1, min(self.config.noise.crops, LAYOUTS // count))
        drawn = [(painting, crop) for crop in range(crops) for painting in range(count)][:LAYOUTS]
        return model.generator.fit(self.maps(model, drawn).cpu())

    def maps(self, model: FeatureNoiseModel, drawn: list[tuple[int, int]]) -> Tensor:
        """Return the components (B, K, side/4, side/4) of crops, each given by its painting and its number."""
        for key in drawn:
            if key not in self.kept:
                self.kept[key] = model.space.project(self.entered(*key))[0].half()
        return torch.stack([self.kept[key] for key in drawn]).float()

    @torch.no_grad()
    def paint(self, entered: Tensor) -> Tensor:
        """Decode entry features (B, C, h, w) to pictures (B, 3, 4h, 4w) in [0, 1]."""
        return torch.cat([self.decoder.paint(part).clamp(0, 1) for part in entered.split(_DECODED)])


class FeatureNoiseTask(NoiseTask[FeatureNoiseModel]):
    """Training of a `FeatureNoiseModel` against a discriminator of feature maps.

    In its batches and losses `paintings` are the components of paintings, (B, K, side/4, side/4).
    """

    def __init__(
        self,
        config: TrainConfig,
        content: FolderReport | None,
        style: FolderReport,
        device: torch.device,
        cache: Path | None,
        vgg_file: Path | None,
    ) -> None:
        """Build networks and data; features are computed as steps need them."""
        super().__init__(config, content, style, device, cache, vgg_file)
        self.features = FeatureSource(self.source, config, device, vgg_file)

    def new_model(self) -> FeatureNoiseModel:
        """Build a model of the config's shape."""
        return FeatureNoiseModel(self.config.noise)

    def fit(self) -> None:
        """Fit the space of features to the paintings."""
        self.features.fit(self.model)

    def start_from(self, found: nn.Module, name: str) -> None:
        """Copy the weights of a trained model, its space included."""
        super().start_from(found, name)
        check_decoder(self.model, self.features.sha256, name)

    def check_pictures(self, about: Mapping[str, str], run: Path) -> None:
        """Check that a checkpoint of `run` was trained on the same pictures with the same decoder."""
        super().check_pictures(about, run)
        self.features.kept.clear()  # those of a space that the checkpoint replaced
        check_decoder(self.model, self.features.sha256, str(run))

    def real(self, step: int, count: int) -> Tensor:
        """Return the components of a step's paintings; each painting and each of its crops is equally likely."""
        rng = np.random.default_rng([self.config.seed, _CHOICE, step])
        paintings = rng.integers(len(self.source.style), size=count).tolist()
        crops = rng.integers(self.config.noise.crops, size=count).tolist()
        drawn = list(zip(paintings, crops, strict=True))
        return self.features.maps(self.model, [drawn[row] for row in self.rows.own(count)])

    def generated(self, model: FeatureNoiseModel, z: Tensor) -> Tensor:
        """Return the components that the model generates from z."""
        components: Tensor = model.generator(z)
        return components

    def pictures(self, model: FeatureNoiseModel, z: Tensor) -> Tensor:
        """Return the pictures that the decoder paints of what the model generates from z."""
        return self.features.paint(model(z))
