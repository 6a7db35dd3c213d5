"""``sfumato texture``: paint the textures of a 3D model, or a set of maps of a material."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfumato.cli.limits import MaxPixels
from sfumato.cli.options import BlendedStyles, Device, Seed, Stroke, Threads
from sfumato.cli.output import say, say_error
from sfumato.cli.stylize import ColorMode, QualityMode
from sfumato.errors import InputError, OutputError, UsageError

if TYPE_CHECKING:
    from sfumato.texture.colours import Painter

_MODELS = (".glb", ".gltf")
_OTHER_MODELS = (
    *(".obj", ".fbx", ".dae", ".stl", ".ply", ".3ds", ".blend", ".abc", ".max"),
    *(".usd", ".usda", ".usdc", ".usdz"),
)


def texture(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL.glb|MODEL.gltf|DIR|MAPS...",
            help="A 3D model, or the maps of materials: a folder, or files named like bricks_albedo.png and "
            "bricks_normal.png.",
            show_default=False,
        ),
    ],
    style: BlendedStyles,
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="OUT.glb|DIR", help="The model to write; a folder for maps.", show_default=False
        ),
    ],
    quality: Annotated[
        QualityMode | None,
        typer.Option(case_sensitive=False, help="As for sfumato stylize.", show_default=False),
    ] = None,
    strength: Annotated[float, typer.Option(help="0 (the texture) to 1 (full style).")] = 1.0,
    stroke: Stroke = 1.0,
    color: Annotated[ColorMode, typer.Option(case_sensitive=False, help="As for sfumato stylize.")] = ColorMode.style,
    seed: Seed = 0,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Let normals, height and roughness follow the strokes; otherwise they stay byte for byte.",
        ),
    ] = False,
    directx: Annotated[
        bool, typer.Option("--directx", help="With --follow, for maps: green points down in normal maps.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
    device: Device = "auto",
    threads: Threads = None,
    _max_pixels: MaxPixels = None,
) -> None:
    """Paint the textures of a 3D model, or the maps of a material."""
    from sfumato.cli.stylize import find_styles
    from sfumato.inference import Stylizer
    from sfumato.inference.options import PaintOptions
    from sfumato.texture.colours import Painter

    options = PaintOptions(strength, stroke, color.value, None if quality is None else quality.value, seed)
    for each in sources:
        if each.suffix.lower() in _OTHER_MODELS:
            raise InputError(
                f"{each} is a 3D model, but not in glTF, the only format that is read; convert it: in Blender, open or "
                "import it, and choose File > Export > glTF 2.0 (.glb/.gltf)"
            )
    models = [each for each in sources if each.suffix.lower() in _MODELS]
    if models and len(sources) > 1:
        raise UsageError("one model is painted at a time; name one .glb or .gltf file, or only maps")
    if models and out.suffix.lower() != ".glb":
        raise UsageError(f"a painted model is written as one .glb file, but -o names {out}")
    if models and directx:
        raise UsageError("--directx is for maps; in glTF models green points up")
    if not models and out.suffix.lower() in _MODELS:
        raise UsageError(f"maps are written into a folder, but -o names {out}")
    if directx and not follow:
        raise UsageError("--directx needs --follow; without it normal maps stay as they are")
    if models and out.exists() and models[0].exists() and out.samefile(models[0]):
        raise UsageError(f"{out} is the model itself; name another file with -o")
    if models and out.exists() and not overwrite:
        raise OutputError(f"{out} already exists; add --overwrite to replace it")
    stylizer = Stylizer(threads=threads, device=device)
    [wanted] = find_styles(style, 0, stylizer)
    painter = Painter(stylizer, wanted, options)
    if models:
        _paint_model(models[0], out, painter, follow, overwrite)
    else:
        _paint_maps(sources, out, painter, follow, directx, overwrite)


def _paint_model(source: Path, out: Path, painter: Painter, follow: bool, overwrite: bool) -> None:
    from sfumato.cli.progress import one_picture
    from sfumato.files import atomic_file
    from sfumato.text import counted
    from sfumato.texture.models import retexture

    with one_picture("painting") as progress:
        result = retexture(source, painter, follow=follow, progress=progress)
    for remark in result.remarks:
        say_error(remark)
    with atomic_file(out, overwrite) as file:
        file.write(result.glb)
    followed = f", {counted(result.followed, 'map')} changed to follow" if follow else ""
    say(f"wrote {out}: {counted(result.painted, 'texture')} painted{followed}")


def _paint_maps(sources: list[Path], out: Path, painter: Painter, follow: bool, directx: bool, overwrite: bool) -> None:
    from sfumato.cli.progress import one_picture
    from sfumato.texture.sets import find_maps, paint_set

    files = find_maps(sources)
    with one_picture("painting") as progress:
        result = paint_set(files, out, painter, follow=follow, directx=directx, overwrite=overwrite, progress=progress)
    for remark in result.remarks:
        say_error(remark)
    for word, paths in (("painted", result.painted), ("changed", result.followed), ("copied", result.copied)):
        for path in paths:
            say(f"{word:8} {path}")
