"""Tables of colours in three dimensions, written as the .cube files that video editors read."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sfumato.files import atomic_file
from sfumato.image import Photo, Picture, to_levels

Array = npt.NDArray[np.float32]

#: Points along each axis of a table, by default, and the most that video editors commonly read.
SIZE, MAX_SIZE = 33, 65
_BAND_ROWS = 256  # rows that are mapped at a time


@dataclass(frozen=True, eq=False)
class Lut:
    """A table of colours.

    Attributes:
        table: ``(N, N, N, 3)`` float32 in [0, 1]: the sRGB colour of each red, green and blue, in steps of 1/(N - 1).
        title: one line.
    """

    table: Array
    title: str = ""

    @property
    def size(self) -> int:
        """Points along each axis."""
        return len(self.table)

    @classmethod
    def identity(cls, size: int = SIZE) -> Lut:
        """Return the table that changes no colour."""
        return cls(np.stack(np.meshgrid(*[np.linspace(0, 1, size, dtype=np.float32)] * 3, indexing="ij"), -1))

    def __call__(self, picture: Picture) -> Picture:
        """Map the colours of a picture ``(1, 3, H, W)`` in [0, 1], by trilinear interpolation."""
        last = self.size - 1
        place = np.clip(picture[0], 0.0, 1.0) * np.float32(last)
        low = np.minimum(place.astype(np.int32), last - 1)
        share = place - low
        flat = self.table.reshape(-1, 3)
        found = np.zeros((*picture.shape[2:], 3), np.float32)
        for corner in np.ndindex(2, 2, 2):
            weight, index = np.ones((), np.float32), np.zeros((), np.int32)
            for axis, up in enumerate(corner):
                weight = weight * (share[axis] if up else 1 - share[axis])
                index = index * self.size + low[axis] + up
            found += weight[..., None] * flat[index]
        return np.ascontiguousarray(found.transpose(2, 0, 1))[None]

    def on_photo(self, photo: Photo) -> Photo:
        """Map the colours of a photo in bands of rows, at its own bit depth."""
        pixels = np.empty_like(photo.pixels)
        for top in range(0, photo.height, _BAND_ROWS):
            rows = slice(top, min(top + _BAND_ROWS, photo.height))
            pixels[rows] = to_levels(self(photo.picture(rows)), pixels.dtype)
        return replace(photo, pixels=pixels)

    def weakened(self, strength: float) -> Lut:
        """Return the table mixed with the identity; ``strength`` is from 0, no change, to 1."""
        plain = Lut.identity(self.size).table
        return replace(self, table=np.asarray(plain + np.float32(strength) * (self.table - plain)))

    def save(self, path: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write a .cube file (Adobe Cube LUT 1.0), which appears whole or not at all.

        Raises:
            OutputError: it cannot be written, or exists and must not be replaced.
        """
        title = re.sub(r"[^ !#-~]", "?", self.title)[:200]  # printable ASCII without quotation marks
        head = f'TITLE "{title}"\nLUT_3D_SIZE {self.size}\nDOMAIN_MIN 0 0 0\nDOMAIN_MAX 1 1 1\n'
        rows = self.table.transpose(2, 1, 0, 3).reshape(-1, 3)  # red changes fastest
        with atomic_file(path, overwrite) as file:
            file.write(head.encode())
            file.write("".join(f"{r:.6f} {g:.6f} {b:.6f}\n" for r, g, b in rows).encode())
