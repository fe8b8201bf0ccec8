"""deploy/bin/make-roles on a real server: of an earlier version, new, interrupted, and again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.store.database import migrate
from tests.postgres import PASSWORD, PostgresServer, running_postgres

PROGRAM = Path(__file__).parents[2] / "deploy" / "bin" / "make-roles"
SECRETS = {
    "POSTGRES_PASSWORD": "of-the-superuser",
    "GRADSUM_DATABASE_PASSWORD": PASSWORD,
    "MLFLOW_DATABASE_PASSWORD": "of-mlflow",
}
MLFLOW = """
CREATE TYPE stage AS ENUM ('none', 'production');
CREATE TABLE experiments (id serial PRIMARY KEY, stage stage, name text);
CREATE VIEW names AS SELECT name FROM experiments;
INSERT INTO experiments (stage, name) VALUES ('none', 'digits')
"""


@pytest.fixture
def server(short_directory: Path) -> Iterator[PostgresServer]:
    """As an earlier version has left it: everything belongs to `gradsum`, the superuser."""
    with running_postgres(short_directory) as server:
        for name in ("gradsum", "mlflow"):
            server.execute(f"CREATE DATABASE {name}")
        migrate(server.url.replace("/postgres", "/gradsum"))
        with connection(server, "gradsum", "mlflow", PASSWORD) as inside:
            inside.execute(MLFLOW)
        yield server


def connection(server: PostgresServer, role: str, database: str, password: str) -> psycopg.Connection[Any]:
    port = int(server.url.rpartition(":")[2].partition("/")[0])
    return psycopg.connect(
        host="127.0.0.1", port=port, user=role, dbname=database, password=password, autocommit=True, connect_timeout=10
    )


def make_roles(server: PostgresServer, **changes: str) -> subprocess.CompletedProcess[str]:
    port = server.url.rpartition(":")[2].partition("/")[0]
    environment = {"PGHOST": "127.0.0.1", "PGPORT": port, "PATH": os.environ["PATH"], **SECRETS, **changes}
    command = [sys.executable, str(PROGRAM)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def made(server: PostgresServer, **changes: str) -> None:
    done = make_roles(server, **changes)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def as_superuser(server: PostgresServer, database: str = "postgres") -> psycopg.Connection[Any]:
    return connection(server, "postgres", database, SECRETS["POSTGRES_PASSWORD"])


def check(server: PostgresServer) -> None:
    """Each role has its own database, all of it, and nothing else."""
    with as_superuser(server) as superuser:
        roles = superuser.execute("SELECT rolname, rolsuper FROM pg_roles WHERE rolname !~ '^pg_'").fetchall()
        assert sorted(roles) == [("gradsum", False), ("mlflow", False), ("postgres", True)]
    for role, password, other in (("gradsum", PASSWORD, "mlflow"), ("mlflow", "of-mlflow", "gradsum")):
        for closed in (other, "postgres", "template1"):
            with pytest.raises(psycopg.OperationalError, match=f'permission denied for database "{closed}"'):
                connection(server, role, closed, password)
        with connection(server, role, role, password) as inside:
            inside.execute("CREATE TABLE its_own (n integer)")
            inside.execute("DROP TABLE its_own")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                inside.execute("COPY (SELECT 1) TO PROGRAM 'true'")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                inside.execute(f"ALTER ROLE {role} SUPERUSER")


def test_an_earlier_version_s_databases_go_on_as_those_of_two_roles(server: PostgresServer) -> None:
    made(server)
    check(server)
    migrate(server.url.replace("/postgres", "/gradsum"))
    with connection(server, "gradsum", "gradsum", PASSWORD) as inside:
        inside.execute("ALTER TABLE jobs ADD COLUMN later integer")
    with connection(server, "mlflow", "mlflow", "of-mlflow") as inside:
        inside.execute("INSERT INTO experiments (stage, name) VALUES ('production', 'abalone')")
        inside.execute("ALTER TABLE experiments ADD COLUMN later integer")
        inside.execute("ALTER TYPE stage ADD VALUE 'archived'")
        inside.execute("ALTER VIEW names RENAME TO all_names")
        assert inside.execute("SELECT name FROM all_names ORDER BY name").fetchall() == [("abalone",), ("digits",)]


def test_run_again_it_changes_nothing_but_passwords(server: PostgresServer) -> None:
    made(server)
    made(server)
    check(server)
    made(server, MLFLOW_DATABASE_PASSWORD="another")  # noqa: S106 - of a test
    connection(server, "mlflow", "mlflow", "another").close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connection(server, "mlflow", "mlflow", "of-mlflow")


def test_on_a_new_server_it_makes_everything(server: PostgresServer) -> None:
    made(server)
    with as_superuser(server) as superuser:
        for name in ("gradsum", "mlflow"):
            superuser.execute(f"DROP DATABASE {name}")
            superuser.execute(f"DROP ROLE {name}")
    made(server)
    check(server)


@pytest.mark.parametrize("renamed", [False, True])
def test_an_upgrade_that_was_interrupted_is_finished(server: PostgresServer, renamed: bool) -> None:  # noqa: FBT001
    server.execute("CREATE ROLE gradsum_upgrade SUPERUSER LOGIN PASSWORD 'helper'")
    if renamed:
        with connection(server, "gradsum_upgrade", "postgres", "helper") as helper:
            helper.execute("ALTER ROLE gradsum RENAME TO postgres")
            helper.execute("ALTER ROLE postgres PASSWORD 'of-the-superuser'")
            helper.execute("CREATE ROLE gradsum LOGIN")
    made(server)
    check(server)


def test_what_is_wrong_is_one_sentence(server: PostgresServer) -> None:
    made(server)
    refused = make_roles(server, POSTGRES_PASSWORD="wrong")  # noqa: S106 - of a test
    away = make_roles(server, PGPORT="1")
    for done, reason in ((refused, 'password authentication failed for user "postgres"'), (away, "Connection refused")):
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith("make-roles: ")
        assert reason in done.stderr
    check(server)
    environment = {name: value for name, value in SECRETS.items() if name != "POSTGRES_PASSWORD"}
    command = [sys.executable, str(PROGRAM)]
    unset = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (unset.returncode, unset.stderr) == (1, "make-roles: POSTGRES_PASSWORD is not set.\n")
