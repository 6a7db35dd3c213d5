"""The cached targets of content and style losses: VGG features of photos and statistics of paintings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from sfumato.data.batches import Batch, BatchSource
from sfumato.files import atomic_file
from sfumato.losses.perceptual import (
    CONTENT_LAYER,
    GRAM_LAYERS,
    STYLE_LAYERS,
    StyleTarget,
    alternate_views,
    in_luma,
    luma_view,
    normalise_features,
    style_target,
)
from sfumato.networks.perceptual import VGG19
from sfumato.networks.style_encoder import StyleEncoder
from sfumato.parallel import WHOLE, Rows

CACHE_FORMAT = 1  # version of the tables


class Targets:
    """Content features by crop (in memory) and style statistics by painting (in memory, and on disk by hash).

    Each entry is computed separately and rounded as it is stored, so cached and new values are bit-identical.
    """

    def __init__(self, vgg: VGG19, source: BatchSource, style_hashes: Sequence[str], cache: Path | None) -> None:
        self.vgg = vgg
        self.source = source
        self.hashes = style_hashes
        self.cache = cache
        self._content: dict[tuple[int, int, int, bool], Tensor] = {}
        first = next(vgg.parameters()).detach().cpu().contiguous()
        self._key = f"vgg-{hashlib.sha256(first.numpy().tobytes()).hexdigest()[:8]}-{CACHE_FORMAT}"
        self._style: dict[tuple[int, bool], dict[str, Tensor]] = {}
        self._descriptions: dict[int, Tensor] = {}

    @torch.no_grad()
    def content(self, batch: Batch, remember: bool) -> Tensor:
        """Return the instance-normalised features of the crops under `alternate_views`, (B, C, h, w) float32.

        With `remember` they are cached by the crops' keys.
        """
        views = alternate_views(batch.crop, batch.rows)
        if not remember:
            return normalise_features(self.vgg(views)[CONTENT_LAYER])
        at = batch.rows.own(batch.count)
        keys = [(*key, in_luma(row)) for row, key in zip(at, batch.content_keys, strict=True)]
        for key, crop in zip(keys, views, strict=True):
            if key not in self._content:
                self._content[key] = normalise_features(self.vgg(crop[None])[CONTENT_LAYER])[0].half()
        return torch.stack([self._content[key] for key in keys]).float()

    def description(self, encoder: StyleEncoder, index: int) -> Tensor:
        """Return the output of `StyleEncoder.describe` for a whole painting, (1, D); it is not trained, so cached."""
        if index not in self._descriptions:
            self._descriptions[index] = encoder.describe(self.source.style[index][None].float() / 255)
        return self._descriptions[index]

    def style(self, ids: Sequence[int], rows: Rows = WHOLE) -> StyleTarget:
        """Return the statistics of whole paintings under `alternate_views`, stacked over `ids`."""
        at = rows.own(len(ids) * rows.of)
        tables = [self._painting(index, luma=in_luma(row)) for row, index in zip(at, ids, strict=True)]
        stack = {name: torch.stack([table[name] for table in tables]) for name in tables[0]}
        return StyleTarget(
            {layer: stack[f"{layer}.mean"] for layer in STYLE_LAYERS},
            {layer: stack[f"{layer}.deviation"] for layer in STYLE_LAYERS},
            {layer: stack[f"{layer}.gram"] for layer in GRAM_LAYERS},
        )

    @torch.no_grad()
    def _painting(self, index: int, luma: bool) -> dict[str, Tensor]:
        if (index, luma) not in self._style:
            painting = self.source.style[index]
            height, width = painting.shape[1:]
            name = f"{self.hashes[index]}-{width}x{height}{'-luma' if luma else ''}.safetensors"
            path = self.cache / self._key / name if self.cache else None
            if path is not None and path.is_file():
                table = load_file(path, device=str(painting.device))
            else:
                x = painting[None].float() / 255
                target = style_target(self.vgg(luma_view(x) if luma else x))
                parts = (("mean", target.mean), ("deviation", target.deviation), ("gram", target.gram))
                table = {f"{layer}.{part}": t[0].contiguous() for part, of in parts for layer, t in of.items()}
                if path is not None:
                    with atomic_file(path) as file:
                        file.write(save(table))
            self._style[index, luma] = table
        return self._style[index, luma]
