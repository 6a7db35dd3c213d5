"""Mutated files that are no pictures through their readers: read, or one sentence, soon, and in little memory."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.numpy import save

from mutation import VALUES, Watch, mutated_bytes, mutated_json
from sfumato.assets import weights_dir
from sfumato.checkpoint import load_model, save_model
from sfumato.cli.show import show
from sfumato.data.folders import find_pictures
from sfumato.image import read_recipe
from sfumato.inference import Style, Stylizer, nearest
from sfumato.inference.bundle import Card
from sfumato.inference.feature_networks import FeatureNetworks
from sfumato.inference.imagine import Imagined, Imaginer
from sfumato.inference.options import PaintOptions
from sfumato.inference.recipe import Recipe
from sfumato.inference.retouch import Finish, finishes
from sfumato.inference.session import WEIGHTS, load_graph
from sfumato.inference.style import PersonalStyle
from sfumato.inference.style_pictures import LIKED, read_liked
from sfumato.networks.model import ModelConfig, StyleTransferModel
from sfumato.personal import space
from sfumato.personal.store import load_personal_style, load_record, missing_pictures
from sfumato.quality.pairs import read_pairs
from sfumato.quality.votes import read_votes, tally
from sfumato.training.config import load_recipe
from sfumato.training.state import BEST, best_checkpoint

_SPLIT = re.compile(r"([\n,;=\[\]{}]+)")


@dataclass(frozen=True)
class Door:
    """Something that strangers' files come in by.

    Attributes:
        whole: a good file, or the JSON that one is made of.
        readers: are given a file that was written.
        made: the file of a text of JSON.
        is_text: whether parts of it are changed as words.
    """

    whole: Any
    readers: tuple[Callable[[bytes], object], ...]
    made: Callable[[str], bytes] = str.encode
    is_text: bool = False

    def file(self, rng: np.random.Generator | None) -> bytes:
        """A damaged one; without a generator the good one."""
        if isinstance(self.whole, bytes):
            if rng is None:
                return self.whole
            if self.is_text and rng.random() < 0.6:
                parts = _SPLIT.split(self.whole.decode())
                parts[rng.integers(0, len(parts))] = VALUES[rng.integers(0, len(VALUES))]
                return "".join(parts).encode()
            return mutated_bytes(self.whole, rng)
        if rng is not None and rng.random() < 0.7:
            return self.made(mutated_json(self.whole, rng))
        good = self.made(json.dumps(self.whole))
        return good if rng is None else mutated_bytes(good, rng)


def at(path: Path, read: Callable[[Path], object], named: Path | None = None) -> Callable[[bytes], object]:
    """A reader of files: of the one that is written, or of what stands elsewhere and leads to it."""

    def reader(data: bytes) -> object:
        path.write_bytes(data)
        return read(named or path)

    return reader


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and its numbers."""
    start = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:start]), data[start:]


def joined(rest: bytes, header: str) -> bytes:
    text = header.encode()
    return len(text).to_bytes(8, "little") + text + rest


def of_cards(data: bytes, read: Callable[[bytes], object]) -> list[Door]:
    """A safetensors file whose card changes, and one whose header does."""
    header, rest = split(data)
    [(key, card)] = header["__metadata__"].items()

    def with_card(text: str) -> bytes:
        return joined(rest, json.dumps({**header, "__metadata__": {key: text}}))

    parsed = json.loads(card)
    parsed.pop("sha256", None)  # which is not asked for where it is not there
    return [Door(parsed, (read,), with_card), Door(header, (read,), partial(joined, rest))]


def of_hash(folder: Path, name: str, key: str, load: Callable[[Path], object]) -> list[Door]:
    """A safetensors file of a bundle, whose card has its hash."""
    shipped = weights_dir()
    card = json.loads((shipped / "card.json").read_text("utf-8"))
    header, rest = split((shipped / name).read_bytes())

    def read(data: bytes) -> object:
        (folder / name).write_bytes(data)
        (folder / "card.json").write_text(json.dumps({**card, key: hashlib.sha256(data).hexdigest()}))
        return load(folder)

    doors = [Door(header, (read,), partial(joined, rest))]
    for one, text in header.get("__metadata__", {}).items():

        def with_text(text: str, one: str = one) -> bytes:
            return joined(rest, json.dumps({**header, "__metadata__": {one: text}}))

        doors.append(Door(json.loads(text), (read,), with_text))
    return doors


