"""The MLflow server that `serve` starts: whose pages may write to it."""

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from service.mlflow_server import mlflow_server
from tests.running_service import ends_with_us

PUBLIC = "https://mlflow.example.org:8443"
START_SECONDS = 120.0


def search(port: int, headers: dict[str, str]) -> int:
    """The status of what a page of MLflow does first."""
    address = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/experiments/search"
    return httpx2.post(address, json={"max_results": 1}, headers=headers, trust_env=False, timeout=30).status_code


def test_pages_at_the_public_address_may_write_and_others_may_not(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    program = mlflow_server(tmp_path, port, f"{PUBLIC}/behind/a/proxy")
    environment = {**os.environ, **program.environment}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            program.command,
            env=environment,
            stdout=log,
            stderr=log,
            preexec_fn=ends_with_us,  # noqa: PLW1509 - it makes one system call
        )
    try:
        wait_for(port)
        assert search(port, {"Origin": PUBLIC, "Host": "mlflow.example.org:8443"}) == 200
        assert search(port, {"Origin": f"http://127.0.0.1:{port}"}) == 200
        assert search(port, {"Origin": "https://evil.example"}) == 403
    finally:
        server.terminate()
        server.wait(30)


def test_without_a_public_address_none_is_let_in(tmp_path: Path) -> None:
    assert "--cors-allowed-origins" not in mlflow_server(tmp_path, 5000, "").command


def wait_for(port: int) -> None:
    """Return once the server answers."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=2).raise_for_status()
        except httpx2.HTTPError:
            if time.monotonic() > deadline:
                pytest.fail("MLflow's server does not answer.")
            time.sleep(0.2)
        else:
            return
