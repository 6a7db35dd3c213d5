"""``sfumato video``: paint a video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.options import Device, Seed, Stroke, Threads
from sfumato.cli.output import say, say_error, say_json
from sfumato.cli.rights import StyleRights
from sfumato.cli.sealing import Provenance, open_seal
from sfumato.cli.stylize import ColorMode, find_style, find_styles, rights_in_styles
from sfumato.errors import UsageError
from sfumato.text import counted

if TYPE_CHECKING:
    from sfumato.inference import Stylizer
    from sfumato.inference.progress import Progress
    from sfumato.video.pipeline import VideoResult
    from sfumato.video.schedule import Schedule

_TIME = re.compile(r"\d+(\.\d+)?s")


class VideoQuality(StrEnum):
    """The choices of ``--quality``."""

    draft = "draft"
    standard = "standard"


class CodecChoice(StrEnum):
    """The choices of ``--codec``."""

    vp9 = "vp9"
    av1 = "av1"
    h264 = "h264"


def video(
    source: Annotated[str, typer.Argument(metavar="VIDEO", help="The video to paint.", show_default=False)],
    style: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|IMAGE|FILE[:WEIGHT|:TIMEs]",
            help="A style, as for sfumato stylize. Several are blended by weight or, with times as in monet:0s and "
            "klimt:5s, follow each other and blend in between.",
            show_default=False,
        ),
    ] = None,
    rights: StyleRights = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="The video to write: .webm, .mkv, .mp4 or .mov. With --preview also a .png.",
            show_default=False,
        ),
    ] = None,
    quality: Annotated[
        VideoQuality,
        typer.Option(
            case_sensitive=False,
            help="draft: fast. standard: with the brushwork of the style's own pictures, many times slower.",
        ),
    ] = VideoQuality.draft,
    steady: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="0: each frame by itself, which flickers. 1: the strokes follow the motion most closely. "
            "\\[default: 0.9]",
            show_default=False,
        ),
    ] = None,
    strength: Annotated[float, typer.Option(help="0 (nearly the video itself) to 1 (full style).")] = 1.0,
    stroke: Stroke = 1.0,
    color: Annotated[
        ColorMode,
        typer.Option(
            case_sensitive=False,
            help="style: the colours of the style; content: the palette of the video; luminance: the video's colour "
            "at each pixel.",
        ),
    ] = ColorMode.style,
    seed: Seed = 0,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Begin here: 90, 1:30 or 0:01:30.", show_default=False),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="End here, in the video's own time.", show_default=False)
    ] = None,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview",
            help="Only show how it will look: 5 seconds as a small draft or, where -o names a .png, twelve frames from "
            "all parts on a sheet.",
        ),
    ] = False,
    max_size: Annotated[
        int, typer.Option(metavar="PX", help="Shrink frames with a longer side than this; 0: never.")
    ] = 0,
    codec: Annotated[
        CodecChoice,
        typer.Option(case_sensitive=False, help="vp9, av1: no patent fees, no GPL; h264 is made by x264 (GPL)."),
    ] = CodecChoice.vp9,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    provenance: Provenance = False,
    device: Device = "auto",
    threads: Threads = None,
    _max_pixels: MaxPixels = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as a line of JSON.")] = False,
) -> None:
    """Paint a video; its sound, subtitles and times are kept.

    An interrupted command goes on where it was when it is run again.
    """
    from sfumato.checks import check_range
    from sfumato.inference import Stylizer
    from sfumato.inference.jobs import check_no_address
    from sfumato.inference.options import PaintOptions
    from sfumato.video.joining import left_out, target_format
    from sfumato.video.pipeline import check_target, check_times, paint_video
    from sfumato.video.preview import PREVIEW_SIZE, preview_part, preview_sheet
    from sfumato.video.reading import VideoSource
    from sfumato.video.schedule import parse_seconds
    from sfumato.video.steady import STEADY

    check_no_address(source)
    if not style:
        raise UsageError("no --style was given; name one, as in --style monet (see sfumato styles)")
    if out is None:
        raise UsageError("no file to write was given; name one, as in -o painted.webm")
    steady = STEADY if steady is None else check_range(steady, 0.0, 1.0, "--steady")
    if max_size:
        check_range(max_size, 16, 1_000_000, "--max-size")
    begin = 0.0 if start is None else parse_seconds(start, "--from")
    finish = None if end is None else parse_seconds(end, "--to")
    check_times(begin, finish)
    options = PaintOptions(strength, stroke, color.value, quality.value, seed)
    whose = rights_in_styles(rights, [name if _TIME.fullmatch(tail) else text for text, name, tail in _parts(style)])
    seal = open_seal(provenance)
    stylizer, began = Stylizer(None, threads, device), perf_counter()
    schedule = parse_schedule(style, stylizer, whose)
    if len(schedule.keys) > 1 and (late := _late_styles(schedule, VideoSource.probe(source).length)):
        say_error(late)
    if preview:
        facts = VideoSource.probe(source, min(max_size or PREVIEW_SIZE, PREVIEW_SIZE), begin, finish)
        if out.suffix.lower() == ".png":
            check_target(Path(source), out, overwrite)
            with _bar(None) as progress:
                count = preview_sheet(facts, out, schedule, options, stylizer, overwrite, progress)
            _say_sheet(out, count, perf_counter() - began, as_json)
            return
        begin, finish = preview_part(facts)
        options, max_size = replace(options, quality="draft"), max(facts.shape.scaled)
    for remark in left_out(Path(source), target_format(out, codec.value)):
        say_error(remark)
    with _bar(out) as progress:
        result = paint_video(
            source,
            out,
            schedule,
            options,
            steady=steady,
            start=begin,
            end=finish,
            max_size=max_size,
            codec=codec.value,
            overwrite=overwrite,
            stylizer=stylizer,
            seal=seal,
            progress=progress,
        )
    _say_video(result, perf_counter() - began, as_json)


def _late_styles(schedule: Schedule, length: float) -> str:
    """Return a remark on the styles whose times a video does not reach, or ``""``; ``length`` is in s, 0 if unknown."""
    late = [f"{style.name} at {seconds:g} s" for seconds, style in schedule.keys if seconds > length > 0]
    return f"the video is only {length:.1f} s long, so it does not reach the style {', '.join(late)}" if late else ""


@contextmanager
def _bar(target: Path | None) -> Iterator[Progress | None]:
    """Show a progress bar; after Ctrl-C, say how much of the target is kept, and how to go on."""
    from sfumato.cli.progress import one_picture
    from sfumato.video.parts import cards, kept_frames

    before = {} if target is None else cards(target)
    try:
        with one_picture("painting") as progress:
            yield progress
    except KeyboardInterrupt:
        if target is not None and (frames := kept_frames(target, before)):
            say_error(f"stopped with {counted(frames, 'frame')} kept; run the same command again to go on from there")
        raise


def _say_video(result: VideoResult, took: float, as_json: bool) -> None:
    if as_json:
        fields = {key: value for key, value in asdict(result).items() if key != "recipe"}
        say_json({**fields, "path": str(result.path), "took": round(took, 3)})
        return
    again = f", {result.resumed} of them from an interrupted run" if result.resumed else ""
    say(
        f"{result.path}  {result.width} x {result.height}  {counted(result.frames, 'frame')}{again}  "
        f"{result.seconds:.1f} s of video  {took:.1f} s"
    )
    for remark in result.remarks:
        say(f"  {remark}")


def _say_sheet(out: Path, frames: int, took: float, as_json: bool) -> None:
    if as_json:
        say_json({"path": str(out), "frames": frames, "took": round(took, 3)})
    else:
        say(f"{out}  {counted(frames, 'frame')}  {took:.1f} s")


def _parts(texts: list[str]) -> list[tuple[str, str, str]]:
    """Return each text, and what is before and after its last colon."""
    return [(text, name, tail) for text in texts for name, _, tail in [text.rpartition(":")]]


def parse_schedule(texts: list[str], stylizer: Stylizer, rights: str = "unstated") -> Schedule:
    """Return the styles of a video: one, a blend by weight, or several over time.

    Args:
        texts: the values of ``--style``: names or files, each with an optional ``:WEIGHT`` or time (``:5s``). If one
            has a time with its unit, the numbers of all others are times too, as in ``monet:0`` and ``klimt:5s``.
        stylizer: encodes styles that are pictures.
        rights: the user's rights in styles that are pictures.

    Raises:
        UsageError: a style is unknown, a time is missing or not a time, or the times do not rise.
    """
    from sfumato.video.schedule import Schedule, parse_seconds

    parts = _parts(texts)
    if not any(_TIME.fullmatch(tail) and name for _, name, tail in parts):
        return Schedule.of(find_styles(texts, 0, stylizer, rights)[0])
    if bare := [text for text, name, _ in parts if not name]:
        raise UsageError(f"--style {bare[0]} has no time, which the others have; add one, as in {bare[0]}:0s")
    return Schedule(
        tuple(
            (parse_seconds(tail, f"the time of --style {name}"), find_style(name, stylizer, rights))
            for _, name, tail in parts
        )
    )
