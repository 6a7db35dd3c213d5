"""The inputs of the measures of one pair: stylised picture, photo and their features, each computed on first use."""

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
    """A stylised picture with its photo and its style picture.

    Args:
        references: Features of the style pictures, after `References.learn`.
        pair: The photo and the style picture.
        output: The stylised picture, ``(1, 3, H, W)``.

    Attributes:
        original: The photo at its own size.
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
        """The output, reduced to the size at which features are computed (`References.small`)."""
        return self._references.small(self.output)

    @cached_property
    def small_photo(self) -> Picture:
        """The photo at the size at which features are computed."""
        return self._references.small(self.photo)

    @cached_property
    def local_output(self) -> Picture:
        """The output at the size of the local measures (`at_local_size`)."""
        return at_local_size(self.output)

    @cached_property
    def local_photo(self) -> Picture:
        """The photo at the size of `local_output`."""
        return resize(self.original, *self.local_output.shape[2:])

    @cached_property
    def artefacts(self) -> dict[str, Artefact]:
        """The results of the artefact detectors, by name."""
        return artefacts(self.output, self.photo)

    @property
    def style_layout(self) -> tuple[list[Quantiles], Layout]:
        """The patch quantiles and the layout of the style picture."""
        return self._references.layout(self._pair.style)

    @cached_property
    def local_distances(self) -> tuple[float, float]:
        """The relative distances of local features from the output to the style picture, and back."""
        places = self._references.places_of(self.local_output)
        scale = self._references.local_scale
        there, back = local_distances(places, self._references.places(self._pair.style))
        return scale.relative(there), scale.relative(back)

    def features(self, backbone: str) -> dict[str, FeatureMap]:
        """Return the output's features, by layer."""
        if backbone not in self._features:
            self._features[backbone] = self._references.backbones[backbone].features(self.small)
        return self._features[backbone]

    def photo_features(self, backbone: str) -> dict[str, FeatureMap]:
        """Return the photo's features, by layer, in the shapes of the output's."""
        if backbone not in self._photo_features:
            own, found = self.features(backbone), self._references.photo_features(self._pair.content, backbone)
            if any(own[layer].shape != f.shape for layer, f in found.items()):
                # The output has other proportions than its photo.
                small = resize(self.small_photo, *self.small.shape[2:])
                found = self._references.backbones[backbone].features(small)
            self._photo_features[backbone] = found
        return self._photo_features[backbone]

    def style_distance(self, backbone: str) -> float:
        """Return the relative distance of channel statistics to the style picture (`statistics_distance`)."""
        scale = self._references.scales[backbone][0]
        return statistics_distance(self._statistics_of(backbone), self._target(backbone), scale)

    def texture_distance(self, backbone: str) -> float:
        """Return the relative distance of Gram matrices to the style picture (`texture_distance`)."""
        scale = self._references.scales[backbone][1]
        return texture_distance(self._statistics_of(backbone), self._target(backbone), scale)

    def style_rank(self, backbone: str) -> int:
        """Return the rank of the pair's style picture among all by distance to the output; the nearest is 1."""
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
