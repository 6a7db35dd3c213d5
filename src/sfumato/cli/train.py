"""``sfumato train``: load the folders, estimate time and memory, and train with a progress display."""

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
from sfumato.cli.training_progress import duration, run_with_progress
from sfumato.errors import ModelError, UsageError, needs_extra
from sfumato.files import digest, read_json
from sfumato.onnx_file import MAX_GRAPH_BYTES

if TYPE_CHECKING:
    from sfumato.cli.console import PlainConsole
    from sfumato.data.folders import FolderReport
    from sfumato.training.config import TrainConfig
    from sfumato.training.loop import Trainer

USE = {  # how to use a trained model, by kind
    "arbitrary": "sfumato stylize ... --model MODEL",
    "collection": "sfumato stylize ... --model MODEL",
    "noise": "sfumato imagine --model MODEL -o PICTURES/",
    "matching": "sfumato stylize ... --model MODEL",
}
UNJUDGED = {  # why a kind has no validation
    "collection": "a collection has no pairs to evaluate",
    "noise": "pictures made from noise have no photo to compare them with",
}


class Licences(StrEnum):
    """The choices of ``--licences``, equal to `rights.LICENCE_FILTERS`."""

    free = "free"
    commercial = "commercial"


class Kind(StrEnum):
    """The choices of ``--kind``, equal to `training.config.KindName`."""

    arbitrary = "arbitrary"
    collection = "collection"
    noise = "noise"
    matching = "matching"


def train(
    style: Annotated[
        Path, typer.Option(help="Folder of paintings, flat or with one folder per artist.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run, for checkpoints, samples and log.", show_default=False)],
    content: Annotated[
        Path | None, typer.Option(help="Folder of photos; not for kind noise.", show_default=False)
    ] = None,
    recipe: Annotated[str, typer.Option(help="tiny, laptop, flagship, or a .toml file.")] = "laptop",
    kind: Annotated[
        Kind | None,
        typer.Option(
            help="arbitrary: any style, given as a picture; collection: the style of one painter; noise: small "
            "pictures without a photo; matching: any style, by features of the painting. \\[default: arbitrary]",
            show_default=False,
        ),
    ] = None,
    cycle: Annotated[
        bool, typer.Option("--cycle", help="Train a collection as a CycleGAN instead of with a contrastive loss.")
    ] = False,
    manifest: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns file and split, whose values are `train` and `validation`."),
    ] = None,
    licences: Annotated[
        Licences | None,
        typer.Option(
            help="Train only on pictures whose licence in --manifest is free (CC0, CC BY, public domain), or allows "
            "commercial use (also GPL and CC BY-SA). \\[default: all]",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN|FILE|shipped",
            help="Start from the weights of another run, of a model.safetensors or of the shipped model, instead of "
            "from random ones.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the run's newest checkpoint.")] = False,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set one value of the recipe. Repeatable.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print configuration, folders and estimate; train and write nothing.")
    ] = False,
    device: Annotated[str, typer.Option(help="Device: auto or cpu.")] = "auto",
    vgg: Annotated[
        Path | None, typer.Option(help="torchvision's vgg19 .pth, instead of the included 8-bit copy.")
    ] = None,
    _max_pixels: MaxPixels = None,
) -> None:
    """Train a model on your photos and paintings, or on paintings alone."""
    if device not in ("auto", "cpu"):
        raise UsageError(f"--device must be auto or cpu, but is {device}; CUDA_VISIBLE_DEVICES selects a GPU")
    # Options are checked before torch is imported, which takes seconds.
    stored = _stored_config(out, overrides or []) if resume else None
    config = stored or _new_config(recipe, kind, cycle, overrides or [])
    if kind not in (None, config.kind):
        raise UsageError(f"{out} is a run of the kind {config.kind!r}; leave --kind out, or give another --out")
    _check_needs(config, content)
    if licences is not None and manifest is None:
        raise UsageError("--licences reads the column licence of a manifest; name one with --manifest")
    with needs_extra("train", "Training"):
        from sfumato.training.loop import Interrupted, Trainer
        from sfumato.training.run_folder import check_out
        from sfumato.training.state import checkpoints

    # Of several processes, only the first prints; an error is printed by the process in which it occurs.
    screen = console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")
    check_out(out, resume)
    weights = None if start is None or (resume and checkpoints(out)) else _weights(start)
    if weights:
        started = _weights_digest(weights)
        if resume and config.started_from != started:
            raise UsageError(f"{out} started from other weights than --from names; name the same, or another --out")
        config = config.model_copy(update={"started_from": started})
    elif config.started_from and not checkpoints(out):
        raise UsageError(f"{out} started from given weights and has no checkpoint yet; name them again with --from")
    photos = _load_folder(screen, content, manifest, licences, config, config.short_side) if content else None
    paintings = _load_folder(screen, style, manifest, licences, config, config.painting_side)
    _print_overlap(screen, *(report for report in (photos, paintings) if report))
    held_out = _load_validation_folders(screen, photos, paintings, manifest, licences, config) if photos else None
    with screen.status("Preparing the networks and the data"):
        trainer = Trainer(
            config,
            photos,
            paintings,
            out,
            cache=None if dry_run else out / "cache",
            vgg_file=vgg,
            cpu=device == "cpu",
            validation=held_out,
            start=weights,
        )
        found = resume and trainer.resume()
    again = _resume_command(
        content=content, style=style, manifest=manifest, licences=licences, vgg=vgg, device=device, out=out
    )
    if trainer.stopped_early:
        _print_end(screen, trainer, again)
        return
    if resume:
        screen.print(
            f"Continuing from step {trainer.state.step} of {config.steps}."
            if found
            else f"{out} has no checkpoint yet: starting from step 0."
        )
    _print_validation(screen, trainer, held_out)
    if dry_run and not screen.quiet:
        say_json(json.loads(config.model_dump_json()), 1)
    with screen.status("Timing a few steps"):
        estimate = trainer.estimate()
    screen.print(
        f"{config.steps - trainer.state.step} steps on {trainer.accelerator.device}: "
        f"about {duration(estimate.seconds)}, {estimate.gigabytes:.1f} GB of {estimate.memory} memory."
    )
    if dry_run:  # after the estimate, so that it is the last line
        return
    try:
        run_with_progress(screen, trainer)
    except Interrupted as stopped:
        message = f"Stopped and saved at step {stopped.step}. To continue: {again}"
        screen.print(message, soft_wrap=True)
        raise typer.Exit(128 + stopped.signal_number) from stopped
    _print_end(screen, trainer, again)


