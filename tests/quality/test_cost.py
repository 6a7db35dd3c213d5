from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.utils.flop_counter import FlopCounterMode

from sfumato.errors import InputError, UsageError
from sfumato.networks.generator import Generator
from sfumato.quality import cost
from sfumato.quality.cost import Cost, macs_of_onnx, measure_cost, parameters_of_onnx, resident_bytes

SHIPPED = Path(cost.__file__).parents[1] / "assets" / "weights" / "base"
ANY = ("n", 3, "h", "w")


def stored(name: str, *shape: Any, dtype: Any = np.float32) -> Any:
    return numpy_helper.from_array(np.ones(shape, dtype), name)


def graph_file(path: Path, nodes: Any, inputs: Any, tensors: Any = (), functions: Any = ()) -> Any:
    """An ONNX file; its output is the last node's. ``inputs``: shapes by name, of floats."""
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    out = onnx.ValueInfoProto(name=nodes[-1].output[0])
    out.type.tensor_type.elem_type = TensorProto.FLOAT
    graph = helper.make_graph(nodes, "g", given, [out], list(tensors))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=9), path)
    return path


# ---- seconds and memory ----------------------------------------------------------------------------------------------


def test_a_size_is_warmed_up_timed_and_told_of() -> None:
    seen = []

    def run(picture: Any) -> None:
        seen.append(picture.copy())
        time.sleep(0.004)

    found = measure_cost(run, {"wide": (20, 40), "small": (16, 16)}, repeats=4, warmup=2, threads=2)
    assert [(c.name, c.height, c.width, c.repeats, c.threads) for c in found] == [
        ("wide", 20, 40, 4, 2),
        ("small", 16, 16, 4, 2),
    ]
    assert [picture.shape for picture in seen] == [(1, 3, 16, 16)] * 6 + [(1, 3, 20, 40)] * 6
    assert all((picture == seen[6]).all() for picture in seen[6:])
    assert seen[0].dtype == np.float32
    assert seen[0].min() >= 0
    assert seen[0].max() <= 1
    for each in found:
        assert 0.004 <= each.low <= each.seconds <= each.high


def test_the_middle_and_the_quartiles() -> None:
    pauses, took = iter([0.3, 0.01, 0.05, 0.09, 0.13, 0.17]), []

    def run(_: Any) -> None:
        began = time.perf_counter()
        time.sleep(next(pauses))
        took.append(time.perf_counter() - began)

    (found,) = measure_cost(run, {"one": (16, 16)}, repeats=5)
    wanted = sorted(took[1:])[1:4]  # without the warm-up
    assert [found.low, found.seconds, found.high] == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize(
    ("repeats", "budget", "fewest", "most"), [(10, 0.0, 3, 3), (2, 0.0, 2, 2), (5, 60.0, 5, 5), (10, 0.1, 3, 5)]
)
def test_a_spent_budget_ends_the_runs_but_not_too_early(repeats: int, budget: float, fewest: int, most: int) -> None:
    (found,) = measure_cost(lambda _: time.sleep(0.02), {"one": (16, 16)}, repeats=repeats, budget=budget)
    assert fewest <= found.repeats <= most


PEAKS = """
import sys, time
from pathlib import Path
import numpy as np
from sfumato.quality import cost

way = sys.argv[1]
if way == "watched":
    cost._CLEAR = Path("none/such")

def run(picture):
    held = np.ones(12 << 20)  # 96 MiB
    time.sleep(0.2 if way == "watched" else 0)
    return float(held[0])

earlier = np.ones(40 << 20)  # 320 MiB, which are given back
del earlier
found = cost.measure_cost(run, {"small": (16, 16), "large": (1024, 2048)}, repeats=1)
found += cost.measure_cost(lambda _: None, {"one": (16, 16)}, repeats=1)
print(*(each.peak_bytes for each in found))
"""


@pytest.mark.parametrize("way", ["marked", "watched"])
def test_the_peak_is_what_was_held_at_once_in_the_run(way: str) -> None:
    """In a process of its own: what earlier tests have given back, and malloc has kept, would be taken first."""
    if way == "marked" and not cost._STATUS.exists():
        pytest.skip("the high-water mark is Linux's")
    message = subprocess.run([sys.executable, "-c", PEAKS, way], capture_output=True, check=True, text=True).stdout
    small, large, idle = map(int, message.split())
    assert small == pytest.approx(96 << 20, rel=0.1)
    # Without the picture's own 24 MiB; a copy of it that malloc still kept before the run it may give back in it.
    assert (96 - 27) << 20 <= large <= 106 << 20
    assert idle < 8 << 20


