"""The texts in a video's container: what is copied from the source, and the recipe.

As for pictures, only named fields are copied, so that places (GPS), cameras and serial numbers cannot leak into a
result. The recipe is JSON after the prefix ``sfumato:``; MKV and WebM hold it in the tag ``SFUMATO_RECIPE``, MP4 and
MOV, which know only some tags, in ``synopsis`` or ``comment``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sfumato.metadata import MAX_RECIPE
from sfumato.video.opening import PICTURES, opened

#: Tags of a file that are copied, in lower case.
_COPIED = frozenset(
    {
        *("title", "artist", "album_artist", "composer", "album", "genre", "copyright", "date", "creation_time"),
        *("comment", "description", "show", "episode_id", "season_number", "episode_sort", "language", "track"),
    }
)
#: Tags of a sound or subtitle track that are copied.
_COPIED_OF_TRACK = ("language", "title")
_PREFIX = "sfumato:"
_TAGS = {"matroska": "SFUMATO_RECIPE", "webm": "SFUMATO_RECIPE", "mp4": "synopsis", "mov": "comment"}
_MAX_TEXT = 4000


def copied_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a source file that its painting keeps."""
    return {
        name: value[:_MAX_TEXT]
        for name, value in tags.items()
        if name.lower() in _COPIED and not value.startswith(_PREFIX)
    }


def track_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a track that are kept."""
    return {name: tags[name][:_MAX_TEXT] for name in _COPIED_OF_TRACK if name in tags}


def recipe_tag(recipe: Mapping[str, Any], format: str) -> dict[str, str]:
    """Return the tag that holds a recipe in a container of a format (FFmpeg's name)."""
    return {_TAGS[format]: _PREFIX + json.dumps(recipe, ensure_ascii=False, separators=(",", ":"))}


def read_video_recipe(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return the recipe in a video; None where there is none.

    Raises:
        InputError: the file cannot be read or is not a video.
        MissingExtraError: PyAV is not installed.
    """
    with opened(path) as container:
        texts = [value for value in container.metadata.values() if value.startswith(_PREFIX)]
    for text in texts:
        if len(text) > MAX_RECIPE:
            continue
        try:
            found = json.loads(text.removeprefix(_PREFIX))
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return None


def looks_like_video(path: Path) -> bool:
    """Whether a file begins as MP4, MOV, MKV or WebM, and is not a HEIC or AVIF picture."""
    from sfumato.image.formats import kind_of

    try:
        with path.open("rb") as file:
            head = file.read(64)
    except (OSError, ValueError):
        return False
    return head[:4] == b"\x1a\x45\xdf\xa3" or (
        head[4:8] in (b"ftyp", b"moov", b"wide") and kind_of(head) not in PICTURES
    )
