"""What a monitor remembers: findings, decisions, the progress of each rule, and the effects of what was decided.

All of it is plain numbers and text. A checkpoint holds it as `MonitorState`, so that a resumed run decides as an
unbroken one.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, NonNegativeInt, PositiveInt

from sfumato.config import Config
from sfumato.training.rules import BY_NAME, Action


class Finding(Config):
    """Something that went wrong.

    Attributes:
        rule: name of the rule.
        since: step of the first of the bad observations that led to it.
        detected: step at which the evidence was enough.
        last: step of the last bad observation.
        ended: step at which it had healed; None while it stands.
        signals: the signals of the clause that held, at the last bad observation.
    """

    rule: str
    since: NonNegativeInt
    detected: NonNegativeInt
    last: NonNegativeInt
    ended: NonNegativeInt | None = None
    signals: str = ""


class Decision(Config):
    """What was done about a finding.

    Attributes:
        step: when it was made.
        rule: name of the finding's rule.
        actions: to be carried out together.
        attempt: number of this answer to the finding, from 1; a finding that comes back soon goes on counting.
        healthy_step: `roll_back` goes to the newest checkpoint up to this step. None where it does not go back.
        reason: sentences that give the reason; for a stop, the verdict.
    """

    step: NonNegativeInt
    rule: str
    actions: tuple[Action, ...]
    attempt: PositiveInt
    healthy_step: NonNegativeInt | None = None
    reason: str


class RuleProgress(Config):
    """The evidence for one rule, and the answers to it so far.

    Attributes:
        observations: observations that it could judge, since the phase began.
        evidence: bad observations less good ones, from 0 to the threshold of a finding.
        first: step of the first bad observation of the evidence.
        good: step of the last observation without evidence against the weights.
        attempts: answers so far.
        answered: step of the last answer.
        waited: observations since then.
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
    """The sum of all decisions so far; the trainer applies it to its config at every step."""

    learning_rate: float = 1.0  # factor of both
    gamma: float = 1.0  # factor
    augmentation: float = 0.0  # added to the probability


class MonitorState(Config):
    """The whole state of a monitor; a checkpoint holds it."""

    step: NonNegativeInt = 0
    progress: dict[str, RuleProgress] = Field(default_factory=dict)
    open: tuple[Finding, ...] = ()  # in the order of `RULES`
    ended: tuple[Finding, ...] = ()
    decisions: tuple[Decision, ...] = ()
    effects: Effects = Effects()
    recent: dict[str, tuple[float, ...]] = Field(
        default_factory=dict
    )  # sizes that are compared with their past, the newest only
    peaks: dict[str, float] = Field(default_factory=dict)  # their largest median
    diversity: float | None = None
    falls: NonNegativeInt = 0
    verdict: str = ""  # of a stop


def standing(findings: Sequence[Finding]) -> list[Finding]:
    """Findings that have not ended, the gravest first, without those that another one explains (`Rule.hides`)."""
    order = list(BY_NAME)
    known = [finding for finding in findings if finding.ended is None and finding.rule in BY_NAME]
    hidden = {name for finding in known for name in BY_NAME[finding.rule].hides}
    return sorted((f for f in known if f.rule not in hidden), key=lambda f: order.index(f.rule))
