"""Guidance: the measure steers. Which strength and stroke suit this photo and this style?

Everything is looked at on a small copy of the photo, through the style encoder that ships with the model; no torch.

* *content* is how far shapes are from the photo's: distance of instance-normalised features (relu3_1 of VGG19), 0 for
  the photo itself, 2 for something unrelated.
* *style* is how far the picture still is from the style, in terms of how far the photo was: 1 for the photo, 0 for the
  style. Two things count alike: palette, contrast and tones, which a style code measures; and texture, the means and
  deviations of the style encoder's features (Huang & Belongie 2017). Style files from before this version have no such
  ``trial``: there the learnt part of their code stands in for it.

What is sought has the least ``style + PRICE · content``. It is one price for every photo and style, and not one content
distance: where a style comes cheap it is taken whole, where it would cost much of the photo less of it is. That is how,
over many pictures, the most style is had for the content given up. ``keep`` is a bound besides: how much of the content
that the full style would lose must stay.
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

MAX_TRIALS = 8  # at most, the one at the photo among them
PRICE = 0.1  # of content in style
STROKES = (1.0, 0.7, 0.5, 1.5)
_FINE = np.linspace(0.0, 1.0, 101)  # strengths among which it is chosen


@dataclass(frozen=True)
class Trial:
    """One small painting: what was set, and what was seen."""

    strength: float
    stroke: float
    content: float
    style: float

    @property
    def cost(self) -> float:
        """What is to be least."""
        return self.style + PRICE * self.content


@dataclass(frozen=True)
class Choice:
    """What guidance settled on.

    Attributes:
        strength, stroke: to paint with.
        content_kept: share of the content that the full style would lose which this keeps: 0 for the full style, 1 for
            the photo.
        trials: at what, in order, the photo itself first.
        why: one sentence.
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
    """Strength and stroke for this photo and style, in at most `MAX_TRIALS` trials.

    Args:
        photo: ``(1, 3, H, W)``, or a photo as read from a file.
        keep: from 0 to 1: no more content may be lost than ``1 - keep`` of what the full style would lose. ``None``
            sets no bound.
        color: as `Stylizer` takes it.
        progress: is called before each look, as by `Stylizer`; an exception that it raises cancels.

    Raises:
        UsageError: ``keep`` lies outside [0, 1].
    """
    if keep is not None:
        check_range(keep, 0.0, 1.0, "keep")
    search = _Search(stylizer, photo, style, color, progress)
    full = search.try_at(1.0, 1.0)
    bound = np.inf if keep is None else (1 - keep) * full.content
    for stroke in STROKES[1:] if keep is None else STROKES[1:2]:  # a bound takes more trials to be met
        search.try_at(1.0, stroke)
    stroke = min(search.trials[1:], key=lambda trial: search.cost_within(trial, bound)).stroke
    while len(search.trials) < MAX_TRIALS:
        along = search.along(stroke)
        strength = 0.6 if len(along) == 2 and keep is None else _best_strength(along, bound)
        near = [trial for trial in along if abs(trial.strength - strength) <= (0.02 if keep is None else 0.005)]
        if any(trial.content > bound for trial in near):
            strength *= 0.9  # just over the bound: a little less
        elif near:
            break
        search.try_at(strength, stroke)
    within = [
        trial for trial in search.trials if trial.content <= bound * 1.03 + 1e-6
    ]  # the photo is always among them
    return search.choice(min(within, key=lambda trial: trial.cost), full, keep)


class Observer:
    """Sees how far paintings of one photo are from it, and from the style.

    Attributes:
        small: ``(1, 3, h, w)``, `style_distance.SHORT_SIDE` pixels on its short side: the copy of the photo that is
            looked at.
        own: the photo's style code.
    """

    def __init__(self, stylizer: Stylizer, photo: Photo | Picture, target: StyleCode) -> None:
        self.stylizer, self.target = stylizer, target
        self.small = small_copy(photo)
        self.own, self._features = stylizer.encode_full(self.small)

    def measure(self, painted: Photo | Picture, strength: float, stroke: float) -> Trial:
        """At a painting that was made with that strength and stroke."""
        code, features = self.stylizer.encode_full(small_copy(painted))
        content = content_distance(features, self._features)
        return Trial(strength, stroke, content, style_distance(code, self.target, self.own))


