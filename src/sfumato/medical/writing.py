"""Secondary Capture instances: what look-alikes and difference maps are written as."""

from __future__ import annotations

import io
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from sfumato import __version__
from sfumato.medical.identity import Identity, annotation, coded
from sfumato.medical.reading import Scan

if TYPE_CHECKING:
    from pydicom import Dataset

NOTICE = "NOT FOR DIAGNOSIS"
_LINES = (NOTICE, "NOT FOR\nDIAGNOSIS")
_SMALLEST_LETTERS = 10  # pixels


def with_notice(levels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a picture ``(H, W)`` or ``(H, W, 3)`` with the notice drawn at its lower edge, white with a black rim."""
    picture = Image.fromarray(levels)
    pen = ImageDraw.Draw(picture)
    height, width = levels.shape[:2]
    white, black = (255, 0) if levels.ndim == 2 else ((255,) * 3, (0,) * 3)
    size = max(_SMALLEST_LETTERS, min(height // 12, width // 14))
    text = _LINES[0] if size * 11 <= width else _LINES[1]
    while size > 4 and pen.multiline_textbbox((0, 0), text, ImageFont.load_default(size))[2] > width - 4:
        size -= 1
    pen.multiline_text(
        (width / 2, height - 2),
        text,
        white,
        ImageFont.load_default(size),
        anchor="md",
        align="center",
        stroke_width=max(1, size // 12),
        stroke_fill=black,
    )
    return np.asarray(picture)


def instance(
    frames: Sequence[npt.NDArray[np.uint8]],
    scans: Sequence[Scan],
    identity: Identity,
    kind: str,
    number: int,
    look: str,
    derivation: str,
    notice: bool,
) -> Dataset:
    """Return a new instance of Secondary Capture, of one frame or several, grey or RGB.

    Args:
        frames: ``(H, W)`` or ``(H, W, 3)``, of one shape.
        scans: the sources.
        identity: of the run.
        kind: third value of the image type, such as ``LOOKALIKE``; each kind is a series of its own.
        number: of the instance within the series.
        look: which look it has; each is a series of its own too.
        derivation: how it was made, one sentence; a statement on the notice is added.
        notice: whether the notice is drawn into each frame.
    """
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import (
        ExplicitVRLittleEndian,
        MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        MultiFrameTrueColorSecondaryCaptureImageStorage,
        SecondaryCaptureImageStorage,
    )

    shown = np.stack([with_notice(frame) if notice else frame for frame in frames])
    grey, many = shown.ndim == 3, len(shown) > 1
    of_many = (
        MultiFrameGrayscaleByteSecondaryCaptureImageStorage if grey else MultiFrameTrueColorSecondaryCaptureImageStorage
    )
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.ImageType = ["DERIVED", "SECONDARY", kind]
    made.SOPClassUID = of_many if many else SecondaryCaptureImageStorage
    made.SOPInstanceUID = f"2.25.{uuid.uuid4().int}"
    made.SeriesInstanceUID = identity.mapped(scans[0].identifier("SeriesInstanceUID"), f"{kind} {look}")
    identity.describe(made, scans)
    if not identity.deidentify:
        now = datetime.now()
        made.InstanceCreationDate = made.ContentDate = now.strftime("%Y%m%d")
        made.InstanceCreationTime = made.ContentTime = now.strftime("%H%M%S")
    made.Modality, made.ConversionType = "OT", "WSD"
    made.Manufacturer, made.SoftwareVersions = "Sfumato", __version__
    made.SeriesNumber, made.InstanceNumber = 9001 if kind == "LOOKALIKE" else 9002, number
    made.SeriesDescription = f"{NOTICE}: {kind.lower()}"
    made.PatientOrientation = made.Laterality = ""
    drawn = "the notice is drawn in the pixels" if notice else "the notice in the pixels was left out on request"
    made.DerivationDescription = f"{NOTICE}. {derivation}; {drawn}"[:1024]
    made.SourceImageSequence = [_reference(scan, identity) for scan in scans]
    annotated = annotation(scans)
    if annotated or many:  # those of several frames must state it; what is not known counts as YES, the careful answer
        made.BurnedInAnnotation = annotated or "YES"
    lossy = any(scan.header.get("LossyImageCompression") == "01" for scan in scans)
    made.LossyImageCompression = "01" if lossy else "00"
    if lossy:
        made.LossyImageCompressionRatio = _ratio(scans)
    _describe_pixels(made, shown)
    if many:
        made.NumberOfFrames = len(shown)
        made.FrameIncrementPointer = 0x00182001
        made.PageNumberVector = list(range(1, len(shown) + 1))
        if grey:
            made.PresentationLUTShape, made.RescaleType = "IDENTITY", "US"
            made.RescaleIntercept, made.RescaleSlope = 0, 1
    if (aspect := _aspect(scans[0], shown.shape[1:3])) is not None:
        made.PixelAspectRatio = aspect
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def _describe_pixels(made: Dataset, shown: npt.NDArray[np.uint8]) -> None:
    grey = shown.ndim == 3
    made.SamplesPerPixel, made.PhotometricInterpretation = (1, "MONOCHROME2") if grey else (3, "RGB")
    if not grey:
        made.PlanarConfiguration = 0
    made.Rows, made.Columns = shown.shape[1:3]
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    pixels = shown.tobytes()
    made.PixelData = pixels + b"\0" * (len(pixels) % 2)


def _reference(scan: Scan, identity: Identity) -> Dataset:
    """Return the item that refers to a source."""
    from pydicom import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = scan.header.SOPClassUID
    item.ReferencedSOPInstanceUID = identity.source(scan, "SOPInstanceUID")
    item.PurposeOfReferenceCodeSequence = [coded("121322", "Source image for image processing operation")]
    return item


def _ratio(scans: Sequence[Scan]) -> Any:
    """Return the ratio of lossy compression that the sources state, else 1, which says nothing."""
    stated = [scan.header.get("LossyImageCompressionRatio") for scan in scans]
    return next((each for each in stated if each), 1)


def _aspect(scan: Scan, shape: tuple[int, ...]) -> list[int] | None:
    """Return the shape of a source's pixels if they are not square and the result has the same pixels."""
    spacing = scan.find(0, "PixelMeasuresSequence", "PixelSpacing") or scan.header.get("ImagerPixelSpacing")
    if shape != scan.values.shape[1:] or not spacing or len(spacing) != 2:
        return None
    down, across = (round(float(each) * 10_000) for each in spacing)
    return None if down == across or min(down, across) <= 0 else [down, across]


def to_bytes(made: Dataset) -> bytes:
    """Return the file of an instance."""
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()
