"""The weight of content, steered to a content distance that is asked for instead of being tuned by hand."""

from __future__ import annotations

import math

#: The weight changes by this factor at most from one validation to the next.
RATE = 2.0
#: And stays within this factor of the one that the run began with.
RANGE = 20.0


def next_weight(weight: float, measured: float, target: float, start: float, gain: float) -> float:
    """The content weight until the next validation: integral control of the logarithm of the weight w,

        log w ← log w + clip(gain·(measured - target)/target, ±log RATE),   w within [start/RANGE, start·RANGE].

    *Sign.* A larger weight makes the model keep more of the photo, which lowers the content distance. So too large a
    distance raises the weight, and too small a one lowers it, in favour of style.

    *Integral.* The weight stands still only where measured = target: a steady error cannot remain, whatever the other
    terms ask for. (A proportional law would need the very weight in advance that it is to find.)

    *Logarithm, relative error.* A weight is positive, and what counts is its ratio to the others; a gain fits any
    target.

    *Gain.* The model takes time to follow the weight. Where after each validation a share a of the way is still to go,
    and the distance has the elasticity s = -d log(distance)/d log(w), the loop is stable for gain·s < 2 whatever a is,
    and does not swing for gain·s ≤ (1 - √a)/(1 + √a). On the small model of the tests s was 0.1 to 0.2: a gain of 0.5
    makes 0.05 to 0.1, which suits a up to 0.65.

    *Bounds.* `RATE` keeps one odd figure from doing harm. `RANGE` keeps a target that cannot be met from driving the
    weight so far that it takes as long to come back (wind-up), and the run from being about content alone, or not at
    all.

    It follows GECO (Rezende & Viola 2018, "Taming VAEs", algorithm 1): training under a constraint, whose Lagrange
    multiplier is multiplied by exp(const·violation). There the constraint is an inequality judged on each batch; here
    it is an equality judged on pictures that training never sees.

    Args:
        weight: the weight in use.
        measured: content distance at the last validation.
        target: content distance asked for, above 0.
        start: the config's `weights.content`, above 0.
        gain: above 0.
    """
    step = min(max(gain * (measured - target) / target, -math.log(RATE)), math.log(RATE))
    return min(max(weight * math.exp(step), start / RANGE), start * RANGE)
