"""Judging methods on pairs: every pair's figures, and what they say together.

A picture is judged at two sizes. *Pixel* figures (PSNR, SSIM, edges, colour, artefacts) are taken at the stylised
picture's own size, to which the photo is resized where it has another. *Feature* figures are taken with photo, style
picture and output resized to a short side of ``short`` pixels. All resizing is ``sfumato.image.resize`` (Lanczos,
antialiased).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sfumato import __version__
from sfumato.errors import UsageError
from sfumato.files import atomic_file
from sfumato.image import Picture, read_image, resize, thumbnail_size
from sfumato.quality.artefacts import artefacts, worst
from sfumato.quality.backbones import Backbone, EfficientNetLite0, Pooled, VGG19Backbone
from sfumato.quality.distribution import Features, Figure
from sfumato.quality.intervals import Interval, crossed_interval_of, sign_flip_test
from sfumato.quality.pairs import Pair
from sfumato.quality.sets import as_set, diversity, set_figures
from sfumato.quality.similarity import (
    FeatureMap,
    cfsd,
    colour_distance,
    content_distance,
    edge_structure,
    perceptual_distance,
    psnr,
    ssim,
)
from sfumato.quality.style import (
    StyleStatistics,
    content_leak,
    luma_view,
    retrieval_rank,
    sliced_wasserstein,
    spread,
    statistics_distance,
    texture_distance,
)

Suite = Literal["quick", "full"]
#: Gives a pair's stylised picture, and a hash of what it was made of (a file's, say).
Source = Callable[[Pair], tuple[Picture, str]]
_LITE, _VGG = EfficientNetLite0.name, VGG19Backbone.name
#: Raised with every change of a measure: cached figures of another are not used.
VERSION = 1
_PHOTOS = 32  # whose features are held


@dataclass(frozen=True)
class Measure:
    """What a column of a report is."""

    name: str
    better: Literal["lower", "higher", ""]  # "": it describes, and is no goal
    says: str
    backbone: str = ""

    @property
    def arrow(self) -> str:
        return {"lower": "↓", "higher": "↑", "": ""}[self.better]


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("content", "lower", "how far shapes are from the photo's: 0 unchanged, 2 unrelated", _LITE),
        Measure("style", "lower", "palette and contrast: distance to the style picture, 1 is like any other's", _LITE),
        Measure("texture", "lower", "the same for texture alone, with colour and contrast taken out", _LITE),
        Measure("top1", "higher", "share of pictures whose nearest style picture is the one asked for", _LITE),
        Measure("top5", "higher", "the same among the nearest five", _LITE),
        Measure("ssim", "", "structural similarity with the photo: content kept, not quality"),
        Measure("psnr", "", "signal-to-noise ratio with the photo in dB: content kept, not quality"),
        Measure("edges", "", "correlation of edge strengths with the photo's"),
        Measure("colour", "", "mean CIEDE2000 colour difference to the photo"),
        Measure("wasserstein", "lower", "distance of small patches to the style picture's, in 1/255"),
        Measure("leak", "lower", "how much of the style picture's layout shows: 0 none"),
        Measure("artefacts", "lower", "the worst of the artefact detectors: below 1 clean, above 2 plainly seen"),
        Measure("lpips-form", "", "perceptual distance to the photo, uniform weights (not the published LPIPS)", _VGG),
        Measure("vgg-content", "lower", "content distance at relu4_1", _VGG),
        Measure("cfsd", "lower", "structural distance at relu3_1 (StyleID), at half its resolution", _VGG),
        Measure("vgg-style", "lower", "distance of channel statistics at relu1_1 to relu5_1, 1 as above", _VGG),
        Measure("vgg-gram", "lower", "distance of Gram matrices of the luma view, 1 as above", _VGG),
    )
}  # fmt: skip
_QUICK = tuple(name for name, measure in MEASURES.items() if measure.backbone != _VGG)


@dataclass(frozen=True)
class Row:
    """A pair's figures under one method."""

    pair: Pair
    figures: dict[str, float]
    artefacts: dict[str, float]
    resized: bool  # the photo had another size than the picture


@dataclass(frozen=True)
class Evaluation:
    """One method on all pairs."""

    method: str
    rows: list[Row]
    missing: int = 0
    about: dict[str, str] = field(default_factory=dict)
    sets: list[Figure] = field(default_factory=list)

    def interval(self, name: str) -> Interval:
        """Mean and 95 % interval over styles and contents (both are samples of what might have been judged)."""
        values = [row.figures[name] for row in self.rows]
        styles = [row.pair.style.name for row in self.rows]
        return crossed_interval_of(values, styles, [row.pair.content.name for row in self.rows])

    def by_style(self, name: str) -> dict[str, float]:
        """Mean of each style's pairs."""
        values: dict[str, list[float]] = {}
        for row in self.rows:
            values.setdefault(row.pair.style.stem, []).append(row.figures[name])
        return {style: float(np.mean(some)) for style, some in sorted(values.items())}


