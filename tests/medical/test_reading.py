"""DICOM files are read as their attributes say, and refused in one sentence where they cannot be."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medical_files import dicom, item, tissue
from sfumato import InputError, SfumatoError
from sfumato.limits import set_max_pixels
from sfumato.medical.reading import Window, coded_size, read_scan
from support import FLOAT32

pydicom = pytest.importorskip("pydicom")
from pydicom import dcmread  # noqa: E402
from pydicom.data import get_testdata_file  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.uid import JPEGLosslessSV1  # noqa: E402

PYDICOM = Path(pydicom.__file__).parent / "data" / "test_files"  # in its wheel: no download


def changed(name: str, path: Path, **attributes: Any) -> Path:
    """A copy of one of pydicom's files with other attributes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = dcmread(PYDICOM / name)
        for keyword, value in attributes.items():
            setattr(made, keyword, value)
        made.save_as(path)
    return path


@pytest.mark.parametrize(
    ("window", "shown"),
    [
        (Window(0, 100), [0, 0, 0.25, 0.5, 0.75, 1, 1]),
        (Window(0, 101, "LINEAR"), [0, 0.005, 0.255, 0.505, 0.755, 1, 1]),
        (Window(0, 100, "SIGMOID"), [0.0180, 0.1192, 0.2689, 0.5, 0.7311, 0.8808, 0.9820]),
    ],
    ids=["linear exact", "linear", "sigmoid"],
)
def test_windows_are_those_of_the_standard(window: Window, shown: list[float]) -> None:
    values = np.array([-100, -50, -25, 0, 25, 50, 100], np.float32)
    np.testing.assert_allclose(window(values), shown, atol=5e-5)


def test_values_are_rescaled_and_shown_with_the_own_window(tmp_path: Path) -> None:
    stored = tissue() + 1024
    path = dicom(
        tmp_path / "a.dcm",
        stored,
        RescaleSlope=0.5,
        RescaleIntercept=-1024,
        WindowCenter=[40, 300],
        WindowWidth=[400, 9],
        VOILUTFunction="LINEAR_EXACT",
    )
    scan = read_scan(path)
    hounsfield = stored * 0.5 - 1024
    np.testing.assert_allclose(scan.values[0], hounsfield)
    np.testing.assert_allclose(scan.grey[0], np.clip((hounsfield - 40) / 400 + 0.5, 0, 1), atol=FLOAT32)
    assert scan.windowing == "the file's window 40,400"
    other = read_scan(path, Window(-900, 200))
    np.testing.assert_allclose(other.grey[0], np.clip((hounsfield + 900) / 200 + 0.5, 0, 1), atol=FLOAT32)


def test_monochrome1_is_turned_upright(tmp_path: Path) -> None:
    window = {"WindowCenter": 40, "WindowWidth": 400}
    one = read_scan(dicom(tmp_path / "1.dcm", tissue(), "CR", PhotometricInterpretation="MONOCHROME1", **window))
    two = read_scan(dicom(tmp_path / "2.dcm", tissue(), "CR", **window))
    np.testing.assert_allclose(one.grey, 1 - two.grey)


def test_without_a_window_the_histogram_counts_but_not_the_padding(tmp_path: Path) -> None:
    values = tissue()
    values[:20] = -2000
    scan = read_scan(dicom(tmp_path / "a.dcm", values, PixelPaddingValue=-2000))
    low, high = np.percentile(values[20:], (0.5, 99.5))
    assert "from its histogram" in scan.windowing
    np.testing.assert_allclose(scan.grey[0], np.clip((values - low) / (high - low), 0, 1), atol=1e-4)


def test_look_up_tables_are_used(tmp_path: Path) -> None:
    stored = (np.arange(64 * 64).reshape(64, 64) % 4).astype(np.uint16)
    words = [np.array(each, "<u2").tobytes() for each in ([10, 20, 30, 40], [255 - each for each in range(31)])]
    modality = item(LUTDescriptor=[4, 0, 16], LUTData=words[0], ModalityLUTType="US")
    shown = item(LUTDescriptor=[31, 10, 8], LUTData=words[1])
    scan = read_scan(dicom(tmp_path / "a.dcm", stored, "CR", ModalityLUTSequence=[modality], VOILUTSequence=[shown]))
    np.testing.assert_array_equal(scan.values[0], stored * 10 + 10)
    np.testing.assert_allclose(scan.grey[0], (255.0 - stored * 10) / 255, atol=FLOAT32)


