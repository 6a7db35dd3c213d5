"""The container of glTF 2.0: reading GLB and glTF files, whose content is not trusted, and writing GLB files.

Only what Sfumato changes or needs is interpreted; all else passes through. Everything outside the document, which may
be in other files, in data addresses or in the binary chunk, becomes one buffer.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sfumato.errors import InputError
from sfumato.files import parse_json, read_bytes

#: Most bytes of a file, of all files of a model together, and of its JSON.
MAX_BYTES = 2**30
MAX_JSON = 2**27
_MAX_PARTS = 1_000_000  # views, accessors, images
_ALIGNMENT = 4
_DATA = re.compile(r"data:([\w.+/-]*)(?:;[\w=-]+)*;base64,", re.ASCII)
_REFUSED = {
    "EXT_meshopt_compression": "decompress it first, as with gltfpack -noq or gltf-transform",
    "KHR_meshopt_compression": "decompress it first, as with gltfpack -noq or gltf-transform",
}


@dataclass
class Gltf:
    """A model in memory.

    Attributes:
        document: the JSON. Its buffers and outside files are resolved: their bytes are in ``buffers`` and ``images``.
        buffers: the bytes of each buffer.
        images: the bytes of each image.
        name: the file's name, for error messages.
    """

    document: dict[str, Any]
    buffers: list[bytes]
    images: list[bytes]
    name: str

    def parts(self, key: str) -> list[dict[str, Any]]:
        """Return a list of the document, such as its meshes; empty where there is none."""
        return parts_of(self.document, key, self.name)

    def at(self, key: str, index: Any) -> dict[str, Any]:
        """Return one part of a list of the document.

        Raises:
            InputError: there is no such part.
        """
        found = self.parts(key)
        if type(index) is not int or not 0 <= index < len(found):
            raise InputError(f"{self.name} is damaged: it refers to {key} {index!r:.40}, of {len(found)}")
        return found[index]

    def view(self, index: Any) -> bytes:
        """Return the bytes of a buffer view."""
        view = self.at("bufferViews", index)
        start, length = _whole(view, "byteOffset", self.name, 0), _whole(view, "byteLength", self.name)
        buffer = self.buffers[_index(view.get("buffer"), len(self.buffers), self.name)]
        if start + length > len(buffer):
            raise InputError(f"{self.name} is damaged: buffer view {index} ends beyond its buffer")
        return buffer[start : start + length]


def parts_of(found: Mapping[str, Any], key: str, name: str) -> list[dict[str, Any]]:
    """Return a list of objects in the JSON of a file; empty where there is none.

    Raises:
        InputError: it is another thing.
    """
    value = found.get(key, [])
    if not isinstance(value, list) or len(value) > _MAX_PARTS or not all(isinstance(each, dict) for each in value):
        raise InputError(f"{name} is damaged: its {key} are not a list of objects")
    return value


def object_of(found: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    """Return an object in the JSON of a file; empty where there is none. Raises InputError as `parts_of` does."""
    value = found.get(key, {})
    if not isinstance(value, dict):
        raise InputError(f"{name} is damaged: its {key} is not an object")
    return value


def index_of(found: Mapping[str, Any]) -> int:
    """Return the index that a reference in the JSON holds; -1 where it holds none."""
    index = found.get("index")
    return index if type(index) is int else -1


def _whole(found: Mapping[str, Any], key: str, name: str, default: int | None = None) -> int:
    value = found.get(key, default)
    if type(value) is not int or not 0 <= value <= MAX_BYTES:
        raise InputError(f"{name} is damaged: {key} is {value!r:.40}")
    return value


def _index(value: Any, count: int, name: str) -> int:
    if type(value) is not int or not 0 <= value < count:
        raise InputError(f"{name} is damaged: it refers to buffer {value!r:.40}, of {count}")
    return value


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_gltf(path: str | os.PathLike[str]) -> Gltf:
    """Read a model from a ``.glb`` or ``.gltf`` file and the files that it names, which must be in its folder.

    Raises:
        InputError: a file cannot be read, is damaged or too large, or lies elsewhere.
    """
    path = Path(path)
    content = _read(path, str(path), MAX_BYTES)
    if content[:4] == b"glTF":
        text, binary = _chunks(content, str(path))
    else:
        text, binary = content, None
    document = _parsed(text, str(path))
    return _resolved(document, binary, path)


def _read(path: Path, name: str, most: int) -> bytes:
    try:
        return read_bytes(path, most)
    except OSError as problem:
        raise InputError(f"cannot read {name}: {problem.strerror or problem}") from problem
    except ValueError as problem:  # a name with a null character
        raise InputError(f"cannot read {name}: {problem}") from problem


def _chunks(content: bytes, name: str) -> tuple[bytes, bytes | None]:
    """Return the JSON and the binary chunk of a GLB file."""
    found: list[tuple[bytes, bytes]] = []
    if len(content) >= 12:
        _, version, total = struct.unpack_from("<4sII", content)
        if version != 2:
            raise InputError(f"{name} is of glTF version {version}; Sfumato reads version 2, so export it again")
        place = 12
        while place + 8 <= min(total, len(content)) and len(found) < 64:
            length, kind = struct.unpack_from("<I4s", content, place)
            if place + 8 + length > len(content):
                break
            found.append((kind, content[place + 8 : place + 8 + length]))
            place += 8 + length
    if not found or found[0][0] != b"JSON":
        raise InputError(f"{name} is damaged: it has no whole JSON chunk")
    return found[0][1], found[1][1] if len(found) > 1 and found[1][0] == b"BIN\0" else None


def _parsed(text: bytes, name: str) -> dict[str, Any]:
    if len(text) > MAX_JSON:
        raise InputError(f"{name} has more than {MAX_JSON >> 20} MiB of JSON")
    try:
        document = parse_json(text)
    except ValueError as problem:
        raise InputError(f"{name} is no glTF file: its JSON cannot be read") from problem
    if not isinstance(document, dict):
        raise InputError(f"{name} is no glTF file: its JSON is not an object")
    version = object_of(document, "asset", name).get("version")
    if not isinstance(version, str) or not version.startswith("2."):
        raise InputError(f"{name} is no glTF 2 file: its version is {version!r:.40}")
    used = document.get("extensionsUsed", [])
    for extension, advice in _REFUSED.items():
        if isinstance(used, list) and extension in used:
            raise InputError(f"{name} is compressed by {extension}, which Sfumato does not read; {advice}")
    return document


def _resolved(document: dict[str, Any], binary: bytes | None, path: Path) -> Gltf:
    """Return the model with the bytes of its buffers and images."""
    name, left = str(path), MAX_BYTES
    buffers: list[bytes] = []
    for number, buffer in enumerate(parts_of(document, "buffers", name)):
        if "uri" in buffer:
            content = _outside(buffer["uri"], path, left)
            left -= len(content)
        elif number == 0 and binary is not None:
            content = binary
        else:
            raise InputError(f"{name} is damaged: buffer {number} has no bytes")
        length = _whole(buffer, "byteLength", name)
        if length > len(content):
            raise InputError(f"{name} is damaged: buffer {number} has {len(content)} of {length} bytes")
        buffers.append(content[:length])
    model = Gltf(document, buffers, [], name)
    for number, image in enumerate(model.parts("images")):
        if "bufferView" in image:
            content = model.view(image["bufferView"])
        elif "uri" in image:
            content = _outside(image["uri"], path, left)
        else:
            raise InputError(f"{name} is damaged: image {number} has no bytes")
        left -= len(content)
        if left < 0:
            raise InputError(f"{name} and its files have more than {MAX_BYTES >> 20} MiB")
        model.images.append(content)
    return model


def _outside(address: Any, path: Path, most: int) -> bytes:
    """Return the bytes of a data address, or of a file in the folder of ``path`` or below it."""
    if not isinstance(address, str):
        raise InputError(f"{path} is damaged: an address in it is not text")
    if address[:5].lower() == "data:":
        head = _DATA.match(address)
        if head is None:
            raise InputError(f"{path} has a data address that is not in base64")
        try:
            content = base64.b64decode(address[head.end() :], validate=True)
        except (binascii.Error, ValueError) as problem:
            raise InputError(f"{path} is damaged: a data address in it is not base64") from problem
        return content
    name = unquote(address)
    folder = path.parent.resolve()
    parts = re.split(r"[/\\]", name)
    if ":" in name or not name.isprintable() or not parts[0] or ".." in parts:
        raise InputError(
            f"{path} refers to {address!r:.80}, outside its folder; only files beside the model or below it are read"
        )
    target = folder / name
    try:
        inside = target.resolve().is_relative_to(folder)
    except (OSError, RuntimeError):  # a name that is too long, or links in a circle
        inside = False
    if not inside:
        raise InputError(f"{path} refers to {address!r:.80}, which is not a file in its folder")
    return _read(target, f"{name}, to which {path} refers", most)


# ---- writing ---------------------------------------------------------------------------------------------------------


def to_glb(model: Gltf) -> bytes:
    """Return the model as a GLB file.

    Buffer views keep their indices; their bytes are laid out anew, without those that nothing refers to. Each image
    gets a view of its own.
    """
    document = json.loads(json.dumps(model.document))
    views = parts_of(document, "bufferViews", model.name)
    images = parts_of(document, "images", model.name)
    of_images = {int(image["bufferView"]) for image in images if "bufferView" in image}
    of_images -= _used_views(document)
    blob = bytearray()
    for number, buffer in enumerate(model.buffers):
        _lay(
            blob,
            buffer,
            [view for i, view in enumerate(views) if view.get("buffer") == number and i not in of_images],
            model,
        )
    free = sorted(of_images)
    for image, content in zip(images, model.images, strict=True):
        image.pop("uri", None)
        image.setdefault("mimeType", _kind(content))  # without an address it must be told
        blob += bytes(-len(blob) % _ALIGNMENT)
        view = {"buffer": 0, "byteOffset": len(blob), "byteLength": len(content)}
        if free:
            image["bufferView"] = free.pop(0)
            views[image["bufferView"]].clear()
            views[image["bufferView"]].update(view)
        else:
            image["bufferView"] = len(views)
            views.append(view)
        blob += content
    for index in free:  # two images shared a view: it must stay valid
        views[index].clear()
        views[index].update({"buffer": 0, "byteOffset": 0, "byteLength": 1})
    blob += bytes(-len(blob) % _ALIGNMENT)
    if views:
        document["bufferViews"] = views
    if blob:
        document["buffers"] = [{"byteLength": len(blob)}]
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if blob:
        chunks += struct.pack("<I4s", len(blob), b"BIN\0") + bytes(blob)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _kind(content: bytes) -> str:
    """Return the media type of an image."""
    for start, kind in ((b"\xff\xd8", "image/jpeg"), (b"\xabKTX 20", "image/ktx2"), (b"RIFF", "image/webp")):
        if content.startswith(start):
            return kind
    return "image/png"


def _used_views(document: dict[str, Any]) -> set[int]:
    """Return the indices of views that something other than an image refers to, under any key of an extension too."""
    found: set[int] = set()
    rest = [value for key, value in document.items() if key not in ("images", "bufferViews")]
    while rest:
        each = rest.pop()
        if isinstance(each, dict):
            index = each.get("bufferView")
            if type(index) is int:
                found.add(index)
            rest.extend(each.values())
        elif isinstance(each, list):
            rest.extend(each)
    return found


def _lay(blob: bytearray, buffer: bytes, views: list[dict[str, Any]], model: Gltf) -> None:
    """Append the bytes that views show of one buffer, each once, and move the views to them."""
    spans = []
    for view in views:
        start, length = _whole(view, "byteOffset", model.name, 0), _whole(view, "byteLength", model.name)
        if start + length > len(buffer):
            raise InputError(f"{model.name} is damaged: a buffer view ends beyond its buffer")
        spans.append((start, start + length, view))
    spans.sort(key=lambda span: span[:2])
    begin, end, offset = 0, -1, 0
    for start, stop, view in spans:
        if start >= end:  # a new stretch; its place keeps the alignment of what is in it
            blob += bytes((start - len(blob)) % _ALIGNMENT)
            begin, end, offset = start, start, len(blob)
        if stop > end:
            blob += buffer[end:stop]
            end = stop
        view["buffer"], view["byteOffset"] = 0, offset + start - begin