class Judge:
    """Judges pictures of pairs; features of photos and style pictures are computed once.

    Args:
        pairs: all that will be judged: their style pictures are what relative distances and retrieval refer to.
        suite: ``"quick"`` leaves VGG19 out.
        short: pixels, short side at which features are taken.
        cache: folder for each pair's figures, under a hash of all that they depend on; ``None`` keeps none.
        vgg: the user's own VGG19 file.
        references: pictures that the outputs are compared with as a set; ``None`` takes the style pictures.
    """

    def __init__(
        self, pairs: Sequence[Pair], suite: Suite = "quick", short: int = 256, cache: Path | None = None,
        vgg: Path | None = None, references: Sequence[Path] | None = None,
    ) -> None:  # fmt: skip
        if not pairs:
            raise UsageError("there are no pairs to judge")
        if not 64 <= short <= 1024:
            raise UsageError(f"the judged short side must be between 64 and 1024 pixels, but is {short}")
        self.suite, self.short, self.cache = suite, short, cache
        self.pairs = list(pairs)
        self.backbones: list[Backbone] = [EfficientNetLite0()]
        if suite == "full":
            self.backbones.append(VGG19Backbone(vgg))
        self.names = tuple(MEASURES) if suite == "full" else _QUICK
        self._photo = lru_cache(_PHOTOS)(self._read_photo)
        self._style_files = sorted({pair.style for pair in pairs})
        self._digest = lru_cache(None)(_digest)
        self._references = list(references or self._style_files)
        self._sets: dict[tuple[Path, ...], Features] = {}
        self._styles: dict[str, dict[str, StyleStatistics]] | None = None
        self._scales: dict[str, tuple[dict[str, float], dict[str, float]]] = {}

    def judge(
        self,
        method: str,
        picture: Source,
        tick: Callable[[], None] = lambda: None,
        missing: int = 0,
        pairs: Sequence[Pair] | None = None,
    ) -> Evaluation:
        """All pairs under one method.

        Args:
            picture: where the pictures come from.
            tick: called after each pair.
            pairs: those to judge, all of the judge's by default.
        """
        rows, members = [], []
        for pair in pairs or self.pairs:
            output, digest = picture(pair)  # once: a model paints it here
            rows.append(self._row(pair, output, digest))
            members.append(self.backbones[0].pooled(output))
            tick()
        about = {"sfumato": __version__, "suite": self.suite, "short side": f"{self.short} px"}
        about |= {"backbones": ", ".join(backbone.name for backbone in self.backbones)}
        return Evaluation(method, rows, missing, about, self._as_a_set([row.pair for row in rows], members))

    def _row(self, pair: Pair, output: Picture, digest: str) -> Row:
        if self.cache is None:
            return self._measure(pair, output)
        everything: list[Any] = [
            VERSION,
            self.suite,
            self.short,
            digest,
            self._digest(pair.content),
            self._digest(pair.style),
        ]
        everything += [sorted(map(self._digest, self._style_files)), [backbone.name for backbone in self.backbones]]
        path = self.cache / f"{hashlib.sha256(json.dumps(everything).encode()).hexdigest()[:40]}.json"
        if path.is_file():
            found = json.loads(path.read_text())
            return Row(pair, found["figures"], found["artefacts"], found["resized"])
        row = self._measure(pair, output)
        with atomic_file(path) as file:
            kept = {"figures": row.figures, "artefacts": row.artefacts, "resized": row.resized}
            file.write(json.dumps(kept).encode())
        return row

    def _as_a_set(self, pairs: Sequence[Pair], members: Sequence[Pooled]) -> list[Figure]:
        eye = self.backbones[0]
        outputs, probabilities = as_set(eye.name, members)
        figures = set_figures(outputs, self._pooled(self._references), probabilities)
        for name, groups, real in (
            ("diversity over photos", [pair.style for pair in pairs], sorted({pair.content for pair in pairs})),
            ("diversity over styles", [pair.content for pair in pairs], sorted({pair.style for pair in pairs})),
        ):
            own = diversity(outputs, groups)
            there = diversity(self._pooled(real), [0] * len(real)) if len(real) > 1 else float("nan")
            note = f"of the {name.rpartition(' ')[2]} themselves: {there:.3f}"
            figures.append(Figure(name, own, None, None, len(pairs), eye.name, note))
        return figures

    def _pooled(self, paths: Sequence[Path]) -> Features:
        key = tuple(paths)
        if key not in self._sets:
            eye = self.backbones[0]
            self._sets[key], _ = as_set(eye.name, [eye.pooled(read_image(path)) for path in paths])
        return self._sets[key]

    def _measure(self, pair: Pair, output: Picture) -> Row:
        photo = read_image(pair.content)
        resized = photo.shape != output.shape
        if resized:
            photo = resize(photo, *output.shape[2:])
        seen, style = self._small(output), self._small(read_image(pair.style))
        found = artefacts(output, photo)
        figures = {
            "ssim": ssim(output, photo),
            "psnr": min(psnr(output, photo), 100.0),  # of equal pictures it is infinite, and a mean would be lost
            "edges": edge_structure(output, photo),
            "colour": colour_distance(output, photo),
            "wasserstein": sliced_wasserstein(seen, style),
            "leak": content_leak(seen, self._small(photo), style),
            "artefacts": worst(found).value,
        }
        styles = self._style_statistics()
        for backbone in self.backbones:
            quick = backbone.name == EfficientNetLite0.name
            own, of_photo = backbone.features(seen), self._photo(pair.content, backbone.name)
            if {layer: f.shape for layer, f in own.items()} != {layer: f.shape for layer, f in of_photo.items()}:
                # An output in other proportions than its photo's.
                of_photo = backbone.features(resize(self._small(photo), *seen.shape[2:]))
            statistics = StyleStatistics.of(backbone.name, own, backbone.features(luma_view(seen)))
            target = styles[backbone.name][pair.style.name]
            scale, gram_scale = self._scales[backbone.name]
            of_style = statistics_distance(statistics, target, scale)
            of_texture = texture_distance(statistics, target, gram_scale)
            if quick:
                rank = retrieval_rank(statistics, styles[backbone.name], pair.style.name, scale)
                deep = [content_distance(own[layer], of_photo[layer]) for layer in ("stride8", "stride16")]
                figures |= {"content": float(np.mean(deep)), "style": of_style, "texture": of_texture}
                figures |= {"top1": float(rank == 1), "top5": float(rank <= 5)}
            else:
                figures |= {"vgg-style": of_style, "vgg-gram": of_texture}
                figures["lpips-form"] = perceptual_distance(own, of_photo)
                figures["vgg-content"] = content_distance(own["relu4_1"], of_photo["relu4_1"])
                figures["cfsd"] = cfsd(of_photo["relu3_1"][:, ::2, ::2], own["relu3_1"][:, ::2, ::2])
        ordered = {name: float(figures[name]) for name in self.names}
        return Row(pair, ordered, {name: found[name].value for name in found}, resized)

    def _small(self, x: Picture) -> Picture:
        return resize(x, *thumbnail_size(x.shape[2], x.shape[3], self.short, 4 * self.short))

    def _read_photo(self, path: Path, backbone: str) -> dict[str, FeatureMap]:
        return next(b for b in self.backbones if b.name == backbone).features(self._small(read_image(path)))

    def _style_statistics(self) -> dict[str, dict[str, StyleStatistics]]:
        if self._styles is None:
            self._styles = {backbone.name: {} for backbone in self.backbones}
            for path in self._style_files:
                small = self._small(read_image(path))
                view = luma_view(small)
                for backbone in self.backbones:
                    statistics = StyleStatistics.of(backbone.name, backbone.features(small), backbone.features(view))
                    self._styles[backbone.name][path.name] = statistics
            for name, styles in self._styles.items():
                some = list(styles.values())
                ones = {layer: 1.0 for layer in some[0].statistics}
                self._scales[name] = spread(some) if len(some) > 1 else (ones, ones)
        return self._styles


