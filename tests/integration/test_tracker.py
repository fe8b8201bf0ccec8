"""The tracker against a real MLflow server: what is in SQL gets there, whatever dies meanwhile."""

import importlib.metadata
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from packaging.requirements import Requirement

from service import ingest, tracker
from service.paths import columns_directory, model_directory
from service.settings import Settings
from service.store import components, datasets, jobs, metrics, models, tracking
from service.store.database import Database, migrate, now
from service.store.jobs import Job
from service.tracker import words
from service.tracker.points import points
from service.tracker.shipped_code import write_package
from tests.running_service import ends_with_us
from workers.metrics import MOST_CLASSES_SHOWN, class_report
from workers.model import columns_from_arrays, columns_from_rows, load, predict, save
from workers.network import Network, n_parameters
from workers.preprocessing import CategoryFeature, NumberFeature, Preprocessing
from workers.resolve import DatasetFacts, Limits, resolve
from workers.spec import parse

LIMITS = Limits(parameters=10**9, epochs=10**7, shards=4096, workers=1024)
PATIENCE_SECONDS = 120.0
CSV = "age,height,city,species\n" + "".join(
    f"{20 + place % 50},{150 + place * 0.37},{('Oslo', 'Rom')[place % 2]},{('cat', 'dog', 'eel')[place % 3]}\n"
    for place in range(60)
)


