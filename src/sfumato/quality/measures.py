"""The table of the measures of one stylised picture.

Each entry of `MEASURES` holds the name of a measure, its description, and the function that computes it from a
`PairView`. To add a measure, add an entry; raise `cache.VERSION` with every change of a measure, so that cached values
are computed again. The formulas are in `similarity.py`, `style.py`, `strokes.py` and `artefacts.py`. Measures of whole
sets are in `sets.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sfumato.quality.artefacts import worst
from sfumato.quality.backbones import EfficientNetLite0, VGG19Backbone
from sfumato.quality.pair_view import PairView
from sfumato.quality.similarity import (
    cfsd,
    colour_distance,
    content_distance,
    copied,
    edge_structure,
    kept,
    perceptual_distance,
    psnr,
    ssim,
)
from sfumato.quality.style import content_leak, patch_quantiles, sliced_wasserstein

_LITE, _VGG = EfficientNetLite0.name, VGG19Backbone.name


@dataclass(frozen=True)
class Measure:
    """A measure of a stylised picture, and a column of a report.

    Attributes:
        name: Name of the measure, as reports and JSON files show it.
        better: Whether lower or higher is better; empty for a measure that only describes the picture.
        description: The meaning of the value, for readers of a report.
        compute: The function that returns the value of a pair.
        backbone: Name of the network whose features are compared; empty for measures of pixels.
    """

    name: str
    better: Literal["lower", "higher", ""]
    description: str
    compute: Callable[[PairView], float]
    backbone: str = ""

    @property
    def arrow(self) -> str:
        """The direction of better values as an arrow; empty if there is no direction."""
        return {"lower": "↓", "higher": "↑", "": ""}[self.better]


def _content(view: PairView) -> float:
    output, photo = view.features(_LITE), view.photo_features(_LITE)
    return float(np.mean([content_distance(output[layer], photo[layer]) for layer in EfficientNetLite0.CONTENT]))


def _vgg_content(view: PairView) -> float:
    return content_distance(view.features(_VGG)["relu4_1"], view.photo_features(_VGG)["relu4_1"])


def _cfsd(view: PairView) -> float:
    photo, output = (features["relu3_1"][:, ::2, ::2] for features in (view.photo_features(_VGG), view.features(_VGG)))
    return cfsd(photo, output)


def _psnr(view: PairView) -> float:
    # Equal pictures give infinity, which would make the mean over pairs infinite.
    return min(psnr(view.output, view.photo), 100.0)


def _wasserstein(view: PairView) -> float:
    return sliced_wasserstein(patch_quantiles(view.small), view.style_layout[0])


def _leak(view: PairView) -> float:
    return content_leak(view.small, view.small_photo, view.style_layout[1])


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("content", "lower", "distance of the shapes to the photo's: 0 unchanged, 2 unrelated", _content, _LITE),
        Measure(
            "style",
            "lower",
            "distance of palette and contrast to the style picture's: 1 is the mean of two style pictures",
            lambda view: view.style_distance(_LITE),
            _LITE,
        ),
        Measure(
            "texture",
            "lower",
            "the same for texture alone, without colour and contrast",
            lambda view: view.texture_distance(_LITE),
            _LITE,
        ),
        Measure(
            "strokes",
            "lower",
            "distance of local texture: 0 is the distance between the two halves of a style picture",
            lambda view: view.local_distances[0],
            _LITE,
        ),
        Measure(
            "variety",
            "lower",
            "the same from the style picture to the output: low where all its strokes occur",
            lambda view: view.local_distances[1],
            _LITE,
        ),
        Measure(
            "top1",
            "higher",
            "share of pictures whose nearest style picture is the requested one",
            lambda view: view.style_rank(_LITE) == 1,
            _LITE,
        ),
        Measure("top5", "higher", "the same among the five nearest", lambda view: view.style_rank(_LITE) <= 5, _LITE),
        Measure(
            "ssim",
            "",
            "structural similarity with the photo: preserved content, not quality",
            lambda view: ssim(view.output, view.photo),
        ),
        Measure("psnr", "", "peak signal-to-noise ratio with the photo in dB: preserved content, not quality", _psnr),
        Measure(
            "copied",
            "lower",
            "correlation of the finest detail with the photo's: 1 only recoloured, 0 newly painted",
            lambda view: copied(view.local_output, view.local_photo),
        ),
        Measure(
            "kept",
            "higher",
            "correlation with the photo's detail between 4 and 8 pixels: 1 where objects stay in place",
            lambda view: kept(view.local_output, view.local_photo),
        ),
        Measure(
            "edges",
            "",
            "correlation of edge strengths with the photo's",
            lambda view: edge_structure(view.output, view.photo),
        ),
        Measure(
            "colour",
            "",
            "mean CIEDE2000 colour difference to the photo",
            lambda view: colour_distance(view.output, view.photo),
        ),
        Measure(
            "wasserstein",
            "lower",
            "sliced Wasserstein distance of small patches to the style picture's, in 1/255",
            _wasserstein,
        ),
        Measure("leak", "lower", "visible share of the style picture's layout: 0 none, 1 a copy", _leak),
        Measure(
            "artefacts",
            "lower",
            "highest value of the artefact detectors: below 1 clean, above 2 plainly visible",
            lambda view: worst(view.artefacts).value,
        ),
        Measure(
            "lpips-form",
            "",
            "perceptual distance to the photo, uniform weights (not the published LPIPS)",
            lambda view: perceptual_distance(view.features(_VGG), view.photo_features(_VGG)),
            _VGG,
        ),
        Measure("vgg-content", "lower", "content distance at relu4_1", _vgg_content, _VGG),
        Measure("cfsd", "lower", "structural distance at relu3_1 (StyleID), at half its resolution", _cfsd, _VGG),
        Measure(
            "vgg-style",
            "lower",
            "distance of channel statistics at relu1_1 to relu5_1, 1 as above",
            lambda view: view.style_distance(_VGG),
            _VGG,
        ),
        Measure(
            "vgg-gram",
            "lower",
            "distance of Gram matrices of the luma view, 1 as above",
            lambda view: view.texture_distance(_VGG),
            _VGG,
        ),
    )
}
#: Measures in units of the mean distance between two style pictures.
RELATIVE = ("style", "texture", "vgg-style", "vgg-gram")
#: Measures of the suite "quick", which needs no VGG19.
QUICK = tuple(name for name, measure in MEASURES.items() if measure.backbone != _VGG)
