"""The folder of Sfumato's data in the user's home."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sfumato.errors import OutputError


def data_folder() -> Path:
    """Return the operating system's folder for the data of applications, with ``sfumato`` appended.

    Raises:
        OutputError: the user has no home folder, as in a container that runs under a numeric user id.
    """
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or _home_folder() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = _home_folder() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or _home_folder() / ".local" / "share")
    return base / "sfumato"


def _home_folder() -> Path:
    """Return the user's home folder; raise OutputError if there is none."""
    try:
        if os.environ.get("HOME") != "":  # an empty one would give the root folder
            return Path.home()
    except RuntimeError:
        pass
    raise OutputError(
        "there is no home folder to store styles in; set SFUMATO_STYLES, SFUMATO_PERSONAL and SFUMATO_PROVENANCE to "
        "folders"
    )
