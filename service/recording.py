"""What a driver reports, written to the record: figures, workers, state, result and model. And failures."""

from pathlib import Path
from typing import Any

from service.logs import Log
from service.paths import model_directory
from service.store import jobs, metrics, models
from service.store.database import Database, Transaction
from service.store.jobs import Job

PROGRESS = ("epoch", "loss", "validation_loss", "validation_accuracy", "validation_r2")


def record(connection: Transaction, job_id: str, attempt: int, report: dict[str, Any]) -> str | None:
    """Write one report of an attempt's driver; its outcome if the attempt has ended, or is not wanted any more."""
    job = jobs.get(connection, job_id)
    if job is None or job.attempt != attempt or job.status not in {"starting", "running"}:
        return "superseded"
    epochs = report.get("epochs", [])
    if epochs:
        metrics.append(connection, job_id, columns(epochs))
    changes: dict[str, Any] = {"workers": report["workers"]} if "workers" in report else {}
    if "numerics" in report and job.numerics is None:
        changes["numerics"] = report["numerics"]
    if epochs:
        changes["progress"] = progress(job, epochs)
    state = report["state"]
    if job.status == "starting" and state in {"running", "succeeded"}:
        jobs.move(connection, job, "running", **changes)
        job = jobs.required(connection, job_id)
    if state in {"succeeded", "failed"}:
        _end(connection, job, report, changes)
    else:
        jobs.change(connection, job, **changes) if changes else None
    if state in {"starting", "running"}:
        return None
    if state == "refused":
        jobs.end_attempt(connection, job_id, attempt, jobs.REFUSED)
        return "refused"
    reason = report.get("reason") or report.get("error", {}).get("message") or state
    jobs.end_attempt(connection, job_id, attempt, reason)
    return str(state)


def fail(database: Database, log: Log, job: Job, error: dict[str, Any]) -> None:
    """End a job with `error`, unless its state has changed meanwhile, and say so."""
    with database.write() as connection:
        failed = jobs.fail(connection, job, error)
    if failed:
        log.warning("job_failed", job_id=job.id, reason=error["message"])


def internal(message: str, error: Exception) -> dict[str, Any]:
    """An error of ours, as a job shows it."""
    return {"code": "internal", "message": f"{message}: {type(error).__name__}: {error}"}


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
