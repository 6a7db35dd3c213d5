"""``sfumato batch``: paint many pictures with many workers, on this machine or on a cluster."""

from __future__ import annotations

import inspect
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from sfumato.cli import stylize as stylizing
from sfumato.cli.output import say, say_json
from sfumato.cli.sealing import open_seal
from sfumato.errors import UsageError
from sfumato.text import counted

if TYPE_CHECKING:
    from sfumato.batch.batching import State
    from sfumato.batch.jobs import Plan
    from sfumato.batch.painter import Spec
    from sfumato.batch.records import Counts
    from sfumato.batch.running import Stop
    from sfumato.inference import Style, Stylizer
    from sfumato.inference.style import PersonalStyle

#: The options of `sfumato stylize` that this command has too.
_SHARED = (
    *(
        "style",
        "rights",
        "quality",
        "strength",
        "stroke",
        "auto",
        "keep",
        "best_of",
        "gate",
        "seed",
        "color",
        "mask",
        "max_size",
    ),
    *("format", "file_quality", "provenance", "model", "device", "_max_pixels"),
)
_MAX_TOLD = 20  # failures that are printed
_REPORT = "batch-report"


def _with_painting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the painting options of `sfumato stylize`; it gets their values as keywords."""
    kinds = get_type_hints(stylizing.stylize, include_extras=True)
    shared = inspect.signature(stylizing.stylize).parameters
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]
    required = [p for p in own if p.default is p.empty]
    added = [shared[name].replace(annotation=kinds[name], kind=inspect.Parameter.KEYWORD_ONLY) for name in _SHARED]
    optional = [p.replace(kind=p.KEYWORD_ONLY) for p in own if p.default is not p.empty]
    parameters = [*required, *added, *optional]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


@_with_painting_options
def batch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="A folder, a URL (s3://bucket/photos), a table of pairs (.csv, .parquet with a column photo), or "
            "shards ('photos-{000..009}.tar').",
            show_default=False,
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="DST", help="Folder or URL for the results.", show_default=False)],
    engine: Annotated[
        str,
        typer.Option(
            metavar="local|dask|dask://HOST:PORT|ray",
            help="Where to paint: processes of this machine, a Dask cluster (extra scale), or Ray (extra ray).",
        ),
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", help="Workers to start. \\[default: one per core]", show_default=False),
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads of each worker.")] = 1,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for manifest.jsonl, failures.csv and run.json. \\[default: DST/batch-report, or "
            "./batch-report where DST is a URL]",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files in DST that Sfumato did not paint.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each picture.")] = False,
    **painting: Any,
) -> None:
    """Paint many pictures with many workers; run it again to go on or to paint what has changed."""
    from sfumato.batch.batching import paint_batch
    from sfumato.batch.engines import check_engine, open_engine
    from sfumato.batch.jobs import check_target_folder, plan
    from sfumato.batch.places import Place
    from sfumato.batch.records import open_records, write_card
    from sfumato.batch.running import Stop
    from sfumato.checks import check_range

    check_range(threads, 1, 1024, "--threads")
    if workers is not None:
        check_range(workers, 1, 10_000, "--workers")
    check_engine(engine, workers)
    format = painting["format"] and painting["format"].value
    found = plan(source, target, format)
    check_target_folder(target)
    spec = _spec(found, target, threads, overwrite, painting)
    place = Place(target)
    where = report or (Path(_REPORT) if place.is_remote else Path(target.removeprefix("file://")) / _REPORT)
    place.check_writable(".sfumato-probe")
    run_id, content = spec.packed()
    stop, began, is_whole = Stop(), time.monotonic(), False
    with open_records(where, (source, target)) as records:
        values = _card_values(found, spec, source, engine, workers)
        try:
            with (
                showing() as show,
                open_engine(engine, run_id, content, workers, threads, spec.device) as running,
                stopping(stop),
            ):
                for outcome in paint_batch(found, run_id, running, records, stop, show):
                    if as_json:
                        say_json({name: getattr(outcome, name) for name in outcome.__slots__})
            is_whole = not stop.is_set
        finally:
            records.flush()
            write_card(where, records.counts, values, time.monotonic() - began, is_whole)
    tell(records.counts, found, where, time.monotonic() - began)
    if not is_whole:
        say("stopped before the end; run the same command again to go on", err=True)
        raise KeyboardInterrupt
    if records.counts.failures:
        raise typer.Exit(records.counts.failures[0][2])


def _spec(found: Plan, target: str, threads: int, overwrite: bool, painting: dict[str, Any]) -> Spec:
    """Return the spec of the batch, checked in this process as the workers will read it."""
    from sfumato import limits
    from sfumato.batch.batching import with_recipes
    from sfumato.batch.painter import Spec
    from sfumato.checks import check_range
    from sfumato.cli.stylize_options import parse_selection
    from sfumato.inference import Stylizer
    from sfumato.inference.masks import as_mask
    from sfumato.inference.options import PaintOptions

    texts, masks, gates = painting["style"] or [], painting["mask"] or [], painting["gate"] or []
    quality = painting["quality"] and painting["quality"].value
    strength, stroke, color = painting["strength"], painting["stroke"], painting["color"].value
    auto, keep, best_of = painting["auto"], painting["keep"], painting["best_of"]
    parse_selection(auto, keep, best_of, gates, strength, stroke, bool(masks))
    check_range(painting["file_quality"], 1, 100, "--file-quality")
    if painting["max_size"]:
        check_range(painting["max_size"], 16, 1_000_000, "--max-size")
    model = painting["model"]
    without = any(not job.style for job in found.jobs)
    if model is None and not texts and without:
        raise UsageError("no --style was given; name one, as in --style monet (see sfumato styles)")
    if masks and found.is_shards:
        raise UsageError("shards have no masks; leave --mask out")
    rows = {text: _in_folder(text, found.folder) for text in found.styles}
    whose = stylizing.rights_in_styles(painting["rights"], [*texts, *rows.values()])
    seal = open_seal(painting["provenance"])
    stylizer = Stylizer(model, threads, painting["device"])
    styles: dict[str, list[Style | PersonalStyle]] = {}
    if without:
        styles[""] = _styles(texts, len(masks), stylizer, whose)
    for text, row in rows.items():
        styles[text] = _styles([row], len(masks), stylizer, whose)
    return with_recipes(
        Spec(
            found.source,
            target if "://" in target else os.path.abspath(target),
            styles,
            PaintOptions(strength, stroke, color, quality, painting["seed"]),
            {
                "max_size": painting["max_size"],
                "auto": auto,
                "keep": keep,
                "best_of": best_of,
                "gates": gates,
                "file_quality": painting["file_quality"],
            },
            [as_mask(mask) for mask in masks],
            None if model is None else str(model.resolve()),
            threads,
            painting["device"],
            overwrite,
            not (found.is_table or found.is_shards),
            limits.max_pixels(),
            None if seal is None else str(seal.keys.folder.resolve()),
            painting["format"] and painting["format"].value,
        )
    )


def _styles(texts: list[str], masks: int, stylizer: Stylizer, rights: str) -> list[Style | PersonalStyle]:
    if not stylizer.card.has_codes:
        stylizer.check_own_style(len(texts), "style", masks)
        return []
    if not texts:
        raise UsageError(f"the model {stylizer.card.model!r} needs a style; name one, as in --style painting.jpg")
    styles: list[Style | PersonalStyle] = list(stylizing.find_styles(texts, masks, stylizer, rights))
    for place, personal in stylizing.find_personal(texts, masks).items():
        styles[place] = personal
    return styles


def _in_folder(text: str, folder: str) -> str:
    """Return the style of a table's row; the name of a file is relative to the table."""
    from sfumato.inference.library import has_style

    if has_style(text) or os.path.isabs(text):
        return text
    return f"{folder}/{text}"


