"""The record: transactions, fences, versions, chunks; on real databases of both kinds, made by the migrations."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import alembic.autogenerate
import alembic.command
import alembic.config
import alembic.migration
import pytest
import sqlalchemy

from service.leadership import PATIENCE_SECONDS, RENEW_SECONDS, Leadership
from service.store import datasets, jobs, metrics, models
from service.store.database import Database, migrate
from service.store.pages import UnknownCursorError
from service.store.tables import metadata
from tests.postgres import PostgresServer

SPEC = {"name": "digits", "tags": {}, "priority": 0}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/record.sqlite"
    server: PostgresServer = request.getfixturevalue("postgres")
    server.empty()
    return server.url


@pytest.fixture
def url(empty: str) -> str:
    migrate(empty)
    return empty


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def add_dataset(database: Database, content: str = "a", name: str = "digits") -> datasets.Dataset:
    with database.write() as connection:
        dataset, _ = datasets.add(
            connection, id=datasets.new_id(), project="default", actor="anonymous", name=name, options={}, source={},
            sha256=content, content_key=content, bytes=1, tags={},
        )  # fmt: skip
    return dataset


def wanted(database: Database, name: str = "digits") -> datasets.Dataset:
    """A dataset that is to be fetched."""
    key = datasets.new_id()
    with database.write() as connection:
        dataset, is_new = datasets.add(
            connection, id=key, project="default", actor="anonymous", name=name, options={}, source={}, sha256="",
            content_key=key, bytes=0, tags={}, uri="https://example.org/digits.csv?key=secret",
        )  # fmt: skip
    assert is_new
    return dataset


def arrive(database: Database, dataset: datasets.Dataset, content: str) -> datasets.Dataset | None:
    with database.write() as connection:
        return datasets.arrive(connection, dataset, sha256=content, content_key=content, bytes=1)


def add_job(database: Database, **spec: Any) -> jobs.Job:
    dataset = add_dataset(database)
    with database.write() as connection:
        return jobs.add(
            connection, project="default", actor="anonymous", dataset_id=dataset.id, requested={}, resolved=True,
            spec={**SPEC, **spec}, warnings=[],
        )  # fmt: skip


def test_a_list_and_whoever_looks_often_leave_out_what_is_large_of_the_columns(database: Database) -> None:
    dataset = add_dataset(database)
    columns = [{"name": "a", "type": "category", "nulls": 0, "categories": ["x" * 200], "distinct_values": None}]
    with database.write() as connection:
        datasets.finish(connection, dataset.id, 1, 0, columns)
    waiting = add_dataset(database, "b", "b")
    with database.read() as connection:
        listed, has_more = datasets.listed(connection, "default", limit=10, after=None, status=None, name=None)
        seen = datasets.outline(connection, dataset.id)
        assert seen is not None
        assert datasets.whole(connection, seen).columns == columns
    assert [(found.id, found.columns) for found in listed] == [
        (waiting.id, None),
        (dataset.id, [{"name": "a", "type": "category", "nulls": 0}]),
    ]
    assert (has_more, hasattr(seen, "columns"), seen.rows) == (False, False, 1)


def test_what_is_fetched_is_the_version_before_it_where_the_content_is_the_same(database: Database) -> None:
    first = add_dataset(database, "a")
    second, third = wanted(database), wanted(database)
    assert [second.version, third.version] == [2, 3]
    assert arrive(database, second, "a") == first
    assert arrive(database, third, "a") == first
    with database.read() as connection:
        assert [datasets.get(connection, key) for key in (second.id, third.id)] == [first, first]
        assert [waiting.id for waiting in datasets.preparing(connection)] == [first.id]
        assert datasets.find(connection, "default", "digits") == first
    with database.write() as connection:
        datasets.delete(connection, first.id)
    with database.read() as connection:
        assert datasets.get(connection, second.id) is None


def test_what_is_fetched_is_a_new_version_where_the_content_is_another_or_failed(database: Database) -> None:
    first, second = add_dataset(database, "a"), wanted(database)
    found = arrive(database, second, "b")
    assert found is not None
    assert (found.id, found.version, found.sha256, found.uri) == (second.id, 2, "b", None)
    with database.write() as connection:
        datasets.fail(connection, second.id, {"code": "ragged_row", "message": "…"})
    third = wanted(database)
    assert getattr(arrive(database, third, "b"), "version", None) == 3
    assert add_dataset(database, "a").id != first.id


def test_a_job_that_waits_for_a_fetch_gets_the_dataset_that_was_there(database: Database) -> None:
    first, second = add_dataset(database, "a"), wanted(database)
    other = add_dataset(database, "other", "other")
    sides = [(second, None), (other, second), (second, second), (second, other)]
    with database.write() as connection:
        waiting = [
            jobs.add(
                connection, project="default", actor="anonymous", dataset_id=trains.id, requested={}, resolved=False,
                spec={**SPEC, "dataset": trains.id, "validation_dataset": validates and validates.id}, warnings=[],
            )
            for trains, validates in sides
        ]  # fmt: skip
    arrive(database, second, "a")
    with database.read() as connection:
        found = [jobs.required(connection, job.id) for job in waiting]
    assert [(job.dataset_id, job.spec["dataset"], job.spec["validation_dataset"]) for job in found] == [
        (first.id, first.id, None),
        (other.id, other.id, first.id),
        (first.id, first.id, first.id),
        (first.id, first.id, other.id),
    ]
    assert all(job.spec["name"] == SPEC["name"] for job in found)


def test_what_arrives_for_a_deleted_dataset_is_nothing_and_a_failure_keeps_no_uri(database: Database) -> None:
    deleted, failed = wanted(database), wanted(database)
    with database.write() as connection:
        datasets.delete(connection, deleted.id)
        datasets.fail(connection, failed.id, {"code": "fetch_failed", "message": "…"})
        assert getattr(datasets.get(connection, failed.id), "uri", "") is None
    assert arrive(database, deleted, "a") is None


def test_migrations_make_the_tables_that_the_store_describes(url: str) -> None:
    migrate(url)  # a second time changes nothing
    engine = sqlalchemy.create_engine(url)
    found = sqlalchemy.inspect(engine)
    for table in metadata.sorted_tables:
        assert {column["name"] for column in found.get_columns(table.name)} == set(table.columns.keys())
    for table in ("datasets", "jobs", "models"):
        assert {"project", "actor", "group_id"} <= {column["name"] for column in found.get_columns(table)}
    assert {"numerics", "block_rows"} <= {column["name"] for column in found.get_columns("jobs")}
    engine.dispose()


def test_nothing_is_left_to_migrate_once_the_migrations_have_run(url: str) -> None:
    """Columns, types, indexes and constraints, as Alembic compares them."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = alembic.migration.MigrationContext.configure(connection, opts=options)
        assert alembic.autogenerate.compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_job_of_the_first_schema_reads_back_after_the_migrations(empty: str) -> None:
    url = empty
    _make_old_record(url)
    migrate(url)
    database = Database(url)
    with database.read() as connection:
        job = jobs.required(connection, "job_1")
        assert (job.name, job.status, job.spec["training"], job.warnings) == ("digits", "running", {"epochs": 7}, ["w"])
        assert job.accept_other_numerics is False
        assert [found.id for found in jobs.unfinished(connection)] == ["job_1"]
        assert jobs.is_needed(connection, "job_1") is False
    with database.write() as connection:
        assert jobs.change(connection, job, accept_other_numerics=True)
        assert jobs.required(connection, "job_1").accept_other_numerics is True
    database.close()


