"""``sfumato evaluate`` and ``sfumato compare``: judging stylised pictures, ours or anybody's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.output import console, say, say_error, say_json
from sfumato.errors import InputError, OutputError, UsageError

if TYPE_CHECKING:
    from sfumato.cli.console import PlainConsole
    from sfumato.image import Picture
    from sfumato.quality.distribution import Figure
    from sfumato.quality.evaluation import Evaluation, Source
    from sfumato.quality.pairs import Pair

#: Strengths of a model's curve, besides its full one.
CURVE = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7)


class SuiteName(StrEnum):
    quick = "quick"
    full = "full"


Content = Annotated[Path | None, typer.Option(metavar="DIR", help="The photos.", show_default=False)]
StyleFolder = Annotated[Path | None, typer.Option(metavar="DIR", help="The style pictures.", show_default=False)]
PairsFile = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Columns content,style. \\[default: what the pictures are named after]"),
]
SuiteOption = Annotated[SuiteName, typer.Option(help="quick leaves VGG19's measures out.")]
Report = Annotated[Path | None, typer.Option(metavar="DIR", help="Write DIR/report.html, and keep the figures there.")]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Judge the pairs that have a picture.")]
Anchors = Annotated[bool, typer.Option("--anchors/--no-anchors", help="Judge points of reference too.")]
Reference = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Art that the set of pictures is compared with. \\[default: the style pictures]"),
]
Short = Annotated[int, typer.Option(metavar="PX", help="Short side at which features are taken.")]
Vgg = Annotated[Path | None, typer.Option(help="torchvision's vgg19 .pth, instead of the 8-bit copy.")]
Inception = Annotated[
    Path | None, typer.Option(metavar="FILE", help="An Inception-v3 as ONNX: sets are judged with it as well.")
]
Workers = Annotated[
    int | None, typer.Option(help="Pairs judged at once. \\[default: the cores, at most 8]", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print every figure as JSON.")]


@dataclass(frozen=True)
class Request:
    """What is to be judged, and how."""

    content: Path | None
    style: Path | None
    pairs: Path | None
    reference: Path | None
    suite: SuiteName
    report: Path | None
    allow_missing: bool
    anchors: bool
    short: int
    vgg: Path | None
    inception: Path | None
    workers: int | None
    as_json: bool

    def folders(self) -> tuple[Path, Path]:
        if self.content is None or self.style is None:
            raise UsageError("name the folders of the photos and of the style pictures with --content and --style")
        return self.content, self.style


def evaluate(
    votes: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[VOTES.json]...", help="Or: the votes of a blind page, to be counted.", show_default=False
        ),
    ] = None,
    content: Content = None,
    style: StyleFolder = None,
    stylized: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pictures named <photo stem>__<style stem>.png or .jpg.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A model to judge, made by sfumato export; or `shipped`.")
    ] = None,
    curve: Annotated[bool, typer.Option("--curve", help="Judge the model at several strengths.")] = False,
    cost: Annotated[
        bool, typer.Option("--cost", help="Measure the model's time, memory and operations instead.")
    ] = False,
    pairs: PairsFile = None,
    reference: Reference = None,
    suite: SuiteOption = SuiteName.quick,
    report: Report = None,
    allow_missing: AllowMissing = False,
    anchors: Anchors = False,
    short: Short = 256,
    vgg: Vgg = None,
    inception: Inception = None,
    workers: Workers = None,
    as_json: AsJson = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Judge stylised pictures, ours or anybody's."""
    if votes:
        if content or style or stylized or model:
            raise UsageError("votes are counted alone; leave the folders and the model out")
        return _count_votes(votes, as_json)
    if cost:
        if model is None or stylized is not None:
            raise UsageError("--cost measures a model; name it with --model")
        return _tell_cost(model, as_json)
    if (stylized is None) == (model is None):
        raise UsageError("give either --stylized or --model")
    if curve and model is None:
        raise UsageError("--curve is drawn of a model's strengths; name it with --model")
    request = Request(
        content, style, pairs, reference, suite, report, allow_missing, anchors, short, vgg, inception, workers, as_json
    )
    if stylized is not None:
        methods = Methods.of_folders(request, {stylized.name or "stylized": stylized})
    else:
        methods = Methods.of_model(request, model, curve)
    _judge(request, methods)
    return None