class MlflowServer:
    """A real server on a port of its own, that can be killed and started again."""

    def __init__(self, directory: Path, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._directory = directory
        self._command = [
            *(sys.executable, "-W", "ignore", "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", f"sqlite:///{directory}/mlflow.sqlite", "--workers", "1"),
            *("--artifacts-destination", str(directory / "artifacts"), "--uvicorn-opts", "--log-level warning"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self._directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=ends_with_us,  # noqa: PLW1509 - it makes one system call
            )
        until(self._answers, "MLflow's server")

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.address}/health", timeout=2).status_code == httpx2.codes.OK
        except httpx2.HTTPError:
            return False


def run_tracker(settings: Settings, log: Path) -> None:
    """A tracker process of its own, until it is killed."""
    with log.open("a") as file:
        os.dup2(file.fileno(), 2)
    tracker.run(settings, Database(settings.database_url), threading.Event())


class Record:
    """SQL and storage as the other processes leave them, the MLflow that follows, and the tracker between them."""

    def __init__(self, directory: Path, server: MlflowServer) -> None:
        self.directory = directory
        self.server = server
        self.settings = Settings(data_dir=directory, mlflow_tracking_uri=server.address)
        self.storage = self.settings.storage
        migrate(self.settings.database_url)
        self.database = Database(self.settings.database_url)
        self.client = MlflowClient(server.address, server.address)
        self.log = directory / "tracker.log"
        self.dataset, self.later = self._ready_dataset("people"), self._ready_dataset("later-people")
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["service.tracker.loop"])
        self._tracker: Any = None

    def start_tracker(self) -> None:
        self._tracker = self._context.Process(target=run_tracker, args=(self.settings, self.log), daemon=True)
        self._tracker.start()

    def kill_tracker(self) -> None:
        if self._tracker is not None:
            self._tracker.kill()
            self._tracker.join()
            self._tracker = None

    def running_job(self, model: str | None = None, **body: Any) -> Job:
        """A job that has just begun to run."""
        request = {"dataset": "people", "target": "species", "tags": {"team/name": "blue=1"}, **body}
        request.setdefault("training", {"epochs": 40, "optimizer": "gradient_descent", "learning_rate": 0.1})
        request["tracking"] = {**request.get("tracking", {}), "registered_model": model}
        request["name"] = request.get("name") or f"job {random.random()}"
        request["resources"] = {"workers": 1, "shards": 8}  # as a plan has them
        facts = DatasetFacts(self.dataset.id, "people", self.dataset.rows or 0, self.dataset.columns or [])
        validation = facts._replace(id=self.later.id) if "validation_dataset" in body else None
        spec = resolve(parse(request), facts, LIMITS, validation).spec.model_dump()
        owner: dict[str, Any] = {"project": "default", "actor": "anonymous"}
        with self.database.write() as connection:
            job = jobs.add(
                connection, dataset_id=self.dataset.id, requested={}, spec=spec, resolved=True, warnings=[], **owner
            )
            jobs.move(connection, job, "starting", started_at=now(), attempt=1)
            jobs.move(connection, jobs.required(connection, job.id), "running")
            return jobs.required(connection, job.id)

    def train(self, job: Job, first: int, last: int) -> None:
        """A second of training: the epochs `first` to `last`, in one chunk."""
        epochs = list(range(first, last + 1))
        columns: dict[str, list[Any]] = {"epoch": epochs, "loss": [1 / e for e in epochs]}
        columns["validation_loss"] = [1.5 / e if e % 2 == 0 else None for e in epochs]
        columns |= {"weight_norm/layer_0": [e / 7 for e in epochs], "seconds": [0.001] * len(epochs)}
        with self.database.write() as connection:
            metrics.append(connection, job.id, columns)

    def succeed(self, job: Job, *, write_model: bool = True, **report: Any) -> Job:
        """The end of a job, with a model of random weights, and what else its result says."""
        epochs = job.spec["training"]["epochs"]
        if write_model:
            self._write_model(job)
        result = {"epochs": epochs, "best_epoch": 7, "loss": 0.125, "weights_sha256": "f" * 64, "stopped_by": "epochs"}
        result |= report
        name = job.spec["tracking"]["registered_model"]
        with self.database.write() as connection:
            jobs.move(connection, job, "succeeded", result=result)
            if name is not None:
                owner = {"project": job.project, "actor": job.actor}
                models.add(connection, name=name, job_id=job.id, directory="", tags={}, **owner)
            return jobs.required(connection, job.id)

    def cursor(self, job: Job) -> tracking.Tracking:
        with self.database.read() as connection:
            return tracking.get(connection, job.id)

    def wait_until_in_mlflow(self, job: Job) -> tracking.Tracking:
        until(lambda: self.cursor(job).finished, f"{job.id} in MLflow ({self.log})")
        return self.cursor(job)

    def mlflow_status(self) -> str:
        with self.database.read() as connection:
            return next((part.status for part in components.listed(connection) if part.name == "mlflow"), "unknown")

    def steps(self, run_id: str | None, name: str) -> list[int]:
        return [metric.step for metric in self.client.get_metric_history(run_id, name)]

    def runs_of(self, job: Job) -> list[Any]:
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return list(self.client.search_runs(experiments, f"tags.`gradsum.job_id` = '{job.id}'"))

    def fail(self, job: Job, **error: Any) -> Job:
        """The end of a job that diverged, with the weights of before."""
        self._write_model(job)
        with self.database.write() as connection:
            jobs.move(connection, job, "failed", error={"code": "diverged", "message": "The loss grew.", **error})
            return jobs.required(connection, job.id)

    def _ready_dataset(self, name: str) -> datasets.Dataset:
        upload, key, dataset_id = self.directory / "people.csv", "a" * 64, datasets.new_id()
        upload.write_text(CSV)
        read = ingest.ingest_file(upload, {}, columns_directory(self.storage, key), {"columns": 100})
        described: dict[str, Any] = {"options": {}, "source": {}, "sha256": "b" * 64, "content_key": key, "tags": {}}
        owner: dict[str, Any] = {"project": "default", "actor": "anonymous"}
        with self.database.write() as connection:
            datasets.add(connection, id=dataset_id, name=name, bytes=len(CSV), **described, **owner)
            datasets.finish(connection, dataset_id, read["rows"], 0, read["columns"])
            found = datasets.get(connection, dataset_id)
        assert found is not None
        return found

    def _write_model(self, job: Job) -> None:
        features = (NumberFeature("age", 41.0, 9.7), NumberFeature("height", 161.3, 6.1))
        preprocessing = Preprocessing((*features, CategoryFeature("city", ("Oslo", "Rom"))))
        if job.spec["preprocessing"]["missing_values"] == "mean":
            fills = zip(preprocessing.features, (33.5, 170.0, "Rom"), strict=True)
            preprocessing = Preprocessing(tuple(feature._replace(fill=fill) for feature, fill in fills), ("", "?"))
        network = Network((preprocessing.n_inputs, 6, 3), "tanh", "softmax", "cross_entropy")
        flat = np.random.default_rng(job.sequence).standard_normal(n_parameters(network)).astype(np.float32)
        save(model_directory(self.storage, job), network, flat, preprocessing, ["species"], ["cat", "dog", "eel"])


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Record]:
    directory: Path = tmp_path_factory.mktemp("tracker")
    server = MlflowServer(directory, free_port())
    with pytest.MonkeyPatch.context() as patch:
        for name, value in tracker.ENVIRONMENT.items():
            patch.setenv(name, value)
        try:
            server.start()
            made = Record(directory, server)
            made.start_tracker()
            yield made
            made.kill_tracker()
            made.database.close()
            forkserver._forkserver._stop()
            resource_tracker._resource_tracker._stop()
        finally:
            server.kill()


