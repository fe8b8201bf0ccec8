"""The cluster that all of these tests share: built and started once from a clean copy; nothing of it is left."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.client import Client
from tests.compose.build_cache import cached, prune
from tests.compose.cluster import DOCKER, IMAGE, PROJECT, Cluster, clean_copy

EXAMPLES = ("digits", "abalone", "adult")
MOST_EPOCHS = 20_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Building, starting and restarting takes longer than other tests may."""
    for item in items:
        item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session", autouse=True)
def native_kernels() -> Iterator[None]:
    """The containers and this machine take the processor's own kernels, whatever this shell prefers."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(("OPENBLAS_", "NPY_"))]:
            environment.delenv(name)
        yield


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Cluster]:
    directory = clean_copy(tmp_path_factory.mktemp("clone"))
    cluster = Cluster(directory, free_port(), free_port())
    settings = {
        "GRADSUM_PORT": cluster.port,
        "GRADSUM_MLFLOW_PORT": cluster.mlflow_port,
        "GRADSUM_IMAGE": IMAGE,
        "GRADSUM_LIMIT_EPOCHS": MOST_EPOCHS,
    }
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    example = (directory / "deploy" / "env.example").read_text(encoding="utf-8")
    (directory / ".env").write_text(example + lines, encoding="utf-8")
    cluster.compose("down", "--volumes", "--timeout", "10")  # what a killed run has left
    cached_before = cached()
    try:
        cluster.up("--build")
        yield cluster
    finally:
        sys.stderr.write(cluster.compose("logs", "--no-color", "--tail", "60", check=False))  # seen where a test failed
        cluster.compose("down", "--volumes", "--timeout", "20")
        subprocess.run([DOCKER, "image", "rm", "--force", IMAGE], capture_output=True, check=False)
        prune(cached() - cached_before)  # of a build made elsewhere meanwhile too: it is cache


@pytest.fixture(scope="session")
def client(cluster: Cluster) -> Iterator[Client]:
    with cluster.client() as client:
        yield client


@pytest.fixture(scope="session")
def datasets(client: Client) -> dict[str, Any]:
    """The examples' datasets, ready, by name."""
    return {name: upload(client, name) for name in EXAMPLES}


def upload(client: Client, name: str) -> Any:
    file: Path = PROJECT / "deploy" / "examples" / name / f"{name}.csv"
    return client.add_dataset(file, name)
