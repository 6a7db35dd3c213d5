"""Pixel readers: the pixels of a picture by region, from an array, a photo, or an enlarged smaller picture."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.image import Photo, Picture, resample, resize
from sfumato.inference.finish import bleed, detail_gain, enlarge

BAND_ROWS = 256  # rows of a photo that are converted to floats at a time
FILL_SIDE = 512  # longer side, at most, of the picture that holds the (smooth) colours under transparency


class PixelReader(Protocol):
    """A source of pixels; the whole picture may be too large to be held as floats."""

    @property
    def height(self) -> int:
        """The height in pixels."""

    @property
    def width(self) -> int:
        """The width in pixels."""

    def region(self, rows: slice, columns: slice) -> Picture:
        """Return a region ``(1, 3, h, w)`` float32 in [0, 1], contiguous."""

    def reduced(self, height: int, width: int) -> Picture:
        """Return the whole picture at another size."""


class ArrayReader:
    """Reads a picture ``(1, 3, H, W)`` in memory."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.height, self.width = picture.shape[2:]

    def region(self, rows: slice, columns: slice) -> Picture:
        """Return a region ``(1, 3, h, w)``, contiguous."""
        return np.ascontiguousarray(self.picture[:, :, rows, columns])

    def reduced(self, height: int, width: int) -> Picture:
        """Return the whole picture at another size."""
        return resize(self.picture, height, width)


class PhotoReader:
    """Reads a photo with integer pixels; under transparency, it gives the colours of opaque pixels nearby."""

    def __init__(self, photo: Photo) -> None:
        self.photo = photo
        self.height, self.width = photo.height, photo.width

    def region(self, rows: slice, columns: slice) -> Picture:
        """Return a region ``(1, 3, h, w)`` float32 in [0, 1]."""
        picture = self.photo.picture(rows, columns)
        if self._fill is None:
            return picture
        cover = self._cover(self.photo.alpha[rows, columns])  # type: ignore[index]  # there is a fill, so alpha
        fill = np.clip(enlarge(self._fill, self.height, self.width, rows, columns), 0.0, 1.0)  # bicubic overshoots
        return np.asarray(picture * cover + fill * (1 - cover), np.float32)

    def reduced(self, height: int, width: int) -> Picture:
        """Return the whole photo at another size."""
        pixels = self.photo.pixels
        if pixels.dtype == np.uint8 and self._fill is None:
            image = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
            return np.ascontiguousarray((np.asarray(image, np.float32) / np.float32(255)).transpose(2, 0, 1))[None]
        return self._reduced_by_bands(height, width)

    def _reduced_by_bands(self, height: int, width: int) -> Picture:
        """Reduce by an integer factor in bands of rows, then resize, so that the whole is never held as floats."""
        factor = max(1, int(min(self.height / height, self.width / width) / 3))
        rows = factor * max(1, BAND_ROWS // factor)
        bands: list[list[npt.NDArray[np.float32]]] = [[], [], []]
        for top in range(0, self.height, rows):
            band = self.region(slice(top, min(top + rows, self.height)), slice(0, self.width))
            for plane, reduced in zip(band[0], bands, strict=True):
                reduced.append(np.asarray(Image.fromarray(plane).reduce(factor)))
        box = (0, 0, self.width / factor, self.height / factor)  # the last row and column may be partial
        whole = np.stack([np.concatenate(reduced) for reduced in bands])[None]
        return np.clip(resample(whole, height, width, Image.Resampling.LANCZOS, box), 0.0, 1.0)

    @cached_property
    def _fill(self) -> Picture | None:
        """The colours under transparency, at a reduced size; ``None`` where nothing, or everything, is transparent."""
        alpha = self.photo.alpha
        if alpha is None or alpha.min() == np.iinfo(alpha.dtype).max or alpha.max() == 0:
            return None
        step = max(1, -(-max(self.height, self.width) // FILL_SIDE))
        every = slice(None, None, step)
        return bleed(self.photo.picture(every, every), self._cover(alpha[every, every]))

    @staticmethod
    def _cover(alpha: npt.NDArray[np.uint8 | np.uint16]) -> npt.NDArray[np.float32]:
        """Return the alpha channel as floats in [0, 1]."""
        return alpha.astype(np.float32) / np.float32(np.iinfo(alpha.dtype).max)


def as_reader(picture: Photo | Picture) -> PixelReader:
    """Return a pixel reader of a photo, or of a picture ``(1, 3, H, W)``."""
    return PhotoReader(picture) if isinstance(picture, Photo) else ArrayReader(picture)


class StripReader(ArrayReader):
    """Reads a picture that is too narrow to be painted, padded to ``min_side`` on both sides by repeating its edge."""

    def __init__(self, source: PixelReader, min_side: int) -> None:
        whole = source.region(slice(0, source.height), slice(0, source.width))
        down, across = (max(0, min_side - side) for side in (source.height, source.width))
        super().__init__(np.pad(whole, ((0, 0), (0, 0), (0, down), (0, across)), mode="edge"))


class EnlargedReader:
    """Reads a painting of a smaller size, enlarged, with the finest detail of the photo added."""

    def __init__(self, photo: PixelReader, painted: Picture, small_photo: Picture) -> None:
        """Prepare to enlarge ``painted``, which was painted from ``small_photo``; both ``(1, 3, h, w)``."""
        self.photo, self.painted = photo, painted
        self.small_photo = small_photo.mean(1, keepdims=True)  # enlarging is linear: one plane suffices
        self.height, self.width = photo.height, photo.width
        self.gain = np.float32(detail_gain(painted, small_photo))

    def region(self, rows: slice, columns: slice) -> Picture:
        """Return a region ``(1, 3, h, w)`` float32 in [0, 1]."""
        painted, small_photo = (
            enlarge(small, self.height, self.width, rows, columns) for small in (self.painted, self.small_photo)
        )
        detail = self.photo.region(rows, columns).mean(1, keepdims=True) - small_photo  # of the channel mean
        return np.asarray(np.clip(painted + self.gain * detail, 0.0, 1.0), np.float32)

    def reduced(self, height: int, width: int) -> Picture:
        """Return the painting at another size, without the added detail."""
        return resize(self.painted, height, width)
