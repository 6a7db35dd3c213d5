"""A photo and a style in, a picture out.

:class:`Stylizer` holds one exported model: three ONNX graphs and a card. A call is four steps: see the photo as a
thumbnail, fuse its own code with the style's by strength, let the statistics pass turn thumbnail and code into every
scale and shift of the generator, and run the generator on the photo with those. A :class:`Style` is a named style code:
it comes from a built-in name, a picture, several pictures, a blend, or a file of a few kB.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from sfumato import assets
from sfumato.checks import check_range
from sfumato.errors import InputError, ModelError, UsageError
from sfumato.image import ImageSource, Picture, as_image, resize, thumbnail
from sfumato.style_code import StyleCode

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: In pixels: below this a picture is smaller than the coarsest marks of the networks.
SMALLEST_SIDE = 16

_GRAPHS = {  # each graph's inputs and outputs
    "style_encoder.onnx": (["picture"], ["code"]),
    "statistics.onnx": (["thumbnail", "code"], ["affines"]),
    "generator.onnx": (["picture", "affines", "origin"], ["stylized"]),
}
_PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}  # fastest first


@dataclass(frozen=True)
class Card:
    """A bundle's ``card.json``: which model it is, what its files hash to, how it was trained, scored and licensed."""

    model: str
    version: str
    thumbnail: int
    code_size: int
    affines: int
    files: dict[str, str]
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    licence: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads the card of the bundle in ``folder``; keys that it has besides these are ignored.

        Raises:
            ModelError: there is no card, or it is not one.
        """
        path = folder / "card.json"
        try:
            found = json.loads(path.read_bytes())
        except FileNotFoundError as problem:
            raise ModelError(f"{folder} is not an exported model: no card.json is in it; name another") from problem
        except (OSError, ValueError) as problem:
            raise ModelError(f"cannot read {path}: {problem}; export or install the model again") from problem
        if not isinstance(found, dict):
            raise ModelError(f"{path} is not a model card; export the model again")
        card = {"training": {}, "scores": {}, "licence": {}, "data": {}, **found}
        kinds = {"model": str, "version": str, "thumbnail": int, "code_size": int, "affines": int}
        for key in (entry.name for entry in fields(cls)):
            if not isinstance(card.get(key), kinds.get(key, dict)):
                raise ModelError(f"{path} is not a model card: {key!r} is missing or wrong; export the model again")
        if missing := sorted(_GRAPHS.keys() - card["files"].keys()):
            raise ModelError(f"{path} has no hash of {', '.join(missing)}; export the model again")
        return cls(**{entry.name: card[entry.name] for entry in fields(cls)})


class Stylizer:
    """Paints photos with one exported model.

    ::

        painted = Stylizer()("photo.jpg", Style.named("great-wave"), strength=0.8)
        write_image(painted, "painted.png")

    Making one only reads a small card: a graph is checked and loaded by the first call that needs it, once a process.
    One may be used from several threads.

    Args:
        model: folder of an exported model (``sfumato export``); ``None`` takes the one that ships with Sfumato.
        threads: CPU threads of one call; ``None`` lets ONNX Runtime take one for each core.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for the fastest that works here.

    Raises:
        ModelError: the folder holds no model. (A damaged graph is found when it is loaded.)
        UsageError: there is no such device, or less than one thread.
    """

    def __init__(
        self, model: str | os.PathLike[str] | None = None, threads: int | None = None, device: str = "auto"
    ) -> None:
        if device != "auto" and device not in _PROVIDERS:
            raise UsageError(f"there is no device {device!r}; choose auto, {' or '.join(_PROVIDERS)}")
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be 1 or more, but is {threads}")
        self.folder = (assets.weights_dir() if model is None else Path(model)).resolve()
        self.card = Card.read(self.folder)
        self._threads = threads
        self._device = device

    def __call__(self, photo: ImageSource, style: Style, strength: float = 1.0) -> Picture:
        """Paints a photo in a style, at the photo's own size; the same arguments give the same pixels.

        Args:
            photo: a path, a ``PIL.Image`` or an array (see ``sfumato.image.as_image``), 16 pixels or more a side.
            style: a style of this model.
            strength: from 0, which gives the photo back through the same network, to 1, the full style.

        Returns:
            ``(1, 3, H, W)`` float32 in ``[0, 1]``.

        Raises:
            UsageError: ``strength`` lies outside ``[0, 1]``.
            InputError: the photo cannot be read or used.
            ModelError: the style is another model's, or a graph is damaged.
        """
        check_range(strength, 0.0, 1.0, "strength")
        if (style.code.model, len(style.code)) != (self.card.model, self.card.code_size):
            raise ModelError(
                f"the style {style.name!r} was made by the model {style.code.model!r} and this is {self.card.model!r}; "
                "make the style again from its picture, with this model"
            )
        picture = _usable(photo)
        affines = self.affines(picture, style.code, strength)
        return self._run("generator.onnx", picture=picture, affines=affines, origin=np.zeros(2, np.int64))

    def affines(self, picture: Picture, code: StyleCode, strength: float = 1.0) -> npt.NDArray[np.float32]:
        """Every scale and shift that the generator paints ``picture`` ``(1, 3, H, W)`` with: ``(1, A)`` float32.

        They belong to the whole picture: its tiles, or the frames of one shot, can share them.
        """
        small = self._thumbnail(picture)
        # At full strength the picture's own code weighs nothing: the same value without encoding it.
        fused = code if strength == 1.0 else code.fuse(self._encode(small), strength)
        return self._run("statistics.onnx", thumbnail=small, code=fused.vector[None])

    def encode(self, picture: ImageSource) -> StyleCode:
        """The style code of one picture.

        Raises:
            InputError: it cannot be read or used.
        """
        return self._encode(self._thumbnail(_usable(picture)))

    def _thumbnail(self, picture: Picture) -> Picture:
        small = thumbnail(picture, short=self.card.thumbnail)
        height, width = (max(side, SMALLEST_SIDE) for side in small.shape[2:])  # a long strip's short side would vanish
        return resize(small, height, width)

    def _encode(self, small: Picture) -> StyleCode:
        return StyleCode(self._run("style_encoder.onnx", picture=small)[0], self.card.model)

    def _run(self, graph: str, **inputs: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        session = _session(self.folder / graph, self.card.files[graph], self._threads, self._device)
        output: npt.NDArray[np.float32] = session.run(None, inputs)[0]
        return output


@dataclass(frozen=True)
class Style:
    """A named style code.

    Attributes:
        name: what people call it.
        code: the style itself; it fits the model that made it and no other.
        about: where it comes from (title, artist, year, source, licence, kind). It is no part of the style's identity.
    """

    name: str
    code: StyleCode
    about: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def named(cls, name: str) -> Self:
        """A built-in style.

        Raises:
            UsageError: there is none of that name; the error offers the nearest ones.
        """
        code, about = StyleCode.load(assets.style_path(name))
        return cls(name, code, about)

    @classmethod
    def from_image(cls, source: ImageSource, name: str | None = None, stylizer: Stylizer | None = None) -> Self:
        """The style of one picture, for the model of ``stylizer`` (by default the one that ships with Sfumato)."""
        if name is None and isinstance(source, str | os.PathLike):
            name = Path(source).stem
        return cls.from_images([source], name, stylizer)

    @classmethod
    def from_images(
        cls, sources: Iterable[ImageSource], name: str | None = None, stylizer: Stylizer | None = None
    ) -> Self:
        """What several pictures have in common: the mean of their codes."""
        stylizer = stylizer or Stylizer()
        codes = [stylizer.encode(source) for source in sources]
        if not codes:
            raise UsageError("a style needs at least one picture, and none was given")
        kind = "picture" if len(codes) == 1 else "pictures"
        return cls(name or f"{len(codes)} {kind}", StyleCode.mean(codes), {"kind": kind, "pictures": str(len(codes))})

    @classmethod
    def blend(cls, weights: Mapping[Self | str, float], name: str | None = None) -> Self:
        """A mixture of styles, or of built-in ones by name; weights count in proportion to their sum.

        Raises:
            UsageError: no style, a weight below zero or not finite, or none above zero.
            ModelError: styles of different models.
        """
        parts = [(cls.named(part) if isinstance(part, str) else part, weight) for part, weight in weights.items()]
        code = StyleCode.blend([style.code for style, _ in parts], [weight for _, weight in parts])
        recipe = " + ".join(f"{style.name}:{weight:g}" for style, weight in parts)
        return cls(name or recipe, code, {"kind": "blend", "recipe": recipe})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a style file.

        Raises:
            InputError: the file cannot be read.
            ModelError: it is damaged or not a style.
        """
        code, about = StyleCode.load(path)
        return cls(about.get("name") or Path(path).name.split(".")[0], code, about)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a style file (safetensors, a few kB), whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        self.code.save(path, {**self.about, "name": self.name})


