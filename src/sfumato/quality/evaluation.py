"""Judging methods on pairs: every pair's figures, and what they say together.

A picture is judged at three sizes. *Pixel* figures (PSNR, SSIM, edges, colour, artefacts) are taken at the stylised
picture's own size, to which the photo is resized where it has another. *Feature* figures are taken with photo, style
picture and output resized to a short side of ``short`` pixels, *local* ones (strokes, variety, copied, kept) always at
one of 384. All resizing is ``sfumato.image.resize`` (Lanczos, antialiased).
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from sfumato import __version__
from sfumato.errors import InputError, UsageError, is_out_of_memory, needs_extra
from sfumato.files import atomic_file
from sfumato.image import Picture, picture_digest, read_image, resize, thumbnail
from sfumato.quality.artefacts import artefacts, worst
from sfumato.quality.backbones import Backbone, EfficientNetLite0, InceptionBackbone, Pooled, VGG19Backbone
from sfumato.quality.classifier import balanced_accuracy, fresh_classifier_accuracy
from sfumato.quality.distribution import Features, Figure
from sfumato.quality.intervals import Interval, crossed_interval_of, sign_flip_test
from sfumato.quality.pairs import Pair
from sfumato.quality.sets import as_set, diversity, set_figures
from sfumato.quality.similarity import (
    FeatureMap,
    cfsd,
    colour_distance,
    content_distance,
    copied,
    edge_structure,
    kept,
    perceptual_distance,
    psnr,
    ssim,
)
from sfumato.quality.strokes import (
    LocalScale,
    Places,
    at_local_size,
    half_distance,
    local_distances,
    neighbours,
    places_of_picture,
)
from sfumato.quality.style import (
    Layout,
    Quantiles,
    StyleStatistics,
    content_leak,
    luma_view,
    patch_quantiles,
    retrieval_rank,
    sliced_wasserstein,
    spread,
    statistics_distance,
    texture_distance,
)

Suite = Literal["quick", "full"]
_LITE, _VGG = EfficientNetLite0.name, VGG19Backbone.name
#: Raised with every change of a measure: cached figures of another are not used.
VERSION = 3
_HELD = 48  # photos, and style pictures, whose features are held
_KEPT = {  # by backbone, the layers whose content distance is meant by "content"
    _LITE: EfficientNetLite0.CONTENT,
    _VGG: VGG19Backbone.LAYERS,
}
_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True)
class Source:
    """Where a method's pictures come from.

    Attributes:
        picture: gives a pair's stylised picture, ``(1, 3, H, W)``; from several threads at once.
        digest: a hash of what it is made of besides the pair, told without making it.
        opinion: the method's own discriminator: its mean logit for a picture as one in the style of another (a file);
            above 0 is "painted".
    """

    picture: Callable[[Pair], Picture]
    digest: Callable[[Pair], str]
    opinion: Callable[[Picture, Path], float] | None = None


_MORE_MEMORY = "make it smaller, give a lower --workers, or close other programs"


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
        Measure("strokes", "lower", "local texture: 0 is like one half of the style picture to the other", _LITE),
        Measure("variety", "lower", "the same from the style picture's places: low where all its strokes occur", _LITE),
        Measure("top1", "higher", "share of pictures whose nearest style picture is the one asked for", _LITE),
        Measure("top5", "higher", "the same among the nearest five", _LITE),
        Measure("ssim", "", "structural similarity with the photo: content kept, not quality"),
        Measure("psnr", "", "signal-to-noise ratio with the photo in dB: content kept, not quality"),
        Measure("copied", "lower", "correlation of the finest detail with the photo's: 1 recoloured, 0 painted anew"),
        Measure("kept", "higher", "correlation with the photo between 4 and 8 pixels: objects stay in place"),
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
#: Figures in units of how far the style pictures are from each other.
RELATIVE = ("style", "texture", "vgg-style", "vgg-gram")
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
    strength: float | None = None  # of a point of a model's curve
    failed: tuple[str, ...] = ()  # why pairs that could not be judged are left out, a sentence each
    absolute: tuple[str, ...] = ()  # figures of `RELATIVE`, where one style picture alone leaves them no unit

    def interval(self, name: str) -> Interval:
        """Mean and 95 % interval over styles and contents (both are samples of what might have been judged); NaN for
        its ends where styles do not share contents enough to tell the two apart."""
        values = [row.figures[name] for row in self.rows]
        styles = [row.pair.style.name for row in self.rows]
        try:
            found = crossed_interval_of(values, styles, [row.pair.content.name for row in self.rows])
            if name in ("top1", "top5"):  # shares
                found = Interval(found.value, max(0.0, found.low), min(1.0, found.high))
            return found
        except InputError:
            return Interval(float(np.mean(values)), float("nan"), float("nan"))

    @property
    def why_no_intervals(self) -> str | None:
        """Why `interval` has no ends, in words; None where it has."""
        styles, contents = ([getattr(row.pair, of).name for row in self.rows] for of in ("style", "content"))
        try:
            crossed_interval_of(list(map(float, range(len(self.rows)))), styles, contents)
        except InputError as problem:
            return str(problem)
        return None

    @property
    def why_absolute(self) -> str | None:
        """Why figures are not relative, in words; None where all are that should be."""
        if not self.absolute:
            return None
        return (
            f"not relative: {', '.join(self.absolute)}. Their unit is how far style pictures are from each other, and "
            "there is one; judge 2 or more, and --json has the bare numbers"
        )

    def figure_like(self, like: Figure) -> Figure | None:
        """The set figure of that name and backbone, where there is one."""
        return next((f for f in self.sets if (f.name, f.backbone) == (like.name, like.backbone)), None)

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
        inception: the user's own Inception-v3 (ONNX): set figures are then also given with it.
        workers: pairs judged at once, in threads; the figures do not depend on it.
    """

    def __init__(
        self, pairs: Sequence[Pair], suite: Suite = "quick", short: int = 256, cache: Path | None = None,
        vgg: Path | None = None, references: Sequence[Path] | None = None, inception: Path | None = None,
        workers: int = 1,
    ) -> None:  # fmt: skip
        if not pairs:
            raise UsageError("there are no pairs to judge")
        if not 64 <= short <= 1024:
            raise UsageError(f"the judged short side must be between 64 and 1024 pixels, but is {short}")
        self.suite, self.short, self.cache, self.workers = suite, short, cache, workers
        self.pairs = list(pairs)
        self._lite = EfficientNetLite0()
        self.backbones: list[Backbone] = [self._lite]
        if suite == "full":
            self.backbones.append(VGG19Backbone(vgg))
        #: Those through which sets are seen.
        self.eyes: list[Backbone] = [self.backbones[0], *([InceptionBackbone(inception)] if inception else [])]
        self.names = tuple(MEASURES) if suite == "full" else _QUICK
        self._photo = lru_cache(_HELD)(self._read_photo)
        self._layout = lru_cache(_HELD)(self._read_layout)
        self._places = lru_cache(_HELD)(self._read_places)
        self._style_files = sorted({pair.style for pair in pairs})
        self._digest = lru_cache(None)(picture_digest)
        self._references = list(references or self._style_files)
        self._pooled = lru_cache(None)(self._read_pooled)
        self._styles: dict[str, dict[str, StyleStatistics]] = {}
        self._scales: dict[str, tuple[dict[str, float], dict[str, float]]] = {}
        self._opinions: dict[str, list[float]] = {}

    def judge(
        self,
        method: str,
        source: Source,
        tick: Callable[[], None] = lambda: None,
        missing: int = 0,
        pairs: Sequence[Pair] | None = None,
    ) -> Evaluation:
        """All pairs under one method. One that cannot be read, or does not fit into memory, is left out, and that is
        told (`Evaluation.failed`).

        Args:
            source: where the pictures come from.
            tick: called after each pair.
            pairs: those to judge, all of the judge's by default.

        Raises:
            InputError: none can be judged, or a style picture cannot be read: all figures are measured by those.
        """
        self._learn_styles()
        _ = self._local_scale  # now, while no worker is busy
        asked = list(pairs or self.pairs)
        # Style by style, so that what is held of a style picture is used before it is dropped.
        order = sorted(range(len(asked)), key=lambda i: (asked[i].style, i))
        found = dict(zip(order, self._each(lambda i: self._tried(asked[i], source), order, tick), strict=True))
        results = [found[i] for i in range(len(asked))]
        problems = [one for one in results if isinstance(one, InputError)]
        if len(problems) == len(asked):
            raise problems[0]
        chosen = [pair for pair, one in zip(asked, results, strict=True) if not isinstance(one, InputError)]
        judged = [one for one in results if not isinstance(one, InputError)]
        about = {"sfumato": __version__, "suite": self.suite, "short side": f"{self.short} px"}
        names = dict.fromkeys(backbone.name for backbone in (*self.backbones, *self.eyes))
        about |= {"backbones": ", ".join(names), "strokes and variety": str(self._local_scale)}
        rows = [one.row for one in judged]
        sets = [figure for eye in self.eyes for figure in self._as_a_set(eye, chosen, judged)]
        if source.opinion is not None:
            sets.append(self._discriminator_accuracy(source.opinion, source.digest(chosen[0]), chosen, judged))
        relative = tuple(name for name in RELATIVE if name in self.names)
        failed = tuple(map(str, problems))
        absolute = () if len(self._style_files) > 1 else relative
        return Evaluation(method, rows, missing, about, sets, None, failed, absolute)

    def _each(self, work: Callable[[_T], _R], jobs: Sequence[_T], tick: Callable[[], None] = lambda: None) -> list[_R]:
        """``work`` on every job, in `workers` threads; the first error, or Ctrl-C, drops what has not begun."""
        with needs_extra("quality", "Judging"):
            from threadpoolctl import threadpool_limits

        # Small products are done sooner by one thread of BLAS than by all: these would spin beside the workers.
        def within_memory(job: _T) -> _R:
            try:
                return work(job)
            except (MemoryError, RuntimeError) as problem:
                if not is_out_of_memory(problem):
                    raise
                named = job if isinstance(job, Path) else "what is judged"
                raise InputError(f"{named} does not fit into memory; {_MORE_MEMORY}") from problem

        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(self.workers) as pool:
            futures = [pool.submit(within_memory, job) for job in jobs]
            try:
                for future in as_completed(futures):
                    future.result()
                    tick()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [future.result() for future in futures]

    def _tried(self, pair: Pair, source: Source) -> _Judged | InputError:
        """A pair, or why it cannot be judged: the others are judged all the same."""
        try:
            return self._judged(pair, source)
        except InputError as problem:
            return problem
        except (MemoryError, RuntimeError) as problem:
            if not is_out_of_memory(problem):
                raise
            return InputError(f"{pair.name} does not fit into memory; {_MORE_MEMORY}")

    def _judged(self, pair: Pair, source: Source) -> _Judged:
        if self.cache is None:
            return self._seen(pair, source)
        everything: list[Any] = [
            VERSION, self.suite, self.short, source.digest(pair), self._digest(pair.content), self._digest(pair.style),
            # In their order, which decides what the local scale compares.
            list(map(self._digest, self._style_files)), [eye.name for eye in (*self.backbones, *self.eyes)],
            source.opinion is not None,
        ]  # fmt: skip
        path = self.cache / f"{_key(everything)}.npz"
        kept = _Judged.read(path, pair)
        if kept is None:
            kept = self._seen(pair, source)
            kept.write(path)
        return kept

    def _seen(self, pair: Pair, source: Source) -> _Judged:
        output = source.picture(pair)
        opinion = source.opinion(output, pair.style) if source.opinion else None
        return _Judged(self._measure(pair, output), [eye.pooled(output) for eye in self.eyes], opinion)

    def _as_a_set(self, eye: Backbone, pairs: Sequence[Pair], judged: Sequence[_Judged]) -> list[Figure]:
        place = self.eyes.index(eye)
        outputs, probabilities = as_set(eye.name, [one.members[place] for one in judged])
        references = self._set_of(eye, self._references)
        figures = set_figures(outputs, references, probabilities)
        one, other = (Features(eye.name, references.arrays[start::2]) for start in (0, 1))
        floor = {figure.name: figure.value for figure in set_figures(one, other)} if len(other.arrays) > 1 else {}
        for i, figure in enumerate(figures):
            if np.isfinite(real := floor.get(figure.name, np.nan)) and np.isfinite(figure.value):
                said = f"real against real, two halves of the references: {real:.3g}"
                figures[i] = replace(figure, note="; ".join(filter(None, [figure.note, said])))
        figures.append(self._classifier(eye, pairs, outputs))
        for name, groups, real_files in (
            ("diversity over photos", [pair.style for pair in pairs], sorted({pair.content for pair in pairs})),
            ("diversity over styles", [pair.content for pair in pairs], sorted({pair.style for pair in pairs})),
        ):
            own, there = diversity(outputs, groups), float("nan")
            if len(real_files) > 1:
                there = diversity(self._set_of(eye, real_files), [0] * len(real_files))
            note = f"of the {name.rpartition(' ')[2]} themselves: {there:.3f}"
            figures.append(Figure(name, own, None, None, len(pairs), eye.name, note))
        return figures

    def _classifier(self, eye: Backbone, pairs: Sequence[Pair], outputs: Features) -> Figure:
        """References are their own groups, the style pictures among them those of their outputs."""
        references = self._set_of(eye, self._references)
        try:
            return fresh_classifier_accuracy(references, outputs, self._references, [pair.style for pair in pairs])
        except UsageError as problem:
            n = min(len(references.arrays), len(pairs))
            return Figure("classifier_accuracy", float("nan"), None, None, n, eye.name, f"refused: {problem}")

    def _discriminator_accuracy(
        self, opinion: Callable[[Picture, Path], float], who: str, pairs: Sequence[Pair], judged: Sequence[_Judged]
    ) -> Figure:
        if who not in self._opinions:
            self._opinions[who] = self._each(lambda path: opinion(read_image(path), path), self._style_files)
        groups = [pair.style for pair in pairs]
        note = "the discriminator that the model was trained against; 0.5 where it cannot tell"
        outputs = [one.opinion for one in judged if one.opinion is not None]
        return balanced_accuracy("discriminator_accuracy", self._opinions[who], outputs, groups, who[:12], None, note)

    def _set_of(self, eye: Backbone, paths: Sequence[Path]) -> Features:
        members = self._each(lambda path: self._pooled(path, self.eyes.index(eye)), paths)
        return Features(eye.name, np.stack(members))

    def _read_pooled(self, path: Path, eye: int) -> npt.NDArray[np.float32]:
        backbone = self.eyes[eye]
        if self.cache is None:
            return backbone.pooled(read_image(path)).features
        file = self.cache / f"{_key([VERSION, backbone.name, self._digest(path)])}.npy"
        try:
            return np.asarray(np.load(io.BytesIO(file.read_bytes()), allow_pickle=False), np.float32)
        except (OSError, ValueError, EOFError):  # not there, or not whole
            found = backbone.pooled(read_image(path)).features
            with atomic_file(file) as out:
                np.save(out, found)
            return found

    def _measure(self, pair: Pair, output: Picture) -> Row:
        original = read_image(pair.content)
        resized = original.shape != output.shape
        photo = resize(original, *output.shape[2:])
        seen, (patches, layout) = self._small(output), self._layout(pair.style)
        found = artefacts(output, photo)
        figures = {
            "ssim": ssim(output, photo),
            "psnr": min(psnr(output, photo), 100.0),  # of equal pictures it is infinite, and a mean would be lost
            "edges": edge_structure(output, photo),
            "colour": colour_distance(output, photo),
            "wasserstein": sliced_wasserstein(patch_quantiles(seen), patches),
            "leak": content_leak(seen, self._small(photo), layout),
            "artefacts": worst(found).value,
            **self._local(pair, output, original),
        }
        styles = self._styles
        for backbone in self.backbones:
            quick = backbone.name == EfficientNetLite0.name
            own, of_photo = backbone.features(seen), self._photo(pair.content, backbone.name)
            if any(own[layer].shape != f.shape for layer, f in of_photo.items()):
                # An output in other proportions than its photo's.
                of_photo = backbone.features(resize(self._small(photo), *seen.shape[2:]))
            statistics = StyleStatistics.of(backbone.name, own, backbone.features(luma_view(seen)))
            target = styles[backbone.name][pair.style.name]
            scale, gram_scale = self._scales[backbone.name]
            of_style = statistics_distance(statistics, target, scale)
            of_texture = texture_distance(statistics, target, gram_scale)
            if quick:
                rank = retrieval_rank(statistics, styles[backbone.name], pair.style.name, scale)
                deep = [content_distance(own[layer], of_photo[layer]) for layer in _KEPT[_LITE]]
                figures |= {"content": float(np.mean(deep)), "style": of_style, "texture": of_texture}
                figures |= {"top1": float(rank == 1), "top5": float(rank <= 5)}
            else:
                figures |= {"vgg-style": of_style, "vgg-gram": of_texture}
                figures["lpips-form"] = perceptual_distance(own, of_photo)
                figures["vgg-content"] = content_distance(own["relu4_1"], of_photo["relu4_1"])
                figures["cfsd"] = cfsd(of_photo["relu3_1"][:, ::2, ::2], own["relu3_1"][:, ::2, ::2])
        ordered = {name: float(figures[name]) for name in self.names}
        return Row(pair, ordered, {name: found[name].value for name in found}, resized)

    def _local(self, pair: Pair, output: Picture, photo: Picture) -> dict[str, float]:
        """The local figures: at one size, whatever `short` is."""
        at, scale = at_local_size(output), self._local_scale
        there, back = local_distances(self._places_of(at), self._places(pair.style))
        photo = resize(photo, *at.shape[2:])
        return {
            "strokes": scale.relative(there), "variety": scale.relative(back),
            "copied": copied(at, photo), "kept": kept(at, photo),
        }  # fmt: skip

    def _places_of(self, at: Picture) -> Places:
        return places_of_picture(self._to_stride_8, at)

    def _to_stride_8(self, x: Picture) -> dict[str, FeatureMap]:
        return self._lite.features(x, 8)

    def _read_places(self, path: Path) -> Places:
        return self._places_of(at_local_size(read_image(path)))

    def _small(self, x: Picture) -> Picture:
        return thumbnail(x, self.short)

    def _read_photo(self, path: Path, backbone: str) -> dict[str, FeatureMap]:
        found = next(b for b in self.backbones if b.name == backbone).features(self._small(read_image(path)))
        layers = _KEPT[_LITE if backbone == _LITE else _VGG]
        return {layer: found[layer] for layer in layers}

    def _read_layout(self, path: Path) -> tuple[list[Quantiles], Layout]:
        """What the patches of a style picture are compared by."""
        small = self._small(read_image(path))
        return patch_quantiles(small), Layout.of(small)

    def _learn_styles(self) -> None:
        """The statistics of every style picture, and how far they are apart."""
        if self._styles:
            return

        def seen(path: Path) -> dict[str, StyleStatistics]:
            small = self._small(read_image(path))
            view = luma_view(small)
            return {b.name: StyleStatistics.of(b.name, b.features(small), b.features(view)) for b in self.backbones}

        found = self._each(seen, self._style_files)
        for backbone in self.backbones:
            some = [one[backbone.name] for one in found]
            ones = {layer: 1.0 for layer in some[0].statistics}
            self._scales[backbone.name] = spread(some) if len(some) > 1 else (ones, ones)
            self._styles[backbone.name] = {path.name: one for path, one in zip(self._style_files, some, strict=True)}

    @cached_property
    def _local_scale(self) -> LocalScale:
        key = _key([VERSION, "local scale", *map(self._digest, self._style_files)])
        file = self.cache / f"{key}.json" if self.cache else None
        if file is not None:
            try:
                return LocalScale(**json.loads(file.read_text("utf-8")))
            except (OSError, ValueError, TypeError):  # not there, or not whole
                pass

        def half(path: Path) -> float:
            return half_distance(self._to_stride_8, at_local_size(read_image(path)))

        def apart(two: tuple[int, int]) -> float:
            return float(np.mean(local_distances(*(self._places(self._style_files[i]) for i in two))))

        others = self._each(apart, neighbours(len(self._style_files)))
        found = LocalScale.of(self._each(half, self._style_files), others)
        if file is not None:
            with atomic_file(file) as out:
                out.write(json.dumps(vars(found)).encode())
        return found


