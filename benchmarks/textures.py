"""Measure textures: the seams of painted textures and of a painted 3D model, and look-up tables, with pictures.

usage: textures.py OUT [--textures DIR] [--photos DIR] [--style NAME]... [--quality draft standard best] [--side 256]

Ten textures: six are generated (three repeat, three do not), the others are the pictures of --textures, if given.
OUT gets `textures.json`, one 3 x 3 tiling for each painting (left: painted plainly, right: with --tile), and for each
style `model-STYLE.png`: a ball whose texture lies in six islands, rendered before, after painting the texture as a
plain picture, and after `sfumato texture`.

With --photos, `lut-STYLE.png` has each photo, its painting, and the photo with two tables: one without photos, one from
these photos. The distance to the colours of the painting is the mean difference of quantiles over 64 directions.

The seam ratio (`seam_ratios`) is the mean step across the border, relative to the largest usual ones inside, at three
widths; the larger of both directions counts. The bound is 1.1. "energy" is the plain mean step of one pixel across the
border, relative to the mean of those inside.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from sfumato import PaintOptions, Photo, Pipeline, Style, Stylizer
from sfumato.image import Picture, to_uint8
from sfumato.inference.lut import make_lut
from sfumato.inference.seamless import border_steps, make_seamless, seam_ratios
from sfumato.texture.colours import Painter
from sfumato.texture.container import Gltf, read_gltf, to_glb
from sfumato.texture.islands import Islands
from sfumato.texture.meshes import triangles_of
from sfumato.texture.models import retexture

BOUND = 1.1
Array = npt.NDArray[np.float64]


# ---- textures --------------------------------------------------------------------------------------------------------


def noise(side: int, seed: int, power: float = 1.4, stretch: float = 1.0) -> Array:
    """Return noise (side, side) that repeats, in [0, 1]."""
    rng = np.random.default_rng(seed)
    down, across = np.meshgrid(*[np.fft.fftfreq(side) * side] * 2, indexing="ij")
    spectrum = np.fft.fft2(rng.normal(size=(side, side))) / np.maximum(np.hypot(down, across * stretch), 1) ** power
    plane = np.fft.ifft2(spectrum).real
    return np.clip(0.5 + 0.2 * plane / plane.std(), 0, 1)


def ramp(plane: Array, *colours: tuple[float, float, float]) -> Picture:
    """Return a picture that maps values in [0, 1] to colours between the given ones."""
    at = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(plane, at, [c[i] for c in colours]) for i in range(3)])[None].astype(np.float32)


def generated(side: int) -> dict[str, Picture]:
    y, x = np.mgrid[0:side, 0:side] / side
    grain = noise(side, 1, 0.6)
    wood = np.sin(2 * np.pi * (6 * x + 1.5 * noise(side, 2, 2.0))) / 2 + 0.5
    row = np.floor(y * 8)
    brick = (np.abs((y * 8) % 1 - 0.5) > 0.42) | (np.abs((x * 4 + row / 2) % 1 - 0.5) > 0.46)
    stone = noise(side, 3, 1.1)
    uneven = 0.5 * y + 0.2 * x  # light from one side
    marble = np.sin(17 * x + 9 * y + 6 * noise(side, 4, 1.8)) / 2 + 0.5
    waves = np.sin(41 * y + 5 * np.sin(7 * x) + 4 * noise(side, 5, 1.8)) / 2 + 0.5
    return {
        "wood": ramp(0.8 * wood + 0.2 * grain, (0.3, 0.17, 0.08), (0.75, 0.5, 0.3)),
        "bricks": np.where(
            brick, ramp(grain, (0.6, 0.58, 0.55), (0.85, 0.82, 0.8)), ramp(grain, (0.4, 0.15, 0.1), (0.75, 0.35, 0.25))
        ),
        "stone": ramp(stone, (0.2, 0.22, 0.25), (0.5, 0.48, 0.45), (0.85, 0.85, 0.82)),
        "uneven (no)": np.clip(ramp(stone, (0.1, 0.2, 0.05), (0.3, 0.45, 0.2)) + 0.5 * uneven, 0, 1).astype(np.float32),
        "marble (no)": ramp(0.7 * marble + 0.3 * grain, (0.15, 0.2, 0.2), (0.9, 0.92, 0.9)),
        "waves (no)": ramp(0.8 * waves + 0.2 * grain, (0.05, 0.2, 0.4), (0.6, 0.8, 0.85)),
    }


def read_textures(folder: Path, side: int, count: int) -> dict[str, Picture]:
    found = {}
    for path in sorted(folder.iterdir())[:count]:
        with Image.open(path) as image:
            square = min(image.size)
            pixels = np.asarray(image.convert("RGB").crop((0, 0, square, square)).resize((side, side)))
        found[path.stem] = Photo(pixels).picture()
    return found


def energy(picture: Picture) -> float:
    """Return the larger of both directions' mean step across the border, relative to the mean step inside."""
    steps = [border_steps(planes) for planes in (picture[0], picture[0].transpose(0, 2, 1))]
    return round(float(max(each[0] / each[1:].mean() for each in steps)), 3)


