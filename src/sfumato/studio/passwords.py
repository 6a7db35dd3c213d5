"""Hashing of passwords with argon2, whose cost is bounded: a flood of logins must not take all memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from sfumato.studio.problems import RefusedError

_HASHER = PasswordHasher()  # argon2id; 64 MiB each
_AT_WORK = threading.BoundedSemaphore(2)
_WAITING = threading.BoundedSemaphore(10)  # with those at work; each occupies a thread of the server
_WAIT = 10.0  # seconds


def hash_password(password: str) -> str:
    """Return the hash of a new password.

    Raises:
        RefusedError: too many are hashed at this moment.
    """
    with _turn():
        return _HASHER.hash(password)


def check_password(password: str, stored: str | None) -> bool:
    """Return whether a password has a stored hash. For None, this takes as long and returns False.

    Raises:
        RefusedError: too many are checked at this moment.
    """
    with _turn():
        try:
            return _HASHER.verify(stored or _nobody(), password) and stored is not None
        except (Argon2Error, InvalidHashError):
            return False


@cache
def _nobody() -> str:
    """Return the hash of a password that nobody has."""
    return _HASHER.hash("")


@contextmanager
def _turn() -> Iterator[None]:
    if not _WAITING.acquire(blocking=False):
        raise RefusedError(429, "too many people log in at this moment; try again in a few seconds", retry=5)
    try:
        if not _AT_WORK.acquire(timeout=_WAIT):
            raise RefusedError(429, "too many people log in at this moment; try again in a few seconds", retry=5)
        try:
            yield
        finally:
            _AT_WORK.release()
    finally:
        _WAITING.release()
