from __future__ import annotations

import math

import numpy as np
import pytest

from sfumato.checks import check_image, check_range, check_shape
from sfumato.errors import InputError, UsageError


def test_check_shape_returns_the_named_sizes() -> None:
    assert check_shape(np.zeros((2, 3, 4, 5)), "B 3 H W", "x") == {"B": 2, "H": 4, "W": 5}
    assert check_shape(np.zeros((2, 7, 7)), "_ D D", "x") == {"D": 7}
    assert check_shape(np.zeros(()), "", "x") == {}


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 4, 5), (1, 1, 3, 4, 5), ()])
def test_check_shape_says_what_was_wanted_and_what_came(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError) as caught:
        check_shape(np.zeros(shape), "B 3 H W", "the photo")
    assert "the photo must have shape (B, 3, H, W)" in str(caught.value)
    assert f"({', '.join(map(str, shape))})" in str(caught.value)


def test_a_repeated_name_is_one_size() -> None:
    with pytest.raises(InputError, match=r"\(D, D\), but has \(2, 3\)"):
        check_shape(np.zeros((2, 3)), "D D", "Gram")


def test_what_has_no_shape_is_an_input_error() -> None:
    with pytest.raises(InputError, match="not list"):
        check_shape([[1.0]], "H W", "x")  # type: ignore[arg-type]


def test_check_image_takes_the_contract() -> None:
    assert check_image(np.ones((2, 3, 4, 5), np.float32), "x") == {"N": 2, "H": 4, "W": 5}


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 4, 5), np.float32), "shape"),
        (np.zeros((1, 3, 4, 5), np.float64), "float64"),
        (np.zeros((1, 3, 4, 5), np.uint8), "uint8"),
        (np.zeros((1, 3, 0, 5), np.float32), "no pixel"),
        (np.full((1, 3, 4, 5), 1.01, np.float32), "1.01"),
        (np.full((1, 3, 4, 5), -0.5, np.float32), "-0.5"),
        (np.full((1, 3, 4, 5), np.nan, np.float32), "nan"),
        (np.full((1, 3, 4, 5), np.inf, np.float32), "inf"),
    ],
)
def test_check_image_refuses_what_is_not(x: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_image(x, "the photo")


def test_one_bad_value_among_many_is_found() -> None:
    x = np.full((1, 3, 8, 8), 0.5, np.float32)
    x[0, 1, 3, 4] = np.nan
    with pytest.raises(InputError):
        check_image(x, "x")


def test_tensors_are_checked_alike() -> None:
    torch = pytest.importorskip("torch")
    assert check_image(torch.zeros(1, 3, 4, 5), "x") == {"N": 1, "H": 4, "W": 5}
    with pytest.raises(InputError, match="float16"):
        check_image(torch.zeros(1, 3, 4, 5, dtype=torch.float16), "x")
    with pytest.raises(InputError, match="nan"):
        check_image(torch.full((1, 3, 4, 5), math.nan), "x")


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_check_range_returns_the_value(value: float) -> None:
    assert check_range(value, 0.0, 1.0, "strength") == value


@pytest.mark.parametrize("value", [-0.001, 1.001, math.nan, math.inf])
def test_check_range_names_value_and_limits(value: float) -> None:
    with pytest.raises(UsageError, match=r"strength must be between 0 and 1, but is"):
        check_range(value, 0.0, 1.0, "strength")
