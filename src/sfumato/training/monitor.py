"""The monitor: notices what goes wrong with a training run, and decides what to do about it.

An observation is the set of signals at a step (`signals.py`): what the step reports, what `probes.py` measures, or
both. `rules.py` says which signals mean a known failure. `Monitor.see` turns observations into findings with a first
and a last step; `Monitor.decide` answers a finding with an action, mild ones first, then going back, in the end a stop
with a verdict. Nothing here touches a network: the trainer carries actions out, and asks `Monitor.effects` what they
add up to. All state is plain numbers (`findings.py`), so that a resumed run decides as an unbroken one.

Bad observations add to the evidence of a rule, good ones take away from it. A finding begins where the evidence reaches
`Rule.min_evidence` and ends where it is 0, so that one noisy observation does neither. The threshold is doubled during
a rule's first `MonitorConfig.warmup` observations, when signals are noisy.
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

AUGMENTATION_STEP = 0.1  # added to the probability of augmentation, each time
GAMMA_FACTOR = 2.0
LEARNING_RATE_FACTOR = 0.5

_WINDOW = 50  # values of a signal whose median is its usual size
_ENOUGH = 3  # of them, before there is one
_PEAK_SHARE = 0.1  # of the largest median so far: below it nothing counts as usual, or a revival would be a divergence
_REMEMBERED = 200  # newest ended findings, and newest decisions, that are remembered


class MonitorConfig(Config):
    """Settings of the monitor.

    Attributes:
        actions: the actions that the monitor may take; findings that need others are only reported.
        ignore: rules that are not judged.
        warmup: number of a rule's first observations during which it takes twice the evidence.
        settle: observations of its rule for which an action may show effect before the next one.
        settle_steps: training steps for which it may do so, at the least.
        repairs: attempts at one grave finding, after which training is stopped.
        forget: good observations in a row after which attempts are forgotten.
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


class Monitor:
    """Judges observations and decides what to do.

    ::

        monitor = Monitor(config, state)               # a resumed run: with the state of its checkpoint
        findings = monitor.see(step, signals)          # at every log line, with the probes where they are due
        if decision := monitor.decide(): ...           # carry out decision.actions; monitor.state goes to checkpoints

    An observation may hold any of `SIGNALS`; a rule judges those that hold its own signals.
    """

    def __init__(self, config: MonitorConfig | None = None, state: MonitorState | None = None) -> None:
        self.config = config or MonitorConfig()
        self.state = _known(state or MonitorState())
        self._bad: frozenset[str] = frozenset()  # rules that judged the newest observation bad

    @property
    def findings(self) -> list[Finding]:
        """Findings that stand, the gravest first, without those that another one explains."""
        return standing(self.state.open)

    @property
    def all_findings(self) -> list[Finding]:
        """Findings that have ended, then those that stand."""
        return [*self.state.ended, *self.findings]

    @property
    def effects(self) -> Effects:
        """The sum of the decisions so far."""
        return self.state.effects

    def begin_phase(self) -> None:
        """Start a phase: sizes no longer compare with earlier ones, and the warm-up of every rule begins again."""
        young = {name: p.model_copy(update={"observations": 0}) for name, p in self.state.progress.items()}
        changes = {"progress": young, "recent": {}, "peaks": {}, "diversity": None, "falls": 0}
        self.state = self.state.model_copy(update=changes)

    def see(self, step: int, signals: Mapping[str, float]) -> list[Finding]:
        """Take an observation; return the findings that stand after it. A signal that is not finite is bad itself."""
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
        """Decide on the observation just seen; None where there is nothing to do, or nothing that may be done.

        Of several findings the gravest is answered, and the next only once that has healed. An answer is given time.
        """
        for finding in self.findings:
            rule, now = BY_NAME[finding.rule], self.state.progress[finding.rule]
            if not (rungs := ladder(rule, self.config)):
                continue
            # After an answer, good observations take evidence away; a bad one among them is no reason to act again yet.
            enough = rule.name in self._bad and now.evidence >= self._needed(rule, now.observations)
            if self.state.verdict or not enough or self._waits(rule, now):
                return None
            if now.attempts >= len(rungs):
                continue
            return self._answer(finding, rungs[now.attempts])
        return None

    def _waits(self, rule: Rule, now: RuleProgress) -> bool:
        """Whether the last answer may still show effect."""
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
        summary = f"{rule.sees} So it has been since step {finding.since}" + (
            f" ({finding.signals})." if finding.signals else "."
        )
        if "stop" in actions:
            reason = (
                f"Stopped at step {state.step}: {rule.title.lower()}. {summary} {attempt - 1} "
                f"repair{'s have' if attempt != 2 else ' has'} not healed it. To try: {'; '.join(rule.tries)}."
            )
        else:
            reason = f"{summary} So {' and '.join(ACTION_SAYS[action] for action in actions)} (attempt {attempt})."
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
        """The last step up to which every grave rule had nothing against the weights; None where there is none."""
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
        """The finite signals and those derived from them and their past; the past is updated."""
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
    """The state without rules that no longer exist."""
    progress = {name: now for name, now in state.progress.items() if name in BY_NAME}
    return state.model_copy(update={"progress": progress, "open": tuple(f for f in state.open if f.rule in BY_NAME)})


def _with_effects(effects: Effects, actions: Sequence[Action]) -> Effects:
    return Effects(
        learning_rate=effects.learning_rate * LEARNING_RATE_FACTOR ** actions.count("lower_learning_rate"),
        gamma=effects.gamma * GAMMA_FACTOR ** actions.count("raise_gamma"),
        augmentation=min(1.0, effects.augmentation + AUGMENTATION_STEP * actions.count("raise_augmentation")),
    )
