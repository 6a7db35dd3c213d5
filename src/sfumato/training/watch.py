"""The monitor at work in a run: it is shown steps and probes, its decisions are carried out, its page is written."""

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
    """Watches a run.

    Args:
        state: of the run; going back restores it.
        out: the run's folder.
        probes: what is painted and measured; None where nothing is.

    Attributes:
        monitor: decides.
        history: what it saw, for its page: step and signals, oldest first.
    """

    def __init__(self, config: MonitorConfig, state: TrainingState, out: Path, probes: Probes | None) -> None:
        self._state, self._out, self._config = state, out, config
        self.monitor, self.probes = Monitor(config), probes
        self.history: list[tuple[int, dict[str, float]]] = []

    def resume(self, state: MonitorState) -> None:
        """Go on from a checkpoint's state. A verdict is forgotten: resuming means that the run is to go on."""
        self.monitor = Monitor(self._config, state.model_copy(update={"verdict": ""}))

    def see(self, signals: Mapping[str, float], paint: Painter | None, log: RunLog, is_last: bool) -> list[str]:
        """Show the monitor a step, and carry out what it decides.

        Args:
            signals: means over processes.
            paint: paints the probes, where they are due.
            is_last: whether this is the last step, after which the page is written.

        Returns:
            What was found and done, as sentences.

        Raises:
            TrainingError: the monitor has given the run up.
        """
        step, values = self._state.step, dict(signals)
        if self.probes and paint and all(map(math.isfinite, values.values())):
            probes = self.probes
            values |= from_main(lambda: self._probed(probes, paint))
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
        """Restore the newest healthy checkpoint; a sentence where there is none."""
        back = newest_until(self._out, decision.healthy_step)
        if back is None:
            return [f"There is no checkpoint of step {decision.healthy_step} or before to go back to."]
        self._state.restore(back)
        self.history = [observation for observation in self.history if observation[0] <= self._state.step]
        return []

    def _probed(self, probes: Probes, paint: Painter) -> dict[str, float]:
        self._state.model.eval()
        with torch.no_grad():
            signals = probes.measure(paint)
        self._state.model.train()
        return signals
