"""Small textures, and glTF models made of plain parts."""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato.image import Picture, to_uint8

Array = npt.NDArray[Any]


def repeating(height: int, width: int, seed: int = 0) -> Picture:
    """A picture that repeats: random waves with a whole number of periods, and soft grain."""
    rng = np.random.default_rng(seed)
    down, across = (np.fft.fftfreq(n) * n for n in (height, width))
    radius = np.hypot(down[:, None], across[None])
    spectrum = np.fft.fft2(rng.normal(size=(3, height, width))) / np.maximum(radius, 1) ** 1.3
    planes = np.fft.ifft2(spectrum).real
    planes -= planes.mean((1, 2), keepdims=True)
    return np.asarray(np.clip(0.5 + 0.18 * planes / planes.std(), 0, 1), np.float32)[None]


def image(picture: Picture | Array, format: str = "PNG") -> bytes:
    """The bytes of a picture file."""
    pixels = picture if picture.dtype == np.uint8 else to_uint8(picture)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **({"quality": 95} if format == "JPEG" else {}))
    return file.getvalue()


def pixels_of(content: bytes) -> Array:
    with Image.open(io.BytesIO(content)) as opened:
        return np.asarray(opened.convert("RGB"))


def strips(points: Array | None = None, places: Array | None = None) -> tuple[Array, Array, Array]:
    """Points, places in the texture and corners of a folded sheet: two rectangles that share an edge in space, and lie
    apart in the texture, the left one at x from 0.1 to 0.4, the right one at x from 0.6 to 0.9."""
    if points is None:
        points = np.array(
            [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 1], [1, 1, 0], [1, 1, 1]], "<f4"
        )
    if places is None:
        places = np.array(
            [[0.1, 0.1], [0.4, 0.1], [0.1, 0.9], [0.4, 0.9], [0.6, 0.1], [0.9, 0.1], [0.6, 0.9], [0.9, 0.9]], "<f4"
        )
    corners = np.array([[0, 1, 2], [1, 3, 2], [4, 5, 6], [5, 7, 6]], "<u2")
    return points.astype("<f4"), places.astype("<f4"), corners


def document(
    images: Sequence[bytes],
    material: dict[str, Any] | None = None,
    mesh: tuple[Array, Array, Array] | None = None,
    kinds: Sequence[str] = (),
) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary chunk of a model; texture i shows image i, and the first one is the base colour."""
    points, places, corners = mesh or strips()
    blobs = [points.tobytes(), places.tobytes(), corners.tobytes(), *images]
    views, blob = [], b""
    for each in blobs:
        blob += b"\0" * (-len(blob) % 4)
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": len(each)})
        blob += each
    made = {
        "asset": {"version": "2.0", "generator": "tests"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}]}],
        "materials": [material or {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
        "textures": [{"source": i} for i in range(len(images))],
        "images": [{"bufferView": 3 + i, "mimeType": kinds[i] if kinds else "image/png"} for i in range(len(images))],
        "buffers": [{"byteLength": len(blob)}],
        "bufferViews": views,
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "type": "VEC3",
                "count": len(points),
                "min": points.min(0).tolist(),
                "max": points.max(0).tolist(),
            },
            {"bufferView": 1, "componentType": 5126, "type": "VEC2", "count": len(places)},
            {"bufferView": 2, "componentType": 5123, "type": "SCALAR", "count": corners.size},
        ],
    }
    return made, blob


def glb(made: dict[str, Any], blob: bytes) -> bytes:
    """A GLB file."""
    text = json.dumps(made).encode()
    text += b" " * (-len(text) % 4)
    blob += b"\0" * (-len(blob) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(blob))
    return head + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(blob), b"BIN\0") + blob


def opened(content: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The JSON of a GLB file and the bytes of its images."""
    length = struct.unpack_from("<I", content, 12)[0]
    made = json.loads(content[20 : 20 + length])
    blob = content[20 + length + 8 :]
    found = []
    for each in made["images"]:
        view = made["bufferViews"][each["bufferView"]]
        found.append(blob[view.get("byteOffset", 0) : view.get("byteOffset", 0) + view["byteLength"]])
    return made, found


def data_address(content: bytes, kind: str = "application/octet-stream") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