def measure_seams(args: argparse.Namespace, stylizer: Stylizer, styles: list[str]) -> list[dict[str, object]]:
    textures = generated(args.side)
    if args.textures:
        textures |= read_textures(args.textures, args.side, 10 - len(textures))
    rows = []
    for number, (name, picture) in enumerate(textures.items()):
        style = styles[number % len(styles)]
        for quality in args.quality:
            photo = Photo(to_uint8(picture))
            tiled = Pipeline(style, PaintOptions(quality=quality, tile=True), stylizer=stylizer)(photo).picture
            plain = Pipeline(style, PaintOptions(quality=quality), stylizer=stylizer)(make_seamless(photo)).picture
            row = {"texture": name, "style": style, "quality": quality}
            row |= {
                k: round(max(seam_ratios(p.picture())), 3)
                for k, p in (("photo", photo), ("plain", plain), ("tiled", tiled))
            }
            row |= {f"energy, {k}": energy(p.picture()) for k, p in (("plain", plain), ("tiled", tiled))}
            rows.append(row)
            print(row, flush=True)
            sheet = np.hstack([np.tile(p.pixels, (3, 3, 1)) for p in (plain, tiled)])
            Image.fromarray(sheet).save(args.out / f"tile-{name.split()[0]}-{quality}-{style}.png")
    return rows


# ---- a model ---------------------------------------------------------------------------------------------------------


#: Of each face of the cube: outwards, right, up.
AXES = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
    ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
    ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
)


def ball(side: int, gutter: int = 12, steps: int = 16) -> Gltf:
    """Return a ball whose texture has the six faces of a cube as islands, with grey between them."""
    cell = side // 3
    axes = np.array(AXES, float)
    points, places, corners = [], [], []
    atlas = np.full((2 * cell, side, 3), 0.5)
    inner = cell - 2 * gutter
    line = np.linspace(-1, 1, steps + 1)
    for face, (out, right, up) in enumerate(axes):
        left, top = face % 3 * cell + gutter, face // 3 * cell + gutter
        v, u = np.meshgrid(line, line, indexing="ij")
        corner = out + u[..., None] * right - v[..., None] * up
        first = sum(map(len, points))
        points.append((corner / np.linalg.norm(corner, axis=-1, keepdims=True)).reshape(-1, 3))
        places.append(
            np.stack([(left + (u + 1) / 2 * inner) / side, (top + (v + 1) / 2 * inner) / (2 * cell)], -1).reshape(-1, 2)
        )
        index = first + np.arange((steps + 1) ** 2).reshape(steps + 1, steps + 1)
        a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
        corners.append(np.stack([a, c, b, b, c, d], -1).reshape(-1, 3))
        v, u = np.meshgrid(*[(np.arange(-2, inner + 2) + 0.5) / inner * 2 - 1] * 2, indexing="ij")
        solid = out + u[..., None] * right - v[..., None] * up
        atlas[top - 2 : top + inner + 2, left - 2 : left + inner + 2] = earth(
            solid / np.linalg.norm(solid, axis=-1, keepdims=True)
        )
    blobs = [
        np.concatenate(points).astype("<f4"),
        np.concatenate(places).astype("<f4"),
        np.concatenate(corners).astype("<u4"),
    ]
    views, start = [], 0
    for blob in blobs:
        views.append({"buffer": 0, "byteOffset": start, "byteLength": blob.nbytes})
        start += blob.nbytes
    low, high = blobs[0].min(0).tolist(), blobs[0].max(0).tolist()
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}, "metallicFactor": 0}}],
        "textures": [{"source": 0}],
        "images": [{"mimeType": "image/png"}],
        "buffers": [{"byteLength": start}],
        "bufferViews": views,
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "type": "VEC3", "count": len(blobs[0]), "min": low, "max": high},
            {"bufferView": 1, "componentType": 5126, "type": "VEC2", "count": len(blobs[1])},
            {"bufferView": 2, "componentType": 5125, "type": "SCALAR", "count": blobs[2].size},
        ],
    }
    return Gltf(document, [b"".join(blob.tobytes() for blob in blobs)], [png(atlas)], "ball")


