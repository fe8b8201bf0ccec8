"""Trained models in MLflow: each kept with its run; versions of a name mirrored with Gradsum's numbers."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model as MlflowModel

from service.store.models import Model
from service.tracker.errors import exists_already, is_missing
from service.tracker.runs import JOB_TAG, RunId

NAME = "model"
VERSION_TAG = "gradsum.version"
CHAMPION = "champion"

Write = Callable[[Path, MlflowModel], None]
"""write(destination, described) makes the directory that MLflow keeps."""


class Registry:
    """The models and the registry of one MLflow server."""

    def __init__(self, client: MlflowClient, scratch: Path) -> None:
        self._client = client
        self._scratch = scratch
        self._champions: dict[str, str] = {}  # what MLflow was last told, by name

    def keep(self, run: RunId, epoch: int, write: Write) -> LoggedModel:
        """The run's model in MLflow, uploaded unless it is there whole; found by its run before it is made."""
        query = f"source_run_id = '{run.run_id}' AND name = '{NAME}'"
        found = self._client.search_logged_models([run.experiment_id], query, max_results=1)
        if found and found[0].status == LoggedModelStatus.READY:
            return found[0]
        kept = found[0] if found else self._client.create_logged_model(run.experiment_id, NAME, run.run_id)
        described = MlflowModel(
            artifact_path=kept.artifact_location, run_id=run.run_id, model_uuid=kept.model_id, model_id=kept.model_id
        )
        with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
            destination = Path(directory) / NAME
            write(destination, described)
            self._client.log_model_artifacts(kept.model_id, str(destination))
        self._client.log_outputs(run.run_id, [LoggedModelOutput(kept.model_id, step=epoch)])
        return self._client.finalize_logged_model(kept.model_id, LoggedModelStatus.READY)

    def register(self, model: Model, run: RunId, kept: LoggedModel) -> str:
        """MLflow's version of `model`, with Gradsum's number wherever that is still free.

        MLflow counts up by itself. Where numbers below are missing (their models are gone), versions are made and
        deleted until the count is right; where somebody else took the number, the next one is kept, and its tag tells.
        """
        self._make_name(model.name)
        for version in self._client.search_model_versions(f"run_id = '{run.run_id}'"):
            if version.name == model.name and self._is_settled(version, model):
                return str(version.version)
        while True:
            version = self._client.create_model_version(
                model.name,
                str(kept.artifact_location),
                run.run_id,
                {VERSION_TAG: str(model.version), JOB_TAG: model.job_id},
                await_creation_for=0,
                model_id=kept.model_id,
            )
            if self._is_settled(version, model):
                return str(version.version)

    def follow_champion(self, name: str, version: str) -> None:
        """Let the alias `champion` of `name` point to MLflow's `version`, if it does not yet."""
        if self._champions.get(name) != version:
            try:
                self._client.set_registered_model_alias(name, CHAMPION, version)
            except MlflowException as error:
                if not is_missing(error):  # somebody deleted the version in MLflow: it stays so
                    raise
            self._champions[name] = version

    def _make_name(self, name: str) -> None:
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if not exists_already(error):
                raise

    def _is_settled(self, version: ModelVersion, model: Model) -> bool:
        """Whether `version` can stay; a number below Gradsum's is one that is gone, and is deleted."""
        if int(version.version) >= model.version:
            return True
        self._client.delete_model_version(model.name, str(version.version))
        return False
