from __future__ import annotations

import pickle

import pytest

from sfumato import errors
from sfumato.errors import (
    InputError,
    MissingExtraError,
    ModelError,
    OutputError,
    SfumatoError,
    TrainingError,
    UsageError,
    how_to_install,
    needs_extra,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SfumatoError, 1),
        (UsageError, 2),
        (MissingExtraError, 2),
        (InputError, 3),
        (OutputError, 4),
        (ModelError, 5),
        (TrainingError, 6),
    ],
)
def test_exit_codes_are_pinned(error: type[SfumatoError], code: int) -> None:
    assert issubclass(error, SfumatoError)
    assert error.exit_code == code


def test_every_error_is_drawn_in_the_tree() -> None:
    assert errors.__doc__ is not None
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(classes) == 8
    for error in classes:
        (line,) = [line for line in errors.__doc__.splitlines() if f" {error.__name__} " in line]
        assert str(error.exit_code) in line  # type: ignore[attr-defined]


def test_a_missing_extra_names_the_command() -> None:
    error = MissingExtraError("train", "Training")
    assert isinstance(error, UsageError)
    assert how_to_install("train") in str(error)
    assert str(error).startswith("Training needs")


def test_a_missing_extra_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(MissingExtraError("train", "Training")))
    assert str(error) == str(MissingExtraError("train", "Training"))


def test_needs_extra_turns_an_absent_library_into_the_command() -> None:
    with (
        pytest.raises(MissingExtraError, match=r"pip install '.*\[train\]'") as caught,
        needs_extra("train", "Training"),
    ):
        import no_such_library.at_all  # type: ignore[import-not-found]  # noqa: F401
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert "no module named no_such_library" in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).module == caught.value.module


def test_needs_extra_leaves_other_failures_alone() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"), needs_extra("train", "Training"):
        import sfumato.no_such_module  # type: ignore[import-not-found]  # noqa: F401
    with pytest.raises(ZeroDivisionError), needs_extra("train", "Training"):
        _ = 1 / 0
