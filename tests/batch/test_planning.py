"""From a source to jobs: folders, URLs, tables and shards, and what is refused before any work begins."""

from __future__ import annotations

import os
from pathlib import Path
from zipfile import ZipFile

import fsspec
import pyarrow
import pytest
from pyarrow import parquet

from batch_work import save_photos
from sfumato.batch.jobs import plan
from sfumato.batch.places import Place, check_name, identity, shown
from sfumato.errors import InputError, UsageError


def pairs(*arguments: object) -> list[tuple[str, str, str]]:
    return [(job.photo, job.target, job.style) for job in plan(*map(str, arguments)).jobs]


def test_a_folder_is_searched_and_each_photo_keeps_its_place(tmp_path: Path) -> None:
    save_photos(tmp_path / "in" / "deep", 1)
    (tmp_path / "in" / "a.heic").write_bytes(b"x")
    (tmp_path / "in" / "a.png").write_bytes(b"xyz")
    (tmp_path / "in" / ".hidden.png").write_bytes(b"x")
    (tmp_path / "in" / "notes.txt").write_bytes(b"x")
    found = plan(str(tmp_path / "in"), str(tmp_path / "out"))
    assert [(job.photo, job.target) for job in found.jobs] == [
        ("a.heic", "a.heic.png"), ("a.png", "a.png"), ("deep/0.png", "deep/0.png"),
    ]  # fmt: skip
    assert found.sizes[:2] == [1, 3]
    assert [each.path.name for each in found.left_out] == ["notes.txt"]
    assert plan(str(tmp_path / "in"), str(tmp_path / "out"), "webp").jobs[2].target == "deep/0.webp"


def test_results_inside_the_source_are_no_photos(tmp_path: Path) -> None:
    save_photos(tmp_path / "in", 2)
    save_photos(tmp_path / "in" / "painted", 2)
    assert pairs(tmp_path / "in", tmp_path / "in" / "painted") == [("0.png", "0.png", ""), ("1.png", "1.png", "")]


def test_a_url_of_fsspec_is_listed_and_hostile_keys_are_refused() -> None:
    store = fsspec.filesystem("memory")
    store.pipe(
        {"/planned/b.jpg": b"12", "/planned/sub/a.png": b"1", "/planned/.tmp/c.png": b"1", "/planned/t.txt": b""}
    )
    found = plan("memory://planned", "memory://painted")
    assert [(job.photo, job.target) for job in found.jobs] == [("b.jpg", "b.jpg"), ("sub/a.png", "sub/a.png")]
    assert found.sizes == [2, 1]


