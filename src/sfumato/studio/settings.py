"""The settings of a running Studio, the same for the service and its workers."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field

from sfumato.config import Config
from sfumato.errors import UsageError
from sfumato.folders import data_folder

#: Environment variables for the folder, the database and the place of the pictures' files.
DATA, DATABASE, FILES = "SFUMATO_STUDIO_DATA", "SFUMATO_DATABASE_URL", "SFUMATO_STUDIO_FILES"
_DURATION = re.compile(r"([1-9]\d{0,4})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class Settings(Config):
    """Where Studio keeps its data, and its limits.

    Attributes:
        data: folder of everything that Studio stores.
        database: URL of the database; "" is a SQLite file in ``data``.
        files: folder or fsspec URL of the pictures' files; "" is a folder in ``data``.
        keep: days after which pictures without a star are deleted; 0 keeps them.
        quota: bytes that an account may store.
        most_queued: jobs of an account that may wait at a time.
        upload_bytes: largest upload of a picture.
        video_bytes: largest upload of a video.
        pixels: most pixels of an uploaded picture.
        job_seconds: time limit of a job.
        video_seconds: time limit of a job that paints a video.
        job_bytes: memory limit of a job.
        threads: CPU threads of a worker; 0 takes all cores.
        provenance: whether results are sealed, where the extra ``provenance`` is installed.
        lease: seconds after which a job of a silent worker is given to another.
    """

    data: Path
    database: str = ""
    files: str = ""
    keep: float = Field(default=0, ge=0, le=100_000)
    quota: int = Field(default=20 * 2**30, ge=0)
    most_queued: int = Field(default=500, ge=1)
    upload_bytes: int = Field(default=128 * 2**20, ge=1)
    video_bytes: int = Field(default=2 * 2**30, ge=1)
    pixels: int = Field(default=100_000_000, ge=1)
    job_seconds: float = Field(default=3600, gt=0)
    video_seconds: float = Field(default=86_400, gt=0)
    job_bytes: int = Field(default=8 * 2**30, ge=2**28)
    threads: int = Field(default=0, ge=0, le=1024)
    provenance: bool = True
    lease: float = Field(default=15, gt=0)

    @classmethod
    def from_environment(cls, data: Path | None = None, database: str | None = None, **values: object) -> Self:
        """Return settings in which the environment gives what the arguments leave out.

        Raises:
            UsageError: a value is wrong.
            OutputError: neither names a folder, and there is no home folder.
        """
        data = data or Path(os.environ.get(DATA) or data_folder() / "studio")
        database = database or os.environ.get(DATABASE, "")
        return cls.parse({"data": data.absolute(), "database": database, "files": os.environ.get(FILES, ""), **values})

    @property
    def database_url(self) -> str:
        """The URL of the database."""
        return self.database or f"sqlite:///{self.data / 'studio.db'}"

    @property
    def files_root(self) -> str:
        """The folder or URL of the pictures' files."""
        return self.files or str(self.data / "files")

    def personal(self, account: str) -> Path:
        """Return the folder of an account's personal styles."""
        return self.data / "accounts" / account / "personal"

    def parts(self, job: str) -> Path:
        """Return the folder in which a job keeps what a later attempt can go on from."""
        return self.data / "parts" / job

    def make_folder(self) -> None:
        """Create the data folder, which only its owner may read; one that exists is closed to others.

        Raises:
            UsageError: it cannot be created or written.
        """
        try:
            self.data.mkdir(0o700, parents=True, exist_ok=True)
            if not os.access(self.data, os.W_OK | os.X_OK):
                raise PermissionError(13, "permission denied")
            with suppress(PermissionError):  # the folder of another user, as on a shared disk
                self.data.chmod(0o700)
        except OSError as problem:
            raise UsageError(
                f"cannot write into {self.data}: {problem.strerror or problem}; name another folder with --data"
            ) from problem


def parse_days(text: str) -> float:
    """Return the days of a duration such as ``30d``, ``12h`` or ``4w``.

    Raises:
        UsageError: the text is no such duration.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UsageError(f"a duration is a number with h, d or w, as in 30d, but is {text[:40]!r}")
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) / timedelta(days=1)
