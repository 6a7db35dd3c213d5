from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato.errors import InputError, UsageError
from sfumato.image import write_image
from sfumato.quality.pairs import Pair, pairs_of, pictures_in, read_pairs, stylized_pictures


@pytest.fixture
def folders(tmp_path: Path) -> Any:
    grey = np.full((1, 3, 16, 16), 0.5, np.float32)
    for name in ("c/cat.jpg", "c/dog.png", "s/wave.png", "s/sky.jpg", "o/cat__wave.png", "o/dog__sky.jpg"):
        write_image(grey, tmp_path / name)
    (tmp_path / "c" / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_table_of_pairs(folders: Any) -> None:
    (folders / "p.csv").write_text("\ufeffcontent,style,more\ncat.jpg,sky.jpg,1\ndog.png,wave.png,2\n", "utf-8")
    pairs = read_pairs(folders / "p.csv", folders / "c", folders / "s")
    assert [pair.name for pair in pairs] == ["cat__sky", "dog__wave"]
    assert pairs[0] == Pair(folders / "c" / "cat.jpg", folders / "s" / "sky.jpg")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("content,style\n", "no rows"),
        ("photo,style\ncat.jpg,sky.jpg\n", "has no column 'content'; it needs the columns content, style"),
        ("content,style\ncat.jpg,sea.jpg\n", "sea.jpg, which does not exist"),
        ("content,style\ncat.jpg\n", "has no style in line 2"),
        ("content,style\ncat.jpg,sky.jpg\n,sky.jpg\n", "has no content in line 3"),
        ("content,style\n../s/sky.jpg,sky.jpg\n", r"names \.\./s/sky\.jpg in line 2, which leads out of its folder"),
        ("content,style\ncat.jpg,/etc/sky.jpg\n", "names /etc/sky.jpg in line 2, which leads out"),
        (f"content,style\ncat.jpg,/{'x' * 900}\n", r"names /x{196}\.\.\. in line 2, which leads out"),
        (f"content,style\ncat.jpg,{'x' * 900}\n", r"x\.\.\., which does not exist"),
    ],
)
def test_tables_that_are_none(folders: Any, text: str, message: str) -> None:
    (folders / "p.csv").write_text(text, "utf-8")
    with pytest.raises(InputError, match=message):
        read_pairs(folders / "p.csv", folders / "c", folders / "s")


def test_a_table_that_cannot_be_read(folders: Any) -> None:
    (folders / "p.csv").write_bytes(b"content,style\n\xff\xfe,x\n")
    for name in ("p.csv", "none.csv", "c"):
        with pytest.raises(InputError, match=f"cannot read .*{name}"):
            read_pairs(folders / name, folders / "c", folders / "s")


def test_a_table_from_a_spreadsheet(folders: Any) -> None:
    (folders / "p.csv").write_bytes("\ufeffcontent;style\r\ncat.jpg;sky.jpg\r\n".encode())
    assert [pair.name for pair in read_pairs(folders / "p.csv", folders / "c", folders / "s")] == ["cat__sky"]


def test_pairs_by_the_names_of_pictures(folders: Any) -> None:
    everything = pairs_of(folders / "c", folders / "s")
    assert [pair.name for pair in everything] == ["cat__sky", "cat__wave", "dog__sky", "dog__wave"]
    found = pairs_of(folders / "c", folders / "s", folders / "o")
    assert [pair.name for pair in found] == ["cat__wave", "dog__sky"]
    pictures = stylized_pictures(found, folders / "o")
    assert [path.name for path in pictures.values()] == ["cat__wave.png", "dog__sky.jpg"]


def test_pictures_of_every_kind_that_is_read_are_found(folders: Any) -> None:
    from PIL import Image

    for suffix in (".webp", ".TIF"):
        Image.new("RGB", (16, 16)).save(folders / "o" / f"cat__sky{suffix}")
        found = pairs_of(folders / "c", folders / "s", folders / "o")
        pictures = stylized_pictures(found, folders / "o")
        assert f"cat__sky{suffix}" in [path.name for path in pictures.values()]
        (folders / "o" / f"cat__sky{suffix}").unlink()


def test_a_missing_picture_is_an_error_unless_allowed(folders: Any) -> None:
    everything = pairs_of(folders / "c", folders / "s")
    with pytest.raises(InputError, match=r"lacks cat__sky\.png \(or \.jpg, \.\.\.\) and 1 more"):
        stylized_pictures(everything, folders / "o")
    assert len(stylized_pictures(everything, folders / "o", allow_missing=True)) == 2
    with pytest.raises(InputError, match="lacks"):
        stylized_pictures(everything, folders / "c", allow_missing=True)


def test_what_is_ambiguous_is_said(folders: Any) -> None:
    grey = np.full((1, 3, 16, 16), 0.5, np.float32)
    write_image(grey, folders / "o" / "cat__wave.jpg")
    with pytest.raises(InputError, match=r"both cat__wave\.jpg and cat__wave\.png"):
        stylized_pictures(pairs_of(folders / "c", folders / "s", folders / "o"), folders / "o")
    write_image(grey, folders / "c" / "cat.png")
    with pytest.raises(UsageError, match="have the same name"):
        pairs_of(folders / "c", folders / "s")


def test_folders_without_pictures(folders: Any) -> None:
    with pytest.raises(InputError, match="none does not exist; name a folder"):
        pairs_of(folders / "none", folders / "s")
    with pytest.raises(InputError, match=r"cat\.jpg is a file, but must be a folder; put the picture into a folder"):
        pairs_of(folders / "c" / "cat.jpg", folders / "s")
    (folders / "empty").mkdir()
    with pytest.raises(InputError, match="no picture lies in"):
        pairs_of(folders / "c", folders / "empty")
    with pytest.raises(InputError, match=r"is named <photo>__<style> .*, for example sky\.\w+ to cat__sky\."):
        pairs_of(folders / "c", folders / "s", folders / "s")
    with pytest.raises(InputError, match=r"is named <photo>__<style> .*, for example cat\.jpg to cat__sky\.jpg"):
        pairs_of(folders / "c", folders / "s", folders / "c")  # as `stylize FOLDER` calls its pictures


def test_a_folder_that_is_not_there_is_said_and_not_what_it_lacks(folders: Any) -> None:
    with pytest.raises(InputError, match="none does not exist; name the folder with the stylised"):
        stylized_pictures(pairs_of(folders / "c", folders / "s"), folders / "none", allow_missing=True)


def test_what_lies_beside_the_pictures_is_told_and_odd_files_hang_nothing(folders: Any) -> None:
    (folders / "c" / "deeper").mkdir()
    os.mkfifo(folders / "c" / "pipe.jpg")
    assert [path.name for path in pictures_in(folders / "c")] == ["cat.jpg", "dog.png"]
    (folders / "none").mkdir()
    (folders / "none" / "x.psd").touch()
    with pytest.raises(InputError, match=r"no picture lies in the folder .*x\.psd: the file of a paint program"):
        pictures_in(folders / "none")
