"""The loop: alternate the two halves of the step, and log, sample, validate, save, stop and resume around them."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, TextIO, TypeAlias

import psutil
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sfumato.checkpoint import load_model
from sfumato.data.folders import FolderReport, about_data
from sfumato.errors import OutputError, TrainingError, UsageError
from sfumato.files import atomic_file, locked
from sfumato.image import write_image
from sfumato.losses.config import Game
from sfumato.parallel import (
    ProcessLostError,
    Rows,
    any_of,
    average_gradients,
    averages,
    from_main,
    is_main,
    spread_from_main,
    wait_for_all,
)
from sfumato.sheet import contact_sheet
from sfumato.training.arbitrary import Arbitrary
from sfumato.training.collection import Collection
from sfumato.training.config import Phase, TrainConfig
from sfumato.training.health import history_line, read_history, write_health
from sfumato.training.kinds import Kind
from sfumato.training.matching import Matching
from sfumato.training.monitor import Monitor
from sfumato.training.noise import NoiseKind
from sfumato.training.optim import EMA, learning_rate
from sfumato.training.probes import Painter, gradient_norm, weight_size
from sfumato.training.rules import BY_NAME
from sfumato.training.signals import SIGNALS
from sfumato.training.state import TrainingState, checkpoint, checkpoints, newest_until, remove_unfinished
from sfumato.training.step import GeneratorStep
from sfumato.training.throughput import Throughput, Ticks, throughput
from sfumato.training.validation import PairValidator, decide, loss_weights, reason_to_stop

MakeKind: TypeAlias = Callable[
    [TrainConfig, FolderReport | None, FolderReport, torch.device, Path | None, Path | None], Kind[Any, Any]
]
KINDS: dict[str, MakeKind] = {
    "arbitrary": Arbitrary,
    "collection": Collection,
    "noise": NoiseKind,
    "matching": Matching,
}

LOCK = ".lock"  # in a run: held by the training that writes into it
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # some disks of clusters: there nobody is kept out


@dataclass(frozen=True)
class Progress:
    """What the loop tells after every step."""

    step: int
    steps: int
    report: dict[str, float] | None = None  # the mean of each term since the last, at every `log_every` steps
    pictures_per_second: float = 0.0
    where_time_goes: str = ""
    validation: dict[str, float] | None = None  # figures, score and content weight, at every validation
    said: tuple[str, ...] = ()  # what the monitor has found and done, as sentences


@dataclass(frozen=True)
class Estimate:
    """What a run will take, measured on trial steps: seconds in all, and gigabytes of memory held."""

    seconds: float
    gigabytes: float
    memory: str  # which memory


class Interrupted(Exception):  # noqa: N818 - no error: what was asked for
    """A signal asked the run to stop; the checkpoint at `step` is safe."""

    def __init__(self, step: int, signal_number: int) -> None:
        super().__init__(f"stopped at step {step}")
        self.step, self.signal_number = step, signal_number


class Trainer:
    """One training run: `run()` goes from the last checkpoint (or from nothing) to the last step."""

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
        """`validation` is photos and paintings that training does not see; with fewer than 1 and 2 there is none.
        `start` is a model.safetensors whose weights a fresh run begins with (fine-tuning); its discriminator is new.

        `content` is None for kinds that learn from paintings alone.

        Raises:
            UsageError: the config asks for a content distance, and there is nothing to measure it on.
        """
        self.config, self.out = config, out
        self.accelerator = Accelerator(
            mixed_precision=config.mixed_precision,
            # Without it, processes that a launcher starts on a machine with no accelerator know nothing of each other.
            cpu=cpu or not torch.accelerator.is_available(),
            log_with="tensorboard",
            project_dir=str(out),
        )
        rows = Rows(self.accelerator.process_index, self.accelerator.num_processes)
        check_processes(config, rows.of)
        device = self.accelerator.device
        torch.manual_seed(config.seed)  # initial weights
        self.kind = KINDS[config.kind](config, content, style, device, cache, vgg_file)
        self.kind.rows = rows
        digests = {f"{name}_digest": digest for name, digest in self.kind.digests.items()}
        self.about = {**digests, "seed": str(config.seed), "data": json.dumps(about_data(content, style))}
        if config.started_from:
            self.about["started_from"] = config.started_from
        model, discriminator = self.kind.model, self.kind.discriminator
        self.newest = checkpoints(out)[-1:]  # as far as this training knows
        if not self.newest:
            self._begin(start)
        ema = EMA(model, config.ema_half_life)
        learnt = [p for p in model.parameters() if p.requires_grad]
        optimizers = (
            torch.optim.Adam(learnt, config.learning_rate, betas=(config.momentum, 0.99)),
            torch.optim.Adam(discriminator.parameters(), config.discriminator_learning_rate, betas=(0.0, 0.99)),
        )
        self.state = TrainingState(model, discriminator, *optimizers, ema, self.kind)
        # The average is sampled and shipped, never the last weights.
        self.averaged = self.kind.new_model().to(device).eval()
        self.validator = self.kind.validator(*validation) if validation else None
        if config.content_target and not self.validator:
            raise UsageError(
                "content_target needs pictures to measure on; give --manifest a CSV with rows of split `validation`, "
                "or --set hold_out=0.05, or --set content_target=0"
            )
        # The networks stay as they are. What Accelerate would wrap them in averages gradients as each is ready, for one
        # forward pass a step; here are several, of parts, and a penalty on slopes. `average_gradients` does it at once.
        self.optimizers = self.accelerator.prepare(*optimizers)
        self.ticks = Ticks()
        self.pictures = 0  # that have been trained on since it was started
        self.monitor = Monitor(config.monitor)
        self.probes = self.kind.probes() if config.look_every else None
        self.history: list[tuple[int, dict[str, float]]] = []  # what the monitor saw, for its page

    def _begin(self, start: Path | None) -> None:
        """A fresh run's networks: from what is learnt of the pictures before the first step, or from given weights."""
        if start is None:
            self.kind.fit()
            return
        found, _ = load_model(start)
        self.kind.begin_with(found, str(start))

    def resume(self) -> bool:
        """Take over the newest checkpoint, if there is one."""
        saved = checkpoints(self.out)
        if saved:
            about = self.state.restore(saved[-1])
            for name, digest in self.kind.digests.items():
                if about[f"{name}_digest"] != digest:
                    raise UsageError(
                        f"--{name} holds other pictures than {self.out} began with; give those (and the same "
                        "--manifest and hold_out), or a new --out"
                    )
            # Who resumes a run that was stopped wants it to go on.
            self.monitor = Monitor(self.config.monitor, self.state.monitor.model_copy(update={"verdict": ""}))
        return bool(saved)

    @property
    def stopped_early(self) -> str:
        """Why training has ended before its last step, as a sentence; empty where it has not."""
        reason = reason_to_stop(self.state.record, self.config) if self.state.step < self.config.steps else ""
        return reason and f"Stopped early at step {self.state.step} of {self.config.steps}: {reason}."

    def save(self) -> Path:
        self.state.monitor = self.monitor.state
        if is_main():
            self.state.save(self.out, self.config, self.about, self.monitor.healthy_step)
        wait_for_all()
        return checkpoint(self.out, self.state.step)

    def step(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One step of the generator and, in adversarial phases, one of the discriminator: its report, and what it tells
        the monitor, at steps that are logged and where something is not finite."""
        config, state = self.config, self.state
        rate = learning_rate(state.step, config.steps, config.warmup, config.final_learning_rate)
        rate *= self.monitor.effects.learning_rate
        rates = config.learning_rate, config.discriminator_learning_rate
        for optimizer, base in zip(self.optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = base * rate
        phase = config.phase(state.step)
        if state.step and phase is not config.phase(state.step - 1):
            self.monitor.begin_phase()
        logged = (state.step + 1) % config.log_every == 0 or state.step + 1 == config.steps
        report, signals = self._halves(state.step, phase, update=True, logged=logged)
        state.ema.update(state.model, phase.batch)
        self.pictures += phase.batch
        state.step += 1
        return report, signals

    def _halves(
        self, step: int, phase: Phase, update: bool, logged: bool = False
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The two halves of a step: losses, gradients and, with `update`, the optimisers' steps. A half whose gradient
        is not finite leaves the weights as they are."""
        config, state, accelerator = self.config, self.state, self.accelerator
        model, discriminator = state.model, state.discriminator
        g_optimizer, d_optimizer = self.optimizers
        self.ticks.lap("other")
        drawn = self.kind.draw(step, phase, self.ticks.lap)
        weights = loss_weights(state.record, config)
        opponent = discriminator if phase.adversarial and weights.adversarial else None
        game = self._game(phase)
        discriminator.requires_grad_(False)  # the generator's half needs its logits, not its gradients
        with accelerator.autocast():
            half = self.kind.generator_half(model, opponent, drawn, weights, game, step)
        accelerator.backward(half.loss)
        self._share(model, "generator")
        norm = accelerator.clip_grad_norm_(model.parameters(), config.clip)
        finite = bool(norm.isfinite())
        if update and finite:
            g_optimizer.step()
        g_optimizer.zero_grad()
        report = {**half.report, "gradient": norm.detach()}
        signals = {"loss": half.loss.detach(), "generator_gradient": norm.detach()}
        if logged:
            signals["weight_size"] = weight_size(p for p in model.parameters() if p.requires_grad)
            if opponent is not None and finite:
                signals["adversarial_gradient"] = self._adversarial_gradient(drawn, half, game, step)
        self.ticks.lap("generator")
        if not finite:  # the discriminator is not shown what came of it
            return report, signals

        discriminator.requires_grad_(True)
        if opponent is not None:
            with accelerator.autocast():
                loss, d_report = self.kind.discriminator_half(discriminator, drawn, half, game, step)
            accelerator.backward(loss)
            self._share(discriminator, "discriminator")
            norm = gradient_norm(discriminator.parameters())
            finite = bool(norm.isfinite())
            if update and finite:
                d_optimizer.step()
            d_optimizer.zero_grad()
            report |= d_report
            signals |= {"discriminator_loss": loss.detach(), "discriminator_gradient": norm}
            signals |= {name: value for name, value in d_report.items() if name in SIGNALS}
            self.ticks.lap("discriminator")
        return report, signals if logged or not finite else {}

    def _share(self, network: nn.Module, lap: str) -> None:
        """Average its gradients over processes."""
        if self.accelerator.num_processes > 1:
            self._wait()
            self.ticks.lap(lap)
            average_gradients(network.parameters())
            self._wait()
            self.ticks.lap("sharing")

    def _game(self, phase: Phase) -> Game:
        """The config's, with what the monitor has done to it."""
        game, effects = self.config.game, self.monitor.effects
        changes: dict[str, object] = {}
        if effects.augmentation:
            p = min(1.0, game.augment.p + effects.augmentation)
            changes["augment"] = game.augment.model_copy(update={"p": p})
        if effects.gamma != 1:
            # Where there was none, it begins at half of what StyleGAN2's recipes take (Karras et al. 2020): the first
            # time that it is raised doubles that.
            first = 0.0 if game.r1 or game.r2 else 0.0001 * phase.crop**2 / phase.batch
            changes |= {"r1": (game.r1 or first) * effects.gamma, "r2": game.r2 * effects.gamma}
        return game.model_copy(update=changes)

    def _adversarial_gradient(self, drawn: object, half: GeneratorStep, game: Game, step: int) -> Tensor:
        """Size of what the discriminator tells the outputs; nothing that training goes on with is touched."""
        opponent = self.state.discriminator
        opponent.eval()  # spectral norm's vectors move with every look in training
        with torch.enable_grad():
            fake = half.fake.detach().requires_grad_()
            loss = self.kind.told(opponent, drawn, replace(half, fake=fake), game, step)
            (gradient,) = torch.autograd.grad(loss, fake)
        opponent.train()
        norm: Tensor = gradient.float().norm()
        return norm

    def estimate(self) -> Estimate:
        """Time a step of each remaining phase, changing nothing, and add up: what the rest of the run will take."""
        networks, memory = (self.state.model, self.state.discriminator), self.kind.tensors()
        buffers = [(buffer, buffer.clone()) for network in networks for buffer in network.buffers()]
        seconds, first = 0.0, 0
        for phase in self.config.phases:
            left = min(phase.steps, first + phase.steps - self.state.step)
            if left > 0:
                self._halves(first, phase, update=False)  # warm-up, and the targets of these pictures
                self._wait()
                began = time.perf_counter()
                self._halves(first, phase, update=False)
                self._wait()
                seconds += left * (time.perf_counter() - began)
            first += phase.steps
        with torch.no_grad():  # spectral norm's vectors and running averages move with every look
            for buffer, before in buffers:
                buffer.copy_(before)
        self.kind.restore(memory)
        if self.validator:
            began, interval = time.perf_counter(), self.config.validation_interval
            if is_main():
                self.validator.judge(self.averaged_model(), pairs=1)
            wait_for_all()
            left = math.ceil(self.config.steps / interval) - self.state.step // interval
            seconds += left * len(self.validator.pairs) * (time.perf_counter() - began)
        self.ticks.restart()
        if torch.cuda.is_available() and self.accelerator.device.type == "cuda":
            return Estimate(seconds, torch.cuda.max_memory_allocated() / 1e9, "GPU")
        return Estimate(seconds, psutil.Process().memory_info().rss / 1e9, "main")

    def throughput(self) -> Throughput | None:
        """What the run has got through since it was started; None before its first step."""
        return throughput(self.ticks, self.pictures)

    def _wait(self) -> None:
        """Until the device has done what it was given."""
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize()

    def run(self, tell: Callable[[Progress], None]) -> None:
        """Train to the end, alone in the run's folder.

        Raises:
            TrainingError: a loss is not finite.
            Interrupted: after saving, on SIGINT and SIGTERM.
            UsageError: another training writes into the folder, or has since this one looked.
            OutputError: the folder cannot be written, or its disk is full.
        """
        try:
            with _alone(self.out) if is_main() else nullcontext():
                self._run(tell)
        except OSError as problem:
            if problem.errno not in _NO_ROOM:
                raise
            said = f"cannot write into {self.out}: {problem.strerror}; make room, and go on with --resume"
            raise OutputError(said) from problem
        finally:
            self.newest = checkpoints(self.out)[-1:]

    def _run(self, tell: Callable[[Progress], None]) -> None:
        if is_main():
            if checkpoints(self.out)[-1:] != self.newest:
                raise UsageError(f"another training has written into {self.out} meanwhile; give another --out")
            with atomic_file(self.out / "config.json") as file:
                file.write(self.config.model_dump_json(indent=1).encode())
            remove_unfinished(self.out)
            self.state.mark_best(self.out)  # a run that crashed may have left it behind or ahead of its checkpoint
            self._cut_log()
        wait_for_all()
        spread_from_main(tensor for _, tensor in self.state.tensors())  # machines may round differently
        self.accelerator.init_trackers("tensorboard")
        try:
            self._train(tell)
        finally:
            self.accelerator.end_training()

    def _train(self, tell: Callable[[Progress], None]) -> None:
        config, state = self.config, self.state
        sums: dict[str, list[Tensor]] = {}
        count, began, owed = 0, time.perf_counter(), False
        self.history = read_history(self.out / "log.jsonl") if is_main() else []
        paint = self.kind.painter(state.model)  # it makes the probes ready once, and not at every look
        with _stop_signal() as stop, (self.out / "log.jsonl" if is_main() else Path(os.devnull)).open("a") as log:
            while state.step < config.steps and not self.stopped_early:
                latest, signals = self.step()
                count += 1
                self.ticks.lap("other")
                latest = averages(latest)
                self.ticks.lap("sharing" if self.accelerator.num_processes > 1 else "other")
                finite = bool(torch.stack(list(latest.values())).isfinite().all())
                if finite:  # what is left out is not reported
                    for name, value in latest.items():
                        sums.setdefault(name, []).append(value)
                told = Progress(state.step, config.steps)
                if signals and (said := self._watch(signals, paint, log)):
                    told = replace(told, said=tuple(said))
                    if state.step < told.step:  # it went back
                        sums, count, began = {}, 0, time.perf_counter()
                        tell(replace(told, step=state.step))
                        continue
                if self._due(config.log_every) and sums:
                    report = {name: float(torch.stack(values).mean()) for name, values in sums.items()}
                    seconds = (time.perf_counter() - began) / count
                    told = replace(self._log(report, seconds, log), said=told.said)
                    sums, count, began = {}, 0, time.perf_counter()
                if self._due(config.sample_every):
                    self.sample()
                if self.validator and self._due(config.validation_interval):
                    told = replace(told, validation=self.validate(self.validator, log))
                # Asked once: a signal after this line waits for the next step's save.
                stopping = any_of(bool(stop), self.accelerator.device)
                owed |= self._due(config.checkpoint_every) or stopping or self._is_best() or bool(self.stopped_early)
                if owed and (finite or stopping or state.step == config.steps):  # or after a batch that can be used
                    if not stopping:
                        self._check_finite({name: float(value) for name, value in latest.items()})
                    self.save()
                    owed = False
                tell(told)
                if stopping and state.step < config.steps:
                    raise Interrupted(state.step, stop[0] if stop else signal.SIGTERM)

    def _watch(self, signals: dict[str, Tensor], paint: Painter, log: TextIO) -> list[str]:
        """Let the monitor see a step, and the probes where they are due; carry out what it decides.

        Raises:
            TrainingError: it has given the run up.
        """
        self.ticks.lap("other")
        config, state = self.config, self.state
        values = {name: float(value) for name, value in averages(signals).items()}
        if self.probes and all(map(math.isfinite, values.values())) and self._due(config.look_every):
            values |= from_main(lambda: self._look(paint))
        known = {finding.rule for finding in self.monitor.findings}
        findings = self.monitor.see(state.step, values)
        decision = self.monitor.decide()
        self.history.append((state.step, values))
        log.write(f"{history_line(state.step, values)}\n")
        said = [f"{BY_NAME[f.rule].sees} ({f.told})".removesuffix(" ()") for f in findings if f.rule not in known]
        if decision:
            said = [decision.reason]
            log.write(f"{json.dumps({'step': state.step, 'decision': decision.model_dump(mode='json')})}\n")
        log.flush()
        if said or len(values) > len(signals) or state.step == config.steps:
            self._write_health()
        self.ticks.lap("monitor")
        if decision and "stop" in decision.actions:
            raise TrainingError(decision.reason)
        if decision and "roll_back" in decision.actions:
            back = newest_until(self.out, decision.healthy_step)
            if back is None:
                said.append(f"There is no checkpoint of step {decision.healthy_step} or before to go back to.")
            else:
                state.restore(back)
                self.history = [look for look in self.history if look[0] <= state.step]
        return said

    def _look(self, paint: Painter) -> dict[str, float]:
        assert self.probes is not None, "whoever has none does not look"
        self.state.model.eval()
        with torch.no_grad():
            seen = self.probes.look(paint)
        self.state.model.train()
        return seen

    def _write_health(self) -> None:
        if not is_main():
            return
        state = self.monitor.state
        write_health(self.out / "health.html", self.history, self.monitor.all_findings, state.decisions)

    def _due(self, every: int) -> bool:
        """Whether what is done every so many steps, and at the end, is to be done after this step."""
        return self.state.step % every == 0 or self.state.step == self.config.steps

    def _is_best(self) -> bool:
        best = self.state.record.best
        return best is not None and best.step == self.state.step

    def validate(self, validator: PairValidator, log: TextIO) -> dict[str, float]:
        """Judge the average, log the figures, and decide: the best checkpoint, patience, and the weight of content."""
        config, state = self.config, self.state
        self.ticks.lap("other")
        figures = from_main(lambda: validator.judge(self.averaged_model()))
        self._check_finite({f"{name} of validation": value for name, value in figures.items()})
        told = {**figures, "score": validator.score(figures, config)}
        if config.content_target:
            told["content_weight"] = loss_weights(state.record, config).content  # that led here
        state.record = decide(state.record, validator.key, state.step, figures, config, told["score"])
        line = {name: round(value, 5) for name, value in told.items()}
        log.write(json.dumps({"step": state.step, "validation": line}) + "\n")
        log.flush()
        self.accelerator.log({f"validation/{name}": value for name, value in told.items()}, step=state.step)
        self.ticks.lap("validation")
        return told

    def _cut_log(self) -> None:
        """Drop the log's lines past the current step: a run that crashed wrote them, the last one maybe in part."""
        log = self.out / "log.jsonl"
        if log.is_file():
            lines = [line for line in log.read_text().splitlines() if _step(line) <= self.state.step]
            with atomic_file(log) as file:
                file.write("".join(f"{line}\n" for line in lines).encode())

    def _check_finite(self, report: dict[str, float]) -> None:
        broken = [name for name, value in report.items() if not math.isfinite(value)]
        if broken:
            raise TrainingError(
                f"{broken[0]} is not finite at step {self.state.step}; resume from the last checkpoint with a lower "
                "--set learning_rate"
            )

    def _log(self, report: dict[str, float], seconds: float, log: TextIO) -> Progress:
        state = self.state
        self._check_finite(report)
        pictures = self.config.phase(state.step - 1).batch / seconds
        shares = self.ticks.shares()
        extra = {"step": state.step, "pictures_per_second": round(pictures, 2), "time": shares}
        log.write(json.dumps({**extra, **{k: round(v, 5) for k, v in report.items()}}) + "\n")
        log.flush()
        self.accelerator.log({**report, "pictures_per_second": pictures}, step=state.step)
        where = " ".join(f"{name} {share:.0%}" for name, share in sorted(shares.items(), key=lambda s: -s[1])[:3])
        return Progress(state.step, self.config.steps, report, pictures, where)

    def averaged_model(self) -> Any:
        """The kind's model with the average of the weights so far, which is sampled, judged and shipped."""
        self.averaged.load_state_dict(self.state.model.state_dict())
        self.state.ema.copy_to(self.averaged)
        return self.averaged

    @torch.no_grad()
    def sample(self) -> None:
        """RUN/samples/STEP.png: fixed pictures, as the average makes them."""
        if not is_main():
            return
        rows = self.kind.samples(self.averaged_model())
        path = self.out / "samples" / f"{self.state.step:08d}.png"
        path.parent.mkdir(exist_ok=True)
        arrays = [[cell.cpu().numpy() for cell in row] for row in rows]
        cell = min(192, max(max(array.shape) for row in arrays for array in row))
        write_image(contact_sheet(arrays, [""] * len(rows), [""] * len(rows[0]), cell), path)


def _step(line: str) -> float:
    """The step of a log line; infinity for a torn one."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return float("inf")


@contextmanager
def _stop_signal() -> Iterator[list[int]]:
    """A list that holds the first SIGINT or SIGTERM; a second one ends the process at once, as it would have."""
    got: list[int] = []
    before: dict[int, Any] = {}

    def handler(number: int, frame: FrameType | None) -> None:
        got.append(number)
        for n, previous in before.items():
            signal.signal(n, previous)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, handler)
    except ValueError:  # not the main thread: signals are somebody else's business
        before.clear()
    try:
        yield got
    except ProcessLostError:
        # The launcher now ends all processes that are left. The message is to be said before.
        if signal.SIGTERM in before:
            before[signal.SIGTERM] = signal.SIG_IGN
        raise
    finally:
        for n, previous in before.items():
            signal.signal(n, previous)


def check_processes(config: TrainConfig, processes: int) -> None:
    """UsageError where a run of this config cannot be shared among so many processes."""
    if processes == 1:
        return
    for phase in config.phases:
        if phase.batch % processes:
            raise UsageError(
                f"a batch of {phase.batch} cannot be shared evenly by {processes} processes; --set phases with a batch "
                f"that is a multiple of {processes}"
            )
    if config.kind == "collection" and config.collection.normalization == "batch":
        raise UsageError(
            "collection.normalization=batch needs the whole batch in one process: each would normalise by its part's "
            "statistics, and train another network; train in one, or --set collection.normalization=instance"
        )


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Holds a run's lock.

    Raises:
        UsageError: another training holds it.
        OutputError: the folder cannot be written.
    """
    with ExitStack() as held:
        try:
            out.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(out / LOCK))
        except BlockingIOError as problem:
            raise UsageError(
                f"another training writes into {out}; wait for its end, or give another --out"
            ) from problem
        except OSError as problem:
            if problem.errno not in _NO_LOCKS:
                raise OutputError(f"cannot write into {out}: {problem.strerror or problem}") from problem
        yield


def check_out(out: Path, resume: bool) -> None:
    """UsageError where a training writes into a run, where one is already there and `--resume` was not given, or was
    and no run is there."""
    if (out / LOCK).is_file() and os.environ.get("RANK", "0") == "0":  # of several processes the first holds the lock
        with suppress(OutputError), _alone(out):  # a run that is only read is not written
            pass
    if resume and not (out / "config.json").is_file():
        raise UsageError(f"{out} holds no run to go on with; check the name, or leave --resume out to begin one")
    if not resume and checkpoints(out):
        raise UsageError(f"{out} already holds a run; add --resume to go on with it, or give another --out")