@dataclass(frozen=True)
class _Judged:
    """All that is kept of a pair: its figures, and its place in each set."""

    row: Row
    members: list[Pooled]
    opinion: float | None

    @classmethod
    def read(cls, path: Path, pair: Pair) -> _Judged | None:
        """What was kept; a file that is not there, or was damaged, is none."""
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                found = json.loads(str(file["row"]))
                members = [Pooled(file[f"features{i}"], file.get(f"classes{i}")) for i in range(found["eyes"])]
            return cls(Row(pair, found["figures"], found["artefacts"], found["resized"]), members, found["opinion"])
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def write(self, path: Path) -> None:
        row = self.row
        found = {"figures": row.figures, "artefacts": row.artefacts, "resized": row.resized}
        arrays: dict[str, Any] = {"row": json.dumps({**found, "opinion": self.opinion, "eyes": len(self.members)})}
        for i, member in enumerate(self.members):
            arrays[f"features{i}"] = member.features
            if member.probabilities is not None:
                arrays[f"classes{i}"] = member.probabilities
        content = io.BytesIO()
        np.savez(content, **arrays)
        with atomic_file(path) as file:
            file.write(content.getvalue())


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


def curve(evaluations: Sequence[Evaluation]) -> list[tuple[float, float]]:
    """Mean content and style distance at each strength of a model, by content distance."""
    return sorted(
        (each.interval("content").value, each.interval("style").value)
        for each in evaluations
        if each.strength is not None
    )


