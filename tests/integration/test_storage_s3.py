"""The whole service with its storage in a bucket: the same bits, on machines without copies too, through an outage."""

import io
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from service.client import FINAL, Client
from service.connection import ApiError
from tests.object_server import BUCKET, PREFIX, SECRET, ObjectServer, object_server
from tests.running_service import DIGITS, PROJECT, RunningService, running_service

SECONDS = 120.0
JOB: dict[str, Any] = {
    "dataset": "digits", "target": "digit", "preset": "textbook", "split": {"validation": 0.1, "test": 0.1},
    "training": {"epochs": 40}, "resources": {"workers": 2, "shards": 8},
}  # fmt: skip
ROWS = [[0] * 64, [8] * 64]


class Scene(NamedTuple):
    """A service in a bucket, and one in a directory to compare it with."""

    service: RunningService
    in_directory: RunningService
    client: Client
    server: ObjectServer

    @property
    def cache(self) -> Path:
        return self.service.data_dir / "storage-cache"

    def on_a_new_machine(self) -> None:
        """Nothing is here but what the bucket has: the copies go at once, whoever reads or distrusts them meanwhile."""
        gone = self.cache.with_name("copies-of-another-machine")
        self.cache.rename(gone)
        shutil.rmtree(gone)

    def trained(self, **fields: Any) -> dict[str, Any]:
        job = wait(self.client, self.client.submit_job({**JOB, **fields})["id"], FINAL)
        assert job["status"] == "succeeded", job["error"]
        return job


@pytest.fixture(scope="module")
def scene(service: RunningService, short_path: Path, free_port: Callable[[], int]) -> Iterator[Scene]:
    with (
        object_server(free_port()) as server,
        running_service(short_path, free_port, GRADSUM_WORKER_SLOTS="2", **server.settings()) as in_bucket,
        in_bucket.client() as client,
    ):
        client.add_dataset(DIGITS / "digits.csv", "digits")
        yield Scene(in_bucket, service, client, server)
        assert SECRET not in in_bucket.log()


def wait(client: Client, job_id: str, statuses: frozenset[str], reason: str | None = None) -> dict[str, Any]:
    """The job once it has one of the statuses and waits for `reason`."""
    deadline = time.monotonic() + SECONDS
    while True:
        job = client.job(job_id)
        if job["status"] in statuses and (reason is None or (job["status_reason"] or {}).get("code") == reason):
            return job
        assert job["status"] not in FINAL - statuses, job
        assert time.monotonic() < deadline, job
        time.sleep(0.1)


def test_a_bucket_and_a_directory_give_the_same_bits(scene: Scene) -> None:
    in_bucket = scene.trained(tracking={"registered_model": "digits"})
    with scene.in_directory.client() as client:
        client.add_dataset(DIGITS / "digits.csv", "digits-of-a-directory")
        body = {**JOB, "dataset": "digits-of-a-directory"}
        in_directory = wait(client, client.submit_job(body)["id"], FINAL)
    assert in_bucket["result"]["weights_sha256"] == in_directory["result"]["weights_sha256"]
    kept = scene.server.kept()
    assert {key.split("/")[0] for key in kept} == {"datasets", "matrices", "jobs"}  # the upload is gone
    assert any(key.endswith("/model/model.json") for key in kept)
    assert not (scene.service.data_dir / "storage").exists()


def test_a_new_machine_predicts_retrains_and_tracks(scene: Scene) -> None:
    first = scene.trained(tracking={"registered_model": "moved"})
    answer = scene.client.predict("moved", ROWS)
    scene.on_a_new_machine()
    assert scene.client.predict("moved", ROWS) == answer
    weights = np.load(io.BytesIO(b"".join(scene.client.weights(first["id"]))))
    assert weights["weights_0"].shape == (30, 64)
    scene.on_a_new_machine()
    again = scene.trained()
    assert again["result"]["weights_sha256"] == first["result"]["weights_sha256"]
    scene.on_a_new_machine()
    warm = scene.trained(warm_start=first["id"])
    assert warm["result"]["weights_sha256"] != first["result"]["weights_sha256"]
    deadline = time.monotonic() + SECONDS
    while scene.client.job(warm["id"])["mlflow"]["status"] != "current":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    with pytest.raises(ApiError, match="hidden layers"):
        scene.client.submit_job({**JOB, "warm_start": first["id"], "network": {"hidden_layers": [7]}})


def test_a_retrained_model_is_judged_from_what_the_bucket_has(scene: Scene) -> None:
    body = {
        "name": "nightly", "cron": "@daily", "job": {**JOB, "tracking": {"registered_model": "judged"}},
        "promotion": {"metric": "test_loss"}, "check": {"min_rows": 10},
    }  # fmt: skip
    schedule = scene.client.add_schedule(body)
    for _ in range(2):
        firing = scene.client.trigger_schedule(schedule["id"])
        wait(scene.client, firing["job_id"], FINAL)
        deadline = time.monotonic() + SECONDS
        while (verdict := scene.client.firings(schedule["id"])["data"][0]["verdict"]) is None:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        scene.on_a_new_machine()
    assert verdict in {"kept", "promoted"}
    scene.client.delete_schedule(schedule["id"])
    assert any(key.endswith("/reference.json") for key in scene.server.kept())


