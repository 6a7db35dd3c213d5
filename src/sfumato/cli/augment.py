"""``sfumato augment``: stylised copies of the pictures of a training set, with labels, boxes and masks."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato import limits
from sfumato.cli import batch as batching
from sfumato.cli.limits import MaxPixels
from sfumato.cli.options import Device
from sfumato.cli.output import say
from sfumato.cli.rights import Rights, StyleRights, state_rights
from sfumato.cli.stylize import QualityMode, find_style
from sfumato.errors import UsageError

if TYPE_CHECKING:
    from sfumato.batch.augmenting import Augmentation
    from sfumato.batch.coco import Annotations
    from sfumato.batch.outcomes import Outcome
    from sfumato.batch.painter import Spec
    from sfumato.inference import Style

_MAX_STYLES = 200  # pictures of a folder that become styles: each is encoded before the first copy is painted


def augment(
    dataset: Annotated[
        Path,
        typer.Argument(metavar="DATASET", help="Folder of pictures; subfolders, such as classes, are kept."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="Folder for the copies.")],
    styles: Annotated[
        list[str],
        typer.Option(
            metavar="NAME|PICTURE|FILE|FOLDER",
            help="Styles to choose from; repeat it for several. Each picture of a folder is a style.",
        ),
    ],
    amount: Annotated[
        float, typer.Option(metavar="N", help="Copies of each picture: 2, or 0.5 for every second one.")
    ] = 1.0,
    strength: Annotated[
        str, typer.Option(metavar="LOW,HIGH", help="Range of the strength, 0 to 1; one number for the same.")
    ] = "0.5,1",
    quality: Annotated[
        QualityMode, typer.Option(case_sensitive=False, help="As for sfumato stylize.")
    ] = QualityMode.draft,
    seed: Annotated[int, typer.Option(help="Random seed of styles, strengths and strokes, 0 or more.")] = 0,
    coco: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="COCO annotations; those of the copies are written.", show_default=False),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of masks, named as the pictures; they are copied.", show_default=False
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Processes that paint. \\[default: one per core]", show_default=False),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files in OUT that Sfumato did not paint.")
    ] = False,
    rights: StyleRights = None,
    device: Device = "auto",
    _max_pixels: MaxPixels = None,
) -> None:
    """Make stylised copies of a training set; run it again to go on."""
    from sfumato.batch.augmenting import (
        Augmentation,
        check_empty_of_others,
        check_own_files,
        choose_copies,
        find_masks,
        find_pictures,
        is_below,
    )
    from sfumato.batch.coco import Annotations
    from sfumato.batch.jobs import check_target_folder
    from sfumato.batch.painter import Spec
    from sfumato.checks import check_range
    from sfumato.inference.options import PaintOptions

    strengths = _range(strength)
    if workers is not None:
        check_range(workers, 1, 10_000, "--workers")
    options = PaintOptions(quality=quality.value, seed=seed)
    names, left_out = find_pictures(dataset)
    if is_below(dataset, out):
        raise UsageError(f"{out} is the data set, or in it, where copies would be copied again; choose another -o")
    check_target_folder(str(out))
    check_own_files(out, coco, masks)
    annotations = None if coco is None else Annotations(coco)
    if annotations is not None:
        annotations.check(dataset)
        names, left_out = sorted(annotations.images), []
    found_masks = {} if masks is None else find_masks(dataset, masks, names)
    sources = _sources(styles, seed)
    found = Augmentation(dataset, choose_copies(names, list(sources), amount, strengths, seed), left_out, found_masks)
    check_empty_of_others(out, found.copies)
    known = _styles(sources, rights, device)
    spec = Spec(
        os.path.abspath(dataset),
        os.path.abspath(out / "images"),
        {copy.key: [known[copy.style]] for copy in found.copies},
        options,
        device=device,
        overwrite=overwrite,
        max_pixels=limits.max_pixels(),
        strengths={copy.key: copy.strength for copy in found.copies},
    )
    _run(found, spec, out, workers, annotations)


def _range(text: str) -> tuple[float, float]:
    from sfumato.inference.augment import check_strengths

    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise UsageError(f"--strength must be one number or two, as in 0.5,1, but is {text[:40]!r}")
    return check_strengths((numbers[0], numbers[-1]))


def _sources(texts: list[str], seed: int) -> dict[str, str | Path]:
    """Return the name or file of each style by its label; each picture of a folder is one.

    Labels are written into the manifest, which is passed on, so they name no folder above.

    Raises:
        UsageError: two styles have the same label.
        InputError: a folder holds no picture.
    """
    from sfumato.batch.augmenting import find_style_pictures
    from sfumato.inference.library import has_style

    found: dict[str, str | Path] = {}
    for text in texts:
        path = Path(text)
        if has_style(text):
            new: dict[str, str | Path] = {text: text}
        elif path.is_dir():
            pictures = find_style_pictures(path, _MAX_STYLES, seed)
            new = {f"{path.resolve().name}/{each.relative_to(path).as_posix()}": each for each in pictures}
        else:
            new = {path.name: text}
        if same := found.keys() & new.keys():
            raise UsageError(f"two styles are named {min(same)}; leave one out, or rename it")
        found |= new
    return found


def _styles(sources: dict[str, str | Path], given: Rights | None, device: str) -> dict[str, Style]:
    """Return the styles by their labels.

    Raises:
        UsageError, InputError, ModelError: as `find_style`.
    """
    from dataclasses import replace

    from sfumato.cli.progress import count_bar
    from sfumato.image import READABLE, picture_digest
    from sfumato.inference import Stylizer
    from sfumato.inference.library import has_style
    from sfumato.inference.style_pictures import StylePicture

    whose = state_rights(given, [Path(source) for source in sources.values() if not has_style(str(source))])
    stylizer = Stylizer(device=device)
    found = {}
    with count_bar() as bar:
        for label, source in bar.track(sources.items(), len(sources), description="reading styles"):
            style, path = find_style(str(source), stylizer, whose), Path(source)
            if not has_style(str(source)) and path.suffix.lower() in READABLE:  # workers read it when they need it
                style = replace(style, pictures=(StylePicture(picture_digest(path), 1.0, path.resolve()),))
            found[label] = style
    return found


def _run(found: Augmentation, spec: Spec, out: Path, workers: int | None, annotations: Annotations | None) -> None:
    """Paint the copies, and write what comes with them when all are done."""
    from sfumato.batch.augmenting import ANNOTATIONS, MANIFEST, REPORT, remove_lists, write_manifest, write_masks
    from sfumato.batch.batching import paint_batch, with_recipes
    from sfumato.batch.engines import open_engine
    from sfumato.batch.places import Place
    from sfumato.batch.records import open_records, write_card
    from sfumato.batch.running import Stop

    plan = found.plan(out)
    plan.left_out = found.left_out
    spec, report = with_recipes(spec), out / REPORT
    Place(str(out)).check_writable(".sfumato-probe")
    remove_lists(out)
    run_id, content = spec.packed()
    stop, began = Stop(), time.monotonic()
    outcomes: dict[str, Outcome] = {}
    with open_records(report, (spec.source, spec.target)) as records:
        try:
            with (
                batching.showing() as show,
                open_engine("local", run_id, content, workers, 1, spec.device) as engine,
                batching.stopping(stop),
            ):
                for outcome in paint_batch(plan, run_id, engine, records, stop, show):
                    outcomes[outcome.target] = outcome
        finally:
            records.flush()
            is_whole = not stop.is_set and len(outcomes) == len(found.copies)
            values = {"source": found.folder.resolve().name, "target": out.resolve().name, "jobs": len(found.copies)}
            write_card(report, records.counts, values, time.monotonic() - began, is_whole)
    batching.tell(records.counts, plan, report, time.monotonic() - began)
    if not is_whole:
        say("stopped before the end; run the same command again to go on", err=True)
        raise KeyboardInterrupt
    made = [copy for copy in found.copies if outcomes[copy.name].status != "failed"]
    if found.masks:
        write_masks(found, out, made)
    if annotations is not None:
        annotations.write(out / ANNOTATIONS, ((copy.source, copy.name) for copy in made))
    write_manifest(out, made, outcomes)
    say(f"wrote {out / MANIFEST}")
    if records.counts.failures:
        raise typer.Exit(records.counts.failures[0][2])
