"""Inspection of the pictures that a person gives, before anything is learnt of them.

What is told, each picture in a sentence:

* *Left out*, for it cannot count, or would count twice: what cannot be read, what is smaller than `SMALLEST` pixels,
  what is blank, the same file again, and the same picture again (another size, another quality).
* *Remarked on*, and learnt from as any other: what is probably a screenshot, and one picture whose style is far from
  all others'. Whether it belongs is for the person to say.
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
from sfumato.image import Picture, luma, picture_digest, read_image, resample, scan_folder
from sfumato.inference.batch import expand
from sfumato.inference.stylizer import Stylizer
from sfumato.personal.space import StyleSpace
from sfumato.style_code import StyleCode

#: Pixels, shorter side: of less there is no style to be seen.
SMALLEST = 64
#: Pictures of which one can be odd, at least.
ODD_AMONG = 6

_SKETCH = 24  # cells along each side
_SAME = 0.03  # of a range of 1: pictures whose sketches differ less are one
# Of phones, tablets and computers, the shorter side first.
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
_EVEN_ON_SCREEN, _EVEN, _LETTERS = 0.2, 0.4, 0.001  # shares of the pixels
_ODD = 2.6


@dataclass(frozen=True)
class Remark:
    """What was seen of one picture.

    Attributes:
        path: the picture's.
        kind: ``unreadable``, ``small``, ``blank``, ``duplicate``, ``near-duplicate``, ``screenshot``, ``odd``, or what
            `personal.gathering` adds.
        text: one sentence.
        left_out: whether the picture does not count.
    """

    path: str
    kind: str
    text: str
    left_out: bool = True


@dataclass(frozen=True, eq=False)
class InspectedPicture:
    """One picture that can be learnt from.

    Attributes:
        path: absolute.
        sha256: of the file, in hex.
        code: its style.
        sketch: ``(24 * 24 * 3 + 1,)`` float32: the picture in so few cells that other sizes and qualities of it have
            the same, and the logarithm of its shape.
    """

    path: Path
    sha256: str
    code: StyleCode
    sketch: npt.NDArray[np.float32]
    is_screenshot: bool = False


@dataclass
class Inspection:
    """What an inspection found."""

    pictures: list[InspectedPicture] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    #: What is one of the pictures known before, by its hash: the remark on it.
    known: dict[str, Remark] = field(default_factory=dict)


def find_inputs(inputs: Iterable[str]) -> tuple[list[Path], list[Remark]]:
    """The pictures that files, folders and patterns name, absolute and once each, and what of folders is no picture.

    Raises:
        InputError: a name is of nothing that is there, or a folder or a pattern holds no picture.
    """
    found: dict[Path, None] = {}
    remarks = []
    for text in [inputs] if isinstance(inputs, str) else inputs:
        if not text:
            raise InputError("a name of a picture is empty; check it")
        for path, _ in expand(text, verb=None):
            if not os.path.lexists(path):  # mistyped: what folders and patterns hold is there
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
    """Reads pictures, and encodes the style of each; no torch.

    Args:
        paths: of files.
        known: pictures that were seen before, which the others are compared with.
        tick: called with how many are done, and of how many.
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
    """A picture, or why it is none, and which one it is already."""
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
    def left_out(kind: str, text: str, same: InspectedPicture | None = None) -> tuple[Remark, InspectedPicture | None]:
        return Remark(str(path), kind, text), same

    digest = picture_digest(path)
    if same := next((one for one in inspected if one.sha256 == digest), None):
        return left_out("duplicate", f"{path.name} is the same file as {same.path.name}, and counts once", same)
    picture = read_image(path)
    height, width = picture.shape[2:]
    if min(height, width) < SMALLEST:
        return left_out("small", f"{path.name} is left out: {width} x {height} pixels are too few to see a style")
    if float(np.ptp(picture, axis=(2, 3)).max()) < 1.5 / 255:  # what is transparent is white here
        return left_out("blank", f"{path.name} is left out: it is blank")
    outline = sketch(picture)
    if same := next((one for one in inspected if is_same(one.sketch, outline)), None):
        return left_out("near-duplicate", f"{path.name} shows the same as {same.path.name}, and counts once", same)
    return InspectedPicture(path, digest, stylizer.encode(picture), outline, is_screenshot(picture))


def sketch(picture: Picture) -> npt.NDArray[np.float32]:
    """``(1, 3, H, W)`` -> `InspectedPicture.sketch`."""
    cells = resample(picture[0], _SKETCH, _SKETCH, Image.Resampling.BOX)
    return np.append(cells.ravel(), np.log(picture.shape[2] / picture.shape[3])).astype(np.float32)


def is_same(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> bool:
    """Whether two sketches are of one picture. Of pictures with little in them, little must differ."""
    difference = one - other
    apart = float(np.sqrt(np.mean(difference[:-1] ** 2)))
    return abs(float(difference[-1])) < 0.03 and apart <= min(_SAME, 0.15 * float(one[:-1].std()))


def is_screenshot(picture: Picture) -> bool:
    """Whether ``(1, 3, H, W)`` looks like one: large even areas with the size of a screen, or with sharp edges between
    them, as letters and buttons have. Paintings and photographs have grain: none of 130 scans was taken for one."""
    rows = picture[0, :, :: max(1, picture.shape[2] // 400)]
    step = np.abs(np.diff(rows, axis=2))
    same = step.max(0) < 1.5 / 255  # as its neighbour on the left
    sides = sorted(picture.shape[2:])
    if (sides[0], sides[1]) in _SCREENS and float((same[:, 1:] & same[:, :-1]).mean()) > _EVEN_ON_SCREEN:
        return True
    same = step.max(0) < 3.5 / 255  # but for what JPEG does to it
    sharp = (np.abs(np.diff(luma(rows), axis=1))[:, 2:] > 0.3) & same[:, :-2] & same[:, 1:-1]  # out of such an area
    return float((same[:, 1:] & same[:, :-1]).mean()) > _EVEN and float(sharp.mean()) > _LETTERS


def odd_one(codes: Sequence[StyleCode], space: StyleSpace) -> int | None:
    """The place of the one picture among `ODD_AMONG` or more whose style is far from all others'; None without such.

    Far is its mean squared distance to the three nearest others, where that is more than `_ODD` times the median one.
    Of 12 works by one hand, 7 % had such a work among them; of photographs put among them, 49 % were found, of works by
    others 37 %.
    """
    if len(codes) < ODD_AMONG:
        return None
    between = space.between.astype(np.float64)
    x = space.places(codes) * np.sqrt(between / (1 + between))  # directions that tell artists apart count most
    apart = ((x[:, None] - x[None]) ** 2).mean(2)
    np.fill_diagonal(apart, np.inf)
    near = np.sort(apart, 1)[:, :3].mean(1)
    return int(near.argmax()) if near.max() > _ODD * np.median(near) else None
