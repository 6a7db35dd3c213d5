"""What ``sfumato evaluate`` and ``compare`` judge: the request, the methods, and where their pictures come from."""

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

#: Strengths of a model's curve, besides its full one.
CURVE = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7)


class SuiteName(StrEnum):
    quick = "quick"
    full = "full"


@dataclass(frozen=True)
class Request:
    """What is to be judged, and how."""

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
        """Pairs judged at once.

        Raises:
            UsageError: outside 1 ... 64.
        """
        from sfumato.checks import check_range

        if self.workers is None:
            return min(8, os.cpu_count() or 1)
        check_range(self.workers, 1, 64, "--workers")
        return self.workers

    def folders(self) -> tuple[Path, Path]:
        """Of the photos and of the style pictures; UsageError where one is not given, or a style's name is."""
        from sfumato.inference.library import style_names

        if self.content is None or self.style is None:
            raise UsageError("name the folders of the photos and of the style pictures with --content and --style")
        if not os.path.exists(self.style) and str(self.style) in style_names():
            raise UsageError(
                f"{self.style} is the name of a style, and pictures are compared with pictures; name a folder of style "
                "pictures with --style"
            )
        return self.content, self.style


@dataclass(frozen=True)
class Method:
    """One thing to judge: its pairs, where their pictures come from, and how many of those asked for are missing."""

    pairs: Sequence[Pair]
    source: OutputProvider
    missing: int = 0
    strength: float | None = None


@dataclass(frozen=True)
class Methods:
    """All pairs asked for, and the methods by name."""

    pairs: Sequence[Pair]
    by_name: dict[str, Method]

    @classmethod
    def of_folders(cls, request: Request, folders: dict[str, Path]) -> Methods:
        from sfumato.quality.pairs import stylized_pictures

        asked = _pairs(request, next(iter(folders.values())))
        found: dict[str, Method] = {}
        for name, folder in folders.items():
            files = stylized_pictures(asked, folder, request.allow_missing)
            found[name] = Method(list(files), _of_files(files), len(asked) - len(files))
        return cls(asked, found)

    @classmethod
    def of_model(cls, request: Request, model: Path | None, curve: bool) -> Methods:
        asked = _pairs(request, None)
        threads = 1 if request.threads() > 1 else None
        found = {"sfumato": Method(asked, _of_model(model, 1.0, threads), strength=1.0 if curve else None)}
        for strength in CURVE if curve else ():
            found[f"sfumato at {strength:g}"] = Method(asked, _of_model(model, strength, threads), strength=strength)
        return cls(asked, found)


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
        lambda pair: f"{stylizer.card.digest} {stylizer.networks.digest} {strength}",
        mean_logit if "discriminator.onnx" in stylizer.card.files else None,
    )


def of_anchor(name: str) -> OutputProvider:
    from sfumato.image import read_image
    from sfumato.quality.anchors import ANCHORS
    from sfumato.quality.evaluator import OutputProvider

    return OutputProvider(
        lambda pair: ANCHORS[name](read_image(pair.content), read_image(pair.style)), lambda pair: f"anchor {name}"
    )
