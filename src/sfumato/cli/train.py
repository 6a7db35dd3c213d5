"""``sfumato train``: folders in, a run out. It loads the folders, then estimates, then the loop with its progress."""

from __future__ import annotations

import json
import os
import shlex
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.output import console, say_json
from sfumato.errors import ModelError, UsageError, needs_extra
from sfumato.files import digest, read_json
from sfumato.onnx_file import MAX_GRAPH_BYTES

if TYPE_CHECKING:
    from sfumato.cli.console import PlainConsole
    from sfumato.data.folders import FolderReport
    from sfumato.training.config import TrainConfig
    from sfumato.training.loop import Trainer

USE = {  # by kind
    "arbitrary": "sfumato stylize ... --model MODEL",
    "collection": "sfumato stylize ... --model MODEL",
    "noise": "sfumato imagine --model MODEL -o PICTURES/",
    "matching": "sfumato stylize ... --model MODEL",
}
UNJUDGED = {
    "collection": "a collection has no pairs to judge",
    "noise": "there is no photo to hold these pictures to",
}


class Kind(StrEnum):
    """Of `training.config.KindName`."""

    arbitrary = "arbitrary"
    collection = "collection"
    noise = "noise"
    matching = "matching"


def train(
    style: Annotated[
        Path, typer.Option(help="Folder of paintings, flat or with one folder an artist.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run: checkpoints, samples, log.", show_default=False)],
    content: Annotated[
        Path | None, typer.Option(help="Folder of photos; not for kind noise.", show_default=False)
    ] = None,
    recipe: Annotated[str, typer.Option(help="tiny, laptop, flagship, or a .toml file.")] = "laptop",
    kind: Annotated[
        Kind | None,
        typer.Option(
            help="arbitrary: any style, by its picture; collection: one painter's works; noise: small pictures of no "
            "photo; matching: any style, from features of the painting. \\[default: arbitrary]",
            show_default=False,
        ),
    ] = None,
    cycle: Annotated[
        bool, typer.Option("--cycle", help="A collection by CycleGAN, there and back, instead of by contrast.")
    ] = False,
    manifest: Annotated[
        Path | None,
        typer.Option(help="CSV with columns file, split: rows of split `train` train, of `validation` validate."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN|FILE|shipped",
            help="Begin with the weights of another run, of a model.safetensors, or with those that ship with Sfumato, "
            "instead of from nothing.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's newest checkpoint.")] = False,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the recipe.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print config, folders and estimate; train nothing, write nothing.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto or cpu.")] = "auto",
    vgg: Annotated[
        Path | None, typer.Option(help="torchvision's vgg19 .pth, instead of the 8-bit copy of the extra.")
    ] = None,
    max_pixels: MaxPixels = None,
) -> None:
    """Train a model on your photos and paintings, or on paintings alone."""
    if device not in ("auto", "cpu"):
        raise UsageError(f"--device must be auto or cpu, but is {device}; which GPU is CUDA_VISIBLE_DEVICES' to say")
    # Before torch is imported, which takes seconds: a mistake in an option is told at once.
    stored = _stored_config(out, overrides or []) if resume else None
    config = stored or _new_config(recipe, kind, cycle, overrides or [])
    if kind not in (None, config.kind):
        raise UsageError(f"{out} is a run of the kind {config.kind!r}; leave --kind out, or give another --out")
    _check_needs(config, content)
    with needs_extra("train", "Training"):
        from sfumato.training.loop import Interrupted, Trainer
        from sfumato.training.run_folder import check_out
        from sfumato.training.state import checkpoints

    # Started by a launcher, one process speaks for all; what goes wrong is said by whichever it happens to.
    screen = console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")
    check_out(out, resume)
    weights = None if start is None or (resume and checkpoints(out)) else _weights(start)
    if weights:
        started = _digest(weights)
        if resume and config.started_from != started:
            raise UsageError(f"{out} began with other weights than those of --from; give the same, or another --out")
        config = config.model_copy(update={"started_from": started})
    elif config.started_from and not checkpoints(out):
        raise UsageError(f"{out} began with given weights and holds no checkpoint yet; give them again as --from")
    photos = _load_folder(screen, content, manifest, config, config.short_side) if content else None
    paintings = _load_folder(screen, style, manifest, config, config.painting_side)
    _say_whether_ours(screen, *(report for report in (photos, paintings) if report))
    apart = _load_validation_folders(screen, photos, paintings, manifest, config) if photos else None
    with screen.status("Preparing the networks and what they learn from"):
        trainer = Trainer(
            config,
            photos,
            paintings,
            out,
            cache=None if dry_run else out / "cache",
            vgg_file=vgg,
            cpu=device == "cpu",
            validation=apart,
            start=weights,
        )
        found = resume and trainer.resume()
    again = _resuming(content=content, style=style, manifest=manifest, vgg=vgg, device=device, out=out)
    if trainer.stopped_early:
        _say_end(screen, trainer, again)
        return
    if resume:
        screen.print(
            f"Going on from step {trainer.state.step} of {config.steps}."
            if found
            else f"{out} holds no checkpoint yet: starting from step 0."
        )
    _say_what_judges(screen, trainer, apart)
    if dry_run and not screen.quiet:
        say_json(json.loads(config.model_dump_json()), 1)
    with screen.status("Timing a few steps"):
        estimate = trainer.estimate()
    screen.print(
        f"{config.steps - trainer.state.step} steps on {trainer.accelerator.device}: "
        f"about {_duration(estimate.seconds)}, {estimate.gigabytes:.1f} GB of {estimate.memory} memory."
    )
    if dry_run:  # what it costs is the last line, and not somewhere above the config
        return
    try:
        _run(screen, trainer)
    except Interrupted as stopped:
        message = f"Stopped and saved at step {stopped.step}. To go on: {again}"
        screen.print(message, soft_wrap=True)
        raise typer.Exit(128 + stopped.signal_number) from stopped
    _say_end(screen, trainer, again)


