"""A picture painted in small tiles is the picture painted in one: draft, standard and best. (Collections:
`test_collection`.)"""

from __future__ import annotations

import numpy as np
import pytest

from sfumato import Stylizer, UsageError
from sfumato.image import Picture
from sfumato.inference.stylizer import Quality
from support import scene


def painted(photo: Picture, quality: Quality, tile: int | None) -> tuple[Picture, set[str]]:
    """The painting, and what was told while it was made."""
    told: set[str] = set()
    stylizer = Stylizer(threads=1, tile=tile)
    found = stylizer(photo, "great-wave", quality=quality, progress=lambda share, doing: told.add(doing))
    return found, told


@pytest.mark.parametrize(
    ("quality", "size", "tile", "count"),
    [
        ("draft", (210, 300), 64, 8),
        ("standard", (210, 300), 64, 12),
        pytest.param("best", (210, 300), 64, 12, marks=pytest.mark.slow),
        # Larger than the base size: painted there first, and enlarged.
        pytest.param("draft", (1056, 1090), 256, 16, marks=pytest.mark.slow),
        pytest.param("standard", (530, 560), 256, 4, marks=pytest.mark.slow),
    ],
)
def test_tiles_are_the_whole(quality: Quality, size: tuple[int, int], tile: int, count: int) -> None:
    photo = scene(*size, seed=4)
    whole, told = painted(photo, quality, None)
    assert not [doing for doing in told if "tile 2" in doing]
    tiled, told = painted(photo, quality, tile)
    assert [doing for doing in told if doing.endswith(f"tile {count} of {count}")]
    off = np.abs(tiled - whole)
    if quality == "draft":
        assert off.max() < 1e-4
    # What is matched takes the nearest feature: the last bits may decide between two in single places, and colours are
    # made even about them. A seam would show along its whole length.
    assert (off > 2 / 255).mean() < 0.001
    assert off.max() < 0.05
    assert np.abs(whole - photo).mean() > 0.02


@pytest.mark.parametrize("tile", [0, 8, 100, -16])
def test_a_tile_off_the_grid_is_refused(tile: int) -> None:
    with pytest.raises(UsageError, match="tile must be a multiple of 16"):
        Stylizer(tile=tile)