def png(pixels: Array) -> bytes:
    from sfumato.texture.models import encoded

    return encoded(Photo(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)), "png")


def earth(points: Array) -> Array:
    """Return colours (..., 3) of points on the ball, the same wherever they lie in the texture: seas and lands."""
    rng, plane = np.random.default_rng(7), np.zeros(points.shape[:-1])
    for octave in range(1, 7):
        for _ in range(6):
            direction = rng.normal(size=3)
            direction *= 1.6**octave / np.linalg.norm(direction)
            plane += np.sin(points @ direction * 2 + rng.uniform(0, 6)) / 1.5**octave
    colours = (0.05, 0.15, 0.4), (0.2, 0.5, 0.7), (0.85, 0.8, 0.5), (0.2, 0.45, 0.15), (0.9, 0.9, 0.85)
    return ramp(1 / (1 + np.exp(-2 * plane)), *colours)[0].transpose(1, 2, 0)


def render(model: Gltf, side: int = 480, turn: float = 0.6, tilt: float = 0.5) -> npt.NDArray[np.uint8]:
    """Return a picture of a model: perspective, a z-buffer, bilinear lookup, light from the left above."""
    triangles = triangles_of(model, {0: 0})[0]
    assert triangles is not None
    photo = texture_of(model)
    cos, sin, up, down = np.cos(turn), np.sin(turn), np.cos(tilt), np.sin(tilt)
    rotate = np.array([[1, 0, 0], [0, up, -down], [0, down, up]]) @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    points = triangles.points @ rotate.T
    depth = 3.2 - points[..., 2]
    screen = side / 2 + 1.35 * side / depth[..., None] * points[..., :2] * [1, -1]
    found, nearest = np.full((side, side, 3), 0.12), np.full((side, side), np.inf)
    light = np.array([-0.4, 0.6, 0.7]) / np.linalg.norm([-0.4, 0.6, 0.7])
    for corners, far, places, solid in zip(screen, depth, triangles.places, points, strict=True):
        low, high = (
            np.floor(corners.min(0)).astype(int).clip(0),
            np.ceil(corners.max(0)).astype(int).clip(None, side - 1) + 1,
        )
        edge, other = corners[1] - corners[0], corners[2] - corners[0]
        area = edge[0] * other[1] - edge[1] * other[0]
        if area >= 0 or (high <= low).any():  # seen from behind
            continue
        y, x = np.mgrid[low[1] : high[1], low[0] : high[0]] + 0.5
        px, py = x - corners[0, 0], y - corners[0, 1]
        b = (px * other[1] - py * other[0]) / area
        c = (edge[0] * py - edge[1] * px) / area
        weights = np.stack([1 - b - c, b, c]) / far[:, None, None]
        inverse = weights.sum(0)
        rows, columns = slice(low[1], high[1]), slice(low[0], high[0])
        shown = (np.minimum(np.minimum(b, c), 1 - b - c) >= -1e-6) & (1 / inverse < nearest[rows, columns])
        weights = weights[:, shown] / inverse[shown]
        normal = weights.T @ solid
        shade = 0.35 + 0.75 * np.clip(normal / np.linalg.norm(normal, axis=1, keepdims=True) @ light, 0, 1)
        found[rows, columns][shown] = lookup(photo, weights.T @ places) * shade[:, None]
        nearest[rows, columns][shown] = 1 / inverse[shown]
    return np.rint(np.clip(found, 0, 1) * 255).astype(np.uint8)


def texture_of(model: Gltf) -> Array:
    from sfumato.image import as_photo

    return as_photo(model.images[0]).picture()[0].transpose(1, 2, 0).astype(float)


def lookup(pixels: Array, places: Array) -> Array:
    """Return the colours of places (N, 2) by bilinear interpolation, repeating."""
    height, width = pixels.shape[:2]
    at = places * [width, height] - 0.5
    low = np.floor(at).astype(int)
    share = at - low
    found = np.zeros((len(places), 3))
    for down in (0, 1):
        for across in (0, 1):
            weight = np.abs(1 - down - share[:, 1]) * np.abs(1 - across - share[:, 0])
            found += weight[:, None] * pixels[(low[:, 1] + down) % height, (low[:, 0] + across) % width]
    return found


