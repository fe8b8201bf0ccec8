"""A real `gradsum serve` in a directory of its own, on free ports, and `gradsum` commands against it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from service.client import Client
from service.connection import ClientError
from service.processes import LIBC, PR_SET_PDEATHSIG

PROJECT = Path(__file__).parent.parent
DIGITS = PROJECT / "deploy" / "examples" / "digits"
START_SECONDS = 120.0
STOP_SECONDS = 40.0
COMMAND_SECONDS = 120.0
"""How long the job of an example may run on two cores: the slowest took 14 s beside a dozen busy processes."""


class RunningService(NamedTuple):
    """Where a service answers, and its files."""

    url: str
    mlflow_url: str
    data_dir: Path
    process: subprocess.Popen[bytes]
    token: str | None = None

    def client(self) -> Client:
        """A client of it."""
        return Client(self.url, self.token)

    def gradsum(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """What the command line does and says, with this service in GRADSUM_URL, and its token in GRADSUM_TOKEN."""
        return gradsum(*arguments, url=self.url, given=given, token=self.token)

    def json(self, *arguments: str, given: str | None = None) -> dict[str, Any]:
        """The answer of a command that has to succeed."""
        done = self.gradsum(*arguments, "--json", given=given)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def log(self) -> str:
        """What the service said so far."""
        return (self.data_dir / "serve.log").read_text(errors="replace")


def seconds_of(job: dict[str, Any]) -> float:
    """How long a job that has ended ran, from its start to its end: of that, a test's own waiting is no part."""
    began, ended = (datetime.fromisoformat(job[at]) for at in ("started_at", "finished_at"))
    return (ended - began).total_seconds()


def ends_with_us() -> None:
    """Called in a new process: it gets SIGTERM when the test process dies (Linux), however that comes."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def gradsum(
    *arguments: str, url: str, given: str | None = None, token: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `gradsum` in the project's directory."""
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments],
        cwd=PROJECT,
        env={**os.environ, "GRADSUM_URL": url, "GRADSUM_TOKEN": token or ""},
        input=given,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


@contextmanager
def running_service(
    data_dir: Path, free_port: Callable[[], int], token: str | None = None, **settings: str
) -> Iterator[RunningService]:
    """A service that can run jobs, from here to the end of the block; `settings` like `GRADSUM_WORKER_SLOTS="2"`."""
    port, mlflow_port = free_port(), free_port()
    places = {"GRADSUM_DATA_DIR": str(data_dir), "GRADSUM_PORT": str(port), "GRADSUM_MLFLOW_PORT": str(mlflow_port)}
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "serve"],
            cwd=PROJECT,
            env={**os.environ, **places, **settings},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=ends_with_us,  # noqa: PLW1509 - it makes one system call
        )
    service = RunningService(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{mlflow_port}", data_dir, process, token)
    try:
        _wait_until_ready(service)
        yield service
    finally:
        process.terminate()
        try:
            assert process.wait(STOP_SECONDS) == 0, service.log()
        finally:
            process.kill()
            process.wait()


def _wait_until_ready(service: RunningService) -> None:
    """Return once the service has a cluster and MLflow."""
    deadline = time.monotonic() + START_SECONDS
    wanted = {"dispatcher", "cluster", "mlflow"}
    with service.client() as client:
        while wanted - _working(client):
            assert service.process.poll() is None, service.log()
            assert time.monotonic() < deadline, service.log()
            time.sleep(0.2)


def _working(client: Client) -> set[str]:
    try:
        parts = client.ready()["components"]
    except ClientError:
        return set()
    return {name for name, part in parts.items() if part["status"] == "ok"}
