"""The training loop: steps, monitor, logs, samples, validation, checkpoints, stop and resume.

`stepper.py` updates the networks, `averaged.py` averages them, `validation.py` validates the average, `watch.py` passes
every logged step to the monitor, `state.py` saves and restores, `run_folder.py` prevents two trainings in one folder.
"""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch
from accelerate import Accelerator
from torch import Tensor

from sfumato.checkpoint import load_model
from sfumato.data.folders import FolderReport, about_data
from sfumato.errors import TrainingError
from sfumato.parallel import Rows, any_of, averages, broadcast_from_main, from_main, is_main, wait_for_all
from sfumato.training.arbitrary import ArbitraryTask
from sfumato.training.averaged import Average
from sfumato.training.collection import CollectionTask
from sfumato.training.config import TrainConfig, check_processes
from sfumato.training.estimate import RunEstimate, estimate_run
from sfumato.training.health import read_history
from sfumato.training.matching import MatchingTask
from sfumato.training.noise import PixelNoiseTask
from sfumato.training.noise_features import FeatureNoiseTask
from sfumato.training.probes import Painter
from sfumato.training.run_folder import begin, hold_run_lock, room_to_write
from sfumato.training.run_log import Means, RunLog, cut_log, open_log
from sfumato.training.state import TrainingState, checkpoint, checkpoints
from sfumato.training.stepper import Stepper
from sfumato.training.stop_signal import stop_signal
from sfumato.training.tasks import TrainingTask
from sfumato.training.throughput import StepTimer, Throughput, throughput
from sfumato.training.validation import PairValidator, check_target, decide, loss_weights, reason_to_stop
from sfumato.training.watch import Watch

MakeTask: TypeAlias = Callable[
    [TrainConfig, FolderReport | None, FolderReport, torch.device, Path | None, Path | None], TrainingTask[Any, Any]
]
TASKS: dict[str, MakeTask] = {
    "arbitrary": ArbitraryTask,
    "collection": CollectionTask,
    "noise": PixelNoiseTask,
    "matching": MatchingTask,
}


def make_task(config: TrainConfig) -> MakeTask:
    """Return the constructor of the run's task."""
    on_features = config.kind == "noise" and config.noise.generator == "features"
    return FeatureNoiseTask if on_features else TASKS[config.kind]


@dataclass(frozen=True)
class TrainingProgress:
    """The progress that the loop reports after every step."""

    step: int
    steps: int  # of the whole run
    report: dict[str, float] | None = None  # the mean of each term since the last report, every `log_every` steps
    pictures_per_second: float = 0.0
    where_time_goes: str = ""  # the three largest shares of the time
    validation: dict[str, float] | None = None  # measures, score and content weight, at every validation
    messages: tuple[str, ...] = ()  # the monitor's new findings and actions, as sentences


class Interrupted(Exception):  # noqa: N818 - not an error: the user requested it
    """A run that was stopped by a signal, after it wrote the checkpoint of `step`."""

    def __init__(self, step: int, signal_number: int) -> None:
        super().__init__(f"stopped at step {step}")
        self.step, self.signal_number = step, signal_number


