"""Rules: the known failures of GAN training, the signals that indicate them, and actions against them.

`RULES` is the table, the gravest failure first; a new rule is one entry. A rule judges an observation (the signals at a
step) as bad if one of its clauses holds, as good if every clause is past its `healed` limit, and as neither in between.
`monitor.py` accumulates these verdicts and chooses among the actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sfumato.training.signals import title

Action = Literal["skip_batch", "raise_augmentation", "raise_gamma", "lower_learning_rate", "roll_back", "stop"]
ACTIONS: tuple[Action, ...] = (
    "skip_batch",
    "raise_augmentation",
    "raise_gamma",
    "lower_learning_rate",
    "roll_back",
    "stop",
)
#: A clause in the past tense for each action.
ACTION_SAYS: dict[Action, str] = {
    "skip_batch": "this batch was left out",
    "raise_augmentation": "the discriminator's pictures were augmented more often",
    "raise_gamma": "the discriminator's gradient penalty was doubled",
    "lower_learning_rate": "both learning rates were halved",
    "roll_back": "the run went back to its last healthy checkpoint",
    "stop": "training was stopped",
}

#: Number of observations over which the growth of the weights' norm is measured.
GROWTH_WINDOW = 5
_FALLS = 5  # number of consecutive falls of the diversity that `diversity_falls` needs


@dataclass(frozen=True)
class Bound:
    """A limit of a signal with hysteresis: bad beyond `limit`, good again only from `healed` on."""

    signal: str
    side: Literal["below", "above"]
    limit: float
    healed: float

    def holds(self, value: float) -> bool:
        """Return whether the value is bad."""
        return value < self.limit if self.side == "below" else value > self.limit

    def is_over(self, value: float) -> bool:
        """Return whether the value is good."""
        return value >= self.healed if self.side == "below" else value <= self.healed


def _below(signal: str, limit: float, healed: float) -> Bound:
    return Bound(signal, "below", limit, healed)


def _above(signal: str, limit: float, healed: float) -> Bound:
    return Bound(signal, "above", limit, healed)


@dataclass(frozen=True)
class Rule:
    """A known failure.

    Attributes:
        name: the name in the config and the log.
        title: a short title.
        sees: a sentence that describes the failure.
        tries: advice for the user.
        when: clauses, one of which suffices; all bounds of a clause must hold. A clause is skipped if one of its
            signals is missing, and the rule if all of its clauses are.
        min_evidence: evidence (bad observations minus good ones) at which a finding begins.
        mild: actions against it, in the order in which they are tried.
        grave: whether the run is rolled back, and at last stopped, if the mild actions fail.
        hides: rules whose findings this one explains.
        lenient: whether the threshold of evidence is doubled during the warm-up.
        urgent: whether every bad observation leads to an action; other rules wait for an action's effect.
    """

    name: str
    title: str
    sees: str
    tries: tuple[str, ...]
    when: tuple[tuple[Bound, ...], ...]
    min_evidence: int = 3
    mild: tuple[Action, ...] = ()
    grave: bool = False
    hides: tuple[str, ...] = ()
    lenient: bool = True
    urgent: bool = False

    def judge(self, values: Mapping[str, float]) -> int | None:
        """Return 1 for a bad observation, -1 for a good one, 0 in between, None if every clause lacks a signal."""
        clauses = [clause for clause in self.when if all(bound.signal in values for bound in clause)]
        if not clauses:
            return None
        if any(all(bound.holds(values[bound.signal]) for bound in clause) for clause in clauses):
            return 1
        over = all(any(bound.is_over(values[bound.signal]) for bound in clause) for clause in clauses)
        return -1 if over else 0

    def numbers(self, values: Mapping[str, float]) -> str:
        """Return the signals of the first clause that holds as text: "Diversity of outputs 0.02"."""
        for clause in self.when:
            if all(bound.signal in values and bound.holds(values[bound.signal]) for bound in clause):
                return ", ".join(f"{title(bound.signal)} {values[bound.signal]:.3g}" for bound in clause)
        return ""


#: The gravest first: of several findings, the first one is acted on.
RULES: tuple[Rule, ...] = (
    Rule(
        "not_finite",
        "Numbers overflowed",
        "A loss, a gradient or a picture has values that are not finite.",
        (
            "lower learning_rate",
            "train with mixed_precision=no",
            "check whether a training picture is damaged or has a single colour",
        ),
        ((_above("not_finite", 0.5, 0.5),), (_above("broken", 0.0, 0.0),)),
        min_evidence=1,
        mild=("skip_batch",) * 3,
        grave=True,
        lenient=False,
        urgent=True,
    ),
    Rule(
        "divergence",
        "Training diverges",
        "Losses or gradients are more than 50 times their usual size.",
        ("lower learning_rate (it may be 10 or 100 times too high)", "lengthen warmup", "lower clip"),
        tuple(
            (_above(f"{name}_rise", 50.0, 20.0),) for name in ("loss", "generator_gradient", "discriminator_gradient")
        ),
        min_evidence=2,
        mild=("lower_learning_rate",),
        grave=True,
        hides=("steps_too_large",),
    ),
    # With normalised layers and bounded losses, no loss diverges even at a learning rate 100 times too high.
    Rule(
        "steps_too_large",
        "Steps are too large",
        f"The norm of the generator's weights has grown by more than half within {GROWTH_WINDOW} observations: "
        "earlier learning is lost.",
        ("lower learning_rate (it may be 10 or 100 times too high)", "lengthen warmup"),
        ((_above("weight_size_growth", 1.5, 1.2),),),
        min_evidence=2,
        lenient=False,
        mild=("lower_learning_rate", "lower_learning_rate"),
        grave=True,
    ),
    Rule(
        "constant_output",
        "One picture for everything",
        "The generator paints nearly the same picture for all inputs (mode collapse).",
        (
            "more pictures to train on",
            "a lower learning rate",
            "a higher gradient penalty of the discriminator",
            "a lower adversarial weight",
        ),
        ((_below("variety", 0.08, 0.12),),),
        mild=("raise_gamma",),
        grave=True,
        hides=("ignores_the_photo", "one_style", "low_diversity", "diversity_falls"),
    ),
    Rule(
        "ignores_the_photo",
        "The photo is ignored",
        "The output does not depend on the photo.",
        ("a higher weights.content", "a higher identity_samples", "a lower adversarial weight"),
        (
            (_below("diversity", 0.08, 0.12),),
            (_below("recognition", 0.7, 0.8), _below("dependence", 0.5, 0.6)),
        ),
        mild=("raise_gamma",),
        grave=True,
        hides=("low_diversity", "diversity_falls"),
    ),
    Rule(
        "one_style",
        "One style for all",
        "All styles give nearly the same output.",
        ("a higher weights.statistics or weights.gram", "paintings that differ more", "a lower learning rate"),
        ((_below("style_sensitivity", 0.04, 0.07),),),
        mild=("raise_gamma",),
        grave=True,
    ),
    Rule(
        "dead_discriminator",
        "The discriminator is dead",
        "The discriminator gives the same answer for all pictures, so the generator learns nothing from it.",
        ("a lower discriminator_learning_rate", "a lower gradient penalty", "start anew with another seed"),
        (
            (_above("accuracy", 0.4, 0.35), _below("accuracy", 0.6, 0.65), _below("logit_variance", 1e-6, 1e-5)),
            (
                _above("accuracy", 0.4, 0.35),
                _below("accuracy", 0.6, 0.65),
                _below("discriminator_gradient", 1e-7, 1e-6),
            ),
        ),
        min_evidence=5,
        mild=("lower_learning_rate",),
        grave=True,
    ),
    Rule(
        "discriminator_wins",
        "The discriminator has won",
        "The discriminator is always right, and the generator's gradient from it has nearly vanished.",
        (
            "a higher gradient penalty",
            "a lower discriminator_learning_rate",
            "augmentation of the discriminator's pictures",
        ),
        (
            (
                _above("real_accuracy", 0.95, 0.9),
                _above("fake_accuracy", 0.95, 0.9),
                _below("adversarial_gradient_left", 0.25, 1.0),  # noisy: it may change tenfold between observations
            ),
        ),
        min_evidence=10,
        mild=("raise_gamma", "raise_augmentation"),
        grave=True,
        hides=("overfitting",),
    ),
    Rule(
        "overfitting",
        "Too few pictures",
        "The discriminator has memorised the training pictures (overfitting).",
        (
            "more pictures: at least 50 to 200 for a style",
            "augmentation of the discriminator's pictures",
            "a shorter training",
        ),
        ((_above("sign_balance", 0.8, 0.7),),),
        min_evidence=8,
        mild=("raise_augmentation", "raise_augmentation", "raise_augmentation", "raise_gamma"),
    ),
    Rule(
        "colour_inversion",
        "Inverted colours",
        "Light and dark are swapped compared with the photo.",
        (
            "a higher identity_samples",
            "a higher weights.content",
            "another seed; early in training it may end by itself",
        ),
        ((_above("colour_inversion", 2.0, 1.5),),),
        mild=("lower_learning_rate",),
    ),
    Rule(
        "identity_output",
        "Nothing changes",
        "Outputs are nearly identical to the photos.",
        ("higher style weights", "a lower weights.content", "a lower identity_samples", "more steps"),
        ((_below("change", 0.06, 0.09),),),
        hides=("one_style",),
    ),
    Rule(
        "checkerboard",
        "Checkerboard",
        "Outputs have a grid with a period of 2 or 4 pixels.",
        ("more steps: early grids often disappear", "a lower learning rate", "a lower adversarial weight"),
        ((_above("checkerboard", 2.0, 1.5),),),
        mild=("lower_learning_rate",),
    ),
    Rule(
        "blobs",
        "Blobs",
        "Most outputs have round spots.",
        ("a higher gradient penalty: a too strong discriminator causes them", "a lower adversarial weight"),
        ((_above("blobs", 2.0, 1.5),),),
        mild=("raise_gamma",),
    ),
    Rule(
        "low_diversity",
        "Outputs are alike",
        "Outputs differ much less than the photos do: mode collapse may follow.",
        ("more pictures to train on", "a lower adversarial weight", "a lower learning rate"),
        ((_below("diversity", 0.3, 0.36),), (_below("rank", 0.22, 0.3),)),
        mild=("raise_gamma",),
    ),
    Rule(
        "diversity_falls",
        "Diversity is falling",
        f"Outputs have become more alike at {_FALLS} observations in a row.",
        ("wait, and check the samples", "a lower adversarial weight"),
        ((_above("diversity_falls", _FALLS - 0.5, 0.5), _below("diversity", 0.45, 0.5)),),
        min_evidence=1,
    ),
)
BY_NAME = {rule.name: rule for rule in RULES}
