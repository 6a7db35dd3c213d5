"""The database: migrations, transactions and URLs, on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text

from sfumato.errors import OutputError, UsageError
from sfumato.studio.database import Sessions, lock_account, migrate, open_database, writing
from sfumato.studio.tables import Account, Base, Job, Picture


def test_migrations_make_the_tables_of_the_code(sessions: Sessions) -> None:
    with sessions.kw["bind"].connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_migrations_down_and_up(sessions: Sessions, account: str, database_url: str) -> None:
    migrate(database_url)  # a second time: nothing to do
    with sessions() as session:
        assert session.get(Account, account) is not None
    migrate(database_url, "base", down=True)
    assert inspect(sessions.kw["bind"]).get_table_names() == ["alembic_version"]
    migrate(database_url)
    with writing(sessions) as session:
        session.add(Account(name="anna"))


def test_two_processes_may_migrate_at_once(sessions: Sessions, database_url: str) -> None:
    migrate(database_url, "base", down=True)
    problems: list[BaseException] = []

    def run() -> None:
        try:
            migrate(database_url)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert set(Base.metadata.tables) <= set(inspect(sessions.kw["bind"]).get_table_names())


def test_a_database_of_a_newer_version_is_refused(sessions: Sessions, database_url: str) -> None:
    with writing(sessions) as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    with pytest.raises(UsageError, match="another version"):
        migrate(database_url)


def test_deleting_an_account_deletes_its_rows(sessions: Sessions, account: str) -> None:
    with writing(sessions) as session:
        session.add(Job(account=account, kind="paint", asked={"photo": "p"}))
        session.add(
            Picture(account=account, kind="photo", sha256="a", thumb="b", bytes=1, media_type="", width=1, height=1)
        )
    with writing(sessions) as session:
        session.delete(session.get(Account, account))
    with sessions() as session:
        assert [*session.scalars(select(Job)), *session.scalars(select(Picture))] == []


def test_an_error_rolls_a_transaction_back(sessions: Sessions, account: str) -> None:
    def fail() -> None:
        with writing(sessions) as session:
            session.add(Account(name="ben"))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with sessions() as session:
        assert session.scalars(select(Account.name)).all() == ["anna"]


def test_times_are_in_utc(sessions: Sessions, account: str) -> None:
    with sessions() as session:
        found = session.get(Account, account)
        assert found is not None
        assert found.created.utcoffset() is not None


def test_writers_of_an_account_wait_for_each_other(sessions: Sessions, account: str) -> None:
    order: list[str] = []
    locked, go = threading.Event(), threading.Event()

    def first() -> None:
        with writing(sessions) as session:
            assert lock_account(session, account)
            locked.set()
            go.wait(10)
            order.append("first")

    def second() -> None:
        locked.wait(10)
        with writing(sessions) as session:
            go.set()
            lock_account(session, account)
            order.append("second")

    threads = [threading.Thread(target=run) for run in (first, second)]
    for thread in threads:
        thread.start()
    if str(sessions.kw["bind"].url).startswith("sqlite"):
        locked.wait(10)
        go.set()  # the second one cannot even begin
    for thread in threads:
        thread.join()
    assert order == ["first", "second"]
    with writing(sessions) as session:
        assert not lock_account(session, "0" * 32)


@pytest.mark.parametrize(
    ("url", "told"),
    [("mysql://x/y", "must be SQLite or PostgreSQL"), ("not a url", "URL is wrong"), ("nosuch://x", "SQLite or")],
)
def test_wrong_urls_are_told(url: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        open_database(url)


def test_a_database_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="check that it runs"):
        migrate("postgresql://sfumato@127.0.0.1:9/none")
    with pytest.raises(OutputError, match="cannot use the database"):
        migrate(f"sqlite:///{tmp_path}/no/folder.db")
