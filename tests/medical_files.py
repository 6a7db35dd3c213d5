"""DICOM files for the tests of look-alikes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sfumato.quality.filters import box
from support import scene

if TYPE_CHECKING:
    from pydicom import Dataset


def item(**attributes: Any) -> Dataset:
    """A data set with these attributes, by keyword."""
    from pydicom import Dataset

    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def dicom(path: Path, values: npt.NDArray[Any], kind: str = "CT", **attributes: Any) -> Path:
    """Write ``(H, W)`` or ``(F, H, W)`` of int16 or uint16 as a DICOM file that is nearly without other attributes."""
    from pydicom import uid
    from pydicom.dataset import FileMetaDataset

    storages = {"CT": "CTImageStorage", "MR": "MRImageStorage", "CR": "ComputedRadiographyImageStorage"}
    made = item()
    made.SOPClassUID = getattr(uid, attributes.pop("storage", None) or storages[kind])
    made.SOPInstanceUID = uid.generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    made.Modality, made.ImageType = kind, ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = values.shape[-2:]
    if values.ndim == 3:
        made.NumberOfFrames = len(values)
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelRepresentation = int(values.dtype.kind == "i")
    made.PixelData = values.astype(f"<{values.dtype.str[1:]}").tobytes()
    made.update(item(**attributes))
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save_as(path, enforce_file_format=True)
    return path


def tissue(height: int = 64, width: int = 72, seed: int = 0) -> npt.NDArray[np.int16]:
    """Values in Hounsfield units, between -160 and 240."""
    return np.asarray(np.rint(box(scene(height, width, seed)[0, 0], 1) * 400 - 160), np.int16)


def series(folder: Path, slices: int = 24, spacing: float = 2.0) -> list[Path]:
    """Write a CT series: a block of water in air, with a rod of bone from head to foot, at the patient's left."""
    values = np.full((slices, 48, 56), -1000, np.int16)
    values[:, 10:30, 8:40] = 0
    values[:, 18:22, 32:36] = 1000
    return [
        dicom(
            folder / f"{number}.dcm",
            each,
            WindowCenter=40,
            WindowWidth=400,
            ImagePositionPatient=[0, 0, -number * spacing],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[1.0, 1.0],
        )
        for number, each in enumerate(values)
    ]