def styles(folder: Path) -> dict[str, list[Door]]:
    mixed = Style.blend({"great-wave": 1, "monet": 2})
    mixed.save(folder / "a.safetensors")
    personal_style = PersonalStyle(
        "anna",
        (Style.named("monet").code, Style.named("degas").code),
        (0.75, 0.25),
        ("a" * 64, "b" * 64),
        ("c" * 64,),
        4,
        {"own": 2, "unstated": 1},
        "2026-11-26T22:22:38Z",
        {"mean": np.arange(3, dtype=np.float32)},
    )
    return {
        "style": of_cards((folder / "a.safetensors").read_bytes(), at(folder / "b.safetensors", Style.load)),
        ".sfumato": of_cards(
            personal_style.to_bytes(), at(folder / "a.sfumato", lambda path: PersonalStyle.load(path).styles)
        ),
    }


def recipes(folder: Path) -> dict[str, list[Door]]:
    stylizer = Stylizer(threads=1)
    options, guidance = PaintOptions(strength=0.5, seed=3, quality="standard"), {"why": "it was asked for"}
    painted = Recipe.of(stylizer, [Style.named("monet")], options, guidance=guidance).to_json()
    painted["finish"] = [Finish(sharpen=0.5, upscale=2, version="1", upscaler="0" * 64).to_json()]
    noise = Imagined("1", "m", "0" * 64, 3, 0.5, 0, 4, 10).to_json()

    def in_picture(text: str) -> bytes:
        info, buffer = PngInfo(), io.BytesIO()
        info.add_itxt("sfumato", text)
        Image.new("RGB", (4, 4)).save(buffer, "PNG", pnginfo=info)
        return buffer.getvalue()

    def again(data: bytes) -> object:
        found = read_recipe(data) or {}
        return finishes(found, "a.png"), Recipe.from_json(found, "a.png").rebuild(stylizer)

    shown = at(folder / "a.png", lambda path: (show(path, True), show(path, False)))  # type: ignore[func-returns-value]
    return {
        "recipe": [Door(painted, (again, shown), in_picture)],
        "recipe of noise": [Door(noise, (shown,), in_picture)],
    }


def bundles(folder: Path) -> dict[str, list[Door]]:
    found: dict[str, list[Door]] = {}
    noise = {"kind": "noise", "model": "m", "z_size": 8, "side": 64, "files": {"generator.onnx": "0" * 64}}
    for name, load in {
        "base": lambda path: (Card.read(path), Stylizer(path, threads=1)),
        "matching": lambda path: (FeatureNetworks(path).digest, Stylizer(path, threads=1)),
        "noise": Imaginer,
    }.items():
        (folder / name).mkdir()
        card = noise if name == "noise" else json.loads((weights_dir(name) / "card.json").read_text("utf-8"))
        found[f"card of {name}"] = [Door(card, (at(folder / name / "card.json", load, folder / name),))]  # type: ignore[arg-type]
    for module, kind in ((nearest, nearest.TrainingStyles), (space, space.StyleSpace)):
        place = folder / module.FILE
        place.mkdir()
        found[module.FILE] = of_hash(place, module.FILE, module.CARD_KEY, kind.load)
    return found


def graphs(folder: Path) -> dict[str, list[Door]]:
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=(2, 3, 3, 3)).astype(np.float32)
    (folder / WEIGHTS).write_bytes(save({"kernel": kernel}))
    start = 8 + int.from_bytes((folder / WEIGHTS).read_bytes()[:8], "little")
    tensor = TensorProto(name="k", data_type=1, dims=kernel.shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", WEIGHTS), ("offset", start), ("length", kernel.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    x, y = (
        helper.make_tensor_value_info(name, 1, [1, size, "h", "w"]) for name, size in (("picture", 3), ("painted", 2))
    )
    nodes = [
        helper.make_node("Conv", ["picture", "k"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["painted"]),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], [tensor])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    sha256 = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()

    def read(path: Path) -> object:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        loaded = load_graph(path, digest, (("picture",), ("painted",)), 1, "cpu", sha256)
        return loaded.run({"picture": np.zeros((1, 3, 8, 9), np.float32)}, [(1, 2, 8, 9)])

    return {"graph": [Door(model.SerializeToString(), (at(folder / "generator.onnx", read),))]}