def _card_values(found: Plan, spec: Spec, source: str, engine: str, workers: int | None) -> dict[str, Any]:
    from dataclasses import asdict

    from sfumato.batch.places import is_url, shown

    def named(place: str) -> str:
        """Return a URL, or the last name of a path: the folders above it are nobody else's business."""
        return shown(place) if is_url(place) else Path(os.path.abspath(place.removeprefix("file://"))).name

    return {
        "source": named(source),
        "target": named(spec.target),
        "jobs": len(found.jobs),
        "engine": shown(engine),
        "workers": workers,
        "threads": spec.threads,
        "device": spec.device,
        "styles": [style.name for styles in spec.styles.values() for style in styles],
        "options": asdict(spec.options),
        "seed": spec.options.seed,
        "others": dict(spec.others),
        "masks": len(spec.masks),
        "recipes": dict(spec.recipes),
    }


@contextmanager
def stopping(stop: Stop) -> Iterator[None]:
    """Let the first Ctrl-C finish what is being painted, and the second one stop at once."""
    before = signal.getsignal(signal.SIGINT)

    def on_signal(*_: object) -> None:
        if stop.is_set:
            raise KeyboardInterrupt
        stop.is_set = True
        say("finishing what is being painted; press Ctrl-C again to stop at once", err=True)

    try:
        signal.signal(signal.SIGINT, on_signal)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def showing() -> Iterator[Callable[[State], None]]:
    """Show the progress: a bar on a terminal, else a line now and then."""
    from sfumato.cli.progress import rate_bar

    with rate_bar() as bar:
        task = bar.add_task("starting the workers", total=None, rate="")
        lines = _Lines()

        def show(state: State) -> None:
            rate = lines.rate(state)
            bar.update(task, description=state.notice or state.doing, completed=state.done, total=state.of, rate=rate)
            if bar.disable:
                lines.tell(state, rate)

        yield show