def compare(
    methods: Annotated[
        list[str], typer.Argument(metavar="NAME=DIR...", help="Pictures of each method.", show_default=False)
    ],
    content: Content = None,
    style: StyleFolder = None,
    blind: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write a page for people to choose blindly instead of judging."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Of the blind page. \\[default: all pairs]", show_default=False)
    ] = None,
    question: Annotated[str | None, typer.Option(help="That the blind page asks.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of the order on the blind page.")] = 0,
    pairs: PairsFile = None,
    reference: Reference = None,
    suite: SuiteOption = SuiteName.quick,
    report: Report = None,
    allow_missing: AllowMissing = False,
    anchors: Anchors = True,
    short: Short = 256,
    vgg: Vgg = None,
    inception: Inception = None,
    workers: Workers = None,
    as_json: AsJson = False,
    max_pixels: MaxPixels = None,
) -> None:
    """Judge two or more methods on the same pairs; the first is the one that the others are compared with."""
    found: dict[str, Path] = {}
    for text in methods:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder) or name in found:
            raise UsageError(f"methods are named NAME=DIR, each once; {text!r} does not fit")
        found[name] = Path(folder)
    if len(found) < 2:
        raise UsageError("comparing needs two methods; use `sfumato evaluate` for one")
    request = Request(
        content, style, pairs, reference, suite, report, allow_missing, anchors, short, vgg, inception, workers, as_json
    )
    all_methods = Methods.of_folders(request, found)
    if blind is not None:
        _write_blind_page(blind, all_methods, trials, question, seed)
    else:
        _judge(request, all_methods)


@dataclass(frozen=True)
class Method:
    """One thing to judge: its pairs, where their pictures come from, and how many of those asked for are missing."""

    pairs: Sequence[Pair]
    source: Source
    missing: int = 0
    strength: float | None = None


@dataclass(frozen=True)
class Methods:
    """All pairs asked for, and the methods by name."""

    pairs: Sequence[Pair]
    by_name: dict[str, Method]

    @classmethod
    def of_folders(cls, request: Request, folders: dict[str, Path]) -> Methods:
        from sfumato.quality.pairs import stylized_pictures

        asked = _pairs(request, next(iter(folders.values())))
        found: dict[str, Method] = {}
        for name, folder in folders.items():
            files = stylized_pictures(asked, folder, request.allow_missing)
            found[name] = Method(list(files), _of_files(files), len(asked) - len(files))
        return cls(asked, found)

    @classmethod
    def of_model(cls, request: Request, model: Path | None, curve: bool) -> Methods:
        asked = _pairs(request, None)
        threads = 1 if _workers(request) > 1 else None
        found = {"sfumato": Method(asked, _of_model(model, 1.0, threads), strength=1.0 if curve else None)}
        for strength in CURVE if curve else ():
            found[f"sfumato at {strength:g}"] = Method(asked, _of_model(model, strength, threads), strength=strength)
        return cls(asked, found)


def _pairs(request: Request, stylized: Path | None) -> list[Pair]:
    from sfumato.quality.pairs import pairs_of, read_pairs

    content, style = request.folders()
    return read_pairs(request.pairs, content, style) if request.pairs else pairs_of(content, style, stylized)


def _tell_left_out(request: Request) -> None:
    """What of the two folders was passed over, where they were taken whole."""
    from sfumato.image import look_into, told

    for folder in () if request.pairs else request.folders():
        for line in told(look_into(folder, is_deep=False).left_out, 5):
            say(f"left out: {line}", err=True)


def _workers(request: Request) -> int:
    from sfumato.checks import check_range

    if request.workers is None:
        return min(8, os.cpu_count() or 1)
    check_range(request.workers, 1, 64, "--workers")
    return request.workers


def _judge(request: Request, methods: Methods) -> None:
    from sfumato.cli.progress import counted
    from sfumato.quality.anchors import ANCHORS
    from sfumato.quality.evaluation import Judge, to_json
    from sfumato.quality.pairs import pictures_in
    from sfumato.quality.report import write_report

    some = dict(methods.by_name)
    if request.anchors:
        if taken := [name for name in ANCHORS if name in some]:
            raise UsageError(f"{taken[0]!r} is the name of an anchor; choose another, or pass --no-anchors")
        some |= {name: Method(methods.pairs, _of_anchor(name)) for name in ANCHORS}
    report = request.report
    judge = Judge(
        methods.pairs,
        request.suite.value,
        request.short,
        report / "figures" if report else None,
        request.vgg,
        pictures_in(request.reference) if request.reference else None,
        request.inception,
        _workers(request),
    )
    if judge.workers > 1:
        import torch

        torch.set_num_threads(1)  # the pairs share the cores
    evaluations = []
    with counted() as bar:
        task = bar.add_task("judging", total=sum(len(method.pairs) for method in some.values()))
        for name, method in some.items():
            bar.update(task, description=name)
            found = judge.judge(name, method.source, lambda: bar.advance(task), method.missing, method.pairs)
            evaluations.append(replace(found, strength=method.strength))
    if report is not None:
        write_report(report / "report.html", evaluations, [method.source for method in some.values()])
        bar.console.print(f"{report / 'report.html'}", soft_wrap=True)
    if request.as_json:
        say_json(to_json(evaluations), 1)
    else:
        _print(evaluations)
    _tell_left_out(request)
    failed = dict.fromkeys(f"{each.method}: left out: {why}" for each in evaluations for why in each.failed)
    for told in failed:
        say_error(told)
    if failed:
        raise typer.Exit(InputError.exit_code)


