"""What a file says, with all that is compressed or encoded in it: for tests that search artefacts byte by byte."""

from __future__ import annotations

import base64
import gzip
import io
import re
import zipfile
import zlib
from pathlib import Path

_DEEP = 4  # levels of what is packed in what is packed
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{40,}={0,2}")
_HEX = re.compile(rb"(?:[0-9a-f]{2}\s?){20,}", re.IGNORECASE)


def unpacked(data: bytes, deep: int = _DEEP) -> list[bytes]:
    """The bytes, and everything that is packed in them: zlib (zTXt, iTXt, iCCP of PNG), gzip, ZIP, base64, hex."""
    found = [data]
    if deep == 0:
        return found
    inner: list[bytes] = []
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            inner += [b"\n".join(info.filename.encode() + b" " + info.comment for info in archive.infolist())]
            inner += [archive.read(info) for info in archive.infolist()]
    for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", data):
        try:
            inner.append(zlib.decompressobj().decompress(data[match.start() :], 10**7))
        except zlib.error:
            continue
    for match in re.finditer(rb"\x1f\x8b\x08", data):
        try:
            inner.append(gzip.decompress(data[match.start() :]))
        except (OSError, EOFError, zlib.error):
            continue
    if len(data) < 10**6 or data.lstrip()[:1] in (b"<", b"{", b"["):  # text, or small enough to try
        for match in _BASE64.finditer(data):
            text = match[0][: len(match[0]) // 4 * 4]
            inner.append(base64.b64decode(text))
        inner += [bytes.fromhex(match[0].decode()) for match in _HEX.finditer(data)]
    for each in inner:
        if each:
            found += unpacked(each, deep - 1)
    return found


def forms(secret: str) -> list[bytes]:
    """How a text may be written: in several encodings, and escaped as in JSON, URLs and XML."""
    texts = {secret, secret.replace("/", "\\/"), secret.replace("/", "%2F"), secret.replace("/", "&#x2F;")}
    return [text.encode(kind) for text in texts for kind in ("utf-8", "utf-16-le", "utf-16-be")]


def told(path: Path, secrets: dict[str, str]) -> list[str]:
    """Which of the secrets, by name, a file holds, in any case of letters."""
    parts = [part.lower() for part in unpacked(path.read_bytes())]
    return [
        name
        for name, secret in secrets.items()
        if any(form.lower() in part for form in forms(secret) for part in parts)
    ]
