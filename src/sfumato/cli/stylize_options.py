"""What options of ``sfumato stylize`` stand for: wishes, and masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from sfumato.image import Photo
    from sfumato.inference.gate import Wishes


def find_wishes(
    auto: bool, keep: float | None, best_of: int, gates: list[str], strength: float, stroke: float, masked: bool
) -> Wishes | None:
    """What is left to Sfumato; None where people chose everything."""
    from sfumato.checks import check_range

    if keep is not None:
        check_range(keep, 0.0, 1.0, "--keep")
        if not auto:
            raise UsageError("--keep bounds what --auto chooses; add --auto")
    check_range(best_of, 1, 100, "--best-of")
    if auto and (strength, stroke) != (1.0, 1.0):
        raise UsageError("--auto chooses strength and stroke; leave --strength and --stroke out")
    if auto and masked:
        raise UsageError("--auto chooses for one style over the whole picture; leave --mask out")
    if not (auto or best_of > 1 or gates):
        return None  # and detectors need not be loaded
    from sfumato.inference.gate import Gate, Wishes

    return Wishes(auto, keep, best_of, tuple(Gate.parse(text) for text in gates))


def read_mask(path: Path) -> npt.NDArray[np.float32]:
    """How white the picture is, and where it is transparent, black: paint programs draw on nothing."""
    import numpy as np

    from sfumato.image import luma, read_photo

    photo = read_photo(path)
    white = np.empty((photo.height, photo.width), np.float32)
    for top in range(0, photo.height, rows := max(1, (1 << 20) // photo.width)):  # a band in floats at a time
        band = slice(top, top + rows)
        white[band] = luma(photo.picture(band)[0])
        if photo.alpha is not None:
            white[band] *= photo.alpha[band] / np.float32(np.iinfo(photo.alpha.dtype).max)
    return white


def shrunk(mask: npt.NDArray[np.float32], size: tuple[int, int], photo: Photo) -> npt.NDArray[np.float32]:
    """A mask of a photo's size before it was shrunk, shrunk along; another one is left as it is."""
    import numpy as np
    from PIL import Image

    from sfumato.image import resample

    if mask.shape != size or size == (photo.height, photo.width):
        return mask
    return np.clip(resample(mask, photo.height, photo.width, Image.Resampling.BOX), 0, 1)


def mask_digest(values: npt.NDArray[np.float32]) -> str:
    """SHA-256 in hex: what a recipe names a mask by."""
    import hashlib

    return hashlib.sha256(values.tobytes()).hexdigest()
