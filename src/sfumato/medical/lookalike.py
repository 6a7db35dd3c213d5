"""Look-alikes of CT, MR and radiographs: read, projected, toned, textured, measured, and refused or written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt

from sfumato import __version__
from sfumato.checks import check_range
from sfumato.errors import InputError, OutputError, UsageError
from sfumato.files import atomic_file
from sfumato.image import luma
from sfumato.inference.options import PaintOptions
from sfumato.inference.progress import Progress, portion
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer
from sfumato.limits import max_pixels, megapixels
from sfumato.medical.gates import Measured, measure, worst
from sfumato.medical.identity import Identity, annotation
from sfumato.medical.projection import Ray, View, project
from sfumato.medical.reading import Scan, Values, Window, damage_told, read_scan
from sfumato.medical.tone import MAX_STRENGTH, radiograph_tone, textured
from sfumato.medical.writing import instance, to_bytes
from sfumato.text import counted, short

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True)
class Look:
    """How a look-alike looks.

    Attributes:
        xray: whether it has the tone of a radiograph.
        style: the style whose texture it has.
        strength: of the style, 0 to `tone.MAX_STRENGTH`.
        colour: whether it has the hues of the style; otherwise it is grey.
        view: ``"each"`` frame by itself; ``"front"`` or ``"side"``, one radiograph of a whole CT series.
        ray: for a view, ``"mean"`` attenuation along a ray, or its ``"max"``.
        window: center and width, above 0, of the values that are shown; by default the file's own.
        notice: whether "NOT FOR DIAGNOSIS" is drawn in the pixels.
        paint: quality and seed of the painting; its strength does not count.

    Raises:
        UsageError: a value is outside its range, or there is no look.
    """

    xray: bool = True
    style: Style | None = None
    strength: float = 0.15
    colour: bool = False
    view: View = "each"
    ray: Ray = "mean"
    window: tuple[float, float] | None = None
    notice: bool = True
    paint: PaintOptions = field(default_factory=PaintOptions)

    def __post_init__(self) -> None:
        check_range(self.strength, 0.0, MAX_STRENGTH, "strength")
        if not self.xray and self.style is None:
            raise UsageError("no look was given; take xray, a style or both")
        if self.colour and self.style is None:
            raise UsageError("only a style has colours; add one, or leave colour out")
        if self.view not in get_args(View) or self.ray not in get_args(Ray):
            raise UsageError(
                f"view must be one of {', '.join(get_args(View))}, and ray one of {', '.join(get_args(Ray))}"
            )
        if self.view == "each" and self.ray != "mean":
            raise UsageError("only the views front and side have rays; leave ray out, or choose one of them")
        if self.view != "each" and self.window is not None:
            raise UsageError("a window is for the view each; a projection has a range of its own")
        if self.window is not None:
            check_range(self.window[0], -1e9, 1e9, "the center of window")
            check_range(self.window[1], 1e-6, 1e9, "the width of window")

    def __str__(self) -> str:
        """Return the look in words."""
        parts = ["tone of a radiograph"] if self.xray else []
        if self.style is not None:
            hues = ", with its colours" if self.colour else ""
            parts.append(f"texture of the style {short(self.style.name, 60)} at strength {self.strength:g}{hues}")
        if self.view != "each":
            parts.insert(0, f"{self.view} view of a CT series ({self.ray} attenuation)")
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class Lookalike:
    """A look-alike that passed the gates.

    Attributes:
        frames: ``(F, H, W)`` or ``(F, H, W, 3)`` uint8, without the notice.
        measured: of each frame.
        dataset: the new instance, with the notice in its pixels.
        difference: a second instance: mid-grey where the result is as the source, brighter and darker where it is.
        remarks: sentences on what a user should know.
    """

    frames: npt.NDArray[np.uint8]
    measured: list[Measured]
    dataset: Dataset
    difference: Dataset
    remarks: list[str]

    def worst(self) -> Measured:
        """Return the worst of each measure over all frames."""
        return worst(self.measured)

    def save(
        self, path: str | os.PathLike[str], difference: str | os.PathLike[str] | None = None, overwrite: bool = False
    ) -> None:
        """Write the instance, and the difference map to another file.

        Raises:
            OutputError: a file exists and may not be replaced, or cannot be written.
        """
        wanted = [(path, self.dataset), *([] if difference is None else [(difference, self.difference)])]
        if len({os.path.abspath(place) for place, _ in wanted}) < len(wanted):
            raise OutputError(f"the picture and its difference map would both be {path}; name two files")
        check_new([place for place, _ in wanted], overwrite)
        for place, made in wanted:
            with atomic_file(place, overwrite) as file:
                file.write(to_bytes(made))


def check_new(paths: Sequence[str | os.PathLike[str]], overwrite: bool) -> None:
    """Raise OutputError, with a FileExistsError as its cause, if one of the files exists and may not be replaced."""
    for path in paths:
        if os.path.lexists(path) and not overwrite:
            raise OutputError(f"{path} already exists; add --overwrite to replace it") from FileExistsError(path)


def look_alike(
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    look: Look | None = None,
    *,
    identity: Identity | None = None,
    stylizer: Stylizer | None = None,
    number: int = 1,
    progress: Progress | None = None,
) -> Lookalike:
    """Make a look-alike of a medical picture. It is not for diagnosis.

    Args:
        sources: a DICOM file or, for the views front and side, the files of one CT series.
        look: how it shall look; by default as a radiograph.
        identity: what happens to the patient's; by default it is removed. Pass the same object for the files of a
            series, so that they stay one.
        stylizer: paints the texture of a style.
        number: of the instance within its series.
        progress: as `Stylizer` takes it.

    Raises:
        InputError: a source cannot be read or used.
        MissingExtraError: pydicom is not installed.
        QualityError: a gate was not passed; the sentence has the numbers.
        UsageError: several sources for the view each.
    """
    look, identity = look or Look(), identity or Identity()
    paths = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    if not paths or (look.view == "each" and len(paths) > 1):
        raise UsageError("one file at a time is made, but for the views front and side")
    window = None if look.window is None else Window(*look.window)
    scans = _read(paths, window)
    with damage_told(scans[0].name):
        identity.check(scans)
        greys, shown = _greys(scans, look)
        if not np.isfinite(greys).all():
            raise InputError(
                f"{scans[0].name} has values or a window that give no finite greys ({shown}); it may be damaged"
            )
    if look.style is not None and stylizer is None:
        stylizer = Stylizer()
    frames, measured, changes = [], [], []
    for index, grey in enumerate(greys):
        name = scans[0].name + (f" (frame {index + 1})" if len(greys) > 1 else "")
        part = portion(progress, index / len(greys), (index + 1) / len(greys))
        painted = _painted(grey, look, stylizer, part, name)
        result = luma(painted)
        measured.append(measure(grey, result))
        measured[-1].check(name)
        frames.append(_levels(painted, look.colour))
        changes.append(np.rint(127.5 + 127.5 * (result - grey)).astype(np.uint8))
    derivation = f"Look-alike by Sfumato {__version__}: {look}; {shown}; measured: {worst(measured)}"
    map_of = f"Difference of a look-alike by Sfumato {__version__} to its source, 128 is none: {look}; {shown}"
    with damage_told(scans[0].name):
        return Lookalike(
            np.stack(frames),
            measured,
            instance(frames, scans, identity, "LOOKALIKE", number, str(look), derivation, look.notice),
            instance(changes, scans, identity, "DIFFERENCE", number, str(look), map_of, look.notice),
            _remarks(scans, look, shown, identity),
        )


def _read(paths: Sequence[str | os.PathLike[str]], window: Window | None) -> list[Scan]:
    """Read files that are within the limit of pixels together."""
    scans: list[Scan] = []
    limit = max_pixels()
    for path in paths:
        scans.append(read_scan(path, window))
        if sum(scan.values.size for scan in scans) > limit:
            raise InputError(
                f"the files up to {scans[-1].name} have more pixels than the limit of {megapixels(limit)} in all; "
                "raise --max-pixels if you trust them"
            )
    return scans


def _greys(scans: list[Scan], look: Look) -> tuple[Values, str]:
    """Return the source as it is compared with the result, ``(F, H, W)``, and what it shows."""
    if look.view == "each":
        return scans[0].grey, scans[0].windowing
    p = project(scans, look.view, look.ray)
    top = max(float(np.percentile(p, 99.8)), 1e-6)
    return np.clip(p[None] / np.float32(top), 0, 1), f"line integrals up to {top:.3g}"


def _painted(grey: Values, look: Look, stylizer: Stylizer | None, progress: Progress | None, name: str) -> Values:
    """Return ``(3, H, W)`` in ``[0, 1]``."""
    toned = radiograph_tone(grey) if look.xray else grey
    if look.style is None or stylizer is None:
        return np.asarray(np.repeat(toned[None], 3, axis=0), np.float32)
    painted = textured(toned, look.style, look.strength, look.colour, stylizer, look.paint, progress, name)
    return np.asarray(painted[0], np.float32)


def _levels(painted: Values, colour: bool) -> npt.NDArray[np.uint8]:
    levels = np.rint(np.clip(painted, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(1, 2, 0)) if colour else levels[0]


def _remarks(scans: list[Scan], look: Look, shown: str, identity: Identity) -> list[str]:
    name, found = scans[0].name, []
    if lost := identity.lost(scans):  # first: a look at all attributes, as below, hides letters that cannot be decoded
        found.append(f"{name} has values that the standard does not allow, which are left out: {', '.join(lost)}")
    if look.view == "each" and scans[0].frames > 1:
        found.append(f"{name} has {counted(scans[0].frames, 'frame')}, and so has its look-alike")
    if shown.startswith("no window"):
        values = shown.rpartition(" ")[2]
        found.append(f"{name} has no window; it is shown with {values}, from its histogram; --window sets another")
    if annotation(scans) is None:
        found.append(f"{name} does not say whether its patient's name is drawn in its pixels; look at them")
    if any("6000" <= f"{element.tag.group:04X}" <= "601E" for element in scans[0].header):
        found.append(f"{name} has drawings in a layer of its own (overlay), which are left out")
    return [short(each, 300) for each in found]


def find_files(source: Path) -> list[Path]:
    """Return the files of a folder and the folders in it, in the order of their names, without an index (DICOMDIR)."""
    from sfumato.image import is_hidden

    return sorted(
        each
        for each in source.rglob("*")
        if each.is_file() and each.name != "DICOMDIR" and not any(map(is_hidden, each.relative_to(source).parts))
    )
