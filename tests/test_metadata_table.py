"""The table of metadata in docs/privacy.md is true: each field of each row is put into a file and looked for after."""

from __future__ import annotations

import io
import json
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from artefact_bytes import unpacked
from sfumato.image import read_photo, read_recipe, write_photo
from support import run, scene
from test_metadata import dataset, photoshop, raw_profile

PAGE = Path(__file__).parents[1] / "docs" / "privacy.md"
RECIPE: dict[str, object] = {"version": "0.1.0", "styles": [{"name": "marked-recipe"}]}
#: What each field is filled with; dates and resolutions have formats of their own.
MARKS = {
    **{name: f"marked {name}" for name in ("copyright", "artist", "description", "camera", "lens", "owner")},
    **{name: f"marked {name}" for name in ("maker note", "computer", "software", "comment", "city", "thumbnail")},
    **{name: f"marked {name}" for name in ("title", "generator", "extras", "editing history", "colour profile")},
    "serial number": "marked-serial-4711",
    "unique id": "marked0123456789marked0123456789",
    "place": "marked place",
    "date": "2020:05:04 10:20:30",
    "resolution": "321",
    "do-not-train mark": "DMI-PROHIBITED",
    "node names": "marked node",
    **{name: f"marked {name}" for name in ("patient", "physician", "institution", "private field")},
    "place in a painted texture": "marked place",
    "comment in a painted texture": "marked comment",
}
STILLS = ("JPEG", "PNG", "WebP", "TIFF", "HEIC", "GIF")
VIDEOS = {"MP4": ".mp4", "WebM": ".webm", "MKV": ".mkv"}


def rows() -> list[dict[str, Any]]:
    """The rows of the table."""
    section = PAGE.read_text("utf-8").partition("## Metadata")[2].partition("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", section, re.M)]
    head, _, *body = lines
    assert head == ["source", "result", "kept", "removed", "written"]
    return [
        {
            "source": row[0],
            "result": row[1],
            **{
                key: list(filter(None, map(str.strip, cell.split(","))))
                for key, cell in list(zip(head, row, strict=True))[2:]
            },
        }
        for row in body
    ]


def exif() -> bytes:
    made = Image.Exif()
    made[ExifTags.Base.Copyright] = MARKS["copyright"]
    made[ExifTags.Base.Artist] = MARKS["artist"]
    made[ExifTags.Base.ImageDescription] = MARKS["description"]
    made[ExifTags.Base.Make] = made[ExifTags.Base.Model] = MARKS["camera"]
    made[ExifTags.Base.Software] = MARKS["software"]
    made[ExifTags.Base.HostComputer] = MARKS["computer"]
    made[ExifTags.Base.XPComment] = MARKS["comment"].encode()
    made[ExifTags.Base.ResolutionUnit] = 2
    made[ExifTags.Base.XResolution] = made[ExifTags.Base.YResolution] = float(MARKS["resolution"])
    made[ExifTags.IFD.Exif] = {
        ExifTags.Base.DateTimeOriginal: MARKS["date"],
        ExifTags.Base.MakerNote: MARKS["maker note"].encode(),
        ExifTags.Base.UserComment: b"ASCII\0\0\0" + MARKS["comment"].encode(),
        ExifTags.Base.CameraOwnerName: MARKS["owner"],
        ExifTags.Base.BodySerialNumber: MARKS["serial number"],
        ExifTags.Base.LensModel: MARKS["lens"],
        ExifTags.Base.LensSerialNumber: MARKS["serial number"],
        ExifTags.Base.ImageUniqueID: MARKS["unique id"],
    }
    made[ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 51.0, 12.0), 28: MARKS["place"].encode()}
    return made.tobytes()


XMP = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<r:Description xmlns:h="http://ns.adobe.com/xap/1.0/mm/" xmlns:p="http://ns.adobe.com/photoshop/1.0/"
xmlns:e="http://ns.adobe.com/exif/1.0/" e:GPSLatitude="{MARKS["place"]}" p:City="{MARKS["city"]}"
h:History="{MARKS["editing history"]}" xmlns:u="http://ns.useplus.org/ldf/xmp/1.0/"
u:DataMining="http://ns.useplus.org/ldf/vocab/{MARKS["do-not-train mark"]}"/></r:RDF></x:xmpmeta>""".encode()
BLOCKS = photoshop(dataset(90, MARKS["city"].encode())).replace(b"SECRET thumbnail", b"marked thumbnail")


def profile() -> bytes:
    """A colour profile with a name of its own."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    name = "sRGB built-in".encode("utf-16-be")
    at = made.find(name)
    assert at > 0
    marked = "marked colour".encode("utf-16-be")
    made[at : at + len(name)] = marked[: len(name)]
    return bytes(made)


