"""The engine and its transactions. SQLite is opened so that a commit survives a power cut."""

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import sqlalchemy
from sqlalchemy import Connection, Engine, event

BUSY_TIMEOUT_MILLISECONDS = 5_000
FIXED_WAL = (3, 51, 3)
"""The first SQLite whose write-ahead log has no known bug; older ones use the rollback journal."""


Transaction = Connection
"""What callers outside `store` hold: handed out by `Database`, passed on to the functions of `store`."""


class DatabaseUnavailableError(Exception):
    """The database did not answer, or stayed locked."""


class WriteConflictError(Exception):
    """Another transaction wrote the same row first, or took away one that this one refers to."""


class Database:
    """The one way to the record: transactions that read, and transactions that write."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with _unavailable(), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits at the end, or leaves nothing if the block raises."""
        options = {"gradsum_write": True}
        with _unavailable(), self._engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()


def migrate(url: str) -> None:
    """Bring the schema of the database at `url` to this version's; nothing where it is there already."""
    configuration = alembic.config.Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations"))
    engine = _engine(url)
    try:
        with engine.connect().execution_options(gradsum_write=True) as connection, connection.begin():
            configuration.attributes["connection"] = connection
            alembic.command.upgrade(configuration, "head")
    finally:
        engine.dispose()


@contextlib.contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """A part of a transaction that leaves nothing if the block raises, while the rest may go on."""
    with connection.begin_nested():
        yield


def now() -> str:
    """The time as every table keeps it."""
    return as_text(datetime.now(UTC))


def as_text(moment: datetime) -> str:
    """A moment as every table keeps it, so that text sorts as time does."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _engine(url: str) -> Engine:
    parsed = sqlalchemy.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sqlalchemy.create_engine(parsed, pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sqlalchemy.create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_MILLISECONDS / 1000})
    event.listen(engine, "connect", _open_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _open_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    connection.isolation_level = None  # transactions begin where _begin_sqlite says
    journal = "WAL" if sqlite3.sqlite_version_info >= FIXED_WAL else "DELETE"
    for pragma in (f"journal_mode={journal}", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("gradsum_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except sqlalchemy.exc.IntegrityError as error:
        raise WriteConflictError(str(error.orig)) from error
    except (sqlalchemy.exc.OperationalError, sqlalchemy.exc.TimeoutError) as error:
        raise DatabaseUnavailableError(str(error.orig if hasattr(error, "orig") else error)) from error
