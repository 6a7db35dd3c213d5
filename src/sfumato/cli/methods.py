"""The inputs of ``sfumato evaluate`` and ``compare``: the request, the methods, and the sources of their pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sfumato.errors import UsageError

if TYPE_CHECKING:
    from sfumato.image import Picture
    from sfumato.quality.evaluator import OutputProvider
    from sfumato.quality.pairs import Pair

#: Strengths at which ``--curve`` evaluates a model, in addition to 1.
CURVE = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7)


class SuiteName(StrEnum):
    """The choices of ``--suite``."""

    quick = "quick"
    full = "full"


@dataclass(frozen=True)
class Request:
    """The options that ``evaluate`` and ``compare`` share."""

    content: Path | None
    style: Path | None
    pairs: Path | None
    reference: Path | None
    suite: SuiteName
    report: Path | None
    allow_missing: bool
    anchors: bool
    short: int
    vgg: Path | None
    inception: Path | None
    workers: int | None
    as_json: bool

    def threads(self) -> int:
        """Return the number of pairs to evaluate at once: ``--workers``, or the number of cores, at most 8.

        Raises:
            UsageError: ``--workers`` is outside [1, 64].
        """
        from sfumato.checks import check_range

        if self.workers is None:
            return min(8, os.cpu_count() or 1)
        check_range(self.workers, 1, 64, "--workers")
        return self.workers

    def folders(self) -> tuple[Path, Path]:
        """Return the folders of the photos and of the style pictures.

        Raises:
            UsageError: one is missing, or the name of a built-in style was given instead of a folder.
        """
        from sfumato.inference.library import style_names

        if self.content is None or self.style is None:
            raise UsageError("name the folders of the photos and of the style pictures with --content and --style")
        if not os.path.exists(self.style) and str(self.style) in style_names():
            raise UsageError(
                f"{self.style} is the name of a style, but the pictures are compared with style pictures; name their "
                "folder with --style"
            )
        return self.content, self.style


@dataclass(frozen=True)
class Method:
    """One method to evaluate.

    Attributes:
        pairs: the pairs of photo and style for which it has a picture.
        source: reads or paints the picture of a pair.
        missing: how many of the requested pairs have no picture.
        strength: the strength of the style, for the content-against-style curve; ``None`` outside of a curve.
    """

    pairs: Sequence[Pair]
    source: OutputProvider
    missing: int = 0
    strength: float | None = None


@dataclass(frozen=True)
class Methods:
    """All requested pairs, and the methods by name."""

    pairs: Sequence[Pair]
    by_name: dict[str, Method]

    @classmethod
    def of_folders(cls, request: Request, folders: dict[str, Path]) -> Methods:
        """Return the methods whose pictures lie in folders, by name.

        Raises:
            InputError: a folder cannot be read, or a picture is missing without ``--allow-missing``.
        """
        from sfumato.quality.pairs import stylized_pictures

        pairs = _pairs(request, next(iter(folders.values())))
        methods: dict[str, Method] = {}
        for name, folder in folders.items():
            files = stylized_pictures(pairs, folder, request.allow_missing)
            methods[name] = Method(list(files), _of_files(files), len(pairs) - len(files))
        return cls(pairs, methods)

    @classmethod
    def of_model(cls, request: Request, model: Path | None, curve: bool) -> Methods:
        """Return a model as a method: once at full strength or, for a curve, once at each of several strengths."""
        pairs = _pairs(request, None)
        threads = 1 if request.threads() > 1 else None
        methods = {"sfumato": Method(pairs, _of_model(model, 1.0, threads), strength=1.0 if curve else None)}
        for strength in CURVE if curve else ():
            methods[f"sfumato at {strength:g}"] = Method(pairs, _of_model(model, strength, threads), strength=strength)
        return cls(pairs, methods)


def _pairs(request: Request, stylized: Path | None) -> list[Pair]:
    from sfumato.quality.pairs import pairs_of, read_pairs

    content, style = request.folders()
    return read_pairs(request.pairs, content, style) if request.pairs else pairs_of(content, style, stylized)


def _of_files(files: dict[Pair, Path]) -> OutputProvider:
    from sfumato.image import picture_digest, read_image
    from sfumato.quality.evaluator import OutputProvider

    return OutputProvider(lambda pair: read_image(files[pair]), lambda pair: picture_digest(files[pair]))


def _of_model(model: Path | None, strength: float, threads: int | None) -> OutputProvider:
    from functools import cache

    from sfumato.image import thumbnail
    from sfumato.inference import Style, Stylizer
    from sfumato.quality.evaluator import OutputProvider

    stylizer = Stylizer(None if model == Path("shipped") else model, threads)

    @cache
    def style_of(path: Path) -> Style:
        return Style.from_image(path, stylizer=stylizer)

    def mean_logit(picture: Picture, style: Path) -> float:
        small = thumbnail(picture, 256)
        return float(stylizer.discriminator_logits(small, style_of(style).code).mean())

    return OutputProvider(
        lambda pair: stylizer(pair.content, style_of(pair.style), strength),
        lambda _pair: f"{stylizer.card.digest} {stylizer.networks.digest} {strength}",
        mean_logit if "discriminator.onnx" in stylizer.card.files else None,
    )


def of_anchor(name: str) -> OutputProvider:
    """Return the source of an anchor's pictures: a simple baseline, such as the photo itself."""
    from sfumato.image import read_image
    from sfumato.quality.anchors import ANCHORS
    from sfumato.quality.evaluator import OutputProvider

    return OutputProvider(
        lambda pair: ANCHORS[name](read_image(pair.content), read_image(pair.style)), lambda _pair: f"anchor {name}"
    )
