"""Jobs over HTTP from outside, on worker containers beside each other: the same bits as `gradsum serve` gives."""

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.client import Client
from service.connection import ApiError
from tests.compose.cluster import FINAL, PROJECT, Cluster, run, tracked, wait_for
from tests.compose.conftest import EXAMPLES, MOST_EPOCHS, upload
from tests.running_service import running_service

ONE_SHOT = {"secrets", "roles", "migrate"}


def job_of(example: str, workers: int | None = None) -> dict[str, Any]:
    """The example's own job, spread over `workers`; few epochs where it would take long."""
    body: dict[str, Any] = yaml.safe_load((PROJECT / "deploy" / "examples" / example / "job.yaml").read_text())
    if workers is not None:
        body["resources"] = {"workers": workers}
    if example == "adult":
        body["training"] = {"epochs": 10}
    return body


def rows_of(example: str, n: int = 5) -> list[dict[str, str]]:
    with (PROJECT / "deploy" / "examples" / example / f"{example}.csv").open(newline="", encoding="utf-8") as file:
        return [row for row, _ in zip(csv.DictReader(file), range(n), strict=False)]


def test_every_service_is_healthy_and_only_two_ports_are_published(cluster: Cluster) -> None:
    found = cluster.containers()
    assert {container["Service"] for container in found if container["State"] == "exited"} == ONE_SHOT
    lasting = [container for container in found if container["Service"] not in ONE_SHOT]
    assert {container["Health"] for container in lasting} == {"healthy"}
    published = {
        (publisher["URL"], publisher["PublishedPort"])
        for container in found
        for publisher in container["Publishers"] or []
        if publisher["PublishedPort"]
    }
    assert published == {("127.0.0.1", cluster.port), ("127.0.0.1", cluster.mlflow_port)}


@pytest.mark.usefixtures("datasets")
def test_a_limit_of_env_holds(client: Client) -> None:
    beyond = {"dataset": "digits", "target": "digit", "training": {"epochs": MOST_EPOCHS + 1}}
    with pytest.raises(ApiError) as refused:
        client.submit_job(beyond)
    [error] = refused.value.errors
    assert error.field == "training.epochs"
    assert str(MOST_EPOCHS) in error.message.replace(",", "")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> dict[str, str]:
    """The `weights_sha256` of the examples where `gradsum serve` trains them on this machine."""
    directory: Path = tmp_path_factory.mktemp("embedded")
    settings = {"GRADSUM_WORKER_SLOTS": "2", "GRADSUM_API_TOKENS_FILE": ""}
    with running_service(directory, free_port, **settings) as service, service.client() as client:
        for name in EXAMPLES:
            upload(client, name)
        return {name: run(client, job_of(name, 2))["result"]["weights_sha256"] for name in EXAMPLES}


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.usefixtures("datasets")
def test_an_example_trains_on_two_containers_to_the_bits_of_the_embedded_service_and_predicts(
    client: Client, embedded: dict[str, str], example: str
) -> None:
    job = run(client, job_of(example, 2))
    assert job["result"]["weights_sha256"] == embedded[example]
    assert len({worker["node"] for worker in job["workers"]}) == 2
    assert all(worker["epochs"] == job["result"]["epochs"] for worker in job["workers"])
    assert job["actor"] == "cluster"
    rows = [numbers(row) for row in rows_of(example)]
    assert len(client.predict(example, rows)["predictions"]) == len(rows)
    tracked(client)
    assert client.job(job["id"])["mlflow"]["run_url"].startswith("http://127.0.0.1:")


@pytest.mark.usefixtures("datasets")
def test_a_schedule_fires_and_its_model_is_judged(client: Client) -> None:
    job = {"dataset": "digits", "target": "digit", "training": {"epochs": 5}}
    job["tracking"] = {"registered_model": "every-minute"}
    schedule = client.add_schedule({"name": "every-minute", "cron": "* * * * *", "job": job, "promotion": {}})
    try:
        firing = first_judged(client, schedule["id"])
    finally:
        client.delete_schedule(schedule["id"])
    assert (firing["triggered_by"], firing["outcome"], firing["job_status"]) == ("cron", "fired", "succeeded")
    assert firing["verdict"] == "promoted"
    assert client.model("every-minute")["champion"] == 1
    for made in client.jobs()["data"]:
        if made["status"] not in FINAL:
            wait_for(client, made["id"], FINAL)


def first_judged(client: Client, schedule_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while True:
        for firing in client.firings(schedule_id)["data"]:
            if firing["verdict"] is not None:
                return dict(firing)
        assert time.monotonic() < deadline, client.firings(schedule_id)
        time.sleep(0.5)


def numbers(row: dict[str, str]) -> dict[str, object]:
    """A row of a CSV file with its numbers as numbers, as a client would send it."""
    return {name: number(value.strip()) for name, value in row.items()}


def number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


@pytest.mark.usefixtures("datasets")
@pytest.mark.parametrize("containers", [3, 1, 2])
def test_any_number_of_worker_containers_gives_the_same_bits(
    cluster: Cluster, client: Client, embedded: dict[str, str], containers: int
) -> None:
    cluster.up("--scale", f"ray-worker={containers}", "--no-recreate")
    slots_become(client, containers)
    job = run(client, job_of("digits", containers))
    assert job["result"]["weights_sha256"] == embedded["digits"]
    assert len({worker["node"] for worker in job["workers"]}) == containers


def slots_become(client: Client, n: int) -> None:
    deadline = time.monotonic() + 90
    while client.ready()["components"]["cluster"].get("worker_slots") != n:
        assert time.monotonic() < deadline, client.ready()
        time.sleep(0.5)