def _new_config(recipe: str, kind: Kind | None, cycle: bool, overrides: list[str]) -> TrainConfig:
    from sfumato.training.config import CYCLE, load_recipe

    config = load_recipe(recipe, [*(CYCLE if cycle else ()), *overrides], kind and kind.value)
    if cycle and config.kind != "collection":
        raise UsageError("--cycle is only for collections; add --kind collection")
    return config


def _weights(start: Path) -> Path:
    """Return the model.safetensors that ``--from`` names: of a run, of an exported model, or the shipped one.

    Raises:
        ModelError: there is none.
    """
    from sfumato.assets import weights_dir
    from sfumato.training.state import shipped_weights

    if start == Path("shipped") and not start.exists():
        start = weights_dir()
    if (start / "card.json").is_file():  # an exported model
        if not (found := start / "model.safetensors").is_file():
            raise ModelError(
                f"{start} has no weights to start from (model.safetensors); name its run instead, or export it again"
            )
        return found
    return start if start.is_file() else shipped_weights(start)[0]


def _weights_digest(weights: Path) -> str:
    try:
        return digest(weights, MAX_GRAPH_BYTES)
    except OSError as problem:
        raise ModelError(f"cannot read {weights}: {problem.strerror}; name another file with --from") from problem


def _resume_command(**options: object) -> str:
    """Return the command that continues a run with these options."""
    several = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    start = ["torchrun", f"--nproc-per-node={several}", "-m"] if several > 1 else []
    words = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
    return shlex.join([*start, "sfumato", "train", *words, "--resume"])


def _check_needs(config: TrainConfig, content: Path | None) -> None:
    """Check that ``--content`` is given if and only if the kind needs photos.

    Raises:
        UsageError: it is missing, or given to a kind that does not use photos.
    """
    if config.has_photos and content is None:
        raise UsageError("training needs photos; name their folder with --content, or use --kind noise")
    if not config.has_photos and content is not None:
        raise UsageError(f"kind {config.kind} uses no photos; leave --content out")


def _stored_config(out: Path, overrides: list[str]) -> TrainConfig | None:
    """Return the configuration of an existing run with overrides applied; None if the folder has none."""
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
        raise ModelError(f"{path} is not a configuration; remove it, or name another folder")
    return TrainConfig.parse(apply_overrides(stored, overrides), str(path))


