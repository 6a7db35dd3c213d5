"""Answers that are files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import FileResponse, Response, StreamingResponse

from sfumato.studio.files import FileStore
from sfumato.studio.problems import RefusedError

_CHUNK = 2**18
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_UNSAFE = re.compile(r"[^\w .()\-]+")
SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "video/webm": ".webm",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/x-matroska": ".mkv",
}
#: Stored files never change: they are named by their content.
_FOR_EVER = "private, max-age=31536000, immutable"


def file_name(title: str, suffix: str) -> str:
    """Return a name for a downloaded file that every system takes."""
    words = _UNSAFE.sub("_", unicodedata.normalize("NFC", title)).strip(" .")[:80]
    return f"{words or 'picture'}{suffix}"


def disposition(name: str) -> str:
    """Return the header that makes a browser save a file under a name (RFC 6266)."""
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def send_stored(
    request: Request, files: FileStore, account: str, sha256: str, media_type: str, name: str | None = None
) -> Response:
    """Return a stored file; with a ``name``, as a download.

    Raises:
        RefusedError: the file has vanished from the store.
    """
    headers = {"Cache-Control": _FOR_EVER, "ETag": f'"{sha256}"'}
    if f'"{sha256}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if not files.exists(account, sha256):
        raise RefusedError(404, "the file has vanished from the store; paint or upload it again")
    if name is not None:
        headers["Content-Disposition"] = disposition(name)
    path = files.path(account, sha256)
    if path is not None:
        return FileResponse(path, media_type=media_type, headers=headers)
    size = files.size(account, sha256)
    part = _asked_part(request.headers.get("range", ""), size)
    headers |= {"Accept-Ranges": "bytes", "Content-Length": str(len(part))}
    if len(part) < size:  # players of videos ask for parts
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    status = 206 if len(part) < size else 200
    return StreamingResponse(_chunks(files, account, sha256, part), status, headers=headers, media_type=media_type)


def _asked_part(text: str, size: int) -> range:
    """Return the bytes that a ``Range`` header asks for; all of them where it is none that is served (RFC 9110)."""
    found = _RANGE.fullmatch(text)
    if found is None or not (found[1] or found[2]):
        return range(size)
    if not found[1]:
        return range(max(0, size - int(found[2])), size)
    start, stop = int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
    return range(start, stop) if start < stop else range(size)


def _chunks(files: FileStore, account: str, sha256: str, part: range) -> Iterator[bytes]:
    left = len(part)
    with files.open(account, sha256) as file:
        file.seek(part.start)
        while left and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk
