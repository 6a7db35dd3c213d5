"""Quantisation of a decoder's widest convolutions to 8-bit integers, which halves its time on processors with VNNI.

The other layers stay in floating point: at full size, with few channels, quantisation is visible (1.7 levels of 255 on
average, against 0.3) and saves no time.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from sfumato import assets
from sfumato.image import Picture, read_image

#: Largest acceptable mean change of a pixel in [0, 1].
MAX_CHANGE = 1 / 255
_PICTURES = 12  # least number of pictures for the calibration of activation ranges
_SIDE = 192  # side of these pictures, in pixels


def calibration_pictures() -> list[Picture]:
    """Return middle squares (1, 3, 192, 192) of the built-in styles' paintings, which decoders are to reproduce."""
    entries = assets.ledger()
    found = []
    for entry in entries[:: max(1, len(entries) // _PICTURES)]:
        picture = read_image(assets.picture_path(entry))
        top, left = ((side - _SIDE) // 2 for side in picture.shape[2:])
        found.append(np.ascontiguousarray(picture[:, :, top : top + _SIDE, left : left + _SIDE]))
    return found


def quantise(path: Path, inputs: list[dict[str, np.ndarray]], max_change: float = MAX_CHANGE) -> float:
    """Quantise the first convolutions of a graph, those that keep the channels of its input, to 8-bit integers.

    The ranges of activations are those over `inputs`. Weights use 7 of 8 bits: with all 8, processors without VNNI
    overflow (ONNX Runtime's documentation, "Quantize ONNX models").

    Args:
        path: the graph's file, which is changed.
        inputs: inputs of the graph by name.
        max_change: largest acceptable mean change of the output.

    Returns:
        The mean change of the output over `inputs`. If it would exceed `max_change`, the graph is left unchanged and
        0 is returned.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, rounded = (Path(folder) / name for name in ("plain.onnx", "rounded.onnx"))
        quant_pre_process(str(path), str(plain), skip_symbolic_shape=True)
        proto = onnx.load(plain)
        for number, node in enumerate(proto.graph.node):
            node.name = f"{node.op_type}{number}"
        quantize_static(
            proto,
            rounded,
            _Inputs(iter(inputs)),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_quantize=_widest(proto),
        )
        pairs = zip(_outputs(path, inputs), _outputs(rounded, inputs), strict=True)
        change = float(np.mean([np.abs(before - after).mean() for before, after in pairs]))
        if not change <= max_change:
            return 0.0
        path.write_bytes(rounded.read_bytes())
    return change


class _Inputs(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, inputs: Iterator[dict[str, np.ndarray]]) -> None:
        self._inputs = inputs

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._inputs, None)


def _widest(proto: onnx.ModelProto) -> list[str]:
    """Return the names of the leading 3 × 3 convolutions that keep the channels of the graph's input."""
    channels = proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    kernels = {each.name: tuple(each.dims) for each in proto.graph.initializer}
    found = []
    for node in proto.graph.node:
        if node.op_type == "Conv":
            if kernels[node.input[1]] != (channels, channels, 3, 3):
                break
            found.append(node.name)
    return found


def _outputs(path: Path, inputs: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path)
    return [session.run(None, each)[0] for each in inputs]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the advice that onnxruntime logs on the root logger."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
