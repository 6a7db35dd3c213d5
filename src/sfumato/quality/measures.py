"""The measures of one stylised picture: a table, one entry a measure.

`MEASURES` names each figure of a pair, says what it means, and holds the function that computes it from a `PairView`.
A new measure is one entry; `cache.VERSION` is raised with every change of one. The formulas are in
`similarity.py`, `style.py`, `strokes.py` and `artefacts.py`; measures of whole sets are in `sets.py`.
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
        name: of the figure.
        better: whether lower or higher is better; empty where it describes, and is no goal.
        says: what it means.
        compute: the figure of a pair.
        backbone: whose features it is of; empty where it is of pixels.
    """

    name: str
    better: Literal["lower", "higher", ""]
    says: str
    compute: Callable[[PairView], float]
    backbone: str = ""

    @property
    def arrow(self) -> str:
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
    return min(psnr(view.output, view.photo), 100.0)  # of equal pictures it is infinite, and a mean would be lost


def _wasserstein(view: PairView) -> float:
    return sliced_wasserstein(patch_quantiles(view.small), view.style_layout[0])


def _leak(view: PairView) -> float:
    return content_leak(view.small, view.small_photo, view.style_layout[1])


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("content", "lower", "how far shapes are from the photo's: 0 unchanged, 2 unrelated", _content, _LITE),
        Measure(
            "style",
            "lower",
            "palette and contrast: distance to the style picture, 1 is like any other's",
            lambda view: view.style_distance(_LITE),
            _LITE,
        ),
        Measure(
            "texture",
            "lower",
            "the same for texture alone, with colour and contrast taken out",
            lambda view: view.texture_distance(_LITE),
            _LITE,
        ),
        Measure(
            "strokes",
            "lower",
            "local texture: 0 is like one half of the style picture to the other",
            lambda view: view.local_distances[0],
            _LITE,
        ),
        Measure(
            "variety",
            "lower",
            "the same from the style picture's places: low where all its strokes occur",
            lambda view: view.local_distances[1],
            _LITE,
        ),
        Measure(
            "top1",
            "higher",
            "share of pictures whose nearest style picture is the one asked for",
            lambda view: view.style_rank(_LITE) == 1,
            _LITE,
        ),
        Measure("top5", "higher", "the same among the nearest five", lambda view: view.style_rank(_LITE) <= 5, _LITE),
        Measure(
            "ssim",
            "",
            "structural similarity with the photo: content kept, not quality",
            lambda view: ssim(view.output, view.photo),
        ),
        Measure("psnr", "", "signal-to-noise ratio with the photo in dB: content kept, not quality", _psnr),
        Measure(
            "copied",
            "lower",
            "correlation of the finest detail with the photo's: 1 recoloured, 0 painted anew",
            lambda view: copied(view.local_output, view.local_photo),
        ),
        Measure(
            "kept",
            "higher",
            "correlation with the photo between 4 and 8 pixels: objects stay in place",
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
        Measure("wasserstein", "lower", "distance of small patches to the style picture's, in 1/255", _wasserstein),
        Measure("leak", "lower", "how much of the style picture's layout shows: 0 none", _leak),
        Measure(
            "artefacts",
            "lower",
            "the worst of the artefact detectors: below 1 clean, above 2 plainly seen",
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
#: Figures in units of how far the style pictures are from each other.
RELATIVE = ("style", "texture", "vgg-style", "vgg-gram")
#: Figures of the suite "quick": those that need no VGG19.
QUICK = tuple(name for name, measure in MEASURES.items() if measure.backbone != _VGG)
