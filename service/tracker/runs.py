"""MLflow's record of a job: a run, found by the tag `gradsum.job_id` before it is made, and what is sent to it."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from service.store.datasets import Dataset as DatasetRow
from service.store.jobs import Job
from service.tracker import words
from service.tracker.errors import RefusedError, exists_already, is_missing
from service.tracker.series import Point

PARAMETERS_IN_A_REQUEST = 100
LONGEST_DIGEST = 36
LONGEST_SCHEMA = 1_000_000
JOB_TAG = "gradsum.job_id"


class RunId(NamedTuple):
    """Where MLflow keeps a job."""

    experiment_id: str
    run_id: str


class Runs:
    """The runs of one MLflow server."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._experiments: dict[str, str] = {}

    def check(self) -> None:
        """Ask something cheap, to see whether MLflow answers."""
        self._client.search_experiments(max_results=1)

    def find_or_make(self, job: Job) -> RunId:
        """The job's run; a new one carries its tags from the first moment."""
        experiment_id = self._experiment(experiment_name(job))
        query = f"tags.`{JOB_TAG}` = '{job.id}'"
        found = self._client.search_runs([experiment_id], query, max_results=1)
        if found:
            return RunId(experiment_id, found[0].info.run_id)
        run = self._client.create_run(
            experiment_id, words.milliseconds(job.started_at or job.created_at), _tags(job), job.name or job.id
        )
        return RunId(experiment_id, run.info.run_id)

    def is_gone(self, run_id: str) -> bool:
        """Whether somebody deleted the run, or MLflow lost its database."""
        self._experiments.clear()
        try:
            return bool(self._client.get_run(run_id).info.lifecycle_stage == LifecycleStage.DELETED)
        except MlflowException as error:
            if is_missing(error):
                return True
            raise

    def describe(self, run_id: str, job: Job, inputs: Mapping[str, DatasetRow]) -> None:
        """Send the resolved spec as parameters, and the datasets, by what they are for, as inputs."""
        described = [Param(name, value) for name, value in words.parameters(words.without_addresses(job.spec)).items()]
        for first in range(0, len(described), PARAMETERS_IN_A_REQUEST):
            self._client.log_batch(run_id, params=described[first : first + PARAMETERS_IN_A_REQUEST])
        if inputs:
            self._client.log_inputs(run_id, [_input(dataset, purpose) for purpose, dataset in inputs.items()])

    def send(self, run_id: str, points: Sequence[Point], tags: dict[str, str] | None = None) -> None:
        """Send figures, at most as many as fit one request; MLflow drops those that it has."""
        metrics = [Metric(point.name, point.value, point.at, point.epoch) for point in points]
        if metrics or tags:
            self._client.log_batch(run_id, metrics, tags=[RunTag(name, value) for name, value in (tags or {}).items()])

    def send_files(self, run_id: str, directory: str) -> None:
        """Send everything in `directory` as artifacts; a file that is there already is replaced by the same."""
        self._client.log_artifacts(run_id, directory)

    def end(self, run_id: str, status: str, finished_at: str) -> None:
        """Give the run its final status: FINISHED, FAILED or KILLED."""
        self._client.set_terminated(run_id, status, words.milliseconds(finished_at))

    def _experiment(self, name: str) -> str:
        if name not in self._experiments:
            self._experiments[name] = self._find_or_make_experiment(name)
        return self._experiments[name]

    def _find_or_make_experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except MlflowException as error:
                found = self._client.get_experiment_by_name(name) if exists_already(error) else None
                if found is None:
                    raise
        if found.lifecycle_stage == LifecycleStage.DELETED:
            raise RefusedError(f"The MLflow experiment '{name}' is deleted. Restore it, or delete it for good.")
        return str(found.experiment_id)


def experiment_name(job: Job) -> str:
    """The experiment of the spec, which is `auto` only where a job ended before its dataset was known."""
    tracking = job.spec["tracking"]
    name = tracking["experiment"]
    return str(name if name != "auto" else tracking["registered_model"] or job.name or "gradsum")


def _tags(job: Job) -> dict[str, str]:
    return words.tags(job.tags) | {
        JOB_TAG: job.id,
        "gradsum.project": job.project,
        "gradsum.actor": job.actor,
        "mlflow.user": job.actor,
        "mlflow.source.name": "gradsum",
        "mlflow.source.type": "JOB",
    }


def _input(dataset: DatasetRow, purpose: str) -> DatasetInput:
    columns = [_column(column) for column in dataset.columns or []]
    schema = json.dumps({"mlflow_colspec": columns}, ensure_ascii=False)
    described = Dataset(
        name=words.cut(f"{dataset.name}@{dataset.version}", words.LONGEST_NAME),
        digest=dataset.sha256[:LONGEST_DIGEST],
        source_type="code",
        source=json.dumps({"tags": {"gradsum.dataset_id": dataset.id, "sha256": dataset.sha256}}),
        schema=schema if len(schema.encode()) <= LONGEST_SCHEMA else None,
        profile=json.dumps({"num_rows": dataset.rows, "num_columns": len(columns)}),
    )
    return DatasetInput(described, [InputTag("mlflow.data.context", purpose)])


def _column(column: dict[str, object]) -> dict[str, object]:
    kind = "double" if column["type"] == "number" else "string"
    return {"type": kind, "name": column["name"], "required": not column["nulls"]}
