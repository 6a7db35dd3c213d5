"""Write the model of the browser: the shipped weights and styles, in graphs that open quickly.

    python web/tools/web_model.py OUT

OUT receives `statistics.onnx`, `generator.onnx`, `style_encoder.onnx`, the weights that they share (`weights.bin`),
`model.json` with the styles, and `styles/NAME.webp`, a small picture of each. The two graphs of `slim_graphs` are
compared with the shipped ones first; a difference is an error.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import ModelProto, TensorProto, numpy_helper
from PIL import Image
from safetensors.numpy import load_file
from slim_graphs import TABLES, generator_graph, statistics_graph

from sfumato import __version__, assets
from sfumato.inference.bundle import Card
from sfumato.inference.painting_model import PaintingModel
from sfumato.inference.style_pictures import built_in_pictures
from sfumato.style_code import StyleCode, to_text

WEIGHTS = "weights.bin"
#: Smallest number of bytes that are stored outside of a graph.
MIN_STORED = 256
#: Largest difference to the shipped graphs: of a parameter, relative to the largest, and of a pixel in [0, 1].
CLOSE = 2e-4
#: Pixels of the side of a style's small picture.
SWATCH = 128
Arrays = dict[str, npt.NDArray[Any]]


def shipped_weights(folder: Path) -> Arrays:
    """Return the generator's weights by name: of the safetensors file, and the noise field of its graph."""
    weights: Arrays = dict(load_file(folder / "model.safetensors"))
    graph = onnx.load(folder / "generator.onnx", load_external_data=False).graph
    tables = [each for each in graph.initializer if "/noise/" in each.name]
    assert len(tables) == len(TABLES), "the shipped graph has other noise"
    for name, table in zip(TABLES, tables, strict=True):
        weights[name] = numpy_helper.to_array(table)
    return weights


class Store:
    """The file of weights that the graphs share: each distinct array once."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.places: dict[bytes, int] = {}

    def take(self, model: ModelProto, shipped: bytes) -> None:
        """Move the weights of a graph into the store; ``shipped`` is the file that they may refer to."""
        for tensor in model.graph.initializer:
            told = {each.key: each.value for each in tensor.external_data}
            if told:
                start = int(told["offset"])
                raw = shipped[start : start + int(told["length"])]
            else:
                raw = tensor.raw_data
            if len(raw) < MIN_STORED or tensor.data_type != TensorProto.FLOAT16:  # shapes must lie inside
                continue
            if raw not in self.places:
                self.content += bytes(-len(self.content) % 16)
                self.places[raw] = len(self.content)
                self.content += raw
            tensor.ClearField("raw_data")
            del tensor.external_data[:]
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in {"location": WEIGHTS, "offset": self.places[raw], "length": len(raw)}.items():
                tensor.external_data.add(key=key, value=str(value))


def check(graphs: dict[str, bytes], weights: bytes, model: PaintingModel) -> None:
    """Raise ValueError where a graph differs from the shipped one."""
    random = np.random.default_rng(0)
    options = ort.SessionOptions()
    options.add_external_initializers_from_files_in_memory([WEIGHTS], [weights], [len(weights)])
    opened = {name: ort.InferenceSession(graphs[name], options) for name in graphs}
    code = StyleCode.load(assets.style_path("monet"))[0]
    for height, width in ((96, 131), (320, 320)):
        coarse = random.random((height // 8 + 1, width // 8 + 1, 3))
        smooth = Image.fromarray((255 * coarse).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
        picture = (np.asarray(smooth, np.float32) / np.float32(255)).transpose(2, 0, 1)[None].copy()
        wanted = model.measure(picture, code)
        (found,) = opened["statistics.onnx"].run(None, {"thumbnail": picture, "code": code.vector[None]})
        far = np.abs(found - wanted).max() / np.abs(wanted).max()
        painted = model.decode(picture, wanted, (32, 48))
        given = {"picture": picture, "norm_params": wanted, "origin": np.array([32, 48])}
        (drawn,) = opened["generator.onnx"].run(None, given)
        off = np.abs(drawn - painted).max()
        print(f"{height} x {width}: norm_params within {far:.1e}, picture within {off:.1e}")
        if not max(far, off) < CLOSE:
            raise ValueError("the graphs of the browser differ from the shipped ones; see web/tools/slim_graphs.py")


def styles_of(out: Path) -> list[dict[str, Any]]:
    """Return the built-in styles as JSON values, and write a small picture of each."""
    found = []
    (out / "styles").mkdir(exist_ok=True)
    for name in assets.style_names():
        code, about = StyleCode.load(assets.style_path(name))
        kept = {key: about[key] for key in ("title", "artist", "year", "kind") if about.get(key)}
        found.append({"name": name, **kept, "code": to_text(code.vector, "<f4")})
        levels = np.rint(built_in_pictures(name)[0].picture[0].transpose(1, 2, 0) * 255).astype(np.uint8)
        image = Image.fromarray(levels)
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        swatch = image.resize((SWATCH, SWATCH), Image.Resampling.LANCZOS, (left, top, left + side, top + side))
        swatch.save(out / "styles" / f"{name}.webp", quality=62, method=6)
    return found


def write(out: Path) -> None:
    """Write all files of the model into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    folder = assets.weights_dir()
    card, weights = Card.read(folder), shipped_weights(folder)
    statistics = statistics_graph(weights, card.code_size, card.norm_params).model(
        {
            "thumbnail": (TensorProto.FLOAT, (1, 3, "h", "w")),
            "code": (TensorProto.FLOAT, (1, card.code_size)),
        },
        {"norm_params": (1, card.norm_params)},
    )
    generator = generator_graph(weights).model(
        {
            "picture": (TensorProto.FLOAT, (1, 3, "h", "w")),
            "norm_params": (TensorProto.FLOAT, (1, card.norm_params)),
            "origin": (TensorProto.INT64, (2,)),
        },
        {"stylized": (1, 3, "h", "w")},
    )
    encoder = onnx.load(folder / "style_encoder.onnx", load_external_data=False)
    store, shipped = Store(), (folder / "model.safetensors").read_bytes()
    graphs = {}
    for name, model in {"statistics": statistics, "generator": generator, "style_encoder": encoder}.items():
        store.take(model, shipped)
        graphs[f"{name}.onnx"] = model.SerializeToString()
        print(f"{name}.onnx: {len(model.graph.node)} nodes, {len(graphs[f'{name}.onnx']):,} bytes")
    content = bytes(store.content)
    check({name: graphs[name] for name in ("statistics.onnx", "generator.onnx")}, content, PaintingModel())
    files = {**graphs, WEIGHTS: content}
    for name, data in files.items():
        (out / name).write_bytes(data)
    about = {
        "model": card.model,
        "version": __version__,
        "digest": card.digest,
        "thumbnail": card.thumbnail,
        "code_size": card.code_size,
        "norm_params": card.norm_params,
        "palette": card.palette,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "styles": styles_of(out),
    }
    text = io.StringIO()
    json.dump(about, text, ensure_ascii=False, indent=1)
    (out / "model.json").write_text(text.getvalue() + "\n", "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("name the folder to write: python web/tools/web_model.py OUT")
    write(Path(sys.argv[1]))
