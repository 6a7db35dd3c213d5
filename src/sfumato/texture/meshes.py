"""The triangles of a glTF model that show a texture: their places in the texture and in space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sfumato.errors import InputError
from sfumato.texture.container import Gltf, index_of, object_of, parts_of

Array = npt.NDArray[np.float64]

_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_INDICES = (5121, 5123, 5125)  # of `_TYPES`, those that a list of corners may have
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_MAX_COUNT = 50_000_000  # numbers of an accessor
_MAX_TRIANGLES = 20_000_000  # that show one image
_TRANSFORM = "KHR_texture_transform"
_FURTHEST = 10_000.0  # repeats of a texture: a place beyond is damage


@dataclass(frozen=True)
class Triangles:
    """Triangles that show a texture.

    Attributes:
        places: ``(T, 3, 2)``: x and y of the corners in the texture, from 0 at the left and top to 1; beyond, it
            repeats.
        points: ``(T, 3, 3)``: the corners in space.
    """

    places: Array
    points: Array


def triangles_of(model: Gltf, images: dict[int, int]) -> dict[int, Triangles | None]:
    """Return the triangles that show each image as their base colour.

    Args:
        model: the model.
        images: the image of each texture.

    Returns:
        By image; ``None`` where not all of them can be read: compressed meshes, vertices that are given sparsely, or
            more than 20 million triangles.
    """
    found: dict[int, list[Triangles] | None] = {}
    materials = model.parts("materials")
    for primitive, numbers in _primitives(model):
        read: dict[tuple[Any, ...], Triangles | None] = {}
        for number in numbers:
            info = base_colour(materials[number], model.name) if number < len(materials) else None
            image = None if info is None else images.get(index_of(info))
            if info is None or image is None or found.get(image, []) is None:
                continue
            channel, transform = _channel(info, model.name)
            key = (channel, *map(repr, sorted(transform.items())))
            if key not in read:
                read[key] = _triangles(model, primitive, channel, transform)
            here, so_far = read[key], found.setdefault(image, [])
            if here is None:
                found[image] = None
            elif so_far is not None:
                so_far.append(here)
                if sum(len(each.places) for each in so_far) > _MAX_TRIANGLES:
                    found[image] = None
    return {
        image: None
        if each is None
        else Triangles(np.concatenate([t.places for t in each]), np.concatenate([t.points for t in each]))
        for image, each in found.items()
    }


def base_colour(material: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Return the reference of a material to its base colour texture, if it has one."""
    extension = object_of(object_of(material, "extensions", name), "KHR_materials_pbrSpecularGlossiness", name)
    for owner, key in (
        (object_of(material, "pbrMetallicRoughness", name), "baseColorTexture"),
        (extension, "diffuseTexture"),
    ):
        if key in owner:
            return object_of(owner, key, name)
    return None


def _primitives(model: Gltf) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """Yield the primitives, each with the indices of all materials that it can have."""
    for mesh in model.parts("meshes"):
        for primitive in parts_of(mesh, "primitives", model.name):
            variants = object_of(object_of(primitive, "extensions", model.name), "KHR_materials_variants", model.name)
            numbers = [primitive.get("material")]
            numbers += [each.get("material") for each in parts_of(variants, "mappings", model.name)]
            yield primitive, [number for number in numbers if type(number) is int and number >= 0]


def _channel(info: dict[str, Any], name: str) -> tuple[int, dict[str, Any]]:
    """Return which places of a mesh a texture uses, and the transform of these places."""
    transform = object_of(object_of(info, "extensions", name), _TRANSFORM, name)
    channel = transform.get("texCoord", info.get("texCoord", 0))
    if type(channel) is not int or not 0 <= channel < 64:
        raise InputError(f"{name} is damaged: a texture uses the coordinates {channel!r:.40}")
    return channel, transform


