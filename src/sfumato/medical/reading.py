"""Reading of CT, MR and radiographs from DICOM files that may come from strangers.

Sizes are checked before pixels are decoded: those that the header states, and those inside compressed pixels, which
decoders believe instead.
"""

from __future__ import annotations

import io
import os
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sfumato.errors import InputError, SfumatoError, first_line, needs_extra
from sfumato.files import read_bytes
from sfumato.limits import check_size, max_file_bytes, max_pixels, megapixels
from sfumato.text import counted, short

if TYPE_CHECKING:
    from pydicom import Dataset

Values: TypeAlias = npt.NDArray[np.float32]

#: Pixels of the shorter side, at least: below, the notice in the picture cannot be read.
SMALLEST = 48
_STORAGES = (
    *("CTImageStorage", "EnhancedCTImageStorage", "LegacyConvertedEnhancedCTImageStorage"),
    *("MRImageStorage", "EnhancedMRImageStorage", "LegacyConvertedEnhancedMRImageStorage"),
    *("ComputedRadiographyImageStorage", "DigitalXRayImageStorageForPresentation"),
    "DigitalXRayImageStorageForProcessing",
)


@dataclass(frozen=True)
class Window:
    """A VOI LUT function of DICOM (PS3.3, C.11.2.1): which values are shown as black, grey and white.

    Attributes:
        center: value that is shown as mid-grey.
        width: of the range of values, more than 0.
        function: ``"LINEAR"``, ``"LINEAR_EXACT"`` or ``"SIGMOID"``.
    """

    center: float
    width: float
    function: str = "LINEAR_EXACT"

    def __call__(self, values: Values) -> Values:
        """Return grey in ``[0, 1]``."""
        x = values - np.float32(self.center)
        if self.function == "SIGMOID":
            return np.asarray(1 / (1 + np.exp(np.clip(-4 * x / np.float32(self.width), -80, 80))), np.float32)
        if self.function == "LINEAR":  # the standard's formula for integers: half a value lower, one value narrower
            x = (x + np.float32(0.5)) / np.float32(max(self.width - 1, 1e-3))
        else:
            x = x / np.float32(self.width)
        return np.asarray(np.clip(x + np.float32(0.5), 0, 1), np.float32)


@dataclass(frozen=True, eq=False)
class Scan:
    """The content of a DICOM file.

    Attributes:
        name: of the file, for messages.
        header: all attributes but the pixels.
        values: ``(F, H, W)``, after the modality LUT: Hounsfield units in CT.
        grey: ``(F, H, W)`` in ``[0, 1]``, as the file's window, or the caller's, shows them; upright in brightness also
            where the file is MONOCHROME1.
        windowing: what made ``grey``, in words.
        key: stands in for IDs and UIDs that the file does not have, so that no two files without them share one.
    """

    name: str
    header: Dataset
    values: Values
    grey: Values
    windowing: str
    key: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.values)

    def find(self, frame: int, sequence: str, keyword: str) -> Any:
        """Return an attribute of a frame, which enhanced files keep in functional groups; None if there is none."""
        return _find(self.header, frame, sequence, keyword)

    def identifier(self, *keywords: str) -> str:
        """Return the first of some IDs or UIDs that is there and not empty, else ``key``."""
        return next((str(found) for keyword in keywords if (found := self.header.get(keyword))), str(self.key))


def check_extra() -> None:
    """Raise MissingExtraError if pydicom is not installed."""
    with needs_extra("medical", "Reading DICOM"):
        import pydicom  # noqa: F401


def read_scan(path: str | os.PathLike[str], window: Window | None = None) -> Scan:
    """Read a CT or MR picture or a radiograph (CR, DX), with one frame or several.

    Args:
        path: of the file.
        window: to show it with; by default the file's own, else its VOI LUT, else from its histogram.

    Raises:
        InputError: it is not DICOM, damaged, of another kind, too large, or compressed in a way that no installed
            decoder reads.
        MissingExtraError: pydicom is not installed.
    """
    check_extra()
    name = short(str(path))
    try:
        content = read_bytes(path, max_file_bytes(max_pixels()))
    except OSError as problem:
        raise InputError(f"cannot read {name}: {problem.strerror or problem}") from problem
    with damage_told(name):
        return _read(content, name, os.fspath(path), window)


