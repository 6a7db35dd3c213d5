"""A controller that adapts the content weight until the content distance reaches a target."""

from __future__ import annotations

import math

#: Largest factor by which the weight changes from one validation to the next.
RATE = 2.0
#: Largest factor by which the weight differs from its initial value.
RANGE = 20.0


def next_weight(weight: float, measured: float, target: float, start: float, gain: float) -> float:
    """Return the content weight until the next validation, by integral control.

    The control law for the logarithm of the weight w is

        log w ← log w + clip(gain·(measured - target)/target, ±log RATE),   w within [start/RANGE, start·RANGE].

    *Sign.* A larger weight makes the model preserve more of the photo, which lowers the content distance. So a distance
    above the target raises the weight; one below it lowers the weight, in favour of style.

    *Integral.* The weight is constant only for measured = target, so no steady error can remain, whatever the other
    terms are. (A proportional law would need to know the right weight in advance.)

    *Logarithm, relative error.* The weight must be positive, and its ratio to the other weights matters; with relative
    errors the same gain fits any target.

    *Gain.* The model follows the weight slowly. If a share a of the change is still to come after each validation, and
    the distance has the elasticity s = -d log(distance)/d log(w), the loop is stable for gain·s < 2 with any a, and
    does not oscillate for gain·s ≤ (1 - √a)/(1 + √a). For the small model of the tests s was 0.1 to 0.2: a gain of 0.5
    gives 0.05 to 0.1, which suits a up to 0.65.

    *Bounds.* `RATE` limits the effect of one outlier. `RANGE` prevents wind-up: an unreachable target would drive the
    weight so far that it takes as long to return. It also keeps the run from training on content alone or not at all.

    The law follows GECO (Rezende & Viola 2018, "Taming VAEs", algorithm 1): training under a constraint, whose Lagrange
    multiplier is multiplied by exp(const·violation). There the constraint is an inequality evaluated on each batch;
    here it is an equality evaluated on validation pictures.

    Args:
        weight: the current weight.
        measured: content distance at the last validation.
        target: content distance to reach, above 0.
        start: the config's `weights.content`, above 0.
        gain: above 0.
    """
    step = min(max(gain * (measured - target) / target, -math.log(RATE)), math.log(RATE))
    return min(max(weight * math.exp(step), start / RANGE), start * RANGE)