def is_ready(client: Client) -> bool:
    try:
        client.ready()
    except ApiError:
        return False
    return True


def wait_for_readiness(client: Client, *, ready: bool) -> None:
    """Until /readyz answers so: it believes what it found last for some seconds."""
    deadline = time.monotonic() + SECONDS
    while is_ready(client) != ready:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_through_an_outage_the_api_says_so_and_jobs_wait_and_end_in_the_same_bits(scene: Scene) -> None:
    undisturbed = scene.trained(training={"epochs": 3000})
    job_id = scene.client.submit_job({**JOB, "training": {"epochs": 3000}})["id"]
    wait(scene.client, job_id, frozenset({"running"}))
    scene.server.stop()
    try:
        wait_for_readiness(scene.client, ready=False)
        asked: list[Callable[[], object]] = [
            scene.client.ready,
            lambda: scene.client.add_dataset(DIGITS / "digits.csv", "in-vain"),
            lambda: scene.client.delete_job(undisturbed["id"]),
        ]
        for ask in asked:
            with pytest.raises(ApiError) as error:
                ask()
            assert (error.value.status, error.value.code) == (503, "storage"), error.value.problem
        assert scene.client.datasets(name="in-vain")["data"] == []
        wait(scene.client, job_id, frozenset({"running"}), "waiting_for_storage")
        new = scene.client.submit_job({**JOB, "training": {"epochs": 41, "dtype": "float64"}})["id"]
        wait(scene.client, new, frozenset({"queued"}), "waiting_for_storage")
    finally:
        scene.server.start()
    ended = wait(scene.client, job_id, FINAL)
    assert ended["result"]["weights_sha256"] == undisturbed["result"]["weights_sha256"]
    assert ended["attempt"] == 1
    assert wait(scene.client, new, FINAL)["status"] == "succeeded"
    wait_for_readiness(scene.client, ready=True)
    assert scene.client.ready()["components"]["storage"] == {"status": "ok"}


def test_a_matrix_that_is_gone_is_built_again_before_the_job_goes_on(scene: Scene) -> None:
    undisturbed = scene.trained(training={"epochs": 43, "dtype": "float64"})
    first = scene.client.submit_job({**JOB, "training": {"epochs": 1_000_000}})["id"]
    wait(scene.client, first, frozenset({"running"}))
    job_id = scene.client.submit_job({**JOB, "training": {"epochs": 43, "dtype": "float64"}})["id"]
    wait(scene.client, job_id, frozenset({"queued"}), "waiting_for_workers")
    scene.server.files().delete_dir_contents(f"{BUCKET}/{PREFIX}/matrices")
    scene.on_a_new_machine()
    scene.client.cancel_job(first)
    ended = wait(scene.client, job_id, FINAL)
    assert (ended["status"], ended["attempt"]) == ("succeeded", 2), ended["error"]
    assert ended["result"]["weights_sha256"] == undisturbed["result"]["weights_sha256"]
    assert ended["warnings"] == undisturbed["warnings"]


def test_what_is_deleted_is_gone_from_the_bucket(scene: Scene) -> None:
    file = scene.service.data_dir / "little.csv"
    file.write_text("a,b\n" + "".join(f"{n},{n % 2}\n" for n in range(50)))
    before = scene.server.kept()
    dataset = scene.client.add_dataset(file, "little")
    body = {"dataset": "little", "target": "b", "preset": "textbook", "training": {"epochs": 2}}
    job = wait(scene.client, scene.client.submit_job(body)["id"], FINAL)
    deadline = time.monotonic() + SECONDS  # the upload goes when its reader has time
    while {key.split("/")[0] for key in scene.server.kept() - before} != {"datasets", "matrices", "jobs"}:
        assert time.monotonic() < deadline, scene.server.kept() - before
        time.sleep(0.1)
    scene.client.delete_job(job["id"])
    scene.client.delete_dataset(dataset["id"])
    left = scene.server.kept() - before
    assert not [key for key in left if job["id"] in key or key.startswith("datasets/")], left  # matrices are swept


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({}, 0, "can be written and read"),
        ({"GRADSUM_STORAGE_URL": "s3://no-such-bucket/here"}, 1, "s3://no-such-bucket/here can't be used"),
        ({"GRADSUM_STORAGE_S3_ENDPOINT": "http://127.0.0.1:1"}, 75, "does not answer"),
    ],
)
def test_the_storage_is_checked_in_one_sentence(
    scene: Scene, tmp_path: Path, free_port: Callable[[], int], settings: dict[str, str], code: int, said: str
) -> None:
    ports = {"GRADSUM_PORT": str(free_port()), "GRADSUM_MLFLOW_PORT": str(free_port())}
    environment = {**scene.server.settings(), "GRADSUM_DATA_DIR": str(tmp_path), **ports, **settings}
    for command in (["storage", "check"], ["serve"]) if code == 1 else (["storage", "check"],):
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", *command],
            cwd=PROJECT, env={"PATH": "/usr/bin:/bin", **environment},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        lines = (done.stdout + done.stderr).strip().splitlines()
        assert (done.returncode, len(lines)) == (code, 1), lines
        assert said in lines[0]
        assert SECRET not in lines[0]
