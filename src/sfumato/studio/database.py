"""The connection to the database: SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Engine, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from sfumato.errors import OutputError, UsageError, first_line, needs_extra
from sfumato.studio.tables import Account

Sessions: TypeAlias = sessionmaker[Session]
_LOCK_WAIT = 10_000  # milliseconds that a writer waits for another one in SQLite
_MIGRATION_LOCK = 0x5F0  # number of the advisory lock in PostgreSQL
_WRITE = "sfumato_write"  # execution option of a transaction that may write


def open_database(url: str) -> Sessions:
    """Connect to a database, and return the factory of its sessions.

    Deleted content is overwritten with zeros in SQLite, so that no byte of it stays in the file.

    Raises:
        UsageError: the URL is wrong, or names neither SQLite nor PostgreSQL.
        MissingExtraError: the driver of PostgreSQL is not installed.
    """
    try:
        parsed = make_url(url)
        dialect = parsed.get_backend_name()
        if dialect not in ("sqlite", "postgresql"):
            raise UsageError(f"the database must be SQLite or PostgreSQL, but its URL begins with {dialect}")
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        with needs_extra("postgresql", "PostgreSQL"):
            options: dict[str, Any] = {} if dialect == "sqlite" else {"pool_size": 10, "max_overflow": 20}
            engine = create_engine(parsed, pool_pre_ping=True, pool_timeout=10, **options)
    except (ArgumentError, NoSuchModuleError) as problem:
        raise UsageError(
            f"the database's URL is wrong ({first_line(problem)}); write postgresql://user:password@host/name"
        ) from problem
    if dialect == "sqlite":
        _prepare_sqlite(engine)
    return sessionmaker(engine, expire_on_commit=False)


def _prepare_sqlite(engine: Engine) -> None:
    """Set up SQLite for several processes: write-ahead log, waiting for locks, and transactions that begin as writers.

    Python's driver begins a transaction with the first write only. A read before it could then not be followed by a
    write once another process has written, so every transaction of `writing` begins immediately.
    """

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transactions: the next listener does
        for pragma in (
            f"busy_timeout={_LOCK_WAIT}",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "secure_delete=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        write = connection.get_execution_options().get(_WRITE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def writing(sessions: Sessions) -> Iterator[Session]:
    """Provide a session whose transaction may write; it is committed at the end of the block, or rolled back."""
    with sessions() as session:
        session.connection(execution_options={_WRITE: True})
        try:
            yield session
        except BaseException:
            session.rollback()
            raise
        session.commit()


def lock_account(session: Session, account: str) -> bool:
    """Lock an account's row until the end of the transaction, so that files and rows change together.

    Returns:
        Whether the account exists.
    """
    return session.scalar(select(Account.id).where(Account.id == account).with_for_update()) is not None


def migrate(url: str, revision: str = "head", down: bool = False) -> None:
    """Bring the tables of a database to a revision; several processes may do so at once.

    Args:
        url: of the database.
        revision: of `studio.migrations`; ``"base"`` has no tables.
        down: whether the revision is an older one; what only newer tables can hold is lost.

    Raises:
        OutputError: the database cannot be reached or written.
        UsageError: the URL is wrong, or the database belongs to a newer version of Sfumato.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    engine: Engine = open_database(url).kw["bind"]
    try:
        with engine.connect().execution_options(**{_WRITE: True}) as connection, connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            config.attributes["connection"] = connection
            (command.downgrade if down else command.upgrade)(config, revision)
    except SQLAlchemyError as problem:
        raise OutputError(
            f"cannot use the database: {first_line(getattr(problem, 'orig', None) or problem)}; check that it runs, "
            "its URL and its disk"
        ) from problem
    except CommandError as problem:
        raise UsageError(
            f"the database was made by another version of Sfumato ({first_line(problem)}); install the newest one"
        ) from problem
    finally:
        engine.dispose()