def curve_area(evaluations: Sequence[Evaluation]) -> float | None:
    """Area under a model's curve of style distance over content distance, from its least to its largest strength, over
    the width of content distance: the mean style distance along the curve. None without a curve.

    One point can be moved by its strength; the curve cannot.
    """
    points = curve(evaluations)
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return None
    x, y = np.array(points).T
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / (x[-1] - x[0]))


def to_json(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """All figures, for other programs: by method the means with intervals, and every pair."""
    result: dict[str, Any] = {}
    for each in evaluations:
        means: dict[str, list[float | None]] = {}
        for name in each.rows[0].figures:
            interval = each.interval(name)
            means[name] = [None if v != v else round(v, 6) for v in (interval.value, interval.low, interval.high)]
        rows = [
            {"content": row.pair.content.name, "style": row.pair.style.name, **row.figures, "artefact": row.artefacts}
            for row in each.rows
        ]
        result[each.method] = {
            "strength": each.strength, "pairs": len(rows), "missing": each.missing, "failed": list(each.failed),
            "resized": sum(row.resized for row in each.rows),
            "about": each.about, "figures": means, "absolute": list(each.absolute),
            "sets": [_plain(figure) for figure in each.sets], "rows": rows,
        }  # fmt: skip
    return result


def differences(evaluations: Sequence[Evaluation]) -> dict[str, Mapping[str, tuple[float, float]]]:
    """`compare` of each method with the first, by method and figure."""
    first, *others = evaluations
    return {each.method: {name: compare(each, first, name) for name in first.rows[0].figures} for each in others}


def _plain(figure: Figure) -> dict[str, Any]:
    """JSON has no NaN."""
    return {key: None if isinstance(value, float) and np.isnan(value) else value for key, value in vars(figure).items()}


def _key(everything: list[Any]) -> str:
    """Name of what is kept of a result that depends on `everything`."""
    return hashlib.sha256(json.dumps(everything).encode()).hexdigest()[:40]
