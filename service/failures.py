"""Jobs that end because of what the service itself found, and not a driver."""

from typing import Any

from service.logs import Log
from service.store import jobs
from service.store.database import Database
from service.store.jobs import Job


def fail(database: Database, log: Log, job: Job, error: dict[str, Any]) -> None:
    """End a job with `error`, unless its state has changed meanwhile, and say so."""
    with database.write() as connection:
        failed = jobs.fail(connection, job, error)
    if failed:
        log.warning("job_failed", job_id=job.id, reason=error["message"])


def internal(message: str, error: Exception) -> dict[str, Any]:
    """An error of ours, as a job shows it."""
    return {"code": "internal", "message": f"{message}: {type(error).__name__}: {error}"}
