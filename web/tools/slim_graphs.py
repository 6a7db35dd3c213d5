"""The painting graphs of the shipped model, written with a fifth of the nodes, for ONNX Runtime in a browser.

The exporter's statistics.onnx has 3,147 nodes, most of which compute shapes or unroll the matrix roots. Opening it
takes seconds in a browser, because the time grows faster than the nodes. This module writes the same functions node by
node: `_paint` follows `networks/generator.py`, with `_Record` and `_Replay` as there. `web_model.py` checks that the
results are those of the shipped graphs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from graph_builder import Builder
from onnx import TensorProto, helper, numpy_helper

from sfumato.style_code import BANDS, COLOUR_STATS_SIZE, SHARES

#: Constants of `networks/statistics.py` and `networks/generator.py`, which import torch.
EPSILON, BAND_FLOOR, FLAT, COLOUR_FLOOR, MIDDLE, ROOT_STEPS = 1e-4, 4e-4, 0.5, 1.5e-4, 3, 20
STRIDE, PASSES, KNOTS = 2**BANDS, 2, len(SHARES) - 2
#: First part of the names of the generator's weights.
OWN = "generator."
TABLES = ("noise.table0", "noise.table1")


class _Record:
    """Measures normalisation parameters, and records them as (1, n, 1, 1)."""

    def __init__(self, b: Builder, style: str) -> None:
        self.b, self.style = b, style
        self.values: list[str] = []

    def affine(self, name: str, h: str, channels: int, styled: bool) -> tuple[str, str]:
        b = self.b
        mean = b.mean(h, 2, 3)
        variance = b.squares(b.op("Sub", h, mean), 2, 3)
        scale = b.op("Reciprocal", b.op("Sqrt", b.op("Add", variance, b.constant(EPSILON))))
        if styled:
            weight, bias = b.weight(f"{OWN}{name}.style.weight"), b.weight(f"{OWN}{name}.style.bias")
            both = b.flat(b.op("Gemm", self.style, weight, bias, transB=1))
            gamma, beta = b.split(both, 1, channels, channels)
            scale = b.op("Mul", gamma, scale)
            shift = b.op("Sub", beta, b.op("Mul", mean, scale))
        else:
            shift = b.op("Neg", b.op("Mul", mean, scale))
        self.values += [scale, shift]
        return scale, shift

    def value(self, size: int, compute: Callable[[], str]) -> str:
        self.values.append(self.b.flat(compute()))
        return self.values[-1]


class _Replay:
    """Replays recorded parameters."""

    def __init__(self, b: Builder, norm_params: str) -> None:
        self.b, self.at = b, 0
        self.values = b.sized(norm_params, 1, -1, 1, 1)

    def affine(self, name: str, h: str, channels: int, styled: bool) -> tuple[str, str]:
        return self._next(channels), self._next(channels)

    def value(self, size: int, compute: Callable[[], str]) -> str:
        return self._next(size)

    def _next(self, size: int) -> str:
        # Not one Split: a shader of a graphics processor writes to a few outputs only.
        self.at += size
        return self.b.slice(self.values, [self.at - size], [self.at], [1])


_Norms = _Record | _Replay


class _Style:
    """The parts of a code (1, D), and what `measure` computes of them: gates and amount of paint."""

    def __init__(self, b: Builder, code: str, size: int) -> None:
        texture, measured = b.split(code, 1, size - COLOUR_STATS_SIZE, COLOUR_STATS_SIZE)
        self.texture, self.measured = texture, measured
        self.mean, triangle, self.bands, tones = b.split(measured, 1, 3, 6, 3 * BANDS, 3 * len(SHARES))
        self.root = b.op("Gather", triangle, b.whole(0, 1, 2, 1, 3, 4, 2, 4, 5), axis=1)
        self.tones = b.sized(tones, 3, len(SHARES))
        self.gates = self.amount = ""


def _whitening(b: Builder, x: str) -> tuple[str, str, str]:
    """Return mean (3, 1), A^½ (3, 3) and A^-½ (3, 3) of the colours of x (1, 3, H, W)."""
    pixels = b.sized(x, 3, -1)
    mean = b.mean(pixels, 1)
    centred = b.op("Sub", pixels, mean)
    count = b.op("Cast", b.op("Gather", b.op("Shape", pixels), b.whole(1)), to=TensorProto.FLOAT)
    products = b.op("Div", b.op("Gemm", centred, centred, transB=1), count)
    covariance = b.op("Add", products, b.constant(COLOUR_FLOOR * np.eye(3)))
    eye = b.constant(np.eye(3))
    norm = b.op("ReduceSum", b.op("Mul", covariance, eye))
    y, z = b.op(
        "Loop",
        b.constant(ROOT_STEPS, np.int64),
        "",
        b.op("Div", covariance, norm),
        eye,
        outputs=2,
        body=_root_step(),
    )
    root = b.op("Sqrt", norm)
    return mean, b.op("Mul", y, root), b.op("Div", z, root)


def _root_step() -> Any:
    """Return one step of the coupled Newton-Schulz iteration: T = 1.5·I - 0.5·Z·Y, Y ← Y·T, Z ← T·Z."""
    square = (3, 3)
    return helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes"]),
            helper.make_node("Gemm", ["z", "y", "three_halves"], ["t"], alpha=-0.5),
            helper.make_node("MatMul", ["y", "t"], ["y_next"]),
            helper.make_node("MatMul", ["t", "z"], ["z_next"]),
        ],
        "root_step",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, ()),
            helper.make_tensor_value_info("going", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, square),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, square),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("y_next", TensorProto.FLOAT, square),
            helper.make_tensor_value_info("z_next", TensorProto.FLOAT, square),
        ],
        [numpy_helper.from_array(1.5 * np.eye(3, dtype=np.float32), "three_halves")],
    )


def _map_colours(b: Builder, x: str, matrix: str, offset: str) -> str:
    """Return matrix·pixel + offset for each pixel of x (1, 3, H, W): a 1×1 convolution."""
    return str(b.op("Conv", x, b.sized(matrix, 3, 3, 1, 1), b.sized(offset, 3)))


def _halved(b: Builder, x: str) -> str:
    return str(b.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]))


def _doubled(b: Builder, x: str) -> str:
    """Return x enlarged by bilinear interpolation."""
    scales = b.constant([1, 1, 2, 2])
    return str(b.op("Resize", x, "", scales, mode="linear", coordinate_transformation_mode="half_pixel"))


def _equalise(b: Builder, x: str, gains: str) -> str:
    """Multiply each octave of each channel by its gain (1, 3·BANDS, 1, 1)."""
    levels, apart = [x], b.split(gains, 1, *[3] * BANDS)
    for _ in range(BANDS):
        levels.append(_halved(b, levels[-1]))
    y = low = levels.pop()
    for fine, gain in zip(reversed(levels), reversed(apart), strict=True):
        y = b.add_scaled(_doubled(b, b.op("Sub", y, b.op("Mul", low, gain))), fine, gain)
        low = fine
    return y


def _band_deviations(b: Builder, white: str) -> str:
    """Return the deviation of each channel in each octave, (1, 3·BANDS, 1, 1)."""
    found, x = [], white
    for _ in range(BANDS):
        low = _halved(b, x)
        found.append(b.squares(b.op("Sub", x, _doubled(b, low)), 2, 3))
        x = low
    return str(b.op("Sqrt", b.op("Add", b.op("Concat", *found, axis=1), b.constant(BAND_FLOOR))))


def _tones(b: Builder, white: str) -> str:
    """Return the quantiles at SHARES of each channel, (3, len(SHARES))."""
    some = b.op("Slice", white, b.whole(0, 0), b.whole(2**31, 2**31), b.whole(2, 3), b.whole(4, 4))
    values = b.sized(some, 3, -1)
    count = b.op("Gather", b.op("Shape", values), b.whole(1))
    ranked, _ = b.op("TopK", values, count, outputs=2, axis=1, largest=0, sorted=1)
    last = b.op("Cast", b.op("Sub", count, b.whole(1)), to=TensorProto.FLOAT)
    places = b.op("Cast", b.op("Round", b.op("Mul", b.constant(SHARES), last)), to=TensorProto.INT64)
    return str(b.op("Gather", ranked, places, axis=1))


def _curve_between(b: Builder, own: str, target: str) -> str:
    """Return the packed tone curve that maps quantiles `own` to `target`."""
    count = len(SHARES)

    def steps(x: str, n: int) -> str:
        return str(b.op("Sub", b.slice(x, [1], [n], [1]), b.slice(x, [0], [n - 1], [1])))

    flat = b.constant(FLAT)
    slopes = b.op("Div", b.op("Add", steps(target, count), flat), b.op("Add", steps(own, count), flat))
    knots, bends = b.slice(own, [1], [count - 1], [1]), steps(slopes, count - 1)
    slope, middle = b.slice(slopes, [0], [1], [1]), b.slice(own, [MIDDLE], [MIDDLE + 1], [1])
    bent = b.op("ReduceSum", b.op("Mul", bends, b.op("Max", middle, knots)), b.whole(1))
    there = b.op("Add", b.op("Mul", slope, middle), bent)
    offset = b.op("Sub", b.slice(target, [MIDDLE], [MIDDLE + 1], [1]), there)
    return str(b.op("Concat", *(b.flat(each) for each in (slope, offset, knots, bends)), axis=1))


def _apply_curve(b: Builder, x: str, packed: str) -> str:
    slope, offset, knots, bends = b.split(packed, 1, 3, 3, 3 * KNOTS, 3 * KNOTS)
    y = b.add_scaled(offset, x, slope)
    columns = [b.split(b.sized(each, 1, 3, 1, KNOTS), 3, *[1] * KNOTS) for each in (knots, bends)]
    for knot, bend in zip(*columns, strict=True):
        y = b.add_scaled(y, b.op("Max", x, knot), bend)
    return y


def _match_bands(b: Builder, x: str, norms: _Norms, style: _Style | None) -> str:
    def whitening() -> str:
        mean, _, whiten = _whitening(b, x)
        offset = b.op("Neg", b.op("MatMul", whiten, mean))
        return str(b.op("Concat", b.flat(whiten), b.flat(offset), axis=1))

    matrix, offset = b.split(norms.value(12, whitening), 1, 9, 3)
    white = _map_colours(b, x, matrix, offset)

    def gains() -> str:
        assert style is not None
        return str(b.op("Div", b.flat(style.bands), _band_deviations(b, white)))

    return _equalise(b, white, norms.value(3 * BANDS, gains))


def _conv(b: Builder, h: str, name: str, stride: int = 1) -> str:
    """Convolve with a 3×3 kernel and reflection padding."""
    padded = b.op("Pad", h, b.whole(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
    weight, bias = b.weight(f"{OWN}{name}.weight"), b.weight(f"{OWN}{name}.bias")
    return str(b.op("Conv", padded, weight, bias, kernel_shape=[3, 3], strides=[stride, stride]))


def _affine(b: Builder, h: str, name: str, norms: _Norms, styled: bool = True, relu: bool = True) -> str:
    channels = len(b.weights[f"{OWN}{name}.style.bias"]) // 2 if styled else 0
    if not styled:  # of a level of the content encoder
        channels = len(b.weights[f"{OWN}{name.replace('norms', 'convs')}.bias"])
    scale, shift = norms.affine(name, h, channels, styled)
    out = b.add_scaled(shift, h, scale)
    return str(b.op("Relu", out)) if relu else out


def _to_depth(b: Builder, x: str, channels: int) -> str:
    """Move 2×2 blocks to channels; the four phases of a channel lie side by side, unlike in ONNX's operator."""
    blocks = b.op("SpaceToDepth", x, blocksize=2)
    if channels == 1:
        return str(blocks)
    order = [phase * channels + channel for channel in range(channels) for phase in range(4)]
    return str(b.op("Gather", blocks, b.whole(*order), axis=1))


