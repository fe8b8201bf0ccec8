"""A file that ends the process that reads it: tried again, then given up with a sentence, and nothing else suffers."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from service import logs, resources
from service.advancing import Advancing
from service.child import Child
from service.preparation import MOST_LOSSES, Preparation
from service.store import datasets
from service.store.datasets import Dataset
from tests.integration.conftest import Api

SECONDS = 60.0


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child("service.prepare", logs.logger("test"), environment=resources.ENVIRONMENT)
    yield child
    child.stop()


def test_a_file_that_ends_its_reader_three_times_is_given_up_and_the_next_one_is_read(api: Api, child: Child) -> None:
    preparation = Preparation(api.database, api.settings, child, logs.logger("test"), Advancing(api.database))
    doomed, good = api.upload("deadly", "a,b\n1,2\n")["id"], api.upload("harmless", "a,b\n3,4\n")["id"]
    for losses in range(MOST_LOSSES):
        assert stored(api, doomed).status == "preparing", f"given up after {losses}"
        pump_until(child, lambda: child.ready is not None)
        die_over(preparation, child, stored(api, doomed))
    failed = api.http.get(f"/v1/datasets/{doomed}").json()
    assert (failed["status"], failed["error"]["code"]) == ("failed", "preparation_failed")
    assert "ended its process 3 times" in failed["error"]["message"]
    assert not (api.settings.storage / "uploads" / doomed).exists()
    pump_until(child, lambda: child.ready is not None)
    preparation.ingest(stored(api, good))
    pump_until(child, lambda: stored(api, good).status == "ready")
    assert api.http.get("/healthz").status_code == 200
    answer = api.http.post("/v1/jobs?dry_run=true", json={"dataset": doomed, "target": "b"})
    assert (answer.status_code, "3 times" in answer.json()["detail"]) == (422, True)


def test_a_file_that_takes_longer_than_the_limit_is_given_up_at_once(api: Api, child: Child) -> None:
    advancing = Advancing(api.database)
    preparation = Preparation(api.database, api.settings, child, logs.logger("test"), advancing, work_seconds=0.36)
    slow = api.upload("slow", "a,b\n1,2\n5,6\n")["id"]
    pump_until(child, lambda: child.ready is not None)
    assert child._process is not None
    os.kill(child._process.pid, signal.SIGSTOP)
    preparation.ingest(stored(api, slow))
    pump_until(child, lambda: stored(api, slow).status == "failed")
    error = stored(api, slow).error or {}
    assert error["code"] == "preparation_too_long"
    assert "longer than 0.0001 hours" in error["message"]
    assert not (api.settings.storage / "uploads" / slow).exists()


def die_over(preparation: Preparation, child: Child, dataset: Dataset) -> None:
    """Let the child have the file in hand, and end."""
    assert child._process is not None
    pid = child._process.pid
    os.kill(pid, signal.SIGSTOP)
    preparation.ingest(dataset)
    os.kill(pid, signal.SIGKILL)
    pump_until(child, lambda: child.ready is None)
    child.pump()


def pump_until(child: Child, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < deadline
        child.pump()
        time.sleep(0.01)


def stored(api: Api, dataset_id: str) -> Dataset:
    with api.database.read() as connection:
        found = datasets.get(connection, dataset_id)
    assert found is not None
    return found
