"""Annotations of COCO for stylised copies: new images and new annotations with the same boxes, masks and classes.

The format: https://cocodataset.org/#format-data, seen 2026-12-01.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sfumato.batch.places import check_name
from sfumato.errors import InputError
from sfumato.files import atomic_file, read_json
from sfumato.image.reading import stored_size

_MAX_BYTES = 2**30  # instances_train2017.json has 470 MB


class Annotations:
    """A file of COCO annotations, checked.

    Args:
        path: of the JSON.

    Attributes:
        images: the entry of each image by its ``file_name``.

    Raises:
        InputError: it cannot be read, is not COCO, or a name or an id in it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            found = read_json(path, _MAX_BYTES)
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or problem
            raise InputError(f"cannot read the annotations {path}: {reason}; name a COCO file") from problem
        self._document = found if isinstance(found, dict) else {}
        self._annotations = self._list("annotations", "image_id", "category_id")
        self.images: dict[str, dict[str, Any]] = {}
        for image in self._list("images", "file_name"):
            name = image["file_name"]
            if not isinstance(name, str) or name in self.images:
                raise InputError(f"in {path}, two images have the file_name {name!r:.200}, or it is not text; mend it")
            self.images[check_name(name, f"in {path}, the file_name")] = image
        known = {image["id"] for image in self.images.values()}
        for each in self._annotations:
            if type(each["image_id"]) is not int or each["image_id"] not in known:
                raise InputError(
                    f"in {path}, the annotation {each['id']} is of the image {each['image_id']!r:.80}, which is not "
                    "there; mend it"
                )

    def _list(self, name: str, *needed: str) -> list[dict[str, Any]]:
        """Return a list of entries, which have these keys and ids that differ."""
        found = self._document.get(name)
        if not isinstance(found, list):
            raise InputError(f"{self.path} is not a COCO file: it has no list {name!r}")
        ids = set()
        for number, each in enumerate(found):
            lacks = [key for key in ("id", *needed) if not isinstance(each, dict) or key not in each]
            if lacks:
                raise InputError(f"in {self.path}, the entry {number} of {name!r} has no {lacks[0]!r}; mend it")
            if type(each["id"]) is not int or each["id"] in ids:
                raise InputError(
                    f"in {self.path}, the id {each['id']!r:.80} in {name!r} is not a whole number, or is there twice"
                )
            ids.add(each["id"])
        return found

    def check(self, folder: Path) -> None:
        """Check that each image is below a folder, with the width and height that its entry says.

        Raises:
            InputError: one is not, or its Exif asks to turn it, so its boxes would not fit.
        """
        for name, image in self.images.items():
            width, height = stored_size(folder / name)
            said = image.get("width", width), image.get("height", height)
            if said != (width, height):
                raise InputError(
                    f"{name} has {width} x {height} pixels, but {self.path} says {said[0]!r:.20} x "
                    f"{said[1]!r:.20}; mend the entry"
                )

    def of_copies(self, copies: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """Return the annotations of copies, given as pairs of a picture's and a copy's name.

        Ids follow the largest ones of the file, so that both files can be joined. All other keys are kept.
        """
        by_image: dict[int, list[dict[str, Any]]] = {}
        for each in self._annotations:
            by_image.setdefault(each["image_id"], []).append(each)
        last_image = max((image["id"] for image in self.images.values()), default=0)
        last = max((each["id"] for each in self._annotations), default=0)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for source, name in copies:
            image = self.images[source]
            number = last_image + len(images) + 1
            images.append(image | {"id": number, "file_name": name})
            for each in by_image.get(image["id"], []):
                annotations.append(each | {"id": last + len(annotations) + 1, "image_id": number})
        return self._document | {"images": images, "annotations": annotations}

    def write(self, path: Path, copies: Iterable[tuple[str, str]]) -> None:
        """Write the annotations of copies.

        Raises:
            OutputError: it cannot be written.
        """
        with atomic_file(path) as file:
            file.write(json.dumps(self.of_copies(copies)).encode() + b"\n")
