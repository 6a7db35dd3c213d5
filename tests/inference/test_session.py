"""Models of strangers: what a bundle may not do to who paints with it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from sfumato.assets import weights_dir
from sfumato.errors import InputError, ModelError, is_out_of_memory
from sfumato.inference import Style, Stylizer
from sfumato.inference.feature_networks import FeatureNetworks
from sfumato.inference.session import WEIGHTS, load_graph
from support import SUM32, scene

SECRET = b"TOP SECRET 0123456789"  # 21 bytes
ENDS = ("picture", "norm_params", "origin"), ("stylized",)
node = helper.make_node


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Any:
    (tmp_path / "secret.txt").write_bytes(SECRET)
    return shutil.copytree(bundle, tmp_path / "copy")


def edit_card(folder: Path, edit: Any) -> None:
    card = json.loads((folder / "card.json").read_text("utf-8"))
    edit(card)
    (folder / "card.json").write_text(json.dumps(card), "utf-8")


def vouch(folder: Path) -> None:
    """Hashes on the card as the files are: they are the stranger's own."""

    def edit(card: Any) -> None:
        for name in card["files"]:
            card["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()

    edit_card(folder, edit)


def array(name: str, value: Any, dtype: Any = np.float32) -> Any:
    return numpy_helper.from_array(np.array(value, dtype), name)


def generator(nodes: Any, tensors: Any = (), output: Any = TensorProto.FLOAT) -> Any:
    """As a generator is called."""
    info = helper.make_tensor_value_info
    ends = [
        info("picture", TensorProto.FLOAT, [1, 3, "h", "w"]),
        info("norm_params", TensorProto.FLOAT, [1, None]),
        info("origin", TensorProto.INT64, [2]),
    ]
    graph = helper.make_graph(nodes, "g", ends, [info("stylized", output, None)], list(tensors))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def external(location: Any, length: int = 21) -> Any:
    tensor = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[length], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", str(location)), ("offset", "0"), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def leak(tensor: Any) -> Any:
    """Paints the mean of the bytes in that tensor."""
    nodes = [
        node("Cast", ["w"], ["f"], to=TensorProto.FLOAT),
        node("ReduceMean", ["f"], ["m"], keepdims=0),
        node("Mul", ["picture", "m"], ["stylized"]),
    ]
    return generator(nodes, [tensor])


def paint(folder: Path) -> Any:
    stylizer = Stylizer(folder, threads=1)
    return stylizer.decode(scene(16, 24), np.zeros((1, stylizer.card.norm_params), np.float32))


def link(folder: Path) -> None:
    (folder / "innocent.bin").symlink_to(folder.parent / "secret.txt")


def put(folder: Path) -> None:
    (folder / "innocent.bin").write_bytes(SECRET)


@pytest.mark.parametrize(
    ("location", "prepare"),
    [
        ("../secret.txt", None),
        ("{}/secret.txt", None),
        ("innocent.bin", link),
        ("innocent.bin", put),
        ("/proc/self/environ", None),
        (f"../copy/{WEIGHTS}", None),
    ],
    ids=["up", "absolute", "link", "not on the card", "proc", "round about"],
)
def test_a_graph_reads_no_file_but_its_weights(copy: Any, location: str, prepare: Any) -> None:
    if prepare:
        prepare(copy)
    (copy / "generator.onnx").write_bytes(leak(external(location.format(copy.parent))))
    vouch(copy)
    with pytest.raises(ModelError, match=r"generator\.onnx would read the file"):
        paint(copy)


def test_weights_are_the_bytes_on_the_card_and_within_their_file(copy: Any) -> None:
    (copy / "generator.onnx").write_bytes(leak(external(WEIGHTS)))
    vouch(copy)
    stored = (copy / WEIGHTS).read_bytes()
    expected = scene(16, 24) * np.frombuffer(stored[: len(SECRET)], np.uint8).mean()
    np.testing.assert_allclose(paint(copy), expected, rtol=SUM32)
    (copy / WEIGHTS).write_bytes(b"12345678" + stored[8:])
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        FeatureNetworks(_as_matching(copy)).check()
    vouch(copy)
    other = scene(16, 24) * np.frombuffer(b"12345678" + stored[8 : len(SECRET)], np.uint8).mean()
    np.testing.assert_allclose(paint(copy), other, rtol=SUM32)
    (copy / "generator.onnx").write_bytes(leak(external(WEIGHTS, len(stored) + 1)))
    vouch(copy)
    with pytest.raises(ModelError, match="cannot load"):
        paint(copy)


def _as_matching(folder: Path) -> Any:
    """The same files under a card of that kind."""
    other = shutil.copytree(folder, folder.parent / "matching")
    card = json.loads((weights_dir("matching") / "card.json").read_text("utf-8"))
    own = json.loads((folder / "card.json").read_text("utf-8"))["files"]
    for name in card["files"]:
        if name.endswith(".onnx"):
            shutil.copy(weights_dir("matching") / name, other / name)
        else:
            card["files"][name] = own[name]
    (other / "card.json").write_text(json.dumps(card), "utf-8")
    return other


def test_a_graph_whose_weights_no_card_vouches_for_is_refused(bundle: Path) -> None:
    path = bundle / "generator.onnx"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ModelError, match="may read no external file"):
        load_graph(path, sha256, ENDS, 1)