def _load_folder(
    screen: PlainConsole,
    folder: Path,
    manifest: Path | None,
    licences: Licences | None,
    config: TrainConfig,
    short: int,
) -> FolderReport:
    """Check and load the pictures of a folder, and print what was found.

    Args:
        screen: where to print.
        folder: the folder.
        manifest: the ``--manifest``.
        licences: the ``--licences``.
        config: gives the batch size and the held-out share.
        short: the short side at which pictures are stored, in pixels.
    """
    from rich.markup import escape
    from rich.progress import Progress

    from sfumato.data.folders import load_folder

    min_pictures = max(2, max(phase.batch for phase in config.phases) // 2)
    with Progress(console=screen, transient=True) as progress:
        task = progress.add_task(f"Checking {escape(str(folder))}")
        report = load_folder(
            folder,
            manifest,
            short=short,
            min_pictures=min_pictures,
            licences=licences,
            hold_out=config.hold_out,
            tick=lambda done, total: progress.update(task, completed=done, total=total),
        )
    for line in report.lines():
        screen.print(line)
    return report


def _load_validation_folders(
    screen: PlainConsole,
    photos: FolderReport,
    paintings: FolderReport,
    manifest: Path | None,
    licences: Licences | None,
    config: TrainConfig,
) -> tuple[FolderReport, FolderReport] | None:
    """Return the photos and paintings of the validation set; None if the configuration has no validation."""
    from sfumato.data.folders import load_validation_folder

    if not config.is_validated:
        return None
    known = {picture.sha256 for report in (photos, paintings) for picture in report.pictures}
    with screen.status("Checking the validation set"):
        first, second = (
            load_validation_folder(report, manifest, short=short, trained_on=known, licences=licences)
            for report, short in ((photos, config.short_side), (paintings, config.painting_side))
        )
    return first, second


def _print_validation(
    screen: PlainConsole, trainer: Trainer, held_out: tuple[FolderReport, FolderReport] | None
) -> None:
    """Print the size of the validation set and what was left out of it, or why there is no validation."""
    config = trainer.config
    if config.kind in UNJUDGED:
        screen.print(
            f"No validation: {UNJUDGED[config.kind]}. Check the samples; sfumato export takes the newest checkpoint."
        )
    if held_out is None:
        return
    photos, paintings = (len(report.pictures) for report in held_out)
    if trainer.validator:
        plan = f"{len(trainer.validator.pairs)} pairs evaluated every {config.validation_interval} steps"
        steered = f", content steered to {config.content_target:g}" if config.content_target else ""
        summary = f"Validation: {photos} photos and {paintings} paintings, {plan}{steered}"
    else:
        summary = (
            f"No validation: {photos} photos and {paintings} paintings are held out, but at least 1 and 2 are needed "
            "(rows with split `validation` in --manifest, or a larger --set hold_out=SHARE of each folder)"
        )
    for line in (summary, *(line for report in held_out for line in report.lines()[1:])):
        screen.print(line)


def _print_end(screen: PlainConsole, trainer: Trainer, again: str) -> None:
    """Print the result of the run: whether it stopped early, its best checkpoint, and the next commands."""
    if trainer.stopped_early:
        message = f"{trainer.stopped_early} To continue anyway: {again} --set patience=0"
        screen.print(message, soft_wrap=True)
    if best := trainer.state.record.best:
        screen.print(f"Best by validation: step {best.step}, score {best.score:.3f}; sfumato export uses this step.")
    if passed := trainer.throughput():
        for line in passed.lines():
            screen.print(line, soft_wrap=True)
    out = trainer.out
    screen.print(f"Done: {out}. To use it: sfumato export {out} -o MODEL; {USE[trainer.config.kind]}")


def _print_overlap(screen: PlainConsole, *reports: FolderReport) -> None:
    """Print how many of the pictures the shipped weights were trained on, by hash."""
    from sfumato.assets import training_hashes

    ours = training_hashes()
    pictures = [picture.sha256 for report in reports for picture in report.pictures]
    all_of_ours, mine = set(ours.values()), {ours.get(digest, digest) for digest in pictures}
    if ours and mine == all_of_ours:
        screen.print("These are exactly the pictures that the shipped weights were trained on.")
    elif shared := len(all_of_ours & mine):
        screen.print(
            f"The shipped weights were trained on {len(all_of_ours)} pictures, {shared} of these {len(mine)} included."
        )
