"""A CT volume as a radiograph: line integrals of attenuation through it (Beer and Lambert)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from sfumato.errors import InputError
from sfumato.image import resample
from sfumato.limits import check_size, max_pixels
from sfumato.medical.reading import SMALLEST, Scan, Values
from sfumato.text import counted

View: TypeAlias = Literal["each", "front", "side"]
Ray: TypeAlias = Literal["mean", "max"]

#: Attenuation of water at 60 keV, in 1/mm: 0.2059 cm²/g (NIST, X-ray mass attenuation coefficients).
WATER = 0.02059
#: Slices, at least, of which a radiograph is made.
FEWEST = 8
_PARALLEL = 0.995  # cosine of the largest angle, 5.7°, between a slice and the axes of the body
_UNEVEN = 0.1  # largest difference of the distances of slices, relative to their median
_UNLIKE = 0.01  # largest difference of the sizes of pixels, relative to the smallest


def attenuation(hounsfield: Values) -> Values:
    """Return the attenuation in 1/mm: ``WATER * (1 + HU / 1000)``, and 0 for air and below."""
    return np.asarray(np.maximum(np.float32(WATER) * (1 + hounsfield / np.float32(1000)), 0), np.float32)


def project(scans: Sequence[Scan], view: View, ray: Ray = "mean") -> Values:
    """Return the line integrals ``(H, W)`` of parallel rays through a CT series, in square pixels.

    With I = I0 exp(-p), p is the sum of attenuation times length along a ray: the logarithmic signal of a detector.

    Args:
        scans: axial slices of one CT series, as files of one frame or as one file of many.
        view: ``"front"`` (along y of the patient) or ``"side"`` (along x).
        ray: ``"mean"``, the line integral; ``"max"``, the largest attenuation on the ray times its length.

    Raises:
        InputError: they are not axial slices of one CT series, or lie unevenly.
    """
    name = scans[0].name
    if any(str(scan.header.get("Modality")) != "CT" for scan in scans):
        raise InputError(f"{name} is not CT; only its values are attenuation, so take the view each")
    if len({scan.header.get("SeriesInstanceUID") for scan in scans}) > 1:
        raise InputError(f"the files beside {name} are of several series; put the slices of one into a folder")
    if len({scan.values.shape[1:] for scan in scans}) > 1:
        raise InputError(f"the slices beside {name} are of different sizes")
    slices = [_placed(scan, frame) for scan in scans for frame in range(scan.frames)]
    if len(slices) < FEWEST:
        raise InputError(f"{name} has {counted(len(slices), 'slice')}; a radiograph is made of {FEWEST} or more")
    slices.sort(key=lambda each: -each[0])  # the head is up
    heights = np.array([each[0] for each in slices])
    steps = -np.diff(heights)
    step = float(np.median(steps))
    if step <= 0 or np.abs(steps - step).max() > _UNEVEN * step:
        raise InputError(
            f"the slices beside {name} do not lie at even distances; a slice may be missing or be there twice"
        )
    sizes = np.array([each[1] for each in slices])
    if (np.ptp(sizes, axis=0) > _UNLIKE * sizes.min(axis=0)).any():
        raise InputError(f"the slices beside {name} have different pixel spacings; only the view each can be made")
    down, across = slices[0][1]
    length, pixel = (down, across) if view == "front" else (across, down)
    axis = 0 if view == "front" else 1
    rows = [getattr(np, ray)(attenuation(values), axis=axis) for _, _, values in slices]
    depth = slices[0][2].shape[axis] * length
    p = np.stack(rows).astype(np.float32) * np.float32(depth)
    height = max(1, round(len(rows) * step / pixel))
    check_size(p.shape[1], height, max_pixels(), f"the radiograph of {name}")
    if min(height, p.shape[1]) < SMALLEST:
        raise InputError(
            f"the radiograph of {name} would have {p.shape[1]} x {height} pixels; at least {SMALLEST} are needed"
        )
    return np.maximum(resample(p, height, p.shape[1], Image.Resampling.BICUBIC), 0)


def _placed(scan: Scan, frame: int) -> tuple[float, tuple[float, float], Values]:
    """Return the height of a slice in the body, the size of its pixels (down, across), both in mm, and its values."""
    position = scan.find(frame, "PlanePositionSequence", "ImagePositionPatient")
    axes = scan.find(frame, "PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = scan.find(frame, "PixelMeasuresSequence", "PixelSpacing")
    if position is None or axes is None or spacing is None:
        raise InputError(f"{scan.name} does not say where its slices lie; only the view each can be made")
    numbers = [float(x) for x in (*position, *axes, *spacing)]
    if len(numbers) != 11 or not np.isfinite(numbers).all() or min(numbers[9:]) <= 0:
        raise InputError(f"{scan.name} has a position, an orientation or a pixel spacing that is damaged")
    if numbers[3] < _PARALLEL or numbers[7] < _PARALLEL:
        raise InputError(f"{scan.name} is not an axial slice of a patient on the back; only the view each can be made")
    return numbers[2], (numbers[9], numbers[10]), scan.values[frame]