MARKS["colour profile"] = "marked colour"


def still(kind: str) -> bytes:
    """A picture with all fields that its format can have."""
    picture = Image.linear_gradient("L").resize((96, 72)).convert("RGB")
    file = io.BytesIO()
    if kind == "JPEG":
        picture.save(file, "JPEG", exif=exif(), xmp=XMP, icc_profile=profile(), comment=MARKS["comment"].encode())
        data = file.getvalue()
        block = b"Photoshop 3.0\0" + BLOCKS
        return data[:2] + struct.pack(">HH", 0xFFED, len(block) + 2) + block + data[2:]
    if kind == "PNG":
        info = PngInfo()
        info.add_text("Comment", MARKS["comment"], zip=True)
        info.add_text("Software", MARKS["software"])
        info.add_text("Raw profile type iptc", raw_profile("iptc", BLOCKS), zip=True)
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        picture.save(file, "PNG", exif=exif(), pnginfo=info, icc_profile=profile(), dpi=(321, 321))
    elif kind == "WebP":
        picture.save(file, "WEBP", exif=exif(), xmp=XMP, icc_profile=profile())
    elif kind == "TIFF":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        for tag, value in ((700, XMP), (34377, BLOCKS)):
            tags[tag], tags.tagtype[tag] = value, 7
        made = Image.Exif()
        made.load(exif())
        for tag, value in tags.items():
            made[tag] = value
        picture.save(file, "TIFF", exif=made, icc_profile=profile())
    elif kind == "HEIC":
        pytest.importorskip("pillow_heif").register_heif_opener(thumbnails=False)
        picture.save(file, "HEIF", exif=exif(), xmp=XMP, icc_profile=profile())
    else:
        picture.save(file, "GIF", comment=MARKS["comment"].encode())
    return file.getvalue()


def has(data: bytes, field: str) -> bool:
    """Whether a file, unpacked, has the mark of a field, in 8 or 16 bits a letter."""
    mark = MARKS[field]
    forms = [mark.encode(kind) for kind in ("utf-8", "utf-16-le", "utf-16-be")]
    return any(form in part for part in unpacked(data) for form in forms)


def resolution_of(data: bytes) -> float | None:
    found = read_photo(data).metadata.resolution
    return None if found is None else round(found[0])


def test_every_format_has_a_row() -> None:
    assert [row["source"] for row in rows()] == [*STILLS, *VIDEOS, "GLB", "DICOM"]
    for row in rows():
        assert not set(row["kept"]) & set(row["removed"])
        assert set(row["kept"]) | set(row["removed"]) <= set(MARKS)


@pytest.mark.parametrize("kind", STILLS)
def test_pictures(kind: str, tmp_path: Path) -> None:
    row = next(row for row in rows() if row["source"] == kind)
    data = still(kind)
    path = tmp_path / f"out.{row['result'].lower()}"
    photo = read_photo(data)
    write_photo(replace(photo, metadata=replace(photo.metadata, recipe=RECIPE)), path)
    result = path.read_bytes()
    for field in row["kept"]:
        if field == "resolution":
            assert resolution_of(data) == resolution_of(result) == 321
        else:
            assert has(data, field), f"the source has no {field}"
            assert has(result, field), f"{field} is lost"
    for field in row["removed"]:
        assert has(data, field), f"the source has no {field}"
        assert not has(result, field), f"{field} is left"
    assert b"Sfumato" in b"".join(unpacked(result))
    assert read_recipe(path) == RECIPE
    assert row["written"] == ["recipe", "Sfumato"]
    had = {field for field in MARKS if " in a " not in field and has(data, field)}
    assert had <= {*row["kept"], *row["removed"]}, "the table leaves out what the file had"