def _make_old_record(url: str) -> None:
    """A database at revision 0001 with a dataset and a job that runs."""
    configuration = alembic.config.Config()
    configuration.set_main_option("script_location", "service/migrations")
    engine = sqlalchemy.create_engine(url)
    spec = {**SPEC, "training": {"epochs": 7}, "warm_start": None}
    common = {"project": "default", "actor": "anonymous", "name": "digits", "created_at": "2026-01-01", "tags": {}}
    dataset = {
        **common, "id": "ds_1", "version": 1, "status": "ready", "options": {}, "source": {}, "sha256": "s",
        "content_key": "k", "bytes": 1,
    }  # fmt: skip
    job = {
        **common, "id": "job_1", "priority": 0, "dataset_id": "ds_1", "requested": {}, "spec": spec, "resolved": True,
        "status": "running", "attempt": 1, "workers": [], "warnings": ["w"],
    }  # fmt: skip
    with engine.begin() as connection:
        configuration.attributes["connection"] = connection
        alembic.command.upgrade(configuration, "0001")
        old = sqlalchemy.MetaData()
        old.reflect(connection)
        connection.execute(old.tables["datasets"].insert().values(dataset))
        connection.execute(old.tables["jobs"].insert().values(job))
    engine.dispose()


def test_the_same_content_under_the_same_name_makes_no_new_version(database: Database) -> None:
    first = add_dataset(database)
    assert add_dataset(database).id == first.id
    assert add_dataset(database, "b").version == 2
    assert add_dataset(database, "b", "other").version == 1


