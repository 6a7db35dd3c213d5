"""Writing of the pictures that a piece of work has made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sfumato.image import Photo, write_photo
from sfumato.studio.thumbs import write_thumb
from sfumato.studio.work import warm
from sfumato.studio.work.parts import Made

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
_SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp"}
_PREVIEW_QUALITY = 85


def save(
    picture: Photo, folder: Path, name: str, source: Path, format: str = "png", quality: int = 92, **facts: Any
) -> Made:
    """Write a result, sealed if Studio seals, and its thumbnail.

    Args:
        picture: with its recipe.
        folder: where the files are written.
        name: of the file, without a suffix.
        source: the file that it was made from.
        format: a key of `MEDIA_TYPES`.
        quality: of JPEG and WebP.
        facts: further attributes of the `Made`.

    Raises:
        OutputError: it cannot be written in this format.
    """
    file, thumb = folder / f"{name}.{_SUFFIXES[format]}", folder / f"{name}.thumb.webp"
    remarks: tuple[str, ...] = ()
    if (seal := warm.seal()) is None:
        write_photo(picture, file, format, quality)
    else:
        remarks = seal.write_photo(picture, file, format, quality, source=source)
    write_thumb(picture, thumb)
    return Made(
        "result",
        file,
        thumb,
        picture.width,
        picture.height,
        MEDIA_TYPES[format],
        recipe=picture.metadata.recipe,
        remarks=remarks,
        **facts,
    )


def save_preview(picture: Photo, folder: Path, name: str, **facts: Any) -> Made:
    """Write a picture for the page, which is its own thumbnail."""
    file = folder / f"{name}.webp"
    write_photo(picture, file, "webp", _PREVIEW_QUALITY)
    return Made(
        "preview",
        file,
        file,
        picture.width,
        picture.height,
        MEDIA_TYPES["webp"],
        recipe=picture.metadata.recipe,
        **facts,
    )