def test_a_job_is_whole_in_mlflow(record: Record) -> None:
    job = record.running_job("whole", name="whole")
    record.train(job, 1, 25)
    until(lambda: record.cursor(job).last_epoch == 25, "the first points")
    first = record.cursor(job)
    assert record.client.get_run(first.run_id).info.status == "RUNNING"
    assert first.run_url == f"{record.server.address}/#/experiments/{first.experiment_id}/runs/{first.run_id}"
    record.train(job, 26, 40)
    cursor = record.wait_until_in_mlflow(record.succeed(job))
    run = record.client.get_run(cursor.run_id)
    assert record.client.get_experiment(cursor.experiment_id).name == "whole"
    assert (run.info.status, run.info.run_name) == ("FINISHED", "whole")
    assert run.data.params["training.epochs"] == "40"
    assert run.data.params["network.hidden_layers"] == json.dumps(job.spec["network"]["hidden_layers"])
    assert run.data.tags["team_name"] == "blue=1"
    assert run.data.tags["gradsum.weights_sha256"] == "f" * 64
    assert run.data.metrics["result/loss"] == 0.125
    assert [given.dataset.name for given in run.inputs.dataset_inputs] == ["people@1"]
    assert record.steps(cursor.run_id, "loss") == list(range(1, 41))
    assert record.steps(cursor.run_id, "validation_loss") == list(range(2, 41, 2))
    assert {"weight_norm/layer_0", "epoch_seconds"} <= set(run.data.metrics)
    assert (cursor.model_version, cursor.error, record.mlflow_status()) == ("1", None, "ok")


def test_the_files_of_a_run_hold_every_epoch_the_spec_and_the_weights(record: Record) -> None:
    job = record.running_job(tracking={"max_points": 2})
    record.train(job, 1, 40)
    run_id = record.wait_until_in_mlflow(record.succeed(job)).run_id
    assert record.steps(run_id, "loss") == [1, 7, 20, 40]
    there = Path(record.client.download_artifacts(run_id, ""))
    assert json.loads((there / "spec.json").read_text()) == words.without_addresses(job.spec)
    table = pd.read_csv(there / "loss_curve.csv", float_precision="round_trip")
    assert table["epoch"].tolist() == list(range(1, 41))
    assert table["loss"].tolist() == [1 / epoch for epoch in range(1, 41)]
    assert (there / "plots" / "loss.png").read_bytes().startswith(b"\x89PNG")
    weights = model_directory(record.storage, job) / "weights.npz"
    assert (there / "weights" / "epoch-000040.npz").read_bytes() == weights.read_bytes()


def test_both_datasets_are_inputs_of_the_run(record: Record) -> None:
    job = record.running_job(validation_dataset="later-people")
    record.train(job, 1, 2)
    run = record.client.get_run(record.wait_until_in_mlflow(record.succeed(job)).run_id)
    inputs = {given.tags[0].value: given.dataset for given in run.inputs.dataset_inputs}
    assert {purpose: dataset.name for purpose, dataset in inputs.items()} == {
        "training": "people@1",
        "validation": "later-people@1",
    }
    assert json.loads(inputs["validation"].source)["tags"]["gradsum.dataset_id"] == record.later.id


def test_B26_the_last_good_weights_of_a_job_that_diverged_are_in_its_run(record: Record) -> None:  # noqa: N802
    job = record.running_job()
    record.train(job, 1, 3)
    run_id = record.wait_until_in_mlflow(record.fail(job, epoch=4, left_weights=True)).run_id
    there = Path(record.client.download_artifacts(run_id, "weights"))
    weights = model_directory(record.storage, job) / "weights.npz"
    assert [(file.name, file.read_bytes()) for file in there.iterdir()] == [("last-good.npz", weights.read_bytes())]
    without = record.running_job()
    run_id = record.wait_until_in_mlflow(record.fail(without, epoch=1, left_weights=False)).run_id
    assert record.client.list_artifacts(run_id, "weights") == []


