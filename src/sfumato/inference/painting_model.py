"""An exported painting model: its card, and its ONNX graphs as functions of arrays."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato import assets
from sfumato.checks import check_range
from sfumato.errors import ModelError, UsageError
from sfumato.image import ImageSource, Picture, thumbnail_size
from sfumato.inference.bundle import GRAPHS, OPTIONAL, Card
from sfumato.inference.feature_networks import FeatureNetworks
from sfumato.inference.inputs import SMALLEST_SIDE, usable
from sfumato.inference.options import Color
from sfumato.inference.pixel_readers import ArrayReader, PixelReader
from sfumato.inference.session import PROVIDERS, WEIGHTS, Shape, load_graph, read_card
from sfumato.inference.tiling import check_tile
from sfumato.style_code import StyleCode

#: Pixels of the longer side of a thumbnail, at most; it bounds the cost of very long pictures.
LONGEST_THUMBNAIL = 1024


class PaintingModel:
    """The networks of one exported model; `Stylizer` paints with them.

    Constructor arguments and errors are those of `Stylizer`.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        device: str = "auto",
        tile: int | None = None,
    ) -> None:
        if device != "auto" and device not in PROVIDERS:
            raise UsageError(f"there is no device {device!r}; choose auto, {' or '.join(PROVIDERS)}")
        if threads is not None:
            check_range(threads, 1, 10_000, "threads")
            threads = min(threads, os.cpu_count() or 1)  # more threads than cores would only slow it down
        if tile is not None:
            check_tile(tile)
        self.folder, self._decoder = (assets.weights_dir() if model is None else Path(model)).resolve(), None
        if read_card(self.folder).get("kind") == "matching":  # it has no style encoder of its own
            self.folder, self._decoder = assets.weights_dir().resolve(), self.folder
        self.card = Card.read(self.folder)
        self._threads, self._device, self._tile = threads, device, tile

    @property
    def is_shipped(self) -> bool:
        """Whether this is the model that ships with Sfumato."""
        return self.folder == assets.weights_dir().resolve()

    @cached_property
    def networks(self) -> FeatureNetworks:
        """Encoder and decoder of the qualities ``"standard"`` and ``"best"``; they do not depend on the style."""
        return FeatureNetworks(self._decoder, self._threads, self._device)

    def norm_params(
        self,
        picture: Picture,
        code: StyleCode | None = None,
        strength: float = 1.0,
    ) -> npt.NDArray[np.float32]:
        """Return every scale and shift with which the generator paints ``picture``: ``(1, A)`` float32.

        They belong to the whole picture; its tiles, or the frames of one shot, can share them.

        Args:
            picture: ``(1, 3, H, W)`` in ``[0, 1]``.
            code: of the style; a model of the kind collection takes none.
            strength: from 0 to 1; without effect where there is no code.
        """
        small = self.thumbnail(ArrayReader(picture))
        return self.measure(small, None if code is None else self.fuse(small, code, strength))

    def decode(
        self,
        picture: Picture,
        norm_params: npt.NDArray[np.float32],
        origin: tuple[int, int] = (0, 0),
    ) -> Picture:
        """Run the generator alone and return the painted pixels ``(1, 3, h, w)``.

        Args:
            picture: ``(1, 3, h, w)``, the whole photo or a region of it.
            norm_params: of the whole photo (:meth:`norm_params`).
            origin: row and column of the region's corner in the photo, multiples of ``tiling.ALIGNMENT``.
        """
        place = np.array(origin, np.int64)
        return self._run("generator.onnx", picture.shape, picture=picture, norm_params=norm_params, origin=place)[0]

    def encode(self, picture: ImageSource) -> StyleCode:
        """Return the style code of one picture.

        Raises:
            InputError: the picture cannot be read or used.
        """
        return self._encode(self.thumbnail(ArrayReader(usable(picture))))

    def measure(self, small: Picture, code: StyleCode | None) -> npt.NDArray[np.float32]:
        """Return the normalisation parameters ``(1, A)`` that the statistics network computes.

        Args:
            small: the photo's thumbnail ``(1, 3, h, w)``.
            code: to paint with; a model of the kind collection takes none.
        """
        given = {} if code is None else {"code": code.vector[None]}
        return self._run("statistics.onnx", (1, self.card.norm_params), thumbnail=small, **given)[0]

    def thumbnail(self, source: PixelReader) -> Picture:
        """Return the picture at the size that statistics and style codes are computed from."""
        size = thumbnail_size(source.height, source.width, self.card.thumbnail, LONGEST_THUMBNAIL)
        return source.reduced(*(max(SMALLEST_SIDE, side) for side in size))

    def fuse(self, photo: Picture | StyleCode, code: StyleCode, strength: float, color: Color = "style") -> StyleCode:
        """Return the code to paint a photo with: the style's code interpolated with the photo's own by strength.

        Args:
            photo: the photo's code, or its thumbnail ``(1, 3, h, w)``.
            code: the style's code.
            strength: weight of the style, from 0 to 1.
            color: ``"content"`` first replaces the palette in the style's code by the photo's.
        """
        if strength == 1.0 and color != "content":  # the photo's code has weight 0 and need not be computed
            return code
        own = photo if isinstance(photo, StyleCode) else self._encode(photo)
        if color == "content":
            first, last = self.card.palette
            vector = code.vector.copy()
            vector[first:last] = own.vector[first:last]
            code = StyleCode(vector, code.model, code.channel_stats)
        return code.fuse(own, strength)

    def _encode(self, small: Picture) -> StyleCode:
        return self.encode_full(small)[0]

    def encode_full(self, picture: Picture) -> tuple[StyleCode, npt.NDArray[np.float32]]:
        """Run the style encoder on a picture ``(1, 3, h, w)``.

        Returns:
            The style code, and the features ``(256, h/4, w/4)`` of VGG19's relu3_1, which describe the content.

        Raises:
            UsageError: the model is of the kind collection and has no style encoder.
        """
        if not self.card.has_codes:
            raise UsageError(
                f"the model {self.card.model!r} paints one collection and has no style codes; name another"
            )
        shapes: tuple[Shape, ...] = (1, self.card.code_size), (1, None, None, None), (1, self.card.channel_stats_size)
        code, features, channel_stats = self._run("style_encoder.onnx", *shapes, picture=picture)
        return StyleCode(code[0], self.card.model, channel_stats[0]), features[0]

    def discriminator_logits(self, picture: Picture, code: StyleCode | None = None) -> npt.NDArray[np.float32]:
        """Return the discriminator's map of logits over a picture ``(1, 3, h, w)``.

        A logit above 0 takes its patch for part of a painting of the style or, without a code, of the collection.

        Args:
            picture: ``(1, 3, h, w)`` in ``[0, 1]``.
            code: the style's code; required where the discriminator is conditional.

        Raises:
            ModelError: the model was exported without its discriminator.
            UsageError: the discriminator is conditional and no code was given.
        """
        if "discriminator.onnx" not in self.card.files:
            raise ModelError(
                f"the model {self.card.model!r} has no discriminator; export it from its complete training run"
            )
        if self._is_conditional and code is None:
            raise UsageError(f"the discriminator of {self.card.model!r} is conditional; give a style's code")
        given = {"code": code.vector[None]} if code is not None and self._is_conditional else {}
        (logits,) = self._run("discriminator.onnx", (1, 1, None, None), picture=picture, **given)
        return np.asarray(logits[0, 0])

    @property
    def _is_conditional(self) -> bool:
        """Whether the discriminator takes a style code."""
        return self.card.has_codes and self.card.conditional

    def _run(self, graph: str, /, *shapes: Shape, **inputs: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
        """Load a graph and run it; ``shapes`` are those of its outputs."""
        ends = {**GRAPHS[self.card.kind], **OPTIONAL[self._is_conditional]}[graph]
        loaded = load_graph(
            self.folder / graph,
            self.card.files[graph],
            ends,
            self._threads,
            self._device,
            weights=self.card.files[WEIGHTS],
        )
        return loaded.run(inputs, shapes)
