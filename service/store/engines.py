"""How each database is opened, and how its transactions begin, so that callers see the same on both.

A transaction that reads sees one moment of the record. A transaction that writes has it to itself from its first
statement on: what it read is still so when it commits. SQLite knows no other way; on PostgreSQL it is a lock that the
transaction takes, for at most BUSY_SECONDS, and that readers never wait for.
"""

import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event

BUSY_SECONDS = 5.0
"""How long a transaction waits for another one."""
MIGRATION_SECONDS = 60.0
"""How long a process waits for another one that migrates."""
CONNECT_SECONDS = 2
POOL_SECONDS = 5.0
STATEMENT_SECONDS = 30.0
IDLE_SECONDS = 30.0
"""After this long, PostgreSQL ends the transaction of a process that stands still, which holds up all others."""
FIXED_WAL = (3, 51, 3)
"""The first SQLite whose write-ahead log has no known bug; older ones use the rollback journal."""
WRITERS_LOCK = 0x67726164
"""A number of our own ("grad") for PostgreSQL's advisory locks."""


def new_engine(url: str, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """The engine for a database; a write is marked with the execution option `gradsum_write`."""
    parsed = sqlalchemy.make_url(url)
    return _sqlite(parsed, busy_seconds) if parsed.get_backend_name() == "sqlite" else _postgresql(parsed, busy_seconds)


def shown_url(url: str) -> str:
    """The database's address as anyone may see it: without its password, and without its query, which may have one."""
    return sqlalchemy.make_url(url).set(query={}).render_as_string(hide_password=True)


def _sqlite(url: sqlalchemy.URL, busy_seconds: float) -> Engine:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sqlalchemy.create_engine(url, connect_args={"timeout": busy_seconds})
    event.listen(engine, "connect", _open_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _open_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    connection.isolation_level = None  # transactions begin where _begin_sqlite says
    journal = "WAL" if sqlite3.sqlite_version_info >= FIXED_WAL else "DELETE"
    for pragma in (f"journal_mode={journal}", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


def _postgresql(url: sqlalchemy.URL, busy_seconds: float) -> Engine:
    limits = {
        "lock_timeout": busy_seconds,
        "statement_timeout": max(STATEMENT_SECONDS, busy_seconds),
        "idle_in_transaction_session_timeout": IDLE_SECONDS,
    }
    arguments = {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": round(1000 * BUSY_SECONDS),
        "options": " ".join(f"-c {name}={round(1000 * seconds)}" for name, seconds in limits.items()),
    }
    engine = sqlalchemy.create_engine(
        url, connect_args=arguments, pool_pre_ping=True, pool_timeout=POOL_SECONDS, isolation_level="READ COMMITTED"
    )
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _begin_postgresql(connection: Connection) -> None:
    if _writes(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("gradsum_write", False))
