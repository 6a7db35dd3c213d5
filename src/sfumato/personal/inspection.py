"""Inspection of the pictures that a person gives, before a style is learnt from them.

A remark is one sentence on one picture:

* *Left out* are pictures that cannot be read, that are smaller than `SMALLEST` pixels or blank, that their owners
  marked as not for training, and duplicates: the same file, or the same picture in another size or quality.
* *Only remarked on* are probable screenshots, and one picture whose style is far from all others. The person decides
  whether they belong; until then they count.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.errors import InputError
from sfumato.image import Picture, as_image, luma, picture_digest, read_photo, resample, reservation, scan_folder
from sfumato.inference.jobs import expand
from sfumato.inference.stylizer import Stylizer
from sfumato.personal.space import StyleSpace
from sfumato.style_code import StyleCode

#: Minimum of the shorter side in pixels; smaller pictures show too little of a style.
SMALLEST = 64
#: Minimum number of pictures among which one can be odd.
ODD_AMONG = 6

_SKETCH = 24  # cells along each side of a sketch
_SAME = 0.03  # root mean square difference, of a range of 1, below which two sketches show the same picture
# Screen sizes of phones, tablets and computers, the shorter side first.
_SCREENS = frozenset(
    (
        *((640, 1136), (720, 1280), (720, 1520), (720, 1600), (750, 1334), (768, 1024), (768, 1366), (800, 1280)),
        *((828, 1792), (900, 1440), (900, 1600), (1050, 1680), (1080, 1920), (1080, 2160), (1080, 2220), (1080, 2280)),
        *((1080, 2340), (1080, 2400), (1080, 2408), (1080, 2640), (1125, 2436), (1170, 2532), (1179, 2556)),
        *((1200, 1920), (1206, 2622), (1242, 2208), (1242, 2688), (1260, 2736), (1284, 2778), (1290, 2796)),
        *((1320, 2868), (1440, 2560), (1440, 2880), (1440, 2960), (1440, 3120), (1440, 3200), (1440, 3440)),
        *((1488, 2266), (1536, 2048), (1600, 2560), (1620, 2160), (1640, 2360), (1664, 2560), (1668, 2224)),
        *((1668, 2388), (1800, 2880), (1964, 3024), (2048, 2732), (2160, 3840), (2234, 3456), (2880, 5120)),
    )
)
_EVEN_ON_SCREEN, _EVEN, _LETTERS = 0.2, 0.4, 0.001  # shares of the pixels, thresholds of `is_screenshot`
_ODD = 2.6  # distance of an odd picture to its neighbours, over the median of all pictures


@dataclass(frozen=True)
class Remark:
    """A remark on one picture.

    Attributes:
        path: Path of the picture.
        kind: ``unreadable``, ``small``, ``blank``, ``reserved``, ``duplicate``, ``near-duplicate``, ``screenshot``,
            ``odd``, ``no-picture``, or a kind of `personal.gathering` and `personal.store`.
        text: The remark as one sentence.
        left_out: Whether the picture does not count.
    """

    path: str
    kind: str
    text: str
    left_out: bool = True


@dataclass(frozen=True, eq=False)
class InspectedPicture:
    """One picture that is fit to learn from.

    Attributes:
        path: Absolute path.
        sha256: Hash of the file, in hex.
        code: Its style code.
        sketch: ``(24 * 24 * 3 + 1,)`` float32: a thumbnail of 24 x 24 pixels, nearly the same for all sizes and
            qualities of a picture, and the logarithm of height over width.
        is_screenshot: Whether it is probably a screenshot.
    """

    path: Path
    sha256: str
    code: StyleCode
    sketch: npt.NDArray[np.float32]
    is_screenshot: bool = False


@dataclass
class Inspection:
    """The result of an inspection.

    Attributes:
        pictures: The new pictures that are fit to learn from.
        remarks: Remarks on all pictures but the known ones.
        known: Remarks on pictures that were known before, by the hash of the known picture.
    """

    pictures: list[InspectedPicture] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    known: dict[str, Remark] = field(default_factory=dict)


def find_inputs(inputs: Iterable[str]) -> tuple[list[Path], list[Remark]]:
    """Expand files, folders and patterns to the absolute paths of pictures, without repetition.

    Returns:
        The paths, and remarks on the contents of folders that are no pictures.

    Raises:
        InputError: A file does not exist, or a folder or a pattern holds no picture.
    """
    found: dict[Path, None] = {}
    remarks = []
    for text in [inputs] if isinstance(inputs, str) else inputs:
        if not text:
            raise InputError("the name of a picture is empty; name a file, a folder or a pattern")
        for path, _ in expand(text, verb=None):
            if not os.path.lexists(path):  # a typing error; paths from folders and patterns exist
                raise InputError(f"there is no picture or folder {text}; check the name")
            found[Path(os.path.abspath(path))] = None
        if os.path.isdir(text):
            passed_over = scan_folder(Path(text)).left_out
            others = [each.path for each in passed_over if each.is_file]
            if others:
                kinds = ", ".join(sorted({p.suffix.lower() or p.name for p in others})[:5])
                files = "1 file" if len(others) == 1 else f"{len(others)} files"
                message = f"{files} in {text} left out: no picture that Sfumato reads ({kinds})"
                remarks.append(Remark(text, "no-picture", message))
            rest = [each for each in passed_over if not each.is_file]
            remarks += [Remark(str(each.path), "no-picture", f"{each.path} left out: {each.reason}") for each in rest]
    return list(found), remarks


def inspect_pictures(
    paths: Sequence[Path],
    stylizer: Stylizer,
    known: Sequence[InspectedPicture] = (),
    tick: Callable[[int, int], None] | None = None,
) -> Inspection:
    """Read pictures, check them, and encode the style of each; needs no torch.

    Args:
        paths: Files of the pictures.
        stylizer: Encodes the styles.
        known: Pictures from before, with which the others are compared.
        tick: Called with the numbers of finished and of all pictures.
    """
    found = Inspection()
    inspected = list(known)
    for done, path in enumerate(paths, 1):
        result = _try_to_inspect(path, stylizer, inspected)
        match result:
            case InspectedPicture():
                found.pictures.append(result)
                inspected.append(result)
                if result.is_screenshot:
                    message = f"{path.name} may be a screenshot; crop it to the picture, or remove it"
                    found.remarks.append(Remark(str(path), "screenshot", message, left_out=False))
            case (remark, same) if same is not None and same in known:
                found.known[same.sha256] = remark
            case (remark, _):
                found.remarks.append(remark)
        if tick:
            tick(done, len(paths))
    return found


def _try_to_inspect(
    path: Path, stylizer: Stylizer, inspected: Sequence[InspectedPicture]
) -> InspectedPicture | tuple[Remark, InspectedPicture | None]:
    """Inspect one picture; otherwise return the remark on why it is left out, and the picture that it duplicates."""
    try:
        return _inspect(path, stylizer, inspected)
    except InputError as problem:
        reason = str(problem)
    except OSError as problem:
        reason = f"cannot read {path}: {problem.strerror or type(problem).__name__}"
    except MemoryError:
        reason = "it does not fit into memory; make it smaller, or close other programs"
    return Remark(str(path), "unreadable", f"{path.name} is left out: {reason}"), None


def _inspect(
    path: Path, stylizer: Stylizer, inspected: Sequence[InspectedPicture]
) -> InspectedPicture | tuple[Remark, InspectedPicture | None]:
    def leave_out(kind: str, text: str, same: InspectedPicture | None = None) -> tuple[Remark, InspectedPicture | None]:
        return Remark(str(path), kind, text), same

    digest = picture_digest(path)
    if same := next((one for one in inspected if one.sha256 == digest), None):
        return leave_out("duplicate", f"{path.name} is the same file as {same.path.name}, and counts once", same)
    photo = read_photo(path)
    if mark := reservation(path, photo.metadata):
        return leave_out("reserved", f"{path.name} is left out: its owner marked it as not for training ({mark})")
    picture = as_image(photo)
    height, width = picture.shape[2:]
    if min(height, width) < SMALLEST:
        return leave_out("small", f"{path.name} is left out: {width} x {height} pixels are too few to see a style")
    if float(np.ptp(picture, axis=(2, 3)).max()) < 1.5 / 255:  # transparent parts are white here
        return leave_out("blank", f"{path.name} is left out: it is blank")
    outline = sketch(picture)
    if same := next((one for one in inspected if is_same(one.sketch, outline)), None):
        return leave_out("near-duplicate", f"{path.name} shows the same as {same.path.name}, and counts once", same)
    return InspectedPicture(path, digest, stylizer.encode(picture), outline, is_screenshot(picture))


def sketch(picture: Picture) -> npt.NDArray[np.float32]:
    """Compute `InspectedPicture.sketch` of a picture ``(1, 3, H, W)``."""
    cells = resample(picture[0], _SKETCH, _SKETCH, Image.Resampling.BOX)
    return np.append(cells.ravel(), np.log(picture.shape[2] / picture.shape[3])).astype(np.float32)


def is_same(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    """Return whether two sketches show the same picture; pictures of low contrast must agree more closely."""
    difference = one - other
    apart = float(np.sqrt(np.mean(difference[:-1] ** 2)))
    return abs(float(difference[-1])) < 0.03 and apart <= min(_SAME, 0.15 * float(one[:-1].std()))


def is_screenshot(picture: Picture) -> bool:
    """Return whether a picture ``(1, 3, H, W)`` is probably a screenshot.

    It has large uniform areas, and either the size of a screen or sharp edges between the areas, as letters and buttons
    have. Paintings and photographs have grain: none of 130 scans was classified as a screenshot.
    """
    rows = picture[0, :, :: max(1, picture.shape[2] // 400)]
    step = np.abs(np.diff(rows, axis=2))
    same = step.max(0) < 1.5 / 255  # equal to the left neighbour
    sides = sorted(picture.shape[2:])
    if (sides[0], sides[1]) in _SCREENS and float((same[:, 1:] & same[:, :-1]).mean()) > _EVEN_ON_SCREEN:
        return True
    same = step.max(0) < 3.5 / 255  # equal, apart from JPEG artefacts
    # A sharp edge at the end of a uniform area, as beside a letter.
    sharp = (np.abs(np.diff(luma(rows), axis=1))[:, 2:] > 0.3) & same[:, :-2] & same[:, 1:-1]
    return float((same[:, 1:] & same[:, :-1]).mean()) > _EVEN and float(sharp.mean()) > _LETTERS


def odd_one(codes: Sequence[StyleCode], space: StyleSpace) -> int | None:
    """Return the index of the picture whose style is far from all others; None if no picture is odd.

    It is far if its mean squared distance to its three nearest neighbours exceeds `_ODD` times the median of this
    distance. At least `ODD_AMONG` pictures are needed. Among 12 works of one artist, an odd one was reported in 7 % of
    cases. A photograph added to them was found in 49 % of cases, a work of another artist in 37 %.
    """
    if len(codes) < ODD_AMONG:
        return None
    between = space.between.astype(np.float64)
    # Directions that separate artists have the largest weight.
    x = space.places(codes) * np.sqrt(between / (1 + between))
    apart = ((x[:, None] - x[None]) ** 2).mean(2)
    np.fill_diagonal(apart, np.inf)
    near = np.sort(apart, 1)[:, :3].mean(1)
    return int(near.argmax()) if near.max() > _ODD * np.median(near) else None
