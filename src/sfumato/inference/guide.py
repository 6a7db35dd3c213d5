"""Guidance: the choice of strength and stroke for a photo and a style, from measurements of small trial paintings.

All measurements are made on a small copy of the photo with the style encoder of the model; nothing here needs torch.

* *content* measures how far the shapes are from the photo's: the distance of instance-normalised features (relu3_1 of
  VGG19), 0 for the photo itself, 2 for an unrelated picture.
* *style* measures how far the picture still is from the style, relative to the photo: 1 for the photo, 0 for the style.
  It is the mean of two distances: of palette, contrast and tones, which a style code contains; and of texture, the
  means and deviations of the style encoder's features (Huang & Belongie 2017). For style codes without such channel
  statistics, the learnt part of the code stands in.

The choice minimises ``style + PRICE · content``. One price for every photo and style gives, over many pictures, the
most style for the content that is given up: a style that costs little content is applied in full, one that costs much
is applied weaker. ``keep`` adds a bound: how much of the content that would be lost at full strength must stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sfumato.checks import check_range
from sfumato.image import Photo, Picture
from sfumato.inference.options import Color
from sfumato.inference.progress import Progress
from sfumato.inference.style import Style
from sfumato.inference.style_distance import small_copy, style_distance
from sfumato.inference.stylizer import Stylizer
from sfumato.quality.similarity import content_distance
from sfumato.style_code import StyleCode

MAX_TRIALS = 8  # including the photo itself
PRICE = 0.1  # units of style per unit of content
STROKES = (1.0, 0.7, 0.5, 1.5)  # strokes that are tried
_FINE = np.linspace(0.0, 1.0, 101)  # strengths from which the best is chosen


@dataclass(frozen=True)
class Trial:
    """One small painting: its strength and stroke, and its measured content and style distances.

    Content is 0 for the photo, and at most about 2. Style is 0 for the style, and 1 for the photo.
    """

    strength: float
    stroke: float
    content: float
    style: float

    @property
    def cost(self) -> float:
        """The value that the choice minimises."""
        return self.style + PRICE * self.content


@dataclass(frozen=True)
class Choice:
    """The strength and stroke that were chosen.

    Attributes:
        strength, stroke: to paint with.
        content_kept: share of the content lost at full strength that this choice keeps: 0 at full strength, 1 for the
            photo itself.
        trials: in order, beginning with the photo itself.
        why: the reason, as one sentence.
    """

    strength: float
    stroke: float
    content_kept: float
    trials: tuple[Trial, ...]
    why: str


def choose(
    stylizer: Stylizer,
    photo: Photo | Picture,
    style: Style,
    keep: float | None = None,
    color: Color = "style",
    progress: Progress | None = None,
) -> Choice:
    """Choose strength and stroke for a photo and a style, with at most `MAX_TRIALS` trials.

    Args:
        stylizer: paints the trials.
        photo: ``(1, 3, H, W)`` in ``[0, 1]``, or a photo read from a file.
        style: to paint in.
        keep: minimum share, from 0 to 1, of the content lost at full strength that must stay; ``None``: no bound.
        color: as `Stylizer` takes it.
        progress: is called before each trial, as by `Stylizer`; an exception that it raises cancels.

    Raises:
        UsageError: ``keep`` is outside [0, 1].
    """
    if keep is not None:
        check_range(keep, 0.0, 1.0, "keep")
    search = _Search(stylizer, photo, style, color, progress)
    full = search.try_at(1.0, 1.0)
    bound = np.inf if keep is None else (1 - keep) * full.content
    for stroke in STROKES[1:] if keep is None else STROKES[1:2]:  # meeting a bound takes more trials of strength
        search.try_at(1.0, stroke)
    stroke = min(search.trials[1:], key=lambda trial: search.cost_within(trial, bound)).stroke
    while len(search.trials) < MAX_TRIALS:
        along = search.along(stroke)
        strength = 0.6 if len(along) == 2 and keep is None else _best_strength(along, bound)
        near = [trial for trial in along if abs(trial.strength - strength) <= (0.02 if keep is None else 0.005)]
        if any(trial.content > bound for trial in near):
            strength *= 0.9  # a trial nearby is above the bound
        elif near:
            break
        search.try_at(strength, stroke)
    within = [
        trial for trial in search.trials if trial.content <= bound * 1.03 + 1e-6
    ]  # the photo is always among them
    return search.choice(min(within, key=lambda trial: trial.cost), full, keep)


class Observer:
    """Measures how far paintings of one photo are from the photo and from the style.

    Attributes:
        small: ``(1, 3, h, w)``, the photo's copy that is measured, `style_distance.SHORT_SIDE` pixels on its short
            side.
        own: the photo's style code.
    """

    def __init__(self, stylizer: Stylizer, photo: Photo | Picture, target: StyleCode) -> None:
        self.stylizer, self.target = stylizer, target
        self.small = small_copy(photo)
        self.own, self._features = stylizer.encode_full(self.small)

    def measure(self, painted: Photo | Picture, strength: float, stroke: float) -> Trial:
        """Return the content and style distances of a painting of any size; strength and stroke are only recorded."""
        code, features = self.stylizer.encode_full(small_copy(painted))
        content = content_distance(features, self._features)
        return Trial(strength, stroke, content, style_distance(code, self.target, self.own))


class _Search:
    """Paints small trials of one photo in one style."""

    def __init__(
        self, stylizer: Stylizer, photo: Photo | Picture, style: Style, color: Color, progress: Progress | None
    ) -> None:
        self.progress = progress
        self.observer = Observer(stylizer, photo, style.code)
        self.stylizer, self.style, self.color = stylizer, style, color
        self.trials = [Trial(0.0, 1.0, 0.0, 1.0)]

    def try_at(self, strength: float, stroke: float) -> Trial:
        """Paint and measure a trial."""
        if self.progress is not None:
            self.progress((len(self.trials) - 1) / MAX_TRIALS, f"strength and stroke, trial {len(self.trials)}")
        # Fused here, because the photo's code has been computed already.
        code = self.stylizer.fuse(self.observer.own, self.style.code, strength, self.color)
        color: Color = "luminance" if self.color == "luminance" else "style"
        style = Style(self.style.name, code)
        painted = self.stylizer(self.observer.small, style, stroke=stroke, color=color)
        self.trials.append(self.observer.measure(painted, strength, stroke))
        return self.trials[-1]

    def along(self, stroke: float) -> list[Trial]:
        """Return the trials with that stroke by strength, beginning with the photo itself, which all strokes share."""
        chosen = [trial for trial in self.trials if trial.stroke == stroke or not trial.strength]
        return sorted(chosen, key=lambda trial: trial.strength)

    def cost_within(self, full: Trial, bound: float) -> float:
        """Return the estimated cost of a stroke within the bound, from its trial at full strength.

        Beyond the bound, content and style are interpolated linearly between the photo and full strength.
        """
        if full.content <= bound:
            return full.cost
        share = bound / full.content
        return 1 - share * (1 - full.style) + PRICE * bound

    def choice(self, best: Trial, full: Trial, keep: float | None) -> Choice:
        """Return the choice of the trial ``best``; ``full`` is the trial at full strength."""
        content_kept = float(np.clip(1 - best.content / max(full.content, 1e-6), 0, 1))
        style_share = float(np.clip(1 - best.style, 0, 1))
        why = _reason(round(best.strength, 3), best.stroke, style_share, content_kept, keep)
        return Choice(round(best.strength, 3), best.stroke, content_kept, tuple(self.trials), why)


def _reason(strength: float, stroke: float, style_share: float, content_kept: float, keep: float | None) -> str:
    """Return the reason for a choice as a sentence for users, with the options that paint the picture again."""
    options = f"(--strength {strength:g} --stroke {stroke:g})"
    if not strength:
        return f"the photo stays as it is {options}, since all of its shapes are to be kept"
    strokes = {0.5: "fine strokes", 0.7: "rather fine strokes", 1.5: "broad strokes"}.get(
        stroke, "strokes of the usual size"
    )
    how = "in full" if strength > 0.97 else f"at {_share(strength)} of full strength"
    shapes = "shapes change as far as the style takes them"
    if content_kept >= 0.05:
        shapes = f"{_share(content_kept)} of the change in shapes at full strength is held back"
    bound = "" if keep is None else f" ({keep:.0%} was asked for)"
    return (
        f"painted {how} with {strokes} {options}: colours and texture come {_share(style_share)} of the way to the "
        f"style's, and {shapes}{bound}"
    )


def _share(share: float) -> str:
    """Return a share in words, as in "about a third"."""
    words = (
        "hardly any", "about a tenth", "about a quarter", "about a third", "about half", "about two thirds",
        "about three quarters", "nearly all", "all",
    )  # fmt: skip
    at = (0.0, 0.1, 0.25, 1 / 3, 0.5, 2 / 3, 0.75, 0.92, 1.0)
    return words[int(np.argmin(np.abs(np.array(at) - share)))]


def _best_strength(trials: Sequence[Trial], bound: float) -> float:
    """Return the strength with the lowest cost within the bound, from polynomials fitted to the trials."""
    strengths = np.array([trial.strength for trial in trials])
    degree = min(len(trials) - 1, 3)
    content, style = (
        np.polyval(np.polyfit(strengths, [getattr(trial, what) for trial in trials], degree), _FINE)
        for what in ("content", "style")
    )
    cost = np.where(_strength_at(trials, bound) + 1e-9 >= _FINE, style + PRICE * content, np.inf)
    return float(_FINE[int(np.argmin(cost))])


def _strength_at(trials: Sequence[Trial], bound: float) -> float:
    """Return the strength at which content reaches the bound: between the last trial below and the first above."""
    inside = [trial for trial in trials if trial.content <= bound][-1]
    over = [trial for trial in trials if trial.strength > inside.strength]
    if not over:
        return 1.0
    first = over[0]
    if inside.strength == 0 and len(over) > 1 and over[1].content > first.content:
        # Content rises ever more slowly from the photo on, so a line would underestimate; a power law fits.
        power = np.log(over[1].content / first.content) / np.log(over[1].strength / first.strength)
        return float(first.strength * (bound / first.content) ** (1 / max(power, 0.2)))
    share = (bound - inside.content) / max(first.content - inside.content, 1e-9)
    return inside.strength + min(share, 1.0) * (first.strength - inside.strength)
