"""Look-alikes: what is written, who it is of, what is drawn in it, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medical_files import dicom, item, series, tissue
from sfumato import InputError, OutputError, PaintOptions, Style, Stylizer, UsageError
from sfumato.image import luma
from sfumato.limits import set_max_pixels
from sfumato.medical import Look, look_alike
from sfumato.medical.identity import Identity
from sfumato.medical.projection import WATER, project
from sfumato.medical.reading import read_scan
from sfumato.medical.tone import radiograph_tone
from support import SUM32, assert_one_sentence, files, run

pydicom = pytest.importorskip("pydicom")
from pydicom import dcmread  # noqa: E402

TEST_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
WINDOW: dict[str, Any] = {"WindowCenter": 40, "WindowWidth": 400}
PERSON: dict[str, Any] = {
    "PatientName": "Marked^Name",
    "PatientID": "marked-id",
    "PatientBirthDate": "19500102",
    "PatientSex": "F",
    "StudyDate": "20200504",
    "AccessionNumber": "marked-accession",
    "ReferringPhysicianName": "Marked^Doctor",
    "InstitutionName": "marked institution",
    "DeviceSerialNumber": "marked serial",
    "StudyDescription": "marked study",
    "PatientComments": "marked comment",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = dicom(tmp_path_factory.mktemp("source") / "marked.dcm", tissue(), **WINDOW, **PERSON)
    made = dcmread(path)
    made.private_block(0x0099, "marked maker", create=True).add_new(1, "LO", "marked private")
    made.save_as(path)
    return path


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(threads=1)


def test_an_instance_is_new_derived_and_says_what_it_is(source: Path, tmp_path: Path) -> None:
    made = look_alike(source)
    made.save(tmp_path / "a.dcm", tmp_path / "b.dcm")
    read, before = dcmread(tmp_path / "a.dcm"), dcmread(source)
    assert read.SOPClassUID.name == "Secondary Capture Image Storage"
    assert read.ImageType == ["DERIVED", "SECONDARY", "LOOKALIKE"]
    assert len({read.SOPInstanceUID, read.SeriesInstanceUID, before.SOPInstanceUID, before.SeriesInstanceUID}) == 4
    assert read.DerivationDescription.startswith("NOT FOR DIAGNOSIS. Look-alike by Sfumato")
    assert "the file's window 40,400" in read.DerivationDescription
    assert str(made.worst()) in read.DerivationDescription
    assert read.DerivationDescription.endswith("the notice is drawn in the pixels")
    assert read.BurnedInAnnotation == "NO"  # which is about patients: the source is as the scanner made it
    np.testing.assert_array_equal(read.pixel_array, made.dataset.pixel_array)
    tone = radiograph_tone(read_scan(source).grey[0])
    np.testing.assert_array_equal(made.frames[0], np.rint(tone * 255))


def test_the_notice_is_in_the_pixels_and_off_only_by_a_choice_that_is_recorded(source: Path) -> None:
    drawn, plain = (look_alike(source, Look(notice=notice)) for notice in (True, False))
    np.testing.assert_array_equal(plain.dataset.pixel_array, plain.frames[0])
    np.testing.assert_array_equal(drawn.frames, plain.frames)
    changed = drawn.dataset.pixel_array != drawn.frames[0]
    assert changed[40:].mean() > 0.1
    assert not changed[:32].any()
    assert (drawn.difference.pixel_array != plain.difference.pixel_array).any()
    assert plain.dataset.DerivationDescription.endswith("the notice in the pixels was left out on request")


@pytest.mark.parametrize("shape", [(48, 48), (48, 200), (200, 48), (512, 700)])
def test_the_notice_fits_in(tmp_path: Path, shape: tuple[int, int]) -> None:
    from sfumato.medical.writing import with_notice

    drawn = with_notice(np.full(shape, 128, np.uint8))
    white = np.argwhere(drawn > 150)
    assert len(white) > 20
    assert white[:, 1].min() > 0
    assert white[:, 1].max() < shape[1] - 1
    assert white[:, 0].max() < shape[0]


def test_the_identity_is_removed(source: Path, tmp_path: Path) -> None:
    look_alike(source).save(tmp_path / "a.dcm", tmp_path / "b.dcm")
    before = dcmread(source)
    for path in (tmp_path / "a.dcm", tmp_path / "b.dcm"):
        content = path.read_bytes()
        assert b"arked" in source.read_bytes()
        assert b"arked" not in content
        for secret in (
            before.SOPInstanceUID,
            before.StudyInstanceUID,
            before.SeriesInstanceUID,
            "19500102",
            "20200504",
        ):
            assert secret.encode() in source.read_bytes()
            assert f"{secret}\0".encode() not in content + b"\0", secret
        read = dcmread(path)
        assert not [each for each in read.iterall() if each.tag.is_private]
        assert not [each.keyword for each in read.iterall() if each.VR in ("DA", "TM", "DT") and each.value]
        assert read.PatientIdentityRemoved == "YES"
        assert read.DeidentificationMethodCodeSequence[0].CodeValue == "113100"
        assert read.LongitudinalTemporalInformationModified == "REMOVED"


def test_the_identity_is_kept_on_request(source: Path) -> None:
    made, before = look_alike(source, identity=Identity(deidentify=False)).dataset, dcmread(source)
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "AccessionNumber", "StudyInstanceUID"):
        assert made[keyword].value == before[keyword].value
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert made.SeriesInstanceUID != before.SeriesInstanceUID
    assert "PatientIdentityRemoved" not in made
    assert "InstitutionName" not in made


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientID", "7" * 65), ("PatientID", ["one", "two"]), ("PatientName", "a=b=c=d")],
)
def test_a_patient_who_cannot_be_kept_is_said(tmp_path: Path, keyword: str, value: Any) -> None:
    with pydicom.config.disable_value_validation():
        path = dicom(tmp_path / "a.dcm", tissue(), **WINDOW, **{keyword: value})
    done = run("medical", path, "-o", tmp_path / "b.dcm", "--keep-identity")
    assert_one_sentence(done, 3, f"{path} has a {keyword} that the standard does not allow, so it cannot be kept")
    assert files(tmp_path) == ["a.dcm"]
    assert run("medical", path, "-o", tmp_path / "b.dcm").exit_code == 0


def test_values_that_are_left_out_are_named(tmp_path: Path) -> None:
    with pydicom.config.disable_value_validation():
        bad = {**PERSON, "PatientBirthDate": "1950-1-2", "StudyID": "7" * 17, "SpecificCharacterSet": "ISO_IR 192"}
        path = dicom(tmp_path / "a.dcm", tissue(), **WINDOW, **bad)
    path.write_bytes(path.read_bytes().replace(b"marked-accession", b"marked-\xff\xffcession"))  # no UTF-8
    done = run("medical", path, "-o", tmp_path / "b.dcm", "--keep-identity")
    assert done.exit_code == 0, done.stderr
    assert "does not allow, which are left out: PatientBirthDate, StudyID, AccessionNumber\n" in done.stderr
    made = dcmread(tmp_path / "b.dcm")
    assert made.PatientBirthDate == made.StudyID == made.AccessionNumber == ""
    assert (made.PatientID, made.StudyDate) == ("marked-id", "20200504")


def test_a_series_stays_one_and_nobody_can_lead_back(tmp_path: Path) -> None:
    paths, one, other = series(tmp_path / "ct", 2), Identity(), Identity()
    first, second = (look_alike(path, identity=one).dataset for path in paths)
    again = look_alike(paths[0], identity=other).dataset
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID"):
        assert first[keyword].value == second[keyword].value != again[keyword].value
    assert first.SOPInstanceUID != second.SOPInstanceUID


@pytest.mark.parametrize("missing", [["PatientID"], ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"]])
def test_patients_without_ids_are_not_made_one(tmp_path: Path, missing: list[str]) -> None:
    paths, identity = [], Identity()
    for name, study in (("a", "1.2.3"), ("b", "1.2.4"), ("c", "1.2.4")):
        there = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.1", "PatientID": ""}
        paths.append(dicom(tmp_path / f"{name}.dcm", tissue(), **WINDOW, **{**there, **dict.fromkeys(missing)}))
    made = [look_alike(path, identity=identity) for path in paths]
    for keyword in ("PatientID", "StudyInstanceUID", "StudyID", "SeriesInstanceUID"):
        a, b, c = (each.dataset[keyword].value for each in made)
        assert a not in (b, c), keyword
        assert (b == c) == (len(missing) == 1), keyword
    for each in made:
        assert each.dataset.PatientID == each.difference.PatientID
        assert each.dataset.StudyInstanceUID == each.difference.StudyInstanceUID


@pytest.mark.parametrize(
    ("attributes", "many", "answer"),
    [
        ({"BurnedInAnnotation": "NO", "ImageType": ["DERIVED", "SECONDARY"]}, False, "NO"),
        ({"ImageType": ["DERIVED", "SECONDARY"]}, False, None),
        ({"ImageType": ["DERIVED", "SECONDARY"]}, True, "YES"),
        ({}, True, "NO"),
    ],
)
def test_what_is_known_of_names_in_pixels(tmp_path: Path, attributes: Any, many: bool, answer: str | None) -> None:
    values = np.stack([tissue(), tissue(seed=1)]) if many else tissue()
    made = look_alike(dicom(tmp_path / "a.dcm", values, **WINDOW, **attributes))
    assert made.dataset.get("BurnedInAnnotation") == answer
    unknown = [each for each in made.remarks if "does not say whether its patient's name is drawn" in each]
    assert bool(unknown) == (answer in (None, "YES"))
    for each in (made.dataset, made.difference):  # which is about attributes and pixels
        assert each.PatientIdentityRemoved == ("YES" if answer == "NO" else "NO")
        assert ("DeidentificationMethodCodeSequence" in each) == (answer == "NO")


def test_names_in_pixels_cannot_be_removed(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", tissue(), BurnedInAnnotation="YES")
    with pytest.raises(InputError, match="add --keep-identity"):
        look_alike(path)
    assert look_alike(path, identity=Identity(deidentify=False)).dataset.BurnedInAnnotation == "YES"


def test_every_frame_is_made_and_it_is_said(tmp_path: Path) -> None:
    values = np.stack([tissue(seed=seed) for seed in range(3)])
    made = look_alike(dicom(tmp_path / "a.dcm", values, **WINDOW))
    assert made.dataset.SOPClassUID.name == "Multi-frame Grayscale Byte Secondary Capture Image Storage"
    assert made.dataset.pixel_array.shape == (3, 64, 72)
    assert len(made.measured) == 3
    assert made.remarks == [f"{tmp_path / 'a.dcm'} has 3 frames, and so has its look-alike"]


def test_a_difference_map_is_grey_where_nothing_changed(source: Path, stylizer: Stylizer) -> None:
    style = Style.named("great-wave")
    look = Look(True, style, 0.1, notice=False, paint=PaintOptions(quality="draft"))
    made = look_alike(source, look, stylizer=stylizer)
    grey, change = read_scan(source).grey[0], made.difference.pixel_array.astype(float)
    assert made.difference.ImageType[2] == "DIFFERENCE"
    assert made.difference.SeriesInstanceUID != made.dataset.SeriesInstanceUID
    np.testing.assert_allclose(change / 127.5 - 1, made.frames[0] / 255 - grey, atol=1.01 / 127)
    assert 3 < np.abs(change - 128).max() < 60
    assert (change[grey == 0] == 128).all()


def test_grey_stays_grey_unless_a_colour_is_asked_for(source: Path, stylizer: Stylizer) -> None:
    style, draft = Style.named("great-wave"), PaintOptions(quality="draft")
    plain = look_alike(source, Look(True, style, 0.1, paint=draft), stylizer=stylizer)
    hued = look_alike(source, Look(True, style, 0.1, True, paint=draft), stylizer=stylizer)
    assert plain.dataset.PhotometricInterpretation == "MONOCHROME2"
    assert hued.dataset.PhotometricInterpretation == "RGB"
    assert hued.frames.shape == (1, 64, 72, 3)
    assert np.ptp(hued.frames.astype(int), axis=3).max() > 20
    shown = luma(hued.frames[0].transpose(2, 0, 1) / 255.0)
    assert np.abs(shown - plain.frames[0] / 255).max() < 1.5 / 255


def test_pixels_that_are_not_square_are_said_to_be(tmp_path: Path) -> None:
    made = look_alike(dicom(tmp_path / "a.dcm", tissue(), PixelSpacing=[0.5, 0.25], **WINDOW))
    assert made.dataset.PixelAspectRatio == [5000, 2500]
    assert "PixelSpacing" not in made.dataset


# ---- projections -----------------------------------------------------------------------------------------------------


def test_rays_are_integrals_of_attenuation(tmp_path: Path) -> None:
    """20 mm of water; and 16 mm of it with 4 mm of twice its attenuation."""
    scans = [read_scan(path) for path in series(tmp_path)]
    p = project(scans, "front")
    assert p.shape == (48, 56)  # 24 slices of 2 mm, in pixels of 1 mm
    np.testing.assert_allclose(p[:, 12:30], 20 * WATER, rtol=SUM32)
    np.testing.assert_allclose(p[:, 33:35], 24 * WATER, rtol=SUM32)
    assert p[:, :8].max() == 0
    side = project(scans, "side")
    assert side.shape == (48, 48)
    np.testing.assert_allclose(side[:, 19:21], 36 * WATER, rtol=SUM32)
    np.testing.assert_allclose(project(scans, "front", "max")[:, 33:35], 48 * 2 * WATER, rtol=SUM32)


def test_files_are_put_in_order_and_one_of_many_frames_is_a_series(tmp_path: Path) -> None:
    paths = series(tmp_path)
    dataset = dcmread(paths[0])
    dataset.PixelData = np.full((48, 56), -1000, "<i2").tobytes()
    dataset.save_as(paths[0])  # the slice nearest to the head is empty
    scans = [read_scan(path) for path in paths]
    p = project(scans[::-1], "front")
    assert p[0, 20] == 0
    assert p[-1, 20] > 0
    groups = [item(PlanePositionSequence=[item(ImagePositionPatient=s.header.ImagePositionPatient)]) for s in scans]
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[1, 1])],
    )
    values = np.concatenate([scan.values for scan in scans]).astype(np.int16)
    path = dicom(
        tmp_path / "all.dcm",
        values,
        storage="EnhancedCTImageStorage",
        PerFrameFunctionalGroupsSequence=groups,
        SharedFunctionalGroupsSequence=[shared],
    )
    np.testing.assert_allclose(project([read_scan(path)], "front"), p)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("a slice is missing", "do not lie at even distances"),
        ("a slice is there twice", "do not lie at even distances"),
        ("too few", "has 7 slices; a radiograph is made of 8 or more"),
        ("another series", "are of several series"),
        ("another size", "are of different sizes"),
        ("not CT", "is not CT; only its values are attenuation"),
        ("not axial", "is not an axial slice of a patient on the back"),
        ("no place", "does not say where its slices lie"),
        ("another spacing", "have different pixel spacings"),
        ("damaged place", "a position, an orientation or a pixel spacing that is damaged"),
    ],
)
def test_what_cannot_be_projected_is_said(tmp_path: Path, change: str, sentence: str) -> None:
    paths = series(tmp_path)
    dataset = dcmread(paths[3])
    if change == "another size":
        dataset.Rows, dataset.PixelData = 49, dataset.PixelData + bytes(112)
    if change == "not CT":
        dataset.Modality = "MR"
    if change == "another series":
        dataset.SeriesInstanceUID = "1.2.9"
    if change == "not axial":
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    if change == "no place":
        del dataset.ImagePositionPatient
    if change == "another spacing":
        dataset.PixelSpacing = [1, 1.02]
    if change == "damaged place":
        dataset.PixelSpacing = [0, 1]
    dataset.save_as(paths[3])
    if change == "a slice is missing":
        del paths[3]
    if change == "a slice is there twice":
        paths.append(paths[3])
    if change == "too few":
        paths = paths[:7]
    with pytest.raises(InputError) as caught:
        look_alike(paths, Look(view="front"))
    assert sentence in str(caught.value)


def test_a_radiograph_that_is_too_small_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="would have 56 x 24 pixels; at least 48 are needed"):
        look_alike(series(tmp_path, spacing=1), Look(view="front"))


def test_a_hostile_distance_of_slices_does_not_make_a_huge_picture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"one side more than 1000 times the other|more than the limit"):
        look_alike(series(tmp_path, spacing=1e9), Look(view="front"))


# ---- the command -----------------------------------------------------------------------------------------------------


def test_the_command_makes_one_file_and_its_difference(source: Path, tmp_path: Path) -> None:
    out, change = tmp_path / "a.dcm", tmp_path / "b.dcm"
    done = run("medical", source, "-o", out, "--difference", change, "--window", "-20,300")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"wrote {out}: order 1.0000, structure 1.000, contrast 1.000, added 0\n")
    assert "window -20,300" in dcmread(out).DerivationDescription
    assert files(tmp_path) == ["a.dcm", "b.dcm"]
    assert_one_sentence(run("medical", source, "-o", out), 4, f"{out} already exists; add --overwrite")
    assert run("medical", source, "-o", out, "--overwrite").exit_code == 0


def test_the_command_makes_each_file_of_a_folder_and_names_those_it_cannot(source: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    shutil.copy(source, tmp_path / "in" / "deep" / "Marked^Name.dcm")
    shutil.copy(TEST_FILES / "MR_small_RLE.dcm", tmp_path / "in" / "z.dcm")
    shutil.copy(TEST_FILES / "rtdose.dcm", tmp_path / "in" / "dose.dcm")
    (tmp_path / "in" / "DICOMDIR").write_text("an index")
    (tmp_path / "in" / "readme.txt").write_text("no DICOM")
    done = run("medical", tmp_path / "in", "-o", tmp_path / "out")
    assert done.exit_code == 3
    assert files(tmp_path / "out") == ["0001.dcm", "0004.dcm"]  # file names can name patients
    assert "readme.txt is not a DICOM file" in done.stderr
    assert "RT Dose Storage" in done.stderr
    assert "2 of 4 files were made" in done.stderr


def test_the_command_makes_a_radiograph_of_a_series(tmp_path: Path) -> None:
    series(tmp_path / "ct")
    done = run("medical", tmp_path / "ct", "-o", tmp_path / "a.dcm", "--view", "front", "--overwrite")
    assert done.exit_code == 0, done.stderr
    made = dcmread(tmp_path / "a.dcm")
    assert made.pixel_array.shape == (48, 56)
    assert len(made.SourceImageSequence) == 24
    assert "front view of a CT series (mean attenuation)" in made.DerivationDescription


def test_a_look_alike_below_the_gates_is_refused_with_reasons(tmp_path: Path) -> None:
    """A style of hard stripes changes contrasts by more than a tenth at the largest strength."""
    values = (np.indices((96, 96)).sum(0) % 12 * 20 + tissue(96, 96) // 4).astype(np.int16)
    path, out = dicom(tmp_path / "a.dcm", values, WindowCenter=100, WindowWidth=400), tmp_path / "b.dcm"
    done = run("medical", path, "--look", "monet", "--strength", "0.2", "--quality", "draft", "-o", out)
    assert_one_sentence(done, 7, f"the look-alike of {path} was refused: ")
    assert "take less strength or another style" in done.stderr
    assert not out.exists()
    assert run("medical", path, "--look", "monet", "--strength", "0.05", "--quality", "draft", "-o", out).exit_code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--strength", "0.3", "--look", "monet"], "strength must be between 0 and 0.2, but is 0.3"),
        (["--window", "40"], "--window must be a center and a width, as in 40,400, but is '40'"),
        (["--window", "40,0"], "the width of window must be between"),
        (["--window", "40,400", "--view", "side"], "a window is for the view each"),
        (["--ray", "max"], "only the views front and side have rays"),
        (["--color", "style"], "only a style has colours"),
        (["--look", "monett"], "monett"),
    ],
)
def test_wrong_options_are_said(source: Path, tmp_path: Path, words: list[str], sentence: str) -> None:
    assert_one_sentence(run("medical", source, "-o", tmp_path / "a.dcm", *words), 2, sentence)
    assert files(tmp_path) == []


def test_a_source_is_never_replaced(tmp_path: Path) -> None:
    paths, ct, free = series(tmp_path / "ct"), tmp_path / "ct", tmp_path / "free"
    before = [path.read_bytes() for path in paths]
    for source, place, view in (
        (paths[0], paths[0], "each"),
        (ct, ct, "each"),
        (ct, ct / "new", "each"),
        (ct, paths[0], "front"),
    ):
        for words, option in ((["-o", place], "-o"), (["-o", free, "--difference", place], "--difference")):
            done = run("medical", source, *words, "--view", view, "--overwrite")
            assert_one_sentence(done, 2, f"{place} is the source, or in it; name another place with {option}")
    assert [path.read_bytes() for path in paths] == before
    assert not free.exists()


def test_files_of_a_series_are_limited_together(tmp_path: Path) -> None:
    paths = series(tmp_path)
    set_max_pixels(3 * 48 * 56)
    with pytest.raises(InputError, match=r"3\.dcm have more pixels than the limit"):
        look_alike(paths, Look(view="front"))


def test_damage_that_shows_late_ends_in_a_sentence(tmp_path: Path) -> None:
    """pydicom decodes attributes when they are first looked at, some not before the instance is written."""
    path = dicom(tmp_path / "a.dcm", tissue(), **WINDOW, LossyImageCompression="01", LossyImageCompressionRatio=7.25)
    content = path.read_bytes()
    assert content.count(b"7.25") == 1
    path.write_bytes(content.replace(b"7.25", b"7x25"))
    with pytest.raises(InputError, match=r"a\.dcm cannot be read as DICOM; it may be damaged"):
        look_alike(path)


@pytest.mark.parametrize(
    ("center", "width", "sentence"),
    [
        ("nan", "400", "a damaged window (nan,400); for the view each, --window sets another"),
        ("40", "inf", "a damaged window (40,inf)"),
        ("-inf", "400", "a damaged window (-inf,400)"),
        ("40", "1e-60", "no finite greys"),  # 0 in the precision of the values
    ],
)
def test_a_window_without_a_finite_result_is_said_and_stops_no_folder(
    source: Path, tmp_path: Path, center: str, width: str, sentence: str
) -> None:
    values = tissue()
    values[0, 0] = 40
    with pydicom.config.disable_value_validation():
        bad = dicom(
            tmp_path / "in" / "a.dcm", values, WindowCenter=center, WindowWidth=width, VOILUTFunction="LINEAR_EXACT"
        )
    shutil.copy(source, tmp_path / "in" / "b.dcm")
    done = run("medical", tmp_path / "in", "-o", tmp_path / "out")
    assert done.exit_code == 3
    assert f"{bad} has" in done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert files(tmp_path / "out") == ["0002.dcm"]


@pytest.mark.parametrize("uid", ["", "patient 17", "1." * 40])
def test_uids_that_are_none_are_replaced(tmp_path: Path, uid: str) -> None:
    path = dicom(tmp_path / "a.dcm", tissue(), **WINDOW, StudyInstanceUID="1.2.840.99999999")
    path.write_bytes(path.read_bytes().replace(b"1.2.840.99999999", uid.encode()[:16].ljust(16, b"\0")))
    made = look_alike(path, identity=Identity(deidentify=False))
    assert made.dataset.StudyInstanceUID.is_valid
    made.save(tmp_path / "b.dcm")


def test_without_the_extra_the_command_says_how_to_install_it(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series(tmp_path / "ct", 2)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    for each in (source, tmp_path / "ct"):
        done = run("medical", each, "-o", tmp_path / "a.dcm")
        assert_one_sentence(done, 2, "Reading DICOM needs the extra 'medical', which is not installed")


def test_a_folder_stops_where_nothing_can_be_written_but_not_at_an_existing_file(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.txt").write_text("no DICOM")
    for name in "abc":
        dicom(tmp_path / "in" / f"{name}.dcm", tissue(), **WINDOW)
    (tmp_path / "file").write_text("a file, so no folder can be made in it")
    done = run("medical", tmp_path / "in", "-o", tmp_path / "file" / "out")
    assert done.exit_code == 3  # of the first file that failed
    assert done.stderr.count("cannot write") == 1
    assert "0.txt is not a DICOM file" in done.stderr
    assert "0 of 4 files were made" in done.stderr
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0002.dcm").write_text("older")
    done = run("medical", tmp_path / "in", "-o", tmp_path / "out")
    assert "0002.dcm already exists" in done.stderr
    assert "2 of 4 files were made" in done.stderr
    assert files(tmp_path / "out") == ["0002.dcm", "0003.dcm", "0004.dcm"]


def test_two_files_of_one_name_and_wrong_calls_are_said(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="name two files"):
        look_alike(source).save(tmp_path / "a.dcm", tmp_path / "a.dcm")
    with pytest.raises(UsageError, match="one file at a time"):
        look_alike([source, source])
    with pytest.raises(UsageError, match="no look was given"):
        Look(xray=False)


# ---- the validators of others ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("dciodvfy") and shutil.which("dcmdump")), reason="needs dicom3tools and dcmtk")
@pytest.mark.parametrize("deidentify", [True, False])
def test_other_validators_find_no_error(source: Path, tmp_path: Path, stylizer: Stylizer, deidentify: bool) -> None:
    values = np.stack([tissue(), tissue(seed=1)])
    many, ct = dicom(tmp_path / "many.dcm", values, **WINDOW), series(tmp_path / "ct")
    hued = Look(True, Style.named("great-wave"), 0.1, True, paint=PaintOptions(quality="draft"))
    made: list[tuple[Any, Look]] = [
        (source, Look()),
        (many, Look()),
        (source, hued),
        (many, hued),
        (ct, Look(view="side")),
        (TEST_FILES / "693_J2KI.dcm", Look()),
        (dicom(tmp_path / "unknown.dcm", tissue(), **WINDOW, ImageType=["DERIVED", "SECONDARY"]), Look()),
    ]
    for number, (path, look) in enumerate(made):
        pair = tmp_path / f"{number}.dcm", tmp_path / f"{number}-change.dcm"
        look_alike(path, look, identity=Identity(deidentify), stylizer=stylizer).save(*pair)
        for each in pair:
            valid = subprocess.run(["dciodvfy", each], capture_output=True, text=True, check=False)
            assert "Error" not in valid.stdout + valid.stderr, f"{path}\n{valid.stdout}{valid.stderr}"
            assert valid.returncode == 0
            subprocess.run(["dcmdump", "-q", each], stdout=subprocess.DEVNULL, check=True)