def test_a_stranger_s_weights_may_be_a_link_but_no_device_and_not_endless(copy: Any, bundle: Path) -> None:
    (copy / WEIGHTS).unlink()
    (copy / WEIGHTS).symlink_to(bundle / WEIGHTS)
    assert paint(copy).shape == (1, 3, 16, 24)
    for make, message in (
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        (os.mkfifo, "not a regular file"),
        (lambda path: (path.touch(), os.truncate(path, 80 << 30)), "more than"),  # type: ignore[func-returns-value]
    ):
        edit_card(copy, lambda card: card["files"].update({WEIGHTS: os.urandom(32).hex()}))
        (copy / WEIGHTS).unlink()
        make(copy / WEIGHTS)
        with pytest.raises(ModelError, match=message):
            paint(copy)


# Of a picture (1, 3, h, w): 2 ** 53 bytes, which no machine can address.
HUGE = [
    node("ConstantOfShape", ["big"], ["b"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0])),
    node("ReduceMax", ["b"], ["m"], keepdims=0),
    node("Mul", ["picture", "m"], ["stylized"]),
]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (generator(HUGE, [array("big", [1 << 17] * 3, np.int64)]), InputError, "does not fit into memory"),
        (generator([node("ReduceMean", ["picture"], ["stylized"])]), ModelError, r"gave \(1, 1, 1, 1\) instead of"),
        (generator([node("Cast", ["picture"], ["stylized"], to=TensorProto.STRING)], output=8), ModelError, "32-bit"),
        (generator([node("Cast", ["picture"], ["stylized"], to=TensorProto.DOUBLE)], output=11), ModelError, "32-bit"),
        (generator([node("Mul", ["picture", "k"], ["stylized"])], [array("k", np.inf)]), ModelError, "not finite"),
        (generator([node("MatMul", ["picture", "picture"], ["stylized"])]), ModelError, "cannot be run"),
        (generator([node("Evil\x1b[31m", ["picture"], ["stylized"], domain="evil")]), ModelError, "cannot load"),
        (b"", ModelError, "cannot load"),
        (os.urandom(2000), ModelError, "is damaged or not an ONNX graph"),
    ],
    ids=["huge", "shape", "strings", "doubles", "infinite", "fails", "unknown", "empty", "noise"],
)
def test_what_a_graph_does_wrong_is_one_sentence(
    copy: Any, capfd: pytest.CaptureFixture[str], content: Any, error: Any, message: str
) -> None:
    (copy / "generator.onnx").write_bytes(content)
    vouch(copy)
    with pytest.raises(error, match=message) as caught:
        paint(copy)
    assert str(caught.value).isprintable()
    assert capfd.readouterr() == ("", "")  # ONNX Runtime would say the same in its own words


def test_want_of_memory_is_known_by_what_libraries_raise() -> None:
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 50)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(RuntimeError("std::bad_alloc"))
    assert not is_out_of_memory(ValueError("something else"))


WRONG = {
    "model": ["", 5, "\x1b]0;owned\x07", "\ud800", "x" * 1000],
    "version": [None, "\x1b[31m"],
    "thumbnail": [0, -5, 10**9, 10**400, 320.0, "320", True],
    "code_size": [True, 0, 10**9],
    "channel_stats_size": [-1, 10**9, None],
    "norm_params": [0, 2**60],
    "palette": [[1], [], ["a", None], [5, 2], [0, 10**9], [0.5, 2], {}],
    "conditional": [1, None],
    "training": [[], "x"],
    "kind": [[], {"a": 1}, "\x1b[2J", None],
    "files": [[], None, 5],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])  # type: ignore[attr-defined]
def test_a_card_of_odd_values_is_one_sentence(copy: Any, key: Any, value: Any) -> None:
    edit_card(copy, lambda card: card.update({key: value}))
    with pytest.raises(ModelError, match="files" if key == "files" else key) as caught:
        Stylizer(copy)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("generator.onnx", 5),
        ("generator.onnx", ["x"]),
        ("generator.onnx", "not a hash"),
        ("../../../etc/shadow", "0" * 64),
        ("\x1b[2J", "0" * 64),
        (WEIGHTS, None),
    ],
)
def test_odd_hashes_on_a_card_are_one_sentence(copy: Any, name: Any, value: Any) -> None:
    edit_card(copy, lambda card: card["files"].update({name: value}))
    with pytest.raises(ModelError, match=r"card\.json is not a model card: in 'files'") as caught:
        Stylizer(copy)
    assert str(caught.value).isprintable()


def test_a_card_must_have_a_hash_of_the_weights(copy: Any) -> None:
    edit_card(copy, lambda card: card["files"].pop(WEIGHTS))
    with pytest.raises(ModelError, match=r"no hash of model\.safetensors"):
        Stylizer(copy)


def test_a_card_that_is_no_plain_file_is_one_sentence(copy: Any) -> None:
    path = copy / "card.json"
    for make, message in (
        (os.mkfifo, "not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
        (lambda path: (path.touch(), os.truncate(path, 60 << 30)), "more than"),  # type: ignore[func-returns-value]
        (lambda path: path.write_text('{"a":' + "[" * 200_000 + "]" * 200_000 + "}"), "nested too deeply"),
        (lambda path: path.write_text('{"thumbnail": 1e400}'), "too large"),
        (lambda path: path.mkdir(), "directory"),
    ):
        if path.is_file() or path.is_fifo() or path.is_symlink():
            path.unlink()
        make(path)
        for read in (Stylizer, FeatureNetworks):
            with pytest.raises(ModelError, match=message):
                read(copy)


def test_weights_are_read_once_for_all_graphs(copy: Any) -> None:
    stylizer = Stylizer(copy, threads=1)
    style = Style.from_image(scene(30, 30), "x", stylizer)
    (copy / WEIGHTS).write_bytes(b"changed since they were checked")
    assert np.isfinite(stylizer(scene(20, 20), style, quality="draft")).all()