def _noise(b: Builder, size: str, origin: str | None) -> str:
    """Return the noise field (1, 1, H, W) at `origin`; `size` is (H, W)."""
    axes = []
    for axis in (0, 1):
        side = b.op("Gather", size, b.constant(axis, np.int64))
        places = b.op("Range", b.constant(0, np.int64), side, b.constant(1, np.int64))
        if origin is not None:
            places = b.op("Add", places, b.op("Gather", origin, b.whole(axis)))
        axes.append(places)
    parts = []
    for name in TABLES:
        period = b.whole(b.weights[name].shape[2])
        part = b.weight(name)
        for axis, places in enumerate(axes, 2):
            part = b.op("Gather", part, b.op("Mod", places, period), axis=axis)
        parts.append(part)
    return str(b.op("Add", *parts))


def _paint(b: Builder, x: str, norms: _Norms, origin: str | None, style: _Style | None) -> str:
    """Paint x (1, 3, H, W), as `Generator._paint` does."""
    size = b.op("Shape", x, start=2)
    short = b.op("Mod", b.op("Neg", size), b.whole(STRIDE))  # pixels that are missing to a multiple
    pads = b.op("Concat", b.whole(0, 0, 0, 0, 0, 0), short, axis=0)
    padded = b.op("Pad", x, pads, mode="reflect")
    white = _match_bands(b, padded, norms, style)
    gates = norms.value(3 * BANDS, lambda: style.gates if style else "")
    amount = norms.value(1, lambda: style.amount if style else "")
    detail = _equalise(b, white, gates)

    noise = _noise(b, b.op("Add", size, short), origin)
    h, levels = _to_depth(b, b.op("Concat", white, noise, axis=1), 4), []
    for i, stride in enumerate((1, 2, 2)):
        h = _affine(b, _conv(b, h, f"content_encoder.convs.{i}", stride), f"content_encoder.norms.{i}", norms, False)
        levels.append(h)
    fine, middle, deep = levels
    coarse = _to_depth(b, _to_depth(b, _to_depth(b, noise, 1), 4), 16)
    h = b.op("Add", deep, b.op("Conv", coarse, b.weight(f"{OWN}deep_noise.weight")))
    h = _affine(b, h, "enter", norms, relu=False)
    i = 0
    while f"{OWN}blocks.{i}.conv1.weight" in b.weights:
        inner = _affine(b, _conv(b, h, f"blocks.{i}.conv1"), f"blocks.{i}.affine1", norms)
        inner = _affine(b, _conv(b, inner, f"blocks.{i}.conv2"), f"blocks.{i}.affine2", norms, relu=False)
        h, i = b.op("Add", h, inner), i + 1
    for i, features in enumerate((middle, fine), 1):
        h = _affine(b, _conv(b, h, f"reduce{i}"), f"reduce_affine{i}", norms)
        h = b.op("Add", _doubled(b, h), _affine(b, features, f"skip{i}", norms, relu=False))
        h = _affine(b, _conv(b, h, f"conv{i}"), f"affine{i}", norms)
    shuffled = b.op("DepthToSpace", _conv(b, h, "paint.conv"), blocksize=2, mode="CRD")
    tap = np.array([1, 2, 1]) / 4
    blur = b.constant(np.broadcast_to(tap[:, None] * tap, (3, 1, 3, 3)))
    paint = b.op("Conv", b.op("Pad", shuffled, b.whole(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect"), blur, group=3)
    white = b.add_scaled(detail, paint, amount)
    for _ in range(PASSES):
        white = _match_bands(b, white, norms, style)
        source = white
        curve = norms.value(
            6 + 6 * KNOTS, lambda source=source: _curve_between(b, _tones(b, source), style.tones) if style else ""
        )
        white = _apply_curve(b, white, curve)
    colours = norms.value(12, lambda: b.op("Concat", style.root, style.mean, axis=1) if style else "")
    matrix, mean = b.split(colours, 1, 9, 3)
    painted = _map_colours(b, white, matrix, mean)
    return str(b.op("Slice", painted, b.whole(0, 0), size, b.whole(2, 3)))


def _distances(b: Builder, x: str, style: _Style) -> str:
    """Return the distances of x (1, 3, h, w) to a style in palette, chroma, contrast and tones, (1, 4)."""
    mean, root, whiten = _whitening(b, x)
    white = _map_colours(b, x, whiten, b.op("Neg", b.op("MatMul", whiten, mean)))
    step = b.whole(2**BANDS)
    cut = b.op("Mul", b.op("Div", b.op("Shape", x, start=2), step), step)
    bands = _band_deviations(b, b.op("Slice", white, b.whole(0, 0), cut, b.whole(2, 3)))
    floor = b.constant(BAND_FLOOR**0.5)
    four = b.constant(4)
    pairs = (
        (b.op("Mul", mean, four), b.op("Mul", style.mean, four)),
        (b.op("Mul", root, four), b.op("Mul", style.root, four)),
        (b.op("Log", bands), b.op("Log", b.op("Max", style.bands, floor))),
        (_tones(b, white), style.tones),
    )
    means = [b.squares(b.op("Sub", b.sized(own, 1, -1), b.sized(target, 1, -1)), 1) for own, target in pairs]
    return str(b.op("Sqrt", b.op("Add", b.op("Concat", *means, axis=1), b.constant(1e-6))))


def statistics_graph(weights: dict[str, npt.NDArray[Any]], code_size: int, params: int) -> Builder:
    """Return the graph `thumbnail`, `code` → `norm_params`, to be finished by `Builder.model`."""
    b = Builder(weights)
    style = _Style(b, "code", code_size)
    distances = _distances(b, "thumbnail", style)
    near = b.op("Exp", b.op("Mul", distances, b.constant(-4)))
    inputs = b.op("Concat", style.texture, b.op("Mul", style.measured, b.constant(4)), distances, near, axis=1)
    hidden = b.op("Gemm", inputs, b.weight(f"{OWN}style.0.weight"), b.weight(f"{OWN}style.0.bias"), transB=1)
    features = b.op("LeakyRelu", hidden, alpha=0.2)
    one = b.constant(1)
    style.amount = b.op("Sub", one, b.op("Exp", b.op("Mul", b.mean(distances, 1), b.constant(-10))))
    gate = b.op("Gemm", features, b.weight(f"{OWN}gate.weight"), b.weight(f"{OWN}gate.bias"), transB=1)
    shut = b.op("Mul", style.amount, b.op("Sub", one, b.op("Sigmoid", gate)))
    style.gates = b.op("Sub", one, shut)
    norms = _Record(b, features)
    _paint(b, "thumbnail", norms, None, style)
    b.nodes.append(helper.make_node("Concat", norms.values, ["params"], axis=1))
    b.nodes.append(helper.make_node("Reshape", ["params", b.whole(1, params)], ["norm_params"]))
    return b


def generator_graph(weights: dict[str, npt.NDArray[Any]]) -> Builder:
    """Return the graph `picture`, `norm_params`, `origin` → `stylized`, to be finished by `Builder.model`."""
    b = Builder(weights)
    painted = _paint(b, "picture", _Replay(b, "norm_params"), "origin", None)
    b.nodes.append(helper.make_node("Clip", [painted, b.constant(0), b.constant(1)], ["stylized"]))
    return b
