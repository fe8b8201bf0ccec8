"""Whatever is restarted in mid-job: the job ends in the same bits, and every other record is what it was."""

import time
from typing import Any

import pytest

from service.client import Client
from service.leadership import VACANT_SECONDS
from tests.compose.cluster import Cluster, run, tracked, wait_for

SERVICES = ("api", "tracker", "mlflow", "postgres", "dispatcher", "ray-worker", "ray-head")
LONG = {
    "name": "long",
    "dataset": "digits",
    "target": "digit",
    "preset": "textbook",
    "resources": {"workers": 2},
    "training": {"epochs": 6000},
}
GRACE_SECONDS = 30
START_SECONDS = 60.0


@pytest.fixture(scope="module")
def undisturbed(client: Client, datasets: dict[str, Any]) -> str:
    assert "digits" in datasets
    return str(run(client, LONG)["result"]["weights_sha256"])


def records(client: Client) -> dict[str, Any]:
    """Everything that is recorded and final."""
    return {"jobs": client.jobs()["data"], "datasets": client.datasets()["data"], "models": client.models()["data"]}


def start(client: Client) -> tuple[str, dict[str, Any]]:
    """A long job in the middle of its training, and all records before it."""
    tracked(client)
    before = records(client)
    job_id = str(client.submit_job(LONG)["id"])
    wait_for(client, job_id, {"running"})
    time.sleep(1.0)
    return job_id, before


def check_end(client: Client, job_id: str, before: dict[str, Any], sha256: str) -> None:
    job = wait_for(client, job_id, {"succeeded"})
    assert job["result"]["weights_sha256"] == sha256
    epochs = [row["epoch"] for row in client.metrics(job_id, 5000, 1000)["data"]]
    assert epochs == list(range(5001, 6001))
    after = records(client)
    after["jobs"] = [other for other in after["jobs"] if other["id"] != job_id]
    assert after == before


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_restarted_in_mid_job(
    cluster: Cluster, client: Client, undisturbed: str, service: str
) -> None:
    job_id, before = start(client)
    cluster.compose("restart", service)
    check_end(client, job_id, before, undisturbed)


@pytest.mark.parametrize(("service", "component"), [("dispatcher", "cluster"), ("tracker", "mlflow")])
def test_one_that_is_made_anew_vouches_for_nothing_before_it_is_up(
    cluster: Cluster, client: Client, service: str, component: str
) -> None:
    cluster.compose("rm", "--stop", "--force", service)
    cluster.compose("up", "--detach", "--no-deps", service)
    began, seen = time.monotonic(), [(0.0, "ok")]
    while [status for _, status in seen] != ["ok", "degraded", "ok"]:
        status = client.ready()["components"][component]["status"]
        if status != seen[-1][1]:
            seen.append((time.monotonic() - began, status))
        assert time.monotonic() - began < START_SECONDS, seen
        time.sleep(0.05)
    assert seen[1][0] < VACANT_SECONDS + 5.0, seen  # and what a process takes to start


def test_everything_down_and_up_in_mid_job(cluster: Cluster, client: Client, undisturbed: str) -> None:
    job_id, before = start(client)
    began = time.monotonic()
    cluster.compose("stop")
    assert time.monotonic() - began < GRACE_SECONDS
    cluster.compose("down")
    cluster.up()
    check_end(client, job_id, before, undisturbed)
