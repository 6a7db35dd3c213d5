"""The monitor: detects failures of a training run and decides what to do about them.

An observation is the set of signals at a step (`signals.py`): those that the step reports, those that `probes.py`
measures, or both. `rules.py` defines which signals mean a known failure. `Monitor.see` turns observations into findings
with a first and a last step. `Monitor.decide` responds to a finding with actions: first mild ones, then a roll-back, at
last a stop with a verdict. The monitor does not change networks: the trainer carries out the actions, and reads their
combined effect from `Monitor.effects`. All state is plain numbers (`findings.py`), so that a resumed run decides as an
unbroken one.

A bad observation raises the evidence of a rule by 1, a good one lowers it by 1. A finding begins when the evidence
reaches `Rule.min_evidence` and ends when it is 0, so that one noisy observation does neither. The threshold is doubled
during a rule's first `MonitorConfig.warmup` observations, when signals are noisy.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from pydantic import NonNegativeInt, PositiveInt

from sfumato.config import Config
from sfumato.errors import UsageError
from sfumato.training.findings import Decision, Effects, Finding, MonitorState, RuleProgress, standing
from sfumato.training.rules import ACTION_SAYS, ACTIONS, BY_NAME, GROWTH_WINDOW, RULES, Action, Rule
from sfumato.training.signals import RELATIVE

AUGMENTATION_STEP = 0.1  # added to the probability of augmentation by each `raise_augmentation`
GAMMA_FACTOR = 2.0  # factor on the gradient penalties by each `raise_gamma`
LEARNING_RATE_FACTOR = 0.5  # factor on the learning rates by each `lower_learning_rate`

_WINDOW = 50  # number of recent values of a signal whose median is its usual size
_MIN_VALUES = 3  # least number of values for a usual size
_PEAK_SHARE = 0.1  # lower bound of the usual size, relative to its peak: a recovery must not count as a divergence
_REMEMBERED = 200  # number of ended findings, and of decisions, that the state keeps


class MonitorConfig(Config):
    """The settings of the monitor.

    Attributes:
        actions: the actions that the monitor may take; findings that need others are only reported.
        ignore: names of rules that are not used.
        warmup: number of a rule's first observations during which the threshold of evidence is doubled.
        settle: observations of a rule between two actions, in which the first may take effect.
        settle_steps: least number of training steps between two actions on one finding.
        repairs: attempts to repair a grave finding before training is stopped.
        forget: good observations in a row after which a finding's attempts are forgotten.
    """

    actions: tuple[Action, ...] = ACTIONS
    ignore: tuple[str, ...] = ()
    warmup: NonNegativeInt = 5
    settle: PositiveInt = 5
    settle_steps: NonNegativeInt = 200
    repairs: PositiveInt = 4
    forget: PositiveInt = 50

    def model_post_init(self, _context: object, /) -> None:
        """Check the names in `ignore`.

        Raises:
            UsageError: there is no such rule.
        """
        if unknown := [name for name in self.ignore if name not in BY_NAME]:
            raise UsageError(f"there is no rule {unknown[0]!r} to ignore; the rules are {', '.join(BY_NAME)}")


class Monitor:
    """The monitor of a run: judges observations and decides on actions.

    ::

        monitor = Monitor(config, state)               # for a resumed run, the state from its checkpoint
        findings = monitor.see(step, signals)          # at every logged step, with the probes if they are due
        if decision := monitor.decide(): ...           # carry out decision.actions; save monitor.state

    An observation may hold any of `SIGNALS`; a rule judges those observations that hold its own signals.
    """

    def __init__(self, config: MonitorConfig | None = None, state: MonitorState | None = None) -> None:
        self.config = config or MonitorConfig()
        self.state = _drop_unknown_rules(state or MonitorState())
        self._bad: frozenset[str] = frozenset()  # rules that judged the newest observation as bad

    @property
    def findings(self) -> list[Finding]:
        """The current findings, the gravest first, without those that another one explains."""
        return standing(self.state.open)

    @property
    def all_findings(self) -> list[Finding]:
        """The ended findings, then the current ones."""
        return [*self.state.ended, *self.findings]

    @property
    def effects(self) -> Effects:
        """The combined effect of the decisions so far."""
        return self.state.effects

    def begin_phase(self) -> None:
        """Start a phase: forget the usual sizes of signals, and start the warm-up of every rule again."""
        restarted = {name: p.model_copy(update={"observations": 0}) for name, p in self.state.progress.items()}
        changes = {"progress": restarted, "recent": {}, "peaks": {}, "diversity": None, "falls": 0}
        self.state = self.state.model_copy(update=changes)

    def see(self, step: int, signals: Mapping[str, float]) -> list[Finding]:
        """Process an observation and return the findings after it; a signal that is not finite is itself a failure."""
        values = self._values(signals)
        progress, bad = dict(self.state.progress), set()
        open_, ended = {finding.rule: finding for finding in self.state.open}, list(self.state.ended)
        for rule in RULES:
            if rule.name in self.config.ignore or (verdict := rule.judge(values)) is None:
                continue
            progress[rule.name] = now = self._after(rule, progress.get(rule.name, RuleProgress()), step, verdict)
            finding = open_.get(rule.name)
            if verdict == 1:
                bad.add(rule.name)
            if finding is None and now.evidence >= self._needed(rule, now.observations):
                first = step if now.first is None else now.first
                open_[rule.name] = Finding(
                    rule=rule.name, since=first, detected=step, last=step, signals=rule.numbers(values)
                )
            elif finding is not None and verdict == 1:
                open_[rule.name] = finding.model_copy(update={"last": step, "signals": rule.numbers(values)})
            elif finding is not None and now.evidence == 0:
                ended.append(open_.pop(rule.name).model_copy(update={"ended": step}))
        changes = {
            "step": step,
            "progress": progress,
            "open": tuple(open_[name] for name in BY_NAME if name in open_),
            "ended": tuple(ended[-_REMEMBERED:]),
        }
        self.state = self.state.model_copy(update=changes)
        self._bad = frozenset(bad)
        return self.findings

    def decide(self) -> Decision | None:
        """Decide on the newest observation; None if there is nothing to do, or nothing that the config allows.

        Of several findings the gravest is acted on, and the next one only after that has ended. After an action the
        monitor waits for its effect.
        """
        for finding in self.findings:
            rule, now = BY_NAME[finding.rule], self.state.progress[finding.rule]
            if not (rungs := ladder(rule, self.config)):
                continue
            # After an action good observations lower the evidence; below the threshold a bad one does not suffice.
            enough = rule.name in self._bad and now.evidence >= self._needed(rule, now.observations)
            if self.state.verdict or not enough or self._waits(rule, now):
                return None
            if now.attempts >= len(rungs):
                continue
            return self._answer(finding, rungs[now.attempts])
        return None

    def _waits(self, rule: Rule, now: RuleProgress) -> bool:
        """Return whether the last action may still take effect."""
        if rule.urgent or now.answered is None:
            return False
        steps = self.state.step - now.answered  # negative after a roll-back
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
        if healthy is not None:  # later observations do not apply to the restored weights
            for name, now in progress.items():
                if now.good is not None:
                    progress[name] = now.model_copy(update={"good": min(now.good, healthy)})
        self.state = state.model_copy(update={"progress": progress})
        if not actions:  # the only action was a roll-back, and there is no healthy step
            return None
        signals = f" ({finding.signals})" if finding.signals else ""
        summary = f"{rule.sees} This has lasted since step {finding.since}{signals}."
        if "stop" in actions:
            reason = (
                f"Stopped at step {state.step}: {rule.title.lower()}. {summary} {attempt - 1} "
                f"repair{'s have' if attempt != 2 else ' has'} not solved it. To try: {'; '.join(rule.tries)}."
            )
        else:
            done = " and ".join(ACTION_SAYS[action] for action in actions)
            reason = f"{summary} Action taken: {done} (attempt {attempt})."
        decision = Decision(
            step=state.step, rule=rule.name, actions=actions, attempt=attempt, healthy_step=healthy, reason=reason
        )
        changes = {
            "decisions": (*state.decisions, decision)[-_REMEMBERED:],
            "effects": _with_effects(state.effects, actions),
            "verdict": reason if "stop" in actions else "",
        }
        self.state = self.state.model_copy(update=changes)
        return decision

    @property
    def healthy_step(self) -> int | None:
        """The last step at which no grave rule had evidence of a failure; None if there is none."""
        good = [now.good for name, now in self.state.progress.items() if BY_NAME[name].grave]
        return None if None in good else min((step for step in good if step is not None), default=None)

    def _after(self, rule: Rule, now: RuleProgress, step: int, verdict: int) -> RuleProgress:
        observations = now.observations + 1
        evidence = min(max(now.evidence + verdict, 0), self._needed(rule, observations))
        quiet = now.quiet + 1 if verdict == -1 else 0
        forgotten = quiet >= self.config.forget
        return RuleProgress(
            observations=observations,
            evidence=evidence,
            first=step if verdict == 1 and not now.evidence else now.first if evidence else None,
            good=step if not evidence else now.good,
            attempts=0 if forgotten else now.attempts,
            answered=None if forgotten else now.answered,
            waited=now.waited + 1,
            quiet=quiet,
        )

    def _needed(self, rule: Rule, observations: int) -> int:
        return rule.min_evidence * (2 if rule.lenient and observations <= self.config.warmup else 1)

    def _values(self, signals: Mapping[str, float]) -> dict[str, float]:
        """Return the finite signals and those derived from them and from past values; update the past values."""
        values = {name: float(value) for name, value in signals.items() if math.isfinite(value)}
        values["not_finite"] = float(len(values) < len(signals))
        if "real_accuracy" in values and "fake_accuracy" in values:
            values["accuracy"] = (values["real_accuracy"] + values["fake_accuracy"]) / 2
        if "diversity" in values:
            values["variety"] = max(values["diversity"], values.get("style_sensitivity", 0.0))
        recent, peaks = dict(self.state.recent), dict(self.state.peaks)
        for name in RELATIVE:
            if name not in values:
                continue
            size, past = abs(values[name]), recent.get(name, ())
            if len(past) >= _MIN_VALUES:
                usual = statistics.median(past)
                peaks[name] = max(peaks.get(name, 0.0), usual)
                if peaks[name] > 0:
                    values[f"{name}_rise"] = size / max(usual, _PEAK_SHARE * peaks[name])
                    values[f"{name}_left"] = size / peaks[name]
            # Diverged values must not raise the usual size.
            if values.get(f"{name}_rise", 0.0) <= BY_NAME["divergence"].when[0][0].healed:
                recent[name] = (*past, size)[-_WINDOW:]
        if "weight_size" in values:
            past = recent.get("weight_size", ())[-GROWTH_WINDOW:]
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


def ladder(rule: Rule, config: MonitorConfig) -> list[tuple[Action, ...]]:
    """List the responses to a rule's finding, in the order in which they are tried, that the config allows.

    Mild actions come first, one at a time. For a grave finding, roll-backs with a lower learning rate follow (without
    it the same steps would end the same), at least one, until there are `config.repairs` attempts. The last response is
    to stop.
    """
    rungs: list[tuple[Action, ...]] = [(action,) for action in rule.mild]
    if rule.grave:
        back: tuple[Action, ...] = ("roll_back", "lower_learning_rate")
        rungs += [back] * max(1, config.repairs - len(rungs))
        rungs += [("stop",)]
    allowed = [tuple(action for action in rung if action in config.actions) for rung in rungs]
    return [rung for rung in allowed if rung]


def _drop_unknown_rules(state: MonitorState) -> MonitorState:
    """Remove rules that no longer exist from a state."""
    progress = {name: now for name, now in state.progress.items() if name in BY_NAME}
    return state.model_copy(update={"progress": progress, "open": tuple(f for f in state.open if f.rule in BY_NAME)})


def _with_effects(effects: Effects, actions: Sequence[Action]) -> Effects:
    return Effects(
        learning_rate=effects.learning_rate * LEARNING_RATE_FACTOR ** actions.count("lower_learning_rate"),
        gamma=effects.gamma * GAMMA_FACTOR ** actions.count("raise_gamma"),
        augmentation=min(1.0, effects.augmentation + AUGMENTATION_STEP * actions.count("raise_augmentation")),
    )
