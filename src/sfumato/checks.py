"""Checks of the arguments of public functions, for NumPy arrays and torch tensors alike; neither is imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from sfumato.errors import InputError, UsageError


class HasShape(Protocol):
    """An array or tensor."""

    @property
    def shape(self) -> Sequence[int]:
        """The size of each dimension."""
        ...


def check_shape(x: HasShape, spec: str, name: str) -> dict[str, int]:
    """Check the shape of an array against ``spec``, and return the sizes of its named dimensions.

    Args:
        x: anything with a ``shape``.
        spec: one word for each dimension, as in ``"B 3 H W"``: a number (this size), a name (any size, but the same
            for each use of the name) or ``_`` (any size).
        name: the array's name in an error.

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
    """Check the image contract, ``(N, 3, H, W)``, float32, in ``[0, 1]``; return ``N``, ``H`` and ``W`` by name.

    Every value is checked, which synchronises with an accelerator: meant for public functions, not for inner loops.

    Raises:
        InputError: the shape or type is another, there is no pixel, or a value is outside ``[0, 1]`` or NaN.
    """
    sizes = check_shape(x, "N 3 H W", name)
    dtype = str(x.dtype).removeprefix("torch.")
    if dtype != "float32":
        raise InputError(f"{name} must be float32 in [0, 1], but is {dtype}; sfumato.image.as_image converts it")
    if 0 in sizes.values():
        raise InputError(f"{name} has no pixel: its shape is ({sizes['N']}, 3, {sizes['H']}, {sizes['W']})")
    low, high = float(x.min()), float(x.max())
    if not (low >= 0.0 and high <= 1.0):  # in this form, NaN fails too: it makes both NaN
        raise InputError(f"{name} must be in [0, 1], but its values range from {low:g} to {high:g}")
    return sizes


def check_whole(value: int, low: int, high: int, name: str) -> int:
    """Return ``value`` if it is an int and ``low <= value <= high``.

    Raises:
        UsageError: it is outside the range or not an int; ``name`` is its name in the message.
    """
    if type(value) is not int:
        raise UsageError(f"{name} must be a whole number, but is {value!r}")
    check_range(value, low, high, name)
    return value


def check_range(value: float, low: float, high: float, name: str) -> float:
    """Return ``value`` if ``low <= value <= high``.

    Raises:
        UsageError: it is outside the range or not a number; ``name`` is its name in the message.
    """
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise UsageError(f"{name} must be a number, but is {value!r}")
    if not low <= value <= high:
        span = " and ".join(f"{end:,}" if isinstance(end, int) else f"{end:g}" for end in (low, high))
        raise UsageError(f"{name} must be between {span}, but is {value:{',' if isinstance(value, int) else 'g'}}")
    return value
