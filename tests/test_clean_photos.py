"""The set of photos that may be used commercially: tools/clean_photos.py and its list."""

from __future__ import annotations

import csv
import importlib
import sys
from pathlib import Path

import pytest
from PIL import Image

from sfumato.rights import is_free, may_sell

TOOLS = Path(__file__).parents[1] / "tools"


def test_each_photo_of_the_list_allows_commercial_use() -> None:
    with (TOOLS / "clean_photos.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows if not may_sell(row["licence"])] == []
    assert len({row["sha256"] for row in rows}) == len(rows)
    page = (TOOLS.parent / "docs" / "licences.md").read_text("utf-8")
    assert f"| `commercial` | 102 | {len(rows)}, " in page
    assert f"| `free` | 1 | {sum(is_free(row['licence']) for row in rows)}, " in page


def test_a_large_photo_gives_its_quarters_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    clean_photos = importlib.import_module("clean_photos")
    monkeypatch.delitem(sys.modules, "clean_photos")
    large = Image.new("RGB", (2560, 1280))
    large.paste((255, 0, 0), (1280, 640, 2560, 1280))
    parts = clean_photos.pieces(large)
    assert [part.size for part in parts] == [(1280, 640)] * 5
    assert parts[4].getextrema() == ((255, 255), (0, 0), (0, 0))  # the last is the quarter at the bottom right
    assert [part.size for part in clean_photos.pieces(Image.new("RGB", (1300, 400)))] == [(1300, 400)]
