"""The monitor's state: findings, decisions, the progress of each rule, and the effects of decisions.

All of it is numbers and text. Checkpoints store it as `MonitorState`, so that a resumed run decides as an unbroken one.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, NonNegativeInt, PositiveInt

from sfumato.config import Config
from sfumato.training.rules import BY_NAME, Action


class Finding(Config):
    """A failure of training that a rule detected.

    Attributes:
        rule: name of the rule.
        since: step of the first bad observation that led to it.
        detected: step at which the evidence was sufficient.
        last: step of the last bad observation.
        ended: step at which it ended; None if it has not.
        signals: text of the signals of the clause that held at the last bad observation.
    """

    rule: str
    since: NonNegativeInt
    detected: NonNegativeInt
    last: NonNegativeInt
    ended: NonNegativeInt | None = None
    signals: str = ""


class Decision(Config):
    """A decision to act on a finding.

    Attributes:
        step: step at which it was made.
        rule: name of the finding's rule.
        actions: actions that are carried out together.
        attempt: number of this decision on the finding, from 1; a finding that soon recurs continues the count.
        healthy_step: `roll_back` restores the newest checkpoint up to this step. None without `roll_back`.
        reason: sentences that give the reason; for a stop, the verdict.
    """

    step: NonNegativeInt
    rule: str
    actions: tuple[Action, ...]
    attempt: PositiveInt
    healthy_step: NonNegativeInt | None = None
    reason: str


class RuleProgress(Config):
    """The evidence for one rule, and the decisions on it so far.

    Attributes:
        observations: number of observations that the rule could judge since the phase began.
        evidence: bad observations minus good ones, from 0 to the threshold of a finding.
        first: step of the first bad observation of the evidence.
        good: step of the last observation with an evidence of 0.
        attempts: number of decisions so far.
        answered: step of the last decision.
        waited: observations since the last decision.
        quiet: good observations in a row.
    """

    observations: NonNegativeInt = 0
    evidence: NonNegativeInt = 0
    first: NonNegativeInt | None = None
    good: NonNegativeInt | None = None
    attempts: NonNegativeInt = 0
    answered: NonNegativeInt | None = None
    waited: NonNegativeInt = 0
    quiet: NonNegativeInt = 0


class Effects(Config):
    """The combined effect of all decisions so far, which the trainer applies to its config at every step."""

    learning_rate: float = 1.0  # factor on both learning rates
    gamma: float = 1.0  # factor on the weights of the gradient penalties
    augmentation: float = 0.0  # added to the probability of augmentation


class MonitorState(Config):
    """The whole state of a monitor, stored in checkpoints."""

    step: NonNegativeInt = 0
    progress: dict[str, RuleProgress] = Field(default_factory=dict)
    open: tuple[Finding, ...] = ()  # in the order of `RULES`
    ended: tuple[Finding, ...] = ()
    decisions: tuple[Decision, ...] = ()
    effects: Effects = Effects()
    # Recent sizes of the signals that are compared with their past
    recent: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    peaks: dict[str, float] = Field(default_factory=dict)  # the largest median of these so far
    diversity: float | None = None  # at the last observation
    falls: NonNegativeInt = 0  # observations in a row at which diversity fell
    verdict: str = ""  # the reason of a stop


def standing(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings that have not ended, the gravest first, without those that another explains (`Rule.hides`)."""
    order = list(BY_NAME)
    known = [finding for finding in findings if finding.ended is None and finding.rule in BY_NAME]
    hidden = {name for finding in known for name in BY_NAME[finding.rule].hides}
    return sorted((f for f in known if f.rule not in hidden), key=lambda f: order.index(f.rule))
