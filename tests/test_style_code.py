from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save_file

from sfumato.errors import InputError, ModelError, OutputError, UsageError
from sfumato.style_code import StyleCode, tensor_bytes
from support import FLOAT32, NETWORK32, SUM32

vectors = hnp.arrays(np.float32, 6, elements=st.floats(-100, 100, width=32))
shares = st.floats(0, 1)


def code(*values: float, model: str = "base") -> StyleCode:
    return StyleCode(np.array(values, np.float32), model)


def test_a_code_is_a_value() -> None:
    source = np.array([1.0, -0.0, 2.0], np.float32)
    one = StyleCode(source, "base")
    source[0] = 9.0
    assert one == code(1, 0, 2)
    assert hash(one) == hash(code(1, 0, 2))
    assert len({one, code(1, 0, 2), code(1, 0, 3), code(1, 0, 2, model="other")}) == 3
    assert one != "a style"
    assert len(one) == 3
    assert repr(one) == "StyleCode(3 numbers, model='base')"


def test_a_signalling_nan_of_a_file_is_one_sentence_without_a_warning(tmp_path: Path) -> None:
    channel_stats = np.array([0x7C01, 0], np.uint16).view(np.float16)
    (tmp_path / "a.safetensors").write_bytes(
        tensor_bytes(
            {"code": np.ones(3, np.float32), "channel_stats": channel_stats},
            {"sfumato.style": '{"model": "m", "about": {}}'},
        )
    )
    with pytest.raises(ModelError, match="pairs of finite numbers"):
        StyleCode.load(tmp_path / "a.safetensors")


def test_a_code_cannot_be_changed() -> None:
    one = code(1, 2)
    with pytest.raises(ValueError, match="read-only"):
        one.vector[0] = 5
    with pytest.raises(AttributeError):
        one.model = "other"  # type: ignore[misc]


@pytest.mark.parametrize("vector", [np.zeros((1, 4)), np.zeros(0), [np.nan, 1.0], [np.inf]])
def test_only_a_finite_vector_is_a_code(vector: np.ndarray) -> None:
    with pytest.raises(ModelError, match="vector of finite numbers"):
        StyleCode(np.asarray(vector, np.float32), "base")


def test_blends_by_hand() -> None:
    assert StyleCode.blend([code(0, 4), code(8, 0)], [3, 1]) == code(2, 3)
    assert StyleCode.mean([code(0, 3), code(3, 0), code(6, 0)]) == code(3, 1)
    assert code(4, 0).fuse(code(0, 8), 0.25) == code(1, 6)
    assert code(0, 0).distance(code(3, 4)) == 5


@given(vectors, vectors, shares)
def test_fusing_is_the_line_between_two_codes(a: np.ndarray, b: np.ndarray, strength: float) -> None:
    style, content = StyleCode(a, "m"), StyleCode(b, "m")
    wanted = strength * a.astype(np.float64) + (1 - strength) * b
    np.testing.assert_allclose(style.fuse(content, strength).vector, wanted, rtol=FLOAT32, atol=SUM32)
    assert style.fuse(content, 0.0) == content
    assert style.fuse(content, 1.0) == style


@given(st.lists(st.tuples(vectors, st.floats(0.001, 1000)), min_size=1, max_size=5), st.randoms())
def test_blends_know_neither_order_nor_scale(parts: list[tuple[np.ndarray, float]], random: object) -> None:
    codes = [StyleCode(vector, "m") for vector, _ in parts]
    weights = [weight for _, weight in parts]
    blended = StyleCode.blend(codes, weights).vector
    np.testing.assert_allclose(StyleCode.blend(codes[::-1], weights[::-1]).vector, blended, rtol=SUM32, atol=NETWORK32)
    np.testing.assert_allclose(
        StyleCode.blend(codes, [7 * w for w in weights]).vector, blended, rtol=SUM32, atol=NETWORK32
    )
    stacked = np.stack([c.vector for c in codes])
    assert (blended >= stacked.min(0) - 1e-4).all()
    assert (blended <= stacked.max(0) + 1e-4).all()


def test_weights_of_any_size_are_shares() -> None:
    for weight in (1e-300, 1e300):
        assert StyleCode.blend([code(0), code(2)], [weight, weight]) == code(1)