class _Lines:
    """Progress in lines, for logs."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()
        self._doing, self._first = "", 0

    def rate(self, state: State) -> str:
        """Return the number of pictures a second since this stage began."""
        if state.doing != self._doing:
            self._began, self._doing, self._first = time.monotonic(), state.doing, state.counts.total
        seconds = time.monotonic() - self._began
        done = state.counts.total - self._first if state.doing == "painting" else state.done
        if seconds < 1 or not done:
            return ""
        return f"{done / seconds:.1f}/s" if done > seconds else f"{seconds / done:.1f} s each"

    def tell(self, state: State, rate: str) -> None:
        """Print a line every half a minute."""
        now = time.monotonic()
        if now - self._told < 30:
            return
        self._told = now
        what = f"{state.notice or state.doing}: {state.done} of {state.of}"
        if state.done:
            left = (now - self._began) * (state.of / state.done - 1)
            what += f", {rate}, {left:.0f} s left"
        say(what, err=True)


def tell(counts: Counts, found: Plan, where: Path, seconds: float) -> None:
    """Print the summary to stderr."""
    from sfumato.cli.output import console
    from sfumato.image import describe_left_out

    talk = console(stderr=True)
    instead = f" ({counted(counts.replaced, 'earlier file')} replaced)" if counts.replaced else ""
    parts = [f"{counts.painted} painted{instead}"]
    parts += [f"{counts.copied} copied from equal photos"] if counts.copied else []
    parts += [f"{counts.present} already existed"] if counts.present else []
    parts += [f"{counts.result} passed over, since Sfumato painted them"] if counts.result else []
    parts += [f"{counts.failed} failed"] if counts.failed else []
    talk.print(f"{', '.join(parts)} in {seconds:.1f} s; see {where}", soft_wrap=True)
    if counts.remarked:
        about = counted(counts.remarked, "picture")
        talk.print(f"{about} with a remark, such as: {counts.remark}; see manifest.jsonl", soft_wrap=True)
    if counts.failures:
        _tell_failures(counts, where)
    if len({name.rpartition(":")[0] for name in counts.workers}) > 1:  # the records have the numbers only
        for name, number in counts.workers.items():
            talk.print(f"  worker {number} was {name}", soft_wrap=True)
    left = [] if found.is_shards else found.left_out
    if left:
        talk.print(f"left out: {len(left)}")
    for line in describe_left_out(left, _MAX_TOLD):
        talk.print(f"  {line}", soft_wrap=True)


def _tell_failures(counts: Counts, where: Path) -> None:
    """Print a table of the failures, one line each; the file has all."""
    from sfumato.batch.records import FAILURES
    from sfumato.cli.output import console

    talk = console(stderr=True)
    for photo, error, code in counts.failures[:_MAX_TOLD]:
        talk.print(f"  {photo}  exit {code}  {error}", soft_wrap=True)
    more = counts.failed - min(counts.failed, _MAX_TOLD)
    if more:
        talk.print(f"  and {counted(more, 'failure')} more in {where / FAILURES}", soft_wrap=True)
