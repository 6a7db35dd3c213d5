"""The evaluator of stylisation methods on pairs of a photo and a style picture.

A picture is evaluated at three sizes. *Pixel* measures (PSNR, SSIM, edges, colour, artefacts) use the size of the
stylised picture, to which the photo is resized. *Feature* measures use photo, style picture and output with a short
side of ``short`` pixels. *Local* measures (strokes, variety, copied, kept) always use a short side of 384 pixels. All
resizing is ``sfumato.image.resize`` (Lanczos, antialiased).

``measures.py`` holds the table of the measures of a pair, ``set_evaluator.py`` computes those of sets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sfumato import __version__
from sfumato.errors import InputError, UsageError, is_out_of_memory
from sfumato.image import Picture
from sfumato.quality.backbones import Backbone, EfficientNetLite0, InceptionBackbone, VGG19Backbone
from sfumato.quality.cache import VERSION, EvaluatedPair, cache_key
from sfumato.quality.evaluation import Evaluation, Row
from sfumato.quality.measures import MEASURES, QUICK, RELATIVE
from sfumato.quality.pair_view import PairView
from sfumato.quality.pairs import Pair
from sfumato.quality.references import References
from sfumato.quality.set_evaluator import SetEvaluator
from sfumato.quality.workers import each, too_large

Suite = Literal["quick", "full"]


@dataclass(frozen=True)
class OutputProvider:
    """The source of a method's stylised pictures.

    Attributes:
        picture: Returns the stylised picture of a pair, ``(1, 3, H, W)``. Several threads call it at once.
        digest: Returns a hash of everything besides the pair that determines the picture, without making the picture.
        logit: Returns the mean logit of the method's own discriminator for a picture and the file of its style
            picture; above 0 means "real painting". None where the method has no discriminator.
    """

    picture: Callable[[Pair], Picture]
    digest: Callable[[Pair], str]
    logit: Callable[[Picture, Path], float] | None = None


class Evaluator:
    """Evaluator of methods on pairs, which computes the features of photos and style pictures only once.

    Args:
        pairs: All pairs that will be evaluated. Relative distances and retrieval refer to their style pictures.
        suite: ``"quick"`` omits the measures that need VGG19, ``"full"`` includes them.
        short: Short side in pixels at which features are computed, 64 to 1024.
        cache: Folder for the measures of each pair, under a hash of everything they depend on; None disables it.
        vgg: The user's own VGG19 file.
        references: Pictures that the outputs are compared with as a set; None uses the style pictures.
        inception: The user's own Inception-v3 (ONNX), with which set measures are computed too.
        workers: Number of threads, one pair each; the results do not depend on it.

    Raises:
        UsageError: There is no pair, or ``short`` is out of range.
        ModelError: The file of a network cannot be used.
        MissingExtraError: The extra ``quality`` is not installed.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        suite: Suite = "quick",
        short: int = 256,
        cache: Path | None = None,
        vgg: Path | None = None,
        references: Sequence[Path] | None = None,
        inception: Path | None = None,
        workers: int = 1,
    ) -> None:
        if not pairs:
            raise UsageError("an evaluation needs at least one pair of a photo and a style picture")
        if not 64 <= short <= 1024:
            raise UsageError(f"the short side for features must be between 64 and 1024 pixels, but is {short}")
        self.suite, self.short, self.cache, self.workers = suite, short, cache, workers
        self.pairs = list(pairs)
        lite = EfficientNetLite0()
        self.backbones: list[Backbone] = [lite]
        if suite == "full":
            self.backbones.append(VGG19Backbone(vgg))
        self.names = tuple(MEASURES) if suite == "full" else QUICK
        styles = sorted({pair.style for pair in pairs})
        self.references = References(lite, self.backbones, styles, short, workers, cache)
        set_backbones: list[Backbone] = [lite, *([InceptionBackbone(inception)] if inception else [])]
        self._sets = SetEvaluator(set_backbones, references or styles, styles, self.references.digest, workers, cache)

    def evaluate(
        self,
        method: str,
        source: OutputProvider,
        tick: Callable[[], None] = lambda: None,
        missing: int = 0,
        pairs: Sequence[Pair] | None = None,
    ) -> Evaluation:
        """Evaluate one method on pairs.

        A pair that cannot be read, or that does not fit into memory, is left out; `Evaluation.failed` holds the reason.

        Args:
            method: Name of the method.
            source: The source of the stylised pictures.
            tick: Called after each pair.
            missing: Number of pairs without a picture, for the report.
            pairs: The pairs to evaluate; None evaluates all pairs of the evaluator.

        Raises:
            InputError: No pair can be evaluated, or a style picture, on which all measures depend, cannot be read.
        """
        self.references.learn()
        _ = self.references.local_scale  # computed here, because it uses all workers itself
        requested = list(pairs or self.pairs)
        # Sorted by style, so that the cached features of a style picture are used before they are evicted.
        order = sorted(range(len(requested)), key=lambda i: (requested[i].style, i))
        evaluated_in_order = each(lambda i: self._try_to_evaluate(requested[i], source), order, self.workers, tick)
        found = dict(zip(order, evaluated_in_order, strict=True))
        results = [found[i] for i in range(len(requested))]
        problems = [one for one in results if isinstance(one, InputError)]
        if len(problems) == len(requested):
            raise problems[0]
        chosen = [pair for pair, one in zip(requested, results, strict=True) if not isinstance(one, InputError)]
        evaluated = [one for one in results if not isinstance(one, InputError)]
        about = {"sfumato": __version__, "suite": self.suite, "short side": f"{self.short} px"}
        names = dict.fromkeys(backbone.name for backbone in (*self.backbones, *self._sets.backbones))
        about |= {"backbones": ", ".join(names), "strokes and variety": str(self.references.local_scale)}
        rows = [one.row for one in evaluated]
        sets = [
            estimate
            for backbone in self._sets.backbones
            for estimate in self._sets.estimates(backbone, chosen, evaluated)
        ]
        if source.logit is not None:
            sets.append(self._sets.discriminator_accuracy(source.logit, source.digest(chosen[0]), chosen, evaluated))
        relative = tuple(name for name in RELATIVE if name in self.names)
        failed = tuple(map(str, problems))
        absolute = () if len(self.references.style_files) > 1 else relative
        return Evaluation(method, rows, missing, about, sets, None, failed, absolute)

    def _try_to_evaluate(self, pair: Pair, source: OutputProvider) -> EvaluatedPair | InputError:
        """Evaluate a pair; return the error instead of raising it, so that the other pairs are still evaluated."""
        try:
            return self._evaluate(pair, source)
        except InputError as problem:
            return problem
        except (MemoryError, RuntimeError) as problem:
            if not is_out_of_memory(problem):
                raise
            return too_large(pair.name)

    def _evaluate(self, pair: Pair, source: OutputProvider) -> EvaluatedPair:
        """Read the result of a pair from the cache, or compute and store it."""
        if self.cache is None:
            return self._compute(pair, source)
        digest, names = self.references.digest, [backbone.name for backbone in (*self.backbones, *self._sets.backbones)]
        dependencies: list[Any] = [
            *(VERSION, self.suite, self.short, source.digest(pair), digest(pair.content), digest(pair.style)),
            # In their order, because the local scale compares neighbours in the list.
            list(map(digest, self.references.style_files)),
            names,
            source.logit is not None,
        ]
        path = self.cache / f"{cache_key(dependencies)}.npz"
        found = EvaluatedPair.read(path, pair)
        if found is None:
            found = self._compute(pair, source)
            found.write(path)
        return found

    def _compute(self, pair: Pair, source: OutputProvider) -> EvaluatedPair:
        output = source.picture(pair)
        logit = source.logit(output, pair.style) if source.logit else None
        view = PairView(self.references, pair, output)
        values = {name: float(MEASURES[name].compute(view)) for name in self.names}
        row = Row(pair, values, {name: found.value for name, found in view.artefacts.items()}, view.resized)
        return EvaluatedPair(row, [backbone.pooled(output) for backbone in self._sets.backbones], logit)
