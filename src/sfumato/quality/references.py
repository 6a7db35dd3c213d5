"""The cached features of photos and style pictures, with which outputs are compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from sfumato.files import atomic_file
from sfumato.image import Picture, picture_digest, read_image, thumbnail
from sfumato.quality.backbones import Backbone, EfficientNetLite0, VGG19Backbone
from sfumato.quality.cache import VERSION, cache_key
from sfumato.quality.similarity import FeatureMap
from sfumato.quality.strokes import (
    LocalScale,
    Places,
    at_local_size,
    half_distance,
    local_distances,
    neighbours,
    places_of_picture,
)
from sfumato.quality.style import Layout, Quantiles, StyleStatistics, luma_view, mean_distances, patch_quantiles
from sfumato.quality.workers import each

_CACHED = 48  # photos, and style pictures, whose features are in memory
_LAYERS = {  # by backbone, the layers of a photo that measures use
    EfficientNetLite0.name: EfficientNetLite0.CONTENT,
    VGG19Backbone.name: VGG19Backbone.LAYERS,
}


class References:
    """Features of photos and style pictures.

    Args:
        lite: Backbone of the local features.
        backbones: Backbones of the other features, including ``lite``.
        style_files: All style pictures. Their order matters: the local scale compares neighbours.
        short: Short side in pixels at which features are computed.
        workers: Number of threads.
        cache: Folder for the local scale; None disables it.

    Attributes:
        statistics: Style statistics of every style picture, by backbone and file name; empty before `learn`.
        scales: Mean distances between style pictures, by backbone: `mean_distances` of statistics and Gram matrices.
        digest: Returns the hash of a picture's file.
        photo_features: Returns the features by layer of a photo's file with the backbone of this name.
        layout: Returns the patch quantiles and the layout of a style picture's file.
        places: Returns the local features of a style picture's file.
    """

    def __init__(
        self,
        lite: EfficientNetLite0,
        backbones: Sequence[Backbone],
        style_files: Sequence[Path],
        short: int,
        workers: int,
        cache: Path | None,
    ) -> None:
        self._lite, self._workers, self._cache = lite, workers, cache
        self.backbones = {backbone.name: backbone for backbone in backbones}
        self.style_files, self.short = list(style_files), short
        self.statistics: dict[str, dict[str, StyleStatistics]] = {}
        self.scales: dict[str, tuple[dict[str, float], dict[str, float]]] = {}
        self.digest = lru_cache(None)(picture_digest)
        self.photo_features = lru_cache(_CACHED)(self._read_photo_features)
        self.layout = lru_cache(_CACHED)(self._read_layout)
        self.places = lru_cache(_CACHED)(self._read_places)

    def small(self, x: Picture) -> Picture:
        """Return a picture at the size at which features are computed."""
        return thumbnail(x, self.short)

    def places_of(self, picture: Picture) -> Places:
        """Return the local features of a picture at the local size (`at_local_size`)."""
        return places_of_picture(self._to_stride_8, picture)

    def learn(self) -> None:
        """Compute the statistics of every style picture and the mean distances between them.

        Later calls do nothing. With one style picture, the mean distances are 1.
        """
        if self.statistics:
            return

        def statistics(path: Path) -> dict[str, StyleStatistics]:
            small = self.small(read_image(path))
            view = luma_view(small)
            return {
                name: StyleStatistics.of(name, backbone.features(small), backbone.features(view))
                for name, backbone in self.backbones.items()
            }

        found = each(statistics, self.style_files, self._workers)
        for name in self.backbones:
            some = [one[name] for one in found]
            ones = dict.fromkeys(some[0].statistics, 1.0)
            self.scales[name] = mean_distances(some) if len(some) > 1 else (ones, ones)
            self.statistics[name] = {path.name: one for path, one in zip(self.style_files, some, strict=True)}

    @cached_property
    def local_scale(self) -> LocalScale:
        """The scale of local distances."""
        key = cache_key([VERSION, "local scale", *map(self.digest, self.style_files)])
        file = self._cache / f"{key}.json" if self._cache else None
        if file is not None:
            try:
                return LocalScale(**json.loads(file.read_text("utf-8")))
            except (OSError, ValueError, TypeError):  # the file is missing or damaged
                pass

        def half(path: Path) -> float:
            return half_distance(self._to_stride_8, at_local_size(read_image(path)))

        def apart(two: tuple[int, int]) -> float:
            return float(np.mean(local_distances(*(self.places(self.style_files[i]) for i in two))))

        others = each(apart, neighbours(len(self.style_files)), self._workers)
        found = LocalScale.of(each(half, self.style_files, self._workers), others)
        if file is not None:
            with atomic_file(file) as out:
                out.write(json.dumps(vars(found)).encode())
        return found

    def _to_stride_8(self, x: Picture) -> dict[str, FeatureMap]:
        """Return the features for local measures, whose deepest layer has stride 8."""
        return self._lite.features(x, 8)

    def _read_photo_features(self, path: Path, backbone: str) -> dict[str, FeatureMap]:
        found = self.backbones[backbone].features(self.small(read_image(path)))
        return {layer: found[layer] for layer in _LAYERS[backbone]}

    def _read_layout(self, path: Path) -> tuple[list[Quantiles], Layout]:
        small = self.small(read_image(path))
        return patch_quantiles(small), Layout.of(small)

    def _read_places(self, path: Path) -> Places:
        return self.places_of(at_local_size(read_image(path)))