@contextmanager
def damage_told(name: str) -> Iterator[None]:
    """Turn every error about the content of a file into one sentence.

    On damaged files pydicom and its decoders raise errors of nearly every type, also late: attributes are decoded when
    they are first looked at.

    Raises:
        InputError: an error was raised that is not ours.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom warns of values that are read all the same
            yield
    except (SfumatoError, MemoryError, ImportError):
        raise
    except Exception as problem:
        raise InputError(f"{name} cannot be read as DICOM; it may be damaged: {first_line(problem)}") from problem


def _read(content: bytes, name: str, path: str, window: Window | None) -> Scan:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_file_meta_info
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    try:
        meta = read_file_meta_info(path)
    except InvalidDicomError as problem:
        raise InputError(f"{name} is not a DICOM file") from problem
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:  # could unpack to any size
        raise InputError(f"{name} is a deflated file, which is not read; unpack it, for example with dcmconv +te")
    header = dcmread(io.BytesIO(content))
    _check_kind(header, name)
    frames = _check_sizes(header, name)
    _check_decoder(header, frames, name)
    stored = pixel_array(header).reshape(frames, header.Rows, header.Columns)
    del header.PixelData
    values = np.stack([_modality(stored[i], header, i) for i in range(frames)])
    if not np.isfinite(values).all():
        raise InputError(f"{name} has values that are not finite numbers; its rescale slope or intercept is damaged")
    grey, windowing = _shown(values, header, window, name)
    if header.PhotometricInterpretation == "MONOCHROME1":
        grey = 1 - grey
    return Scan(name, header, values, grey, windowing)


def _check_kind(header: Dataset, name: str) -> None:
    """Raise InputError for everything but grey CT, MR, CR and DX."""
    from pydicom import uid

    if "SOPClassUID" not in header:
        raise InputError(f"{name} does not say what it is: it has no SOP class; only CT, MR, CR and DX are read")
    if header.SOPClassUID not in [getattr(uid, storage) for storage in _STORAGES]:
        raise InputError(
            f"{name} is not a picture of CT, MR, CR or DX, which alone are read, but a "
            f"{short(str(header.SOPClassUID.name), 80)} ({short(str(header.get('Modality') or 'no modality'), 16)})"
        )
    shown = str(header.get("PhotometricInterpretation"))
    if shown not in ("MONOCHROME1", "MONOCHROME2") or header.get("SamplesPerPixel") != 1:
        raise InputError(f"{name} is not grey ({short(shown, 20)}); only MONOCHROME1 and MONOCHROME2 are read")
    if "PixelData" not in header:
        raise InputError(f"{name} has no pixels")
    if header.get("BitsAllocated") not in (8, 16, 32):
        raise InputError(f"{name} has {header.get('BitsAllocated')} bits in a pixel; 8, 16 and 32 are read")


def _check_sizes(header: Dataset, name: str) -> int:
    """Return the number of frames, if all of them together are within the limit of pixels."""
    rows, columns, frames = int(header.Rows), int(header.Columns), int(header.get("NumberOfFrames") or 1)
    if min(rows, columns) < SMALLEST or frames < 1:
        raise InputError(f"{name} has {columns} x {rows} pixels; at least {SMALLEST} x {SMALLEST} are needed")
    limit = max_pixels()
    check_size(columns, rows, limit, name)
    if rows * columns * frames > limit:
        raise InputError(
            f"{name} has {counted(frames, 'frame')} of {columns} x {rows} pixels, more than the limit of "
            f"{megapixels(limit)} in all; raise --max-pixels if you trust it"
        )
    return frames


def _check_decoder(header: Dataset, frames: int, name: str) -> None:
    """Raise InputError if compressed pixels cannot be decoded here, or state another size than the header."""
    from pydicom.encaps import generate_frames
    from pydicom.pixels.decoders.base import get_decoder

    syntax = header.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return
    try:
        found = get_decoder(syntax).is_available
    except NotImplementedError:
        found = False
    if not found:
        raise InputError(
            f"{name} is compressed as {syntax.name}, for which no decoder is installed; unpack it, for example with "
            "gdcmconv --raw or dcmdjpeg"
        )
    for number, frame in enumerate(generate_frames(header.PixelData, number_of_frames=frames)):
        size = coded_size(frame)
        if size is not None and size != (header.Rows, header.Columns, 1):
            raise InputError(
                f"{name} is damaged: its header states {header.Columns} x {header.Rows} grey pixels, but frame "
                f"{number + 1} is compressed from {size[1]} x {size[0]} of {counted(size[2], 'component')}"
            )


def coded_size(frame: bytes) -> tuple[int, int, int] | None:
    """Return height, width and components inside JPEG, JPEG-LS or JPEG 2000; None for other codes, such as RLE.

    Raises:
        ValueError: the code ends before its size, or is a JP2 file, whose boxes could hide it.
    """
    if frame[:4] == b"\xff\x4f\xff\x51" and len(frame) >= 42:  # JPEG 2000: SOC and SIZ
        width, height, left, top = (int.from_bytes(frame[place : place + 4], "big") for place in range(8, 24, 4))
        return height - top, width - left, int.from_bytes(frame[40:42], "big")
    if frame[4:8] == b"jP  ":
        raise ValueError("its compressed pixels are a JP2 file, not a codestream of JPEG 2000")
    if frame[:2] != b"\xff\xd8":
        return None
    place = 2
    while place + 10 <= len(frame):
        kind, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4], "big")
        if frame[place] != 0xFF or kind == 0xDA or length < 2:
            break
        if kind == 0xF7 or (0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC)):  # a start of frame
            height, width = (int.from_bytes(frame[place + i : place + i + 2], "big") for i in (5, 7))
            return height, width, frame[place + 9]
        place += 2 + length
    raise ValueError("its compressed pixels have no header")


# ---- values and what is shown of them --------------------------------------------------------------------------------


def _groups(header: Dataset, frame: int) -> Iterator[Any]:
    """Yield the functional groups of a frame, its own first."""
    for keyword, number in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        items = header.get(keyword) or []
        if number < len(items):
            yield items[number]


def _find(header: Dataset, frame: int, sequence: str, keyword: str) -> Any:
    for group in _groups(header, frame):
        items = group.get(sequence) or []
        if items and keyword in items[0]:
            return items[0].get(keyword)
    return header.get(keyword)


def _modality(stored: npt.NDArray[Any], header: Dataset, frame: int) -> Values:
    """Return the values of a frame after the modality LUT or the rescaling."""
    from pydicom.pixels.processing import apply_modality_lut

    if "ModalityLUTSequence" in header:
        return np.asarray(apply_modality_lut(stored, header), np.float32)
    slope, intercept = (
        _find(header, frame, "PixelValueTransformationSequence", f"Rescale{word}") for word in ("Slope", "Intercept")
    )
    return np.asarray(stored * float(1 if slope is None else slope) + float(intercept or 0), np.float32)


def _shown(values: Values, header: Dataset, window: Window | None, name: str) -> tuple[Values, str]:
    """Return the grey of all frames before MONOCHROME1 is inverted, and what made it."""
    from pydicom.pixels.processing import apply_voi_lut

    if window is not None:
        return window(values), f"window {window.center:g},{window.width:g}"
    own = [_own_window(header, frame, name) for frame in range(len(values))]
    if all(own):
        grey = np.stack([each(frame) for each, frame in zip(own, values, strict=True) if each is not None])
        [first, *_] = [each for each in own if each is not None]
        return grey, f"the file's window {first.center:g},{first.width:g}"
    if header.get("VOILUTSequence"):
        bits = int(header.VOILUTSequence[0].LUTDescriptor[2])
        shown = apply_voi_lut(np.rint(values).astype(np.int32), header, prefer_lut=True)
        return np.clip(np.asarray(shown, np.float32) / np.float32(2**bits - 1), 0, 1), "the file's VOI LUT"
    padding = header.get("PixelPaddingValue")
    inner = values if padding is None else values[values != _modality(np.array([padding]), header, 0)]
    low, high = (float(x) for x in np.percentile(inner if inner.size else values, (0.5, 99.5)))
    window = Window((low + high) / 2, max(high - low, 1e-6))
    return window(values), f"no window in the file; from its histogram {window.center:.4g},{window.width:.4g}"


def _own_window(header: Dataset, frame: int, name: str) -> Window | None:
    """Return the first window of a frame, or None if there is none with a width above 0.

    Raises:
        InputError: its center or width is not a finite number.
    """
    center, width, function = (
        _find(header, frame, "FrameVOILUTSequence", keyword)
        for keyword in ("WindowCenter", "WindowWidth", "VOILUTFunction")
    )
    first = [each if isinstance(each, str | float | int) else next(iter(each or ()), None) for each in (center, width)]
    if first[0] is None or first[1] is None:
        return None
    numbers = float(first[0]), float(first[1])
    if not np.isfinite(numbers).all():
        raise InputError(
            f"{name} has a damaged window ({numbers[0]:g},{numbers[1]:g}); for the view each, --window sets another"
        )
    if numbers[1] <= 0:
        return None
    known = str(function) if function in ("LINEAR", "LINEAR_EXACT", "SIGMOID") else "LINEAR"
    return Window(*numbers, known)
