"""Databases for the tests of Studio: each test that takes `sessions` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import House, browser
from postgresql import Postgresql, find_programs
from running_studio import studio
from sfumato.studio.database import Sessions, migrate, open_database, writing
from sfumato.studio.tables import Account


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgresql]:
    """A PostgreSQL server of the test process, with a migrated database to copy."""
    if find_programs() is None:
        pytest.skip("PostgreSQL's server is not installed: apt-get install postgresql")
    server = Postgresql(Path(f"/tmp/sfumato-pg-{secrets.token_hex(4)}"))  # paths of sockets must be short
    try:
        server.start()
        migrate(server.url("template"))
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "studio.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database without rows."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("_migrated"), tmp_path / "studio.db")
        yield f"sqlite:///{tmp_path / 'studio.db'}"
        return
    server: Postgresql = request.getfixturevalue("postgresql")
    name = f"test_{secrets.token_hex(6)}"
    server.create(name, template="template")
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def sessions(database_url: str) -> Iterator[Sessions]:
    """The sessions of a migrated database without rows."""
    found = open_database(database_url)
    yield found
    found.kw["bind"].dispose()


@pytest.fixture
def account(sessions: Sessions) -> str:
    """The id of an account."""
    with writing(sessions) as session:
        anna = Account(name="anna")
        session.add(anna)
        session.flush()
        return anna.id


@pytest.fixture
def sqlite_url(_migrated: Path, tmp_path: Path) -> str:
    """The URL of a migrated SQLite database without rows, where the kind of database does not matter."""
    shutil.copy(_migrated, tmp_path / "studio.db")
    return f"sqlite:///{tmp_path / 'studio.db'}"


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A browser at a Studio of the module's own; skipped where there is no Chromium."""
    with browser() as chromium, studio() as running:
        yield House(chromium, running)