def tables(folder: Path) -> dict[str, list[Door]]:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4)).save(folder / name)
    manifest = b"file,split,artist\na.png,train,me\nb.png,validation,you\n"
    pairs = b"content;style\r\na.png;b.png\r\nb.png;a.png\r\n"

    def listed(path: Path) -> object:
        return find_pictures(folder, path, "train")

    def paired(path: Path) -> object:
        return read_pairs(path, folder, folder)

    recipe = (resources.files("sfumato.training") / "recipes" / "tiny.toml").read_bytes()
    return {
        "manifest": [Door(manifest, (at(folder / "m.csv", listed),), is_text=True)],
        "pairs": [Door(pairs, (at(folder / "p.csv", paired),), is_text=True)],
        "TOML": [Door(recipe, (at(folder / "r.toml", lambda path: load_recipe(str(path))),), is_text=True)],
    }


def answers(folder: Path) -> dict[str, list[Door]]:
    vote = {"content": "a", "style": "s", "left": "m", "right": "n", "choice": "left", "seconds": 1.5}
    votes = {"format": "sfumato-votes-1", "page": "p", "question": "q", "voter": None, "votes": [vote] * 4}
    (folder / "anna").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "a.png")
    picture = {"name": "a.png", "path": str(folder / "a.png"), "sha256": "a" * 64, "liked": True, "rights": "own"}
    answer = {"first": ["monet", "ab"], "second": ["degas", "cd"], "preferred": "first", "when": "2026-11-26"}
    known = {"format": 1, "name": "anna", "pictures": [{**picture, "added": "2026-11-26"}], "answers": [answer]}
    liked = {"styles": [[{"path": str(folder / "a.png"), "sha256": "a" * 64, "weight": 0.5}]]}

    def remembered(_: Path) -> object:
        record = load_record("anna")
        return missing_pictures(record), record.is_learnt(load_personal_style(record)), json.dumps(record.to_json())

    def painted(path: Path) -> object:
        return [len(each) for each in read_liked(path.parent, 1)]

    return {
        "votes": [Door(votes, (at(folder / "v.json", lambda path: tally(read_votes(path))),))],
        "record.json": [Door({**known, "imported": False}, (at(folder / "anna" / "record.json", remembered),))],
        LIKED: [Door(liked, (at(folder / LIKED, painted),))],
    }


def runs(folder: Path) -> dict[str, list[Door]]:
    path = folder / "model.safetensors"
    model = StyleTransferModel(ModelConfig(widths=(8, 12, 16), blocks=1, texture_size=16, style_size=16))
    save_model(path, model, {"step": "7"}, model.state_dict())
    header, rest = split(path.read_bytes())

    def with_config(text: str) -> bytes:
        return joined(rest, json.dumps({**header, "__metadata__": {**header["__metadata__"], "config": text}}))

    read = at(path, load_model)
    (folder / "checkpoints" / "00000007").mkdir(parents=True)
    best = at(folder / BEST, best_checkpoint, folder)
    return {
        "model": [
            Door(header, (read,), partial(joined, rest)),
            Door(json.loads(header["__metadata__"]["config"]), (read,), with_config),
        ],
        BEST: [Door({"step": 7, "score": 0.5, "values": {"content": 0.5}}, (best,))],
    }


def read_mutated(count: int, seed: int, folder: Path) -> None:
    doors: dict[str, list[Door]] = {}
    for make in (styles, recipes, bundles, graphs, tables, answers, runs):
        place = folder / make.__name__
        place.mkdir(exist_ok=True)
        doors |= make(place)
    watch = Watch()
    names = sorted(doors)
    for kinds in doors.values():
        for door in kinds:
            for read in door.readers:
                read(door.file(None))  # a good one
    for case in range(count):
        name = names[case % len(names)]
        rng = np.random.default_rng([seed, case])
        kinds = doors[name]
        door = kinds[rng.integers(0, len(kinds))]
        data = door.file(rng)
        watch.read(f"{name}, case {case}", *(partial(read, data) for read in door.readers))
    shutil.rmtree(folder)
    assert min(watch.outcomes.values()) > count / 20, watch.outcomes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFUMATO_PERSONAL", str(tmp_path / "answers"))
    return tmp_path


def test_some_mutated_files(folder: Path) -> None:
    read_mutated(200, 21, folder)


@pytest.mark.slow
def test_many_mutated_files(folder: Path) -> None:
    read_mutated(4000, 22, folder)
