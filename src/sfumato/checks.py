"""Checks of arguments at public doors. They work on NumPy arrays and torch tensors alike and import neither."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sfumato.errors import InputError, UsageError


class HasShape(Protocol):
    @property
    def shape(self) -> Sequence[int]: ...


def check_shape(x: HasShape, spec: str, name: str) -> dict[str, int]:
    """Checks the shape of an array against ``spec`` and returns the sizes of its named dimensions.

    Args:
        x: anything with a ``shape``.
        spec: one word for each dimension: a number (that size), a name (any size, the same wherever it stands again)
            or ``_`` (any size): ``"B 3 H W"``.
        name: what the array is called in the error.

    Raises:
        InputError: the shape differs, or ``x`` has none.
    """
    wanted = spec.split()
    shape = getattr(x, "shape", None)
    if shape is None:
        raise InputError(f"{name} must be an array of shape ({', '.join(wanted)}), not {type(x).__name__}")
    sizes: dict[str, int] = {}
    fits = len(shape) == len(wanted)
    for word, size in zip(wanted, shape, strict=False):
        if word.isdigit():
            fits &= size == int(word)
        elif word != "_":
            fits &= sizes.setdefault(word, int(size)) == size
    if not fits:
        found = ", ".join(str(size) for size in shape)
        raise InputError(f"{name} must have shape ({', '.join(wanted)}), but has ({found})")
    return sizes


def check_image(x: Any, name: str) -> dict[str, int]:
    """Checks the image contract: ``(N, 3, H, W)``, float32, every value in ``[0, 1]``. Returns ``N``, ``H`` and ``W``.

    It looks at every value, which on an accelerator waits for the device: meant for public doors, not for inner loops.

    Raises:
        InputError: another shape, another type, no pixel, a value outside ``[0, 1]`` or one that is not a number.
    """
    sizes = check_shape(x, "N 3 H W", name)
    dtype = str(x.dtype).removeprefix("torch.")
    if dtype != "float32":
        raise InputError(f"{name} must be float32 in [0, 1], but is {dtype}; sfumato.image.as_image converts it")
    if 0 in sizes.values():
        raise InputError(f"{name} has no pixel: its shape is ({sizes['N']}, 3, {sizes['H']}, {sizes['W']})")
    low, high = float(x.min()), float(x.max())
    if not (low >= 0.0 and high <= 1.0):  # written so that a NaN, which makes both ends NaN, fails too
        raise InputError(f"{name} must lie in [0, 1], but its values go from {low:g} to {high:g}")
    return sizes


def check_whole(value: int, low: int, high: int, name: str) -> int:
    """Returns ``value`` if it is a whole number and ``low <= value <= high``.

    Raises:
        UsageError: it lies outside, or is no whole number.
    """
    if type(value) is not int:
        raise UsageError(f"{name} must be a whole number, but is {value!r}")
    check_range(value, low, high, name)
    return value


def check_range(value: float, low: float, high: float, name: str) -> float:
    """Returns ``value`` if ``low <= value <= high``.

    Raises:
        UsageError: it lies outside, or is not a number.
    """
    if isinstance(value, bool) or not hasattr(value, "__float__"):  # text, say
        raise UsageError(f"{name} must be a number, but is {value!r}")
    if not low <= value <= high:
        span = " and ".join(f"{end:,}" if isinstance(end, int) else f"{end:g}" for end in (low, high))
        raise UsageError(f"{name} must be between {span}, but is {value:{',' if isinstance(value, int) else 'g'}}")
    return value
