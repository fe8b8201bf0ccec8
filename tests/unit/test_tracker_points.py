"""Which figures go to MLflow, and under which names."""

import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from service.store import datasets, jobs
from service.store.database import Database, migrate
from service.store.tables import metric_chunks
from service.tracker.points import closing_points, points
from service.tracker.result import class_figures
from service.tracker.series import LARGEST_BATCH, next_batch, points_of_epochs
from service.tracker.words import name, parameters


class Record(NamedTuple):
    """A database with one job in it."""

    database: Database
    job_id: str


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    url = f"sqlite:///{tmp_path}/gradsum.sqlite"
    migrate(url)
    database = Database(url)
    owner: dict[str, Any] = {"project": "default", "actor": "anonymous"}
    with database.write() as connection:
        upload: dict[str, Any] = {"options": {}, "source": {}, "sha256": "a" * 64, "content_key": "b" * 64, "tags": {}}
        datasets.add(connection, id="ds_1", name="digits", bytes=1, **owner, **upload)
        spec: dict[str, Any] = {"name": None, "tags": {}, "priority": 0}
        job = jobs.add(connection, dataset_id="ds_1", requested={}, spec=spec, resolved=True, warnings=[], **owner)
    yield Record(database, job.id)
    database.close()


def write(record: Record, first_epoch: int, columns: dict[str, list[float | None]], second: int = 0) -> None:
    """A chunk as it lies in SQL; not by `metrics.append`, which refuses what is not finite."""
    epochs = list(range(first_epoch, first_epoch + len(next(iter(columns.values())))))
    with record.database.write() as connection:
        connection.execute(
            metric_chunks.insert().values(
                job_id=record.job_id,
                first_epoch=epochs[0],
                last_epoch=epochs[-1],
                recorded_at=f"2026-11-24T00:00:{second:02d}.000000Z",
                columns=zlib.compress(json.dumps({"epoch": epochs, **columns}).encode()),
            )
        )


@pytest.mark.parametrize("epochs", [1, 2, 7, 10, 99, 100, 101, 1000, 1001])
@pytest.mark.parametrize("max_points", [2, 10, 100, 1000])
def test_the_rule_is_the_first_every_kth_and_the_last(epochs: int, max_points: int) -> None:
    every = math.ceil(epochs / max_points)
    expected = [e for e in range(1, epochs + 1) if e == 1 or e % every == 0 or e == epochs]
    assert points(0, epochs, epochs, max_points) == expected
    assert len(expected) <= max_points + 2


@pytest.mark.parametrize("step", [1, 3, 10, 64])
def test_sending_in_pieces_sends_the_same_epochs(step: int) -> None:
    pieces = [e for after in range(0, 1003, step) for e in points(after, min(after + step, 1003), 1003, 100)]
    assert pieces == points(0, 1003, 1003, 100)


def test_the_best_and_the_last_epoch_are_added_where_the_rule_leaves_them_out() -> None:
    assert closing_points(last=57, best=53, epochs=100, max_points=10) == [53, 57]
    assert closing_points(last=100, best=50, epochs=100, max_points=10) == []
    assert closing_points(last=5, best=5, epochs=100, max_points=10) == [5]
    assert closing_points(last=0, best=None, epochs=100, max_points=10) == []


def test_no_batch_is_larger_than_mlflow_takes_and_together_they_hold_every_point(record: Record) -> None:
    names = [f"series_{place}" for place in range(7)]
    for chunk in range(3):
        write(record, 1 + 200 * chunk, {name: [0.5] * 200 for name in names}, chunk)
    sent, after = [], 0
    with record.database.read() as connection:
        while (batch := next_batch(connection, record.job_id, after, 600, 1000)).last_epoch > after:
            assert len(batch.points) <= LARGEST_BATCH
            sent += batch.points
            after = batch.last_epoch
    assert after == 600
    assert [(p.name, p.epoch) for p in sent] == [(name, e) for e in range(1, 601) for name in names]


def test_the_cursor_passes_over_epochs_that_are_not_shown(record: Record) -> None:
    write(record, 1, {"loss": [0.5] * 9})
    with record.database.read() as connection:
        assert next_batch(connection, record.job_id, 1, 1000, 10) == ([], 9)


def test_a_point_has_the_time_that_the_record_fixed(record: Record) -> None:
    write(record, 1, {"loss": [0.5, 0.25]}, 7)
    with record.database.read() as connection:
        first = next_batch(connection, record.job_id, 0, 2, 1000)
        again = next_batch(connection, record.job_id, 0, 2, 1000)
    assert first == again
    assert [(p.value, p.epoch, p.at % 60_000) for p in first.points] == [(0.5, 1, 7000), (0.25, 2, 7000)]


def test_what_is_no_finite_number_is_not_sent(record: Record) -> None:
    write(record, 1, {"loss": [math.inf, 0.5], "validation_loss": [math.nan, None], "seconds": [0.1, -math.inf]})
    with record.database.read() as connection:
        batch = next_batch(connection, record.job_id, 0, 2, 1000)
        assert points_of_epochs(connection, record.job_id, [2, 3]) == [
            point for point in batch.points if point.epoch == 2
        ]
    assert [(p.name, p.epoch, p.value) for p in batch.points] == [("epoch_seconds", 1, 0.1), ("loss", 2, 0.5)]


def test_a_spec_becomes_flat_parameters() -> None:
    spec = {"network": {"hidden_layers": [30, 20], "bias": True}, "name": None, "tags": {}, "target": "digit"}
    assert parameters(spec) == {
        "network.hidden_layers": "[30, 20]",
        "network.bias": "true",
        "name": "null",
        "tags": "{}",
        "target": "digit",
    }
    assert len(parameters({"features": ["column"] * 10_000})["features"]) == 6000


@pytest.mark.parametrize("wanted", ["", ".", "..", "../x", "/x", "a/b", "größe", "a\nb", "x=1;'\"", "é" * 400])
def test_any_name_becomes_one_that_mlflow_takes(wanted: str) -> None:
    taken = name(wanted)
    assert 1 <= len(taken) <= 250
    assert not taken.startswith(".")
    assert all(c.isalnum() or c in "_.- :" for c in taken)


def classes(*labels: str) -> list[dict[str, Any]]:
    return [{"class": label, "precision": 0.25, "recall": None, "rows": 3} for label in labels]


def test_each_of_a_few_classes_has_its_figures() -> None:
    assert class_figures({"test_classes": classes("cat", "a/b")}) == {
        "test_precision/cat": 0.25,
        "test_recall/cat": None,
        "test_precision/a_b": 0.25,
        "test_recall/a_b": None,
    }
    assert len(class_figures({"validation_classes": classes(*(f"{place}" for place in range(20)))})) == 40
    assert class_figures({"validation_classes": classes(*(f"{place}" for place in range(21)))}) == {}
    assert class_figures({"loss": 0.5}) == {}


def test_classes_whose_names_mlflow_could_not_tell_apart_have_none() -> None:
    assert set(class_figures({"test_classes": classes("a/b", "a=b", "c")})) == {"test_precision/c", "test_recall/c"}
    long = class_figures({"test_classes": classes("x" * 400, "y" * 400)})
    assert len(long) == 4
    assert all(len(f"result/{key}") <= 250 for key in long)