def _new_config(recipe: str, kind: Kind | None, cycle: bool, overrides: list[str]) -> TrainConfig:
    from sfumato.training.config import CYCLE, load_recipe

    config = load_recipe(recipe, [*(CYCLE if cycle else ()), *overrides], kind and kind.value)
    if cycle and config.kind != "collection":
        raise UsageError("--cycle is how a collection is trained; add --kind collection")
    return config


def _weights(start: Path) -> Path:
    """The model.safetensors that `--from` names."""
    from sfumato.assets import weights_dir
    from sfumato.training.state import shipped_weights

    if start == Path("shipped") and not start.exists():
        start = weights_dir()
    if (start / "card.json").is_file():  # an exported model
        if not (found := start / "model.safetensors").is_file():
            raise ModelError(
                f"{start} has no weights to go on from (model.safetensors); give its run, or export it again"
            )
        return found
    return start if start.is_file() else shipped_weights(start)[0]


def _digest(weights: Path) -> str:
    try:
        return digest(weights, MAX_GRAPH_BYTES)
    except OSError as problem:
        raise ModelError(f"cannot read {weights}: {problem.strerror}; give another --from") from problem


def _resuming(**options: object) -> str:
    """The command that goes on with a run of these options."""
    several = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    start = ["torchrun", f"--nproc-per-node={several}", "-m"] if several > 1 else []
    words = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    return shlex.join([*start, "sfumato", "train", *words, "--resume"])


def _check_needs(config: TrainConfig, content: Path | None) -> None:
    """UsageError where the photos that this kind needs are missing, or some that it has no use for are there."""
    if config.has_photos and content is None:
        raise UsageError("training needs photos; give their folder as --content, or train --kind noise without any")
    if not config.has_photos and content is not None:
        raise UsageError(f"kind {config.kind} learns from the paintings of --style alone; leave --content out")


def _stored_config(out: Path, overrides: list[str]) -> TrainConfig | None:
    from sfumato.config import apply_overrides
    from sfumato.training.config import TrainConfig

    path = out / "config.json"
    if not path.is_file():
        return None
    try:
        stored = read_json(path)
    except (OSError, ValueError) as problem:
        raise ModelError(f"cannot read {path}: {problem}; remove it, or name another folder") from problem
    if not isinstance(stored, dict):
        raise ModelError(f"{path} holds no configuration; remove it, or name another folder")
    return TrainConfig.parse(apply_overrides(stored, overrides), str(path))