class _Search:
    """Tries small paintings of one photo in one style."""

    def __init__(
        self, stylizer: Stylizer, photo: Photo | Picture, style: Style, color: Color, progress: Progress | None
    ) -> None:
        self.progress = progress
        self.observer = Observer(stylizer, photo, style.code)
        self.stylizer, self.style, self.color = stylizer, style, color
        self.trials = [Trial(0.0, 1.0, 0.0, 1.0)]

    def try_at(self, strength: float, stroke: float) -> Trial:
        if self.progress is not None:
            self.progress((len(self.trials) - 1) / MAX_TRIALS, f"strength and stroke, trial {len(self.trials)}")
        # Fused here, with the photo's code that is known already.
        code = self.stylizer.fuse(self.observer.own, self.style.code, strength, self.color)
        color: Color = "luminance" if self.color == "luminance" else "style"
        style = Style(self.style.name, code)
        painted = self.stylizer(self.observer.small, style, stroke=stroke, color=color)
        self.trials.append(self.observer.measure(painted, strength, stroke))
        return self.trials[-1]

    def along(self, stroke: float) -> list[Trial]:
        """The trials with that stroke by strength, from the photo itself, which every stroke shares."""
        chosen = [trial for trial in self.trials if trial.stroke == stroke or not trial.strength]
        return sorted(chosen, key=lambda trial: trial.strength)

    def cost_within(self, full: Trial, bound: float) -> float:
        """What a stroke costs, seen at its full strength: within the bound as it stands; beyond, at the strength that
        keeps the bound if content and style went there in straight lines."""
        if full.content <= bound:
            return full.cost
        share = bound / full.content
        return 1 - share * (1 - full.style) + PRICE * bound

    def choice(self, best: Trial, full: Trial, keep: float | None) -> Choice:
        content_kept = float(np.clip(1 - best.content / max(full.content, 1e-6), 0, 1))
        way = float(np.clip(1 - best.style, 0, 1))
        why = _in_words(round(best.strength, 3), best.stroke, way, content_kept, keep)
        return Choice(round(best.strength, 3), best.stroke, content_kept, tuple(self.trials), why)


def _in_words(strength: float, stroke: float, way: float, content_kept: float, keep: float | None) -> str:
    """A choice as one would tell it to whom the picture is for, with the options that make it again."""
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
        f"painted {how} with {strokes} {options}: colours and texture come {_share(way)} of the way to the style's, "
        "and "
        f"{shapes}{bound}"
    )


def _share(share: float) -> str:
    """As in "about a third"."""
    words = (
        "hardly any", "about a tenth", "about a quarter", "about a third", "about half", "about two thirds",
        "about three quarters", "nearly all", "all",
    )  # fmt: skip
    at = (0.0, 0.1, 0.25, 1 / 3, 0.5, 2 / 3, 0.75, 0.92, 1.0)
    return words[int(np.argmin(np.abs(np.array(at) - share)))]


def _best_strength(trials: Sequence[Trial], bound: float) -> float:
    """The strength of least cost within the bound, by curves through the trials."""
    strengths = np.array([trial.strength for trial in trials])
    degree = min(len(trials) - 1, 3)
    content, style = (
        np.polyval(np.polyfit(strengths, [getattr(trial, what) for trial in trials], degree), _FINE)
        for what in ("content", "style")
    )
    cost = np.where(_strength_at(trials, bound) + 1e-9 >= _FINE, style + PRICE * content, np.inf)
    return float(_FINE[int(np.argmin(cost))])


def _strength_at(trials: Sequence[Trial], bound: float) -> float:
    """Where content would reach the bound, between the last trial within it and the first one over it."""
    inside = [trial for trial in trials if trial.content <= bound][-1]
    over = [trial for trial in trials if trial.strength > inside.strength]
    if not over:
        return 1.0
    first = over[0]
    if inside.strength == 0 and len(over) > 1 and over[1].content > first.content:
        # Content rises ever slower from the photo on, and a line from there would fall short again and again.
        power = np.log(over[1].content / first.content) / np.log(over[1].strength / first.strength)
        return float(first.strength * (bound / first.content) ** (1 / max(power, 0.2)))
    share = (bound - inside.content) / max(first.content - inside.content, 1e-9)
    return inside.strength + min(share, 1.0) * (first.strength - inside.strength)
