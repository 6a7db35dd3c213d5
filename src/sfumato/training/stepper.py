"""Training steps: one update of the generator and, in adversarial phases, one of the discriminator.

The run's `TrainingTask` computes the losses; this module does gradients, clipping and the optimisers' steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sfumato.losses.config import AdversarialConfig
from sfumato.parallel import average_gradients
from sfumato.training.config import Phase, TrainConfig
from sfumato.training.findings import Effects
from sfumato.training.optim import learning_rate
from sfumato.training.probes import gradient_norm, weight_size
from sfumato.training.signals import SIGNALS
from sfumato.training.state import TrainingState
from sfumato.training.step import GeneratorOutput
from sfumato.training.tasks import TrainingTask
from sfumato.training.throughput import StepTimer
from sfumato.training.validation import loss_weights

Report = dict[str, Tensor]


@dataclass(frozen=True)
class _StepContext:
    """A step's batch and settings, shared by both updates."""

    step: int
    batch: Any  # the batch that the task drew
    adversarial: AdversarialConfig
    opponent: nn.Module | None  # the discriminator; None in phases that are not adversarial
    apply: bool  # whether the optimisers step
    logged: bool  # whether the step is logged, so that all signals are needed


class Stepper:
    """The executor of training steps.

    Args:
        config: the run's config.
        state: the run's state, which steps change.
        task: computes batches and losses.
        accelerator: the run's Accelerator.
        optimizers: those of the generator and of the discriminator.
        timer: records the time of each part of a step.
    """

    def __init__(
        self,
        config: TrainConfig,
        state: TrainingState,
        task: TrainingTask[Any, Any],
        accelerator: Accelerator,
        optimizers: Sequence[Any],
        timer: StepTimer,
    ) -> None:
        self.config, self.state, self.task, self.accelerator, self.timer = config, state, task, accelerator, timer
        self.optimizers = tuple(optimizers)

    def step(self, effects: Effects) -> tuple[Report, Report]:
        """Do the next step under the monitor's effects on the config.

        Returns:
            The step's report; and its signals for the monitor, at logged steps and at steps with values that are not
            finite, otherwise empty.
        """
        config, state = self.config, self.state
        rate = learning_rate(state.step, config.steps, config.warmup, config.final_learning_rate)
        rate *= effects.learning_rate
        rates = config.learning_rate, config.discriminator_learning_rate
        for optimizer, base in zip(self.optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = base * rate
        phase = config.phase(state.step)
        logged = (state.step + 1) % config.log_every == 0 or state.step + 1 == config.steps
        found = self.updates(state.step, phase, effects, apply=True, logged=logged)
        state.ema.update(state.model, phase.batch)
        state.step += 1
        return found

    def updates(
        self, step: int, phase: Phase, effects: Effects, apply: bool, logged: bool = False
    ) -> tuple[Report, Report]:
        """Compute losses and gradients of both networks and, with `apply`, update the weights.

        A network whose gradient is not finite is not updated.

        Returns:
            Report and signals, as from `step`.
        """
        self.timer.record("other")
        batch = self.task.draw(step, phase, self.timer.record)
        adversarial = phase.adversarial and loss_weights(self.state.record, self.config).adversarial
        opponent = self.state.discriminator if adversarial else None
        context = _StepContext(step, batch, self.adversarial_config(phase, effects), opponent, apply, logged)
        output, report, signals = self._update_generator(context)
        self.timer.record("generator")
        if not report["gradient"].isfinite():  # the discriminator is not trained on such outputs
            return report, signals
        self.state.discriminator.requires_grad_(True)
        finite = True
        if opponent is not None:
            d_report, d_signals, finite = self._update_discriminator(opponent, context, output)
            report |= d_report
            signals |= d_signals
            self.timer.record("discriminator")
        return report, signals if logged or not finite else {}

    def _update_generator(self, context: _StepContext) -> tuple[GeneratorOutput, Report, Report]:
        model, (optimizer, _) = self.state.model, self.optimizers
        weights = loss_weights(self.state.record, self.config)
        self.state.discriminator.requires_grad_(False)  # only gradients of the generator are needed here
        with self.accelerator.autocast():
            output = self.task.generator_step(
                model, context.opponent, context.batch, weights, context.adversarial, context.step
            )
        self.accelerator.backward(output.loss)
        self._average_gradients(model, "generator")
        norm = self.accelerator.clip_grad_norm_(model.parameters(), self.config.clip)
        finite = bool(norm.isfinite())
        if context.apply and finite:
            optimizer.step()
        optimizer.zero_grad()
        report = {**output.report, "gradient": norm.detach()}
        signals = {"loss": output.loss.detach(), "generator_gradient": norm.detach()}
        if context.logged:
            signals["weight_size"] = weight_size(p for p in model.parameters() if p.requires_grad)
            if context.opponent is not None and finite:
                signals["adversarial_gradient"] = self._adversarial_gradient(context.opponent, context, output)
        return output, report, signals

    def _update_discriminator(
        self, discriminator: nn.Module, context: _StepContext, output: GeneratorOutput
    ) -> tuple[Report, Report, bool]:
        """Update the discriminator; return its report, its signals, and whether its gradient is finite."""
        _, optimizer = self.optimizers
        with self.accelerator.autocast():
            loss, report = self.task.discriminator_step(
                discriminator, context.batch, output, context.adversarial, context.step
            )
        self.accelerator.backward(loss)
        self._average_gradients(discriminator, "discriminator")
        norm = gradient_norm(discriminator.parameters())
        finite = bool(norm.isfinite())
        if context.apply and finite:
            optimizer.step()
        optimizer.zero_grad()
        signals = {"discriminator_loss": loss.detach(), "discriminator_gradient": norm}
        signals |= {name: value for name, value in report.items() if name in SIGNALS}
        return report, signals, finite

    def _adversarial_gradient(self, opponent: nn.Module, context: _StepContext, output: GeneratorOutput) -> Tensor:
        """Return the norm of the adversarial loss's gradient at the outputs; the training state stays unchanged."""
        opponent.eval()  # in training mode every forward pass changes spectral norm's vectors
        with torch.enable_grad():
            fake = output.fake.detach().requires_grad_()
            loss = self.task.adversarial_loss(
                opponent, context.batch, replace(output, fake=fake), context.adversarial, context.step
            )
            (gradient,) = torch.autograd.grad(loss, fake)
        opponent.train()
        norm: Tensor = gradient.float().norm()
        return norm

    def adversarial_config(self, phase: Phase, effects: Effects) -> AdversarialConfig:
        """Return the config's adversarial settings with the monitor's effects."""
        adversarial = self.config.adversarial
        changes: dict[str, object] = {}
        if effects.augmentation:
            p = min(1.0, adversarial.augment.p + effects.augmentation)
            changes["augment"] = adversarial.augment.model_copy(update={"p": p})
        if effects.gamma != 1:
            # Without a penalty in the config, γ starts from half of StyleGAN2's value (Karras et al. 2020), because the
            # first `raise_gamma` doubles it.
            first = 0.0 if adversarial.r1 or adversarial.r2 else 0.0001 * phase.crop**2 / phase.batch
            changes |= {"r1": (adversarial.r1 or first) * effects.gamma, "r2": adversarial.r2 * effects.gamma}
        return adversarial.model_copy(update=changes)

    def wait(self) -> None:
        """Wait until the GPU has finished all queued work."""
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize()

    def _average_gradients(self, network: nn.Module, part: str) -> None:
        """Average a network's gradients over processes."""
        if self.accelerator.num_processes > 1:
            self.wait()
            self.timer.record(part)
            average_gradients(network.parameters())
            self.wait()
            self.timer.record("sharing")