def _load_folder(
    screen: PlainConsole, folder: Path, manifest: Path | None, config: TrainConfig, short: int
) -> FolderReport:
    from rich.markup import escape
    from rich.progress import Progress

    from sfumato.data.folders import load_folder

    min_pictures = max(2, max(phase.batch for phase in config.phases) // 2)
    with Progress(console=screen, transient=True) as progress:
        task = progress.add_task(f"Looking over {escape(str(folder))}")
        report = load_folder(
            folder,
            manifest,
            short=short,
            min_pictures=min_pictures,
            hold_out=config.hold_out,
            tick=lambda done, total: progress.update(task, completed=done, total=total),
        )
    for line in report.lines():
        screen.print(line)
    return report


def _load_validation_folders(
    screen: PlainConsole, photos: FolderReport, paintings: FolderReport, manifest: Path | None, config: TrainConfig
) -> tuple[FolderReport, FolderReport] | None:
    """Photos and paintings to validate with; None where the config asks for no validation."""
    from sfumato.data.folders import load_validation_folder

    if not config.is_validated:
        return None
    known = {picture.sha256 for report in (photos, paintings) for picture in report.pictures}
    with screen.status("Looking over what there is to validate with"):
        first, second = (
            load_validation_folder(report, manifest, short=short, trained_on=known)
            for report, short in ((photos, config.short_side), (paintings, config.painting_side))
        )
    return first, second


def _say_what_judges(screen: PlainConsole, trainer: Trainer, apart: tuple[FolderReport, FolderReport] | None) -> None:
    """Sizes of the validation set, or why there is none; what was left out of it."""
    config = trainer.config
    if config.kind in UNJUDGED:
        screen.print(f"No validation: {UNJUDGED[config.kind]}. Look at the samples; the newest is exported.")
    if apart is None:
        return
    photos, paintings = (len(report.pictures) for report in apart)
    if trainer.validator:
        plan = f"{len(trainer.validator.pairs)} pairs judged every {config.validation_interval} steps"
        steered = f", content steered to {config.content_target:g}" if config.content_target else ""
        summary = f"Validation: {photos} photos and {paintings} paintings, {plan}{steered}"
    else:
        summary = (
            f"No validation: {photos} photos and {paintings} paintings are kept apart, and it takes 1 and 2 (rows of "
            "split `validation` in --manifest, or a larger --set hold_out, a share of each folder)"
        )
    for line in (summary, *(line for report in apart for line in report.lines()[1:])):
        screen.print(line)


def _say_end(screen: PlainConsole, trainer: Trainer, again: str) -> None:
    """Whether the run stopped early, and how to go on; its best checkpoint, and how to use it."""
    if trainer.stopped_early:
        message = f"{trainer.stopped_early} To go on all the same: {again} --set patience=0"
        screen.print(message, soft_wrap=True)
    if best := trainer.state.record.best:
        screen.print(f"Best by validation, and so what is exported: step {best.step}, score {best.score:.3f}.")
    if passed := trainer.throughput():
        for line in passed.lines():
            screen.print(line, soft_wrap=True)
    out = trainer.out
    screen.print(f"Done: {out}. To use it: sfumato export {out} -o MODEL; {USE[trainer.config.kind]}")


def _say_whether_ours(screen: PlainConsole, *reports: FolderReport) -> None:
    """Whether these are the pictures that the shipped weights saw, by hash."""
    from sfumato.assets import training_hashes

    ours = training_hashes()
    mine = {picture.sha256[:16] for report in reports for picture in report.pictures}
    if ours and mine == ours:
        screen.print("These are exactly the pictures that the shipped weights were trained on.")
    elif shared := len(ours & mine):
        screen.print(f"{shared} of these {len(mine)} pictures are among the {len(ours)} that the shipped weights saw.")


def _run(screen: PlainConsole, trainer: Trainer) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    from sfumato.training.loop import TrainingProgress

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    bar, status = Progress(*columns), Text()
    task = bar.add_task("", total=trainer.config.steps, completed=trainer.state.step)

    judged = ""

    def show(progress: TrainingProgress) -> None:
        nonlocal judged
        bar.update(task, completed=progress.step)
        for sentence in progress.messages:
            screen.print(f"step {progress.step}: {sentence}", soft_wrap=True)
        if progress.validation:
            judged = "  ".join(f"{name} {value:.3f}" for name, value in progress.validation.items())
            if not screen.is_terminal:
                screen.print(f"step {progress.step} of {progress.steps}  validation: {judged}", soft_wrap=True)
        if progress.report:
            terms = {"content": "content", "style": "statistics", "gram": "gram", "contrast": "contrast"}
            terms |= {"reconstruction": "reconstruction", "matched": "matched"}
            terms |= {"cycle": "cycle", "D accuracy": "d_accuracy"}
            figures = "  ".join(f"{k} {progress.report[v]:.2f}" for k, v in terms.items() if v in progress.report)
            line = f"{figures}  {progress.pictures_per_second:.1f} pictures/s  ({progress.where_time_goes})"
            if screen.is_terminal:
                status.plain = f"{line}\nvalidation: {judged}" if judged else line
            else:  # a night under nohup should say something
                screen.print(f"step {progress.step} of {progress.steps}  {line}", soft_wrap=True)

    with Live(Group(bar, status), console=screen, refresh_per_second=4):
        trainer.run(show)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
