"""Judging methods on pairs of a photo and a style picture.

A picture is judged at three sizes. *Pixel* figures (PSNR, SSIM, edges, colour, artefacts) are taken at the stylised
picture's own size, to which the photo is resized where it has another. *Feature* figures are taken with photo, style
picture and output resized to a short side of ``short`` pixels, *local* ones (strokes, variety, copied, kept) always at
one of 384. All resizing is ``sfumato.image.resize`` (Lanczos, antialiased).

``measures.py`` holds the table of the measures of a pair, ``set_evaluator.py`` takes those of sets.
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
    """Where a method's pictures come from.

    Attributes:
        picture: gives a pair's stylised picture, ``(1, 3, H, W)``; from several threads at once.
        digest: a hash of what it is made of besides the pair, told without making it.
        logit: the method's own discriminator: its mean logit for a picture as one in the style of another (a file);
            above 0 is "painted".
    """

    picture: Callable[[Pair], Picture]
    digest: Callable[[Pair], str]
    logit: Callable[[Picture, Path], float] | None = None


class Evaluator:
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
            raise UsageError("there are no pairs to judge")
        if not 64 <= short <= 1024:
            raise UsageError(f"the judged short side must be between 64 and 1024 pixels, but is {short}")
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
        """Judge all pairs under one method.

        A pair that cannot be read, or does not fit into memory, is left out; `Evaluation.failed` says why.

        Args:
            source: where the pictures come from.
            tick: called after each pair.
            missing: how many pairs have no picture, for the report.
            pairs: those to judge, all of the judge's by default.

        Raises:
            InputError: none can be judged, or a style picture cannot be read: all figures are measured by those.
        """
        self.references.learn()
        _ = self.references.local_scale  # now, while no worker is busy
        asked = list(pairs or self.pairs)
        # Style by style, so that what is held of a style picture is used before it is dropped.
        order = sorted(range(len(asked)), key=lambda i: (asked[i].style, i))
        found = dict(
            zip(order, each(lambda i: self._try_to_evaluate(asked[i], source), order, self.workers, tick), strict=True)
        )
        results = [found[i] for i in range(len(asked))]
        problems = [one for one in results if isinstance(one, InputError)]
        if len(problems) == len(asked):
            raise problems[0]
        chosen = [pair for pair, one in zip(asked, results, strict=True) if not isinstance(one, InputError)]
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
        """A pair, or why it cannot be judged: the others are judged all the same."""
        try:
            return self._evaluate(pair, source)
        except InputError as problem:
            return problem
        except (MemoryError, RuntimeError) as problem:
            if not is_out_of_memory(problem):
                raise
            return too_large(pair.name)

    def _evaluate(self, pair: Pair, source: OutputProvider) -> EvaluatedPair:
        if self.cache is None:
            return self._evaluate_anew(pair, source)
        digest, names = self.references.digest, [backbone.name for backbone in (*self.backbones, *self._sets.backbones)]
        everything: list[Any] = [
            *(VERSION, self.suite, self.short, source.digest(pair), digest(pair.content), digest(pair.style)),
            # In their order, which decides what the local scale compares.
            list(map(digest, self.references.style_files)),
            names,
            source.logit is not None,
        ]
        path = self.cache / f"{cache_key(everything)}.npz"
        found = EvaluatedPair.read(path, pair)
        if found is None:
            found = self._evaluate_anew(pair, source)
            found.write(path)
        return found

    def _evaluate_anew(self, pair: Pair, source: OutputProvider) -> EvaluatedPair:
        output = source.picture(pair)
        logit = source.logit(output, pair.style) if source.logit else None
        view = PairView(self.references, pair, output)
        values = {name: float(MEASURES[name].compute(view)) for name in self.names}
        row = Row(pair, values, {name: found.value for name, found in view.artefacts.items()}, view.resized)
        return EvaluatedPair(row, [backbone.pooled(output) for backbone in self._sets.backbones], logit)
