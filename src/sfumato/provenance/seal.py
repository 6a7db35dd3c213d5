"""Sealing: what Sfumato writes gets an invisible mark, content credentials and a line in the log, in this order.

The mark is in the pixels, so it comes before the file; the credentials hold a hash of the file, so they come after; the
line in the log holds the hash of the finished file. The file gets its name last: a line without a file may be left by a
killed process, but no sealed file without a line.

The id that connects the three is made from the pixels and the recipe. The same painting therefore has the same mark.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from sfumato.errors import InputError, OutputError
from sfumato.files import atomic_file
from sfumato.image import Photo, read_photo, to_8_bits, write_photo
from sfumato.provenance import credentials, mark
from sfumato.provenance.keys import Keys
from sfumato.provenance.log import Entry, SealLog
from sfumato.provenance.sources import recipe_digest, settings_of, sources_of, uses_models

_BLOCK = 2**20  # bytes that are hashed at a time
#: The remark on a video whose format cannot hold credentials.
NO_CREDENTIALS = (
    "WebM and MKV cannot hold content credentials, so this video has only its line in the log; MP4 can hold them"
)


@dataclass(frozen=True)
class Sealed:
    """A sealed picture: its file, its id, and sentences on what could not be done."""

    content: bytes
    id: str
    remarks: tuple[str, ...] = ()


class Seal:
    """Seals files with the keys of a folder.

    Args:
        keys: that sign.

    Raises:
        InputError: the log cannot be read.
        OutputError: lines of the log are missing, or were changed.
    """

    def __init__(self, keys: Keys) -> None:
        self.keys, self._log = keys, SealLog(keys)
        self._log.check()

    @classmethod
    def open(cls, folder: Path | None = None, create: bool = True) -> Seal:
        """Return a seal with the keys of a folder; the arguments and errors are those of `Keys.open`."""
        return cls(Keys.open(folder, create))

    def write_photo(
        self,
        photo: Photo,
        destination: str | os.PathLike[str] | BinaryIO,
        format: str | None = None,
        quality: int = 92,
        overwrite: bool = True,
        source: Path | bytes | None = None,
    ) -> tuple[str, ...]:
        """Write a picture as `write_photo` does, sealed; return sentences on what could not be done.

        Args:
            photo: the picture, with its recipe.
            destination: as `write_photo` takes it, like all arguments but the last.
            format: of the file.
            quality: of JPEG and WebP.
            overwrite: whether an existing file is replaced.
            source: the file of the photo that was painted, or its bytes. Only its hash goes into the credentials.

        Raises:
            OutputError: the file or the log cannot be written.
        """
        if isinstance(destination, str | os.PathLike):
            path = Path(destination)
            with atomic_file(path, overwrite) as file:
                sealed, entry = self._sealed(photo, format or path.suffix, quality, source)
                file.write(sealed.content)
                return (*sealed.remarks, *self._add(entry))
        sealed = self.seal_photo(photo, format or "png", quality, source)
        try:
            destination.write(sealed.content)
            destination.flush()
        except OSError as problem:
            raise OutputError(f"cannot write -: {problem.strerror or problem}") from problem
        return sealed.remarks

    def seal_photo(self, photo: Photo, format: str, quality: int = 92, source: Path | bytes | None = None) -> Sealed:
        """Return a sealed picture, which is in the log already; the arguments are those of `write_photo`."""
        sealed, entry = self._sealed(photo, format, quality, source)
        return replace(sealed, remarks=(*sealed.remarks, *self._add(entry)))

    def _sealed(self, photo: Photo, format: str, quality: int, source: Path | bytes | None) -> tuple[Sealed, Entry]:
        recipe = photo.metadata.recipe or {}
        digest = recipe_digest(recipe)
        id_ = _id(pixels_digest(photo), digest)
        photo, remarks = mark_photo(photo, id_)
        plain, signed = io.BytesIO(), io.BytesIO()
        write_photo(photo, plain, format, quality)
        stated = replace(_statement(recipe, id_, source), is_reserved=photo.metadata.reservation is not None)
        credentials.sign(plain, signed, stated, self.keys)
        content = signed.getvalue()
        entry = Entry(id_, hashlib.sha256(content).hexdigest(), pixels_digest(_stored(photo, plain)), digest)
        return Sealed(content, id_, remarks), entry

    def seal_video(self, file: BinaryIO, out: BinaryIO, recipe: Mapping[str, Any], source: Path) -> tuple[str, ...]:
        """Write a finished video with credentials, and its line in the log; return sentences on what could not be done.

        Videos have no mark: it would have to be in every frame before the encoder.

        Args:
            file: the video, open for reading.
            out: a new file, open for reading and writing.
            recipe: of the video.
            source: the video that was painted.

        Raises:
            OutputError: the file or the log cannot be written.
        """
        digest = recipe_digest(recipe)
        id_ = _id(file_digest(file), digest)
        remarks: tuple[str, ...] = ()
        if credentials.media_type_of(file) is None:
            remarks = (NO_CREDENTIALS,)
            while block := file.read(_BLOCK):
                out.write(block)
        else:
            credentials.sign(file, out, _statement(recipe, id_, source, "video"), self.keys)
        return (*remarks, *self._add(Entry(id_, file_digest(out), None, digest)))

    def _add(self, entry: Entry) -> tuple[str, ...]:
        said = self._log.append(entry)
        return (said,) if said else ()


def _stored(photo: Photo, file: io.BytesIO) -> Photo:
    """Return the picture as it is in its file: JPEG and WebP change the pixels."""
    kind = credentials.media_type_of(file)
    is_exact = photo.alpha is None or photo.alpha.dtype == photo.pixels.dtype
    return photo if kind in ("image/png", "image/tiff") and is_exact else read_photo(file.getvalue())


def mark_photo(photo: Photo, id_: str) -> tuple[Photo, tuple[str, ...]]:
    """Return a picture with the invisible mark of an id, and a sentence where it cannot be marked.

    Of 16-bit pixels, the upper 8 bits are marked, and the lower ones kept.
    """
    levels = to_8_bits(photo.pixels)
    try:
        marked = mark.embed(levels, int(id_, 16))
    except InputError as problem:
        return photo, (str(problem),)
    if photo.pixels.dtype == np.uint8:
        return replace(photo, pixels=marked), ()
    out = np.empty_like(photo.pixels)
    for row, (deep, new, old) in enumerate(zip(photo.pixels, marked, levels, strict=True)):
        change = (new.astype(np.int32) - old) * 257
        out[row] = np.clip(deep + change, 0, 65535)
    return replace(photo, pixels=out), ()


def pixels_digest(photo: Photo) -> str:
    """Return the SHA-256, in hex, of a picture's size, depth, colours and alpha."""
    digest = hashlib.sha256()
    for levels in (photo.pixels, photo.alpha):
        if levels is not None:
            little = np.ascontiguousarray(levels.astype(levels.dtype.newbyteorder("<"), copy=False))
            digest.update(f"{little.shape} {little.dtype.itemsize};".encode())
            digest.update(little.data)
    return digest.hexdigest()


def _statement(
    recipe: Mapping[str, Any], id_: str, source: Path | bytes | None, kind: Literal["photo", "video"] = "photo"
) -> credentials.Statement:
    # The recipe of a finished painting names the photo before it, so the file itself comes first.
    sha256 = _source_digest(source) or recipe.get("photo_sha256") or ""
    said = credentials.Statement({"id": id_, **settings_of(recipe)}, str(sha256), sources_of(recipe), kind=kind)
    return said if uses_models(recipe) else replace(said, source_type="humanEdits")


def _id(content: str, recipe: str) -> str:
    return hashlib.sha256(f"{content} {recipe}".encode()).hexdigest()[:16]


def file_digest(file: BinaryIO) -> str:
    """Return the SHA-256 of an open file, and go back to its beginning."""
    file.seek(0)
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()


def _source_digest(source: Path | bytes | None) -> str | None:
    """Return the SHA-256 of the source's file; None for a pipe, which cannot be read again."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    if source is None or not os.path.isfile(source):
        return None
    try:
        with open(source, "rb") as file:
            return file_digest(file)
    except OSError as problem:
        raise InputError(f"cannot read {source}: {problem.strerror or problem}") from problem