def compare(one: Evaluation, other: Evaluation, name: str) -> tuple[float, float]:
    """Mean difference ``one - other`` of a figure over the pairs that both have, and its p: a paired sign-flip test in
    which all pairs of a style flip together.

    Raises:
        UsageError: they share no pair.
    """
    second = {row.pair.name: row for row in other.rows}
    shared = [(row, second[row.pair.name]) for row in one.rows if row.pair.name in second]
    if not shared:
        raise UsageError(f"{one.method} and {other.method} have no pair in common")
    differences = [a.figures[name] - b.figures[name] for a, b in shared]
    return float(np.mean(differences)), sign_flip_test(differences, [a.pair.style.name for a, _ in shared])


def to_json(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """All figures, for other programs: by method the means with intervals, and every pair."""
    result: dict[str, Any] = {}
    for each in evaluations:
        means: dict[str, list[float]] = {}
        for name in each.rows[0].figures:
            interval = each.interval(name)
            means[name] = [round(v, 6) for v in (interval.value, interval.low, interval.high)]
        rows = [
            {"content": row.pair.content.name, "style": row.pair.style.name, **row.figures, "artefact": row.artefacts}
            for row in each.rows
        ]
        result[each.method] = {
            "pairs": len(rows), "missing": each.missing, "resized": sum(row.resized for row in each.rows),
            "about": each.about, "figures": means, "sets": [_plain(figure) for figure in each.sets], "rows": rows,
        }  # fmt: skip
    return result


def differences(evaluations: Sequence[Evaluation]) -> dict[str, Mapping[str, tuple[float, float]]]:
    """`compare` of each method with the first, by method and figure."""
    first, *others = evaluations
    return {each.method: {name: compare(each, first, name) for name in first.rows[0].figures} for each in others}


def _plain(figure: Figure) -> dict[str, Any]:
    """JSON has no NaN."""
    return {key: None if isinstance(value, float) and np.isnan(value) else value for key, value in vars(figure).items()}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
