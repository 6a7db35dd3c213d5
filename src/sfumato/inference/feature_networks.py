"""The graphs of painting by matched features, from one exported bundle: VGG19's first layers, the decoder, and the
gradient that refines a picture."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfumato.assets import weights_dir
from sfumato.errors import ModelError
from sfumato.image import Picture
from sfumato.inference.matching import HYPERCOLUMN, Array
from sfumato.inference.session import WEIGHTS, Ends, check_hash, load_graph, read_card

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: Pixels of a picture, along a side, to one hypercolumn.
STRIDE = 4
#: Pixels around a region that its hypercolumns see (12), on the grid of `STRIDE`.
MARGIN = 16
_GRAPHS: dict[str, Ends] = {
    "encoder.onnx": (("picture",), ("places",)),
    "entry.onnx": (("features",), ("entered",)),
    "decoder.onnx": (("entered",), ("painted",)),
    "gradient.onnx": (("picture", "features"), ("gradient",)),
}


class FeatureNetworks:
    """Encoder, decoder and gradient of a bundle of the kind ``matching``.

    Making one reads its card only; graphs are checked and loaded by the first call that needs them.

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
        files = self.card.get("files")
        if self.card.get("kind") != "matching" or not isinstance(files, dict) or not _GRAPHS.keys() <= files.keys():
            raise ModelError(f"{self.folder} is not a model of the kind matching; export it again, or name another")
        self._files: dict[str, str] = files
        self._threads, self._device = threads, device

    @property
    def name(self) -> str:
        """The model's id."""
        return str(self.card.get("model"))

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of the hashes of its graphs and weights: what decides which pixels come out."""
        names = (*sorted(_GRAPHS), WEIGHTS)
        return hashlib.sha256("".join(self._files.get(name, "") for name in names).encode()).hexdigest()

    def check(self) -> None:
        """Raises ModelError where a graph or its weights are missing or changed."""
        for name in (*_GRAPHS, WEIGHTS):
            check_hash(self.folder / name, self._files.get(name, ""))

    def encode(self, picture: Picture) -> Array:
        """Places of a picture ``(1, 3, H + 32, W + 32)`` float32 in [0, 1] with a margin of `MARGIN` pixels, H and W
        multiples of `STRIDE`: ``(643, H/4, W/4)``, hypercolumns, each layer weighted by the decoder's scale, and mean
        colours."""
        return np.asarray(self._run("encoder.onnx", picture=picture)[0])

    def enter(self, features: Array) -> Array:
        """Hypercolumns ``(640, h, w)``, weighted as `encode` gives them, to what the decoder sees of them,
        ``(C, h, w)``. The map is affine, the same for each place."""
        return np.asarray(self._run("entry.onnx", features=features[None])[0])

    def decode(self, entered: Array) -> Picture:
        """What `enter` gives, ``(C, h, w)``, to a picture ``(1, 3, 4h, 4w)``, not clipped."""
        return self._run("decoder.onnx", entered=entered[None])

    def gradient(self, picture: Picture, features: Array) -> Picture:
        """Of the distance between the hypercolumns of ``picture`` ``(1, 3, H, W)`` and those that it should have,
        ``(640, H/4, W/4)``, weighted as `encode` gives them, by the picture (``networks.hypercolumn_gradient``)."""
        return self._run("gradient.onnx", picture=picture, features=features[None])

    def release(self) -> None:
        """Give back the memory that the graphs keep from one run to the next."""
        from onnxruntime import RunOptions

        options = RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._session("entry.onnx").run(None, {"features": np.zeros((1, HYPERCOLUMN, 1, 1), np.float32)}, options)

    def _session(self, graph: str) -> InferenceSession:
        return load_graph(
            self.folder / graph,
            self._files[graph],
            _GRAPHS[graph],
            self._threads,
            self._device,
            weights=self._files.get(WEIGHTS, ""),
        )

    def _run(self, graph: str, **inputs: Any) -> Array:
        output: Array = self._session(graph).run(None, inputs)[0]
        if not np.isfinite(output).all():
            raise ModelError(f"the model {self.name!r} gave values that are not numbers; install it again")
        return output
