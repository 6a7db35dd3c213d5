"""What all tests of batches need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sfumato.limits import restore_limits


@pytest.fixture(autouse=True)
def _own_limits() -> Iterator[None]:
    """A worker takes over the limits of its run, here in the process of the tests."""
    with restore_limits():
        yield
