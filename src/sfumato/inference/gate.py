"""Selection among several paintings: the best of N, and quality gates that a picture must pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from sfumato.checks import check_range
from sfumato.errors import QualityError, UsageError
from sfumato.image import Photo, Picture
from sfumato.inference.guide import Observer, choose
from sfumato.inference.pixel_readers import as_reader
from sfumato.inference.progress import Progress, portion
from sfumato.inference.recipe import Recipe
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer
from sfumato.quality.artefacts import artefacts, worst

DETECTORS = (
    "artefacts", "checkerboard", "blobs", "halos", "border", "seams", "banding", "colour_inversion", "clipping",
)  # fmt: skip
#: Pixels to which larger pictures are reduced before defects are measured.
SCORED_PIXELS = 2_000_000
#: Largest number of strengths that are tried before a gate fails, and the ratio of consecutive strengths.
TRIES, WEAKER = 4, 0.75
#: Share of the progress that the choice of strength and stroke takes.
CHOOSING = 0.3


@dataclass(frozen=True)
class QualityGate:
    """An upper bound on a defect of a finished picture.

    Attributes:
        name: of a detector, or ``artefacts`` for the worst of all.
        limit: the value that the defect must stay below.
    """

    name: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``NAME<NUMBER``, as in ``artefacts<2``.

        Raises:
            UsageError: the text has another form, or names no detector.
        """
        found = re.fullmatch(r"\s*([a-z_]+)\s*<\s*(\d{1,6}(?:\.\d*)?|\.\d+)\s*", text)
        if found is None:
            raise UsageError(f"a gate must be NAME<NUMBER, as in artefacts<2, but is {text!r}")
        if found[1] not in DETECTORS:
            raise UsageError(f"there is no detector {found[1]!r}; choose {', '.join(DETECTORS)}")
        return cls(found[1], float(found[2]))

    def __str__(self) -> str:
        """Return the gate in the form that `parse` reads."""
        return f"{self.name}<{self.limit:g}"


@dataclass(frozen=True)
class SelectionOptions:
    """The choices that are left to Sfumato.

    Attributes:
        auto: choose strength and stroke (`guide.choose`).
        keep: minimum share of content, for that choice.
        best_of: number of paintings, with consecutive seeds from the recipe's on, of which the best is returned.
        gates: that the picture must pass.
    """

    auto: bool = False
    keep: float | None = None
    best_of: int = 1
    gates: tuple[QualityGate, ...] = ()

    def __post_init__(self) -> None:
        if self.keep is not None:
            check_range(self.keep, 0.0, 1.0, "keep")
        check_range(self.best_of, 1, 100, "best-of")

    def check(self, stylizer: Stylizer) -> None:
        """Raise UsageError where the model has no style codes, which a choice needs."""
        if not stylizer.card.has_codes and (self.auto or self.best_of > 1):
            raise UsageError(
                f"the model {stylizer.card.model!r} paints one collection, and has no style code to choose by; leave "
                "--auto and --best-of out"
            )

    def __bool__(self) -> bool:
        return self.auto or self.best_of > 1 or bool(self.gates)

    def asked(self, recipe: Recipe) -> dict[str, Any]:
        """Return everything that determines the selection: these options and the recipe's values that it may change."""
        selection = {
            "auto": self.auto,
            "keep": self.keep,
            "best_of": self.best_of,
            "gates": [str(g) for g in self.gates],
        }
        return {**selection, "strength": recipe.strength, "stroke": recipe.stroke, "seed": recipe.seed}


@dataclass(frozen=True)
class ScoredPainting:
    """A painting and its score; lower is better.

    Attributes:
        strength, seed: the strength and the seed that it was painted with.
        score: cost of the painting (`guide.Trial.cost`) plus a penalty for visible artefacts.
        defects: value of each detector, by name.
    """

    strength: float
    seed: int
    score: float
    defects: Mapping[str, float]


