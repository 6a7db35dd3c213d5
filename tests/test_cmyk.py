"""CMYK with alpha, as Photoshop writes it: the colours of CMYK without, and the alpha."""

from __future__ import annotations

import sys
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sfumato.errors import InputError
from sfumato.image import read_photo

pytest.importorskip("imagecodecs")
tifffile = pytest.importorskip("tifffile")

y, x = np.mgrid[0:24, 0:32]
INKS = np.stack([x * 8, y * 10, (x * y) % 256, x + y], -1).astype(np.uint8)
ALPHA = (255 - x * 8).astype(np.uint8)


def saved(levels: np.ndarray, **options: Any) -> bytes:
    buffer = BytesIO()
    tifffile.imwrite(buffer, levels, photometric="separated", **options)
    return buffer.getvalue()


def plain() -> np.ndarray:
    buffer = BytesIO()
    Image.fromarray(INKS, "CMYK").save(buffer, "TIFF")
    return read_photo(buffer.getvalue()).pixels


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib", "predictor": True}, {"bigtiff": True, "byteorder": ">"}]
)
def test_colours_and_alpha_are_those_of_the_file(bits: int, planes: str, options: dict[str, Any]) -> None:
    stored = np.dstack([INKS, ALPHA]).astype(np.uint16) * 257 if bits == 16 else np.dstack([INKS, ALPHA])
    if planes == "separate":
        stored = np.moveaxis(stored, 2, 0).copy()
    found = read_photo(saved(stored, extrasamples=[2], planarconfig=planes, **options))
    np.testing.assert_array_equal(found.pixels, plain())
    np.testing.assert_array_equal(found.alpha, ALPHA)


def test_inks_that_were_multiplied_by_the_alpha() -> None:
    cover = np.maximum(ALPHA, 64)
    stored = np.dstack([np.rint(INKS * (cover[..., None] / 255)), cover]).astype(np.uint8)
    found = read_photo(saved(stored, extrasamples=[1]))
    np.testing.assert_allclose(found.pixels.astype(int), plain(), atol=4)  # what eight bits lose of a quarter
    np.testing.assert_array_equal(found.alpha, cover)


def test_a_channel_of_no_known_meaning_is_no_alpha() -> None:
    stored = np.dstack([INKS, ALPHA]).astype(np.uint16) * 257
    found = read_photo(saved(stored, extrasamples=[0]))
    np.testing.assert_array_equal(found.pixels, plain())
    assert found.alpha is None


def test_it_is_turned_upright() -> None:
    stored = np.dstack([INKS, ALPHA])
    found = read_photo(saved(stored, extrasamples=[2], extratags=[(274, "H", 1, 6, False)]))
    np.testing.assert_array_equal(found.pixels, np.rot90(plain(), -1))
    np.testing.assert_array_equal(found.alpha, np.rot90(ALPHA, -1))


def test_what_cannot_be_read_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(np.dstack([INKS, ALPHA]), extrasamples=[2])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_photo(data[:-2000])
    with pytest.raises(InputError, match="more than the"):
        read_photo(data, max_pixels=700)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(InputError, match="it is a TIFF of CMYK with alpha, 8 bits a channel, which needs the extra"):
        read_photo(data)
