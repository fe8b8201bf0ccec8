"""Nights on a record: jobs are trained here and recorded as the dispatcher would, and the real child judges them."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from service.child import Child
from service.gate import Promotion
from service.judging import Judging
from service.logs import Log
from service.paths import columns_directory, job_directory, model_directory
from service.settings import Settings
from service.store import datasets, jobs, models
from service.store.database import Database, migrate
from service.store.datasets import Dataset
from service.store.jobs import Job
from tests.gate.nights import ingested, trained
from tests.gate.planted import EXAMPLE_TABLES

ABALONE = EXAMPLE_TABLES["abalone"]
PATIENCE_SECONDS = 120


class Nights:
    """A service without a dispatcher: jobs are trained here, and recorded as it would record them."""

    def __init__(self, directory: Path) -> None:
        self.settings = Settings(data_dir=directory / "data")
        migrate(self.settings.database_url)
        self.database = Database(self.settings.database_url)
        log = Log("test")
        self.child = Child("service.prepare", log)
        self.judging = Judging(self.database, self.settings, self.child, log)
        self._directory, self._number = directory, 0

    def dataset(self, text: str, name: str = "abalone") -> Dataset:
        """A dataset that is ready."""
        self._number += 1
        directory, key = self._directory / f"night-{self._number}", f"content-{self._number}"
        kept = columns_directory(self.settings.storage, key)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(ingested(directory, text), kept)
        with self.database.write() as connection:
            dataset, _ = datasets.add(
                connection, id=datasets.new_id(), project="default", actor="anonymous", name=name, options={},
                source={}, sha256=key, content_key=key, bytes=1, tags={},
            )  # fmt: skip
            described = json.loads((kept / "columns.json").read_bytes())
            datasets.finish(connection, dataset.id, described["rows"], 0, described["columns"])
            finished = datasets.get(connection, dataset.id)
        assert finished is not None
        return finished

    def job(self, text: str, model: str = "nightly", **changes: Any) -> Job:
        """A job that succeeded and made a version of the model."""
        dataset = self.dataset(text)
        directory = self._directory / f"training-{self._number}"
        columns = columns_directory(self.settings.storage, dataset.content_key)
        made = trained(directory, columns, ABALONE.body | changes)
        with self.database.write() as connection:
            spec = made.candidate.spec | {"dataset": dataset.id}
            job = jobs.add(
                connection, project="default", actor="anonymous", dataset_id=dataset.id, requested={}, spec=spec,
                resolved=True, warnings=[],
            )  # fmt: skip
            jobs.move(connection, job, "starting", attempt=1, matrix_key=directory.name)
            jobs.move(connection, jobs.required(connection, job.id), "running")
            jobs.move(connection, jobs.required(connection, job.id), "succeeded", result={})
            job = jobs.required(connection, job.id)
            models.add(
                connection, project="default", actor="anonymous", name=model, job_id=job.id,
                directory=str(model_directory(Path(), job)), tags={},
            )  # fmt: skip
        attempt = job_directory(self.settings.storage, job.id) / "attempts" / "1"
        attempt.mkdir(parents=True)
        shutil.move(made.candidate.model_directory, attempt / "model")
        (self.settings.storage / "matrices").mkdir(exist_ok=True)
        shutil.move(made.matrix, self.settings.storage / "matrices" / directory.name)
        return job

    def verdict(self, job: Job, promotion: Promotion | None = None) -> dict[str, Any]:
        """What is decided about the job's model."""
        found = job

        def is_decided() -> bool:
            nonlocal found
            self.judging.judge(found, promotion or Promotion())
            with self.database.read() as connection:
                found = jobs.required(connection, job.id)
            return found.verdict is not None

        self.wait(is_decided)
        assert found.verdict is not None
        return found.verdict

    def wait(self, is_done: Callable[[], bool]) -> None:
        """Do the dispatcher's part until it is."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not is_done():
            assert time.monotonic() < until
            self.child.pump()
            time.sleep(0.02)

    def champion(self, model: str = "nightly") -> int | None:
        """The version that serves."""
        with self.database.read() as connection:
            return models.champion_version(connection, "default", model)

    def close(self) -> None:
        """End the child, and leave the record."""
        self.child.stop()
        self.database.close()
