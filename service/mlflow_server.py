"""How `serve` starts a local MLflow server: SQLite and files in the data directory, one worker, no telemetry."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

from service.processes import REPORTING, Program

HOST = "127.0.0.1"

CLIENT_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the tracker repeats by itself; MLflow's client would block for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
"""What a process that talks to MLflow runs with."""


def mlflow_server(data_dir: Path, port: int, public_url: str) -> Program:
    """The server on 127.0.0.1:`port`; it also answers to browsers that use `public_url`, and lets its pages write."""
    directory = data_dir / "mlflow"
    directory.mkdir(exist_ok=True)
    public = urlsplit(public_url)
    hosts = dict.fromkeys([f"{HOST}:{port}", f"localhost:{port}", public.netloc])
    origins = ("--cors-allowed-origins", f"{public.scheme}://{public.netloc}") if public.netloc else ()
    command = [
        *(sys.executable, "-W", "ignore", "-m", "mlflow", "server", "--host", HOST, "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{directory}/mlflow.sqlite"),
        *("--artifacts-destination", str(directory / "artifacts"), "--workers", "1"),
        *("--allowed-hosts", ",".join(host for host in hosts if host), *origins),
        *("--uvicorn-opts", "--log-level warning"),
    ]
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return Program("mlflow", command, environment, data_dir / "logs" / "mlflow.log", niceness=REPORTING, stop_rank=1)
