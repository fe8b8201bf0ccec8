"""One job's way to MLflow: run, description, points, files, model, end. Each step can be repeated."""

import shutil
import tempfile
from pathlib import Path

from mlflow import MlflowClient

from service.jobs import FINAL
from service.paths import model_directory
from service.settings import Settings
from service.store import datasets, metrics, models, tracking
from service.store.database import Database
from service.store.jobs import Job
from service.store.tracking import Tracking
from service.tracker import package
from service.tracker.champions import mirrored_champions
from service.tracker.files import epoch_of_weights, write_files
from service.tracker.points import closing_points
from service.tracker.registry import Registry
from service.tracker.result import result_points, result_tags
from service.tracker.runs import RunId, Runs
from service.tracker.series import next_batch, points_of_epochs
from workers.storage import storage_of

RUN_STATUS = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}


class Mirror:
    """Brings MLflow's picture of a job up to date."""

    def __init__(self, settings: Settings, database: Database, client: MlflowClient) -> None:
        self._settings = settings
        self._storage = storage_of(settings.environment())
        self._database = database
        self._runs = Runs(client)
        self._scratch = empty_scratch(settings.data_dir / "tracker")
        self._registry = Registry(client, self._scratch)

    def check(self) -> None:
        """Ask MLflow something cheap."""
        self._runs.check()

    def bring_up_to_date(self, job: Job, cursor: Tracking) -> bool:
        """Send everything of `job` that the record has and MLflow may not have; whether that was its end."""
        run = self._run(job, cursor)
        if not cursor.described:
            self._describe(run, job)
        self._send_points(run, job, cursor.last_epoch)
        if job.status not in FINAL or not self._may_finish(job):
            return False
        self._finish(run, job)
        self.follow_champions(job.spec["tracking"]["registered_model"])
        return True

    def start_again_if_gone(self, job: Job, cursor: Tracking) -> bool:
        """Whether MLflow lost the job's run; the cursor then goes back to the beginning."""
        if cursor.run_id is None or not self._runs.is_gone(cursor.run_id):
            return False
        self._move(job, experiment_id=None, run_id=None, run_url=None, described=False, last_epoch=0)
        return True

    def follow_champions(self, name: str | None = None) -> None:
        """Let MLflow's alias follow Gradsum's champions (of `name` alone), as far as their versions are there."""
        with self._database.read() as connection:
            champions = mirrored_champions(connection, None if name is None else [name])
        for champion, version in champions.items():
            self._registry.follow_champion(champion, version)

    def _run(self, job: Job, cursor: Tracking) -> RunId:
        if cursor.experiment_id is not None and cursor.run_id is not None:
            return RunId(cursor.experiment_id, cursor.run_id)
        run = self._runs.find_or_make(job)
        url = f"{self._settings.mlflow_public_url}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
        self._move(job, experiment_id=run.experiment_id, run_id=run.run_id, run_url=url)
        return run

    def _describe(self, run: RunId, job: Job) -> None:
        ids = {"training": job.dataset_id, "validation": job.spec["validation_dataset"]}
        with self._database.read() as connection:
            found = {purpose: datasets.get(connection, key) for purpose, key in ids.items() if key is not None}
        self._runs.describe(run.run_id, job, {key: dataset for key, dataset in found.items() if dataset is not None})
        self._move(job, described=True)

    def _send_points(self, run: RunId, job: Job, after: int) -> None:
        if not job.resolved:
            return
        epochs, max_points = job.spec["training"]["epochs"], job.spec["tracking"]["max_points"]
        while True:
            with self._database.read() as connection:
                batch = next_batch(connection, job.id, after, epochs, max_points)
            if batch.last_epoch == after:
                return
            self._runs.send(run.run_id, batch.points)
            self._move(job, last_epoch=batch.last_epoch)
            after = batch.last_epoch

    def _may_finish(self, job: Job) -> bool:
        """Whether the versions below the job's model are mirrored or given up: MLflow counts in order of arrival."""
        with self._database.read() as connection:
            model = models.of_job(connection, job.id)
            if model is None:
                return True
            before = [
                v.job_id for v in models.versions(connection, model.project, model.name) if v.version < model.version
            ]
            return all(cursor.finished for cursor in tracking.of_jobs(connection, before).values())

    def _finish(self, run: RunId, job: Job) -> None:
        """Send what a final job leaves, then its status; the cursor says so last."""
        files = model_directory(self._storage.root, job)
        is_here = job.has_weights and self._storage.bring(files)
        if job.status == "succeeded" and not is_here and self._storage.root.is_dir():
            self._end(run, job, error="The files of the trained model are gone from the storage.")
            return
        with tempfile.TemporaryDirectory(dir=self._scratch) as directory:
            write_files(Path(directory), files, self._database, job)
            self._runs.send_files(run.run_id, directory)
        version = self._keep_model(run, job) if job.status == "succeeded" else None
        self._end(run, job, model_version=version, error=None)

    def _end(self, run: RunId, job: Job, **changes: object) -> None:
        with self._database.read() as connection:
            points = self._closing_points(job, metrics.last_epoch(connection, job.id))
            closing = points_of_epochs(connection, job.id, points)
        self._runs.send(run.run_id, closing + result_points(job), result_tags(job))
        self._runs.end(run.run_id, RUN_STATUS[job.status], job.finished_at or job.created_at)
        self._move(job, finished=True, **changes)

    def _closing_points(self, job: Job, last_epoch: int) -> list[int]:
        if not job.resolved:
            return []
        best = (job.result or {}).get("best_epoch")
        return closing_points(last_epoch, best, job.spec["training"]["epochs"], job.spec["tracking"]["max_points"])

    def _keep_model(self, run: RunId, job: Job) -> str | None:
        with self._database.read() as connection:
            dataset = datasets.get(connection, job.dataset_id)
            model = models.of_job(connection, job.id)
        if dataset is None:
            raise LookupError(job.dataset_id)
        files = model_directory(self._storage.root, job)
        kept = self._registry.keep(
            run, epoch_of_weights(job), lambda path, described: package.save(path, files, dataset, described)
        )
        return None if model is None else self._registry.register(model, run, kept)

    def _move(self, job: Job, **changes: object) -> None:
        with self._database.write() as connection:
            tracking.change(connection, job.id, **changes)


def empty_scratch(directory: Path) -> Path:
    """`directory`, without what a tracker that was killed had prepared there for sending."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
