"""Sealing of results in Studio, where what is painted is worth more than its seal."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from sfumato.errors import InputError, OutputError
from sfumato.image import Photo, write_photo
from sfumato.provenance.keys import Keys
from sfumato.provenance.log import SealLog
from sfumato.provenance.seal import Seal

_log = logging.getLogger(__name__)
#: The remark on a result without a seal. It names no path, since others than the owner of the server may read it.
NOT_SEALED = "this result is not sealed, because the keys or the log cannot be used; see the server's log"


class GentleSeal(Seal):
    """A seal that writes a file without one, and says so, where keys or log cannot be used.

    Args:
        keys: that sign.
    """

    def __init__(self, keys: Keys) -> None:
        self.keys, self._log = keys, SealLog(keys)  # the end of the log is checked with each line

    def write_photo(
        self,
        photo: Photo,
        destination: str | os.PathLike[str] | BinaryIO,
        format: str | None = None,
        quality: int = 92,
        overwrite: bool = True,
        source: Path | bytes | None = None,
    ) -> tuple[str, ...]:
        """Write a picture as `Seal.write_photo` does, or without a seal; ``destination`` is a path.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            return super().write_photo(photo, destination, format, quality, overwrite, source)
        except (InputError, OutputError) as problem:
            write_photo(photo, destination, format, quality, overwrite)
            return _told(problem)

    def seal_video(self, file: BinaryIO, out: BinaryIO, recipe: Mapping[str, Any], source: Path) -> tuple[str, ...]:
        """Write a video as `Seal.seal_video` does, or without a seal."""
        try:
            return super().seal_video(file, out, recipe, source)
        except (InputError, OutputError) as problem:
            for each in (file, out):
                each.seek(0)
            out.truncate()
            shutil.copyfileobj(file, out)
            return _told(problem)


def _told(problem: InputError | OutputError) -> tuple[str, ...]:
    _log.warning("a result is not sealed: %s", problem)
    return (NOT_SEALED,)
