from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sfumato.errors import InputError
from sfumato.tables import read_table

ROWS = [{"file": "c/1.png", "split": "train"}, {"file": "c/é, 2.png", "split": "validation"}]


def encode(text: Any, encoding: str = "utf-8", ends: str = "\n", separator: str = ",") -> Any:
    return text.replace("\n", ends).replace("|", separator).encode(encoding)


PLAIN = 'file|split\nc/1.png|train\n"c/é, 2.png"|validation\n'


@pytest.mark.parametrize(
    "data",
    [
        encode(PLAIN),
        encode(PLAIN, "utf-8-sig", "\r\n"),  # "CSV UTF-8" of Excel
        encode(PLAIN, "utf-8-sig", "\r\n", ";"),  # where the comma is the decimal point
        encode(PLAIN, "utf-16", "\r\n", "\t"),  # "Unicode text" of Excel
        b"\xfe\xff" + encode(PLAIN, "utf-16-be"),
        encode(PLAIN, ends="\r"),
        encode("sep=;\r\n" + PLAIN, ends="\r\n", separator=";"),
        encode("\n\n" + PLAIN.replace("\nc", "\n\n|\nc")),
        encode(PLAIN.replace("file|split", " File | Split ")),
        encode('split|artist|"file"\ntrain|"a|b"|c/1.png\nvalidation||"c/é, 2.png"\n'),
        encode(PLAIN)[:-1],
    ],
)
def test_tables_of_spreadsheets_and_scripts_are_alike(tmp_path: Path, data: Any) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    assert [row for _, row in read_table(path, ("file", "split"), "manifest")] == ROWS


def test_a_column_that_need_not_be_there_is_read_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for text, found in (
        ("file,split\na,train\n", [{}]),
        ("file,Licence,split\na, CC0 ,train\nb,,train\n", [{"licence": "CC0"}, {}]),
        ("file,split,licence\na,train\n", [{}]),
    ):
        path.write_text(text)
        rows = [row for _, row in read_table(path, ("file", "split"), "manifest", optional=("licence",))]
        assert [{k: v for k, v in row.items() if k not in ("file", "split")} for row in rows] == found


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty; it needs the columns file, split"),
        (b"\xef\xbb\xbf\r\n", "is empty"),
        (b"file,kind\na,b\n", "has no column 'split'"),
        (b"file,split\na.png\n", "no split in line 2"),
        (b"sep=;\nfile;split\n\na;train\n;train\n", "no file in line 5"),
        (b"file,split\na\0b,train\n", "no file in line 2"),
        (b"file,split\ncaf\xe9.png,train\n", "it is not UTF-8 text"),
        (b"\xff\xfef", "it is not UTF-8 text"),
        (b'file,split\n"' + b"x" * 200_000 + b'",train\n', "cannot read the manifest"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_table(path, ("file", "split"), "manifest")
    assert str(path) in str(caught.value)


def test_what_is_no_file_of_a_table_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with open(tmp_path / "huge.csv", "wb") as file:
        file.truncate(60_000_000_000)
    wrong = {"pipe.csv": "not a regular", ".": "Is a directory", "huge.csv": "more than 64 MB", "none.csv": "No such"}
    for name, message in wrong.items():
        with pytest.raises(InputError, match=message):
            read_table(tmp_path / name, ("file",), "manifest")
