"""``sfumato video``: paint a video."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.output import say, say_error, say_json
from sfumato.cli.stylize import ColorMode, find_style, find_styles
from sfumato.errors import UsageError

if TYPE_CHECKING:
    from sfumato.inference import Style, Stylizer
    from sfumato.video.pipeline import VideoResult
    from sfumato.video.schedule import Schedule


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
    source: Annotated[Path, typer.Argument(metavar="VIDEO", help="The video to paint.", show_default=False)],
    style: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|IMAGE|FILE[:WEIGHT|:TIMEs]",
            help="A style, as for sfumato stylize. Several are blended by weight or, with times as in monet:0s and "
            "klimt:5s, follow each other and blend in between.",
            show_default=False,
        ),
    ] = None,
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
        float,
        typer.Option(help="0: each frame by itself, which flickers. 1: the strokes follow the motion most closely."),
    ] = 0.8,
    strength: Annotated[float, typer.Option(help="0 (the video in its own style) to 1 (full style).")] = 1.0,
    stroke: Annotated[float, typer.Option(help="Relative size of the strokes, 0.5 to 2.")] = 1.0,
    color: Annotated[
        ColorMode,
        typer.Option(
            case_sensitive=False,
            help="style: the colours of the style; content: the palette of the video; luminance: the video's colour "
            "at each pixel.",
        ),
    ] = ColorMode.style,
    seed: Annotated[int, typer.Option(help="Random seed of the strokes, 0 or more.")] = 0,
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
            help="Only show how it will look: 5 seconds as a small draft or, where -o names a .png, nine frames from "
            "all parts on a sheet.",
        ),
    ] = False,
    max_size: Annotated[
        int, typer.Option(metavar="PX", help="Shrink frames with a longer side than this; 0: never.")
    ] = 0,
    codec: Annotated[
        CodecChoice,
        typer.Option(case_sensitive=False, help="vp9 and av1 are free of patents and GPL; h264 is made by x264 (GPL)."),
    ] = CodecChoice.vp9,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    device: Annotated[str, typer.Option(help="Device: auto, cpu or cuda.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(help="CPU threads. \\[default: one per core]", show_default=False)
    ] = None,
    _max_pixels: MaxPixels = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as a line of JSON.")] = False,
) -> None:
    """Paint a video; its sound, subtitles and times are kept.

    An interrupted command goes on where it was when it is run again.
    """
    from time import perf_counter

    from sfumato.cli.progress import one_picture
    from sfumato.inference import Stylizer
    from sfumato.inference.options import PaintOptions
    from sfumato.video.pipeline import paint_video
    from sfumato.video.schedule import parse_seconds

    if not style:
        raise UsageError("no --style was given; name one, as in --style monet (see sfumato styles)")
    if out is None:
        raise UsageError("no file to write was given; name one, as in -o painted.webm")
    began = perf_counter()
    begin = 0.0 if start is None else parse_seconds(start, "--from")
    finish = None if end is None else parse_seconds(end, "--to")
    options = PaintOptions(strength, stroke, color.value, quality.value, seed)
    stylizer = Stylizer(None, threads, device)
    schedule = _schedule(style, stylizer)
    done = ""
    try:
        with one_picture("painting") as show:

            def progress(share: float, doing: str) -> None:
                nonlocal done
                done = doing
                if show is not None:
                    show(share, doing)

            if preview:
                if out.suffix.lower() == ".png":
                    frames = _sheet(source, out, schedule, options, stylizer, begin, finish, overwrite, progress)
                    message, result = f"{out}  {counted(frames, 'frame')}", None
                else:
                    begin, finish, max_size = _part(source, begin, finish, max_size)
                    options = replace(options, quality="draft")
            if not preview or out.suffix.lower() != ".png":
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
                    progress=progress,
                )
    except KeyboardInterrupt:
        if done and not preview:
            say_error(f"stopped at {done}; run the same command again to go on from there")
        raise