def test_a_run_shows_its_classes_as_figures_and_as_a_picture_and_its_whole_report(record: Record) -> None:
    job = record.running_job(split={"test": 0.2})
    record.train(job, 1, 2)
    outputs, classes = np.eye(3)[[0, 1, 1, 2]], np.array([0, 1, 2, 2], np.int32)
    report = class_report(outputs, classes, ["cat", "dog/wolf", ".."], None)
    both = {f"{split}_{name}": value for split in ("validation", "test") for name, value in report.items()}
    job = record.succeed(job, validation_accuracy=0.75, **both)
    run_id = record.wait_until_in_mlflow(job).run_id
    found = record.client.get_run(run_id).data.metrics
    assert found["result/validation_accuracy"] == 0.75
    for split in ("validation", "test"):
        by_class = {name.split("/")[-1]: v for name, v in found.items() if name.startswith(f"result/{split}_recall/")}
        assert by_class == {"cat": 1.0, "dog_wolf": 1.0, "_.": 0.5}
        assert found[f"result/{split}_precision/dog_wolf"] == 0.5
    there = Path(record.client.download_artifacts(run_id, ""))
    assert json.loads((there / "report.json").read_text()) == job.result
    for split in ("validation", "test"):
        assert (there / "plots" / f"confusion_matrix_{split}.png").read_bytes().startswith(b"\x89PNG")


def test_very_many_classes_are_in_the_report_alone(record: Record) -> None:
    job = record.running_job()
    record.train(job, 1, 2)
    n = MOST_CLASSES_SHOWN + 1
    report = class_report(np.eye(n), np.arange(n, dtype=np.int32), [f"class {place}" for place in range(n)], None)
    job = record.succeed(job, **{f"validation_{name}": value for name, value in report.items()})
    run_id = record.wait_until_in_mlflow(job).run_id
    assert not [name for name in record.client.get_run(run_id).data.metrics if "precision" in name or "recall" in name]
    assert [file.path for file in record.client.list_artifacts(run_id, "plots")] == ["plots/loss.png"]
    report_file = record.client.download_artifacts(run_id, "report.json")
    assert len(json.loads(Path(report_file).read_text())["validation_classes"]) == n


@pytest.mark.parametrize(("end", "expected"), [("failed", "FAILED"), ("cancelled", "KILLED")])
def test_the_run_ends_as_the_job_does(record: Record, end: str, expected: str) -> None:
    job = record.running_job()
    record.train(job, 1, 3)
    with record.database.write() as connection:
        if end == "cancelled":
            jobs.move(connection, job, "cancelling")
        job = jobs.required(connection, job.id)
        jobs.move(connection, job, end, error={"code": "diverged", "message": "The loss grew."})
    cursor = record.wait_until_in_mlflow(job)
    run = record.client.get_run(cursor.run_id)
    assert (run.info.status, run.data.tags["gradsum.error"]) == (expected, "The loss grew.")
    assert record.steps(cursor.run_id, "loss") == [1, 2, 3]


def test_killed_at_any_moment_it_leaves_one_run_each_point_once_and_one_version(record: Record) -> None:
    moments = random.Random(5)
    job = record.running_job("killed", training={"epochs": 900}, tracking={"max_points": 300})
    for chunk in range(9):
        record.train(job, 100 * chunk + 1, 100 * chunk + 100)
        record.kill_tracker()
        record.start_tracker()
        time.sleep(moments.uniform(0.05, 0.6))
    record.succeed(job)
    for _ in range(6):
        record.kill_tracker()
        record.start_tracker()
        time.sleep(moments.uniform(0.2, 1.5))
    cursor = record.wait_until_in_mlflow(job)
    assert [run.info.run_id for run in record.runs_of(job)] == [cursor.run_id]
    expected = sorted({*points(0, 900, 900, 300), 7})
    assert sorted(record.steps(cursor.run_id, "loss")) == expected
    found = record.client.search_model_versions("name = 'killed'")
    assert [(str(version.version), version.run_id) for version in found] == [("1", cursor.run_id)]
    kept = record.client.search_logged_models([cursor.experiment_id], f"source_run_id = '{cursor.run_id}'")
    assert len(kept) == 1