class Trainer:
    """One training run; `run()` trains to the last step, from the start or, after `resume()`, from a checkpoint."""

    def __init__(
        self,
        config: TrainConfig,
        content: FolderReport | None,
        style: FolderReport,
        out: Path,
        *,
        cache: Path | None,
        vgg_file: Path | None = None,
        cpu: bool = False,
        validation: tuple[FolderReport, FolderReport] | None = None,
        start: Path | None = None,
    ) -> None:
        """Build a run from its config.

        Args:
            config: the run's config.
            content: photos; None for the noise kind, which learns from paintings alone.
            style: paintings.
            out: the run's folder.
            cache: folder for cached statistics of paintings; None for no cache.
            vgg_file: VGG19's weights, see `load_vgg19_weights`.
            cpu: train on the CPU even if there is an accelerator.
            validation: photos and paintings that are not trained on; there is no validation with fewer than one photo
                and two paintings.
            start: a model.safetensors with the initial weights of a new run (fine-tuning); its discriminator is new.

        Raises:
            UsageError: `content_target` is set, and there are no pictures for validation; the batches cannot be divided
                among the processes; or `start` does not fit.
        """
        self.config, self.out = config, out
        self.accelerator = new_accelerator(config, out, cpu)
        rows = Rows(self.accelerator.process_index, self.accelerator.num_processes)
        check_processes(config, rows.of)
        device = self.accelerator.device
        torch.manual_seed(config.seed)  # initial weights
        self.task = make_task(config)(config, content, style, device, cache, vgg_file)
        self.task.rows = rows
        self.about = about_run(config, self.task, content, style)
        self.newest = checkpoints(out)[-1:]  # the newest checkpoint that this training knows of
        if not self.newest and start is None:
            self.task.fit()
        elif not self.newest and start is not None:
            self.task.start_from(load_model(start)[0], str(start))
        self.state = TrainingState.new(self.task.model, self.task.discriminator, self.task, config)
        self.average = Average(self.task, self.state, device)
        self.validator = self.task.validator(*validation) if validation else None
        check_target(config, self.validator)
        # Networks are not wrapped by Accelerate: DistributedDataParallel averages gradients during the backward pass
        # and expects one forward pass in a step. Here are several partial passes and a gradient penalty, so
        # `average_gradients` averages after the backward pass.
        prepared = self.accelerator.prepare(self.state.generator_optimizer, self.state.discriminator_optimizer)
        self.timer = StepTimer()
        self.stepper = Stepper(config, self.state, self.task, self.accelerator, prepared, self.timer)
        self.pictures = 0  # number of samples trained on since this process started
        self.watch = Watch(config.monitor, self.state, out, self.task.probes() if config.probe_every else None)

    def resume(self) -> bool:
        """Restore the newest checkpoint; return whether there is one."""
        saved = checkpoints(self.out)
        if saved:
            self.task.check_pictures(self.state.restore(saved[-1]), self.out)
            self.watch.resume(self.state.monitor)
        return bool(saved)

    @property
    def stopped_early(self) -> str:
        """The reason why training ended before its last step, as a sentence; empty if it did not."""
        reason = reason_to_stop(self.state.record, self.config) if self.state.step < self.config.steps else ""
        return reason and f"Stopped early at step {self.state.step} of {self.config.steps}: {reason}."

    def save(self) -> Path:
        """Write a checkpoint and return its folder."""
        self.state.monitor = self.watch.monitor.state
        if is_main():
            self.state.save(self.out, self.config, self.about, self.watch.monitor.healthy_step)
        wait_for_all()
        return checkpoint(self.out, self.state.step)

    def step(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Do one training step; return its report, and its signals for the monitor."""
        done, phase = self.state.step, self.config.phase(self.state.step)
        if done and phase is not self.config.phase(done - 1):
            self.watch.monitor.begin_phase()
        self.pictures += phase.batch
        return self.stepper.step(self.watch.monitor.effects)

    def estimate(self) -> RunEstimate:
        """Estimate time and memory of the rest of the run, from trial steps that change nothing."""
        validator = self.validator
        measure_one = None if validator is None else lambda: validator.measure(self.average.model(), pairs=1)
        pairs = 0 if validator is None else len(validator.pairs)
        return estimate_run(self.stepper, self.watch.monitor.effects, measure_one, pairs)

    def throughput(self) -> Throughput | None:
        """Return the throughput since this process started; None before its first step."""
        return throughput(self.timer, self.pictures)

    def run(self, on_progress: Callable[[TrainingProgress], None]) -> None:
        """Train to the last step, or until validation stops the run early.

        Args:
            on_progress: called after every step; the step falls when the monitor goes back to a checkpoint.

        Raises:
            TrainingError: a measure of validation or a value of the last step is not finite, or the monitor stopped the
                run. (Single steps whose gradient is not finite are skipped.)
            Interrupted: SIGINT or SIGTERM arrived before the last step; a checkpoint was written.
            UsageError: another training writes into the folder, or has written since this trainer was built.
            OutputError: the folder cannot be written, or its disk is full.
        """
        try:
            with room_to_write(self.out), hold_run_lock(self.out) if is_main() else nullcontext():
                self._run(on_progress)
        finally:
            self.newest = checkpoints(self.out)[-1:]

    def _run(self, on_progress: Callable[[TrainingProgress], None]) -> None:
        if is_main():
            begin(self.out, self.config, self.newest)
            self.state.mark_best(self.out)  # after a crash it may not match the checkpoint
            cut_log(self.out, self.state.step)
        wait_for_all()
        broadcast_from_main(tensor for _, tensor in self.state.tensors())  # rounding may differ between machines
        self.accelerator.init_trackers("tensorboard")
        try:
            self._train(on_progress)
        finally:
            self.accelerator.end_training()

    def _train(self, on_progress: Callable[[TrainingProgress], None]) -> None:
        config, state = self.config, self.state
        terms, owed = Means(), False
        self.watch.history = read_history(self.out / "log.jsonl") if is_main() else []
        paint = self.task.painter(state.model)  # made once, because it prepares the probes
        with stop_signal() as stop, open_log(self.out) as log:
            while state.step < config.steps and not self.stopped_early:
                # Step.
                latest, signals = self.step()
                self.timer.record("other")
                latest = averages(latest)
                self.timer.record("sharing" if self.accelerator.num_processes > 1 else "other")
                finite = bool(torch.stack(list(latest.values())).isfinite().all())
                terms.add(latest, used=finite)  # skipped batches are not reported
                progress = TrainingProgress(state.step, config.steps)

                # Watch.
                if signals and (messages := self._watch(signals, paint, log)):
                    progress = replace(progress, messages=tuple(messages))
                    if state.step < progress.step:  # the run was rolled back
                        terms.restart()
                        on_progress(replace(progress, step=state.step))
                        continue

                # Log, sample, validate.
                if self._due(config.log_every) and terms:
                    progress = replace(self._log(terms, log), messages=progress.messages)
                    terms.restart()
                if self._due(config.sample_every):
                    self.average.sample(self.out)
                if self.validator and self._due(config.validation_interval):
                    progress = replace(progress, validation=self.validate(self.validator, log))

                # Save, stop. Checked once: a signal after this line takes effect after the next step.
                stopping = any_of(bool(stop), self.accelerator.device)
                owed |= self._due(config.checkpoint_every) or stopping or state.is_best or bool(self.stopped_early)
                if owed and (finite or stopping or state.step == config.steps):  # else after the next finite step
                    if not stopping:
                        check_finite({name: float(value) for name, value in latest.items()}, state.step)
                    self.save()
                    owed = False
                on_progress(progress)
                if stopping and state.step < config.steps:
                    raise Interrupted(state.step, stop[0] if stop else signal.SIGTERM)

    def _watch(self, signals: dict[str, Tensor], paint: Painter, log: RunLog) -> list[str]:
        """Pass a step to the monitor, with the probes if they are due; return its findings and actions as sentences."""
        self.timer.record("other")
        values = {name: float(value) for name, value in averages(signals).items()}
        due = self.config.probe_every and self._due(self.config.probe_every)
        try:
            return self.watch.see(values, paint if due else None, log, self.state.step == self.config.steps)
        finally:
            self.timer.record("monitor")

    def _due(self, every: int) -> bool:
        """Return whether an activity that is done every `every` steps, and after the last one, is due."""
        return self.state.step % every == 0 or self.state.step == self.config.steps

    def validate(self, validator: PairValidator, log: RunLog) -> dict[str, float]:
        """Validate the averaged model, log its measures, and update best checkpoint, patience and content weight."""
        config, state = self.config, self.state
        self.timer.record("other")
        values = from_main(lambda: validator.measure(self.average.model()))
        check_finite({f"{name} of validation": value for name, value in values.items()}, state.step)
        logged = {**values, "score": validator.score(values, config)}
        if config.content_target:
            logged["content_weight"] = loss_weights(state.record, config).content  # used up to this validation
        state.record = decide(state.record, validator.key, state.step, values, config, logged["score"])
        log.validation(state.step, logged)
        self.accelerator.log({f"validation/{name}": value for name, value in logged.items()}, step=state.step)
        self.timer.record("validation")
        return logged

    def _log(self, terms: Means, log: RunLog) -> TrainingProgress:
        state, report = self.state, terms.means()
        pictures = self.config.phase(state.step - 1).batch / terms.seconds
        check_finite(report, state.step)
        shares = self.timer.shares()
        log.report(state.step, report, pictures, shares)
        self.accelerator.log({**report, "pictures_per_second": pictures}, step=state.step)
        where = " ".join(f"{name} {share:.0%}" for name, share in sorted(shares.items(), key=lambda s: -s[1])[:3])
        return TrainingProgress(state.step, self.config.steps, report, pictures, where)


def new_accelerator(config: TrainConfig, out: Path, cpu: bool) -> Accelerator:
    """Make a run's Accelerator, which selects the device and sets up precision, processes and TensorBoard."""
    return Accelerator(
        mixed_precision=config.mixed_precision,
        # Without cpu=True, a launcher's processes do not join one group on a machine without an accelerator.
        cpu=cpu or not torch.accelerator.is_available(),
        log_with="tensorboard",
        project_dir=str(out),
    )


def about_run(
    config: TrainConfig, task: TrainingTask[Any, Any], content: FolderReport | None, style: FolderReport
) -> dict[str, str]:
    """Return the metadata of a run's checkpoints: hashes of the pictures, seed, data, and hash of initial weights."""
    about = {f"{name}_digest": digest for name, digest in task.digests.items()}
    about |= {"seed": str(config.seed), "data": json.dumps(about_data(content, style))}
    return about | ({"started_from": config.started_from} if config.started_from else {})


def check_finite(values: Mapping[str, float], step: int) -> None:
    """Check that all of a step's values are finite.

    Raises:
        TrainingError: one of them is not.
    """
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if broken:
        raise TrainingError(
            f"{broken[0]} is not finite at step {step}; resume from the last checkpoint with a lower "
            "--set learning_rate"
        )
