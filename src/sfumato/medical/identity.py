"""Who a picture is of: what a derived instance takes over from its source, and what it does not."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from sfumato import __version__
from sfumato.errors import InputError
from sfumato.medical.reading import Scan

if TYPE_CHECKING:
    from pydicom import Dataset

_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_STUDY = ("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName")


class Identity:
    """Decides on the identity of all instances of one run.

    With ``deidentify``, instances have the attributes that the Basic Application Level Confidentiality Profile of
    DICOM (PS3.15, table E.1-1) leaves: none of a person, a date, a device or an institution, no private ones, and UIDs
    that nobody can lead back. The same UID of a source becomes the same new one within a run, so a series stays one.

    Args:
        deidentify: whether to remove the identity; otherwise the instances belong to the patient and study of their
            source.
    """

    def __init__(self, deidentify: bool = True) -> None:
        self.deidentify = deidentify
        self._run = uuid.uuid4()

    def mapped(self, old: str, purpose: str = "") -> str:
        """Return a new UID for another one, the same for each use within the run and purpose (PS3.5, annex B.2)."""
        return f"2.25.{uuid.uuid5(self._run, f'{purpose} {old}').int}"

    def source(self, scan: Scan, keyword: str) -> str:
        """Return the UID by which an instance refers to a source; a new one where the source has none that is valid."""
        from pydicom.uid import UID

        old = scan.identifier(keyword)
        return old if not self.deidentify and UID(old).is_valid else self.mapped(old)

    def check(self, scans: Sequence[Scan]) -> None:
        """Raise InputError if the identity is in the pixels and to be removed, or cannot be kept as it is to be."""
        drawn = [scan.name for scan in scans if scan.header.get("BurnedInAnnotation") == "YES"]
        if drawn and self.deidentify:
            raise InputError(
                f"{drawn[0]} has its patient's name or dates drawn in its pixels (Burned In Annotation), which cannot "
                "be removed; add --keep-identity if the result stays where the source may be"
            )
        if bad := [each for each in self.lost(scans) if each in ("PatientName", "PatientID")]:
            raise InputError(
                f"{scans[0].name} has a {bad[0]} that the standard does not allow, so it cannot be kept; mend it, or "
                "leave --keep-identity out"
            )

    def lost(self, scans: Sequence[Scan]) -> list[str]:
        """Return the attributes that are to be kept, but have values that the standard does not allow."""
        return [] if self.deidentify else [word for word, value in _values(scans[0].header).items() if value is None]

    def describe(self, made: Dataset, scans: Sequence[Scan]) -> None:
        """Write patient and study into a derived instance."""
        for keyword, value in _values(scans[0].header).items():  # type 2 of the standard: there, but maybe empty
            setattr(made, keyword, "" if self.deidentify else value or "")
        made.StudyInstanceUID = self.source(scans[0], "StudyInstanceUID")
        if not self.deidentify:
            return
        # Dummies, as the profile allows: archives would merge the patients and studies of files that have none.
        made.PatientName = "LOOK-ALIKE"
        made.PatientID = self.mapped(scans[0].identifier("PatientID", "StudyInstanceUID"), "patient")[-16:]
        made.StudyID = self.mapped(scans[0].identifier("StudyInstanceUID"))[-8:]
        # YES is about the pixels too (PS3.3, table C.7-1), and only files with it claim the profile (PS3.15, E.1.1).
        removed = annotation(scans) == "NO"
        made.PatientIdentityRemoved = "YES" if removed else "NO"
        made.DeidentificationMethod = [
            f"Sfumato {__version__}: new instance by PS3.15, basic profile",
            "pixels not cleaned",
        ]
        if removed:
            made.DeidentificationMethodCodeSequence = [coded("113100", "Basic Application Confidentiality Profile")]
        made.LongitudinalTemporalInformationModified = "REMOVED"


def _values(header: Dataset) -> dict[str, str | None]:
    """Return what a source says of patient and study: empty if it is not there, None if the standard forbids it."""
    from pydicom import Dataset

    found: dict[str, str | None] = {}
    for keyword in (*_PATIENT, *_STUDY):
        found[keyword] = None
        with suppress(UserWarning, ValueError), warnings.catch_warnings():
            warnings.simplefilter("error")  # pydicom's word for values that the standard does not allow
            value = header.get(keyword) or ""
            if keyword not in header or header[keyword].VM <= 1:  # none of them may have several values
                setattr(Dataset(), keyword, str(value))
                found[keyword] = str(value)
    return found


def coded(value: str, meaning: str) -> Dataset:
    """Return an item of a code sequence, of the standard's own codes (DCM)."""
    from pydicom import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def annotation(scans: Sequence[Scan]) -> str | None:
    """Return whether the patient's identity is drawn in the pixels: ``"YES"``, ``"NO"``, or None if it is not known.

    Our own notice is none of that. Pixels as a scanner made them (ORIGINAL, PRIMARY) have nothing drawn in them.
    """
    stated = [str(scan.header.get("BurnedInAnnotation") or "") for scan in scans]
    if "YES" in stated:
        return "YES"
    raw = [[str(each) for each in scan.header.get("ImageType") or ()][:2] == ["ORIGINAL", "PRIMARY"] for scan in scans]
    return "NO" if all(told == "NO" or scanned for told, scanned in zip(stated, raw, strict=True)) else None