def test_enhanced_files_have_their_values_in_functional_groups(tmp_path: Path) -> None:
    values = np.stack([tissue(seed=seed) for seed in range(3)])
    frames = [
        item(FrameVOILUTSequence=[item(WindowCenter=40 * n, WindowWidth=400, VOILUTFunction="LINEAR_EXACT")])
        for n in range(3)
    ]
    shared = item(PixelValueTransformationSequence=[item(RescaleSlope=2, RescaleIntercept=-5)])
    path = dicom(
        tmp_path / "a.dcm",
        values,
        storage="EnhancedCTImageStorage",
        PerFrameFunctionalGroupsSequence=frames,
        SharedFunctionalGroupsSequence=[shared],
    )
    scan = read_scan(path)
    assert scan.frames == 3
    for n in range(3):
        np.testing.assert_allclose(scan.values[n], values[n] * 2.0 - 5)
        np.testing.assert_allclose(scan.grey[n], np.clip((scan.values[n] - 40 * n) / 400 + 0.5, 0, 1), atol=FLOAT32)


@pytest.mark.parametrize("name", ["RLE", "jp2klossless", "jpeg_ls_lossless", "bigendian", "implicit", "expb", "padded"])
def test_other_transfer_syntaxes_give_the_same_pixels(name: str) -> None:
    np.testing.assert_array_equal(
        read_scan(PYDICOM / f"MR_small_{name}.dcm").grey, read_scan(PYDICOM / "MR_small.dcm").grey
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("liver_1frame.dcm", "but a Segmentation Storage (SEG)"),
        ("rtdose.dcm", "but a RT Dose Storage (RTDOSE)"),
        ("examples_rgb_color.dcm", "but a Ultrasound Image Storage (US)"),
        ("examples_ybr_color.dcm", "Ultrasound Multi-frame Image Storage"),
        ("image_dfl.dcm", "is a deflated file"),
        ("SC_rgb_small_odd.dcm", "Secondary Capture Image Storage"),
        ("MR_truncated.dcm", "cannot be read as DICOM; it may be damaged"),
    ],
)
def test_what_is_not_read_is_said(name: str, sentence: str) -> None:
    path = get_testdata_file(name, download=False)
    with pytest.raises(InputError) as caught:
        read_scan(path)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"storage": "GrayscaleSoftcopyPresentationStateStorage"}, "Grayscale Softcopy Presentation State"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "is not grey (PALETTE COLOR)"),
        ({"SamplesPerPixel": 3}, "is not grey"),
        ({"BitsAllocated": 1}, "has 1 bits in a pixel"),
        ({"Rows": 20}, "has 72 x 20 pixels; at least 48 x 48 are needed"),
        ({"Rows": 65535, "Columns": 65535}, "more than the limit"),
        (
            {"NumberOfFrames": 1_000_000},
            "1000000 frames of 72 x 64 pixels, more than the limit of 200 megapixels in all",
        ),
        ({"Rows": 65}, "it may be damaged"),
        ({"RescaleSlope": "1e300"}, "not finite numbers"),
    ],
)
def test_attributes_that_lie_or_are_not_read_are_said(tmp_path: Path, attributes: Any, sentence: str) -> None:
    path = dicom(tmp_path / "a.dcm", tissue(), **attributes)
    with pytest.raises(InputError) as caught:
        read_scan(path)
    assert sentence in str(caught.value)


def test_a_limit_is_checked_before_decoding(tmp_path: Path) -> None:
    set_max_pixels(4000)
    with pytest.raises(InputError, match=r"has 64 x 64 pixels, more than the limit"):
        read_scan(PYDICOM / "MR_small_jp2klossless.dcm")