def _triangles(model: Gltf, primitive: dict[str, Any], channel: int, transform: dict[str, Any]) -> Triangles | None:
    """Return the triangles of a primitive, or ``None`` where they cannot be read."""
    attributes = object_of(primitive, "attributes", model.name)
    mode = primitive.get("mode", 4)
    if mode not in (4, 5, 6):
        return Triangles(np.zeros((0, 3, 2)), np.zeros((0, 3, 3)))  # points and lines
    if "KHR_draco_mesh_compression" in object_of(primitive, "extensions", model.name):
        return None
    if f"TEXCOORD_{channel}" not in attributes or "POSITION" not in attributes:
        return None
    places = _accessor(model, attributes[f"TEXCOORD_{channel}"], "VEC2")
    points = _accessor(model, attributes["POSITION"], "VEC3")
    corners = (
        _accessor(model, primitive["indices"], "SCALAR", _INDICES)
        if "indices" in primitive
        else np.arange(0 if points is None else len(points))
    )
    if places is None or points is None or corners is None:
        return None
    order = _in_triangles(np.asarray(corners, np.int64).ravel(), mode)
    if order.size and order.max() >= min(len(places), len(points)):
        raise InputError(f"{model.name} is damaged: a triangle has a corner that does not exist")
    places = _transformed(places, transform, model.name)
    if not (np.isfinite(places).all() and np.isfinite(points).all()) or np.abs(places).max(initial=0) > _FURTHEST:
        raise InputError(f"{model.name} is damaged: a corner of a triangle is not a finite number")
    return Triangles(places[order], points[order])


def _in_triangles(corners: npt.NDArray[np.int64], mode: int) -> npt.NDArray[np.int64]:
    """Return the corners of each triangle ``(T, 3)``, of a list (mode 4), a strip (5) or a fan (6)."""
    if mode == 4:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if len(corners) < 3:
        return np.zeros((0, 3), np.int64)
    first = corners[:-2] if mode == 5 else np.full(len(corners) - 2, corners[0])
    return np.stack([first, corners[1:-1], corners[2:]], 1)


def _transformed(places: Array, transform: dict[str, Any], name: str) -> Array:
    """Return places after KHR_texture_transform: scaled, rotated, moved."""
    if not transform:
        return places
    try:
        scale = np.array(transform.get("scale", (1, 1)), np.float64).reshape(2)
        offset = np.array(transform.get("offset", (0, 0)), np.float64).reshape(2)
        turn = float(transform.get("rotation", 0))
    except (TypeError, ValueError, OverflowError) as problem:
        raise InputError(f"{name} is damaged: a transform of a texture has no numbers") from problem
    x, y = (places * scale).T
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack([cos * x + sin * y, -sin * x + cos * y], 1) + offset


def _accessor(model: Gltf, index: Any, kind: str, types: Iterable[int] = _TYPES) -> Array | None:
    """Return the values of an accessor ``(N, width)``; ``None`` where they are sparse or compressed."""
    accessor = model.at("accessors", index)
    if accessor.get("type") != kind or accessor.get("componentType") not in [*types]:
        raise InputError(
            f"{model.name} is damaged: accessor {index} is not of the type {kind}, or its numbers are of a wrong type"
        )
    if "sparse" in accessor or "bufferView" not in accessor:
        return None
    dtype, width = np.dtype(_TYPES[accessor["componentType"]]), _WIDTHS[kind]
    view = model.at("bufferViews", accessor["bufferView"])
    content = model.view(accessor["bufferView"])
    numbers = accessor.get("count"), accessor.get("byteOffset", 0), view.get("byteStride", dtype.itemsize * width)
    if not all(type(value) is int and 0 <= value <= _MAX_COUNT for value in numbers):
        raise InputError(f"{model.name} is damaged: accessor {index} has wrong numbers")
    count, start, step = map(int, numbers)
    if step < dtype.itemsize * width or (count and start + step * (count - 1) + dtype.itemsize * width > len(content)):
        raise InputError(f"{model.name} is damaged: accessor {index} ends beyond its buffer view")
    values = np.ndarray((count, width), dtype, content, start, (step, dtype.itemsize)).astype(np.float64)
    if accessor.get("normalized") and dtype.kind in "iu":
        values = np.maximum(values / np.iinfo(dtype).max, -1.0)
    return values
