"""``sfumato evaluate --video``: how steady a painted video is, compared with its source."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfumato.cli.output import console, say, say_json

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from sfumato.quality.motion import Frame, Steadiness
    from sfumato.video.reading import VideoSource

_ROWS = (
    ("warping error ↓", "warping", "source_warping"),
    ("warping error, 8 frames ↓", "long", "source_long"),
    ("flicker ↓", "flicker", "source_flicker"),
)


def print_steadiness(painted: Path, source: Path, has_vgg: bool, vgg: Path | None, as_json: bool) -> None:
    """Measure and print how steady a painted video is.

    Args:
        painted: the painted video.
        source: the video that it was painted from, or only the painted part of it; longer sides are shrunk to the
            painted video's size.
        has_vgg: whether the flicker is computed with features of VGG19 instead of EfficientNet-Lite0.
        vgg: the user's own weights of VGG19.
        as_json: whether to print JSON instead of a table.

    Raises:
        InputError: a video cannot be read, or they differ in length or shape.
    """
    from sfumato.cli.progress import count_bar
    from sfumato.quality.backbones import EfficientNetLite0, VGG19Backbone
    from sfumato.quality.motion import measure_steadiness
    from sfumato.quality.similarity import perceptual_distance
    from sfumato.video.reading import VideoSource

    backbone: Any = VGG19Backbone(vgg) if has_vgg or vgg is not None else EfficientNetLite0()
    ours = VideoSource.probe(painted)
    theirs = VideoSource.probe(source, max(ours.shape.size))
    theirs.begin, theirs.end = _painted_part(painted, source)
    cuts: set[int] = set()

    def distance(a: Any, b: Any) -> float:
        return perceptual_distance(backbone.features(a), backbone.features(b))

    with count_bar() as bar:
        task = bar.add_task("measuring", total=max(1, round(ours.length * float(ours.rate))))
        frames = _frames(theirs, cuts, lambda: bar.advance(task))
        found = measure_steadiness(frames, (each.rgb for each in ours.frames(_NoScenes)), distance, cuts)
    if as_json:
        say_json(_plain(found, backbone.name, sorted(cuts)), 1)
    else:
        _print_table(found, backbone.name)


def _painted_part(painted: Path, source: Path) -> tuple[float, float | None]:
    """Return the begin and the end of the part of a source that was painted, in seconds, by the painted video's recipe.

    It is all of the source where the recipe is missing or names another file: the user may have cut the part.

    Raises:
        InputError: a file cannot be read, or the recipe is damaged.
    """
    from sfumato.files import digest
    from sfumato.video.recipe import VIDEO, VideoRecipe
    from sfumato.video.tags import read_video_recipe

    found = read_video_recipe(painted)
    if found is None or found.get("kind") != VIDEO:
        return 0.0, None
    recipe = VideoRecipe.from_json(found, str(painted))
    is_part = recipe.begin > 0 or recipe.end is not None
    if not is_part or digest(source, 2**62) != recipe.painting.photo_sha256:
        return 0.0, None
    return recipe.begin, recipe.end


class _NoScenes:
    """A detector that finds none: pairs of frames are told apart by the scenes of the source alone."""

    def starts_scene(self, _frame: VideoFrame) -> bool:
        """Return whether the frame begins a scene."""
        return False


def _frames(source: VideoSource, cuts: set[int], advance: Any = None) -> Iterator[Frame]:
    """Yield the frames of a video; numbers of the first frames of its scenes are added to ``cuts``."""
    from sfumato.video.scenes import SceneDetector

    for number, frame in enumerate(source.frames(SceneDetector)):
        if frame.starts_scene:
            cuts.add(number)
        if advance is not None:
            advance()
        yield frame.rgb


def _plain(found: Steadiness, backbone: str, cuts: list[int]) -> dict[str, Any]:
    """Return the figures for JSON, which has no NaN."""
    values = {**vars(found), "ratios": found.ratios(), "backbone": backbone, "scenes": cuts}
    values = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}
    values["ratios"] = {name: v if math.isfinite(v) else None for name, v in found.ratios().items()}
    return values


def _print_table(found: Steadiness, backbone: str) -> None:
    """Print the figures, one row for each measure."""
    from rich.table import Table

    table = Table("figure", "painted", "source", "ratio")
    ratios = found.ratios()
    for title, ours, theirs in _ROWS:
        values = getattr(found, ours), getattr(found, theirs), ratios[ours]
        table.add_row(title, *("–" if not math.isfinite(value) else f"{value:.3f}" for value in values))
    table.add_row("strokes", "", "", f"{found.strokes:.3f}")
    console().print(table)
    say(
        f"{found.pairs} pairs of frames; errors are root mean squares in levels of 255, along the source's motion; "
        f"flicker by {backbone}. A blurred video has low errors: compare the strokes with those of a painted still."
    )