def paint_selected(
    stylizer: Stylizer,
    photo: Photo,
    styles: Sequence[Style],
    recipe: Recipe,
    selection: SelectionOptions,
    paint: Callable[[Recipe, Progress | None], Photo],
    name: str = "the photo",
    progress: Progress | None = None,
) -> tuple[Photo, Recipe]:
    """Paint a picture with the selection options, and return it with the recipe that makes it again without them.

    Args:
        stylizer: measures trials and paintings.
        photo: to paint.
        styles: one for each region.
        recipe: with the values from which the selection starts.
        selection: the choices that are left to Sfumato.
        paint: paints the photo by a recipe and reports its progress.
        name: the photo's name in error messages.
        progress: of the whole work, as `Stylizer` takes it.

    Raises:
        QualityError: no painting passed the gates.
        UsageError: strength and stroke are to be chosen for several regions, or for a model without style codes.
    """
    guidance: dict[str, Any] = {"asked": selection.asked(recipe)}
    selection.check(stylizer)
    if selection.auto:
        if len(styles) != 1 or recipe.masks:
            raise UsageError("strength and stroke are chosen for one style over the whole picture; leave the masks out")
        choosing, progress = portion(progress, 0, CHOOSING), portion(progress, CHOOSING, 1)
        choice = choose(stylizer, photo, styles[0], selection.keep, recipe.color, choosing)
        recipe = replace(recipe, strength=choice.strength, stroke=choice.stroke)
        guidance |= {
            "why": choice.why,
            "content_kept": round(choice.content_kept, 4),
            "trials": [asdict(trial) for trial in choice.trials],
        }
    if selection.best_of == 1 and not selection.gates:
        return paint(recipe, progress), replace(recipe, guidance=guidance)

    scorer = _Scorer(stylizer, photo, styles[0] if styles else None)
    scored: list[ScoredPainting] = []
    best: tuple[ScoredPainting, Photo, Recipe] | None = None
    candidates = _candidates(recipe, selection)
    for number, each in enumerate(candidates):
        if best is not None and len(scored) >= selection.best_of:
            break
        painted = paint(each, portion(progress, number / len(candidates), (number + 1) / len(candidates)))
        candidate = scorer.score_painting(painted, each)
        scored.append(candidate)
        passed = all(candidate.defects.get(gate.name, 0.0) < gate.limit for gate in selection.gates)
        if passed and (best is None or candidate.score < best[0].score):
            best = candidate, painted, each
    guidance["candidates"] = [
        {**asdict(candidate), "defects": {gate.name: candidate.defects.get(gate.name) for gate in selection.gates}}
        for candidate in scored
    ]
    if best is None:
        raise QualityError(_refusal(name, selection, scored))
    candidate, painted, chosen = best
    guidance["measured"] = dict(candidate.defects)
    if selection.best_of > 1 or len(scored) > 1:
        reason = f"seed {chosen.seed} at strength {chosen.strength:g} is the best of {len(scored)} paintings"
        guidance["why"] = "; ".join(filter(None, [guidance.get("why"), reason]))
    return painted, replace(chosen, guidance=guidance)


def _candidates(recipe: Recipe, selection: SelectionOptions) -> list[Recipe]:
    """Return the recipes to try: the seeds of best-of, then weaker strengths in case no painting passes the gates."""
    seeds = [replace(recipe, seed=recipe.seed + i) for i in range(selection.best_of)]
    if not selection.gates:
        return seeds
    strengths = [round(recipe.strength * WEAKER**i, 3) for i in range(1, TRIES)]
    return [*seeds, *(replace(recipe, strength=strength) for strength in strengths)]


class _Scorer:
    """Scores finished paintings of one photo."""

    def __init__(self, stylizer: Stylizer, photo: Photo, style: Style | None) -> None:
        """Prepare to score paintings of ``photo``; without a style only defects count."""
        self.observer = None if style is None else Observer(stylizer, photo, style.code)
        self.photo = _reduced(photo)

    def score_painting(self, painted: Photo, recipe: Recipe) -> ScoredPainting:
        """Return the score of a painting that was made by ``recipe``."""
        defects = measure_defects(painted, self.photo)
        # One unit of artefacts above the visible threshold costs as much as a tenth of the distance to the style.
        marred = 0.1 * max(0.0, defects["artefacts"] - 1)
        cost = 0.0 if self.observer is None else self.observer.measure(painted, recipe.strength, recipe.stroke).cost
        return ScoredPainting(recipe.strength, recipe.seed, cost + marred, defects)


def measure_defects(painted: Photo | Picture, photo: Photo | Picture) -> dict[str, float]:
    """Return the value of every detector on a picture beside its photo; ``artefacts`` is the highest."""
    x, y = (_reduced(z) for z in (painted, photo))
    found = artefacts(x, y)
    values = {name: round(one.value, 4) for name, one in found.items()}
    return {**values, "artefacts": round(worst(found).value, 4)}


def _reduced(photo: Photo | Picture) -> Picture:
    """Return the picture, reduced to at most `SCORED_PIXELS`."""
    source = as_reader(photo)
    scale = min(1.0, float(np.sqrt(SCORED_PIXELS / (source.height * source.width))))
    return source.reduced(max(1, round(source.height * scale)), max(1, round(source.width * scale)))


def _refusal(name: str, selection: SelectionOptions, scored: Sequence[ScoredPainting]) -> str:
    """Return the message of the error that no painting passed the gates."""
    nearest = min(scored, key=lambda t: max(t.defects.get(g.name, 0.0) / max(g.limit, 1e-9) for g in selection.gates))
    worst_gate = max(selection.gates, key=lambda g: nearest.defects.get(g.name, 0.0) / max(g.limit, 1e-9))
    return (
        f"{name} did not pass the gate {worst_gate} in {len(scored)} paintings (the nearest, at strength "
        f"{nearest.strength:g}, has {worst_gate.name} {nearest.defects.get(worst_gate.name, 0.0):.2f}) and was not "
        "written; raise the limit, choose another style or a smaller --strength"
    )