def test_a_state_changes_only_from_the_state_and_attempt_that_was_seen(database: Database) -> None:
    job = add_job(database)
    with database.write() as connection:
        assert jobs.move(connection, job, "starting", attempt=1)
        assert not jobs.move(connection, job, "starting", attempt=1)
        started = jobs.required(connection, job.id)
        assert jobs.change(connection, started, progress={"epoch": 1})
        assert jobs.move(connection, started, "succeeded", result={})
        assert not jobs.change(connection, started, progress={"epoch": 2})
        assert [row["status"] for row in jobs.history(connection, job.id)] == ["queued", "starting", "succeeded"]


def test_a_state_that_can_t_follow_is_an_error(database: Database) -> None:
    job = add_job(database)
    with database.write() as connection, pytest.raises(ValueError, match="queued to succeeded"):
        jobs.move(connection, job, "succeeded")


def test_a_job_that_ends_before_it_is_planned_keeps_no_auto(database: Database) -> None:
    job = add_job(database, split={"by": "time", "column": "t"}, resources={"workers": "auto", "shards": "auto"})
    with database.write() as connection:
        datasets.finish(connection, job.dataset_id, 100_000, 0, [])
        assert jobs.fail(connection, job, {"code": "missing_values", "message": "…"})
        assert jobs.required(connection, job.id).spec["resources"] == {"workers": 1, "shards": 32}


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    job = add_job(database)
    with contextlib.suppress(RuntimeError), database.write() as connection:
        jobs.move(connection, job, "cancelling")
        raise RuntimeError
    with database.read() as connection:
        assert jobs.required(connection, job.id).status == "queued"