@pytest.mark.parametrize("weights", [[], [1], [1, 1, 1], [0, 0], [-1, 2], [float("nan"), 1], [float("inf"), 1]])
def test_wrong_weights_are_usage_errors(weights: list[float]) -> None:
    with pytest.raises(UsageError, match="weights"):
        StyleCode.blend([code(0), code(1)], weights)


def test_no_code_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        StyleCode.mean([])


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_has_its_range(strength: float) -> None:
    with pytest.raises(UsageError, match="strength must be between 0 and 1"):
        code(1).fuse(code(2), strength)


def test_codes_of_different_models_do_not_mix() -> None:
    ours, theirs, longer = code(1, 2), code(1, 2, model="other"), code(1, 2, 3)
    for other in (theirs, longer):
        with pytest.raises(ModelError, match="cannot be mixed"):
            StyleCode.blend([ours, other], [1, 1])
        with pytest.raises(ModelError, match="cannot be mixed"):
            ours.fuse(other, 0.5)
        with pytest.raises(ModelError, match="cannot be mixed"):
            ours.distance(other)


# ---- files -----------------------------------------------------------------------------------------------------------

ABOUT = {"title": "Great Wave", "artist": "葛飾北斎", "year": "1831", "licence": "public domain", "kind": "work"}


def test_a_style_file_gives_all_back(tmp_path: Path, rng: np.random.Generator) -> None:
    style = StyleCode(rng.normal(size=192).astype(np.float32), "base")
    style.save(tmp_path / "great-wave.safetensors", ABOUT)
    assert StyleCode.load(tmp_path / "great-wave.safetensors") == (style, ABOUT)
    assert (tmp_path / "great-wave.safetensors").stat().st_size < 2_000
    assert os.listdir(tmp_path) == ["great-wave.safetensors"]


def test_equal_styles_are_equal_files(tmp_path: Path) -> None:
    code(1, 2).save(tmp_path / "a", ABOUT)
    code(1, 2).save(tmp_path / "b", dict(reversed(ABOUT.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_style_may_have_nothing_to_say(tmp_path: Path) -> None:
    code(1, 2).save(tmp_path / "a")
    assert StyleCode.load(tmp_path / "a") == (code(1, 2), {})


def test_arrays_in_any_order_of_memory_come_back_as_they_were(rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 4))
    for array in (x, x.T, x[::-1, ::2]):
        np.testing.assert_array_equal(from_safetensors(tensor_bytes({"x": array}))["x"], array)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        code(1).save(tmp_path)


def test_files_that_are_no_styles(tmp_path: Path) -> None:
    card = {"sfumato.style": '{"model": "m", "about": {}}'}
    save_file({"code": np.zeros(3, np.float32)}, tmp_path / "foreign")
    save_file({"weights": np.zeros(3, np.float32)}, tmp_path / "other", card)
    save_file({"code": np.zeros(3, np.float64)}, tmp_path / "double", card)
    save_file({"code": np.full(3, np.nan, np.float32)}, tmp_path / "nan", card)
    save_file({"code": np.zeros(3, np.float32)}, tmp_path / "list", {"sfumato.style": "[]"})
    save_file({"code": np.zeros(3, np.float32)}, tmp_path / "text", {"sfumato.style": "{"})
    save_file({"code": np.zeros(3, np.float32)}, tmp_path / "deep", {"sfumato.style": "[" * 100_000})
    (tmp_path / "empty").touch()
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff\xe0" * 100)
    (tmp_path / "large").write_bytes(bytes(1_000_001))
    for path in tmp_path.iterdir():
        with pytest.raises(ModelError, match="is not a Sfumato style") as caught:
            StyleCode.load(path)
        assert str(path) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path, tmp_path / "nul\0"):
        with pytest.raises(InputError, match="cannot read the Sfumato style"):
            StyleCode.load(path)


def test_damaged_files_give_a_style_or_a_model_error(tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / "x"
    code(*range(20)).save(path, ABOUT)
    whole = path.read_bytes()
    refused = 0

    @settings(max_examples=200)
    @given(st.integers(0, len(whole) - 1), st.integers(0, 255), st.booleans())
    def change(place: int, value: int, cut: bool) -> None:
        nonlocal refused
        path.write_bytes(whole[:place] if cut else whole[:place] + bytes([value]) + whole[place + 1 :])
        try:
            StyleCode.load(path)
        except ModelError:
            refused += 1

    change()
    assert refused > 50
