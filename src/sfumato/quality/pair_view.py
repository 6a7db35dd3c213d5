"""What measures see of one stylised picture: the picture, its photo and their features, each computed on first use."""

from __future__ import annotations

from functools import cached_property

from sfumato.image import Picture, read_image, resize
from sfumato.quality.artefacts import Artefact, artefacts
from sfumato.quality.pairs import Pair
from sfumato.quality.references import References
from sfumato.quality.similarity import FeatureMap
from sfumato.quality.strokes import at_local_size, local_distances
from sfumato.quality.style import (
    Layout,
    Quantiles,
    StyleStatistics,
    luma_view,
    retrieval_rank,
    statistics_distance,
    texture_distance,
)


class PairView:
    """One output beside its photo and its style picture.

    Args:
        references: that have learnt the style pictures.
        output: ``(1, 3, H, W)``.

    Attributes:
        original: the photo at its own size.
    """

    def __init__(self, references: References, pair: Pair, output: Picture) -> None:
        self._references, self._pair = references, pair
        self.output = output
        self.original = read_image(pair.content)
        self._features: dict[str, dict[str, FeatureMap]] = {}
        self._photo_features: dict[str, dict[str, FeatureMap]] = {}
        self._statistics: dict[str, StyleStatistics] = {}
        self._ranks: dict[str, int] = {}

    @property
    def resized(self) -> bool:
        """Whether the photo has another size than the output."""
        return self.original.shape != self.output.shape

    @cached_property
    def photo(self) -> Picture:
        """The photo at the output's size."""
        return resize(self.original, *self.output.shape[2:])

    @cached_property
    def small(self) -> Picture:
        """The output at the size at which features are taken."""
        return self._references.small(self.output)

    @cached_property
    def small_photo(self) -> Picture:
        return self._references.small(self.photo)

    @cached_property
    def local_output(self) -> Picture:
        """The output at the size of local figures, which is one for all."""
        return at_local_size(self.output)

    @cached_property
    def local_photo(self) -> Picture:
        return resize(self.original, *self.local_output.shape[2:])

    @cached_property
    def artefacts(self) -> dict[str, Artefact]:
        return artefacts(self.output, self.photo)

    @property
    def style_layout(self) -> tuple[list[Quantiles], Layout]:
        """Of the style picture: quantiles of its patches, and its layout."""
        return self._references.layout(self._pair.style)

    @cached_property
    def local_distances(self) -> tuple[float, float]:
        """Distances of local features, from the output's places to the style picture's and back, relative."""
        places = self._references.places_of(self.local_output)
        scale = self._references.local_scale
        there, back = local_distances(places, self._references.places(self._pair.style))
        return scale.relative(there), scale.relative(back)

    def features(self, backbone: str) -> dict[str, FeatureMap]:
        """The output's, by layer."""
        if backbone not in self._features:
            self._features[backbone] = self._references.backbones[backbone].features(self.small)
        return self._features[backbone]

    def photo_features(self, backbone: str) -> dict[str, FeatureMap]:
        """The photo's, by layer, of the shapes of the output's."""
        if backbone not in self._photo_features:
            own, found = self.features(backbone), self._references.photo_features(self._pair.content, backbone)
            if any(own[layer].shape != f.shape for layer, f in found.items()):
                # An output in other proportions than its photo's.
                small = resize(self.small_photo, *self.small.shape[2:])
                found = self._references.backbones[backbone].features(small)
            self._photo_features[backbone] = found
        return self._photo_features[backbone]

    def style_distance(self, backbone: str) -> float:
        """Distance of channel statistics to the style picture's; 1 is the mean of two style pictures."""
        scale = self._references.scales[backbone][0]
        return statistics_distance(self._statistics_of(backbone), self._target(backbone), scale)

    def texture_distance(self, backbone: str) -> float:
        """Distance of Gram matrices of the luma view to the style picture's; 1 is the mean of two style pictures."""
        scale = self._references.scales[backbone][1]
        return texture_distance(self._statistics_of(backbone), self._target(backbone), scale)

    def style_rank(self, backbone: str) -> int:
        """Rank of the style picture that was asked for among all, by distance; the nearest is 1."""
        if backbone not in self._ranks:
            styles, scale = self._references.statistics[backbone], self._references.scales[backbone][0]
            own = self._pair.style.name
            self._ranks[backbone] = retrieval_rank(self._statistics_of(backbone), styles, own, scale)
        return self._ranks[backbone]

    def _target(self, backbone: str) -> StyleStatistics:
        return self._references.statistics[backbone][self._pair.style.name]

    def _statistics_of(self, backbone: str) -> StyleStatistics:
        if backbone not in self._statistics:
            view = self._references.backbones[backbone].features(luma_view(self.small))
            self._statistics[backbone] = StyleStatistics.of(backbone, self.features(backbone), view)
        return self._statistics[backbone]
