"""The database goes away, locks and comes back; processes migrate it at once; several write at once."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
import sqlalchemy

from service.leadership import Leadership
from service.store import components, datasets
from service.store.database import Database, DatabaseUnavailableError, WriteConflictError, migrate
from tests.integration.conftest import Api
from tests.postgres import PostgresServer

DATABASES = ["postgresql"]
AT_ONCE = 8


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/record.sqlite"
    server: PostgresServer = request.getfixturevalue("postgres")
    server.empty()
    return server.url


def unavailable(answer: httpx2.Response) -> None:
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database"), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"]


def recovers(api: Api, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while api.http.get("/v1/jobs").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_server_that_is_down_is_a_503_at_once_and_reads_come_back_with_it(api: Api, postgres: PostgresServer) -> None:
    """A11."""
    made = api.upload("kept", "a,b\n1,2\n")
    for how in (signal.SIGQUIT, signal.SIGINT):
        postgres.stop(how)
        for path in ("/v1/jobs", "/readyz", f"/v1/datasets/{made['id']}"):
            unavailable(api.http.get(path, timeout=2))
        answer = api.http.post("/v1/datasets", files={"file": ("more.csv", "a,b\n3,4\n")}, timeout=2)
        unavailable(answer)
        assert api.http.get("/healthz").status_code == 200
        postgres.start()
        recovers(api, 5)
        assert api.http.get(f"/v1/datasets/{made['id']}").json() == made


def test_sessions_that_are_ended_cost_no_request_more_than_a_try(api: Api, postgres: PostgresServer) -> None:
    for _ in range(5):
        others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")  # noqa: S608
        assert api.http.get("/v1/jobs").status_code == 200


def test_a_server_that_stands_still_is_a_503_within_seconds(api: Api, postgres: PostgresServer) -> None:
    others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")  # noqa: S608
    postgres.send(signal.SIGSTOP)
    try:
        started = time.monotonic()
        unavailable(api.http.get("/v1/jobs", timeout=10))
        assert time.monotonic() - started < 5
    finally:
        postgres.send(signal.SIGCONT)
    recovers(api, 5)


def test_processes_that_migrate_at_once_all_find_it_done(url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service.cli", "migrate"]
    environment = {"GRADSUM_DATABASE_URL": url, "GRADSUM_DATA_DIR": str(tmp_path)}
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=90)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    Database(url).close()


def test_a_database_that_can_t_be_reached_is_one_sentence(tmp_path: Path, free_port: Callable[[], int]) -> None:
    secret = "postgresql+psycopg://gradsum:a-secret@127.0.0.1:1/gradsum"  # noqa: S105 - nobody's
    ports = {"GRADSUM_PORT": str(free_port()), "GRADSUM_MLFLOW_PORT": str(free_port())}
    environment = {"GRADSUM_DATABASE_URL": secret, "GRADSUM_DATA_DIR": str(tmp_path), **ports}
    for command in ("migrate", "serve"):
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", command],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert "GRADSUM_DATABASE_URL" in done.stderr
        assert "Traceback" not in done.stderr
        assert "a-secret" not in done.stderr


def test_versions_of_a_name_that_are_added_at_once_all_get_a_number(url: str) -> None:
    migrate(url)
    database = Database(url)
    errors: list[Exception] = []

    def add(number: int) -> None:
        try:
            with database.write() as connection:
                datasets.add(
                    connection, id=datasets.new_id(), project="default", actor="a", name="d", options={}, source={},
                    sha256=str(number), content_key=str(number), bytes=1, tags={},
                )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    writers = [threading.Thread(target=add, args=(number,)) for number in range(AT_ONCE)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with database.read() as connection:
        found, _ = datasets.listed(connection, "default", limit=100, after=None, status=None, name="d")
    database.close()
    assert not errors
    assert [dataset.version for dataset in found] == list(range(AT_ONCE, 0, -1))


def test_of_candidates_that_come_at_once_one_leads(url: str) -> None:
    migrate(url)
    database = Database(url)
    led: list[bool] = []
    candidates = [
        threading.Thread(target=lambda name=name: led.append(Leadership(database, name).holds()))
        for name in ("a", "b", "c", "d")
    ]
    for candidate in candidates:
        candidate.start()
    for candidate in candidates:
        candidate.join()
    database.close()
    assert sorted(led) == [False, False, False, True]


@pytest.mark.parametrize(
    ("statement", "is_passing"),
    [
        ("SELECT no_such_column FROM pg_class", True),  # a part that starts before the migration
        ("DO $$ BEGIN RAISE SQLSTATE '25P03'; END $$", True),
        ("DO $$ BEGIN RAISE SQLSTATE '57P01'; END $$", True),
        ("DO $$ BEGIN RAISE SQLSTATE 'XX000'; END $$", False),  # another try would do no better
    ],
)
def test_only_what_may_pass_is_an_unavailable_database(
    postgres: PostgresServer, statement: str, *, is_passing: bool
) -> None:
    database = Database(postgres.url)
    expected = DatabaseUnavailableError if is_passing else sqlalchemy.exc.DBAPIError
    with pytest.raises(expected), database.read() as connection:
        connection.execute(sqlalchemy.text(statement))
    database.close()


def test_a_read_sees_one_moment_of_the_record_and_writes_nothing(api: Api) -> None:
    with api.database.read() as before:
        components.listed(before)
        with api.database.write() as connection:
            components.report(connection, "dispatcher", "ok", {})
        assert components.listed(before) == []
        with pytest.raises((DatabaseUnavailableError, WriteConflictError)), api.database.read() as connection:
            components.report(connection, "dispatcher", "degraded", {})
    with api.database.read() as connection:
        assert [part.status for part in components.listed(connection)] == ["ok"]
