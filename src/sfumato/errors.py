"""The one exception tree. Every expected failure is one of these, with one sentence: what, where, what to do.

::

    SfumatoError            exit  1
    ├── UsageError                2   an option, a configuration or a call is wrong
    │   └── MissingExtraError     2   an optional part is not installed
    ├── InputError                3   a picture, a folder or an array cannot be used
    ├── OutputError               4   a result cannot be written
    ├── ModelError                5   a model or style file is damaged, foreign or of another model
    ├── TrainingError             6   training cannot go on (a loss that is not finite, say)
    └── QualityError              7   a picture did not pass the gate that was asked for, and is not written

The command line ends with a class's ``exit_code``. (Ctrl-C ends with 130, as shells expect: 128 + SIGINT.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from sfumato.public import public

#: Whether package indexes have Sfumato. A release sets it, and what `how_to_install` says goes with it.
IS_PUBLISHED = False
_NO_MEMORY = ("bad_alloc", "bad allocation", "out of memory", "not enough memory", "allocate memory")


def how_to_install(extra: str) -> str:
    """The command that installs an extra, for the end of a sentence. All messages have it from here."""
    if IS_PUBLISHED:
        return f"pip install 'sfumato[{extra}]'"
    return f"pip install '.[{extra}]' in a clone of Sfumato, or pip install 'FILE.whl[{extra}]' with its wheel"


@public
class SfumatoError(Exception):
    """Base of every error that Sfumato raises on purpose; its text is one sentence for the person at the keyboard."""

    exit_code: ClassVar[int] = 1


@public
class UsageError(SfumatoError):
    """An option, a configuration key or an argument is wrong."""

    exit_code: ClassVar[int] = 2


@public
class MissingExtraError(UsageError):
    """An optional part of Sfumato is not installed.

    Args:
        extra: the extra of the distribution that holds it, such as ``train``.
        purpose: what it is needed for, as the subject of "needs", such as ``Training``.
        module: the module that could not be imported, where it is known.
    """

    def __init__(self, extra: str, purpose: str, module: str | None = None) -> None:
        super().__init__(extra, purpose, module)  # kept in `args`, so that the error survives pickling
        self.extra = extra
        self.purpose = purpose
        self.module = module

    def __str__(self) -> str:
        missing = f" (there is no module {self.module})" if self.module else ""
        return (
            f"{self.purpose} needs the extra '{self.extra}', which is not installed{missing}; run: "
            f"{how_to_install(self.extra)}"
        )


@public
class InputError(SfumatoError):
    """A picture, a folder or an array cannot be read or used."""

    exit_code: ClassVar[int] = 3


@public
class OutputError(SfumatoError):
    """A result cannot be written."""

    exit_code: ClassVar[int] = 4


@public
class ModelError(SfumatoError):
    """A model or style file is damaged or foreign, or parts of different models were mixed."""

    exit_code: ClassVar[int] = 5


@public
class TrainingError(SfumatoError):
    """Training cannot go on."""

    exit_code: ClassVar[int] = 6


@public
class QualityError(SfumatoError):
    """A finished picture did not pass the gate that was asked for."""

    exit_code: ClassVar[int] = 7


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether that was raised for want of memory, in Python, ONNX Runtime or torch, which say so in words only."""
    message = str(problem).lower()
    return isinstance(problem, MemoryError) or any(words in message for words in _NO_MEMORY)


def first_line(problem: BaseException) -> str:
    """What a library says went wrong, as a part of one sentence: its first line, of printable signs and no great
    length, for it may quote what strangers wrote."""
    line = next(iter(str(problem).splitlines()), type(problem).__name__)
    return "".join(sign if sign.isprintable() else "?" for sign in line)[:300]


@contextmanager
def needs_extra(extra: str, purpose: str) -> Iterator[None]:
    """Turns a failed import of an optional library into the command that installs it.

    ::

        with needs_extra("train", "Training"):
            import torch

    Raises:
        MissingExtraError: a module from outside Sfumato is absent. (One of Sfumato's own is a bug and stays one.)
    """
    try:
        yield
    except ModuleNotFoundError as problem:
        if (problem.name or "").partition(".")[0] == "sfumato":
            raise
        raise MissingExtraError(extra, purpose, problem.name) from problem
