"""What the tests of provenance use: pictures with recipes, and changes to signed files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from sfumato.image import Photo, to_uint8, write_photo
from sfumato.metadata import Metadata
from sfumato.provenance.log import Entry, read_log
from support import scene

pytest.importorskip("c2pa")
pytest.importorskip("cryptography")

MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "tiff": "image/tiff",
}
RECIPE: dict[str, Any] = {
    "version": "0.1.0",
    "model": "base-3",
    "model_sha256": "ab" * 32,
    "styles": [{"name": "monet", "code": "AAAA"}],
    "strength": 0.75,
    "seed": 3,
    "photo_sha256": "cd" * 32,
}
#: The title of a picture of the style monet, as it lies in a manifest.
INGREDIENT = b"Haystack at Giverny"


def painted(number: int = 0, height: int = 72, width: int = 96, **recipe: Any) -> Photo:
    """A picture as if it were painted by Sfumato."""
    return Photo(to_uint8(scene(height, width, number)), metadata=Metadata(recipe={**RECIPE, **recipe}))


def read_whole_log(folder: Path) -> list[Entry]:
    """The entries of a log in which nothing is wrong."""
    found = read_log(folder)
    assert found is not None
    assert found.problems == []
    return found.entries


def plain_bytes(photo: Photo, format: str) -> bytes:
    """The file of a picture, not sealed."""
    buffer = io.BytesIO()
    write_photo(photo, buffer, format)
    return buffer.getvalue()


def with_changed_pixels(signed: bytes, plain: bytes) -> bytes:
    """A signed file with one bit of its coded pixels changed."""
    for share in (0.5, 0.6, 0.7, 0.4, 0.8):
        begin = int(len(plain) * share)
        found = signed.find(plain[begin : begin + 32])
        if found >= 0:
            changed = bytearray(signed)
            changed[found + 16] ^= 1
            return bytes(changed)
    raise AssertionError("the pixels were not found in the signed file")


def with_changed_text(signed: bytes, text: bytes) -> bytes:
    """A signed file in whose manifest a text has another last letter."""
    assert signed.count(text) >= 1
    return signed.replace(text, text[:-1] + bytes([text[-1] ^ 1]))