def test_an_outage_of_mlflow_loses_nothing_and_the_job_does_not_notice(record: Record) -> None:
    job = record.running_job("outage")
    record.train(job, 1, 10)
    until(lambda: record.cursor(job).last_epoch == 10, "the points before")
    record.server.kill()
    record.train(job, 11, 40)
    until(lambda: record.cursor(job).error is not None, "the error in the cursor's row")
    until(lambda: record.mlflow_status() == "degraded", "the component's report")
    before = record.succeed(job)
    time.sleep(2)
    with record.database.read() as connection:
        assert jobs.required(connection, job.id) == before
    assert record.log.read_text().count("mlflow_does_not_answer") == 1
    record.server.start()
    cursor = record.wait_until_in_mlflow(job)
    assert (cursor.error, cursor.model_version) == (None, "1")
    assert record.steps(cursor.run_id, "loss") == list(range(1, 41))
    assert len(record.runs_of(job)) == 1
    until(lambda: record.mlflow_status() == "ok", "the component's report")


def test_a_run_that_somebody_deleted_is_made_again_with_everything(record: Record) -> None:
    job = record.running_job()
    record.train(job, 1, 5)
    until(lambda: record.cursor(job).last_epoch == 5, "the first points")
    deleted = record.cursor(job).run_id
    record.client.delete_run(deleted)
    record.train(job, 6, 40)
    cursor = record.wait_until_in_mlflow(record.succeed(job))
    assert cursor.run_id != deleted
    assert record.steps(cursor.run_id, "loss") == list(range(1, 41))


def test_versions_have_gradsums_numbers_whatever_was_first_and_the_alias_follows_the_champion(record: Record) -> None:
    record.kill_tracker()
    begun = [record.running_job("numbers") for _ in range(4)]
    gone = begun[1]
    for job in (begun[2], gone, begun[0], begun[3]):
        record.train(job, 1, 2)
        record.succeed(job, write_model=job is not gone)
    record.start_tracker()
    cursors = [record.wait_until_in_mlflow(job) for job in begun]
    assert [cursor.model_version for cursor in cursors] == ["3", None, "1", "4"]
    assert "gone" in str(cursors[1].error)
    found = record.client.search_model_versions("name = 'numbers'")
    assert {str(v.version): v.tags["gradsum.version"] for v in found} == {"1": "1", "3": "3", "4": "4"}
    assert champion(record) == "1"
    with record.database.write() as connection:
        models.promote(connection, "default", "numbers", 3, None)
    until(lambda: champion(record) == "3", "the alias")


def champion(record: Record) -> str:
    return str(record.client.get_model_version_by_alias("numbers", "champion").version)


def test_the_packaged_modules_need_nothing_that_is_not_packaged(tmp_path: Path) -> None:
    package = write_package(tmp_path)
    for module in package.glob("*.py"):
        source = module.read_text()
        assert "from workers" not in source
        assert "import mlflow" not in source
    assert {"pyfunc.py", "model.py", "network.py", "preprocessing.py"} <= {path.name for path in package.iterdir()}
    (tmp_path / "again").mkdir()
    assert write_package(tmp_path / "again").name == package.name


class Environment(NamedTuple):
    """A Python that has what some distributions need, and nothing else."""

    python: Path

    def run(self, script: str, *arguments: str) -> str:
        command = [str(self.python), "-W", "ignore", "-c", script, *arguments]
        clean = {"PATH": os.environ["PATH"], "HOME": str(self.python.parent)}
        done = subprocess.run(command, env=clean, cwd="/", capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """A new environment with MLflow, numpy and pandas: what installing these three brings, linked from where it is."""
    directory: Path = tmp_path_factory.mktemp("fresh")
    venv.create(directory, with_pip=False)
    (packages,) = directory.glob("lib/python*/site-packages")
    for name in closure(["mlflow", "numpy", "pandas"]):
        distribution = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            link = packages / top
            if not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))).resolve())
    return Environment(directory / "bin" / "python")


def closure(names: list[str]) -> set[str]:
    """The distributions that installing `names` brings."""
    needed: set[str] = set()
    while names:
        name = names.pop()
        if name not in needed:
            needed.add(name)
            wanted = [Requirement(text) for text in importlib.metadata.requires(name) or []]
            names += [w.name for w in wanted if w.marker is None or w.marker.evaluate({"extra": ""})]
    return needed


