"""Four dispatchers at once, none of them the leader, some of them killed: a due time still has one row and one job."""

import multiprocessing
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from service.schedule_schemas import ScheduleRequest
from service.store import datasets, schedules
from service.store.database import Database, as_text, migrate
from service.store.tables import firings, jobs
from tests.firing_process import MINUTE, START, fire_minutes
from tests.postgres import postgres_server

N_PROCESSES = 4
N_KILLS = 6
PATIENCE_SECONDS = 480.0
FACTS = {"min": 0, "max": 9, "mean": 4, "std": 3, "nulls": 0, "categories": None, "distinct_values": None}
COLUMNS = [{"name": name, "type": "number", "whole": False, **FACTS} for name in "xy"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, short_directory: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/record.sqlite"
        return
    with postgres_server(short_directory) as url:
        yield url


def prepare(url: str) -> None:
    """A schedule that is due every minute; a job that is still there when the next is due is cancelled."""
    migrate(url)
    database = Database(url)
    job = {"dataset": "numbers", "target": "y"}
    request = ScheduleRequest(name="minutely", cron="* * * * *", overlap_policy="cancel_running", job=job)
    with database.write() as connection:
        dataset, _ = datasets.add(
            connection, id="ds_1", project="default", actor="anonymous", name="numbers", options={}, source={},
            sha256="a", content_key="a", bytes=1, tags={},
        )  # fmt: skip
        datasets.finish(connection, dataset.id, 1000, 0, COLUMNS)
        schedules.add(
            connection, request.model_dump(), project="default", actor="anonymous",
            next_due_at=as_text(START + MINUTE), seen_dataset=0,
        )  # fmt: skip
    database.close()


def run(url: str, directory: Path, n_minutes: int, n_kills: int) -> Counter[str]:
    """How often each due time is in the ledger, once all processes have come to their end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.firing_process"])
    chance = random.Random(7)

    def started() -> multiprocessing.process.BaseProcess:
        process = context.Process(target=fire_minutes, args=(url, directory, n_minutes))
        process.start()
        return process

    running = [started() for _ in range(N_PROCESSES)]
    deadline = time.monotonic() + PATIENCE_SECONDS
    killed = 0
    try:
        while any(process.is_alive() for process in running):
            assert time.monotonic() < deadline
            time.sleep(0.05 + 0.3 * chance.random())
            place = chance.randrange(N_PROCESSES)
            victim = running[place]
            if killed < n_kills and victim.is_alive():
                victim.kill()
                victim.join()
                assert victim.exitcode == -signal.SIGKILL
                running[place] = started()
                killed += 1
    finally:
        for process in running:
            process.kill()
    assert [process.exitcode for process in running] == [0] * N_PROCESSES
    assert killed == n_kills
    return ledger(url)


def ledger(url: str) -> Counter[str]:
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(sqlalchemy.select(firings.c.due_at, firings.c.job_id, firings.c.outcome)).all()
        job_ids = set(connection.execute(sqlalchemy.select(jobs.c.id)).scalars())
    engine.dispose()
    assert {row.outcome for row in rows} == {"fired"}
    assert sorted(row.job_id for row in rows) == sorted(job_ids)  # one job a firing, one firing a job
    return Counter(row.due_at for row in rows)


@pytest.mark.timeout(600)
def test_1000_due_times_fire_once_each_whoever_fires_them_and_dies(url: str, tmp_path: Path) -> None:
    prepare(url)
    found = run(url, tmp_path, 1000, N_KILLS)
    assert found == Counter(as_text(START + minute * MINUTE) for minute in range(1, 1001))


def test_without_the_key_some_fire_twice(url: str, tmp_path: Path) -> None:
    prepare(url)
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP INDEX uq_firings_schedule_id_due_at"))
    engine.dispose()
    assert max(run(url, tmp_path, 100, 0).values()) > 1
