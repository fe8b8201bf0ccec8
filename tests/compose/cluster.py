"""The cluster of docker-compose.yml from a clean copy of the project, under a name and on ports of its own."""

import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from service.client import Client
from service.connection import ApiError, ClientError, Unreachable

PROJECT = Path(__file__).parents[2]
DOCKER = shutil.which("docker") or "docker"
COMMAND_SECONDS = 900.0
JOB_SECONDS = 240.0
SERVICE_UNAVAILABLE = 503
FINAL = {"succeeded", "failed", "cancelled"}
NAME = "gradsum-test"
IMAGE = "gradsum-test:latest"


class Cluster(NamedTuple):
    """Where the copy lies, and the ports that are published."""

    directory: Path
    port: int
    mlflow_port: int

    @property
    def url(self) -> str:
        """The API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def mlflow_url(self) -> str:
        """MLflow's page."""
        return f"http://127.0.0.1:{self.mlflow_port}"

    def compose(self, *arguments: str, check: bool = True) -> str:
        """What `docker compose` says on stdout."""
        done = subprocess.run(
            [DOCKER, "compose", *arguments],
            cwd=self.directory,
            env={**os.environ, "COMPOSE_PROJECT_NAME": NAME},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0 or not check, f"docker compose {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def up(self, *arguments: str) -> None:
        """Start what does not run, and wait until all of it is healthy."""
        self.compose("up", "--detach", "--wait", "--wait-timeout", "240", *arguments)

    def inside(self, service: str, *command: str, check: bool = True) -> str:
        """What a command says in a container of the service."""
        return self.compose("exec", "-T", service, *command, check=check)

    def containers(self) -> list[dict[str, Any]]:
        """All containers, also those that have ended."""
        return [json.loads(line) for line in self.compose("ps", "--all", "--format", "json").splitlines()]

    def client(self) -> Client:
        """A client that has the cluster's token."""
        return Client(self.url, self.inside("api", "cat", "/secrets/api/token").strip())

    def mlflow_password(self) -> str:
        """That of MLflow's account `gradsum`."""
        return self.inside("mlflow", "cat", "/secrets/mlflow/password").strip()


def clean_copy(directory: Path) -> Path:
    """What a clone of the project holds: what is committed, and nothing else that lies about here."""
    command = ["git", "archive", "HEAD"]
    archive = subprocess.run(command, cwd=PROJECT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(directory, filter="data")
    return directory


def wait_for(client: Client, job_id: str, statuses: set[str], seconds: float = JOB_SECONDS) -> dict[str, Any]:
    """The job once it has one of the statuses; what is unreachable for a while is asked again."""
    deadline = time.monotonic() + seconds
    job: dict[str, Any] = {}
    while time.monotonic() < deadline:
        try:
            job = client.job(job_id)
        except ClientError as error:
            if not is_passing(error):
                raise
            time.sleep(0.5)
            continue
        if job["status"] in statuses:
            return job
        assert job["status"] not in FINAL, job
        time.sleep(0.2)
    raise TimeoutError(job)


def is_passing(error: ClientError) -> bool:
    """Whether a service that restarts may answer so for a while."""
    return isinstance(error, Unreachable) or (isinstance(error, ApiError) and error.status == SERVICE_UNAVAILABLE)


def run(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    """The job of this body, once it has succeeded."""
    return wait_for(client, client.submit_job(body)["id"], {"succeeded"})


def tracked(client: Client, seconds: float = 90.0) -> None:
    """Return once MLflow knows everything of all jobs."""
    deadline = time.monotonic() + seconds
    while any(job["mlflow"]["status"] != "current" for job in client.jobs()["data"] if job["status"] in FINAL):
        assert time.monotonic() < deadline, client.ready()
        time.sleep(0.5)