def test_an_archive_is_a_source(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.writestr("a/b.png", b"1")
    assert pairs(f"zip://::file://{tmp_path}/in.zip", tmp_path / "out") == [("a/b.png", "a/b.png", "")]


def test_a_table_names_photos_styles_and_targets(tmp_path: Path) -> None:
    save_photos(tmp_path / "photos", 2)
    table = tmp_path / "pairs.csv"
    other = tmp_path / "elsewhere.png"
    table.write_text(f"Target,photo,style\nx/a.jpg,photos/0.png,\n,photos/0.png,monet\n,{other},\n")
    assert pairs(table, tmp_path / "out") == [
        (f"{tmp_path}/photos/0.png", "x/a.jpg", ""),
        (f"{tmp_path}/photos/0.png", "photos/0-monet.png", "monet"),
        (str(other), "elsewhere.png", ""),
    ]


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    columns = {"photo": ["a.png", "b.png"], "style": ["monet", None], "target": [None, "z.png"], "more": [1, 2]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "pairs.parquet")
    (tmp_path / "pairs.csv").write_text("photo,style,target\na.png,monet,\nb.png,,z.png\n")
    found = pairs(tmp_path / "pairs.parquet", tmp_path / "out")
    assert found == pairs(tmp_path / "pairs.csv", tmp_path / "out")
    assert found[0][1:] == ("a-monet.png", "monet")


@pytest.mark.parametrize(
    "target",
    ["../x.png", "/etc/x.png", "a/../../x.png", "a//x.png", "./x.png", "a\\x.png", "x\n.png", "x.exe", "x" * 2000],
)
def test_a_target_in_a_table_stays_below_its_folder_and_is_a_picture(target: str, tmp_path: Path) -> None:
    table = pyarrow.table({"photo": ["a.png"], "target": [target]})
    parquet.write_table(table, tmp_path / "pairs.parquet")
    with pytest.raises(InputError, match="in line 1, the target"):
        plan(str(tmp_path / "pairs.parquet"), str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("photo\n", "has no row"),
        ("picture\na.png\n", "has no column 'photo'"),
        ("photo,style\n" + "".join(f"{i}.png,s{i}\n" for i in range(300)), "names more than 256 styles"),
        ("photo\n..\n", "in line 1|in line 2"),
    ],
)
def test_a_table_that_cannot_be_used_is_told(content: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(content)
    with pytest.raises(InputError, match=sentence):
        plan(str(tmp_path / "pairs.csv"), str(tmp_path / "out"))


def test_a_damaged_parquet_is_told(tmp_path: Path) -> None:
    (tmp_path / "pairs.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(InputError, match="cannot read the table"):
        plan(str(tmp_path / "pairs.parquet"), str(tmp_path / "out"))


def test_shards_are_named_by_braces_and_patterns(tmp_path: Path) -> None:
    for number in range(8, 12):
        (tmp_path / f"s-{number:03d}.tar").touch()
    assert [photo for photo, _, _ in pairs(tmp_path / "s-{008..010}.tar", "out")] == [
        "s-008.tar",
        "s-009.tar",
        "s-010.tar",
    ]
    assert [photo for photo, _, _ in pairs(tmp_path / "s-{008,011}.tar", "out")] == ["s-008.tar", "s-011.tar"]
    assert len(pairs(tmp_path / "*.tar", "out")) == 4
    store = fsspec.filesystem("memory")
    store.pipe({"/shards/a/1.tar": b"", "/shards/b/1.tar": b""})
    assert [job.target for job in plan("memory://shards/{a,b}/1.tar", "out").jobs] == ["a/1.tar", "b/1.tar"]


@pytest.mark.parametrize(
    ("name", "problem", "sentence"),
    [
        ("s-{000..003}.tar", InputError, "does not exist"),
        ("s-{0..99999999}.tar", UsageError, "more than 1000000 shards"),
        ("s-{5..3}.tar", UsageError, "names 0 shards"),
        ("none-*.tar", InputError, "no shard matches"),
    ],
)
def test_shards_that_are_not_there_are_told(name: str, problem: type[Exception], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(problem, match=sentence):
        plan(str(tmp_path / name), str(tmp_path / "out"))


def test_a_batch_never_writes_where_it_reads_or_two_photos_into_one_file(tmp_path: Path) -> None:
    save_photos(tmp_path / "in", 1)
    os.symlink(tmp_path / "in", tmp_path / "link")
    with pytest.raises(UsageError, match="choose another target"):
        plan(str(tmp_path / "in"), str(tmp_path / "link"))
    (tmp_path / "pairs.csv").write_text("photo,target\na.png,x.png\nb.png,x.png\n")
    with pytest.raises(UsageError, match=r"would both become x\.png"):
        plan(str(tmp_path / "pairs.csv"), "out")
    for target in ("zip://a.zip", "https://example.org/x", "zip://x::s3://bucket/a.zip"):
        with pytest.raises(UsageError, match="cannot write to"):
            plan(str(tmp_path / "in"), target)


@pytest.mark.parametrize(
    ("source", "target", "replaced"),
    [
        ("data/x-0.tar", "data", "shard {t}/data/x-0.tar"),
        ("data/x-{0..1}.tar", "link", "shard {t}/link/x-0.tar"),
        ("data/pairs.csv", "data", "photo {t}/data/a.png"),
        ("data/q", "data", "photo {t}/data/q/a.png"),
    ],
)
def test_no_photo_or_shard_of_the_source_is_replaced(source: str, target: str, replaced: str, tmp_path: Path) -> None:
    save_photos(tmp_path / "data" / "q" / "q", 1)
    for name in ("x-0.tar", "x-1.tar", "a.png", "q/a.png", "q/q/a.png"):
        (tmp_path / "data" / name).touch()
    (tmp_path / "data" / "pairs.csv").write_text("photo,target\nq/q/0.png,a.png\na.png,b.png\n")
    os.symlink(tmp_path / "data", tmp_path / "link")
    with pytest.raises(UsageError, match=f"refusing to replace the {replaced.format(t=tmp_path)}; choose another"):
        plan(str(tmp_path / source), str(tmp_path / target))


def test_addresses_of_one_file_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    os.symlink(tmp_path / "in", tmp_path / "link")
    (tmp_path / "in" / "b.png").touch()
    os.symlink("b.png", tmp_path / "in" / "a.png")
    path = str(tmp_path / "in" / "b.png")
    for name in ("link/b.png", "in/a.png", "link/../in//b.png", "link/a.png"):
        assert identity(f"{tmp_path}/{name}") == identity(f"local://{tmp_path}/{name}") == path
    assert identity("/") == "/"
    assert identity("s3a://bucket//a/./b.png") == identity("filecache::s3://bucket/a/b.png") == "s3://bucket/a/b.png"
    assert identity("s3://in/a::b.png") != identity("s3://out/a::b.png")
    store = fsspec.filesystem("memory")
    store.pipe({"/own/s-0.tar": b"", "/own/deep/s-0.tar": b""})
    with pytest.raises(UsageError, match=r"refusing to replace the shard memory:///own/s-0\.tar"):
        plan("memory://own/s-{0..0}.tar", "memory:///own/")
    assert pairs("memory://own/deep/s-0.tar", "memory://own") == [("s-0.tar", "s-0.tar", "")]


def test_sources_that_are_none_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no picture lies in"):
        plan(str(tmp_path / "empty"), "out")
    with pytest.raises(InputError, match="it is not a folder"):
        plan(str(tmp_path / "nothing"), "out")
    with pytest.raises(UsageError, match="cannot use the address"):
        plan("nosuchthing://a/b", "out")
    with pytest.raises(UsageError, match="a name is empty"):
        plan("", "out")


def test_a_password_in_a_url_is_not_shown() -> None:
    assert shown("ftp://me:secret@host/a") == "ftp://host/a"
    assert shown("s3://bucket/a@b.png") == "s3://bucket/a@b.png"
    assert check_name("a/b c.png", "x") == "a/b c.png"


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    store.pipe({"/limit/a": bytes(11)})
    (tmp_path / "a").write_bytes(bytes(11))
    for place in (Place("memory://limit"), Place(str(tmp_path))):
        assert len(place.read("a", 11)) == 11
        with pytest.raises(InputError, match="more than 10 bytes"):
            place.read("a", 10)
        with pytest.raises(InputError, match="cannot read"):
            place.read("b", 10)
