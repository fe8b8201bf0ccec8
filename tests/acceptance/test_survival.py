"""Accepted jobs survive the processes that serve them, and end in the bits of an undisturbed run."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from service.processes import adopt_orphans
from tests.leaks import left_after, snapshot
from tests.running_service import DIGITS, RunningService, running_service

JOB = """
dataset: digits
target: digit
preset: textbook
preprocessing: {standardize: true}
training: {epochs: 2000, learning_rate: 3.0}
resources: {workers: %s, shards: 8}
"""


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """One data directory for all services of this file; nothing is left of them at the end."""
    adopt_orphans()
    before = snapshot()
    directory = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory)
    left = left_after(before)
    assert not left, "left behind: " + "; ".join(left)


def wait_for(service: RunningService, job_id: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The job as soon as `reached` says so."""
    deadline = time.monotonic() + 120
    with service.client() as client:
        for job in client.follow(job_id, seconds=0.1):
            if reached(job):
                return job
            if time.monotonic() > deadline:
                break
    raise TimeoutError(f"{job}\n{service.log()}")


def is_final(job: dict[str, Any]) -> bool:
    return job["status"] in {"succeeded", "failed", "cancelled"}


def is_training(job: dict[str, Any]) -> bool:
    return job["status"] == "running" and job["progress"] is not None and job["progress"]["epoch"] > 20


def submit(service: RunningService, workers: int) -> str:
    return str(service.json("job", "submit", "-", given=JOB % workers)["id"])


def actor_pid(service: RunningService, name: str) -> int:
    """A process of this service whose title has `name`."""
    for process in psutil.Process(service.process.pid).children(recursive=True):
        if name in " ".join(process.cmdline()):
            return process.pid
    raise LookupError(name)


def figures_of(service: RunningService, job_id: str) -> list[dict[str, Any]]:
    """Every recorded epoch, without what the clock says."""
    with service.client() as client:
        rows: list[dict[str, Any]] = []
        while page := client.metrics(job_id, after_epoch=rows[-1]["epoch"] if rows else 0, limit=1000)["data"]:
            rows += page
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_jobs_survive_everything_that_serves_them(directory: Path, free_port: Callable[[], int]) -> None:
    with running_service(directory, free_port, GRADSUM_WORKER_SLOTS="2") as service:
        assert service.gradsum("dataset", "add", str(DIGITS / "digits.csv"), "--name", "digits").returncode == 0
        undisturbed = wait_for(service, submit(service, 1), is_final)
        assert undisturbed["status"] == "succeeded", undisturbed

        disturbed = [submit(service, 2)]
        running = wait_for(service, disturbed[0], is_training)
        assert len({member["pid"] for member in running["workers"]}) == 2
        os.kill(running["workers"][1]["pid"], signal.SIGKILL)

        disturbed.append(submit(service, 1))
        running = wait_for(service, disturbed[1], is_training)
        os.kill(running["workers"][0]["pid"], signal.SIGKILL)

        disturbed.append(submit(service, 1))
        wait_for(service, disturbed[2], is_training)
        os.kill(actor_pid(service, "service.cli dispatcher"), signal.SIGKILL)
        wait_for(service, disturbed[2], lambda job: job["attempt"] >= 2)

        ended = [wait_for(service, job_id, is_final) for job_id in disturbed]
        assert [job["status"] for job in ended] == ["succeeded"] * 3, ended
        assert {job["result"]["weights_sha256"] for job in ended} == {undisturbed["result"]["weights_sha256"]}
        assert ended[0]["attempt"] == 1
        assert ended[0]["workers"][1]["replaced_at"] is not None
        assert ended[1]["attempt"] >= 2  # and once more if it still ran when the dispatcher was killed
        expected = figures_of(service, undisturbed["id"])
        assert [row["epoch"] for row in expected] == list(range(1, 2001))
        for job in ended:
            assert figures_of(service, job["id"]) == expected

        last = submit(service, 1)
        wait_for(service, last, is_training)
        psutil.Process(service.process.pid).send_signal(signal.SIGTERM)
        service.process.wait(40)

    with running_service(directory, free_port, GRADSUM_WORKER_SLOTS="2") as service:
        job = wait_for(service, last, is_final)
        assert (job["status"], job["attempt"]) == ("succeeded", 2)
        assert ("job_goes_on" in service.log(), "driver_lost" in service.log()) == (True, False)  # nothing was lost
        assert job["result"]["weights_sha256"] == undisturbed["result"]["weights_sha256"]
        assert service.json("job", "show", undisturbed["id"])["result"] == undisturbed["result"]
        assert "running" not in {row["status"] for row in service.json("job", "list")["data"]}
        last = submit(service, 1)
        wait_for(service, last, is_training)

    other_kernel = {"GRADSUM_WORKER_SLOTS": "2", "OPENBLAS_CORETYPE": "Nehalem"}
    with running_service(directory, free_port, **other_kernel) as service:
        waiting = wait_for(
            service, last, lambda job: (job["status_reason"] or {}).get("code") == "fingerprint_mismatch"
        )
        assert waiting["attempt"] == 1
        assert "Nehalem" in waiting["status_reason"]["message"]
        refused = service.gradsum("job", "resume", last)
        assert refused.returncode == 1
        assert "accept_other_numerics" in refused.stderr
        service.json("job", "resume", last, "--accept-other-numerics")
        job = wait_for(service, last, is_final)
        assert job["status"] == "succeeded"
        assert job["result"]["numerics"]["accepted_others"] == [undisturbed["result"]["numerics"]]
        assert "accept_other_numerics" in job["warnings"][-1]
