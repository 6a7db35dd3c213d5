"""The graphs for painting by matched features: VGG19's first layers, the decoder, and the gradient for refinement.

All belong to one exported bundle of the kind ``matching``.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.assets import weights_dir
from sfumato.errors import ModelError
from sfumato.image import Picture
from sfumato.inference.matching import HYPERCOLUMN, Array
from sfumato.inference.session import (
    WEIGHTS,
    Ends,
    Graph,
    Shape,
    card_files,
    card_text,
    check_hash,
    load_graph,
    read_card,
)

#: Pixels along a side per hypercolumn.
STRIDE = 4
#: Margin of a region in pixels: the hypercolumns' receptive field reaches 12, rounded up to a multiple of `STRIDE`.
MARGIN = 16
#: The decoder's graph, and its input and output.
DECODER, DECODER_ENDS = "decoder.onnx", (("entered",), ("painted",))
_GRAPHS: dict[str, Ends] = {
    "encoder.onnx": (("picture",), ("places",)),
    "entry.onnx": (("features",), ("entered",)),
    DECODER: DECODER_ENDS,
    "gradient.onnx": (("picture", "features"), ("gradient",)),
}


class FeatureNetworks:
    """Encoder, decoder and gradient of a bundle of the kind ``matching``.

    The constructor reads only the card; graphs are checked and loaded by the first call that needs them.

    Args:
        model: the bundle's folder; ``None`` takes the one that ships with Sfumato.
        threads, device: as `Stylizer` takes them.

    Raises:
        ModelError: the folder holds no such model.
    """

    def __init__(
        self, model: str | os.PathLike[str] | None = None, threads: int | None = None, device: str = "auto"
    ) -> None:
        self.folder = (weights_dir("matching") if model is None else Path(model)).resolve()
        self.card = read_card(self.folder)
        if self.card.get("kind") != "matching":
            raise ModelError(f"{self.folder} is not a model of the kind matching; export it again, or name another")
        path = self.folder / "card.json"
        self._name = card_text(self.card, "model", path)
        self._files = card_files(self.card, path, {*_GRAPHS, WEIGHTS})
        self._threads, self._device = threads, device

    @property
    def name(self) -> str:
        """The model's id."""
        return self._name

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the hashes of the graphs and weights, which determine the pixels."""
        names = (*sorted(_GRAPHS), WEIGHTS)
        return hashlib.sha256("".join(self._files[name] for name in names).encode()).hexdigest()

    def check(self) -> None:
        """Raise ModelError where a graph or its weights are missing or changed."""
        for name in (*_GRAPHS, WEIGHTS):
            check_hash(self.folder / name, self._files[name])

    def encode(self, picture: Picture) -> Array:
        """Return the places of a picture: hypercolumns, each layer weighted by the decoder's scale, and mean colours.

        Args:
            picture: ``(1, 3, H + 32, W + 32)`` float32 in [0, 1], with a margin of `MARGIN` pixels; H and W are
                multiples of `STRIDE`.

        Returns:
            ``(643, H/4, W/4)``.
        """
        height, width = ((side - 2 * MARGIN) // STRIDE for side in picture.shape[2:])
        return np.asarray(self._run("encoder.onnx", (1, HYPERCOLUMN + 3, height, width), picture=picture)[0])

    def enter(self, features: Array) -> Array:
        """Project hypercolumns ``(640, h, w)``, weighted as by `encode`, to the decoder's input ``(C, h, w)``.

        The map is affine, and the same for each place.
        """
        return np.asarray(self._run("entry.onnx", (1, None, *features.shape[1:]), features=features[None])[0])

    def decode(self, entered: Array) -> Picture:
        """Decode the output of `enter`, ``(C, h, w)``, to a picture ``(1, 3, 4h, 4w)``, not clipped."""
        height, width = (STRIDE * side for side in entered.shape[1:])
        return self._run(DECODER, (1, 3, height, width), entered=entered[None])

    def gradient(self, picture: Picture, features: Array) -> Picture:
        """Return the gradient of a feature distance by the picture (``networks.hypercolumn_gradient``).

        Args:
            picture: ``(1, 3, H, W)``.
            features: ``(640, H/4, W/4)``, the hypercolumns that it should have, weighted as by `encode`.
        """
        return self._run("gradient.onnx", picture.shape, picture=picture, features=features[None])

    def release(self) -> None:
        """Free the memory that the graphs keep between runs."""
        from onnxruntime import RunOptions

        options = RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        one = np.zeros((1, HYPERCOLUMN, 1, 1), np.float32)
        self._graph("entry.onnx").run({"features": one}, [(1, None, 1, 1)], options)

    def _graph(self, graph: str) -> Graph:
        return load_graph(
            self.folder / graph,
            self._files[graph],
            _GRAPHS[graph],
            self._threads,
            self._device,
            weights=self._files[WEIGHTS],
        )

    def _run(self, graph: str, shape: Shape, /, **inputs: Any) -> Array:
        return self._graph(graph).run(inputs, [shape])[0]
