"""WebDataset shards, also from strangers."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from batch_work import paint, save_photos, small, states
from sfumato.image import read_recipe, write_image


def tar(path: Path, members: dict[str, bytes], **options: tarfile.TarInfo) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in options.values():
            archive.addfile(info)


def untar(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {each.name: archive.extractfile(each).read() for each in archive}


@pytest.fixture
def photos(tmp_path: Path) -> list[bytes]:
    return [path.read_bytes() for path in save_photos(tmp_path / "photos", 3)]


@pytest.fixture
def sample(photos: list[bytes]) -> dict[str, bytes]:
    return {
        "a/000.json": b'{"label": 1}',
        "a/000.png": photos[0],
        "a/000.mask.png": b"a mask",
        "001.PNG": photos[1],
        "001.cls": b"7",
        "002.bmp": photos[2],
    }


def run(folder: Path, **others: Any) -> dict[str, str]:
    return states(paint(folder / "s-{0..0}.tar", folder / "out", folder / "report", **others))


def test_a_shard_becomes_a_shard_with_its_labels(tmp_path: Path, sample: dict[str, bytes]) -> None:
    tar(tmp_path / "s-0.tar", sample)
    found = run(tmp_path)
    assert set(found.values()) == {"painted"}
    other = paint(tmp_path / "s-{0..0}.tar", tmp_path / "other", tmp_path / "report")
    assert [each.replaced for each in other] == [False] * 3
    other = paint(tmp_path / "s-{0..0}.tar", tmp_path / "other", tmp_path / "report", strength=0.5)
    assert [(each.status, each.replaced) for each in other] == [("painted", True)] * 3
    assert list(found) == ["s-0.tar::a/000.png", "s-0.tar::001.PNG", "s-0.tar::002.bmp"]
    made = untar(tmp_path / "out" / "s-0.tar")
    assert list(made) == ["a/000.json", "a/000.png", "a/000.mask.png", "001.png", "001.cls", "002.png"]
    assert (made["a/000.json"], made["a/000.mask.png"], made["001.cls"]) == (b'{"label": 1}', b"a mask", b"7")
    recipe: Any = read_recipe(made["002.png"])
    assert recipe["styles"][0]["name"] == "monet"
    assert os.listdir(tmp_path / "out") == ["s-0.tar"]


def test_a_second_run_changes_nothing_and_a_changed_member_alone_is_painted(
    tmp_path: Path, sample: dict[str, bytes]
) -> None:
    tar(tmp_path / "s-0.tar", sample)
    run(tmp_path)
    shard = tmp_path / "out" / "s-0.tar"
    before, state = shard.read_bytes(), os.stat(shard)
    assert set(run(tmp_path).values()) == {"present"}
    assert os.stat(shard).st_ino == state.st_ino
    write_image(small(8), tmp_path / "new.png")
    tar(tmp_path / "s-0.tar", sample | {"001.PNG": (tmp_path / "new.png").read_bytes(), "001.cls": b"8"})
    assert list(run(tmp_path).values()) == ["present", "painted", "present"]
    after = untar(shard)
    assert after["001.cls"] == b"8"
    assert shard.read_bytes() != before
    assert set(run(tmp_path, strength=0.5).values()) == {"painted"}


def test_a_sample_whose_picture_fails_is_left_out_and_told(tmp_path: Path, sample: dict[str, bytes]) -> None:
    tar(tmp_path / "s-0.tar", sample | {"001.PNG": b"no picture"})
    outcomes = paint(tmp_path / "s-0.tar", tmp_path / "out", tmp_path / "report")
    assert states(outcomes) == {
        "s-0.tar::a/000.png": "painted", "s-0.tar::001.PNG": "failed", "s-0.tar::002.bmp": "painted",
    }  # fmt: skip
    assert "001.PNG" in outcomes[1].error
    assert outcomes[1].exit_code == 3
    assert list(untar(tmp_path / "out" / "s-0.tar")) == ["a/000.json", "a/000.png", "a/000.mask.png", "002.png"]


@pytest.mark.parametrize("name", ["../../x.png", "/etc/x.png", "a/../../x.png", "a\\x.png", "x\x1b[2J.png"])
def test_names_that_leave_the_archive_are_not_passed_on(name: str, tmp_path: Path, photos: list[bytes]) -> None:
    tar(tmp_path / "s-0.tar", {"ok.png": photos[0], name: photos[1]})
    assert list(run(tmp_path).values()) == ["painted", "failed"]
    assert list(untar(tmp_path / "out" / "s-0.tar")) == ["ok.png"]


def test_links_devices_and_absurd_sizes_are_refused(tmp_path: Path, photos: list[bytes]) -> None:
    link, device, hard = tarfile.TarInfo("link.png"), tarfile.TarInfo("device.png"), tarfile.TarInfo("hard.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type = tarfile.CHRTYPE
    hard.type, hard.linkname = tarfile.LNKTYPE, "ok.png"
    tar(tmp_path / "s-0.tar", {"ok.png": photos[0]}, link=link, device=device, hard=hard)
    assert list(run(tmp_path).values()) == ["painted", "failed", "failed", "failed"]
    assert list(untar(tmp_path / "out" / "s-0.tar")) == ["ok.png"]


def test_a_member_that_states_more_bytes_than_there_are_fails_the_shard(tmp_path: Path, photos: list[bytes]) -> None:
    info = tarfile.TarInfo("big.png")
    info.size = 2**40
    with tarfile.open(tmp_path / "s-0.tar", "w") as archive:
        archive.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))
        archive.fileobj.write(photos[0])
    outcomes = paint(tmp_path / "s-0.tar", tmp_path / "out", tmp_path / "report")
    assert [each.status for each in outcomes] == ["failed"]
    assert not (tmp_path / "out" / "s-0.tar").exists()


def test_a_header_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**33
    with (tmp_path / "s-0.tar").open("wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(2**33)  # a file with a hole
    outcomes = paint(tmp_path / "s-0.tar", tmp_path / "out", tmp_path / "report")
    assert [(each.status, each.exit_code) for each in outcomes] == [("failed", 3)]
    assert "states a size that no header has" in outcomes[0].error


@pytest.mark.parametrize("content", [b"", b"no archive" * 200, b"\x1f\x8b\x08" + bytes(600)])
def test_a_file_that_is_no_archive_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "s-0.tar").write_bytes(content)
    outcomes = paint(tmp_path / "s-0.tar", tmp_path / "out", tmp_path / "report")
    assert [(each.status, each.exit_code) for each in outcomes] == [("failed", 3)]
    assert "s-0.tar" in outcomes[0].error
    assert not (tmp_path / "out" / "s-0.tar").exists()


def test_a_shard_that_is_cut_short_is_not_written(tmp_path: Path, sample: dict[str, bytes]) -> None:
    tar(tmp_path / "s-0.tar", sample)
    whole = (tmp_path / "s-0.tar").read_bytes()
    (tmp_path / "s-0.tar").write_bytes(whole[:2600])
    outcomes = paint(tmp_path / "s-0.tar", tmp_path / "out", tmp_path / "report")
    assert "failed" in {each.status for each in outcomes}
    assert not (tmp_path / "out" / "s-0.tar").exists()


@pytest.mark.parametrize("is_archive", [False, True])
def test_a_file_without_results_is_not_replaced_unless_asked(
    is_archive: bool, tmp_path: Path, sample: dict[str, bytes]
) -> None:
    tar(tmp_path / "s-0.tar", sample)
    mine = tmp_path / "out" / "s-0.tar"
    mine.parent.mkdir()
    tar(mine, sample) if is_archive else mine.write_text("my notes")
    before = mine.read_bytes()
    outcomes = paint(tmp_path / "s-0.tar", tmp_path / "out", tmp_path / "report")
    assert [(each.status, each.exit_code) for each in outcomes] == [("failed", 4)]
    assert f"{mine} already exists and was not painted by Sfumato; add --overwrite" in outcomes[0].error
    assert mine.read_bytes() == before
    assert set(run(tmp_path, overwrite=True).values()) == {"painted"}
    assert "002.png" in untar(mine)


def test_a_shard_in_which_all_fails_leaves_the_old_one(tmp_path: Path, photos: list[bytes]) -> None:
    tar(tmp_path / "s-0.tar", {"a.png": b"no picture"})
    assert run(tmp_path) == {"s-0.tar::a.png": "failed"}
    assert not (tmp_path / "out" / "s-0.tar").exists()
    tar(tmp_path / "s-0.tar", {"a.png": photos[0]})
    run(tmp_path)
    before = (tmp_path / "out" / "s-0.tar").read_bytes()
    for members in ({"a.png": b"no picture", "b.json": b"1"}, {"b.json": b"1"}):
        tar(tmp_path / "s-0.tar", members)
        assert set(run(tmp_path, overwrite=True).values()) == {"failed"}
        assert (tmp_path / "out" / "s-0.tar").read_bytes() == before
    whole = (tmp_path / "s-0.tar").read_bytes()
    (tmp_path / "s-0.tar").write_bytes(whole[:700])
    outcomes = paint(tmp_path / "s-0.tar", tmp_path / "out", tmp_path / "report")
    assert f"cannot read the shard {tmp_path}/s-0.tar" in outcomes[0].error  # not the one that exists