def test_figures_come_back_once_however_often_they_are_written(database: Database) -> None:
    job = add_job(database)
    with database.write() as connection:
        metrics.append(connection, job.id, {"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0]})
        metrics.append(connection, job.id, {"epoch": [2, 3, 4], "loss": [2.0, 1.0, None]})
        metrics.append(connection, job.id, {"epoch": [1], "loss": [3.0]})
        rows, more = metrics.rows(connection, job.id, after_epoch=1, limit=2)
        assert rows == [{"epoch": 2, "loss": 2.0}, {"epoch": 3, "loss": 1.0}]
        assert more
        assert metrics.rows(connection, job.id, 3, 100) == ([{"epoch": 4, "loss": None}], False)


@pytest.mark.parametrize("last", [0, 2, 3, 5, 9])
def test_figures_behind_an_epoch_can_be_forgotten_also_within_a_chunk(database: Database, last: int) -> None:
    job = add_job(database)
    with database.write() as connection:
        metrics.append(connection, job.id, {"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0]})
        metrics.append(connection, job.id, {"epoch": [4, 5, 6], "loss": [0.5, 0.4, 0.3]})
        before, _ = metrics.rows(connection, job.id, 0, 100)
        metrics.cut(connection, job.id, last)
        assert metrics.rows(connection, job.id, 0, 100) == (before[:last], False)
        assert metrics.last_epoch(connection, job.id) == min(last, 6)
        metrics.append(connection, job.id, {"epoch": list(range(1, 8)), "loss": [1.0] * 7})
        assert metrics.last_epoch(connection, job.id) == 7


def test_attempts_count_as_lost_where_the_job_may_be_at_fault_or_chance_is_ruled_out(database: Database) -> None:
    job = add_job(database)
    attempt = 0

    def lost(*reasons: str) -> int:
        nonlocal attempt
        with database.write() as connection:
            for reason in reasons:
                attempt += 1
                jobs.add_attempt(connection, job.id, attempt, {})
                jobs.end_attempt(connection, job.id, attempt, reason)
            return jobs.lost_drivers(connection, job.id)

    assert lost(jobs.SERVICE_RESTARTED, jobs.SERVICE_STOPPED, jobs.REFUSED, jobs.NOT_STARTED, jobs.CLUSTER_LOST) == 0
    assert lost("the driver was lost (ActorDiedError)") == 1
    assert lost(*[jobs.NOT_STARTED, jobs.CLUSTER_LOST] * 8, jobs.NOT_STARTED) == 1
    assert lost(jobs.NOT_STARTED) == jobs.MOST_BLAMELESS + 1


def test_a_job_that_another_starts_from_is_needed_until_that_one_is_final(database: Database) -> None:
    source = add_job(database)
    other = add_job(database, warm_start=source.id)
    with database.write() as connection:
        assert jobs.is_needed(connection, source.id)
        assert not jobs.is_needed(connection, other.id)
        jobs.move(connection, other, "cancelling")
        jobs.move(connection, jobs.required(connection, other.id), "cancelled")
        assert not jobs.is_needed(connection, source.id)


def test_the_first_version_of_a_name_is_its_champion(database: Database) -> None:
    with database.write() as connection:
        for _ in range(2):
            job = jobs.add(
                connection, project="default", actor="a", dataset_id=add_dataset_in(connection), requested={},
                resolved=True, spec=SPEC, warnings=[],
            )  # fmt: skip
            models.add(connection, project="default", actor="a", name="m", job_id=job.id, directory="d", tags={})
        assert [model.version for model in models.versions(connection, "default", "m")] == [2, 1]
        assert models.champion_version(connection, "default", "m") == 1
        models.promote(connection, "default", "m", 2, "better")
        assert models.champion_version(connection, "default", "m") == 2


def test_a_page_of_models_has_the_newest_versions_of_each_name(database: Database) -> None:
    with database.write() as connection:
        for name, n_versions in (("b", 4), ("a", 1), ("c", 2)):
            for _ in range(n_versions):
                job = jobs.add(
                    connection, project="default", actor="a", dataset_id=add_dataset_in(connection), requested={},
                    resolved=True, spec=SPEC, warnings=[],
                )  # fmt: skip
                models.add(connection, project="default", actor="a", name=name, job_id=job.id, directory="d", tags={})
        models.promote(connection, "default", "b", 2, None)

        def seen(**page: Any) -> tuple[list[tuple[str, int, list[int]]], bool]:
            wanted = {"limit": 2, "after": None, "name": None, **page}
            found, has_more = models.listed(connection, "default", most_versions=3, **wanted)
            names = [(each.versions[0].model.name, each.champion, each.versions) for each in found]
            return [
                (name, serves, [made.model.version for made in all_made]) for name, serves, all_made in names
            ], has_more

        assert seen() == ([("a", 1, [1]), ("b", 2, [4, 3, 2])], True)
        assert seen(after="b") == ([("c", 1, [2, 1])], False)
        assert seen(name="b") == ([("b", 2, [4, 3, 2])], False)
        whole = models.named(connection, "default", "b")
        assert whole is not None
        assert [made.model.version for made in whole.versions] == [4, 3, 2, 1]
        assert models.named(connection, "default", "d") is None


def add_dataset_in(connection: Any) -> str:
    dataset, _ = datasets.add(
        connection, id=datasets.new_id(), project="default", actor="a", name="d", options={}, source={}, sha256="s",
        content_key="s", bytes=1, tags={},
    )  # fmt: skip
    return dataset.id


def test_a_dataset_that_a_job_needs_can_t_be_deleted(database: Database) -> None:
    job = add_job(database)
    with database.write() as connection, pytest.raises(datasets.DatasetInUseError):
        datasets.delete(connection, job.dataset_id)


def test_lists_go_on_where_they_stopped(database: Database) -> None:
    made = [add_job(database).id for _ in range(5)]
    with database.read() as connection:
        seen: list[str] = []
        more = True
        while more:
            after = seen[-1] if seen else None
            found, more = jobs.listed(connection, "default", limit=2, after=after, status=None, name=None)
            seen += [job.id for job in found]
        with pytest.raises(UnknownCursorError):
            jobs.listed(connection, "default", limit=2, after="job_forged", status=None, name=None)
    assert seen == made[::-1]


def test_a_second_dispatcher_leads_only_after_the_first_has_been_silent(database: Database) -> None:
    now = [0.0]
    first, second = (Leadership(database, owner, lambda: now[0]) for owner in ("first", "second"))
    assert first.holds()
    assert not second.holds()
    now[0] = RENEW_SECONDS + 1
    assert first.holds()
    now[0] = PATIENCE_SECONDS + 1  # since the second looked first, but the counter has moved in between
    assert not second.holds()
    now[0] += PATIENCE_SECONDS + 1
    assert second.holds()
    assert not first.holds()


def test_a_dispatcher_that_comes_back_under_its_name_leads_at_once(database: Database) -> None:
    assert Leadership(database, "serve").holds()
    assert Leadership(database, "serve").holds()