# Every Stylizer of the process shares these: a session may run in several threads at once. The hash belongs to the key,
# so that a model exported again into the same folder is loaded again.
@lru_cache(maxsize=24)
def _session(path: Path, sha256: str, threads: int | None, device: str) -> InferenceSession:
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise ModelError(f"cannot read {path}: {problem.strerror}; export or install the model again") from problem
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(f"{path} is damaged: its hash is not the one on its card; export or install the model again")

    import onnxruntime as ort

    installed = [name for name in _PROVIDERS if _PROVIDERS[name] in ort.get_available_providers()]
    if device != "auto" and device not in installed:
        raise UsageError(f"this build of onnxruntime has no device {device!r}; choose {' or '.join(installed)}")
    options = ort.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = threads or 0
    try:
        providers = [_PROVIDERS[name] for name in (installed if device == "auto" else [device])]
        session = ort.InferenceSession(content, options, providers=providers)
    except Exception as problem:  # onnxruntime raises a dozen unrelated types here
        reason = str(problem).partition("\n")[0]
        raise ModelError(f"onnxruntime {ort.__version__} cannot load {path}: {reason}") from problem
    if device != "auto" and _PROVIDERS[device] not in session.get_providers():  # it falls back to the CPU in silence
        raise UsageError(f"the device {device!r} did not start; check its drivers, or choose cpu")
    names = [end.name for end in session.get_inputs()], [end.name for end in session.get_outputs()]
    if names != _GRAPHS[path.name]:
        raise ModelError(f"{path} is another program's model: its inputs and outputs are {names}")
    return session


def _usable(source: ImageSource) -> Picture:
    picture = as_image(source)
    name = source if isinstance(source, str | os.PathLike) else "the picture"
    count, _, height, width = picture.shape
    if count != 1:
        raise InputError(f"{name} is a batch of {count} pictures; pass them one at a time")
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(f"{name} has {width} x {height} pixels; Sfumato needs {SMALLEST_SIDE} or more a side")
    return picture
