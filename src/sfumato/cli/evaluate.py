"""``sfumato evaluate`` and ``sfumato compare``: measure stylised pictures, made by Sfumato or any other program."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sfumato.cli.blind_votes import count_votes, write_blind_page
from sfumato.cli.evaluate_video import print_steadiness
from sfumato.cli.evaluation_tables import print_evaluations
from sfumato.cli.limits import MaxPixels
from sfumato.cli.methods import Method, Methods, Request, SuiteName, of_anchor
from sfumato.cli.model_cost import print_cost
from sfumato.cli.output import say, say_error, say_json
from sfumato.errors import InputError, OutputError, UsageError

Content = Annotated[Path | None, typer.Option(metavar="DIR", help="The photos.", show_default=False)]
StyleFolder = Annotated[Path | None, typer.Option(metavar="DIR", help="The style pictures.", show_default=False)]
PairsFile = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Pairs, in columns content,style. \\[default: taken from the pictures' names]"),
]
SuiteOption = Annotated[SuiteName, typer.Option(help="quick omits the measures that need VGG19.")]
Report = Annotated[Path | None, typer.Option(metavar="DIR", help="Write DIR/report.html, and cache the figures there.")]
AllowMissing = Annotated[bool, typer.Option("--allow-missing", help="Skip the pairs that have no picture.")]
Anchors = Annotated[bool, typer.Option("--anchors/--no-anchors", help="Evaluate points of reference too.")]
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Art with which to compare the pictures as a set. \\[default: the style pictures]"
    ),
]
Short = Annotated[int, typer.Option(metavar="PX", help="Short side at which features are computed.")]
Vgg = Annotated[Path | None, typer.Option(help="torchvision's vgg19 .pth, instead of the 8-bit copy.")]
Inception = Annotated[
    Path | None, typer.Option(metavar="FILE", help="An Inception-v3 as ONNX, to compare sets with it too.")
]
Workers = Annotated[
    int | None,
    typer.Option(help="Pairs evaluated at once. \\[default: the number of cores, at most 8]", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print every figure as JSON.")]


def evaluate(
    votes: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[VOTES.json]...", help="Votes of a blind page to count instead.", show_default=False),
    ] = None,
    content: Content = None,
    style: StyleFolder = None,
    stylized: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Pictures named <photo>__<style>, such as cat__wave.png for cat.jpg and wave.jpg.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A model to evaluate, made by sfumato export; or `shipped`.")
    ] = None,
    curve: Annotated[bool, typer.Option("--curve", help="Evaluate the model at several strengths.")] = False,
    cost: Annotated[
        bool, typer.Option("--cost", help="Measure the model's time, memory and operations instead.")
    ] = False,
    video: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A painted video; measure how steady it is.", show_default=False)
    ] = None,
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The video that it was painted from.", show_default=False)
    ] = None,
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
    _max_pixels: MaxPixels = None,
) -> None:
    """Evaluate stylised pictures, made by Sfumato or any other program."""
    if votes:
        _check_votes(votes)
        if content or style or stylized or model:
            raise UsageError("files of votes cannot be combined with folders or a model; leave one of them out")
        return count_votes(votes, as_json)
    if video is not None or source is not None:
        if video is None or source is None or content or style or stylized or model:
            raise UsageError("a video is evaluated with its source only: --video PAINTED --source SOURCE")
        return print_steadiness(video, source, suite is not SuiteName.quick, vgg, as_json)
    if cost:
        if model is None or stylized is not None:
            raise UsageError("--cost measures a model; name it with --model, without --stylized")
        return print_cost(model, as_json)
    if stylized is None and model is None:
        raise UsageError(
            "there is nothing to evaluate; name a folder of stylised pictures with --stylized, or a model with "
            "--model, and the photos and style pictures with --content and --style"
        )
    if stylized is not None and model is not None:
        raise UsageError("--stylized and --model cannot be combined; leave one of them out")
    if curve and model is None:
        raise UsageError("--curve evaluates a model at several strengths; name the model with --model")
    request = Request(
        content, style, pairs, reference, suite, report, allow_missing, anchors, short, vgg, inception, workers, as_json
    )
    if stylized is not None:
        methods = Methods.of_folders(request, {stylized.name or "stylized": stylized})
    else:
        methods = Methods.of_model(request, model, curve)
    _evaluate(request, methods)
    return None


def compare(
    methods: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME=DIR...", help="A name and the folder of pictures for each method.", show_default=False
        ),
    ],
    content: Content = None,
    style: StyleFolder = None,
    blind: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Instead write a page on which people choose blindly."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Questions on the blind page. \\[default: all pairs]", show_default=False)
    ] = None,
    question: Annotated[str | None, typer.Option(help="The question on the blind page.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the order on the blind page.")] = 0,
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
    _max_pixels: MaxPixels = None,
) -> None:
    """Compare two or more methods on the same pairs; the first is the baseline for the others."""
    found: dict[str, Path] = {}
    for text in methods:
        name, equals, folder = text.partition("=")
        if not (name and equals and folder):
            raise UsageError(f"each method must be NAME=DIR, as in ours={folder or name or 'DIR'}, but one is {text!r}")
        if name in found:
            raise UsageError(f"two methods are named {name!r}; give each its own name")
        found[name] = Path(folder)
    if len(found) < 2:
        raise UsageError("comparing needs two methods; use `sfumato evaluate` for one")
    request = Request(
        content, style, pairs, reference, suite, report, allow_missing, anchors, short, vgg, inception, workers, as_json
    )
    all_methods = Methods.of_folders(request, found)
    if blind is not None:
        write_blind_page(blind, all_methods, trials, question, seed)
    else:
        _evaluate(request, all_methods)


def _check_votes(named: list[Path]) -> None:
    """Check that the positional arguments are files of votes.

    Raises:
        UsageError: one is a folder or a picture, given in the mistaken belief that it would be evaluated.
    """
    from sfumato.image import READABLE

    for path in named:
        if os.path.isdir(path) or path.suffix.lower() in READABLE:
            kind = "a folder" if os.path.isdir(path) else "a picture"
            raise UsageError(
                f"{path} is {kind}, not a file of votes; to evaluate pictures, name their folder with --stylized, and "
                "those of the photos and style pictures with --content and --style"
            )


def _evaluate(request: Request, methods: Methods) -> None:
    """Evaluate the methods and the anchors, and print the figures or write the report.

    Raises:
        UsageError: a method has the name of an anchor.
        OutputError: the report cannot be written.
        typer.Exit: a picture could not be evaluated; the error has been printed.
    """
    from sfumato.cli.progress import count_bar
    from sfumato.quality.anchors import ANCHORS
    from sfumato.quality.evaluation import to_json
    from sfumato.quality.evaluator import Evaluator
    from sfumato.quality.pairs import pictures_in
    from sfumato.quality.report import write_report

    by_name = dict(methods.by_name)
    if request.anchors:
        if taken := [name for name in ANCHORS if name in by_name]:
            raise UsageError(f"{taken[0]!r} is the name of an anchor; choose another, or pass --no-anchors")
        by_name |= {name: Method(methods.pairs, of_anchor(name)) for name in ANCHORS}
    report = request.report
    if report is not None and os.path.lexists(report) and not os.path.isdir(report):
        raise OutputError(f"cannot write the report into {report}: it is not a folder; name one with --report")
    evaluator = Evaluator(
        methods.pairs,
        request.suite.value,
        request.short,
        report / "cache" if report else None,
        request.vgg,
        pictures_in(request.reference) if request.reference else None,
        request.inception,
        request.threads(),
    )
    if evaluator.workers > 1:
        import torch

        torch.set_num_threads(1)  # the pairs share the cores
    evaluations = []
    with count_bar() as bar:
        task = bar.add_task("evaluating", total=sum(len(method.pairs) for method in by_name.values()))
        for name, method in by_name.items():
            bar.update(task, description=name)
            found = evaluator.evaluate(name, method.source, lambda: bar.advance(task), method.missing, method.pairs)
            evaluations.append(replace(found, strength=method.strength))
    if report is not None:
        write_report(report / "report.html", evaluations, [method.source for method in by_name.values()])
        bar.console.print(f"{report / 'report.html'}", soft_wrap=True)
    if request.as_json:
        say_json(to_json(evaluations), 1)
    else:
        print_evaluations(evaluations)
    _print_left_out(request)
    failed = dict.fromkeys(f"{each.method}: left out: {why}" for each in evaluations for why in each.failed)
    for failure in failed:
        say_error(failure)
    if failed:
        raise typer.Exit(InputError.exit_code)


def _print_left_out(request: Request) -> None:
    """Name the files in both folders that were ignored; with ``--pairs``, only the listed files were meant anyway."""
    from sfumato.image import describe_left_out, scan_folder

    for folder in () if request.pairs else request.folders():
        for line in describe_left_out(scan_folder(folder, is_deep=False).left_out, 5):
            say(f"left out: {line}", err=True)
