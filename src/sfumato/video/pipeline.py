"""From a video to its painting: read, paint, encode in segments, join, with everything else of the file kept."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from sfumato.checks import check_range, check_whole
from sfumato.errors import InputError, OutputError, UsageError
from sfumato.files import atomic_file, digest
from sfumato.inference.options import PaintOptions, as_options
from sfumato.inference.progress import Progress, check_progress
from sfumato.inference.style import Style
from sfumato.inference.stylizer import Stylizer
from sfumato.provenance.seal import Seal
from sfumato.video.ahead import Behind, ahead
from sfumato.video.encoding import CodecName, EncoderSettings, SegmentEncoder
from sfumato.video.joining import Joiner, target_format
from sfumato.video.opening import load_av
from sfumato.video.painting import FramePainter
from sfumato.video.parts import Parts, Place, claimed, remove
from sfumato.video.reading import TRAIL, VideoSource
from sfumato.video.recipe import VideoRecipe
from sfumato.video.scenes import SceneDetector
from sfumato.video.schedule import MAX_SECONDS, Schedule
from sfumato.video.steady import STEADY, SteadyPainter
from sfumato.video.tags import recipe_tag

#: A segment ends after this many frames, or seconds. What an interruption costs is at most one segment; shorter ones
#: would make larger files, since each begins with a whole picture.
SEGMENT_FRAMES = 48
SEGMENT_SECONDS = 10.0
_AHEAD = 2  # frames that are decoded before they are painted, and painted before they are encoded
_JOINING = 0.98  # share of the progress at which joining begins


@dataclass(frozen=True)
class VideoResult:
    """A painted video.

    Attributes:
        path: of the file.
        width: of its frames, in pixels.
        height: of its frames.
        frames: how many it has.
        resumed: how many of them an interrupted run had painted.
        seconds: from its first frame to the end of the last.
        remarks: sentences about what could not be read or kept as it was.
        recipe: how it was made, as JSON values; the file contains it too.
    """

    path: Path
    width: int
    height: int
    frames: int
    resumed: int
    seconds: float
    remarks: tuple[str, ...]
    recipe: Mapping[str, Any]


def paint_video(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    style: Style | str | Schedule,
    options: PaintOptions | None = None,
    *,
    steady: float = STEADY,
    start: float = 0.0,
    end: float | None = None,
    max_size: int = 0,
    codec: CodecName = "vp9",
    overwrite: bool = False,
    resume: bool = True,
    stylizer: Stylizer | None = None,
    seal: Seal | None = None,
    progress: Progress | None = None,
) -> VideoResult:
    """Paint a video, keeping its sound, subtitles, times, colours and texts.

    Memory does not grow with the length. Finished segments are stored in ``TARGET.parts/``; if the call is interrupted,
    the next call with the same arguments goes on from there, and its result has the same frames as that of one call.

    Args:
        source: the video's file.
        target: the file to write: WebM, MKV, MP4 or MOV, by its suffix.
        style: a style, the name of a built-in style, or styles over time.
        options: strength, stroke, color, quality and seed; by default a draft.
        steady: from 0, each frame is painted by itself, to 1, strokes follow the motion as closely as possible.
        start: second of the source at which painting begins.
        end: second at which it ends; ``None``: at the source's end.
        max_size: pixels to which the longer side of larger frames is shrunk; 0: never.
        codec: ``"vp9"``, ``"av1"`` or ``"h264"``, which takes the encoder x264 (GPL).
        overwrite: whether an existing file is replaced.
        resume: whether segments of an interrupted call are used.
        stylizer: of the model to paint with; by default the one that ships with Sfumato.
        seal: seals the file; by default it is not sealed.
        progress: is called with the completed share, from 0 to 1, and the current step. An exception that it raises
            cancels; what was painted stays for resuming.

    Raises:
        UsageError: an argument is outside its range, or the target cannot hold the codec or a sound track.
        InputError: the source cannot be read or is not supported.
        OutputError: the target cannot be written, or exists, or another process is writing it.
        ModelError: the style belongs to another model.
        MissingExtraError: the extra ``video`` is not installed.
    """
    load_av()
    check_progress(progress)
    check_range(steady, 0.0, 1.0, "steady")
    if max_size:
        check_whole(max_size, 16, 1_000_000, "max_size")
    check_times(start, end)
    source, target = Path(source), Path(target)
    target_format(target, _codec(codec))
    check_target(source, target, overwrite)
    options = as_options(options)
    options = replace(options, quality=options.quality or "draft")
    if options.quality == "best":
        raise UsageError("videos are painted in the quality draft or standard; best would take minutes for each frame")
    schedule = Schedule.of(Style.named(style) if isinstance(style, str) else style)
    stylizer = stylizer or Stylizer()
    for each in schedule.styles:
        stylizer.check_style(each)
    video = VideoSource.probe(source, max_size, start, end)
    if progress is not None:
        progress(0.0, "reading")
    recipe = VideoRecipe.of(
        stylizer,
        schedule,
        options,
        steady=steady,
        begin=start,
        end=end,
        codec=codec,
        max_size=max_size,
        source_sha256=_digest(source),
    )
    painter = SteadyPainter(stylizer, schedule, options, steady)
    return write_video(
        video,
        target,
        painter,
        recipe.to_json(),
        codec=codec,
        fast=options.quality == "draft",
        overwrite=overwrite,
        resume=resume,
        seal=seal,
        progress=progress,
    )


def write_video(
    source: VideoSource,
    target: Path,
    painter: FramePainter,
    recipe: Mapping[str, Any],
    *,
    codec: CodecName = "vp9",
    fast: bool = True,
    overwrite: bool = False,
    resume: bool = True,
    seal: Seal | None = None,
    progress: Progress | None = None,
) -> VideoResult:
    """Write the video that a painter makes of a source.

    Args:
        source: the video.
        target: the file to write.
        painter: a new one. Its frames must depend on nothing but ``recipe`` and the source.
        recipe: JSON values, stored in the file. An interrupted run with an equal recipe is resumed.
        codec: of the result.
        fast: whether the speed of the encoder matters more than the size of the file.
        overwrite: whether an existing file is replaced.
        resume: whether segments of an interrupted run are used.
        seal: seals the file; by default it is not sealed.
        progress: as for `paint_video`.

    Raises:
        UsageError, InputError, OutputError: as for `paint_video`.
    """
    format = target_format(target, codec)
    width, height = source.shape.size
    settings = EncoderSettings(codec, width, height, source.time_base, source.rate, source.colours.painted, fast)
    joiner = Joiner(source, settings, format, recipe_tag(recipe, format))
    remarks = joiner.check()
    if source.colours.is_hdr:
        remarks.append("the video is HDR and was converted to standard range: highlights are compressed")
    card = {"recipe": dict(recipe), "size": [width, height], "encoder": [*_encoder_versions(codec), fast]}
    with claimed(target) as folder:
        parts = Parts(folder, card, resume)
        resumed = parts.place.frames if parts.place else 0
        with closing(parts):
            seconds = _paint(source, painter, parts, settings, progress)
        if progress is not None:
            progress(_JOINING, "joining")
        if seal is None:
            joiner.write(parts.packets(), target, overwrite)
        else:
            joined = parts.folder / f"joined{target.suffix}"
            joiner.write(parts.packets(), joined, overwrite=True)
            with joined.open("rb") as whole, atomic_file(target, overwrite) as file:
                remarks += seal.seal_video(whole, file, recipe, source.path)
        remove(folder)
    if progress is not None:
        progress(1.0, "painted")
    assert parts.place is not None, "a video without frames is refused"
    remarks += [source.damage.remark] if source.damage.remark else []
    return VideoResult(
        target, width, height, parts.place.frames, resumed, round(seconds, 6), tuple(remarks), dict(recipe)
    )


def _paint(
    source: VideoSource,
    painter: FramePainter,
    parts: Parts,
    settings: EncoderSettings,
    progress: Progress | None,
) -> float:
    """Paint all frames that are not yet among the parts; return the length of the result in seconds.

    Decoding, painting and encoding run at the same time.
    """
    place = parts.place or Place(0, [], 0, {})
    if parts.place is not None:
        painter.restore(place.painter)
    encoder = SegmentEncoder(settings)
    trail = deque(place.trail, maxlen=TRAIL)
    number, painted, begun = place.segment, place.frames, 0.0
    last = float(trail[-1][0] * source.time_base - source.start) if trail else None
    in_segment = 0

    def end_segment() -> None:
        nonlocal number, in_segment
        number, in_segment = number + 1, 0
        following = Place(number, list(trail), painted, painter.state())
        behind.call(lambda: parts.save(encoder.finish(), following))

    read = source.frames(SceneDetector, place.trail)
    looked = ((frame, painter.look(frame.rgb)) for frame in read)
    with closing(read), closing(ahead(looked, _AHEAD)) as frames, Behind(_AHEAD) as behind:
        for frame, look in frames:
            if progress is not None:
                progress(_JOINING * frame.share, f"{frame.seconds:.1f}{_of(source)} s")
            picture = painter.paint(frame.rgb, frame.starts_scene, frame.seconds, look)
            assert picture.shape == frame.rgb.shape, "a painter keeps the size"
            behind.call(encoder.add, picture, frame.pts, frame.duration)
            trail.append((frame.pts, frame.check))
            painted, in_segment, last = painted + 1, in_segment + 1, frame.seconds
            begun = frame.seconds if in_segment == 1 else begun
            if in_segment >= SEGMENT_FRAMES or frame.seconds - begun >= SEGMENT_SECONDS:
                end_segment()
        if in_segment:
            end_segment()
    if last is None:
        until = "its end" if source.end is None else f"{source.end:g} s"
        raise InputError(
            f"{source.shown} has no frame between {source.begin:g} s and {until}; it is {source.length:.1f} s long"
        )
    return last - source.begin + float(1 / source.rate)


def _of(source: VideoSource) -> str:
    ends = [each for each in (source.end, source.length) if each]
    return f" of {min(ends):.1f}" if ends else ""


def check_target(source: Path, target: Path, overwrite: bool) -> None:
    """Check, before any work, that the target may be written.

    Raises:
        UsageError: it is the source.
        OutputError: it exists, or its folder does not.
    """
    if os.path.exists(target) and os.path.exists(source) and os.path.samefile(source, target):
        raise UsageError(f"{target} is the video itself; name another file with -o")
    if os.path.isdir(target):
        raise OutputError(f"cannot write {target}: a folder has that name; name a file")
    if os.path.lexists(target) and not overwrite:
        raise OutputError(f"{target} already exists; add --overwrite to replace it")
    if not os.path.isdir(target.absolute().parent):
        raise OutputError(f"cannot write {target}: the folder {target.parent} does not exist; create it first")


def check_times(start: float, end: float | None) -> None:
    """Check the second at which painting begins, and the one at which it ends.

    Raises:
        UsageError: one is out of range, or the end is not later than the start.
    """
    check_range(start, 0.0, MAX_SECONDS, "the start")
    if end is not None and check_range(end, 0.0, MAX_SECONDS, "the end") <= start:
        raise UsageError(f"the end ({end:g} s) must be later than the start ({start:g} s)")


def _codec(codec: str) -> CodecName:
    if codec not in get_args(CodecName):
        raise UsageError(f"the codec must be one of {', '.join(get_args(CodecName))}, but is {codec!r:.80}")
    return codec  # type: ignore[return-value]


def _digest(path: Path) -> str:
    try:
        return digest(path, 2**62)
    except OSError as problem:
        raise InputError(f"cannot read {path}: {problem.strerror or problem}") from problem


def _encoder_versions(codec: CodecName) -> list[Any]:
    """Return what, besides the recipe, decides the packets of a segment."""
    av = load_av()
    return [codec, av.__version__, [list(each) for each in av.library_versions.values()], SEGMENT_FRAMES]
