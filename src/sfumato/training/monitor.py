"""Training that notices what goes wrong: numbers in, findings and actions out.

A look is a set of signals at a step: what the step reports, what `probes.py` measures, or both (`SIGNALS` names them).
`RULES` say which of them mean a known failure. `Monitor.see` turns looks into findings, with since-when and until-when;
`Monitor.decide` answers a finding with an action, mild ones first, then going back, in the end a stop with a verdict.
Nothing here touches a network: the trainer carries actions out, and asks `Monitor.effects` what they add up to. All
state is plain numbers, so that a resumed run decides as an unbroken one.

A rule judges a look *bad* where one of its clauses holds, *good* where each is over its healing limit, and neither in
between. Bad looks add to the evidence, good ones take away: a finding begins at `looks` and ends at none, so that one
noisy look does neither. While a rule has seen few looks (`MonitorConfig.warmup`), it takes twice the evidence: what is
young is odd.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from sfumato.config import Config
from sfumato.errors import UsageError

Action = Literal["skip_batch", "raise_augmentation", "raise_gamma", "lower_learning_rate", "roll_back", "stop"]
ACTIONS: tuple[Action, ...] = (
    "skip_batch",
    "raise_augmentation",
    "raise_gamma",
    "lower_learning_rate",
    "roll_back",
    "stop",
)
#: What each action is, as the end of "so ...".
ACTION_SAYS: dict[Action, str] = {
    "skip_batch": "this batch was left out",
    "raise_augmentation": "the pictures that the discriminator sees are altered more often",
    "raise_gamma": "the discriminator's gradient penalty was doubled",
    "lower_learning_rate": "both learning rates were halved",
    "roll_back": "the run went back to its last healthy checkpoint",
    "stop": "training was stopped",
}
AUGMENTATION_STEP = 0.1  # added to the probability of augmentation, each time
GAMMA_FACTOR = 2.0
LEARNING_RATE_FACTOR = 0.5

_WINDOW = 50  # values of a signal whose median is its usual size
_ENOUGH = 3  # of them, before there is one
_FALLS = 5
_GROWTH = 5  # looks within which weights are seen to grow
_PEAK_SHARE = 0.1  # of the largest median so far: below it nothing counts as usual, or a revival would be a divergence
_KEPT = 200  # findings that have ended, and decisions, that are remembered


# --- signals


@dataclass(frozen=True)
class Signal:
    """A number that looks can hold.

    Attributes:
        title: as a heading.
        says: what it means, a sentence.
        low, high: healthy range; None where it has no end, or where only the change counts.
        group: where the page shows it.
        logarithmic: shown so.
    """

    title: str
    says: str
    low: float | None
    high: float | None
    group: Literal["pictures", "discriminator", "training"]
    logarithmic: bool = False


SIGNALS: dict[str, Signal] = {
    # of probes
    "diversity": Signal(
        "Diversity of outputs",
        "How much outputs differ from each other, against how much the photos do (without photos: the training "
        "pictures). Near 0 the generator paints one picture.",
        0.4,
        None,
        "pictures",
    ),
    "response": Signal(
        "Response to the input",
        "How much the pixels change when the photo (or the noise) changes, against how much the photos' own differ.",
        0.25,
        None,
        "pictures",
    ),
    "dependence": Signal(
        "Alike stays alike",
        "Whether photos that are alike give outputs that are alike: 1 is yes, 0 is no relation.",
        0.3,
        None,
        "pictures",
    ),
    "recognition": Signal(
        "Recognition of the photo",
        "How often an output is nearer to its own photo than to another one. 0.5 is chance: the photo is not in it.",
        0.75,
        None,
        "pictures",
    ),
    "style_sensitivity": Signal(
        "Response to the style",
        "How much the output changes when the style is swapped, against how much the paintings differ. Near 0 all "
        "styles look the same.",
        0.1,
        None,
        "pictures",
    ),
    "rank": Signal(
        "Richness of features",
        "In how many independent ways outputs vary, against real pictures. Near 0 few things are painted again and "
        "again.",
        0.3,
        None,
        "pictures",
    ),
    "change": Signal(
        "Change of the photo",
        "How far outputs are from their photos, against how far the paintings are. Near 0 nothing is painted at all.",
        0.1,
        None,
        "pictures",
    ),
    "colour_inversion": Signal(
        "Inverted colours", "Light and dark swapped against the photo; above 2 anybody sees it.", None, 1.5, "pictures"
    ),
    "checkerboard": Signal(
        "Checkerboard",
        "Grids of 2 or 4 pixels in the outputs that the paintings have not; above 2 anybody sees it.",
        None,
        1.5,
        "pictures",
    ),
    "blobs": Signal(
        "Blobs",
        "Round spots in most outputs that the paintings have not; above 2 anybody sees it.",
        None,
        1.5,
        "pictures",
    ),
    "broken": Signal("Broken pixels", "Share of the probes' pixels that are no numbers.", None, 0.0, "pictures"),
    # of the step
    "real_accuracy": Signal(
        "Discriminator right on paintings",
        "Share of real patches that it takes for real. Together with the next: 0.5 is guessing, 1 leaves the generator "
        "nothing to learn from.",
        0.4,
        0.95,
        "discriminator",
    ),
    "fake_accuracy": Signal(
        "Discriminator right on outputs",
        "Share of the generator's patches that it takes for fake.",
        0.4,
        0.95,
        "discriminator",
    ),
    "sign_balance": Signal(
        "Sureness about paintings",
        "Mean sign of its answers to real patches, r_t of ADA (Karras et al. 2020). Near 1 it knows the few training "
        "pictures by heart; ADA aims at 0.6.",
        None,
        0.8,
        "discriminator",
    ),
    "logit_variance": Signal(
        "Variance of its answers",
        "How much the discriminator's answers differ at all. 0 is a dead one.",
        1e-5,
        None,
        "discriminator",
        logarithmic=True,
    ),
    "adversarial_gradient": Signal(
        "What the discriminator tells",
        "Size of the gradient that the generator gets from it. When it vanishes, the generator learns nothing more.",
        None,
        None,
        "discriminator",
        logarithmic=True,
    ),
    "loss": Signal(
        "Generator's loss",
        "The sum that the generator descends. Its level says little in a game of two; a jump of 50 times is a "
        "divergence.",
        None,
        None,
        "training",
        logarithmic=True,
    ),
    "discriminator_loss": Signal(
        "Discriminator's loss",
        "It need not fall: the generator works against it. That it moves about a level is a good sign.",
        None,
        None,
        "training",
    ),
    "generator_gradient": Signal(
        "Generator's gradient",
        "Size of its gradient before clipping. A jump of 50 times is a divergence.",
        None,
        None,
        "training",
        logarithmic=True,
    ),
    "weight_size": Signal(
        "Size of the weights",
        "Norm of all of the generator's weights. It grows slowly; where it leaps, steps are too large, though no loss "
        "may rise.",
        None,
        None,
        "training",
        logarithmic=True,
    ),
    "discriminator_gradient": Signal(
        "Discriminator's gradient",
        "Size of its gradient. A jump of 50 times is a divergence; 0 is a dead discriminator.",
        None,
        None,
        "training",
        logarithmic=True,
    ),
}
#: Judged by their size against their own past: `NAME_rise` is against the usual size, `NAME_left` against the largest
#: usual size so far.
_RELATIVE = ("loss", "generator_gradient", "discriminator_gradient", "adversarial_gradient")


# --- rules


@dataclass(frozen=True)
class Bound:
    """A signal on the wrong side of a limit; from `healed` on, on the other side, it is well again."""

    signal: str
    side: Literal["below", "above"]
    limit: float
    healed: float

    def holds(self, value: float) -> bool:
        return value < self.limit if self.side == "below" else value > self.limit

    def is_over(self, value: float) -> bool:
        return value >= self.healed if self.side == "below" else value <= self.healed


def _below(signal: str, limit: float, healed: float) -> Bound:
    return Bound(signal, "below", limit, healed)


def _above(signal: str, limit: float, healed: float) -> Bound:
    return Bound(signal, "above", limit, healed)


@dataclass(frozen=True)
class Rule:
    """A known failure.

    Attributes:
        name: for the config and the log.
        title: a few words.
        sees: a sentence: what is seen.
        tries: what a person can try.
        when: clauses, of which one is enough; all bounds of a clause must hold. One whose signals are not all in a
            look says nothing, and a look of which no clause says anything is none of this rule's.
        looks: evidence at which a finding begins.
        mild: actions that may heal it, in the order in which they are tried.
        grave: whether, those having failed, to go back, and then to stop.
        hides: rules whose findings are but another side of this one.
        lenient: while young, takes twice the evidence.
        urgent: answered at every bad look; others give an action time to show effect.
    """

    name: str
    title: str
    sees: str
    tries: tuple[str, ...]
    when: tuple[tuple[Bound, ...], ...]
    looks: int = 3
    mild: tuple[Action, ...] = ()
    grave: bool = False
    hides: tuple[str, ...] = ()
    lenient: bool = True
    urgent: bool = False

    def judge(self, values: Mapping[str, float]) -> int | None:
        """1 for a bad look, -1 for a good one, 0 in between, None where the rule cannot tell."""
        clauses = [clause for clause in self.when if all(bound.signal in values for bound in clause)]
        if not clauses:
            return None
        if any(all(bound.holds(values[bound.signal]) for bound in clause) for clause in clauses):
            return 1
        over = all(any(bound.is_over(values[bound.signal]) for bound in clause) for clause in clauses)
        return -1 if over else 0

    def told(self, values: Mapping[str, float]) -> str:
        """The numbers of the clause that holds: "Diversity of outputs 0.02"."""
        for clause in self.when:
            if all(bound.signal in values and bound.holds(values[bound.signal]) for bound in clause):
                return ", ".join(f"{_title(bound.signal)} {values[bound.signal]:.3g}" for bound in clause)
        return ""


def _title(signal: str) -> str:
    for ending, says in _ENDINGS.items():
        if signal.endswith(ending):
            return f"{SIGNALS[signal.removesuffix(ending)].title} {says}"
    return SIGNALS[signal].title if signal in SIGNALS else _DERIVED[signal]


_ENDINGS = {
    "_growth": "(times what it was)",
    "_rise": "(times its usual size)",
    "_left": "(share of its largest usual size)",
}
_DERIVED = {
    "not_finite": "numbers that are none",
    "accuracy": "Discriminator right on both, mean",
    "variety": "Change of outputs, whatever is changed",
    "diversity_falls": "looks in a row at which diversity fell",
}

#: The gravest first: of several findings, the first is answered.
RULES: tuple[Rule, ...] = (
    Rule(
        "not_finite",
        "Numbers overflowed",
        "A loss, a gradient or a picture is no finite number any more.",
        (
            "lower learning_rate",
            "train with mixed_precision=no",
            "look whether a training picture is damaged or of one single colour",
        ),
        ((_above("not_finite", 0.5, 0.5),), (_above("broken", 0.0, 0.0),)),
        looks=1,
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
        looks=2,
        mild=("lower_learning_rate",),
        grave=True,
        hides=("steps_too_large",),
    ),
    # Where layers are normalised and losses are bounded, a learning rate 100 times too high makes no loss diverge.
    Rule(
        "steps_too_large",
        "Steps are too large",
        f"The generator's weights have grown by half and more within {_GROWTH} looks: what was learnt is overwritten.",
        ("lower learning_rate (it may be 10 or 100 times too high)", "lengthen warmup"),
        ((_above("weight_size_growth", 1.5, 1.2),),),
        looks=2,
        lenient=False,
        mild=("lower_learning_rate", "lower_learning_rate"),
        grave=True,
    ),
    Rule(
        "constant_output",
        "One picture for everything",
        "The generator paints nearly the same picture whatever it is given: its diversity has collapsed.",
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
        "What is painted does not depend on the photo.",
        ("a higher weights.content", "a higher identity", "a lower adversarial weight"),
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
        "All styles come out nearly the same: swapping the style changes next to nothing.",
        ("a higher weights.statistics or weights.gram", "paintings that differ more", "a lower learning rate"),
        ((_below("style_sensitivity", 0.04, 0.07),),),
        mild=("raise_gamma",),
        grave=True,
    ),
    Rule(
        "dead_discriminator",
        "The discriminator is dead",
        "The discriminator gives one and the same answer to everything, so the generator learns nothing from it.",
        ("a lower discriminator_learning_rate", "a lower gradient penalty", "start anew with another seed"),
        (
            (_above("accuracy", 0.4, 0.35), _below("accuracy", 0.6, 0.65), _below("logit_variance", 1e-6, 1e-5)),
            (
                _above("accuracy", 0.4, 0.35),
                _below("accuracy", 0.6, 0.65),
                _below("discriminator_gradient", 1e-7, 1e-6),
            ),
        ),
        looks=5,
        mild=("lower_learning_rate",),
        grave=True,
    ),
    Rule(
        "discriminator_wins",
        "The discriminator has won",
        "The discriminator is always right, and what it tells the generator has nearly vanished.",
        (
            "a higher gradient penalty",
            "a lower discriminator_learning_rate",
            "augmentation of what the discriminator sees",
        ),
        (
            (
                _above("real_accuracy", 0.95, 0.9),
                _above("fake_accuracy", 0.95, 0.9),
                _below("adversarial_gradient_left", 0.25, 1.0),  # of two looks one may be ten times the other
            ),
        ),
        looks=10,
        mild=("raise_gamma", "raise_augmentation"),
        grave=True,
        hides=("overfitting",),
    ),
    Rule(
        "overfitting",
        "Too few pictures",
        "The discriminator knows the training pictures by heart, and judges outputs by whether they are copies.",
        (
            "more pictures: 50 to 200 for a style, better more",
            "augmentation of what the discriminator sees",
            "a shorter training",
        ),
        ((_above("sign_balance", 0.8, 0.7),),),
        looks=8,
        mild=("raise_augmentation", "raise_augmentation", "raise_augmentation", "raise_gamma"),
    ),
    Rule(
        "colour_inversion",
        "Inverted colours",
        "Light and dark are swapped against the photo.",
        ("a higher identity", "a higher weights.content", "another seed: early in training it may heal by itself"),
        ((_above("colour_inversion", 2.0, 1.5),),),
        mild=("lower_learning_rate",),
    ),
    Rule(
        "identity_output",
        "Nothing changes",
        "Outputs are the photos again: nothing is painted.",
        ("higher style weights", "a lower weights.content", "a lower identity", "more steps"),
        ((_below("change", 0.06, 0.09),),),
        hides=("one_style",),
    ),
    Rule(
        "checkerboard",
        "Checkerboard",
        "Outputs have a grid of 2 or 4 pixels all over.",
        ("more steps: early grids often go", "a lower learning rate", "a lower adversarial weight"),
        ((_above("checkerboard", 2.0, 1.5),),),
        mild=("lower_learning_rate",),
    ),
    Rule(
        "blobs",
        "Blobs",
        "Round spots stand in most outputs.",
        ("a higher gradient penalty: they come where the discriminator is too strong", "a lower adversarial weight"),
        ((_above("blobs", 2.0, 1.5),),),
        mild=("raise_gamma",),
    ),
    Rule(
        "low_diversity",
        "Outputs are alike",
        "Outputs differ much less than the photos do: the generator may be about to collapse.",
        ("more pictures to train on", "a lower adversarial weight", "a lower learning rate"),
        ((_below("diversity", 0.3, 0.36),), (_below("rank", 0.22, 0.3),)),
        mild=("raise_gamma",),
    ),
    Rule(
        "diversity_falls",
        "Diversity is falling",
        f"Outputs have grown more alike at {_FALLS} looks in a row.",
        ("wait, and look at the samples", "a lower adversarial weight"),
        ((_above("diversity_falls", _FALLS - 0.5, 0.5), _below("diversity", 0.45, 0.5)),),
        looks=1,
    ),
)
BY_NAME = {rule.name: rule for rule in RULES}


# --- what is remembered


class MonitorConfig(Config):
    """How training watches itself.

    Attributes:
        actions: what the monitor may do; the rest is only told.
        ignore: rules that are not judged.
        warmup: looks of a rule during which it takes twice the evidence.
        settle: looks of its rule that an action is given to show effect, before the next.
        settle_steps: and steps, at the least.
        repairs: attempts at one grave finding, after which training is stopped.
        forget: good looks in a row after which attempts are forgotten.
    """

    actions: tuple[Action, ...] = ACTIONS
    ignore: tuple[str, ...] = ()
    warmup: NonNegativeInt = 5
    settle: PositiveInt = 5
    settle_steps: NonNegativeInt = 200
    repairs: PositiveInt = 4
    forget: PositiveInt = 50

    def model_post_init(self, context: object) -> None:
        if unknown := [name for name in self.ignore if name not in BY_NAME]:
            raise UsageError(f"there is no rule {unknown[0]!r} to ignore; the rules are {', '.join(BY_NAME)}")


class Finding(Config):
    """Something that went wrong.

    Attributes:
        rule: by name.
        since: step of the first of the bad looks that led to it.
        seen: step at which the evidence was enough.
        last: step of the last bad look.
        ended: step at which it had healed; None while it stands.
        told: the numbers, at the last bad look.
    """

    rule: str
    since: NonNegativeInt
    seen: NonNegativeInt
    last: NonNegativeInt
    ended: NonNegativeInt | None = None
    told: str = ""


class Decision(Config):
    """What was done about a finding.

    Attributes:
        step: when.
        rule: about which finding.
        actions: to be carried out together.
        attempt: the how many-th answer to this finding; a finding that comes back soon goes on counting.
        healthy_step: where `roll_back` goes to: the newest checkpoint up to this step. None without.
        reason: as sentences; of a stop, the verdict.
    """

    step: NonNegativeInt
    rule: str
    actions: tuple[Action, ...]
    attempt: PositiveInt
    healthy_step: NonNegativeInt | None = None
    reason: str


class Progress(Config):
    """How far a rule is.

    Attributes:
        looked: looks that it could judge, since the phase began.
        evidence: bad looks less good ones, from 0 to what a finding takes.
        first: step of the first bad look of the evidence.
        good: step of the last look with nothing bad at it.
        attempts: answers so far.
        answered: step of the last answer.
        waited: looks since then.
        quiet: good looks in a row.
    """

    looked: NonNegativeInt = 0
    evidence: NonNegativeInt = 0
    first: NonNegativeInt | None = None
    good: NonNegativeInt | None = None
    attempts: NonNegativeInt = 0
    answered: NonNegativeInt | None = None
    waited: NonNegativeInt = 0
    quiet: NonNegativeInt = 0


class Effects(Config):
    """What all decisions so far add up to; the trainer applies it to its config at every step."""

    learning_rate: float = 1.0  # factor of both
    gamma: float = 1.0  # factor
    augmentation: float = 0.0  # added to the probability


class MonitorState(Config):
    """All that a monitor remembers; a checkpoint holds it."""

    step: NonNegativeInt = 0
    progress: dict[str, Progress] = Field(default_factory=dict)
    open: tuple[Finding, ...] = ()  # in the order of `RULES`
    ended: tuple[Finding, ...] = ()
    decisions: tuple[Decision, ...] = ()
    effects: Effects = Effects()
    recent: dict[str, tuple[float, ...]] = Field(
        default_factory=dict
    )  # sizes that are compared with their past, `_WINDOW` at most
    peaks: dict[str, float] = Field(default_factory=dict)  # their largest median
    diversity: float | None = None
    falls: NonNegativeInt = 0
    verdict: str = ""  # of a stop


# --- the monitor


class Monitor:
    """Judges looks and decides what to do.

    ::

        monitor = Monitor(config, state)               # a resumed run: with the state of its checkpoint
        findings = monitor.see(step, signals)          # at every log line and every look at the probes
        if decision := monitor.decide(): ...           # carry out decision.actions; monitor.state goes to checkpoints

    Looks may hold any of `SIGNALS` (others are left alone): a rule judges those that hold its own.
    """

    def __init__(self, config: MonitorConfig | None = None, state: MonitorState | None = None) -> None:
        self.config = config or MonitorConfig()
        self.state = _known(state or MonitorState())
        self._bad: frozenset[str] = frozenset()  # by the look just seen

    @property
    def findings(self) -> list[Finding]:
        """Those that stand, the gravest first, without those that are but another side of one."""
        return standing(self.state.open)

    @property
    def all_findings(self) -> list[Finding]:
        """Those that have ended, and those that stand."""
        return [*self.state.ended, *self.findings]

    @property
    def effects(self) -> Effects:
        """What the decisions so far add up to."""
        return self.state.effects

    def begin_phase(self) -> None:
        """Another game begins (the discriminator has joined, say): sizes are no longer comparable, rules are young."""
        young = {name: p.model_copy(update={"looked": 0}) for name, p in self.state.progress.items()}
        changes = {"progress": young, "recent": {}, "peaks": {}, "diversity": None, "falls": 0}
        self.state = self.state.model_copy(update=changes)

    def see(self, step: int, signals: Mapping[str, float]) -> list[Finding]:
        """The findings that stand after a look. A signal that is not finite is itself one."""
        values = self._values(signals)
        progress, bad = dict(self.state.progress), set()
        open_, ended = {finding.rule: finding for finding in self.state.open}, list(self.state.ended)
        for rule in RULES:
            if rule.name in self.config.ignore or (verdict := rule.judge(values)) is None:
                continue
            progress[rule.name] = now = self._after(rule, progress.get(rule.name, Progress()), step, verdict)
            finding = open_.get(rule.name)
            if verdict == 1:
                bad.add(rule.name)
            if finding is None and now.evidence >= self._needed(rule, now.looked):
                first = step if now.first is None else now.first
                open_[rule.name] = Finding(rule=rule.name, since=first, seen=step, last=step, told=rule.told(values))
            elif finding is not None and verdict == 1:
                open_[rule.name] = finding.model_copy(update={"last": step, "told": rule.told(values)})
            elif finding is not None and now.evidence == 0:
                ended.append(open_.pop(rule.name).model_copy(update={"ended": step}))
        changes = {
            "step": step,
            "progress": progress,
            "open": tuple(open_[name] for name in BY_NAME if name in open_),
            "ended": tuple(ended[-_KEPT:]),
        }
        self.state = self.state.model_copy(update=changes)
        self._bad = frozenset(bad)
        return self.findings

    def decide(self) -> Decision | None:
        """What to do about what was just seen; None where there is nothing to do, or nothing that may be done.

        Of several findings the gravest is answered, and the next only once that has healed. An answer is given time.
        """
        for finding in self.findings:
            rule, now = BY_NAME[finding.rule], self.state.progress[finding.rule]
            if not (rungs := ladder(rule, self.config)):
                continue
            # After an answer a good look or two take evidence away, and a bad one among them is no reason yet.
            enough = rule.name in self._bad and now.evidence >= self._needed(rule, now.looked)
            if self.state.verdict or not enough or self._waits(rule, now):
                return None
            if now.attempts >= len(rungs):
                continue
            return self._answer(finding, rungs[now.attempts])
        return None

    def _waits(self, rule: Rule, now: Progress) -> bool:
        """Whether the last answer is still to show effect."""
        if rule.urgent or now.answered is None:
            return False
        steps = self.state.step - now.answered  # below 0 where the run went back and counts from there
        return now.waited < self.config.settle or 0 <= steps < self.config.settle_steps

    def _answer(self, finding: Finding, actions: tuple[Action, ...]) -> Decision | None:
        state, rule = self.state, BY_NAME[finding.rule]
        healthy = self.healthy_step if "roll_back" in actions else None
        if healthy is None:
            actions = tuple(action for action in actions if action != "roll_back")
        attempt = state.progress[rule.name].attempts + 1
        progress = dict(state.progress)
        progress[rule.name] = progress[rule.name].model_copy(
            update={"attempts": attempt, "answered": state.step, "waited": 0}
        )
        if healthy is not None:  # what was seen later is not known of the weights that come back
            for name, now in progress.items():
                if now.good is not None:
                    progress[name] = now.model_copy(update={"good": min(now.good, healthy)})
        self.state = state.model_copy(update={"progress": progress})
        if not actions:  # to go back was all, and there is nowhere to go back to
            return None
        seen = f"{rule.sees} So it has been since step {finding.since}" + (
            f" ({finding.told})." if finding.told else "."
        )
        if "stop" in actions:
            reason = (
                f"Stopped at step {state.step}: {rule.title.lower()}. {seen} {attempt - 1} "
                f"repair{'s have' if attempt != 2 else ' has'} not healed it. To try: {'; '.join(rule.tries)}."
            )
        else:
            reason = f"{seen} So {' and '.join(ACTION_SAYS[action] for action in actions)} (attempt {attempt})."
        decision = Decision(
            step=state.step, rule=rule.name, actions=actions, attempt=attempt, healthy_step=healthy, reason=reason
        )
        changes = {
            "decisions": (*state.decisions, decision)[-_KEPT:],
            "effects": _with_effects(state.effects, actions),
            "verdict": reason if "stop" in actions else "",
        }
        self.state = self.state.model_copy(update=changes)
        return decision

    @property
    def healthy_step(self) -> int | None:
        """The last step up to which every grave rule had nothing against the weights; None where there is none."""
        good = [now.good for name, now in self.state.progress.items() if BY_NAME[name].grave]
        return None if None in good else min((step for step in good if step is not None), default=None)

    def _after(self, rule: Rule, now: Progress, step: int, verdict: int) -> Progress:
        looked = now.looked + 1
        evidence = min(max(now.evidence + verdict, 0), self._needed(rule, looked))
        quiet = now.quiet + 1 if verdict == -1 else 0
        forgotten = quiet >= self.config.forget
        return Progress(
            looked=looked,
            evidence=evidence,
            first=step if verdict == 1 and not now.evidence else now.first if evidence else None,
            good=step if not evidence else now.good,
            attempts=0 if forgotten else now.attempts,
            answered=None if forgotten else now.answered,
            waited=now.waited + 1,
            quiet=quiet,
        )

    def _needed(self, rule: Rule, looked: int) -> int:
        return rule.looks * (2 if rule.lenient and looked <= self.config.warmup else 1)

    def _values(self, signals: Mapping[str, float]) -> dict[str, float]:
        """The finite signals and what follows from them and their past, which is taken on."""
        values = {name: float(value) for name, value in signals.items() if math.isfinite(value)}
        values["not_finite"] = float(len(values) < len(signals))
        if "real_accuracy" in values and "fake_accuracy" in values:
            values["accuracy"] = (values["real_accuracy"] + values["fake_accuracy"]) / 2
        if "diversity" in values:
            values["variety"] = max(values["diversity"], values.get("style_sensitivity", 0.0))
        recent, peaks = dict(self.state.recent), dict(self.state.peaks)
        for name in _RELATIVE:
            if name not in values:
                continue
            size, past = abs(values[name]), recent.get(name, ())
            if len(past) >= _ENOUGH:
                usual = statistics.median(past)
                peaks[name] = max(peaks.get(name, 0.0), usual)
                if peaks[name] > 0:
                    values[f"{name}_rise"] = size / max(usual, _PEAK_SHARE * peaks[name])
                    values[f"{name}_left"] = size / peaks[name]
            # What has diverged must not become what is usual.
            if values.get(f"{name}_rise", 0.0) <= BY_NAME["divergence"].when[0][0].healed:
                recent[name] = (*past, size)[-_WINDOW:]
        if "weight_size" in values:
            past = recent.get("weight_size", ())[-_GROWTH:]
            if past and min(past) > 0:
                values["weight_size_growth"] = values["weight_size"] / min(past)
            recent["weight_size"] = (*past, values["weight_size"])
        changes: dict[str, object] = {"recent": recent, "peaks": peaks}
        if (diversity := values.get("diversity")) is not None:
            before = self.state.diversity
            falls = self.state.falls + 1 if before is not None and diversity < before else 0
            changes |= {"diversity": diversity, "falls": falls}
            values["diversity_falls"] = float(falls)
        self.state = self.state.model_copy(update=changes)
        return values


def standing(findings: Sequence[Finding]) -> list[Finding]:
    """Those that have not ended, the gravest first, without those that are but another side of one."""
    order = list(BY_NAME)
    known = [finding for finding in findings if finding.ended is None and finding.rule in BY_NAME]
    hidden = {name for finding in known for name in BY_NAME[finding.rule].hides}
    return sorted((f for f in known if f.rule not in hidden), key=lambda f: order.index(f.rule))


def ladder(rule: Rule, config: MonitorConfig) -> list[tuple[Action, ...]]:
    """The answers to a finding in the order in which they are tried, of those that the config allows.

    Mild actions come first, one at a time. A grave finding then has the run go back, with a lower learning rate (the
    same steps again would end the same), until there have been `config.repairs` attempts, or at the least one; the last
    answer is to stop.
    """
    rungs: list[tuple[Action, ...]] = [(action,) for action in rule.mild]
    if rule.grave:
        back: tuple[Action, ...] = ("roll_back", "lower_learning_rate")
        rungs += [back] * max(1, config.repairs - len(rungs))
        rungs += [("stop",)]
    allowed = [tuple(action for action in rung if action in config.actions) for rung in rungs]
    return [rung for rung in allowed if rung]


def _known(state: MonitorState) -> MonitorState:
    """Without what rules left behind that there are no more."""
    progress = {name: now for name, now in state.progress.items() if name in BY_NAME}
    return state.model_copy(update={"progress": progress, "open": tuple(f for f in state.open if f.rule in BY_NAME)})


def _with_effects(effects: Effects, actions: Sequence[Action]) -> Effects:
    return Effects(
        learning_rate=effects.learning_rate * LEARNING_RATE_FACTOR ** actions.count("lower_learning_rate"),
        gamma=effects.gamma * GAMMA_FACTOR ** actions.count("raise_gamma"),
        augmentation=min(1.0, effects.augmentation + AUGMENTATION_STEP * actions.count("raise_augmentation")),
    )
