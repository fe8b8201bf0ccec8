"""Rows as the API shows them (the contract's JSON). Pure: whatever a view needs is handed to it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from service.errors import problem_members
from service.store.datasets import Dataset
from service.store.jobs import Job
from service.store.models import Made, Model, Named
from service.store.notifications import Notification
from service.store.tracking import Tracking
from workers.errors import FieldError
from workers.model import Model as TrainedModel
from workers.model import Prediction

View = dict[str, Any]
LATE_STATUS = {"storage_full": HTTPStatus.INSUFFICIENT_STORAGE, "internal": HTTPStatus.INTERNAL_SERVER_ERROR}
"""Of failures of datasets that are not the data's."""


def page_view(views: Sequence[View], *, has_more: bool, key: str = "id") -> View:
    """A page of a list; `key` is what a reader goes on after."""
    return {
        "object": "list",
        "data": list(views),
        "first_id": views[0][key] if views else None,
        "last_id": views[-1][key] if views else None,
        "has_more": has_more,
    }


def dataset_view(dataset: Dataset) -> View:
    """A dataset; `rows` and `columns` are null until it is ready, `sha256` and `bytes` until it is fetched."""
    shown = ("name", "version", "status", "rows", "rejected_rows", "columns", "sha256", "bytes", "options", "source")
    return {
        "id": dataset.id,
        "object": "dataset",
        **{name: getattr(dataset, name) for name in shown},
        **({"sha256": None, "bytes": None} if not dataset.sha256 else {}),
        "progress": dataset.progress,
        "error": None if dataset.error is None else late_problem(dataset.error),
        **_kept_by_all(dataset),
    }


def late_problem(error: View) -> View:
    """Why a dataset failed, with all that the problem has which answers a request where the same is found at once."""
    code, message = error["code"], error["message"]
    errors = [FieldError(**found) for found in error.get("errors", ())]
    status = LATE_STATUS.get(code, HTTPStatus.UNPROCESSABLE_ENTITY)
    return {"code": code, "message": message, **problem_members(code, status, message, errors)}


def job_view(
    job: Job, tracking: Tracking, history: Sequence[View], notifications: Sequence[Notification], now: datetime
) -> View:
    """A job with everything that is known of it."""
    return {
        "id": job.id,
        "object": "job",
        "name": job.name,
        "status": job.status,
        "status_reason": job.status_reason,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "estimated_finish_at": estimated_finish_at(job, now),
        "spec": job.spec,
        "requested": job.requested,
        "plan": job.plan,
        "progress": job.progress,
        "attempt": job.attempt,
        "workers": job.workers,
        "warnings": job.warnings,
        "transitions": list(history),
        "result": job.result,
        "mlflow": mlflow_view(tracking),
        "notifications": [notification_view(found) for found in notifications],
        "error": job.error,
        "verdict": job.verdict,
        **_kept_by_all(job),
    }


def estimated_finish_at(job: Job, now: datetime) -> str | None:
    """When a running job should have computed its last epoch; None where that can't be told."""
    if job.status != "running" or not job.progress:
        return None
    seconds = (job.progress["epochs"] - job.progress["epoch"]) * job.progress["seconds_per_epoch"]
    try:
        finish = now.astimezone(UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return None
    return finish.isoformat(timespec="seconds").replace("+00:00", "Z")


def mlflow_view(tracking: Tracking) -> View:
    """Where MLflow shows a job, and whether it knows everything yet."""
    return {
        "experiment_id": tracking.experiment_id,
        "run_id": tracking.run_id,
        "run_url": tracking.run_url,
        "model_version": tracking.model_version,
        "status": "current" if tracking.finished else "pending",
    }


def notification_view(found: Notification) -> View:
    """A webhook and whether its receiver has it."""
    status = "delivered" if found.delivered_at else "given_up" if found.next_attempt_at is None else "pending"
    shown = ("id", "event", "created_at", "attempts", "next_attempt_at", "delivered_at", "error")
    return {**{name: getattr(found, name) for name in shown}, "status": status}


def model_view(found: Named) -> View:
    """A model's name with its versions, newest first, and the version that serves."""
    newest = found.versions[0].model
    return {
        "id": newest.name,
        "object": "model",
        "name": newest.name,
        "champion": found.champion,
        "promotion": found.promotion,
        "versions": [_version_view(made) for made in found.versions],
        **_kept_by_all(newest),
    }


def prediction_view(name: str, version: int, model: TrainedModel, prediction: Prediction) -> View:
    """Predictions for rows; with several targets an object each, by target."""
    answers = prediction.prediction.tolist()
    if model.classes is None and len(model.targets) > 1:
        answers = [dict(zip(model.targets, row, strict=True)) for row in answers]
    probabilities = None
    if prediction.probabilities is not None and model.classes is not None:
        classes = [str(label) for label in model.classes]
        probabilities = [dict(zip(classes, row, strict=True)) for row in prediction.probabilities.tolist()]
    return {"model": name, "version": version, "predictions": answers, "probabilities": probabilities}


def deleted_view(kind: str, object_id: str) -> View:
    """What is left of an object that was deleted."""
    return {"id": object_id, "object": kind, "deleted": True}


def _version_view(made: Made) -> View:
    version = made.model
    return {
        "version": version.version,
        "created_at": version.created_at,
        "actor": version.actor,
        "tags": version.tags,
        "job_id": version.job_id,
        "dataset_id": made.dataset_id,
        "result": made.result,
        "verdict": version.verdict,
    }


def _kept_by_all(row: Dataset | Job | Model) -> View:
    return {
        "project": row.project,
        "actor": row.actor,
        "group_id": row.group_id,
        "created_at": row.created_at,
        "tags": row.tags,
    }
