"""``sfumato evaluate`` and ``sfumato compare``: judging stylised pictures, ours or anybody's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.errors import UsageError

if TYPE_CHECKING:
    from sfumato.image import Picture
    from sfumato.quality.evaluation import Evaluation, Source
    from sfumato.quality.pairs import Pair


class SuiteName(StrEnum):
    quick = "quick"
    full = "full"


Content = Annotated[Path, typer.Option(metavar="DIR", help="The photos.", show_default=False)]
StyleFolder = Annotated[Path, typer.Option(metavar="DIR", help="The style pictures.", show_default=False)]
PairsFile = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Columns content,style. [default: what the pictures are named after]"),
]
SuiteOption = Annotated[SuiteName, typer.Option(help="quick leaves VGG19's measures out.")]
Report = Annotated[Path | None, typer.Option(metavar="DIR", help="Write DIR/report.html, and keep the figures there.")]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Judge the pairs that have a picture.")]
Anchors = Annotated[bool, typer.Option("--anchors/--no-anchors", help="Judge points of reference too.")]
Reference = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Art that the pictures are compared with as a set. [default: the style pictures]"),
]
Short = Annotated[int, typer.Option(metavar="PX", help="Short side at which features are taken.")]
Vgg = Annotated[Path | None, typer.Option(help="torchvision's vgg19 .pth, instead of the 8-bit copy.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print every figure as JSON.")]


def evaluate(
    content: Content,
    style: StyleFolder,
    stylized: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pictures named <photo stem>__<style stem>.png or .jpg.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A model to judge, made by sfumato export; or `shipped`.")
    ] = None,
    pairs: PairsFile = None,
    reference: Reference = None,
    suite: SuiteOption = SuiteName.quick,
    report: Report = None,
    allow_missing: AllowMissing = False,
    anchors: Anchors = False,
    short: Short = 256,
    vgg: Vgg = None,
    as_json: AsJson = False,
) -> None:
    """Judge stylised pictures, ours or anybody's."""
    if (stylized is None) == (model is None):
        raise UsageError("give either --stylized or --model")
    methods: dict[str, Path | None] = {}
    if stylized is not None:
        methods[stylized.name or "stylized"] = stylized
    else:
        methods["sfumato"] = None
    _judge(methods, content, style, model, pairs, reference, suite, report, allow_missing, anchors, short, vgg, as_json)


def compare(
    methods: Annotated[
        list[str], typer.Argument(metavar="NAME=DIR...", help="Pictures of each method.", show_default=False)
    ],
    content: Content,
    style: StyleFolder,
    pairs: PairsFile = None,
    reference: Reference = None,
    suite: SuiteOption = SuiteName.quick,
    report: Report = None,
    allow_missing: AllowMissing = False,
    anchors: Anchors = True,
    short: Short = 256,
    vgg: Vgg = None,
    as_json: AsJson = False,
) -> None:
    """Judge two or more methods on the same pairs; the first is the one that the others are compared with."""
    found: dict[str, Path | None] = {}
    for text in methods:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder) or name in found:
            raise UsageError(f"methods are named NAME=DIR, each once; {text!r} does not fit")
        found[name] = Path(folder)
    if len(found) < 2:
        raise UsageError("comparing needs two methods; use `sfumato evaluate` for one")
    _judge(found, content, style, None, pairs, reference, suite, report, allow_missing, anchors, short, vgg, as_json)


