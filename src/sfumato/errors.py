"""All exceptions. Every expected failure raises one of these, with one sentence: what, where, what to do.

::

    SfumatoError            exit  1
    ├── UsageError                2   an option, a configuration or a call is wrong
    │   └── MissingExtraError     2   an optional part is not installed
    ├── InputError                3   a picture, a folder or an array cannot be used
    ├── OutputError               4   a result cannot be written
    ├── ModelError                5   a model or style file is damaged, unknown or of another model
    ├── TrainingError             6   training cannot continue, for example because a loss is not finite
    └── QualityError              7   a picture failed a requested quality gate, and is not written

The command line exits with the ``exit_code`` of the class, and with 130 (128 + SIGINT) after Ctrl-C. `sfumato verify`
exits with 8 where credentials or the log are not valid, which is no failure of the command.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from sfumato.public import public

#: Whether Sfumato is on PyPI, which decides the command that `how_to_install` returns. Set by the first release.
IS_PUBLISHED = False
_NO_MEMORY = ("bad_alloc", "bad allocation", "out of memory", "not enough memory", "allocate memory")


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra, for the end of an error message."""
    if IS_PUBLISHED:
        return f"pip install 'sfumato[{extra}]'"
    return f"pip install '.[{extra}]' in a clone of Sfumato, or pip install 'FILE.whl[{extra}]' with its wheel"


@public
class SfumatoError(Exception):
    """Base class of every error that Sfumato raises on purpose; its text is one sentence for the user."""

    exit_code: ClassVar[int] = 1


@public
class UsageError(SfumatoError):
    """An option, a configuration key or an argument is wrong."""

    exit_code: ClassVar[int] = 2


@public
class MissingExtraError(UsageError):
    """An optional part of Sfumato is not installed.

    Args:
        extra: the extra of the distribution that contains it, such as ``train``.
        purpose: what needs it, as the subject of the sentence, such as ``Training``.
        module: the module that could not be imported, if known.
    """

    def __init__(self, extra: str, purpose: str, module: str | None = None) -> None:
        super().__init__(extra, purpose, module)  # stored in `args`, which pickling needs
        self.extra = extra
        self.purpose = purpose
        self.module = module

    def __str__(self) -> str:
        missing = f" (no module named {self.module})" if self.module else ""
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
    """A model or style file is damaged or not from Sfumato, or parts of different models were mixed."""

    exit_code: ClassVar[int] = 5


@public
class TrainingError(SfumatoError):
    """Training cannot continue."""

    exit_code: ClassVar[int] = 6


@public
class QualityError(SfumatoError):
    """A painted picture did not pass the requested quality gate."""

    exit_code: ClassVar[int] = 7


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether the cause is a lack of memory. ONNX Runtime and torch say so only in the error's text."""
    message = str(problem).lower()
    return isinstance(problem, MemoryError) or any(words in message for words in _NO_MEMORY)


def first_line(problem: BaseException) -> str:
    """Return the first line of a library's error message, as a part of our own sentence.

    It may quote untrusted files, so unprintable characters become ``?`` and it is cut to 300 characters.
    """
    line = next(iter(str(problem).splitlines()), type(problem).__name__)
    return "".join(sign if sign.isprintable() else "?" for sign in line)[:300]


@contextmanager
def needs_extra(extra: str, purpose: str) -> Iterator[None]:
    """Turn a failed import of an optional library into an error that says how to install it.

    ::

        with needs_extra("train", "Training"):
            import torch

    Raises:
        MissingExtraError: a module from outside Sfumato is missing. (A missing module of Sfumato is a bug, and its
            ModuleNotFoundError is not changed.)
    """
    try:
        yield
    except ModuleNotFoundError as problem:
        if (problem.name or "").partition(".")[0] == "sfumato":
            raise
        raise MissingExtraError(extra, purpose, problem.name) from problem
