"""Retexturing of glTF models: base colours are painted in place, other maps stay or follow the strokes.

Which images are colours and which are data is decided by glTF's own roles. Emissive maps stay: they are mostly black,
and a style without black would make the whole surface glow.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from sfumato import __version__
from sfumato.errors import InputError
from sfumato.image import Photo, Picture, as_photo, to_8_bits, to_levels, write_photo
from sfumato.inference.progress import Progress, portion
from sfumato.metadata import Metadata
from sfumato.texture import maps
from sfumato.texture.colours import PaintedMap, Painter, is_too_small, paint_map
from sfumato.texture.container import Gltf, index_of, object_of, read_gltf, to_glb
from sfumato.texture.islands import Islands
from sfumato.texture.meshes import base_colour, triangles_of

_WEBP, _KTX2 = "EXT_texture_webp", "KHR_texture_basisu"
_FORMATS = {"image/png": "png", "image/jpeg": "jpeg", "image/webp": "webp"}
_MIRRORED, _CLAMPED = 33648, 33071
_QUALITY = 92  # of JPEG and WebP images


@dataclass
class Retextured:
    """A retextured model.

    Attributes:
        glb: the file.
        painted: number of images that were painted.
        followed: number of maps that follow their strokes.
        remarks: a sentence on each texture that stayed as it was.
    """

    glb: bytes
    painted: int = 0
    followed: int = 0
    remarks: list[str] = field(default_factory=list)


def retexture(
    path: str | os.PathLike[str], painter: Painter, *, follow: bool = False, progress: Progress | None = None
) -> Retextured:
    """Paint the base colours of a model.

    Args:
        path: of a ``.glb`` or ``.gltf`` file.
        painter: what they are painted with.
        follow: whether normal maps and roughness follow the strokes; otherwise they stay byte for byte.
        progress: is called with the completed share and the next step.

    Raises:
        InputError: the model or an image in it cannot be read, or it has no base colour texture.
    """
    try:
        return _retextured(read_gltf(path), painter, follow, progress)
    except RecursionError as problem:
        raise InputError(f"{path} is damaged: its JSON is nested too deeply") from problem


def _retextured(model: Gltf, painter: Painter, follow: bool, progress: Progress | None) -> Retextured:
    _separate(model)
    images = _images_of_textures(model)
    shown = _colour_images(model, images)
    if not shown:
        raise InputError(f"{model.name} has no base colour texture to paint; its colours are factors or vertex colours")
    meshes = triangles_of(model, images)
    result, painted = Retextured(b""), dict[int, PaintedMap]()
    for number, (image, textures) in enumerate(sorted(shown.items())):
        name = _name(model, image)
        photo, kind = _decoded(model, image)
        if is_too_small(photo):
            result.remarks.append(f"{name} of {model.name} stays: {photo.width} x {photo.height} pixels are too few")
            continue
        triangles = meshes.get(image)
        islands = (
            None if triangles is None or not len(triangles.places) else Islands.of(triangles, photo.height, photo.width)
        )
        part = portion(progress, number / len(shown), (number + 1) / len(shown))
        wraps = _wraps(model, textures)
        painted[image] = paint_map(painter, photo, islands, wraps=wraps, progress=part, name=f"{name} of {model.name}")
        model.images[image] = encoded(painted[image].photo, kind)
        model.parts("images")[image]["mimeType"] = f"image/{kind}"
        result.painted += 1
    if follow:
        result.followed = _follow(model, images, painted)
    asset = object_of(model.document, "asset", model.name)
    extras = asset.get("extras")
    recipe = {
        "version": __version__,
        "style": painter.style.name,
        "strength": painter.options.strength,
        "seed": painter.options.seed,
    }
    asset["extras"] = {**(extras if isinstance(extras, dict) else {}), "sfumato": recipe}
    result.glb = to_glb(model)
    return result


# ---- roles -----------------------------------------------------------------------------------------------------------


def _references(model: Gltf) -> Iterator[tuple[dict[str, Any], dict[str, Any], bool]]:
    """Yield each material, each reference of it to a texture, and whether that is its base colour."""
    for material in model.parts("materials"):
        colour = base_colour(material, model.name)
        rest: list[Any] = [value for key, value in material.items() if key != "extras"]
        while rest:
            each = rest.pop()
            if isinstance(each, list):
                rest.extend(each)
            elif isinstance(each, dict):
                rest.extend(value for key, value in each.items() if key != "extras")
                if type(each.get("index")) is int:
                    model.at("textures", each["index"])
                    yield material, each, each is colour


def _images_of_textures(model: Gltf) -> dict[int, int]:
    """Return the image of each texture that Sfumato can decode, by the texture's index."""
    found = {}
    for number, texture in enumerate(model.parts("textures")):
        extension = object_of(object_of(texture, "extensions", model.name), _WEBP, model.name)
        source = extension.get("source") if texture.get("source") is None else texture["source"]
        if source is not None:
            model.at("images", source)
            found[number] = source
    return found


def _separate(model: Gltf) -> None:
    """Copy textures and images that are both colours and data, so that each has one role.

    Raises:
        InputError: a base colour is only there in a format that Sfumato does not read.
    """
    references = [(reference, is_colour) for _, reference, is_colour in _references(model)]
    colours = {reference["index"] for reference, is_colour in references if is_colour}
    data = {reference["index"] for reference, is_colour in references if not is_colour}
    textures = model.parts("textures")
    for index in sorted(colours & data):
        textures.append({**textures[index], "extensions": dict(object_of(textures[index], "extensions", model.name))})
        for reference, is_colour in references:
            if is_colour and reference["index"] == index:
                reference["index"] = len(textures) - 1
    colours = {reference["index"] for reference, is_colour in references if is_colour}
    for index in sorted(colours):
        _keep_one_source(model, textures[index])
    images = _images_of_textures(model)
    of_data = {image for index, image in images.items() if index not in colours}
    copies: dict[int, int] = {}
    for index in sorted(colours):
        source = images[index]
        if source in of_data:
            if source not in copies:
                copies[source] = len(model.images)
                image = {key: value for key, value in model.parts("images")[source].items() if key != "bufferView"}
                model.parts("images").append(image)
                model.images.append(model.images[source])
            _set_source(textures[index], copies[source])


