"""An exported model that paints photos: its card, and its graphs as functions of arrays."""

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

#: Pixels: statistics of a long strip are measured on no more than this.
LONGEST_THUMBNAIL = 1024


class PaintingModel:
    """The networks of one exported model; `Stylizer` paints with them.

    Args, raises: as `Stylizer`.
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
            threads = min(threads, os.cpu_count() or 1)  # more of them than cores wait for each other
        if tile is not None:
            check_tile(tile)
        self.folder, self._decoder = (assets.weights_dir() if model is None else Path(model)).resolve(), None
        if read_card(self.folder).get("kind") == "matching":  # style codes are the shipped model's
            self.folder, self._decoder = assets.weights_dir().resolve(), self.folder
        self.card = Card.read(self.folder)
        self._threads, self._device, self._tile = threads, device, tile

    @property
    def is_shipped(self) -> bool:
        """Whether it is the model that ships with Sfumato."""
        return self.folder == assets.weights_dir().resolve()

    @cached_property
    def networks(self) -> FeatureNetworks:
        """Encoder and decoder of all qualities but ``"draft"``; they belong to no style."""
        return FeatureNetworks(self._decoder, self._threads, self._device)

    def norm_params(
        self,
        picture: Picture,
        code: StyleCode | None = None,
        strength: float = 1.0,
    ) -> npt.NDArray[np.float32]:
        """Every scale and shift that the generator paints ``picture`` ``(1, 3, H, W)`` with: ``(1, A)`` float32.

        They belong to the whole picture: its tiles, or the frames of one shot, can share them. A model of one
        collection takes no code, and strength has no part in them.
        """
        small = self.thumbnail(ArrayReader(picture))
        return self.measure(small, None if code is None else self.fuse(small, code, strength))

    def decode(
        self,
        picture: Picture,
        norm_params: npt.NDArray[np.float32],
        origin: tuple[int, int] = (0, 0),
    ) -> Picture:
        """The generator alone: ``(1, 3, h, w)`` under norm_params, as a region of the picture that they belong to.

        Args:
            origin: row and column of its corner there, multiples of ``tiling.ALIGNMENT``.
        """
        place = np.array(origin, np.int64)
        return self._run("generator.onnx", picture.shape, picture=picture, norm_params=norm_params, origin=place)[0]

    def encode(self, picture: ImageSource) -> StyleCode:
        """The style code of one picture.

        Raises:
            InputError: it cannot be read or used.
        """
        return self._encode(self.thumbnail(ArrayReader(usable(picture))))

    def measure(self, small: Picture, code: StyleCode | None) -> npt.NDArray[np.float32]:
        """Normalisation parameters ``(1, A)`` on a thumbnail ``(1, 3, h, w)``; a model of one collection takes no
        code."""
        given = {} if code is None else {"code": code.vector[None]}
        return self._run("statistics.onnx", (1, self.card.norm_params), thumbnail=small, **given)[0]

    def thumbnail(self, source: PixelReader) -> Picture:
        size = thumbnail_size(source.height, source.width, self.card.thumbnail, LONGEST_THUMBNAIL)
        return source.reduced(*(max(SMALLEST_SIDE, side) for side in size))

    def fuse(self, photo: Picture | StyleCode, code: StyleCode, strength: float, color: Color = "style") -> StyleCode:
        """The code that a photo is painted under: the style's, with the photo's palette where that is kept, fused by
        strength with the photo's own, which is given, or taken from its thumbnail ``(1, 3, h, w)``."""
        if strength == 1.0 and color != "content":  # the photo's own code weighs nothing: the same without encoding it
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
        """The style encoder's view of ``(1, 3, h, w)``: its code, and its features ``(256, h/4, w/4)`` (VGG19's
        relu3_1), which say where things are.

        Raises:
            UsageError: the model paints one collection and sees no styles.
        """
        if not self.card.has_codes:
            raise UsageError(
                f"the model {self.card.model!r} paints one collection and has no style codes; name another"
            )
        shapes: tuple[Shape, ...] = (1, self.card.code_size), (1, None, None, None), (1, self.card.channel_stats_size)
        code, features, channel_stats = self._run("style_encoder.onnx", *shapes, picture=picture)
        return StyleCode(code[0], self.card.model, channel_stats[0]), features[0]

    def discriminator_logits(self, picture: Picture, code: StyleCode | None = None) -> npt.NDArray[np.float32]:
        """The discriminator's logits, a map of them over ``(1, 3, h, w)``: above 0 where it takes the place for a part
        of a painting of that style, or, without a code, of the collection.

        Raises:
            ModelError: the model was exported without its discriminator.
        """
        if "discriminator.onnx" not in self.card.files:
            raise ModelError(f"the model {self.card.model!r} has no discriminator; export it from its whole run")
        if self._is_conditional and code is None:
            raise UsageError(f"the discriminator of {self.card.model!r} is conditional; give a style's code")
        given = {"code": code.vector[None]} if code is not None and self._is_conditional else {}
        (logits,) = self._run("discriminator.onnx", (1, 1, None, None), picture=picture, **given)
        return np.asarray(logits[0, 0])

    @property
    def _is_conditional(self) -> bool:
        """Whether the discriminator is conditional."""
        return self.card.has_codes and self.card.conditional

    def _run(self, graph: str, /, *shapes: Shape, **inputs: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
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
