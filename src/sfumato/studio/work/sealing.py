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
        keys: that sign; None where they can be neither made nor read.
    """

    def __init__(self, keys: Keys | None) -> None:
        self._has_keys = keys is not None
        if keys is not None:
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
        if self._has_keys:
            try:
                return super().write_photo(photo, destination, format, quality, overwrite, source)
            except (InputError, OutputError) as problem:
                _tell(problem)
        write_photo(photo, destination, format, quality, overwrite)
        return (NOT_SEALED,)

    def seal_video(self, file: BinaryIO, out: BinaryIO, recipe: Mapping[str, Any], source: Path) -> tuple[str, ...]:
        """Write a video as `Seal.seal_video` does, or without a seal."""
        if self._has_keys:
            try:
                return super().seal_video(file, out, recipe, source)
            except (InputError, OutputError) as problem:
                _tell(problem)
        for each in (file, out):
            each.seek(0)
        out.truncate()
        shutil.copyfileobj(file, out)
        return (NOT_SEALED,)


def _tell(problem: InputError | OutputError) -> None:
    _log.warning("a result is not sealed: %s", problem)