LOAD_AND_PREDICT = """
import json, sys
import mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
for absent in ("workers", "service", "ray"):
    try:
        __import__(absent)
    except ImportError:
        continue
    raise SystemExit(f"{absent} is installed here")
model = mlflow.pyfunc.load_model(sys.argv[2])
answers = []
for text in json.loads(sys.argv[3]):
    answer = model.predict(pandas.DataFrame(text))
    exact = {name: [v.hex() if isinstance(v, float) else v for v in answer[name].tolist()] for name in answer.columns}
    answers.append(exact)
try:
    model.predict(pandas.DataFrame({"age": [1], "city": ["Oslo"]}))
except Exception as error:
    answers.append(str(error))
assert len(model.predict(model.input_example)) == 1
print(json.dumps(answers))
"""


def test_a_fresh_environment_with_mlflow_numpy_and_pandas_gives_the_same_bits(
    record: Record, fresh: Environment
) -> None:
    job = record.running_job("fresh")
    record.train(job, 1, 2)
    record.wait_until_in_mlflow(record.succeed(job))
    ages, heights, cities = [31, 64, 18], [171.25, 160.1, 188.9], ["Rom", "Oslo", "Paris"]
    frames = [
        {"age": ages, "height": heights, "city": cities},
        {"city": cities, "extra": ["x"] * 3, "height": heights, "age": [float(age) for age in ages]},
    ]
    said = fresh.run(LOAD_AND_PREDICT, record.server.address, "models:/fresh/1", json.dumps(frames))
    *answers, refusal = json.loads(said.splitlines()[-1])
    model = load(model_directory(record.storage, job))
    arrays = {"age": np.array(ages), "height": np.array(heights), "city": np.array(cities, dtype=object)}
    expected = predict(model, columns_from_arrays(model, arrays))
    assert expected.probabilities is not None
    for answer in answers:
        assert answer["prediction"] == expected.prediction.tolist()
        for place, label in enumerate(("cat", "dog", "eel")):
            assert answer[f"probability_{label}"] == [p.hex() for p in expected.probabilities[:, place].tolist()]
    assert "height" in refusal


FILL_AND_PREDICT = """
import json, sys
import mlflow, numpy, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
rows = json.loads(sys.argv[3])
plain = pandas.DataFrame(rows)
nullable = plain.assign(age=plain["age"].astype("Int64"), city=plain["city"].astype("string"))
blank = plain.assign(city=plain["city"].map(lambda city: "" if city is None else city))
marked = plain.astype(object).where(plain.notna(), "?")
frames = [plain, plain.astype(object), nullable, blank, marked]
frames += [plain.assign(age=numpy.nan, height=None, city=[None] * len(plain)), plain.assign(city=numpy.nan)]
answers = [model.predict(frame).drop(columns="prediction").to_numpy().tolist() for frame in frames]
print(json.dumps([[[value.hex() for value in row] for row in answer] for answer in answers]))
"""


def test_a_model_that_fills_missing_values_answers_in_mlflow_as_the_api_does(
    record: Record, fresh: Environment
) -> None:
    """NaN, None, pandas' NA, an empty text and a marker, in columns of any type, also where nothing else is in them."""
    job = record.running_job("gaps", preprocessing={"missing_values": "mean"})
    record.train(job, 1, 2)
    record.wait_until_in_mlflow(record.succeed(job))
    rows = [
        {"age": 31, "height": None, "city": "Rom"},
        {"age": None, "height": 160.25, "city": None},
        {"age": 40, "height": 180.5, "city": "Paris"},
    ]
    said = fresh.run(FILL_AND_PREDICT, record.server.address, "models:/gaps/1", json.dumps(rows))
    *alike, all_missing, no_city = json.loads(said.splitlines()[-1])
    model = load(model_directory(record.storage, job))

    def by_api(asked: list[dict[str, Any]]) -> list[list[str]]:
        found = predict(model, columns_from_rows(model, asked)).probabilities
        assert found is not None
        return [[value.hex() for value in row] for row in found.tolist()]

    assert alike == [by_api(rows)] * 5
    assert all_missing == by_api([dict.fromkeys(row) for row in rows])
    assert no_city == by_api([{**row, "city": None} for row in rows])
