"""Where strangers' files come in, beside the doors that tests/test_reader_fuzz.py has.

Pictures, videos, models of glTF, tables, shards, records of batches, and the bodies of requests to Studio.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import tarfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from PIL import Image

import batch_work
import studio_api
import test_picture_fuzz
import test_reader_fuzz
from sfumato import PaintOptions, Stylizer
from sfumato.batch.jobs import plan
from sfumato.batch.records import open_records
from sfumato.errors import InputError
from sfumato.image import read_photo, read_recipe
from sfumato.inference import Style
from sfumato.studio.buckets import Buckets
from sfumato.studio.database import migrate
from sfumato.texture.colours import Painter
from sfumato.texture.models import retexture
from sfumato.video.pipeline import write_video
from sfumato.video.reading import VideoSource
from sfumato.video.recipe import VideoRecipe
from sfumato.video.tags import read_video_recipe, recipe_tag
from support import scene
from test_reader_fuzz import Door, at
from texture_models import data_address, document, glb, image
from video_clips import Same, write_clip

CLIPS = {
    "a.mp4": {"sounds": ["aac"], "subtitles": [(0.0, 0.2, "one")], "subtitle_codec": "mov_text"},
    "a.mkv": {"codec": "mpeg4", "sounds": ["flac"], "subtitles": [(0.0, 0.2, "one")], "subtitle_codec": "srt"},
    "a.webm": {"codec": "libvpx-vp9", "sounds": ["libopus"]},
    "a.mov": {"codec": "libx264", "pixel_format": "yuv422p10le", "rotation": 90},
}


def all_doors(folder: Path, stack: ExitStack) -> dict[str, list[Door]]:
    """Return the doors by the name of their reader; what they need open is closed with the stack."""
    makers = (
        *(test_reader_fuzz.styles, test_reader_fuzz.recipes, test_reader_fuzz.bundles, test_reader_fuzz.graphs),
        *(test_reader_fuzz.tables, test_reader_fuzz.answers, test_reader_fuzz.runs),
        *(pictures, videos, models, batches, partial(studio, stack)),
    )
    found: dict[str, list[Door]] = {}
    for make in makers:
        place = folder / getattr(make, "__name__", "studio")
        place.mkdir()
        found |= make(place)
    return found


def pictures(folder: Path) -> dict[str, list[Door]]:
    files = test_picture_fuzz.originals()
    try:
        import pillow_heif
    except ModuleNotFoundError:
        pass
    else:
        picture, buffer = read_photo(files["png 8"]).pixels, io.BytesIO()
        pillow_heif.from_pillow(Image.fromarray(picture)).save(buffer, format="HEIF", quality=80)
        files["heic"] = buffer.getvalue()
    return {f"picture {name}": [Door(data, (read_recipe, read_photo))] for name, data in files.items()}


def videos(folder: Path) -> dict[str, list[Door]]:
    def through(path: Path) -> None:
        target = folder / "out.mkv"
        try:
            write_video(VideoSource.probe(path), target, Same(), {})
        finally:
            target.unlink(missing_ok=True)
            shutil.rmtree(folder / "out.mkv.parts", ignore_errors=True)

    found = {}
    for name, options in CLIPS.items():
        clip = write_clip(folder / name, times=range(12), **options)  # type: ignore[arg-type]
        reads = (at(folder / f"bad-{name}", read_video_recipe), at(folder / f"bad-{name}", through))
        found[f"video {name[2:]}"] = [Door(clip.read_bytes(), reads)]

    def tagged(text: str) -> bytes:
        tag = recipe_tag({"x": "RECIPE"}, "matroska")
        tags = {key: value.replace('{"x":"RECIPE"}', text) for key, value in tag.items()}
        return write_clip(folder / "r.mkv", times=range(2), codec="mpeg4", tags=tags).read_bytes()

    def rebuilt(path: Path) -> None:
        recipe = read_video_recipe(path)
        if recipe is None:
            raise InputError("there is no recipe")
        VideoRecipe.from_json(recipe, path.name)

    stylizer = Stylizer(threads=1)
    painting = test_reader_fuzz.Recipe.of(stylizer, [Style.named("monet")], PaintOptions(quality="draft")).to_json()
    recipe = {**painting, "kind": "video", "times": [0.0], "steady": 0.8, "begin": 0.0, "end": None, "codec": "vp9"}
    found["recipe of a video"] = [Door(recipe, (at(folder / "r-bad.mkv", rebuilt),), tagged)]
    return found


def models(folder: Path) -> dict[str, list[Door]]:
    painter = Painter(Stylizer(threads=1), Style.named("monet"), PaintOptions(quality="draft"))
    maps = [image(scene(32, 48, seed)) for seed in range(2)]
    material = {
        "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}},
        "normalTexture": {"index": 1, "scale": 0.5},
    }
    text, blob = document(maps, material)
    beside = json.loads(json.dumps(text))
    beside["buffers"][0]["uri"] = data_address(blob)

    def packed(text: str) -> bytes:
        return glb_of(text.encode(), blob)

    def paint(path: Path) -> object:
        return retexture(path, painter, follow=True)

    return {
        "GLB": [
            Door(glb(text, blob), (at(folder / "a.glb", paint),)),
            Door(text, (at(folder / "b.glb", paint),), packed),
        ],
        "glTF": [Door(beside, (at(folder / "a.gltf", paint),))],
    }


def glb_of(text: bytes, blob: bytes) -> bytes:
    """Return a GLB file of a JSON that may be wrong."""
    whole = glb({}, blob)
    rest = whole[20 + int.from_bytes(whole[12:16], "little") :]
    text += b" " * (-len(text) % 4)
    head = b"glTF" + (2).to_bytes(4, "little") + (20 + len(text) + len(rest)).to_bytes(4, "little")
    return head + len(text).to_bytes(4, "little") + b"JSON" + text + rest


def batches(folder: Path) -> dict[str, list[Door]]:
    photos = batch_work.save_photos(folder / "photos", 2)
    rows = [("photos/0.png", "monet", "x/a.png"), ("photos/1.png", "degas", "b.jpg")]
    lines = ["photo,style,target", *(",".join(row) for row in rows)]

    def planned(path: Path) -> object:
        return plan(str(path), str(folder / "out"))

    def recorded(path: Path) -> None:
        with open_records(path.parent):
            pass

    def sharded(path: Path) -> None:
        made = folder / "made"
        try:
            outcomes = batch_work.paint(path, made, folder / "report")
        finally:
            shutil.rmtree(made, ignore_errors=True)
            shutil.rmtree(folder / "report", ignore_errors=True)
        for outcome in outcomes:
            if outcome.status == "failed":
                raise InputError(outcome.error)

    line = {"target": "x/a.png", "key": "k" * 64, "sha256": "0" * 64}
    (folder / "records").mkdir()
    shard = io.BytesIO()
    with tarfile.open(fileobj=shard, mode="w") as archive:
        for path in photos:
            archive.add(path, f"a/{path.name}")
    found = {
        "table CSV": [Door("\n".join(lines).encode(), (at(folder / "t.csv", planned),), is_text=True)],
        "manifest of a batch": [
            Door(line, (at(folder / "records" / "manifest.jsonl", recorded),), lambda text: f"{text}\n".encode())
        ],
        "shard": [Door(shard.getvalue(), (at(folder / "s.tar", sharded),))],
    }
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError:
        return found
    columns = dict(zip(("photo", "style", "target"), map(list, zip(*rows, strict=True)), strict=True))
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer)
    found["table Parquet"] = [Door(buffer.getvalue(), (at(folder / "t.parquet", planned),))]
    return found


def studio(stack: ExitStack, folder: Path) -> dict[str, list[Door]]:
    """Bodies of requests to a service in this process; an answer of 500 or more is an error of the service."""
    url = f"sqlite:///{folder / 'studio.db'}"
    migrate(url)
    running = stack.enter_context(studio_api.service(folder / "data", url, most_queued=10**6))
    never = Buckets(burst=1e12, rate=1e12)
    throttles = running.studio.throttles
    throttles.calls = throttles.addresses = throttles.names = never
    client = running.client
    photo = studio_api.upload(client, 1)["id"]

    def answered(send: Callable[[bytes], Any], data: bytes) -> None:
        answer = send(data)
        if answer.status_code >= 500:
            raise RuntimeError(f"{answer.status_code}: {answer.text[:500]}")
        if answer.status_code >= 400:
            raise InputError(answer.json()["detail"])

    def posted(path: str) -> Callable[[bytes], None]:
        def send(data: bytes) -> Any:
            return client.post(f"/api/v1/{path}", content=data, headers={"Content-Type": "application/json"})

        return partial(answered, send)

    def sent(path: str, name: str, fields: Mapping[str, str]) -> Callable[[bytes], None]:
        return partial(answered, lambda data: client.post(f"/api/v1/{path}", files={"file": (name, data)}, data=fields))

    job = {**studio_api.paint(photo), "options": {"quality": "draft", "seed": 3, "strength": 0.5}, "preview": True}
    batch = {"photos": [photo], "styles": [[{"style": "monet"}]]}
    style = {"name": "mine", "pictures": [{"picture": photo}]}
    taste = test_reader_fuzz.styles(folder)[".sfumato"]

    def imported(data: bytes) -> None:
        name = {"name": "mine"}
        answered(lambda data: client.post("/api/v1/tastes", files={"file": ("a.sfumato", data)}, data=name), data)
        client.delete("/api/v1/tastes/mine").raise_for_status()

    finish = {"kind": "finish", "picture": photo, "contrast": 0.2}
    return {
        "Studio job": [Door(job, (posted("jobs"),)), Door(finish, (posted("jobs"),))],
        "Studio batch": [Door(batch, (posted("batches"),))],
        "Studio style": [Door(style, (posted("styles"),))],
        "Studio taste": [replace(door, readers=(imported,)) for door in taste],
        "Studio upload": [
            Door(studio_api.drawn(2), (sent("pictures", "a.png", {"kind": "photo"}),)),
            Door(test_picture_fuzz.originals()["jpeg 8"], (sent("pictures", "a.jpg", {"kind": "photo"}),)),
        ],
    }