def seam_of_islands(model: Gltf) -> float:
    """Return the mean difference of the colours that meet at seams, relative to that of neighbouring pixels."""
    triangles, pixels = triangles_of(model, {0: 0})[0], texture_of(model)
    assert triangles is not None
    islands = Islands.of(triangles, *pixels.shape[:2])
    assert islands is not None
    flat = pixels.reshape(-1, 3)
    inside = islands.labels[:, 1:] == islands.labels[:, :-1]
    inside &= islands.labels[:, 1:] >= 0
    steps = np.abs(np.diff(pixels, axis=1)).mean(-1)[inside]
    return float(np.abs(flat[islands.seams[0]] - flat[islands.seams[1]]).mean() / steps.mean())


def measure_model(args: argparse.Namespace, stylizer: Stylizer, styles: list[str]) -> list[dict[str, object]]:
    model, rows = ball(args.model_side), []
    (args.out / "ball.glb").write_bytes(to_glb(model))
    for name in styles:
        style, options = Style.named(name), PaintOptions(quality="standard")
        plain = ball(args.model_side)
        plain.images[0] = png(stylizer.paint(model.images[0], style, options).picture()[0].transpose(1, 2, 0))
        path = args.out / f"ball-{name}.glb"
        path.write_bytes(retexture(args.out / "ball.glb", Painter(stylizer, style, options)).glb)
        painted = read_gltf(path)
        row = {"model": "ball", "style": name, "source": round(seam_of_islands(model), 2)}
        row |= {"plain": round(seam_of_islands(plain), 2), "texture": round(seam_of_islands(painted), 2)}
        rows.append(row)
        print(row, flush=True)
        views = [
            np.hstack([render(each, turn=turn, tilt=tilt) for each in (model, plain, painted)])
            for turn, tilt in ((0.8, 0.6), (2.4, -0.5))
        ]
        Image.fromarray(np.vstack(views)).save(args.out / f"model-{name}.png")
        atlases = [np.rint(texture_of(each) * 255).astype(np.uint8) for each in (model, plain, painted)]
        Image.fromarray(np.vstack(atlases)).save(args.out / f"atlas-{name}.png")
    return rows


# ---- tables of colours -----------------------------------------------------------------------------------------------


def distance(one: Picture, other: Picture) -> float:
    directions = np.random.default_rng(0).normal(size=(64, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shares = np.linspace(0.01, 0.99, 50)
    first, second = (np.quantile(directions @ each[0].reshape(3, -1), shares, axis=1) for each in (one, other))
    return float(np.abs(first - second).mean())


def measure_luts(args: argparse.Namespace, stylizer: Stylizer, styles: list[str]) -> list[dict[str, object]]:
    photos, rows = list(read_textures(args.photos, 384, 6).values()), []
    for name in styles:
        style, sheet = Style.named(name), []
        plain, fitted = make_lut(style, stylizer=stylizer), make_lut(style, photos, stylizer=stylizer)
        figures = []
        for photo in photos:
            painted = stylizer(photo, style)
            pictures = [photo, painted, plain(photo), fitted(photo)]
            figures.append([distance(each, painted) for each in (photo, plain(photo), fitted(photo))])
            sheet.append(np.vstack([to_uint8(each) for each in pictures]))
        Image.fromarray(np.hstack(sheet)).save(args.out / f"lut-{name}.png")
        means = np.round(np.mean(figures, axis=0), 3).tolist()
        rows.append({"style": name, **dict(zip(("photo", "without photos", "from these photos"), means, strict=True))})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--textures", type=Path, help="folder of textures")
    parser.add_argument("--photos", type=Path, help="folder of photos")
    parser.add_argument("--style", action="append", help="one or several")
    parser.add_argument("--quality", nargs="+", default=["draft", "standard"])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--model-side", type=int, default=768)
    parser.add_argument("--only", choices=["seams", "model", "luts"])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    styles, stylizer = args.style or ["van-gogh", "great-wave", "klimt"], Stylizer()
    found: dict[str, object] = {"bound": BOUND}
    if args.only in (None, "seams"):
        rows = measure_seams(args, stylizer, styles)
        found |= {"seams": rows, "worst": max(row["tiled"] for row in rows)}  # type: ignore[type-var]
    if args.only in (None, "model"):
        found["models"] = measure_model(args, stylizer, styles)
    if args.photos and args.only in (None, "luts"):
        found["luts"] = measure_luts(args, stylizer, styles)
    (args.out / "textures.json").write_text(json.dumps(found, indent=1) + "\n")
    print(found.get("worst", ""))


if __name__ == "__main__":
    main()
