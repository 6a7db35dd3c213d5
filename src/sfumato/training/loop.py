"""The loop: alternate the two halves of the step, and log, sample, validate, save, stop and resume around them."""

from __future__ import annotations

import json
import math
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

import psutil
import torch
from accelerate import Accelerator
from torch import Tensor

from sfumato.data.folders import FolderReport
from sfumato.errors import TrainingError, UsageError
from sfumato.files import atomic_file
from sfumato.image import write_image
from sfumato.sheet import contact_sheet
from sfumato.training.arbitrary import Arbitrary
from sfumato.training.config import Phase, TrainConfig
from sfumato.training.kinds import Kind
from sfumato.training.noise import NoiseKind
from sfumato.training.optim import EMA, learning_rate
from sfumato.training.state import TrainingState, checkpoints, remove_unfinished
from sfumato.training.validation import Validator, decide, loss_weights, reason_to_stop, score

KINDS: dict[str, Callable[..., Kind[Any, Any]]] = {"arbitrary": Arbitrary, "noise": NoiseKind}


@dataclass
class Ticks:
    """Seconds spent by name since the last report: where the time goes."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    last: float = field(default_factory=time.perf_counter)

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] += now - self.last
        self.last = now

    def shares(self) -> dict[str, float]:
        """Share of each name, and a fresh start."""
        total = sum(self.seconds.values()) or 1.0
        shares = {name: round(s / total, 3) for name, s in self.seconds.items()}
        self.seconds.clear()
        return shares


@dataclass(frozen=True)
class Progress:
    """What the loop tells after every step."""

    step: int
    steps: int
    report: dict[str, float] | None = None  # the mean of each term since the last, at every `log_every` steps
    pictures_per_second: float = 0.0
    where_time_goes: str = ""
    validation: dict[str, float] | None = None  # figures, score and content weight, at every validation


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
    ) -> None:
        """`validation` is photos and paintings that training does not see; with fewer than 1 and 2 there is none.

        `content` is None for kinds that learn from paintings alone.

        Raises:
            UsageError: the config asks for a content distance, and there is nothing to measure it on.
        """
        self.config, self.out = config, out
        self.accelerator = Accelerator(
            mixed_precision=config.mixed_precision, cpu=cpu, log_with="tensorboard", project_dir=str(out)
        )
        if self.accelerator.num_processes > 1:
            raise UsageError("training runs in one process so far; start it with `sfumato train`, not a launcher")
        device = self.accelerator.device
        torch.backends.cudnn.benchmark = True  # few sizes, each met thousands of times
        torch.manual_seed(config.seed)  # initial weights
        self.kind: Kind[Any, Any] = KINDS[config.kind](config, content, style, device, cache, vgg_file)
        digests = {f"{name}_digest": digest for name, digest in self.kind.digests.items()}
        self.about = {**digests, "seed": str(config.seed)}
        model, discriminator = self.kind.model, self.kind.discriminator
        if not checkpoints(out):
            self.kind.fit()
        ema = EMA(model, config.ema_half_life)
        learnt = [p for p in model.parameters() if p.requires_grad]
        optimizers = (
            torch.optim.Adam(learnt, config.learning_rate, betas=(config.momentum, 0.99)),
            torch.optim.Adam(discriminator.parameters(), config.discriminator_learning_rate, betas=(0.0, 0.99)),
        )
        self.state = TrainingState(model, discriminator, *optimizers, ema)
        # The average is sampled and shipped, never the last weights.
        self.averaged = self.kind.new_model().to(device).eval()
        self.validator = self.kind.validator(*validation) if validation else None
        if config.content_target and not self.validator:
            raise UsageError(
                "content_target needs pictures to measure on; give --manifest a CSV with rows of split `validation`, "
                "or --set hold_out=0.05, or --set content_target=0"
            )
        self.prepared = self.accelerator.prepare(model, discriminator, *optimizers)
        self.ticks = Ticks()

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
        return bool(saved)

    @property
    def stopped_early(self) -> str:
        """Why training has ended before its last step, as a sentence; empty where it has not."""
        reason = reason_to_stop(self.state.record, self.config) if self.state.step < self.config.steps else ""
        return reason and f"Stopped early at step {self.state.step} of {self.config.steps}: {reason}."

    def save(self) -> Path:
        return self.state.save(self.out, self.config, self.about)

    def step(self) -> dict[str, Tensor]:
        """One step of the generator and, in adversarial phases, one of the discriminator."""
        config, state = self.config, self.state
        rate = learning_rate(state.step, config.steps, config.warmup, config.final_learning_rate)
        _, _, g_optimizer, d_optimizer = self.prepared
        for optimizer, base in ((g_optimizer, config.learning_rate), (d_optimizer, config.discriminator_learning_rate)):
            for group in optimizer.param_groups:
                group["lr"] = base * rate
        phase = config.phase(state.step)
        report = self._halves(state.step, phase, update=True)
        state.ema.update(state.model, phase.batch)
        state.step += 1
        return report

    def _halves(self, step: int, phase: Phase, update: bool) -> dict[str, Tensor]:
        """The two halves of a step: losses, gradients and, with `update`, the optimisers' steps."""
        config, state, accelerator = self.config, self.state, self.accelerator
        model, discriminator, g_optimizer, d_optimizer = self.prepared
        self.ticks.lap("other")
        drawn = self.kind.draw(step, phase, self.ticks.lap)
        weights = loss_weights(state.record, config)
        opponent = discriminator if phase.adversarial and weights.adversarial else None
        state.discriminator.requires_grad_(False)  # the generator's half needs its logits, not its gradients
        with accelerator.autocast():
            half = self.kind.generator_half(model, opponent, drawn, weights, config.game, step)
        accelerator.backward(half.loss)
        norm = accelerator.clip_grad_norm_(model.parameters(), config.clip)
        if update:
            g_optimizer.step()
        g_optimizer.zero_grad()
        report = {**half.report, "gradient": norm.detach()}
        self.ticks.lap("generator")

        state.discriminator.requires_grad_(True)
        if opponent is not None:
            with accelerator.autocast():
                loss, d_report = self.kind.discriminator_half(discriminator, drawn, half, config.game, step)
            accelerator.backward(loss)
            if update:
                d_optimizer.step()
            d_optimizer.zero_grad()
            report |= d_report
            self.ticks.lap("discriminator")
        return report

    def estimate(self) -> Estimate:
        """Time a step of each remaining phase, changing nothing, and add up: what the rest of the run will take."""
        buffers = {name: tensor.clone() for name, tensor in self.state.discriminator.state_dict().items()}
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
        self.state.discriminator.load_state_dict(buffers)  # spectral norm's vectors move with every look
        if self.validator:
            began, interval = time.perf_counter(), self.config.validation_interval
            self.validator.judge(self.averaged_model(), pairs=1)
            left = math.ceil(self.config.steps / interval) - self.state.step // interval
            seconds += left * len(self.validator.pairs) * (time.perf_counter() - began)
        self.ticks.shares()
        if torch.cuda.is_available() and self.accelerator.device.type == "cuda":
            return Estimate(seconds, torch.cuda.max_memory_allocated() / 1e9, "GPU")
        return Estimate(seconds, psutil.Process().memory_info().rss / 1e9, "main")

    def _wait(self) -> None:
        """Until the device has done what it was given."""
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize()

    def run(self, tell: Callable[[Progress], None]) -> None:
        """Train to the end. TrainingError where a loss is not finite; Interrupted (after saving) on SIGINT, SIGTERM."""
        self.out.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.out / "config.json") as file:
            file.write(self.config.model_dump_json(indent=1).encode())
        remove_unfinished(self.out)
        self.state.mark_best(self.out)  # a run that crashed may have left it behind or ahead of its checkpoint
        self._cut_log()
        self.accelerator.init_trackers("tensorboard")
        try:
            self._train(tell)
        finally:
            self.accelerator.end_training()

    def _train(self, tell: Callable[[Progress], None]) -> None:
        config, state = self.config, self.state
        sums: dict[str, list[Tensor]] = {}
        count, began = 0, time.perf_counter()
        with _stop_signal() as stop, (self.out / "log.jsonl").open("a") as log:
            while state.step < config.steps and not self.stopped_early:
                latest = self.step()
                for name, value in latest.items():
                    sums.setdefault(name, []).append(value)
                count += 1
                told = Progress(state.step, config.steps)
                if self._due(config.log_every):
                    report = {name: float(torch.stack(values).mean()) for name, values in sums.items()}
                    seconds = (time.perf_counter() - began) / count
                    told = self._log(report, seconds, log)
                    sums, count, began = {}, 0, time.perf_counter()
                if self._due(config.sample_every):
                    self.sample()
                if self.validator and self._due(config.validation_interval):
                    told = replace(told, validation=self.validate(self.validator, log))
                stopping = bool(stop)  # asked once: a signal after this line waits for the next step's save
                if self._due(config.checkpoint_every) or stopping or self._is_best() or self.stopped_early:
                    self._check_finite({name: float(value) for name, value in latest.items()})
                    self.save()
                tell(told)
                if stopping and state.step < config.steps:
                    raise Interrupted(state.step, stop[0])

    def _due(self, every: int) -> bool:
        """Whether what is done every so many steps, and at the end, is to be done after this step."""
        return self.state.step % every == 0 or self.state.step == self.config.steps

    def _is_best(self) -> bool:
        best = self.state.record.best
        return best is not None and best.step == self.state.step

    def validate(self, validator: Validator, log: TextIO) -> dict[str, float]:
        """Judge the average, log the figures, and decide: the best checkpoint, patience, and the weight of content."""
        config, state = self.config, self.state
        self.ticks.lap("other")
        figures = validator.judge(self.averaged_model())
        self._check_finite({f"{name} of validation": value for name, value in figures.items()})
        told = {**figures, "score": score(figures, config.content_target, config.content_exchange)}
        if config.content_target:
            told["content_weight"] = loss_weights(state.record, config).content  # that led here
        state.record = decide(state.record, validator.key, state.step, figures, config)
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

    def averaged_model(self) -> Any:  # of the type that the kind, and so its validator, works with
        """The model with the average of the weights so far, which is sampled, judged and shipped."""
        self.averaged.load_state_dict(self.state.model.state_dict())
        self.state.ema.copy_to(self.averaged)
        return self.averaged

    @torch.no_grad()
    def sample(self) -> None:
        """RUN/samples/STEP.png: fixed pictures, as the average makes them."""
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
    finally:
        for n, previous in before.items():
            signal.signal(n, previous)


def check_out(out: Path, resume: bool) -> None:
    """UsageError where a run is already there and `--resume` was not given."""
    if not resume and checkpoints(out):
        raise UsageError(f"{out} already holds a run; add --resume to go on with it, or give another --out")
