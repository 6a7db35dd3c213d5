from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sfumato.errors import UsageError
from sfumato.inference import Style, Stylizer, guide
from sfumato.inference.guide import MAX_TRIALS, Trial, choose
from sfumato.inference.style_distance import SHORT_SIDE, small_copy, style_distance
from support import NETWORK32, scene


@pytest.fixture(scope="module")
def free(stylizer: Stylizer, style: Style) -> Any:
    return choose(stylizer, scene(120, 150), style)


def test_a_choice_is_the_best_of_what_was_looked_at(free: Any) -> None:
    assert 2 <= len(free.trials) <= MAX_TRIALS
    assert (free.trials[0].strength, free.trials[0].content, free.trials[0].style) == (0, 0, 1)
    best = min(free.trials, key=lambda trial: trial.style + guide.PRICE * trial.content)
    assert (free.strength, free.stroke) == (pytest.approx(best.strength, abs=1e-3), best.stroke)
    assert f"(--strength {free.strength:g} --stroke {free.stroke:g})" in free.why
    assert len({(trial.strength, trial.stroke) for trial in free.trials}) == len(free.trials)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_so_much_of_the_content_is_kept_as_was_asked_for(
    stylizer: Stylizer, style: Style, free: Any, keep: float
) -> None:
    photo = scene(120, 150)
    choice = choose(stylizer, photo, style, keep)
    assert len(choice.trials) <= MAX_TRIALS
    assert keep - 0.04 <= choice.content_kept <= 1
    assert choice.strength <= 1
    assert f"({keep:.0%} was asked for)" in choice.why
    # The picture itself, not only the small copy's looks, keeps more where more was asked for.
    painted = stylizer(photo, style, choice.strength, stroke=choice.stroke)
    assert np.abs(painted - photo).mean() < np.abs(stylizer(photo, style, 1.0) - photo).mean() + 1e-3


def test_all_kept_is_the_photo_and_none_is_no_bound(stylizer: Stylizer, style: Style) -> None:
    photo = scene(120, 150)
    assert choose(stylizer, photo, style, 1.0).strength == 0
    assert choose(stylizer, photo, style, 0.0).content_kept < 0.2
    with pytest.raises(UsageError, match="keep"):
        choose(stylizer, photo, style, 1.5)


def test_the_same_photo_gives_the_same_choice(stylizer: Stylizer, style: Style, free: Any) -> None:
    assert choose(stylizer, scene(120, 150), style) == free


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ((0.62, 1.5, 0.7, 0.35, None), ("at about two thirds of full strength with broad", "about a third of the")),
        ((1.0, 1.0, 0.96, 0.0, None), ("painted in full with strokes of the usual size", "as far as the style takes")),
        ((0.4, 0.5, 0.5, 0.74, 0.7), ("with fine strokes", "about three quarters of the", "(70% was asked for)")),
        ((0.0, 1.0, 0.0, 1.0, 1.0), ("the photo stays as it is (--strength 0 --stroke 1)",)),
    ],
)
def test_a_choice_is_told_in_words(choice: Any, words: Any) -> None:
    message = guide._reason(*choice)
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_style_distance_is_one_at_the_photo_and_none_at_the_style(stylizer: Stylizer, style: Style) -> None:
    own = stylizer.encode(scene(120, 150))
    assert style_distance(own, style.code, own) == pytest.approx(1)
    assert style_distance(style.code, style.code, own) == 0
    halfway = own.fuse(style.code, 0.5)
    assert style_distance(halfway, style.code, own) == pytest.approx(0.25, rel=NETWORK32)
    assert np.isfinite(style_distance(own, own, own))  # a photo that is in the style already


@pytest.mark.parametrize("power", [0.3, 0.6, 1.0, 1.6])
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.8])
def test_the_bound_is_found_on_curves_of_many_shapes(power: float, keep: float) -> None:
    """Content as strength to a power, style falling ever slower: simulated, so that the best strength is known."""
    trials, bound = [Trial(0, 1, 0, 1), Trial(1, 1, 1, 0.1)], 1 - keep
    for _ in range(MAX_TRIALS - 4):
        strength = guide._best_strength(trials, bound)
        if any(abs(trial.strength - strength) <= 0.02 for trial in trials):
            break
        trials.append(Trial(strength, 1, strength**power, 0.1 + 0.9 * (1 - strength) ** 2))
        trials.sort(key=lambda trial: trial.strength)
    best = max(trial.strength for trial in trials if trial.content <= 1.03 * bound)
    assert best == pytest.approx(bound ** (1 / power), abs=0.05)


def test_a_strip_and_a_small_photo_are_looked_at_too(stylizer: Stylizer, style: Style) -> None:
    assert small_copy(scene(400, 900)).shape == (1, 3, SHORT_SIDE, 432)
    for size in ((16, 200), (40, 24)):
        assert 0 <= choose(stylizer, scene(*size), style).strength <= 1
