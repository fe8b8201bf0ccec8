"""What a driver reports, written to the record: figures, workers, state, result and model."""

from pathlib import Path
from typing import Any

from service.paths import model_directory
from service.store import jobs, metrics, models, tracking
from service.store.database import Transaction
from service.store.jobs import Job
from workers.storage import MATRIX_GONE

PROGRESS = ("epoch", "loss", "validation_loss", "validation_accuracy", "validation_r2")


def record(connection: Transaction, job_id: str, attempt: int, report: dict[str, Any]) -> str | None:
    """Write one report of an attempt's driver; its outcome if the attempt has ended, or is not wanted any more."""
    job = jobs.get(connection, job_id)
    if job is None or job.attempt != attempt or job.status not in {"starting", "running"}:
        return "superseded"
    epochs = report.get("epochs", [])
    state = report["state"]
    begins = job.status == "starting" and state in {"running", "succeeded"}
    if begins and job.numerics not in (None, report["numerics"]):
        metrics.cut(connection, job_id, 0)  # what earlier attempts recorded are other bits
        tracking.change(connection, job_id, last_epoch=0)
    if epochs:
        metrics.append(connection, job_id, columns(epochs))
    changes = _changes(job, report)
    if begins and job.numerics is None:
        changes["numerics"] = report["numerics"]
    if begins:
        jobs.move(connection, job, "running", **changes)
        job = jobs.required(connection, job_id)
    if state in {"succeeded", "failed"}:
        _end(connection, job, report, changes)
    else:
        jobs.change(connection, job, **changes) if changes else None
    if state in {"starting", "running"}:
        return None
    if state == "refused":
        jobs.end_attempt(connection, job_id, attempt, report["code"])
        return "refused"
    if report.get("reason") == MATRIX_GONE:
        jobs.change(connection, jobs.required(connection, job_id), plan=None, matrix_key=None)
    reason = report.get("reason") or report.get("error", {}).get("message") or state
    jobs.end_attempt(connection, job_id, attempt, reason)
    return str(state)


def _changes(job: Job, report: dict[str, Any]) -> dict[str, Any]:
    """What a report says of any attempt: its workers, its newest figures, and what it waits for."""
    changes: dict[str, Any] = {"workers": report["workers"]} if "workers" in report else {}
    if report.get("epochs"):
        changes["progress"] = progress(job, report["epochs"])
    if "waits_for_storage" in report:
        waits = report["waits_for_storage"]
        changes["status_reason"] = None if waits is None else {"code": "waiting_for_storage", "message": waits}
    return changes


def columns(epochs: list[dict[str, Any]]) -> metrics.Columns:
    """The figures of consecutive epochs as equally long lists; null where an epoch has no such figure."""
    names = dict.fromkeys(name for row in epochs for name in row)
    return {name: [row.get(name) for row in epochs] for name in names}


def progress(job: Job, epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """What the job record shows of its newest epoch, and of the newest that was validated."""
    seen = {name: value for name, value in (job.progress or {}).items() if name in PROGRESS}
    for name in PROGRESS:
        newest = next((row[name] for row in reversed(epochs) if row.get(name) is not None), None)
        seen |= {} if newest is None else {name: newest}
    seconds = sum(row["seconds"] for row in epochs) / len(epochs)
    return {**seen, "epochs": job.spec["training"]["epochs"], "seconds_per_epoch": seconds}


def _end(connection: Transaction, job: Job, report: dict[str, Any], changes: dict[str, Any]) -> None:
    if report["state"] == "failed":
        jobs.fail(connection, job, report["error"], **changes)
        return
    result = report["result"]
    metrics.cut(connection, job.id, result["epochs"])  # with max_runtime, an earlier attempt may have come further
    moved = jobs.move(connection, job, "succeeded", result=result, **changes)
    name = job.spec["tracking"]["registered_model"]
    if moved and name is not None:
        models.add(
            connection,
            project=job.project,
            actor=job.actor,
            name=name,
            job_id=job.id,
            directory=str(model_directory(Path(), job)),
            tags=job.tags,
        )