def _print(evaluations: Sequence[Evaluation]) -> None:
    from sfumato.quality.evaluation import curve_area

    screen = console()
    if len(evaluations) * 22 + 16 <= screen.width:
        _print_whole(screen, evaluations)
    else:
        _print_short(screen, evaluations)
    for note in dict.fromkeys(f"{f.name.replace('_', ' ')}: {f.note}" for f in evaluations[0].sets if f.note):
        screen.print(note, style="dim")
    screen.print(f"strokes and variety: {evaluations[0].about['strokes and variety']}", style="dim")
    if (why := evaluations[0].why_absolute) is not None:
        screen.print(why, style="dim")
    if (why := evaluations[0].why_no_intervals) is not None:
        screen.print(f"no intervals: {why}", style="dim")
    if (area := curve_area(evaluations)) is not None:
        screen.print(f"area under the content-against-style curve: {area:.3f} (lower is better)")
    for each in evaluations:
        if each.missing:
            say(f"{each.method}: {each.missing} pairs have no picture and are left out")


def _print_whole(screen: PlainConsole, evaluations: Sequence[Evaluation]) -> None:
    from rich.table import Table

    from sfumato.quality.evaluation import MEASURES

    table = Table("figure", *(each.method for each in evaluations))
    for name in evaluations[0].rows[0].figures:
        cells = []
        for each in evaluations:
            if name in each.absolute:
                cells.append("not relative")
                continue
            found = each.interval(name)
            spread = f" [{found.low:.3f}, {found.high:.3f}]" if found.low == found.low else ""
            cells.append(f"{found.value:.3f}{spread}")
        table.add_row(f"{name} {MEASURES[name].arrow}".rstrip(), *cells)
    screen.print(table)
    table = Table("as a set", *(each.method for each in evaluations))
    for figure in evaluations[0].sets:
        title = f"{figure.name.replace('_', ' ')} ({figure.backbone})"
        table.add_row(title, *(_or_dash(each.figure_like(figure)) for each in evaluations))
    screen.print(table)


def _print_short(screen: PlainConsole, evaluations: Sequence[Evaluation]) -> None:
    """A line a method: what there is room for in a narrow terminal."""
    from rich.table import Table

    from sfumato.quality.evaluation import MEASURES

    names = ("content", "style", "texture", "top1", "artefacts")
    kid = next(figure for figure in evaluations[0].sets if figure.name == "kid")
    table = Table("method", *(f"{name} {MEASURES[name].arrow}" for name in names), "kid ↓")
    for each in evaluations:
        means = ["not relative" if name in each.absolute else f"{each.interval(name).value:.3f}" for name in names]
        table.add_row(each.method, *means, _or_dash(each.figure_like(kid)))
    screen.print(table)
    screen.print("All figures, with intervals: --report or --json, or a wider window.", style="dim")


def _or_dash(figure: Figure | None) -> str:
    return "–" if figure is None or figure.value != figure.value else f"{figure.value:.3f}"


def _of_files(files: dict[Pair, Path]) -> Source:
    from sfumato.image import picture_digest, read_image
    from sfumato.quality.evaluation import Source

    return Source(lambda pair: read_image(files[pair]), lambda pair: picture_digest(files[pair]))


def _of_model(model: Path | None, strength: float, threads: int | None) -> Source:
    from functools import cache

    from sfumato.image import thumbnail
    from sfumato.inference import Style, Stylizer
    from sfumato.quality.evaluation import Source

    stylizer = Stylizer(None if model == Path("shipped") else model, threads)

    @cache
    def style_of(path: Path) -> Style:
        return Style.from_image(path, stylizer=stylizer)

    def opinion(picture: Picture, style: Path) -> float:
        small = thumbnail(picture, 256)
        return float(stylizer.opinion(small, style_of(style).code).mean())

    return Source(
        lambda pair: stylizer(pair.content, style_of(pair.style), strength),
        lambda pair: f"{stylizer.card.digest} {stylizer.networks.digest} {strength}",
        opinion if "discriminator.onnx" in stylizer.card.files else None,
    )


