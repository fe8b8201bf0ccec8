"""Transactions over the record, and what can go wrong with them, in words that are the same for both databases."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import alembic.command
import alembic.config
import sqlalchemy
from sqlalchemy import Connection

from service.store.engines import MIGRATION_SECONDS, new_engine

NOT_MIGRATED = {"42P01", "42703"}
"""PostgreSQL's codes for a table and a column that are not there (yet)."""
PASSING = {"25006", "25P03", "25P04", "57P01", "57P02", "57P03", "57P04", "57P05"}
"""Its codes for a server that only reads while another takes over, and for what it ended or does not take yet."""

Transaction = Connection
"""What callers outside `store` hold: handed out by `Database`, passed on to the functions of `store`."""


class DatabaseUnavailableError(Exception):
    """The database did not answer, or stayed locked."""


class WriteConflictError(Exception):
    """Another transaction wrote the same row first, or took away one that this one refers to."""


class Database:
    """The one way to the record: transactions that read, and transactions that write."""

    def __init__(self, url: str) -> None:
        self._engine = new_engine(url)

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
    """Bring the schema of the database at `url` to this version's; nothing where it is there already.

    A write like any other: where several processes migrate at once, one does, and the others wait and find it done.
    """
    configuration = alembic.config.Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent.parent / "migrations"))
    engine = new_engine(url, MIGRATION_SECONDS)
    try:
        options = {"gradsum_write": True}
        with _unavailable(), engine.connect().execution_options(**options) as connection, connection.begin():
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


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except sqlalchemy.exc.IntegrityError as error:
        raise WriteConflictError(str(error.orig)) from error
    except sqlalchemy.exc.TimeoutError as error:  # the pool's
        raise DatabaseUnavailableError(str(error)) from error
    except sqlalchemy.exc.DBAPIError as error:
        if not _is_unavailable(error):
            raise
        raise DatabaseUnavailableError(str(error.orig)) from error


def _is_unavailable(error: sqlalchemy.exc.DBAPIError) -> bool:
    """Whether another try may do: it does not answer, is locked, ends its sessions, or is not migrated yet."""
    kinds = (sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError)
    return isinstance(error, kinds) or error.connection_invalidated or _state(error) in NOT_MIGRATED | PASSING


def _state(error: sqlalchemy.exc.DBAPIError) -> str:
    """PostgreSQL's code for what went wrong; empty where there is none."""
    return getattr(error.orig, "sqlstate", None) or ""
