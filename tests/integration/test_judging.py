"""The gate at work on the record, with the real child: a verdict and its champion are one change, made once."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.child import Child, Lost, Message
from service.data_check import problems
from service.gate import Promotion
from service.judging import Judging
from service.logs import Log
from service.paths import columns_directory, job_directory, model_directory
from service.settings import Settings
from service.store import datasets, jobs, models
from service.store.database import Database, migrate
from service.store.datasets import Dataset
from service.store.jobs import Job
from tests.gate.faults import shuffled_labels
from tests.gate.nights import ingested, trained
from tests.gate.planted import EXAMPLE_TABLES, data_of

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

    def dataset(self, text: str) -> Dataset:
        """A dataset that is ready."""
        self._number += 1
        directory, key = self._directory / f"night-{self._number}", f"content-{self._number}"
        kept = columns_directory(self.settings.storage, key)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(ingested(directory, text), kept)
        with self.database.write() as connection:
            dataset, _ = datasets.add(
                connection, id=datasets.new_id(), project="default", actor="anonymous", name="abalone", options={},
                source={}, sha256=key, content_key=key, bytes=1, tags={},
            )  # fmt: skip
            datasets.finish(connection, dataset.id, 1, 0, [])
        return dataset

    def job(self, text: str, **changes: Any) -> Job:
        """A job that succeeded and made a version of the model `nightly`."""
        dataset = self.dataset(text)
        directory = self._directory / f"training-{self._number}"
        made = trained(directory, columns_directory(self.settings.storage, dataset.content_key), ABALONE.body | changes)
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
                connection, project="default", actor="anonymous", name="nightly", job_id=job.id,
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

    def champion(self) -> int | None:
        with self.database.read() as connection:
            return models.champion_version(connection, "default", "nightly")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    """With a first version that serves."""
    made = Nights(tmp_path_factory.mktemp("judging"))
    first = made.verdict(made.job(clean()))
    assert (first["verdict"], first["code"], made.champion()) == ("promoted", "first", 1)
    yield made
    made.child.stop()
    made.database.close()


@pytest.fixture
def night(made: Nights) -> Nights:
    """Version 1 serves."""
    with made.database.write() as connection:
        models.promote(connection, "default", "nightly", 1, "for the next test")
    return made


def clean() -> str:
    return str(data_of(ABALONE).to_csv(index=False))


def test_a_good_model_takes_the_place_of_the_champion_and_says_so_everywhere(night: Nights) -> None:
    job = night.job(clean(), training={"epochs": 40, "seed": 1})
    verdict = night.verdict(job, Promotion(unless_worse_by=1.0, must_beat_linear=True))
    assert (verdict["verdict"], verdict["champion"]) == ("promoted", 1), verdict
    assert verdict["scores"]["challenger"].keys() == verdict["scores"]["linear"].keys() == {"test_loss", "test_r2"}
    with night.database.read() as connection:
        model = models.of_job(connection, job.id)
    assert model is not None
    assert model.verdict == verdict
    assert night.champion() == model.version


def test_a_model_of_shuffled_labels_leaves_the_champion_where_it_is(night: Nights) -> None:
    verdict = night.verdict(night.job(shuffled_labels(data_of(ABALONE), "rings")))
    assert (verdict["verdict"], verdict["code"]) == ("kept", "lost_skill")
    assert night.champion() == 1


def test_a_model_of_another_split_is_incomparable(night: Nights) -> None:
    verdict = night.verdict(night.job(clean(), split={"test": 0.2, "salt": "other"}))
    assert verdict["verdict"] == "incomparable"
    assert "salt" in verdict["reason"]
    assert night.champion() == 1


def test_by_hand_it_waits_until_somebody_promotes_it(night: Nights) -> None:
    job = night.job(clean())
    assert night.verdict(job, Promotion(mode="manual", unless_worse_by=1.0))["verdict"] == "waiting"
    assert night.champion() == 1
    with night.database.write() as connection:
        model = models.of_job(connection, job.id)
        assert model is not None
        models.promote_by_hand(connection, model, "looks good")
    assert night.verdict(job)["verdict"] == "promoted"
    assert night.champion() == model.version


def test_a_champion_that_moved_meanwhile_is_compared_anew(night: Nights) -> None:
    job = night.job(clean())
    with night.database.read() as connection:
        model = models.of_job(connection, job.id)
    assert model is not None
    night.wait(lambda: night.child.ready is not None)
    night.judging.judge(job, Promotion(unless_worse_by=1.0))
    with night.database.write() as connection:
        models.promote(connection, "default", "nightly", 2, "by hand, while it is scored")
    verdict = night.verdict(job, Promotion(unless_worse_by=1.0))
    assert (verdict["verdict"], verdict["champion"]) == ("promoted", 2)
    assert night.champion() == model.version


def test_a_child_that_dies_costs_time_and_no_verdict(night: Nights) -> None:
    job = night.job(clean())
    night.wait(lambda: night.child.ready is not None)
    night.judging.judge(job, Promotion(unless_worse_by=1.0))
    night.child.restart("the test wants it")
    assert night.verdict(job, Promotion(unless_worse_by=1.0))["verdict"] == "promoted"


def test_new_data_is_compared_with_what_is_kept_beside_the_champion(night: Nights) -> None:
    found: list[Message | Lost] = []
    dataset = night.dataset(clean().replace("length", "width"))
    assert not night.judging.measure("nobody", "default", dataset, found.append)
    night.wait(lambda: night.child.ready is not None)
    assert night.judging.measure("nightly", "default", dataset, found.append)
    night.wait(lambda: bool(found))
    [answer] = found
    assert not isinstance(answer, Lost)
    [finding] = problems({"same_columns": True}, answer["ok"])
    assert finding.message == "The columns are not those of the champion's data; gone: 'length'; new: 'width'."