@pytest.mark.parametrize("name", ["jp2klossless", "jpeg_ls_lossless"])
def test_compressed_pixels_of_another_size_are_not_decoded(tmp_path: Path, name: str) -> None:
    """A decoder would believe them, and take memory for whatever they say."""
    path = changed(f"MR_small_{name}.dcm", tmp_path / "a.dcm", Rows=50)
    with pytest.raises(InputError, match="header states 64 x 50 grey pixels, but frame 1 is compressed from 64 x 64"):
        read_scan(path)


def test_a_bomb_of_jpeg_2000_is_not_decoded(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = dcmread(PYDICOM / "MR_small_jp2klossless.dcm").PixelData
    start = code.index(b"\xff\x4f\xff\x51")
    code = code[: start + 8] + (60_000).to_bytes(4, "big") * 2 + code[start + 16 :]
    with pytest.raises(InputError, match="is compressed from 60000 x 60000"):
        read_scan(changed("MR_small_jp2klossless.dcm", tmp_path / "a.dcm", PixelData=code))


def test_a_code_of_many_components_is_not_decoded(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = dcmread(PYDICOM / "MR_small_jp2klossless.dcm").PixelData
    start = code.index(b"\xff\x4f\xff\x51")
    code = code[: start + 40] + (16_384).to_bytes(2, "big") + code[start + 42 :]
    with pytest.raises(InputError, match="from 64 x 64 of 16384 components"):
        read_scan(changed("MR_small_jp2klossless.dcm", tmp_path / "a.dcm", PixelData=code))


def test_sizes_inside_jpeg_are_found() -> None:
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (50, 40)).save(file, "JPEG")
    assert coded_size(file.getvalue()) == (40, 50, 1)
    assert coded_size(b"\0" * 64) is None  # RLE
    with pytest.raises(ValueError, match="are a JP2 file"):
        coded_size(b"\0\0\0\x0cjP  \r\n\x87\n")
    with pytest.raises(ValueError, match="no header"):
        coded_size(file.getvalue()[:30])


def test_a_code_without_a_decoder_is_said(tmp_path: Path) -> None:
    path = changed("CT_small.dcm", tmp_path / "a.dcm")
    made = dcmread(path)
    made.PixelData = encapsulate([b"\xff\xd8" + b"\0" * 30])
    made["PixelData"].VR = "OB"
    made.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    made.save_as(path)
    with pytest.raises(
        InputError, match=r"is compressed as JPEG Lossless.*for which no decoder is installed; unpack it"
    ):
        read_scan(path)


def test_files_that_are_no_dicom_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"hello" * 100)
    with pytest.raises(InputError, match="is not a DICOM file"):
        read_scan(tmp_path / "a.dcm")
    with pytest.raises(InputError, match="cannot read"):
        read_scan(tmp_path / "b.dcm")
    with pytest.raises(InputError, match="Is a directory"):
        read_scan(tmp_path)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_jp2klossless.dcm", "MR_small_RLE.dcm"])
def test_damaged_files_end_in_a_sentence(tmp_path: Path, name: str) -> None:
    content, rng = (PYDICOM / name).read_bytes(), np.random.default_rng(0)
    path, refused = tmp_path / "a.dcm", 0
    cuts = [content[: int(length)] for length in rng.integers(0, len(content), 20)]
    for _ in range(40):
        damaged = bytearray(content)
        for place in rng.integers(128, len(content) if rng.random() < 0.5 else 1500, rng.integers(1, 6)):
            damaged[place] = rng.integers(256)
        cuts.append(bytes(damaged))
    for each in cuts:
        path.write_bytes(each)
        sentence = ""
        try:
            scan = read_scan(path)
        except SfumatoError as problem:
            sentence = str(problem)
        refused += bool(sentence)
        assert "\n" not in sentence
        assert sentence or 0 <= scan.grey.min() <= scan.grey.max() <= 1
    assert refused >= 20


def test_a_sequence_that_is_nested_too_deeply_ends_in_a_sentence(tmp_path: Path) -> None:
    head = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    content = (PYDICOM / "CT_small.dcm").read_bytes()
    start = content.index(b"\x08\x00\x05\x00") if b"\x08\x00\x05\x00" in content else 336
    (tmp_path / "a.dcm").write_bytes(content[:start] + head * 5000)
    with pytest.raises(InputError, match="cannot be read as DICOM"):
        read_scan(tmp_path / "a.dcm")
