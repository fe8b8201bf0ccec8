"""A real API on a free port over a real record, for tests that speak HTTP. No dispatcher runs: tests prepare data.

And `service`, all of `gradsum serve`.
"""

import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
import sqlalchemy
import uvicorn

from service import ingest
from service.app import create_app
from service.facts import data_limits_of
from service.paths import columns_directory, upload_path
from service.processes import adopt_orphans
from service.settings import Settings
from service.store import datasets
from service.store.database import Database, migrate
from service.store.tables import metadata
from tests.leaks import SPARED, left_after, snapshot
from tests.postgres import PostgresServer
from tests.running_service import DIGITS, RunningService, running_service


class Api(NamedTuple):
    """A running API and what lies under it."""

    settings: Settings
    database: Database
    http: httpx2.Client

    def upload(self, name: str, text: str) -> dict[str, Any]:
        """The dataset as the API answers, still to be read."""
        answer = self.http.post("/v1/datasets", files={"file": (f"{name}.csv", text)}, data={"name": name})
        assert answer.status_code == 201, answer.text
        dataset: dict[str, Any] = answer.json()
        return dataset

    def prepare(self, dataset_id: str) -> None:
        """Do the dispatcher's part for an upload."""
        with self.database.read() as connection:
            dataset = datasets.get(connection, dataset_id)
        assert dataset is not None
        storage, limits = self.settings.storage, data_limits_of(self.settings)
        upload = upload_path(storage, dataset_id)
        read = ingest.ingest_file(upload, dataset.options, columns_directory(storage, dataset.content_key), limits)
        with self.database.write() as connection:
            datasets.finish(connection, dataset_id, read["rows"], read["rejected_rows"], read["columns"])
        upload.unlink()

    def ready_dataset(self, name: str, text: str) -> str:
        """The id of a dataset that jobs can use."""
        dataset_id = str(self.upload(name, text)["id"])
        self.prepare(dataset_id)
        return dataset_id

    def left(self) -> tuple[list[str], list[str]]:
        """Every row of the record and every file of the storage."""
        engine = sqlalchemy.create_engine(self.settings.database_url)
        with engine.connect() as connection:
            tables = {table.name: connection.execute(table.select()) for table in metadata.sorted_tables}
            rows = sorted(f"{name} {row}" for name, found in tables.items() for row in found)
        engine.dispose()
        storage = self.settings.storage
        return rows, sorted(str(path.relative_to(storage)) for path in storage.rglob("*"))


@contextlib.contextmanager
def running_api(settings: Settings) -> Iterator[Api]:
    """The API with these settings, over a database that is migrated."""
    migrate(settings.database_url)
    with contextlib.closing(Database(settings.database_url)) as database:
        config = uvicorn.Config(create_app(settings, database), port=0, log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:
                yield Api(settings, database, http)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API with small limits, over SQLite; a file's tests run over others where it names `DATABASES`."""
    limits: dict[str, Any] = {"limit_upload_bytes": 200_000, "limit_predict_rows": 1000, "worker_slots": 2}
    directory: Path = tmp_path_factory.mktemp("api")
    if getattr(request, "param", "sqlite") == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        limits["database_url"] = server.url
    with running_api(Settings(data_dir=directory, **limits)) as running:
        yield running


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a file that names `DATABASES` over each of them."""
    databases = getattr(metafunc.module, "DATABASES", None)
    if databases and "api" in metafunc.fixturenames:
        metafunc.parametrize("api", databases, indirect=True, scope="module")


@pytest.fixture(scope="session")
def service(free_port: Callable[[], int], pytestconfig: pytest.Config) -> Iterator[RunningService]:
    """The whole service, shared by all tests that ask for it, so mind their names; nothing of it is left at the end.

    To start one takes 13 seconds of processor time.
    """
    adopt_orphans()
    before = snapshot()
    directory = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))
    roots = f"{DIGITS},{directory / 'incoming'}"
    with running_service(directory, free_port, GRADSUM_WORKER_SLOTS="2", GRADSUM_IMPORT_ROOTS=roots) as running:
        pytestconfig.stash[SPARED] = running.process.pid
        yield running
    shutil.rmtree(directory)
    left = left_after(before)
    assert not left, "left behind: " + "; ".join(left)
