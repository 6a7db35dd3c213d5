"""Where painting reads its pixels from, region by region: an array, a photo, or what was painted smaller before."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.image import Photo, Picture, resample, resize
from sfumato.inference.finish import bleed, detail_gain, enlarge

BAND_ROWS = 256  # of a photo that are held as floats at a time
FILL_SIDE = 512  # pixels, at most, of the picture that holds the colours under transparency: they are smooth


class PixelReader(Protocol):
    """A picture that may be too large to be held as floats."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    def region(self, rows: slice, columns: slice) -> Picture:
        """``(1, 3, h, w)``, contiguous."""

    def reduced(self, height: int, width: int) -> Picture:
        """The whole at another size."""


class ArrayReader:
    """A picture ``(1, 3, H, W)`` in memory."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.height, self.width = picture.shape[2:]

    def region(self, rows: slice, columns: slice) -> Picture:
        return np.ascontiguousarray(self.picture[:, :, rows, columns])

    def reduced(self, height: int, width: int) -> Picture:
        return resize(self.picture, height, width)


class PhotoReader:
    """A photo with its integer pixels; under transparency it shows the colours of what is near and opaque."""

    def __init__(self, photo: Photo) -> None:
        self.photo = photo
        self.height, self.width = photo.height, photo.width

    def region(self, rows: slice, columns: slice) -> Picture:
        picture = self.photo.picture(rows, columns)
        if self._fill is None:
            return picture
        cover = self._cover(self.photo.alpha[rows, columns])  # type: ignore[index]  # there is a fill, so alpha
        fill = np.clip(enlarge(self._fill, self.height, self.width, rows, columns), 0.0, 1.0)  # bicubic overshoots
        return np.asarray(picture * cover + fill * (1 - cover), np.float32)

    def reduced(self, height: int, width: int) -> Picture:
        pixels = self.photo.pixels
        if pixels.dtype == np.uint8 and self._fill is None:
            image = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
            return np.ascontiguousarray((np.asarray(image, np.float32) / np.float32(255)).transpose(2, 0, 1))[None]
        return self._reduced_by_bands(height, width)

    def _reduced_by_bands(self, height: int, width: int) -> Picture:
        """First by a whole factor, some rows at a time: the whole is never held as floats."""
        factor = max(1, int(min(self.height / height, self.width / width) / 3))
        rows = factor * max(1, BAND_ROWS // factor)
        bands: list[list[npt.NDArray[np.float32]]] = [[], [], []]
        for top in range(0, self.height, rows):
            band = self.region(slice(top, min(top + rows, self.height)), slice(0, self.width))
            for plane, reduced in zip(band[0], bands, strict=True):
                reduced.append(np.asarray(Image.fromarray(plane).reduce(factor)))
        box = (0, 0, self.width / factor, self.height / factor)  # the last row and column may stand for less
        whole = np.stack([np.concatenate(reduced) for reduced in bands])[None]
        return np.clip(resample(whole, height, width, Image.Resampling.LANCZOS, box), 0.0, 1.0)

    @cached_property
    def _fill(self) -> Picture | None:
        alpha = self.photo.alpha
        if alpha is None or alpha.min() == np.iinfo(alpha.dtype).max or alpha.max() == 0:
            return None
        step = max(1, -(-max(self.height, self.width) // FILL_SIDE))
        every = slice(None, None, step)
        return bleed(self.photo.picture(every, every), self._cover(alpha[every, every]))

    @staticmethod
    def _cover(alpha: npt.NDArray[np.uint8 | np.uint16]) -> npt.NDArray[np.float32]:
        return alpha.astype(np.float32) / np.float32(np.iinfo(alpha.dtype).max)


def as_reader(picture: Photo | Picture) -> PixelReader:
    """A photo, or a picture ``(1, 3, H, W)``, as a source."""
    return PhotoReader(picture) if isinstance(picture, Photo) else ArrayReader(picture)


class StripReader(ArrayReader):
    """A picture too narrow to be painted, with its edge repeated down and across until both sides are ``min_side``."""

    def __init__(self, source: PixelReader, min_side: int) -> None:
        whole = source.region(slice(0, source.height), slice(0, source.width))
        down, across = (max(0, min_side - side) for side in (source.height, source.width))
        super().__init__(np.pad(whole, ((0, 0), (0, 0), (0, down), (0, across)), mode="edge"))


class EnlargedReader:
    """What was painted at a smaller size, enlarged, with the finest detail of the photo itself."""

    def __init__(self, photo: PixelReader, painted: Picture, small_photo: Picture) -> None:
        """``painted`` was made of ``small_photo``, the photo at that smaller size; both ``(1, 3, h, w)``."""
        self.photo, self.painted = photo, painted
        self.small_photo = small_photo.mean(1, keepdims=True)  # the mean of three enlarged planes is that of one
        self.height, self.width = photo.height, photo.width
        self.gain = np.float32(detail_gain(painted, small_photo))

    def region(self, rows: slice, columns: slice) -> Picture:
        painted, small_photo = (
            enlarge(small, self.height, self.width, rows, columns) for small in (self.painted, self.small_photo)
        )
        detail = self.photo.region(rows, columns).mean(1, keepdims=True) - small_photo  # of light, not of colour
        return np.asarray(np.clip(painted + self.gain * detail, 0.0, 1.0), np.float32)

    def reduced(self, height: int, width: int) -> Picture:
        return resize(self.painted, height, width)