def _keep_one_source(model: Gltf, texture: dict[str, Any]) -> None:
    """Leave a colour texture one image: the plain one, or the WebP one where there is no other."""
    extensions = object_of(texture, "extensions", model.name)
    if texture.get("source") is None and object_of(extensions, _WEBP, model.name).get("source") is None:
        what = f"only as KTX2 ({_KTX2})" if _KTX2 in extensions else "without an image that Sfumato reads"
        raise InputError(f"{model.name} has a base colour texture {what}; convert it to PNG, JPEG or WebP first")
    unused = {_KTX2} | ({_WEBP} if texture.get("source") is not None else set())  # they would show the old picture
    texture["extensions"] = {key: value for key, value in extensions.items() if key not in unused}
    if not texture["extensions"]:
        del texture["extensions"]


def _set_source(texture: dict[str, Any], image: int) -> None:
    if texture.get("source") is not None:
        texture["source"] = image
    else:
        texture["extensions"] = {**texture["extensions"], _WEBP: {"source": image}}


def _colour_images(model: Gltf, images: Mapping[int, int]) -> dict[int, set[int]]:
    """Return the images that are base colours, and the textures that show each."""
    found: dict[int, set[int]] = {}
    for _, reference, is_colour in _references(model):
        if is_colour:
            found.setdefault(images[reference["index"]], set()).add(reference["index"])
    return found


def _wraps(model: Gltf, textures: set[int]) -> tuple[bool, bool]:
    """Return whether samplers repeat an image vertically and horizontally; one that mirrors it needs no care."""
    found = {"wrapT": True, "wrapS": True}
    for index in textures:
        texture = model.at("textures", index)
        sampler = model.at("samplers", texture["sampler"]) if "sampler" in texture else {}
        for key in found:
            found[key] &= sampler.get(key) not in [_MIRRORED, _CLAMPED]
    return found["wrapT"], found["wrapS"]


# ---- images ----------------------------------------------------------------------------------------------------------


def _name(model: Gltf, image: int) -> str:
    name = model.parts("images")[image].get("name")
    return f"image {image}" + (f" ({name[:60]!r})" if isinstance(name, str) and name else "")


def _decoded(model: Gltf, image: int) -> tuple[Photo, str]:
    """Return an image and the format in which it is written again."""
    content = model.images[image]
    try:
        photo = as_photo(content)
    except InputError as problem:
        raise InputError(f"{_name(model, image)} of {model.name} cannot be read: {problem}") from problem
    kind = "jpeg" if content[:2] == b"\xff\xd8" else "webp" if content[8:12] == b"WEBP" else "png"
    return replace(photo, metadata=Metadata()), kind


def encoded(photo: Photo, kind: str) -> bytes:
    """Return the bytes of a picture file, without metadata."""
    file = io.BytesIO()
    if kind == "webp":  # without the profile of sRGB that `write_photo` embeds: validators of glTF warn of it
        levels = [photo.pixels, *([] if photo.alpha is None else [photo.alpha])]
        Image.fromarray(np.dstack([to_8_bits(each) for each in levels])).save(file, "WEBP", quality=_QUALITY)
    else:
        write_photo(replace(photo, metadata=Metadata()), file, kind, _QUALITY)
    return file.getvalue()


def _follow(model: Gltf, images: Mapping[int, int], painted: Mapping[int, PaintedMap]) -> int:
    """Change normal maps and roughness by the strokes of the base colours beside them; return how many."""
    done: set[int] = set()
    reliefs = {i: maps.relief(each.photo.picture(), each.down, each.across) for i, each in painted.items()}
    for material in model.parts("materials"):
        colour = base_colour(material, model.name)
        shown = -1 if colour is None else images.get(index_of(colour), -1)
        if colour is None or shown not in painted:
            continue
        strokes, relief = painted[shown], reliefs[shown]
        roughness = object_of(
            object_of(material, "pbrMetallicRoughness", model.name), "metallicRoughnessTexture", model.name
        )
        normal = object_of(material, "normalTexture", model.name)

        def bent(x: Picture, relief: Any = relief, strokes: PaintedMap = strokes) -> Picture:
            return maps.normals(x, relief, strokes.down, strokes.across)

        def rough(x: Picture, relief: Any = relief) -> Picture:
            return maps.roughness(x, relief, channel=1)

        changes: list[tuple[dict[str, Any], Callable[[Picture], Picture]]] = [(normal, bent), (roughness, rough)]
        for reference, change in changes:
            image = images.get(index_of(reference))
            same_place = all(reference.get(key) == colour.get(key) for key in ("texCoord", "extensions"))
            if image is None or image in done or image in painted or not same_place:
                continue
            photo, kind = _decoded(model, image)
            pixels = to_levels(np.asarray(change(photo.picture())), photo.pixels.dtype)
            model.images[image] = encoded(replace(photo, pixels=pixels), "png" if kind == "jpeg" else kind)
            model.parts("images")[image]["mimeType"] = "image/png" if kind == "jpeg" else f"image/{kind}"
            done.add(image)
    return len(done)