@pytest.mark.parametrize("kind", VIDEOS)
def test_videos(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("av")
    from sfumato.video.tags import read_video_recipe
    from video_clips import write_clip

    row = next(row for row in rows() if row["source"] == kind)
    fields = {"camera": "make", "place": "location"}
    tags = {fields.get(field, field): MARKS[field] for field in (*row["kept"], *row["removed"])}
    tags["date"] = "2020-05-04"
    source, out = tmp_path / f"clip{VIDEOS[kind]}", tmp_path / f"out{VIDEOS[kind]}"
    muxer = {"movflags": "use_metadata_tags"} if kind == "MP4" else None  # as telephones write them
    write_clip(source, times=range(2), codec="libx264" if kind != "WebM" else "libvpx-vp9", tags=tags, muxer=muxer)
    done = run("video", source, "--style", "monet", "-o", out)
    assert done.exit_code == 0, done.stderr
    data, result = source.read_bytes(), out.read_bytes()
    for field in (*row["kept"], *row["removed"]):
        mark = tags[fields.get(field, field)].encode()
        assert mark in data, f"the source has no {field}"
        assert (mark in result) == (field in row["kept"]), field
    assert row["written"] == ["recipe"]
    assert read_video_recipe(out) is not None


def test_models(tmp_path: Path) -> None:
    from texture_models import document, glb

    row = next(row for row in rows() if row["source"] == "GLB")
    file, info = io.BytesIO(), PngInfo()
    info.add_text("Comment", MARKS["comment"], zip=True)
    levels = np.round(scene(64, 64, 0)[0].transpose(1, 2, 0) * 255).astype(np.uint8)
    Image.fromarray(levels).save(file, "PNG", pnginfo=info, exif=exif())
    made, blob = document([file.getvalue()])
    made["asset"] |= {"copyright": MARKS["copyright"], "generator": MARKS["generator"]}
    made["nodes"][0]["name"] = MARKS["node names"]
    made["extras"] = {"mine": MARKS["extras"]}
    source, out = tmp_path / "a.glb", tmp_path / "b.glb"
    source.write_bytes(glb(made, blob))
    done = run("texture", source, "--style", "monet", "--quality", "draft", "-o", out)
    assert done.exit_code == 0, done.stderr
    for field in row["kept"]:
        assert has(source.read_bytes(), field)
        assert has(out.read_bytes(), field), f"{field} is lost"
    for field in row["removed"]:
        assert has(source.read_bytes(), field)
        assert not has(out.read_bytes(), field), f"{field} is left"
    length = struct.unpack_from("<I", out.read_bytes(), 12)[0]
    assert row["written"] == ["recipe"]
    assert json.loads(out.read_bytes()[20 : 20 + length])["asset"]["extras"]["sfumato"]


def test_dicom(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    from medical_files import dicom, tissue

    row = next(row for row in rows() if row["source"] == "DICOM")
    marks = {**MARKS, "date": "20200504", "unique id": "1.2.826.4711"}
    keywords = {
        "patient": "PatientName",
        "physician": "ReferringPhysicianName",
        "institution": "InstitutionName",
        "serial number": "DeviceSerialNumber",
        "date": "StudyDate",
        "comment": "PatientComments",
        "unique id": "StudyInstanceUID",
    }
    source, out, kept = (tmp_path / name for name in ("a.dcm", "b.dcm", "c.dcm"))
    dicom(source, tissue(), **{keyword: marks[field] for field, keyword in keywords.items()})
    made = pydicom.dcmread(source)
    made.private_block(0x0099, "a maker", create=True).add_new(1, "LO", marks["private field"])
    made.save_as(source)
    assert run("medical", source, "-o", out).exit_code == 0
    assert (row["kept"], set(row["removed"])) == ([], {*keywords, "private field"})
    for field in row["removed"]:
        assert marks[field].encode() in source.read_bytes(), f"the source has no {field}"
        assert marks[field].encode() not in out.read_bytes(), f"{field} is left"
    assert row["written"] == ["recipe", "Sfumato"]
    assert "tone of a radiograph" in pydicom.dcmread(out).DerivationDescription
    assert b"Sfumato" in out.read_bytes()
    assert run("medical", source, "-o", kept, "--keep-identity").exit_code == 0
    for field in ("patient", "date", "unique id"):
        assert marks[field].encode() in kept.read_bytes()
