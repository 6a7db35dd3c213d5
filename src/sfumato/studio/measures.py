"""What is measured of a result beside its photo, on small copies and without PyTorch.

The page makes sentences of the values. Like all measures of this kind they tell how much of the photo is preserved,
and which defects a detector sees; they do not tell how good a painting is.
"""

from __future__ import annotations

from typing import Any

from sfumato.image import Photo, thumbnail_size
from sfumato.inference.pixel_readers import PhotoReader
from sfumato.quality.artefacts import artefacts, worst
from sfumato.quality.similarity import colour_distance, copied, edge_structure, kept, psnr, ssim

#: Shorter side, at most, of the copies that are measured: that of the pictures on which the detectors were set.
SIDE = 320
_SMALLEST = 32  # pixels: a smaller picture is not measured
_HIGHEST_PSNR = 100.0  # of equal pictures, for which it is infinite


def measure(picture: Photo, photo: Photo) -> dict[str, Any] | None:
    """Return the measures of a picture beside its photo; None where it is too small.

    Returns:
        ``psnr``: peak signal-to-noise ratio in dB, at most 100.
        ``ssim``: structural similarity, at most 1, for equal structure.
        ``colour``: mean CIEDE2000 difference: about 1 is just visible, black and white are 100 apart.
        ``kept``: correlation of medium detail: near 1, objects are where they were.
        ``copied``: correlation of the finest detail: 1 is copied from the photo, 0 is new.
        ``edges``: correlation of edge strengths.
        ``artefacts``: strength of the worst defect: below 1 as in clean pictures, above 2 plainly visible.
        ``defect``: its name, as in `quality.artefacts`.
    """
    size = thumbnail_size(picture.height, picture.width, SIDE, 4 * SIDE)
    if min(size) < _SMALLEST:
        return None
    small, before = (PhotoReader(each).reduced(*size) for each in (picture, photo))
    defect = worst(artefacts(small, before))
    found = {
        "psnr": min(psnr(small, before), _HIGHEST_PSNR),
        "ssim": ssim(small, before),
        "colour": colour_distance(small, before),
        "kept": kept(small, before),
        "copied": copied(small, before),
        "edges": edge_structure(small, before),
        "artefacts": defect.value,
    }
    return {**{name: round(float(value), 4) for name, value in found.items()}, "defect": defect.name}


def measure_if_alike(picture: Photo, photo: Photo) -> dict[str, Any] | None:
    """Return the measures where the photo has the picture's proportions; a picture may be of a cropped photo."""
    turned = picture.height * photo.width / (picture.width * photo.height)
    return measure(picture, photo) if abs(turned - 1) < 0.02 else None
