"""The link between a run and its monitor: passes observations on, carries out decisions, writes the health page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch

from sfumato.errors import TrainingError
from sfumato.parallel import from_main, is_main
from sfumato.training.findings import Decision, MonitorState
from sfumato.training.health import write_health
from sfumato.training.monitor import Monitor, MonitorConfig
from sfumato.training.probes import Painter, Probes
from sfumato.training.rules import BY_NAME
from sfumato.training.run_log import RunLog
from sfumato.training.state import TrainingState, newest_until


class Watch:
    """The monitor of a run with its probes and its health page.

    Args:
        config: settings of the monitor.
        state: the run's state, which a roll-back restores.
        out: the run's folder.
        probes: the probes to measure; None for none.

    Attributes:
        monitor: the monitor.
        history: observations for the health page: step and signals, oldest first.
    """

    def __init__(self, config: MonitorConfig, state: TrainingState, out: Path, probes: Probes | None) -> None:
        self._state, self._out, self._config = state, out, config
        self.monitor, self.probes = Monitor(config), probes
        self.history: list[tuple[int, dict[str, float]]] = []

    def resume(self, state: MonitorState) -> None:
        """Continue from a checkpoint's state; its verdict is dropped, because the user chose to resume the run."""
        self.monitor = Monitor(self._config, state.model_copy(update={"verdict": ""}))

    def see(self, signals: Mapping[str, float], paint: Painter | None, log: RunLog, is_last: bool) -> list[str]:
        """Pass a step to the monitor, and carry out its decision.

        Args:
            signals: the step's signals, averaged over processes.
            paint: paints the probes; None if they are not due.
            log: the run's log.
            is_last: whether this is the last step, after which the health page is always written.

        Returns:
            New findings and actions, as sentences.

        Raises:
            TrainingError: the monitor stopped the run.
        """
        step, values = self._state.step, dict(signals)
        if self.probes and paint and all(map(math.isfinite, values.values())):
            probes = self.probes
            values |= from_main(lambda: self._measure_probes(probes, paint))
        known = {finding.rule for finding in self.monitor.findings}
        findings = self.monitor.see(step, values)
        decision = self.monitor.decide()
        self.history.append((step, values))
        log.observation(step, values)
        messages = [
            f"{BY_NAME[f.rule].sees} ({f.signals})".removesuffix(" ()") for f in findings if f.rule not in known
        ]
        if decision:
            messages = [decision.reason]
            log.decision(step, decision)
        if is_main() and (messages or len(values) > len(signals) or is_last):
            decisions = self.monitor.state.decisions
            write_health(self._out / "health.html", self.history, self.monitor.all_findings, decisions)
        if decision and "stop" in decision.actions:
            raise TrainingError(decision.reason)
        if decision and "roll_back" in decision.actions:
            messages += self._roll_back(decision)
        return messages

    def _roll_back(self, decision: Decision) -> list[str]:
        """Restore the newest healthy checkpoint; return a sentence if there is none."""
        back = newest_until(self._out, decision.healthy_step)
        if back is None:
            return [f"Cannot roll back: there is no checkpoint of step {decision.healthy_step} or before."]
        self._state.restore(back)
        self.history = [observation for observation in self.history if observation[0] <= self._state.step]
        return []

    def _measure_probes(self, probes: Probes, paint: Painter) -> dict[str, float]:
        self._state.model.eval()
        with torch.no_grad():
            signals = probes.measure(paint)
        self._state.model.train()
        return signals