def test_memory_is_known_in_three_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = resident_bytes()
    absent = tmp_path / "none"
    assert resident_bytes(absent) == pytest.approx(known, rel=0.05)
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert resident_bytes(absent) > 0.95 * known  # the highest that was
    monkeypatch.setitem(sys.modules, "resource", None)
    assert resident_bytes(absent) is None
    monkeypatch.setattr(cost, "resident_bytes", lambda: None)
    (found,) = measure_cost(lambda _: None, {"one": (16, 16)}, repeats=1)
    assert found.peak_bytes is None


def test_neither_torch_nor_psutil_is_needed() -> None:
    script = (
        "import sys\n"
        "for name in ('torch', 'psutil', 'onnx'): sys.modules[name] = None\n"
        "from sfumato.quality.cost import measure_cost, parameters_of_onnx\n"
        "print(measure_cost(lambda x: x + 1, {'one': (64, 64)})[0].peak_bytes >= 0)\n"
        "try: parameters_of_onnx('x.onnx')\n"
        "except Exception as problem: print(problem)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    message, error = run.stdout.splitlines()
    assert message == "True"
    assert "needs the extra 'train'" in error


@pytest.mark.parametrize(
    "asked",
    [{"sizes": {}}, {"sizes": {"none": (0, 9)}}, {"repeats": 0}, {"warmup": 0}, {"budget": -1}, {"budget": math.nan}],
)
def test_measurements_that_cannot_be(asked: Any) -> None:
    with pytest.raises(UsageError, match="costs"):
        measure_cost(lambda _: None, **asked)


def test_a_failing_method_fails() -> None:
    with pytest.raises(ZeroDivisionError):
        measure_cost(lambda _: 1 / 0, {"one": (16, 16)})


def test_costs_are_values() -> None:
    assert Cost("a", 1, 2, 0.1, 0.1, 0.2, 3, 4, None) == Cost("a", 1, 2, 0.1, 0.1, 0.2, 3, 4, None)


# ---- multiply-accumulates --------------------------------------------------------------------------------------------

SHAPE = (2, 6, 17, 11)
PRODUCTS = {
    "conv": (
        [helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])],
        [stored("w", 8, 6, 3, 3), stored("b", 8)],
        2 * 8 * 9 * 6 * (6 * 9),
    ),
    "grouped conv, dilated": (
        [helper.make_node("Conv", ["x", "w"], ["y"], group=3, dilations=[2, 2])],
        [stored("w", 9, 2, 3, 5)],
        2 * 9 * 13 * 3 * (2 * 15),
    ),
    "transposed conv": (
        [helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1])],
        [stored("w", 6, 5, 4, 4)],
        2 * 6 * 17 * 11 * (5 * 16),
    ),
    "grouped transposed conv": (
        [helper.make_node("ConvTranspose", ["x", "w"], ["y"], group=2)],
        [stored("w", 6, 5, 4, 4)],
        2 * 6 * 17 * 11 * (5 * 16),
    ),
    "gemm": (
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"], transB=1)],
        [stored("w", 7, 6 * 17 * 11)],
        2 * 7 * (6 * 17 * 11),
    ),
    "gemm, turned": (
        [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Gemm", ["f", "w"], ["y"], transA=1)],
        [stored("w", 2, 5)],
        (6 * 17 * 11) * 5 * 2,
    ),
    "matmul of batches": (
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [stored("w", 6, 11, 4)],
        2 * 6 * 17 * 4 * 11,
    ),
    "matmul with a vector": (
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [stored("w", 11)],
        2 * 6 * 17 * 11,
    ),
    "einsum": (
        [helper.make_node("Einsum", ["w", "x"], ["y"], equation="dc, bchw -> bdhw")],
        [stored("w", 5, 6)],
        2 * 5 * 6 * 17 * 11,
    ),
    "einsum that broadcasts": (
        [helper.make_node("Einsum", ["x", "w"], ["y"], equation="bchw,bc->bhw")],
        [stored("w", 1, 6)],
        2 * 6 * 17 * 11,
    ),
    "gram": (
        [helper.make_node("Einsum", ["x", "x"], ["y"], equation="bchw,bdhw->bcd")],
        [],
        2 * 6 * 6 * 17 * 11,
    ),
    "no product": ([helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Add", ["r", "x"], ["y"])], [], 0),
    "two, one after the other": (
        [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Conv", ["c", "v"], ["y"])],
        [stored("w", 4, 6, 1, 1), stored("v", 2, 4, 3, 3)],
        2 * 4 * 17 * 11 * 6 + 2 * 2 * 15 * 9 * 36,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("shape", [SHAPE, None, ("n", 6, "h", "w")], ids=str)
def test_products_are_counted_in_closed_form(tmp_path: Path, name: str, shape: Any) -> None:
    nodes, tensors, macs = PRODUCTS[name]
    path = graph_file(tmp_path / "g.onnx", nodes, {"x": shape}, tensors)
    assert macs_of_onnx(path, {"x": SHAPE}) == macs


def test_shapes_that_the_graph_computes(tmp_path: Path) -> None:
    """Padded to a multiple of 8 and then halved, by sizes that are known from the input's alone."""
    nodes = [
        helper.make_node("Shape", ["x"], ["size"]),
        helper.make_node("Neg", ["size"], ["less"]),
        helper.make_node("Mod", ["less", "eights"], ["missing"]),
        helper.make_node("Concat", ["zeros", "missing"], ["pads"], axis=0),
        helper.make_node("Pad", ["x", "pads"], ["padded"], mode="reflect"),
        helper.make_node("Shape", ["padded"], ["large"]),
        helper.make_node("Div", ["large", "halves"], ["sizes"]),
        helper.make_node("Resize", ["padded", "", "", "sizes"], ["half"]),
        helper.make_node("Conv", ["half", "w"], ["y"], pads=[1, 1, 1, 1]),
    ]
    tensors = [
        numpy_helper.from_array(np.array([1, 1, 8, 8]), "eights"),
        numpy_helper.from_array(np.array([0, 0, 0, 0]), "zeros"),
        numpy_helper.from_array(np.array([1, 1, 2, 2]), "halves"),
        stored("w", 4, 3, 3, 3),
    ]
    path = graph_file(tmp_path / "g.onnx", nodes, {"x": ANY}, tensors)
    assert macs_of_onnx(path, {"x": (1, 3, 512, 512)}) == 4 * 256 * 256 * 27
    assert macs_of_onnx(path, {"x": (1, 3, 1077, 1913)}) == 4 * 540 * 960 * 27
    assert parameters_of_onnx(path) == 4 * 27


def test_products_of_constants_count_too(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["a", "b"], ["c"]),
        helper.make_node("MatMul", ["c", "d"], ["e"]),
        helper.make_node("MatMul", ["x", "e"], ["y"]),
    ]
    tensors = [stored("a", 4, 3), stored("b", 3, 2), stored("d", 2, 6)]
    path = graph_file(tmp_path / "g.onnx", nodes, {"x": (5, 4)}, tensors)
    assert macs_of_onnx(path, {"x": (5, 4)}) == 4 * 2 * 3 + 4 * 6 * 2 + 5 * 6 * 4


def test_functions_of_the_model_are_looked_into(tmp_path: Path) -> None:
    inner = [helper.make_node("Conv", ["p", "q"], ["r"])]
    function = helper.make_function("own", "Block", ["p", "q"], ["r"], inner, [helper.make_opsetid("", 18)])
    nodes = [helper.make_node("Block", ["x", "w"], ["y"], domain="own")]
    path = graph_file(tmp_path / "g.onnx", nodes, {"x": ANY}, [stored("w", 2, 3, 1, 1)], [function])
    assert macs_of_onnx(path, {"x": (1, 3, 9, 7)}) == 2 * 9 * 7 * 3


def branches(inner: Any) -> Any:
    out = helper.make_tensor_value_info("b", TensorProto.FLOAT, None)
    return helper.make_graph([inner], "branch", [], [out], [stored("v", 3, 3, 1, 1)])


def test_branches_may_hold_anything_but_products(tmp_path: Path) -> None:
    for inner in (helper.make_node("Relu", ["x"], ["b"]), helper.make_node("Conv", ["x", "v"], ["b"])):
        branch = branches(inner)
        nodes = [
            helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
            helper.make_node("Cast", ["m"], ["yes"], to=TensorProto.BOOL),
            helper.make_node("If", ["yes"], ["y"], then_branch=branch, else_branch=branch),
        ]
        path = graph_file(tmp_path / "g.onnx", nodes, {"x": ANY})
        if inner.op_type == "Relu":
            assert macs_of_onnx(path, {"x": (1, 3, 9, 7)}) == 0
            assert parameters_of_onnx(path) == 2 * 9
        else:
            with pytest.raises(InputError, match=r"If .* holds products"):
                macs_of_onnx(path, {"x": (1, 3, 9, 7)})


def test_shapes_that_depend_on_the_data(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["where"]),
        helper.make_node("Cast", ["where"], ["found"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["w", "found"], ["y"]),
    ]
    path = graph_file(tmp_path / "g.onnx", nodes, {"x": (9, 7)}, [stored("w", 5, 2)])
    with pytest.raises(InputError, match=r"shape of found, at MatMul .* is not known"):
        macs_of_onnx(path, {"x": (9, 7)})


@pytest.mark.parametrize("equation", ["...i,ij->...j", "bchw,dc,ed->behw"])
def test_sums_that_are_not_counted(tmp_path: Path, equation: str) -> None:
    names = ["x", *("wv"[: equation.count(",")])]
    nodes = [helper.make_node("Einsum", names, ["y"], equation=equation)]
    path = graph_file(tmp_path / "g.onnx", nodes, {"x": (2, 3, 3, 3)}, [stored("w", 3, 3), stored("v", 3, 3)])
    with pytest.raises(InputError, match="is not counted"):
        macs_of_onnx(path, {"x": (2, 3, 3, 3)})


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({}, "shapes are given for none"),
        ({"picture": (1, 3, 9, 9)}, "has the inputs x, but shapes are given for picture"),
        ({"x": (1, 3, 9)}, r"has the shape \(n, 3, h, w\), which \(1, 3, 9\) does not fit"),
        ({"x": (1, 4, 9, 9)}, "does not fit"),
        ({"x": (1, 3, 0, 9)}, "does not fit"),
    ],
)
def test_shapes_that_are_not_the_graphs(tmp_path: Path, shapes: Any, message: str) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    path = graph_file(tmp_path / "g.onnx", nodes, {"x": ANY}, [stored("w", 2, 3, 1, 1)])
    with pytest.raises(UsageError, match=message):
        macs_of_onnx(path, shapes)


def test_a_picture_too_small_for_the_graph(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    path = graph_file(tmp_path / "g.onnx", nodes, {"x": ANY}, [stored("w", 2, 3, 5, 5)])
    for shape in ((1, 3, 2, 2), (1, 3, 9, 3), (1, 3, 4, 9)):
        with pytest.raises(InputError, match="give larger inputs"):
            macs_of_onnx(path, {"x": shape})


def test_an_operator_that_is_not_known(tmp_path: Path) -> None:
    path = graph_file(tmp_path / "g.onnx", [helper.make_node("Strange", ["x"], ["y"], domain="own")], {"x": ANY})
    with pytest.raises(InputError, match=r"ONNX Runtime cannot load .* at these shapes: .*Strange"):
        macs_of_onnx(path, {"x": (1, 3, 9, 9)})


def test_files_that_are_no_graphs(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a graph")
    (tmp_path / "empty.onnx").write_bytes(b"")
    whole = (SHIPPED / "generator.onnx").read_bytes()
    (tmp_path / "half.onnx").write_bytes(whole[: len(whole) // 2])
    for name in ("text.onnx", "empty.onnx", "half.onnx", "none.onnx"):
        for count in (parameters_of_onnx, lambda path: macs_of_onnx(path, {})):
            with pytest.raises(InputError, match=f"cannot read .*{name}"):
                count(tmp_path / name)


def test_parameters_are_floats_of_any_width(tmp_path: Path) -> None:
    tensors = [stored("w", 2, 3, 1, 1), stored("h", 7, dtype=np.float16), stored("i", 9, dtype=np.int64)]
    nodes = [
        helper.make_node("Constant", [], ["table"], value=stored("t", 1, 2, 1, 1)),
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Add", ["c", "table"], ["y"]),
    ]
    assert parameters_of_onnx(graph_file(tmp_path / "g.onnx", nodes, {"x": ANY}, tensors)) == 6 + 7


@pytest.mark.parametrize(("height", "width"), [(64, 64), (72, 104)])
def test_the_shipped_generator_does_what_torch_counts(height: int, width: int) -> None:
    card = json.loads((SHIPPED / "card.json").read_text())
    config = card["config"]
    net = Generator(tuple(config["widths"]), config["blocks"], card["code_size"], config["style_size"]).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.rand(1, 3, height, width), torch.rand(1, card["norm_params"]))
    shapes = {"picture": (1, 3, height, width), "norm_params": (1, card["norm_params"]), "origin": (2,)}
    assert macs_of_onnx(SHIPPED / "generator.onnx", shapes) == counter.get_total_flops() / 2