def _judge(
    methods: dict[str, Path | None],
    content: Path,
    style: Path,
    model: Path | None,
    csv_file: Path | None,
    reference: Path | None,
    suite: SuiteName,
    report: Path | None,
    allow_missing: bool,
    anchors: bool,
    short: int,
    vgg: Path | None,
    as_json: bool,
) -> None:
    from sfumato.cli.progress import counted
    from sfumato.quality.anchors import ANCHORS
    from sfumato.quality.evaluation import Judge, to_json
    from sfumato.quality.pairs import pairs_of, pictures_in, read_pairs, stylized_pictures
    from sfumato.quality.report import write_report

    first = next(iter(methods.values()))
    asked = read_pairs(csv_file, content, style) if csv_file else pairs_of(content, style, first)
    sources: dict[str, tuple[list[Pair], Source, int]] = {}
    for name, folder in methods.items():
        if folder is None:
            sources[name] = (asked, _of_model(model), 0)
        else:
            files = stylized_pictures(asked, folder, allow_missing)
            sources[name] = (list(files), _of_files(files), len(asked) - len(files))
    if anchors:
        taken = [name for name in ANCHORS if name in methods]
        if taken:
            raise UsageError(f"{taken[0]!r} is the name of an anchor; choose another, or pass --no-anchors")
        sources |= {name: (asked, _of_anchor(name), 0) for name in ANCHORS}
    references = pictures_in(reference) if reference else None
    judge = Judge(asked, suite.value, short, report / "figures" if report else None, vgg, references)
    evaluations = []
    with counted() as bar:
        task = bar.add_task("judging", total=sum(len(some) for some, _, _ in sources.values()))
        for name, (some, source, missing) in sources.items():
            bar.update(task, description=name)
            evaluations.append(judge.judge(name, source, lambda: bar.advance(task), missing, some))
    if report is not None:
        write_report(report / "report.html", evaluations, [source for _, source, _ in sources.values()])
        bar.console.print(f"{report / 'report.html'}", soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(to_json(evaluations), indent=1, ensure_ascii=False))
    else:
        _print(evaluations)


def _print(evaluations: Sequence[Evaluation]) -> None:
    from rich.console import Console
    from rich.table import Table

    from sfumato.quality.evaluation import MEASURES

    table = Table("figure", *(each.method for each in evaluations))
    for name in evaluations[0].rows[0].figures:
        cells = []
        for each in evaluations:
            found = each.interval(name)
            cells.append(f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")
        table.add_row(f"{name} {MEASURES[name].arrow}".rstrip(), *cells)
    console = Console(highlight=False)
    console.print(table)
    table = Table("as a set", *(each.method for each in evaluations))
    for i, figure in enumerate(evaluations[0].sets):
        table.add_row(figure.name.replace("_", " "), *(_or_dash(each.sets[i].value) for each in evaluations))
    console.print(table)
    for note in dict.fromkeys(f"{f.name.replace('_', ' ')}: {f.note}" for f in evaluations[0].sets if f.note):
        console.print(note, style="dim", markup=False)
    for each in evaluations:
        if each.missing:
            typer.echo(f"{each.method}: {each.missing} pairs have no picture and are left out")


def _or_dash(value: float) -> str:
    return f"{value:.3f}" if value == value else "–"


def _of_files(files: dict[Pair, Path]) -> Source:
    import hashlib

    from sfumato.image import read_image

    def source(pair: Pair) -> tuple[Picture, str]:
        return read_image(files[pair]), hashlib.sha256(files[pair].read_bytes()).hexdigest()

    return source


def _of_model(model: Path | None) -> Source:
    from sfumato.inference import Style, Stylizer

    stylizer = Stylizer(None if model == Path("shipped") else model)
    styles: dict[Path, Style] = {}

    def source(pair: Pair) -> tuple[Picture, str]:
        if pair.style not in styles:
            styles[pair.style] = Style.from_image(pair.style, stylizer=stylizer)
        return stylizer(pair.content, styles[pair.style]), f"{stylizer.card.digest} {pair.name}"

    return source


def _of_anchor(name: str) -> Source:
    from sfumato.image import read_image
    from sfumato.quality.anchors import ANCHORS

    def source(pair: Pair) -> tuple[Picture, str]:
        return ANCHORS[name](read_image(pair.content), read_image(pair.style)), f"anchor {name}"

    return source
