"""Gradsum as it runs: a real service with tracker and MLflow, jobs over HTTP, figures from the jobs' record."""

import time
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from service.client import Client
from tests.benchmarks.cases import TARGET, Case
from tests.benchmarks.subject import SubjectError
from tests.running_service import RunningService

READING_SECONDS = 600.0
JOB_SECONDS = 900.0
POLL_SECONDS = 0.2
WARM_UP = 0.1
"""The part of a job's epochs that is not counted, at least one."""
QUIET_SECONDS, QUIET_SHARE, QUIET_DEADLINE_SECONDS = 1.0, 0.1, 60.0
"""The service counts as quiet when for a second it has used less than a tenth of a core."""
PAGE = 1000


class Run(NamedTuple):
    """One job: what its epochs took, and how it was run."""

    seconds: list[float]
    job: dict[str, Any]

    @property
    def span_seconds(self) -> float | None:
        """From the first look at which the job was running to its end, in the record: start and end of training too."""
        at = {change["status"]: time_of(change["at"]) for change in self.job["transitions"]}
        return at["succeeded"] - at["running"] if at.keys() >= {"running", "succeeded"} else None


class Gradsum:
    """Sends jobs to a running service."""

    def __init__(self, service: RunningService) -> None:
        self._service = service
        self._process = psutil.Process(service.process.pid)

    def upload(self, name: str, file: Path) -> None:
        """Send the rows and wait until they are read."""
        with self._service.client() as client:
            dataset = client.add_dataset(file, name)
            deadline = time.monotonic() + READING_SECONDS
            while dataset["status"] == "preparing":
                self._go_on(deadline, f"dataset {name}")
                dataset = client.dataset(dataset["id"])
            if dataset["status"] != "ready":
                raise SubjectError(f"The dataset {name} can't be used: {dataset['error']['message']}")

    def run(self, case: Case) -> Run:
        """Train once and wait until MLflow has it all and the service is quiet again."""
        with self._service.client() as client:
            job = client.submit_job(job_of(case))
            deadline = time.monotonic() + JOB_SECONDS
            while job["status"] not in {"succeeded", "failed", "cancelled"} or job["mlflow"]["status"] != "current":
                if job["status"] in {"failed", "cancelled"}:
                    raise SubjectError(
                        f"Case {case.name}: the job {job['status']}: {(job['error'] or {}).get('message')}"
                    )
                self._go_on(deadline, f"the job of case {case.name}")
                job = client.job(job["id"])
            seconds = epoch_seconds(client, job["id"])
        self._wait_until_quiet()
        return Run(seconds[max(1, int(WARM_UP * len(seconds))) :], job)

    def cpu_seconds(self) -> float:
        """What all processes of the service that live now have used of the cores."""
        total = 0.0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                used = process.cpu_times()
            except psutil.Error:
                continue
            total += used.user + used.system
        return total

    def _wait_until_quiet(self) -> None:
        deadline = time.monotonic() + QUIET_DEADLINE_SECONDS
        share = 1.0
        while share > QUIET_SHARE and time.monotonic() < deadline:
            before = self.cpu_seconds()
            time.sleep(QUIET_SECONDS)
            share = (self.cpu_seconds() - before) / QUIET_SECONDS

    def _go_on(self, deadline: float, what: str) -> None:
        """Wait a little; SubjectError where it makes no sense."""
        if self._service.process.poll() is not None:
            raise SubjectError(f"The service ended while {what} was under way.\n{self._service.log()[-2000:]}")
        if time.monotonic() > deadline:
            raise SubjectError(f"The service is not done with {what} in time.\n{self._service.log()[-2000:]}")
        time.sleep(POLL_SECONDS)


def job_of(case: Case) -> dict[str, Any]:
    """The request: all rows train, in file order, and the service chooses workers and shards."""
    return {
        "name": f"benchmark-{case.name}",
        "preset": "textbook",
        "dataset": case.rows_name,
        "target": TARGET,
        "task": case.task,
        "split": {"validation": 0.0, "test": 0.0, "by": "row"},
        "preprocessing": {"standardize": True},
        "network": {
            "hidden_layers": list(case.sizes[1:-1]),
            "activation": case.activation,
            "output_activation": case.output_activation,
        },
        "training": {
            "epochs": case.job_epochs,
            "learning_rate": case.learning_rate,
            "loss": "squared_error",
            "optimizer": {"name": "gradient_descent"},
            "dtype": "float32",
        },
        "resources": {"workers": "auto"},
    }


def epoch_seconds(client: Client, job_id: str) -> list[float]:
    """`seconds` of every epoch, from the job's recorded figures."""
    seconds: list[float] = []
    more = True
    while more:
        page = client.metrics(job_id, after_epoch=len(seconds), limit=PAGE)
        seconds += [float(epoch["seconds"]) for epoch in page["data"]]
        more = bool(page["has_more"])
    return seconds


def time_of(text: str) -> float:
    """Seconds since 1970 of a time as the API writes it."""
    return datetime.fromisoformat(text).timestamp()