def _of_anchor(name: str) -> Source:
    from sfumato.image import read_image
    from sfumato.quality.anchors import ANCHORS
    from sfumato.quality.evaluation import Source

    return Source(
        lambda pair: ANCHORS[name](read_image(pair.content), read_image(pair.style)), lambda pair: f"anchor {name}"
    )


# ---- people's votes --------------------------------------------------------------------------------------------------


def _write_blind_page(path: Path, methods: Methods, trials: int | None, question: str | None, seed: int) -> None:
    from sfumato.quality.blind import QUESTION, write_page

    taken = f"{path} is there already; give another name, or remove it first"
    if path.exists():  # people may be voting on it, and their votes count for that page alone
        raise OutputError(taken)
    shared = [pair for pair in methods.pairs if all(pair in method.pairs for method in methods.by_name.values())]
    if not shared:
        raise UsageError("the methods share no pair; check the names of their pictures")
    sources = {name: method.source.picture for name, method in methods.by_name.items()}
    try:
        write_page(path, sources, shared, question or QUESTION, seed, trials, overwrite=False)
    except OutputError as problem:
        raise OutputError(taken) if isinstance(problem.__cause__, FileExistsError) else problem from None
    say(f"{path}: open it in a browser; `sfumato evaluate` counts the votes that it exports")


def _count_votes(paths: list[Path], as_json: bool) -> None:
    from dataclasses import asdict

    from rich.table import Table

    from sfumato.quality.votes import read_votes, tally

    found = tally(read_votes(paths))
    if as_json:
        say_json(asdict(found), 1)
        return
    table = Table("method", "strength, 95 % interval", "won", "votes")
    for each in found.standings:
        s = each.strength
        table.add_row(
            each.method, f"{s.value:+.2f} [{s.low:+.2f}, {s.high:+.2f}]", f"{each.win_rate:.0%}", str(each.votes)
        )
    screen = console()
    screen.print(f"{found.votes} votes on: {found.question}")
    screen.print(table)
    if found.left is not None:
        screen.print(
            f"the left one was chosen in {found.left.value:.0%} of the decided votes (p {found.left_p:.2f} if sides do "
            "not matter)"
        )
    screen.print(f"no difference: {found.same:.0%}. Strengths are Bradley-Terry's: a lead of 1 wins 73 % of the votes.")


# ---- cost ------------------------------------------------------------------------------------------------------------


def _tell_cost(model: Path, as_json: bool) -> None:
    import numpy as np
    from rich.table import Table

    from sfumato.image import thumbnail_size
    from sfumato.inference import Style, Stylizer
    from sfumato.inference.session import card_number, read_card
    from sfumato.inference.stylizer import LONGEST_THUMBNAIL
    from sfumato.quality.cost import macs_of_onnx, measure_cost

    stylizer = Stylizer(None if model == Path("shipped") else model)
    card = stylizer.card
    y, x = np.mgrid[0:512, 0:512].astype(np.float32) / 511
    style = Style.from_image(np.stack([x, y, (x + y) / 2])[None], "trial", stylizer)
    costs = measure_cost(lambda picture: stylizer(picture, style, quality="draft"), threads=os.cpu_count())
    found = []
    for cost in costs:
        height, width = cost.height, cost.width
        small = (1, 3, *thumbnail_size(height, width, card.thumbnail, LONGEST_THUMBNAIL))
        shapes = {
            "generator.onnx": {"picture": (1, 3, height, width), "affines": (1, card.affines), "origin": (2,)},
            "statistics.onnx": {"thumbnail": small, "code": (1, card.code_size)},
        }
        operations = {name: macs_of_onnx(stylizer.folder / name, some) for name, some in shapes.items()}
        found.append({**vars(cost), "macs": operations})
    parameters = card_number(read_card(stylizer.folder), "parameters", stylizer.folder / "card.json", 0, 10**12)
    if as_json:
        say_json({"model": card.model, "parameters": parameters, "sizes": found}, 1)
        return
    table = Table("size", "seconds (quartiles)", "memory", "generator, one pass", "statistics")
    for one, cost in zip(found, costs, strict=True):
        memory = "–" if cost.peak_bytes is None else f"{cost.peak_bytes / 1e6:.0f} MB"
        generator, statistics = (f"{macs / 1e9:.1f} G" for macs in one["macs"].values())
        spread = f"{cost.seconds:.2f} ({cost.low:.2f} to {cost.high:.2f}; {cost.repeats} runs)"
        table.add_row(f"{cost.width} x {cost.height}", spread, memory, generator, statistics)
    console().print(table)
    say(
        f"{card.model}: {parameters:,} parameters, {os.cpu_count()} threads; operations are multiply-accumulates. "
        "Large pictures are painted at a base size and enlarged, so they take fewer than one pass at their size."
    )
